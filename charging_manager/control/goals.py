"""When a goal is due, and how much energy it still wants."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from charging_manager.clocks import moment
from charging_manager.model.goal import Goal
from charging_manager.model.wish import Wish

CHARGING_EFFICIENCY = 0.9
"""Of what a box delivers, so much arrives in the battery."""


def deadline(goal: Goal, now_at: datetime) -> datetime | None:
    """When it is due next, in UTC; None: it was set for a day that is over. ``now_at`` is local time of the site."""
    where = now_at.tzinfo or UTC
    try:
        if goal.on is not None:
            at = moment(goal.on, goal.by, where)
            return at if at > now_at else None
        for ahead in range(9):  # a week, and a day on which it is too late already
            day = now_at.date() + timedelta(days=ahead)
            if day.weekday() in goal.days and (at := moment(day, goal.by, where)) > now_at:
                return at
    except OverflowError:  # the clock stands at the end of the calendar
        pass
    return None


def needed_wh(goal: Goal, wish: Wish) -> float | None:
    """What the box must still deliver, 0 when it is reached; None: a state of charge is wanted that nobody tells."""
    if goal.energy_wh is not None:
        return max(0.0, goal.energy_wh - (wish.session_wh if math.isfinite(wish.session_wh) else 0.0))
    capacity = wish.capacity_wh if wish.capacity_wh is not None else goal.capacity_wh
    if goal.soc_pct is None or capacity is None or wish.soc_pct is None or not math.isfinite(wish.soc_pct):
        return None
    return max(0.0, (goal.soc_pct - wish.soc_pct) / 100.0 * capacity / CHARGING_EFFICIENCY)
