"""What every line (a circuit's phase) can still give to charging.

A line gives its limit, less reserve, less what it is lowered by after an overdraft, less house load. House load is
measured where the circuit has a meter; without one it is what the circuits below it draw beside charging, and what
meters of house load alone show. A circuit without any meter is a feeder for charging: nothing else is on it.
A circuit whose meter is silent gives ``fallback_a`` to all charging below it, and counts as full in its parent.
There are further lines for unbalance, and in ``power`` for feeders and power limits; ``breaker`` knows what one bears.
"""

from __future__ import annotations

import math

from charging_manager.control.breaker import watch as watch_breaker
from charging_manager.control.house import Charging, believe
from charging_manager.control.lines import Lines, up_the_tree
from charging_manager.control.memory import House, Memory, Overdraft, Watch
from charging_manager.control.meters import good_readings, see_frozen, watch_meter
from charging_manager.control.power import add_feeders, add_powers
from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen, keep
from charging_manager.control.wiring import ALL, Wiring
from charging_manager.model.plan import SiteImage
from charging_manager.model.units import PhaseAmps

__all__ = ["Lines", "up_the_tree", "weigh"]

UNSEEN = Watch()


def weigh(
    image: SiteImage, wiring: Wiring, everyone: list[Seen], memory: Memory, rules: Rules
) -> tuple[Lines, dict[str, Watch], dict[str, House]]:
    """Every line now, and what to remember of meters and house loads."""
    count = 3 * len(wiring.circuits)
    worst, fixed, measured, steady, slack = ([0.0] * count for _ in range(5))
    steady_before_s = image.now_s - 3.0 * rules.lag_s - 1.0
    changing: list[list[Seen]] = [[] for _ in wiring.circuits]
    drawing = [0] * len(wiring.circuits)
    read_s = [math.inf] * len(wiring.circuits)
    shown_s = [math.inf] * len(wiring.circuits)
    unbalanced = [0.0, 0.0, 0.0]
    for seen in everyone:
        outlet = seen.outlet
        if outlet.point.out_of_service:
            continue
        at = 3 * outlet.circuit
        one, two, three = seen.worst_a
        worst[at] += one
        worst[at + 1] += two
        worst[at + 2] += three
        if seen.silent:
            fixed[at] += one
            fixed[at + 1] += two
            fixed[at + 2] += three
            for above in wiring.metered_above[outlet.circuit]:
                changing[above].append(seen)
            continue
        if seen.readings and seen.readings[-1].taken_s < shown_s[outlet.circuit]:
            shown_s[outlet.circuit] = seen.readings[-1].taken_s
        one, two, three = seen.measured_a
        if one or two or three:
            measured[at] += one
            measured[at + 1] += two
            measured[at + 2] += three
            drawing[outlet.circuit] += 1
        if seen.bits != ALL or seen.excess_a:
            keep(seen, fixed, at)
        if seen.bits != ALL:
            unbalanced[0] += one
            unbalanced[1] += two
            unbalanced[2] += three
        if (
            seen.readings
            and seen.past.steady_s <= steady_before_s
            and seen.past.steady_s <= _last_but_one_s(seen) - rules.lag_s
        ):
            if one or two or three:
                steady[at] += one
                steady[at + 1] += two
                steady[at + 2] += three
            elif seen.told_a <= 0.0:
                continue
            taken_s = seen.readings[-1].taken_s
            if taken_s < read_s[outlet.circuit]:
                read_s[outlet.circuit] = taken_s
            told = seen.told_a
            if outlet.bits & 1 and told > one:
                slack[at] += told - one
            if outlet.bits & 2 and told > two:
                slack[at + 1] += told - two
            if outlet.bits & 4 and told > three:
                slack[at + 2] += told - three
        else:
            for above in wiring.metered_above[outlet.circuit]:
                changing[above].append(seen)
    for values in (worst, fixed, measured, steady, slack):
        up_the_tree(values, wiring)
    for circuit in range(len(read_s) - 1, 0, -1):
        parent = wiring.parents[circuit]
        read_s[parent] = min(read_s[parent], read_s[circuit])
        shown_s[parent] = min(shown_s[parent], shown_s[circuit])
        drawing[parent] += drawing[circuit]
    charging = [
        Charging(
            steady[at : at + 3],
            slack[at : at + 3],
            read_s[at // 3],
            changing[at // 3],
            min(rules.jitter_a, rules.loose_a * drawing[at // 3]),
        )
        for at in range(0, count, 3)
    ]
    lines = Lines()
    lines.first, lines.heats, lines.volts = {}, {}, {}
    lines.powers, lines.powers_rise = [], []
    lines.worst = worst
    watches = _watch_all(image, wiring, memory, measured, shown_s, rules)
    houses = _houses(image, wiring, memory, watches, lines, measured, charging, rules)
    _limits(image.now_s, wiring, memory, lines, rules)
    lines.room = [a - h - f for a, h, f in zip(lines.allowed, lines.house, fixed, strict=True)]
    if lines.firm is not lines.allowed:
        _hold(everyone, wiring, lines, fixed)
    lines.jitter = [
        j + max(0.0, high - low) for j, high, low in zip(lines.jitter, lines.house_high, lines.house, strict=True)
    ]
    lines.rise = [a - h - w for a, h, w in zip(lines.firm, lines.house_high, worst, strict=True)]
    if wiring.site.unbalance_a is not None:
        _unbalance(wiring, unbalanced, everyone, lines)
    if wiring.feeders:
        add_feeders(wiring, lines, fixed)
    if wiring.powers:
        lines.volts = add_powers(image, wiring, everyone, memory, lines, fixed, rules)
    return lines, watches, houses


def _hold(everyone: list[Seen], wiring: Wiring, lines: Lines, fixed: list[float]) -> None:
    """Where a breaker bears more than the limit, those who charge may keep what they have, and nobody gets more."""
    kept = [0.0] * len(lines.allowed)
    for seen in everyone:
        if seen.last_a > 0.0 and not seen.silent:
            at = 3 * seen.outlet.circuit
            for phase in (0, 1, 2):
                if seen.bits >> phase & 1:
                    kept[at + phase] += seen.last_a
    up_the_tree(kept, wiring)
    for line, firm in enumerate(lines.firm):
        if firm < lines.allowed[line]:
            held = min(lines.room[line], kept[line])
            lines.room[line] = max(firm - lines.house[line] - fixed[line], held)


def _last_but_one_s(seen: Seen) -> float:
    """When a box was read before it was read last: what changed since is not known to be over.

    inf where it was read once and has never drawn anything.
    """
    if len(seen.readings) > 1:
        return seen.readings[-2].taken_s
    return math.inf if seen.readings and seen.past.steady_s == -math.inf else -math.inf


def _unbalance(wiring: Wiring, unbalanced: list[float], everyone: list[Seen], lines: Lines) -> None:
    """Three more lines, for cars that do not load all phases: no phase may lie further above the lowest.

    With house load, that of the grid connection counts on each phase. One that is unknown leaves nothing.
    """
    house = high = [0.0, 0.0, 0.0]
    allowed = wiring.site.unbalance_a or 0.0
    if wiring.site.unbalance_with_house and wiring.circuits:
        house, high = lines.house[:3], lines.house_high[:3]
        allowed = 0.0 if any(lines.stale[:3]) else allowed
    allowed += min(one + other for one, other in zip(unbalanced, house, strict=True))
    at = len(lines.room)
    lines.room += [allowed - amps for amps in house]
    lines.rise += [allowed - amps for amps in high]
    lines.jitter += lines.jitter[:3] if wiring.site.unbalance_with_house else [0.0] * 3
    for seen in everyone:
        if seen.bits != ALL and not seen.outlet.point.out_of_service:
            for phase in (0, 1, 2):
                amps = seen.worst_a[phase] if seen.bits >> phase & 1 else 0.0
                lines.rise[at + phase] -= amps
                lines.room[at + phase] -= amps if seen.silent else 0.0


def _watch_all(
    image: SiteImage, wiring: Wiring, memory: Memory, measured: list[float], shown_s: list[float], rules: Rules
) -> dict[str, Watch]:
    watches = {}
    site, now = wiring.site, image.now_s
    for index, circuit in enumerate(wiring.circuits):
        through = wiring.meters[index]
        for meter_id in wiring.loads[index] if through is None else (through,):
            readings = image.readings.get(meter_id, ())
            past = memory.watches.get(meter_id, UNSEEN)
            watch = watch_meter(past, site.meters[meter_id], readings, circuit.limit_a, now, rules)
            if through is not None:
                at = 3 * index
                charging = (measured[at], measured[at + 1], measured[at + 2])
                newest = readings[-1] if readings else None
                watch = see_frozen(past, watch, newest, charging, shown_s[index], now, rules)
            watches[meter_id] = watch
    return watches


def _houses(
    image: SiteImage,
    wiring: Wiring,
    memory: Memory,
    watches: dict[str, Watch],
    lines: Lines,
    measured: list[float],
    charging: list[Charging],
    rules: Rules,
) -> dict[str, House]:
    """House load of every circuit, lowest circuits first, and what to remember of it."""
    count = len(wiring.circuits)
    lines.house, lines.house_high, lines.flow = [0.0] * 3 * count, [0.0] * 3 * count, [0.0] * 3 * count
    lines.stale = [False] * 3 * count
    lines.jitter = [0.0] * 3 * count
    houses = {}
    for index in range(count - 1, -1, -1):
        circuit, at = wiring.circuits[index], 3 * index
        meter_id = wiring.meters[index]
        if meter_id is not None:
            watch = watches[meter_id]
            meter = wiring.site.meters[meter_id]
            readings = good_readings(image.readings.get(meter_id, ()), meter, circuit.limit_a, rules)
            if readings and (not watch.silent or watch.goods >= rules.good_readings):
                house, low, high = believe(memory.houses.get(circuit.id), readings, charging[index], circuit, rules)
                houses[circuit.id] = house
                for phase in (0, 1, 2):
                    _known(lines, at + phase, low[phase], high[phase], house.metered_a[phase])
                    jitter = min(house.peak_a[phase] - high[phase], rules.jitter_a)
                    lines.jitter[at + phase] = max(0.0, jitter) if jitter < math.inf else 0.0
                    lines.stale[at + phase] |= watch.silent  # it answers, but not for long enough yet
            else:
                for phase in (0, 1, 2):
                    _known(lines, at + phase, math.inf, math.inf, None)
        else:
            for load in wiring.loads[index]:
                watch = watches[load]
                for phase in (0, 1, 2):
                    current = watch.currents_a[phase]
                    if phase in wiring.site.meters[load].phases:
                        amps = math.inf if watch.silent or current is None else max(0.0, current)
                        lines.house[at + phase] += amps
                        lines.house_high[at + phase] += amps
            for line in range(at, at + 3):
                lines.stale[line] = math.isinf(lines.house[line])
                lines.flow[line] = lines.house[line] + measured[line]
        parent = wiring.parents[index]
        if parent >= 0 and wiring.meters[parent] is None:
            _add_to_parent(lines, at, 3 * parent, circuit.limit_a)
    return houses


def _known(lines: Lines, line: int, low: float, high: float, flow: float | None) -> None:
    lines.house[line], lines.house_high[line] = low, high
    lines.stale[line] = math.isinf(low)
    lines.flow[line] = math.inf if flow is None else flow


def _add_to_parent(lines: Lines, at: int, parent: int, limit_a: PhaseAmps) -> None:
    """A parent without a meter sees its children's house load; a child that is not seen counts as full."""
    for phase in (0, 1, 2):
        unknown = math.isinf(lines.house[at + phase])
        lines.house[parent + phase] += limit_a[phase] if unknown else lines.house[at + phase]
        lines.house_high[parent + phase] += limit_a[phase] if unknown else lines.house_high[at + phase]


def _limits(now: float, wiring: Wiring, memory: Memory, lines: Lines, rules: Rules) -> None:
    """Limits as they hold now, overdrafts that still cool, and what breakers bear."""
    lines.limit, lines.allowed, lines.overdrafts = [], [], {}
    borne: dict[int, float] = {}
    for index, circuit in enumerate(wiring.circuits):
        for phase in (0, 1, 2):
            line = 3 * index + phase
            limit = circuit.limit_a[phase]
            lines.limit.append(limit)
            allowed = limit - circuit.reserve_a
            key = (circuit.id, phase)
            past = memory.overdrafts.get(key)
            more = 0.0
            if circuit.breaker is not None:
                heat = lines.heats[key] = watch_breaker(
                    circuit.breaker, memory.heats.get(key), lines.flow[line], now, rules
                )
                if heat.bears and not lines.stale[line]:
                    more = (rules.bear - 1.0) * min(limit, circuit.breaker.rated_a)
                elif (known := memory.heats.get(key)) is not None and known.bears and rules.hot <= heat.heat < 1.0:
                    past = _at_once(past, lines.flow[line] - limit, now, rules)
            if lines.stale[line]:
                if math.isinf(lines.house[line]):
                    lines.house[line] = lines.house_high[line] = 0.0
                allowed = min(allowed, circuit.fallback_a + lines.house[line])  # the fallback is for charging alone
            over = _overdraft(past, lines.flow[line] - limit - more, now, rules)
            if over is not None:
                lines.overdrafts[key] = over
                allowed -= over.current_a
            if more:
                borne[line] = more
            lines.allowed.append(allowed)
    lines.firm = lines.allowed
    if borne:
        lines.allowed = [amps + borne.get(line, 0.0) for line, amps in enumerate(lines.firm)]


def _at_once(past: Overdraft | None, over_a: float, now: float, rules: Rules) -> Overdraft | None:
    """A breaker that is hot has borne an overdraft for long enough."""
    if not 0.0 < over_a < math.inf:
        return past
    current, until_s = (past.current_a, past.until_s) if past is not None else (0.0, -math.inf)
    return Overdraft(now - rules.settle_s, over_a, current, until_s)


def _overdraft(past: Overdraft | None, over_a: float, now: float, rules: Rules) -> Overdraft | None:
    """What flows above the limit for longer than boxes need to follow: for that long it is our own reaction time."""
    current, until_s = (past.current_a, past.until_s) if past is not None and now < past.until_s else (0.0, -math.inf)
    if not 0.0 < over_a < math.inf:
        return Overdraft(None, 0.0, current, until_s) if current else None
    over_s, least = now, over_a
    if past is not None and past.over_s is not None:
        over_s, least = past.over_s, min(past.least_a, over_a)
    if now - over_s >= rules.settle_s and least >= current:
        current, until_s = round(least, 3), now + rules.overdraft_s
    return Overdraft(over_s, least, current, until_s)
