"""Random nights of a car with a goal: prices as markets make them, clocks that change, gaps, cars that take less.

A night is lived on a virtual clock, in cycles of some seconds, with ``planned.follow`` in the loop; what it costs is
compared with the exact cheapest schedule, which knows from the beginning what the car takes.
"""

from __future__ import annotations

import math
import random
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from attrs import frozen
from scipy.optimize import linprog

from charging_manager.control.goals import deadline
from charging_manager.control.planned import Planned, Sight, follow
from charging_manager.control.stretches import Stretch, times
from charging_manager.model.goal import Goal, Prefer
from charging_manager.model.outside import Outside, Prices, PriceSlot

PARIS = ZoneInfo("Europe/Paris")
DAYS = (
    date(2026, 1, 14),
    date(2026, 3, 28),  # the night of summer time
    date(2026, 5, 6),
    date(2026, 10, 24),  # and the night back
    date(2026, 12, 31),
)
RAMP_S = 8.0


@frozen
class Night:
    """One case. ``usual_w`` is what box and circuits allow, ``car_w`` what the car takes of it."""

    start_at: datetime
    goal: Goal
    outside: Outside
    usual_w: float
    least_w: float
    car_w: float
    known_w: float | None
    """What this box's cars took the last time."""
    every_s: float = 5.0


@frozen
class Lived:
    """How it went."""

    in_time: bool
    feasible: bool
    """By what the car takes,"""
    hopeless: bool
    """and not even by what box and circuits allow, which is known at once."""
    announced: bool
    """At the very first look it was said to be too late."""
    announced_later: bool
    cost: float
    least_cost: float
    scale: float
    """What a cost too high is measured by, see ``scale_of``."""
    starts: int
    """How often the contactor closed."""
    energy_wh: float


def draw(seed: int) -> Night:
    """A night by its number."""
    r = random.Random(seed)
    start_at = datetime.combine(r.choice(DAYS), time(), PARIS) + timedelta(minutes=r.randrange(14 * 60, 26 * 60, 5))
    start_at = start_at.astimezone(UTC).astimezone(PARIS)
    hours = r.uniform(2.0, 22.0)
    due_at = (start_at.astimezone(UTC) + timedelta(hours=hours)).astimezone(PARIS)
    by = time(due_at.hour, r.choice((0, 15, 30, due_at.minute)))
    usual_w = r.choice((3680.0, 7360.0, 11040.0, 11040.0, 22080.0))
    known = r.random() < 0.7
    part = r.choice((1.0, 1.0, 0.97, r.uniform(0.82, 1.0))) if known else r.choice((1.0, 1.0, 0.5, r.uniform(0.4, 1.0)))
    goal = Goal(by, energy_wh=1.0)
    due = deadline(goal, start_at)
    assert due is not None
    left_h = (due - start_at).total_seconds() / 3600.0
    most_wh = usual_w * part * left_h
    share = r.choice((r.uniform(0.02, 0.5), r.uniform(0.3, 0.9), r.uniform(0.9, 0.96), r.uniform(1.02, 2.0)))
    goal = Goal(by, energy_wh=max(500.0, min(most_wh * share, 150_000.0)))
    return Night(
        start_at,
        goal,
        Outside(draw_prices(r, start_at.astimezone(UTC), due)),
        usual_w,
        1380.0,
        usual_w * part,
        usual_w if known else None,
    )


def draw_prices(r: random.Random, start_at: datetime, due: datetime) -> Prices:
    """Hours or quarters of an hour, with a valley at night, noise, sometimes negative, with gaps, or with no end."""
    step = r.choice((15, 60, 60))
    begin = start_at.replace(minute=0, second=0, microsecond=0) - timedelta(hours=r.choice((0, 30)))
    until = due + timedelta(hours=r.choice((3, 3, 3, -4)))
    mean, swing, noise = r.uniform(0.05, 0.35), r.uniform(0.0, 0.15), r.choice((0.0, 0.005, 0.03))
    phase = r.uniform(0, 24)
    slots = []
    at = begin
    while at < until:
        end = at + timedelta(minutes=step)
        hour = at.hour + at.minute / 60.0
        price = mean + swing * math.sin((hour - phase) / 12.0 * math.pi) + r.gauss(0, noise)
        if r.random() > 0.03:
            slots.append(PriceSlot(at, end, round(price, 4)))
        at = end
    return Prices(tuple(slots)) if r.random() > 0.03 else Prices()


