"""Mode Plan for one car: charge now or wait, so that the goal is reached in time, as cheaply or greenly as possible.

``follow`` is called each cycle, and is pure like all of control. It makes a new schedule when a price slot begins, when
prices, forecast, goal or the wall clock change, and when charging goes faster or slower than it was planned. Whatever
the schedule says, a car that would be late otherwise charges now.

How much a car takes is not known before it has charged. Until then the least that any car takes is counted, so that a
car whose goal might be at risk charges for some seconds at once, is measured, and waits if there is time. Where it
matters for the cost alone, ``measuring`` says when it charges for some seconds to be measured.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from attrs import evolve, field, frozen

from charging_manager.control.goals import deadline
from charging_manager.control.measuring import when_to_measure
from charging_manager.control.schedule import TOLERANCE, Run, Schedule, cheapest, least_cost
from charging_manager.control.stretches import Stretch, Times, cost_at, times
from charging_manager.model.goal import Goal, Prefer
from charging_manager.model.outside import Outside
from charging_manager.model.plan import Because

MARGIN_S = 60.0
MARGIN_PART, MARGIN_UNSURE = 0.004, 0.01
"""A goal is aimed at so much before its time: this, and a part of the charging time, the larger till it is measured."""
MARGIN_COST = 0.002
"""Where that costs more than so much of the whole, it is less,"""
LEAST_MARGIN_S, LEAST_MARGIN_PART = 10.0, 0.0005
"""but so much always."""
START_S = 15.0
"""A car needs so long to begin,"""
START_SURE_S = 8.0
"""or so long, when it has been seen to."""
MEASURED_AFTER_S, STEADY_S, STEADY = 10.0, 3.0, 0.02
"""What a car draws counts when it has charged for so long, and for so long within so much of it,"""
MEASURED_AT_LAST_S = 20.0
"""or when it has charged for so long,"""
MEASURED_OVER_S = 60.0
"""and is a mean of about so long from then on."""
MEASURE_MOST_S = 90.0
"""A car that shows nothing when it may charge for so long is not measured before its time comes."""
POWERS, PARTS = 5, (0.8, 0.9, 1.0)
"""When to measure is worked out for so many powers of a car that was never seen, or for these of what it drew last."""
LIKELY = 0.8
"""So much of what a car drew the last time counts when the time is short, until this one is measured."""
OFF_BY_WH, OFF_BY_PART, OTHER_POWER = 150.0, 0.03, 0.03
"""A new schedule is made when energy or power differ by more."""
CLOCK_JUMP_S = 30.0
REACHED_WH = 5.0


@frozen
class Sight:
    """What there is to know of a car with a goal, now."""

    goal: Goal
    need_wh: float | None
    """None: a state of charge is wanted that nobody tells."""
    done_wh: float
    """Since plug-in."""
    plugged_s: float | None
    """When it was plugged in (monotonic); None: no car."""
    power_w: float | None
    """What it draws now, None: not known."""
    allowed: bool
    """It may charge since the last cycle, as far as we are concerned."""
    usual_w: float
    """What it would draw at most by what box and circuits allow."""
    least_w: float
    """At the minimum current on one phase: no car takes less."""
    share_w: float = math.inf
    """What is left for it while all cars with goals charge beside it."""
    read_s: float | None = None
    """When ``power_w`` was read (monotonic); None: now."""


@frozen
class Planned:
    """What is decided for one car, and what is remembered until the next cycle."""

    sight: Sight
    now_s: float
    """Monotonic."""
    clock_s: float
    """The wall clock at the same time, POSIX seconds."""
    charge: bool = False
    because: Because = field(factory=lambda: Because("plan-no-goal"))
    deadline_s: float | None = None
    """POSIX seconds."""
    late: bool = False
    """The deadline went by; it charges on until the goal is reached."""
    schedule: Schedule = field(factory=Schedule)
    by: Prefer = Prefer.CHEAP
    unknown_s: float = 0.0
    """For how long prices were not known when it was made."""
    made_s: float = -math.inf
    """When it was made (monotonic)."""
    new_at_s: float = 0.0
    """When the next schedule is due at the latest (wall clock)."""
    planned_w: float = 0.0
    """The power that the schedule counts with,"""
    planned_sure: bool = False
    """which was measured since plug-in."""
    learned_w: float | None = None
    """What the car drew here, measured."""
    sure: bool = False
    """It was measured since plug-in."""
    on_s: float | None = None
    """Since when it charges (monotonic)."""
    steady_w: float = 0.0
    """It draws about this"""
    steady_s: float = math.inf
    """since then (monotonic)."""
    measure_s: float | None = None
    """When it is to be measured at the earliest (wall clock)."""
    apart: bool = False
    """Its times come later."""
    tried_s: float = 0.0
    """For how long it might have shown something to be measured."""
    since_s: float = field()
    """Since when the goal is worked for (wall clock),"""
    since_wh: float = field()
    """and what it had then."""
    paid: float = 0.0
    """What has been charged since then has cost, by what slots are chosen by."""
    whole_cost: float | None = None
    """Of the cheapest schedule from then on, by what is known now; None: none yet."""
    wary: float = 1.0
    """So much of the margin is affordable: 1 is all of it."""
    outside: Outside | None = field(default=None, eq=False, repr=False)
    """By what the schedule was made."""

    @since_s.default
    def _from_now_on(self) -> float:
        return self.clock_s

    @since_wh.default
    def _from_this(self) -> float:
        return self.sight.done_wh

    @property
    def power_w(self) -> float:
        """What to count with."""
        if self.learned_w is not None:
            return min(self.learned_w, self.sight.usual_w) if not self.sure else self.learned_w
        return min(self.sight.least_w, self.sight.usual_w)

    @property
    def measuring(self) -> bool:
        """It is to charge, and what it takes is not known yet: once it does, each cycle is looked at."""
        return self.charge and not self.sure and self.tried_s < MEASURE_MOST_S

    def reach_wh(self) -> float:
        """What it will have by the deadline if it charges from now on: by the most that is likely, and alone."""
        return self._reach_wh(math.inf)

    def shared_wh(self) -> float:
        """The same if all that have goals on its circuits charge all the time; it is more when one is done before."""
        return self._reach_wh(self.sight.share_w)

    def _reach_wh(self, most_w: float) -> float:
        if self.deadline_s is None or self.late:
            return self.sight.done_wh
        power_w = self.learned_w if self.sure and self.learned_w is not None else self.sight.usual_w
        start_s = 0.0 if self.on_s is not None and self.sure else _start_s(self)
        return self.sight.done_wh + min(power_w, most_w) * max(0.0, self.deadline_s - self.clock_s - start_s) / 3600.0

    @property
    def runs(self) -> tuple[Run, ...]:
        """When it will charge, as things stand."""
        need = self.sight.need_wh
        waits = not self.charge or self.because.code == "plan-measures"
        if waits or need is None or self.schedule.holds(self.clock_s) is not None:
            return self.schedule.runs
        power_w = self.power_w if self.sure else self.sight.usual_w
        return (Run(self.clock_s, self.clock_s + START_S + need / max(1.0, power_w) * 3600.0),)

    @property
    def feasible(self) -> bool | None:
        """Whether it will be ready in time, by the most that is likely; None: nobody can say."""
        need = self.sight.need_wh
        if need is None or (self.deadline_s is None and not self.late and need > 0.0):
            return None
        return need <= REACHED_WH or (not self.late and self.sight.done_wh + need <= self.reach_wh() + REACHED_WH)


def follow(
    last: Planned | None,
    sight: Sight,
    outside: Outside,
    now_s: float,
    now_at: datetime,
    *,
    sharers: int = 1,
    may_plan: bool = True,
    may_measure: bool = True,
) -> Planned:
    """The decision of this cycle. ``sharers``: so many cars share the sun; ``may_plan``: there is time for a schedule;
    ``may_measure``: it may charge before its times to be measured.

    ``now_at`` is local time of the site.
    """
    clock_s = now_at.timestamp()
    state = _taken_up(last, sight, now_s, clock_s)
    if last is not None:
        state = _measured(state, now_s, last.now_s)
        state = _paid(state, outside, now_s - last.now_s)
    if sight.plugged_s is None:
        return evolve(state, charge=False, because=Because("no-car"))
    if state.late or state.deadline_s is None:
        if not state.late:
            due = deadline(sight.goal, now_at)
            state = evolve(state, deadline_s=due.timestamp() if due is not None else None, new_at_s=0.0)
    elif clock_s >= state.deadline_s:
        over = sight.need_wh is not None and sight.need_wh <= REACHED_WH
        due = deadline(sight.goal, now_at) if over else None
        state = evolve(state, late=not over, deadline_s=due.timestamp() if due else state.deadline_s, new_at_s=0.0)
    if not may_measure and state.measure_s is not None:
        state = evolve(state, measure_s=None, apart=False)
    return _decided(state, outside, now_at, sharers, may_plan, may_measure)


def _taken_up(last: Planned | None, sight: Sight, now_s: float, clock_s: float) -> Planned:
    """The state of the last cycle, as far as it still holds."""
    anew = Planned(sight, now_s, clock_s)
    if last is None:
        return anew
    if sight.plugged_s != last.sight.plugged_s or sight.plugged_s is None:  # another car, or the same on another day
        return evolve(anew, learned_w=last.learned_w)
    jumped = abs((clock_s - last.clock_s) - (now_s - last.now_s)) > CLOCK_JUMP_S
    if jumped or sight.goal != last.sight.goal:
        return evolve(
            anew,
            charge=last.charge,
            because=last.because,
            learned_w=last.learned_w,
            sure=last.sure,
            on_s=last.on_s,
            steady_w=last.steady_w,
            steady_s=last.steady_s,
            tried_s=last.tried_s,
        )
    return evolve(last, sight=sight, now_s=now_s, clock_s=clock_s)


def _measured(state: Planned, now_s: float, last_s: float) -> Planned:
    """Learn what the car takes, while it charges."""
    sight = state.sight
    if not sight.allowed or sight.power_w is None or sight.power_w < 0.5 * sight.least_w:
        tried_s = state.tried_s + (max(0.0, now_s - last_s) if sight.allowed and not state.sure else 0.0)
        return state if state.on_s is None and not sight.allowed else evolve(state, on_s=None, tried_s=tried_s)
    if state.on_s is None:
        return evolve(state, on_s=now_s, steady_w=sight.power_w, steady_s=now_s)
    if state.sure and state.learned_w is not None:
        part = min(1.0, max(0.0, now_s - last_s) / MEASURED_OVER_S)
        return evolve(state, learned_w=state.learned_w + (sight.power_w - state.learned_w) * part)
    read_s = now_s if sight.read_s is None else sight.read_s
    if abs(sight.power_w - state.steady_w) > STEADY * state.steady_w:
        state = evolve(state, steady_w=sight.power_w, steady_s=read_s)
    on_s, steady_s = read_s - (state.on_s or 0.0), read_s - state.steady_s
    if (on_s >= MEASURED_AFTER_S and steady_s >= STEADY_S) or on_s >= MEASURED_AT_LAST_S:
        return evolve(state, learned_w=sight.power_w, sure=True, measure_s=None)
    return state


def _paid(state: Planned, outside: Outside, for_s: float) -> Planned:
    power_w = state.sight.power_w
    if state.on_s is None or not power_w:
        return state
    cost = cost_at(outside, state.clock_s, state.by)
    return evolve(state, paid=state.paid + cost * power_w * max(0.0, for_s) / 3.6e6)


def _decided(
    state: Planned, outside: Outside, now_at: datetime, sharers: int, may_plan: bool, may_measure: bool
) -> Planned:
    sight = state.sight
    if sight.need_wh is None:
        return evolve(state, charge=True, because=Because("plan-no-soc"))
    if sight.need_wh <= REACHED_WH:
        return evolve(state, charge=False, because=Because("plan-reached"))
    if state.late and state.deadline_s is not None:
        return evolve(state, charge=True, because=Because("plan-late", {"time": _clock(state.deadline_s, now_at)}))
    if state.deadline_s is None:
        return evolve(state, charge=False, because=Because("plan-no-goal"))
    due = {"time": _clock(state.deadline_s, now_at)}
    if not state.feasible:
        kwh = round(state.reach_wh() / 1000.0, 1)
        return evolve(state, charge=True, because=Because("goal-not-in-time", {"kwh": kwh, **due}), new_at_s=0.0)
    if _urgent(state):
        return evolve(state, charge=True, because=Because("plan-must", due), new_at_s=0.0)
    if may_plan:
        state = _planned(state, outside, sharers, may_measure)
    elif state.outside is None:
        return evolve(state, charge=False, because=Because("plan-soon"))
    tries = state.measure_s is not None and state.tried_s < MEASURE_MOST_S
    begin_s = state.measure_s if tries and state.measure_s is not None else -math.inf
    run = state.schedule.holds(state.clock_s) if state.clock_s >= begin_s else None
    measures = math.isfinite(begin_s) and state.clock_s >= begin_s and outside.dimming is None
    if measures and (run is None or state.apart):
        return evolve(state, charge=True, because=Because("plan-measures"))
    if run is not None:
        return evolve(state, charge=True, because=_why_now(state, outside, run.end_s, now_at))
    next_s = begin_s if state.clock_s < begin_s else state.schedule.next_start_s(state.clock_s)
    if next_s is None:
        return evolve(state, charge=False, because=Because("plan-sun", due))
    code = "plan-waits" if state.by is Prefer.CHEAP else "plan-waits-green"
    return evolve(state, charge=False, because=Because(code, {"time": _clock(next_s, now_at)}))


def margin_s(need_s: float, sure: bool, wary: float = 1.0) -> float:
    """So long before its time is a goal aimed at."""
    whole_s = MARGIN_S + (MARGIN_PART if sure else MARGIN_UNSURE) * need_s
    least_s = LEAST_MARGIN_S + LEAST_MARGIN_PART * need_s
    return least_s + wary * (whole_s - least_s)


def _urgent(state: Planned) -> bool:
    """Whether it must charge now to be in time for sure. Who charges for that reason goes on until there is room."""
    need = state.sight.need_wh or 0.0
    sure = LIKELY if state.learned_w is not None and not state.sure else 1.0
    need_s = need / max(1.0, min(state.power_w * sure, state.sight.share_w)) * 3600.0
    left_s = (state.deadline_s or 0.0) - state.clock_s
    margin = margin_s(need_s, state.sure, state.wary)
    room_s = margin if state.charge and state.because.code == "plan-must" else 0.0
    return need_s + _start_s(state) + margin + room_s >= left_s


def _start_s(state: Planned) -> float:
    return START_SURE_S if state.sure else START_S


def _planned(state: Planned, outside: Outside, sharers: int, may_measure: bool) -> Planned:
    """With a schedule that fits what is known now."""
    need = state.sight.need_wh or 0.0
    power_w, now_s = max(1.0, state.power_w), state.clock_s
    left_wh = state.schedule.left_s(now_s) * state.planned_w / 3600.0 + state.schedule.sun_wh
    if (
        now_s < state.new_at_s
        and state.outside is not None
        and state.outside.prices is outside.prices
        and state.outside.sun is outside.sun
        and abs(power_w - state.planned_w) <= OTHER_POWER * state.planned_w
        and state.sure == state.planned_sure
        and need - left_wh <= OFF_BY_WH + OFF_BY_PART * need
    ):
        return state
    news = (
        state.whole_cost is None
        or state.outside is None
        or state.outside.prices is not outside.prices
        or state.sure != state.planned_sure
        or abs(power_w - state.planned_w) > OTHER_POWER * state.planned_w
    )
    if news:
        state = _valued(state, outside, sharers, power_w)
    whole = state.whole_cost or 0.0
    until_s = (state.deadline_s or now_s) - margin_s(need / power_w * 3600.0, state.sure, state.wary)
    known = times(outside, now_s, until_s, state.sight.goal.prefer)
    stretches = _shared(known, sharers)
    schedule = cheapest(
        stretches,
        need + power_w * _start_s(state) / 3600.0,
        power_w,
        least_w=state.sight.least_w,
        charging=state.charge and state.on_s is not None,
        at_most=whole + TOLERANCE * abs(whole) - state.paid if state.sure else None,
    )
    state = evolve(
        state,
        schedule=schedule,
        made_s=state.now_s,
        by=known.by,
        unknown_s=known.unknown_s,
        new_at_s=known.stretches[0].end_s if known.stretches else now_s,
        planned_w=power_w,
        planned_sure=state.sure,
        outside=outside,
    )
    return _to_be_measured(state, stretches) if news and may_measure and not state.sure else state


def _valued(state: Planned, outside: Outside, sharers: int, power_w: float) -> Planned:
    """With what all of it costs at the least, from the beginning on, and the margin that may be had for that."""
    need, sight, due_s = state.sight.need_wh or 0.0, state.sight, state.deadline_s or state.clock_s
    since = _shared(times(outside, state.since_s, due_s, sight.goal.prefer), sharers)
    all_wh = need + max(0.0, sight.done_wh - state.since_wh)
    whole = least_cost(since, all_wh, power_w, least_w=sight.least_w)
    need_s = need / power_w * 3600.0
    margins = [margin_s(need_s, state.sure, wary) for wary in (0.0, 1.0)]
    ahead = (_shared(times(outside, state.clock_s, due_s - one, sight.goal.prefer), sharers) for one in margins)
    least, most = (least_cost(one, need, power_w, least_w=sight.least_w) for one in ahead)
    may = MARGIN_COST * abs(whole)
    return evolve(state, whole_cost=whole, wary=1.0 if most - least <= may else may / (most - least))


def _to_be_measured(state: Planned, stretches: tuple[Stretch, ...]) -> Planned:
    """With the time for it."""
    need, sight = state.sight.need_wh or 0.0, state.sight
    most_w = sight.usual_w if state.learned_w is None else min(state.learned_w, sight.usual_w)
    first = cheapest(stretches, need, most_w, least_w=sight.least_w).runs if most_w > sight.least_w else ()
    if not first:
        return evolve(state, measure_s=None, apart=False)
    if state.learned_w is None:
        powers = [sight.least_w * (most_w / sight.least_w) ** (n / (POWERS - 1)) for n in range(POWERS)]
    else:
        powers = [most_w * part for part in PARTS]
    at_s = when_to_measure(stretches, need, powers, first[0].start_s)
    return evolve(state, measure_s=at_s, apart=at_s is not None and at_s < first[0].start_s)


def _shared(known: Times, sharers: int) -> tuple[Stretch, ...]:
    """The sun is for several cars."""
    if sharers < 2:
        return known.stretches
    return tuple(evolve(one, spare_w=one.spare_w / sharers) if one.spare_w else one for one in known.stretches)


def _why_now(state: Planned, outside: Outside, end_s: float, now_at: datetime) -> Because:
    fields = {"time": _clock(end_s, now_at)}
    slot = next((one for one in outside.prices.slots if one.start_at <= now_at < one.end_at), None)
    if slot is None:
        return Because("plan-no-prices", {"time": _clock(state.deadline_s or end_s, now_at)})
    if state.by is Prefer.GREEN and slot.co2_g is not None:
        return Because("plan-green", {"grams": round(slot.co2_g), **fields})
    price = round(slot.price, 4)
    return Because("plan-cheap", {"price": price, "currency": outside.prices.currency, **fields})


def _clock(at_s: float, now_at: datetime) -> str:
    """A time of the day, or with its day where that is not clear."""
    at = datetime.fromtimestamp(at_s, now_at.tzinfo or UTC)
    return f"{at:%H:%M}" if at_s - now_at.timestamp() < 20 * 3600 else f"{at:%Y-%m-%d %H:%M}"
