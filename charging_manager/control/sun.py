"""Cars that follow the sun: when they start, how much they get, how long they go on without, when they pause.

``follow_the_sun`` narrows ``cap_a`` of the cars it is given: what circuits allow is looked at afterwards. It is for the
modes Solar only and Minimum + solar, and for mode Plan outside its chosen times.

Cars stand in a fixed order: priority, then who was plugged in first. Who charges keeps its minimum in its grace;
what is left over goes to the first as far as it can use it, then to the next. A car is *short* when those before it
leave it less than its minimum. So the second starts when the first has all it can use, and nobody swings.

*Solar only* takes from the grid only what passing clouds cost. Each car keeps an account of it beside what it charged:
the more of ``SolarSettings.grid_pct`` is used up, the longer must the sun have lasted before more of it is taken, and
when all is used up grace ends. Every start makes the next one wait twice as long for lasting sun.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from attrs import evolve, frozen

from charging_manager.control.follower import Follower, affordable, three_after_s, worn
from charging_manager.control.instants import Instants
from charging_manager.control.phases import bring, can_switch, learn, patience
from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen
from charging_manager.control.sunmemory import SunMemory, SunPast, Surplus
from charging_manager.control.sunwords import say_why
from charging_manager.control.surplus import drawn_w, told_a
from charging_manager.control.wiring import floor_step
from charging_manager.model.plan import SiteImage

ANEW = SunPast()
SHORT_W = 50.0
"""Nobody is short of less than this."""
SHORT_S = 5.0
"""When an account is used up, so long may a lack last all the same: one reading may be wrong."""
LONGEST_S = 10.0
"""No longer than this is anything counted between two decisions."""


@frozen
class Followed:
    """What comes of it."""

    pasts: Mapping[str, SunPast]
    switches: Mapping[str, int]
    beyond: bool
    """A car that follows the sun takes more than it leaves, because it shall have its minimum."""


def follow_the_sun(
    image: SiteImage,
    cars: Sequence[Seen],
    memory: SunMemory,
    surplus: Surplus,
    instants: Instants,
    rules: Rules,
    *,
    has_meter: bool = True,
    storage_first: bool = False,
) -> Followed:
    """Narrow the caps of these cars; what is remembered of each."""
    now, site = image.now_s, image.site
    pasts: dict[str, SunPast] = {}
    line: list[Follower] = []
    for seen in cars:
        past = memory.pasts.get(seen.id, ANEW)
        if seen.past.plugged_s is None and not seen.silent:
            continue
        seen.phases_told = past.phases
        if seen.cap_a <= 0.0 or seen.silent:
            pasts[seen.id] = past if seen.silent or seen.unsure else evolve(past, on=False, short_s=None)
            continue
        obedience = image.obedience.get(seen.id)
        past = patience(seen, learn(seen, past, obedience), now, rules)
        line.append(Follower(seen, past, seen.outlet.point.solar or site.solar, obedience))
    line.sort(key=lambda car: (-car.seen.priority, car.seen.past.plugged_s or now, car.seen.outlet.index))
    _account(line, surplus, memory, now, max(0.0, site.solar.import_w))
    now_w = None
    if surplus.power_w is not None:
        now_w = surplus.power_w - surplus.falls_w_per_s * rules.sun_ahead_s

    switches = dict(memory.switches)
    taken_w = sum(car.minimum_w for car in line if not car.alone)
    for car in line:
        car.before_w = taken_w if car.alone else taken_w - car.minimum_w
        _turn_on_or_off(car, surplus, now_w, now, site.unbalance_a, rules)
        _bring(car, switches, now, rules)
        if car.past.on and not car.idle(now):
            taken_w = car.before_w + (car.minimum_w if car.past.short_s is not None else car.top_w)
    _hand_out([car for car in line if car.past.on and not car.switching], surplus, now_w, now, rules)
    beyond = False
    for car in line:
        seen = car.seen
        pasts[seen.id] = car.past
        say_why(car, surplus, now_w, now, instants, rules, has_meter=has_meter, storage_first=storage_first)
        if not car.past.on:
            seen.cap_a = 0.0
        elif not car.switching:
            seen.cap_a = min(car.target_a, seen.cap_a)  # in this order: NaN is no cap
            short = now_w is None or now_w - car.before_w < car.minimum_w - SHORT_W
            beyond = beyond or (short and not car.alone and max(seen.measured_a) >= 1.0)
    return Followed(pasts, switches, beyond)


def _account(line: Sequence[Follower], surplus: Surplus, memory: SunMemory, now: float, wanted_w: float) -> None:
    """Note what each car charged since the last decision, and how much of it came from the grid."""
    if memory.decided_s is None:
        return
    hours = min(LONGEST_S, max(0.0, now - memory.decided_s)) / 3600.0
    drawn = [(car, _draws(car)) for car in line if car.alone]
    total = sum(watts for _, watts in drawn)
    if total <= 0.0:
        return
    wanted_w += sum(car.minimum_w for car in line if not car.alone)
    grid = total if surplus.foreign_w is None else min(total, max(0.0, surplus.foreign_w - wanted_w))
    for car, watts in drawn:
        if watts > 0.0:
            past = car.past
            car.past = evolve(
                past,
                charged_wh=past.charged_wh + watts * hours,
                grid_wh=past.grid_wh + grid * watts / total * hours,
            )


def _draws(car: Follower) -> float:
    known = drawn_w(car.seen.readings[-1]) if car.seen.readings else None
    return told_a(car.seen) * car.per_a if known is None else known


def _turn_on_or_off(
    car: Follower, surplus: Surplus, now_w: float | None, now: float, unbalance_a: float | None, rules: Rules
) -> None:
    """Whether it may charge, and on how many phases it wants to."""
    past, settings, seen = car.past, car.settings, car.seen
    switchable = can_switch(seen, car.obedience) and not past.fixed
    boxed = car.obedience.phases if car.obedience is not None else None
    if switchable:
        three_w = car.before_w + _worth_three(car, unbalance_a)
        enough = surplus.power_w is not None and surplus.lows.lasted_s(now, three_w) >= three_after_s(
            car, surplus, rules
        )
        enough = enough and affordable(car, surplus, 3, rules)
        if not past.on and car.alone:
            car.past = evolve(past, chosen=settings.phases or (3 if enough else 1))
        elif past.switch_s is None:
            car.past = _other_phases(car, boxed, enough, now_w, now, rules)
        if car.past.chosen is not None and car.past.chosen != boxed:
            car.sized(car.past.chosen)
    if not car.past.on and not car.alone:
        car.past = evolve(car.past, on=True, stopped_s=None)
    if car.past.on:
        _go_on(car, surplus, now_w, now, rules)
    else:
        _start(car, surplus, now, rules)


def _worth_three(car: Follower, unbalance_a: float | None) -> float:
    """From so much on three phases are worth a switch: they can be kept, and one could not take it all."""
    one_a = car.seen.cap_a if unbalance_a is None else min(car.seen.cap_a, max(unbalance_a, 0.0))
    least_a = max(car.settings.start_a, car.seen.outlet.lowest_a)
    return max(3.0 * least_a, min(one_a, 6.0 * least_a)) * car.unit_w


def _other_phases(
    car: Follower, boxed: int | None, enough: bool, now_w: float | None, now: float, rules: Rules
) -> SunPast:
    """From three phases to one when there is too little for three, from one to three when there has been enough."""
    past = car.past
    if car.settings.phases is not None or boxed not in (1, 3):
        return evolve(past, chosen=car.settings.phases or past.chosen or 1)
    if boxed == 3:
        short = now_w is None or now_w - car.before_w < car.minimum_w - SHORT_W
        lasted_s = now - past.short_s if short and past.short_s is not None else 0.0
        if lasted_s >= rules.one_after_s or (lasted_s >= SHORT_S and car.spent(rules) >= 1.0):
            return evolve(past, chosen=1, short_s=None, starts_s=(*past.starts_s, now))
    elif enough and now - past.switched_s >= rules.phases_every_s * worn(past, now, rules) and car.spent(rules) < 1.0:
        return evolve(past, chosen=3, starts_s=(*past.starts_s, now))
    return evolve(past, chosen=boxed)


def _start(car: Follower, surplus: Surplus, now: float, rules: Rules) -> None:
    """Start it when there has been enough for long enough, and its pause is over."""
    past, settings = car.past, car.settings
    three = round(car.per_a / car.unit_w) == 3
    car.wait_s = max(settings.start_after_s, three_after_s(car, surplus, rules) if three else 0.0)
    car.waits_w = max(settings.start_a * car.per_a, car.minimum_w)
    car.rest_s = rules.pause_s * worn(past, now, rules)
    if surplus.power_w is None or (past.stopped_s is not None and now - past.stopped_s < car.rest_s):
        return
    needed_w = car.before_w + car.waits_w
    car.affordable = affordable(car, surplus, round(car.per_a / car.unit_w), rules)
    if car.affordable and surplus.power_w >= needed_w and surplus.lows.lasted_s(now, needed_w) >= car.wait_s:
        starts_s = tuple(at_s for at_s in past.starts_s if now - at_s < rules.sun_forget_s)
        car.past = evolve(past, on=True, short_s=None, stopped_s=None, starts_s=(*starts_s, now))


def _go_on(car: Follower, surplus: Surplus, now_w: float | None, now: float, rules: Rules) -> None:
    """Note since when it is short; pause it when its grace is over, or its account used up."""
    past = car.past
    if now_w is None or now_w - car.before_w < car.minimum_w - SHORT_W:
        since_s = now if past.short_s is None else past.short_s
        over = now - since_s >= car.settings.grace_s
        over = over or (now - since_s >= SHORT_S and car.spent(rules) >= 1.0)
        if over and car.alone and past.switch_s is None:
            car.past = evolve(past, on=False, short_s=None, stopped_s=now)
        elif past.short_s is None:
            car.past = evolve(past, short_s=since_s)
    elif past.short_s is not None and now - past.short_s >= SHORT_S:
        needs_w = car.before_w + car.minimum_w - SHORT_W
        if surplus.lows.lasted_s(now, needs_w) >= rules.sun_rest_s:
            car.past = evolve(past, short_s=None)


def _bring(car: Follower, switches: dict[str, int], now: float, rules: Rules) -> None:
    """One step towards the phases that were chosen."""
    if car.obedience is None or not can_switch(car.seen, car.obedience) or not car.past.on:
        return
    want = car.past.chosen if car.past.chosen and not car.past.fixed else car.obedience.phases or 3
    car.past, car.switching, done = bring(car.seen, car.past, car.obedience, want, now, rules)
    if done:
        switches[car.seen.id] = switches.get(car.seen.id, 0) + 1


def _hand_out(line: Sequence[Follower], surplus: Surplus, now_w: float | None, now: float, rules: Rules) -> None:
    """Everybody's minimum first, then to each in order what it can use of the rest."""
    minimums_w = sum(car.minimum_w for car in line if not car.idle(now))
    used_w = minimums_w
    for car in line:
        seen, lowest = car.seen, car.seen.outlet.lowest_a
        car.target_a = lowest
        if now_w is None or car.idle(now):
            continue
        step, last = seen.outlet.point.step_a, seen.last_a
        wary = min(1.0, max(0.0, car.spent(rules) - 0.25) / 0.75)
        window_s = rules.sun_rise_s + wary * (rules.sun_wary_s - rules.sun_rise_s)
        lasting_w = surplus.lows.lowest(now, window_s) - rules.sun_margin_w
        keep_a = floor_step((now_w - used_w + car.minimum_w) / car.per_a, step)
        rise_a = (
            min(keep_a, floor_step((lasting_w - used_w + car.minimum_w) / car.per_a, step))
            if (lasting_w > -math.inf)
            else lowest
        )
        if last <= 0.0 or last > keep_a:
            target = rise_a if last <= 0.0 else keep_a
        else:
            target = rise_a if rise_a >= last + max(step, 0.5) else last
        car.target_a = max(lowest, min(target, seen.cap_a))
        used_w += (car.target_a - lowest) * car.per_a
