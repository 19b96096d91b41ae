"""Mode Plan for all cars of a site: what each is told by ``planned.follow``, and a look ahead for the pages."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from attrs import evolve

from charging_manager.control.goals import needed_wh
from charging_manager.control.memory import NO_PLANS, Memory
from charging_manager.control.planned import Planned, Sight, follow
from charging_manager.control.seen import Seen, plausible
from charging_manager.control.wiring import Outlet, Wiring
from charging_manager.model.goal import Goal
from charging_manager.model.mode import Mode
from charging_manager.model.plan import Because, SiteImage
from charging_manager.model.reading import Reading, Status
from charging_manager.model.units import PHASES
from charging_manager.model.wish import Wish

VOLTS = 230.0
EVERY, LOOKS = 5, 40
"""A car with a plan is looked at in every so many cycles, and when its goal is another; of many, so many in each."""
AT_A_TIME = 3
"""So many schedules are made in one decision for cars that have none yet."""
ANEW_AT_A_TIME = 1
"""So many in place of another one, the oldest first: till then it goes on with that, and who would be late charges."""
_NO_WISH = Wish()


def plan_all(image: SiteImage, wiring: Wiring, everyone: list[Seen], memory: Memory) -> Mapping[str, Planned]:
    """What holds for each car in mode Plan; narrows ``cap_a`` of those that wait, and says why others charge."""
    cars = [seen for seen in everyone if seen.mode is Mode.PLAN]
    if not cars:
        return NO_PLANS
    crowd = _crowd(wiring, (seen.outlet for seen in cars if _has_to_charge(seen, memory.plans.get(seen.id))))
    every = max(EVERY, -(-len(cars) // LOOKS))
    made = 0
    plans: dict[str, Planned] = {}
    last_plans = memory.plans
    for seen in sorted(cars, key=lambda one: _made_s(last_plans.get(one.id))):
        wish = image.wishes.get(seen.id, _NO_WISH)
        if wish.goal is None:
            _wait(seen, Because("plan-no-goal"))
            continue
        if image.now_at is None:  # nobody knows what time it is: better early than late
            seen.aimed = Because("plan-no-clock")
            continue
        last = last_plans.get(seen.id)
        turn = (image.number + seen.outlet.index) % every == 0
        if last is not None and last.measuring and seen.last_a >= seen.outlet.point.min_a:
            turn = True
        if last is None or turn or last.sight.goal != wish.goal or last.sight.plugged_s != seen.past.plugged_s:
            sight = _sight(wish.goal, wish, seen, last, wiring, crowd)
            planned = follow(
                last,
                sight,
                image.outside,
                image.now_s,
                image.now_at,
                sharers=len(cars),
                may_measure=image.site.measure_cars,
                may_plan=made < (AT_A_TIME if last is None or last.outside is None else ANEW_AT_A_TIME),
            )
            if last is None or planned.schedule is not last.schedule:
                made += 1
        else:
            planned = last
        plans[seen.id] = planned
        if planned.charge:
            seen.aimed = planned.because
        else:
            _wait(seen, planned.because)
    return plans


def _made_s(last: Planned | None) -> float:
    return -math.inf if last is None else last.made_s


def _wait(seen: Seen, because: Because) -> None:
    if seen.cap_a > 0.0:
        seen.cap_a = 0.0
        seen.because = because


def foresee(image: SiteImage, name: str, goal: Goal, wish: Wish) -> Planned | None:
    """What would come of that goal for that charge point, as if its car were there and in mode Plan now.

    While nothing is known of the car it is taken to draw what the box allows. Its times are as if it were alone on its
    circuits; ``shared_wh`` says what it will have beside others with goals. None: before the first decision, or while
    the time is not known.
    """
    memory = image.last_plan.memory if image.last_plan is not None else None
    if not isinstance(memory, Memory) or image.now_at is None:
        return None
    outlet = next((one for one in memory.wiring.outlets if one.point.id == name), None)
    if outlet is None:
        return None
    past = memory.pasts.get(name)
    last = memory.plans.get(name)
    plugged_s = past.plugged_s if past is not None and past.plugged_s is not None else image.now_s
    usual_a = min(outlet.highest_a, image.overrides.get(name, math.inf))
    others = (one for one in memory.wiring.outlets if one.point.id != name)
    crowd = _crowd(memory.wiring, [outlet, *(one for one in others if _works(memory.plans.get(one.point.id)))])
    usual_w, share_w = _powers(outlet, usual_a, memory.wiring, crowd)
    sight = Sight(
        goal,
        needed_wh(goal, wish),
        wish.session_wh,
        plugged_s,
        _power_of(image.readings.get(name, ())),
        last is not None and last.charge,
        usual_w,
        outlet.lowest_a * VOLTS,
        share_w,
    )
    if last is not None and last.sight.plugged_s != plugged_s:
        last = evolve(last, sight=evolve(last.sight, plugged_s=plugged_s), sure=False)
    if last is None or last.learned_w is None:
        last = Planned(sight, image.now_s, image.now_at.timestamp(), learned_w=usual_w, sure=True)
    return follow(last, sight, image.outside, image.now_s, image.now_at, may_measure=image.site.measure_cars)


def _sight(goal: Goal, wish: Wish, seen: Seen, last: Planned | None, wiring: Wiring, crowd: Mapping[int, int]) -> Sight:
    point = seen.outlet.point
    may_a = seen.cap_a if seen.cap_a > 0.0 else seen.outlet.highest_a
    usual_w, share_w = _powers(seen.outlet, may_a, wiring, crowd)
    return Sight(
        goal,
        needed_wh(goal, wish),
        wish.session_wh,
        seen.past.plugged_s if seen.status in (Status.PLUGGED, Status.CHARGING, Status.UNKNOWN) else None,
        _power_of(seen.readings),
        last is not None and last.charge and seen.last_a >= point.min_a,
        usual_w,
        seen.outlet.lowest_a * VOLTS,
        share_w,
        seen.readings[-1].taken_s if seen.readings else None,
    )


def _power_of(readings: tuple[Reading, ...]) -> float | None:
    """What the newest reading says, by its power or its currents."""
    if not readings:
        return None
    newest = readings[-1]
    if newest.power_w is not None and math.isfinite(newest.power_w):
        return max(0.0, newest.power_w)
    amps = [one for one in map(plausible, newest.current_a) if one is not None]
    return max(0.0, sum(amps) * VOLTS) if amps else None


def _has_to_charge(seen: Seen, last: Planned | None) -> bool:
    return seen.past.plugged_s is not None and (last is None or last.because.code != "plan-reached")


def _works(last: Planned | None) -> bool:
    """Whether a car is there whose goal is not reached."""
    return last is not None and last.sight.plugged_s is not None and last.because.code not in ("no-car", "plan-reached")


def _crowd(wiring: Wiring, outlets: Iterable[Outlet]) -> dict[int, int]:
    """How many of them are below each circuit."""
    count: dict[int, int] = {}
    for outlet in outlets:
        at = outlet.circuit
        while at >= 0:
            count[at] = count.get(at, 0) + 1
            at = wiring.parents[at]
    return count


def _powers(outlet: Outlet, may_a: float, wiring: Wiring, crowd: Mapping[int, int]) -> tuple[float, float]:
    """What its car would draw at most by box and circuits, and what while all that have goals charge beside it.

    Phases that control has learned do not count here: they are forgotten at each pause, and plans must not be.
    """
    most_a = share_a = min(may_a, outlet.highest_a)
    most_w = share_w = outlet.point.max_w if outlet.point.max_w is not None else math.inf
    at = outlet.circuit
    while at >= 0:
        circuit = wiring.circuits[at]
        cars = max(1, crowd.get(at, 1))
        for limits in (circuit.limit_a, circuit.charging_limit_a):
            if limits is not None:
                room_a = min(limits[phase] - circuit.reserve_a for phase in PHASES if outlet.bits >> phase & 1)
                most_a, share_a = min(most_a, room_a), min(share_a, room_a / cars)
        for limit_w in (circuit.limit_w, circuit.charging_limit_w):
            if limit_w is not None:
                most_w, share_w = min(most_w, limit_w), min(share_w, limit_w / cars)
        at = wiring.parents[at]
    phases = outlet.bits.bit_count()
    usual_w = max(0.0, min(most_a * VOLTS * phases, most_w))
    least_w = min(usual_w, outlet.lowest_a * VOLTS)
    return usual_w, min(usual_w, max(least_w, min(share_a * VOLTS * phases, share_w)))