def live(night: Night) -> Lived:
    """The whole of it, from plug-in to the deadline."""
    start_s = night.start_at.timestamp()
    due = deadline(night.goal, night.start_at)
    assert due is not None
    due_s = due.timestamp()
    prices = priced(night, start_s, due_s)
    planned: Planned | None = None
    done_wh = drawn_w = cost = 0.0
    starts, on_since = 0, None
    announced = later = False
    want_wh = night.goal.energy_wh or 0.0
    now_s, at = start_s, 0
    while now_s < due_s:
        local = datetime.fromtimestamp(now_s, PARIS)
        sight = Sight(
            night.goal,
            max(0.0, want_wh - done_wh),
            done_wh,
            100.0,
            drawn_w,
            planned is not None and planned.charge,
            night.usual_w,
            night.least_w,
        )
        if planned is None and night.known_w is not None:
            planned = Planned(sight, now_s - start_s + 1000.0, now_s, learned_w=night.known_w)
        planned = follow(planned, sight, night.outside, now_s - start_s + 1000.0, local)
        told = planned.because.code == "goal-not-in-time"
        announced = announced or (told and now_s == start_s)
        later = later or told
        if planned.charge:
            starts += on_since is None
            on_since = now_s if on_since is None else on_since
            drawn_w = night.car_w if now_s - on_since >= RAMP_S else night.car_w * (now_s - on_since) / RAMP_S
        else:
            on_since, drawn_w = None, 0.0
        step_s = min(1.0 if planned.measuring else night.every_s, due_s - now_s)
        while at + 1 < len(prices) and prices[at].end_s <= now_s:
            at += 1
        done_wh += drawn_w * step_s / 3600.0
        cost += prices[at].cost * drawn_w * step_s / 3.6e6
        now_s += step_s
    possible_wh = night.car_w * (due_s - start_s - 15.0) / 3600.0
    got = min(done_wh, want_wh + 50.0)
    least = exact_cost(prices, got, night.car_w)
    return Lived(
        done_wh >= want_wh - 10.0,
        want_wh <= possible_wh,
        want_wh > night.usual_w * (due_s - start_s - 15.0) / 3600.0 + 10.0,
        announced,
        later,
        cost,
        least,
        scale_of(prices, got, least),
        starts,
        done_wh,
    )


def priced(night: Night, start_s: float, due_s: float) -> tuple[Stretch, ...]:
    """What each time costs: a gap the dearest price that is known, as was agreed."""
    return times(night.outside, start_s, due_s, Prefer.CHEAP).stretches


def scale_of(stretches: tuple[Stretch, ...], energy_wh: float, least_cost: float) -> float:
    """The least cost itself; in a night with negative prices, whose sum may be next to nothing whatever flows, at least
    what it is worth to choose: energy times the distance between the dearest and the cheapest price."""
    cheapest, dearest = min(one.cost for one in stretches), max(one.cost for one in stretches)
    if cheapest >= 0.0:
        return abs(least_cost)
    return max(abs(least_cost), energy_wh / 1000.0 * (dearest - cheapest))


def exact_cost(stretches: tuple[Stretch, ...], energy_wh: float, power_w: float) -> float:
    """By linear programming: how much of each time is taken, so that the energy is reached at the least cost."""
    lengths = np.array([one.end_s - one.start_s for one in stretches])
    costs = np.array([one.cost for one in stretches]) * power_w / 3.6e6
    need_s = min(energy_wh / power_w * 3600.0, float(lengths.sum()))
    found = linprog(
        costs,
        A_eq=np.ones((1, len(costs))),
        b_eq=[need_s],
        bounds=list(zip(np.zeros(len(costs)), lengths, strict=True)),
    )
    assert found.status == 0
    return float(found.fun)
