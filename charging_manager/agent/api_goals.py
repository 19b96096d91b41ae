"""Goals over the API: what a driver wants by when, and at once what will come of it."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from typing import Any

from attrs import evolve, frozen

from charging_manager.agent.api_common import charge_point_of, field_problem
from charging_manager.agent.api_shapes_goals import GoalBody
from charging_manager.agent.config import Configuration
from charging_manager.agent.people import People
from charging_manager.agent.picture import Sentence
from charging_manager.agent.running import RunningSite
from charging_manager.agent.wishes import wishes
from charging_manager.clocks import zone
from charging_manager.control.because import SENTENCES
from charging_manager.control.goals import deadline, needed_wh
from charging_manager.control.planned import Planned
from charging_manager.control.planning import foresee
from charging_manager.control.stretches import times
from charging_manager.http.routes import Call, Problem, Right, Route
from charging_manager.model.goal import EVERY_DAY, Goal, Prefer
from charging_manager.model.site import Mode
from charging_manager.model.wish import Wish


@frozen
class GoalPages:
    """The routes of a charge point's goal."""

    site: RunningSite
    people: People

    def routes(self) -> list[Route]:
        path = "/api/v1/charge-points/{id}/goal"
        return [
            Route("GET", path, Right.USER, self.show, "The goal, and what will come of it", answer=dict),
            Route(
                "PUT",
                path,
                Right.USER,
                self.change,
                "Set the goal that mode plan works for; the answer says at once whether it can be reached",
                body=GoalBody,
                answer=dict,
            ),
            Route("DELETE", path, Right.USER, self.remove, "Have no goal any more", answer=dict),
        ]

    async def show(self, call: Call) -> Any:
        box = charge_point_of(call.caller, self.site.config.current, call.params["id"])
        return shown(self.site, box.id, call.caller.language)

    async def change(self, call: Call) -> Any:
        box = charge_point_of(call.caller, self.site.config.current, call.params["id"])
        goal = goal_of(call.body, self.site)

        def changed(config: Configuration) -> Configuration:
            charge_point_of(call.caller, config, box.id)
            return evolve(config, goals={**config.goals, box.id: goal})

        await field_problem(self.site.config.change(changed))
        self.people.note(call.caller, "goal", box.id, in_short(goal))
        return shown(self.site, box.id, call.caller.language)

    async def remove(self, call: Call) -> Any:
        box = charge_point_of(call.caller, self.site.config.current, call.params["id"])

        def changed(config: Configuration) -> Configuration:
            charge_point_of(call.caller, config, box.id)
            return evolve(config, goals={name: goal for name, goal in config.goals.items() if name != box.id})

        await field_problem(self.site.config.change(changed))
        self.people.note(call.caller, "goal", box.id, "none")
        return shown(self.site, box.id, call.caller.language)


def goal_of(body: GoalBody, site: RunningSite, inside: str = "") -> Goal:
    """The goal that a body says; what it means is checked with the configuration. Raises: Problem naming the field."""
    try:
        by = time.fromisoformat(body.by)
    except ValueError as error:
        raise Problem(422, "bad-time", "A time of the day is written 07:00.", f"{inside}by") from error
    try:
        on = date.fromisoformat(body.on) if body.on is not None else None
    except ValueError as error:
        raise Problem(422, "bad-date", "A date is written 2026-05-31.", f"{inside}on") from error
    if body.prefer not in set(Prefer):
        raise Problem(422, "bad-prefer", "What is preferred is cheap or green.", f"{inside}prefer")
    days: frozenset[int] = EVERY_DAY if body.days is None else frozenset(body.days)
    goal = Goal(
        by.replace(second=0, microsecond=0),
        body.energy_wh,
        body.soc_pct,
        days,
        on,
        Prefer(body.prefer),
        body.capacity_wh,
    )
    if on is not None and deadline(goal, _local_now(site)) is None:
        raise Problem(422, "goal-is-over", "That time is over; choose a later one.", f"{inside}on")
    return goal


def in_short(goal: Goal) -> str:
    """For the audit log."""
    what = f"{goal.energy_wh:g} Wh" if goal.energy_wh is not None else f"{goal.soc_pct:g} %"
    return f"{what} by {goal.by:%H:%M}{f' on {goal.on}' if goal.on else ''}"


def shown(site: RunningSite, name: str, language: str) -> dict[str, Any]:
    """A charge point's goal with its forecast; the goal that comes back by PUT changes nothing."""
    config = site.config.current
    goal = config.goals.get(name)
    return {
        "id": name,
        "mode": config.effective_mode(config.devices[name]).value,
        "goal": None
        if goal is None
        else {
            "by": f"{goal.by:%H:%M}",
            "energy_wh": goal.energy_wh,
            "soc_pct": goal.soc_pct,
            "days": sorted(goal.days),
            "on": goal.on.isoformat() if goal.on else None,
            "prefer": goal.prefer.value,
            "capacity_wh": goal.capacity_wh,
        },
        "forecast": None if goal is None else forecast(site, name, goal, language),
    }


def forecast(site: RunningSite, name: str, goal: Goal, language: str) -> dict[str, Any] | None:
    """What will come of that goal if mode plan works for it; null while nobody can say."""
    cycle = site.steering.last
    if cycle is None:
        return None
    image = evolve(cycle.image, last_plan=cycle.plan, outside=site.outside.view())
    wish = evolve(wishes(site.config.current, site.book, site.readings.last).get(name, Wish()), goal=goal)
    planned = foresee(image, name, goal, wish)
    if planned is None:
        return None
    because = Sentence(planned.because.code, SENTENCES[planned.because.code], planned.because.fields)
    need_wh = needed_wh(goal, wish)
    return {
        "feasible": planned.feasible,
        "deadline_at": _at(planned.deadline_s),
        "plugged": site.book.running(name) is not None,
        "done_wh": round(wish.session_wh),
        "need_wh": None if need_wh is None else round(need_wh),
        "reach_wh": round(planned.reach_wh()),
        "shared_wh": round(planned.shared_wh()),
        "power_w": round(planned.power_w),
        "by": planned.by.value,
        "unknown_s": round(planned.unknown_s),
        "sun_wh": round(planned.schedule.sun_wh),
        "cost": _cost(planned),
        "currency": image.outside.prices.currency,
        "charge": planned.charge,
        "because": because.said(language),
        "runs": [{"start_at": _at(run.start_s), "end_at": _at(run.end_s)} for run in planned.runs],
        "times": _times(planned, image.outside),
    }


def _cost(planned: Planned) -> float | None:
    """What is bought will cost, as far as prices are known."""
    known = planned.by is Prefer.CHEAP and planned.schedule.runs and planned.outside is not None
    return round(planned.schedule.cost, 4) if known and planned.outside and planned.outside.prices.slots else None


def _times(planned: Planned, outside: Any) -> list[dict[str, Any]]:
    """Prices until the deadline, for a picture of it."""
    if planned.deadline_s is None or planned.late:
        return []
    known = times(outside, planned.clock_s, planned.deadline_s, planned.by)
    return [
        {
            "start_at": _at(one.start_s),
            "end_at": _at(one.end_s),
            "price": None if one.price is None or not math.isfinite(one.price) else round(one.price, 5),
            "spare_w": round(one.spare_w),
        }
        for one in known.stretches[:400]
    ]


def _at(at_s: float | None) -> str | None:
    if at_s is None:
        return None
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _local_now(site: RunningSite) -> datetime:
    return site.now().astimezone(zone(site.config.current.timezone))


def needs_goal(config: Configuration, name: str, mode: Mode, site: RunningSite) -> None:
    """Mode plan needs something to plan for, and time for it. Raises: Problem."""
    if mode is not Mode.PLAN:
        return
    goal = config.goals.get(name)
    if goal is None:
        raise Problem(422, "goal-needed", "Mode plan needs a goal: how much energy, and by when.", "goal")
    if goal.on is not None and deadline(goal, _local_now(site)) is None:
        raise Problem(422, "goal-is-over", "That time is over; choose a later one.", "goal.on")
