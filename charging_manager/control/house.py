"""House load: what flows through a circuit and is not charging, by the meter's readings and the boxes' of that time.

A meter and a box are never read at the same instant, and each averages in its own way. So a reading of the meter,
less the most and less the least that each box showed around it, gives a lowest and a highest possible house load. What
was believed before is kept as long as it lies between them, for then nothing says that the house has changed: a car's
own ramp is not taken for house load. A reading is settled when every box below was read again well after it; only
settled readings move the belief. Until then a reading counts where it is sure to show more than what is believed:
setpoints are lowered by that at once. Setpoints are raised by the highest that the last settled reading leaves
possible, so that a car which has just stopped does not hide house load. Boxes that show tenths of an ampere are not
trusted to the last one; a flow above the limit itself is an overdraft, whatever is believed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import frozen

from charging_manager.control.memory import House
from charging_manager.control.rules import Rules
from charging_manager.control.seen import STEADY_A, Seen, plausible
from charging_manager.model.reading import Reading
from charging_manager.model.site import Circuit
from charging_manager.model.units import NO_AMPS, MaybePhaseAmps, PhaseAmps

TINY = 1e-6
TRAIL_S = 8.0
LOST_S = 75.0
"""For so long a silent box may go on drawing what it drew last; by then its watchdog has acted (SAFETY, F-02)."""


@frozen(eq=False)
class Charging:
    """What draws below a circuit: the steady boxes as a sum, the others one by one.

    ``slack_a`` is what the steady ones may draw more without having been told anew; ``read_s`` is the oldest of their
    newest readings, -inf if one is not known.
    """

    steady_a: Sequence[float]
    slack_a: Sequence[float]
    read_s: float
    changing: Sequence[Seen]
    loose_a: float = 0.0
    """How far the boxes' own measuring may be off, all together."""


def drawn(seen: Seen, at_s: float, lag_s: float) -> tuple[PhaseAmps, PhaseAmps, bool]:
    """Least and most that it can have drawn around that time, and whether it was read well after it.

    Where its current is not known it may be anything between nothing and what it was told at most. A silent box may
    draw what it drew last, for a while; anything more that flows is house load.
    """
    told = [seen.told_a if seen.outlet.bits >> phase & 1 else 0.0 for phase in (0, 1, 2)]
    if seen.silent:
        if seen.lost_s > LOST_S:
            return NO_AMPS, NO_AMPS, True
        one, two, three = (amps + STEADY_A if amps > 0.0 else 0.0 for amps in seen.past.steady_a)
        return NO_AMPS, (one, two, three), True
    least, most = [math.inf] * 3, [0.0] * 3
    around: list[Reading] = []
    for reading in reversed(seen.readings):  # from the first that is late enough back to the last that is early enough
        if reading.taken_s >= at_s + lag_s:
            around.clear()
        around.append(reading)
        if reading.taken_s <= at_s - lag_s:
            break
    for reading in around:
        for phase in (0, 1, 2):
            amps = plausible(reading.current_a[phase])
            least[phase] = min(least[phase], amps or 0.0)
            most[phase] = max(most[phase], told[phase] if amps is None else amps)
    covered = bool(seen.readings) and seen.readings[-1].taken_s >= at_s + lag_s
    if not covered or seen.readings[0].taken_s > at_s:
        most = [max(a, b) for a, b in zip(most, told, strict=True)]
        least = [0.0, 0.0, 0.0]
    return (least[0], least[1], least[2]), (most[0], most[1], most[2]), covered


def interval(
    taken_s: float, metered_a: MaybePhaseAmps, charging: Charging, rules: Rules
) -> tuple[PhaseAmps, PhaseAmps, bool]:
    """Lowest and highest house load by one reading of the meter, and whether it is settled."""
    most_1, most_2, most_3 = least_1, least_2, least_3 = charging.steady_a
    settled = taken_s + rules.lag_s <= charging.read_s
    if not settled:
        more = charging.slack_a
        most_1, most_2, most_3 = most_1 + more[0], most_2 + more[1], most_3 + more[2]
        least_1 = least_2 = least_3 = 0.0
    for seen in charging.changing:
        low, high, covered = drawn(seen, taken_s, rules.lag_s)
        settled = settled and covered
        least_1, least_2, least_3 = least_1 + low[0], least_2 + low[1], least_3 + low[2]
        most_1, most_2, most_3 = most_1 + high[0], most_2 + high[1], most_3 + high[2]
    one, two, three = metered_a
    return (
        (_up(one, most_1), _up(two, most_2), _up(three, most_3)),
        (_up(one, least_1), _up(two, least_2), _up(three, least_3)),
        settled,
    )


def _up(metered: float | None, charging: float) -> float:
    """Rounded up to 0.1 A; what flows back to the grid is no credit beyond the limit. inf: this phase is unknown."""
    if metered is None:
        return math.inf
    house = metered - charging
    return math.ceil(house * 10.0 - 1e-6) / 10.0 if house > 0.0 else 0.0


def believe(
    past: House | None, readings: Sequence[Reading], charging: Charging, circuit: Circuit, rules: Rules
) -> tuple[House, PhaseAmps, PhaseAmps]:
    """What is believed after these readings of the meter; house load to lower by, and to raise by."""
    newest = readings[-1]
    if past is not None and newest.taken_s - past.settled_s > 2 * rules.settle_within_s:
        past = None
    seen_s = -math.inf
    if past is not None:
        seen_s = past.pending[-1][0] if past.pending else past.settled_s
    waiting = list(past.pending) if past is not None else []
    waiting += [(r.taken_s, r.current_a) for r in readings if r.taken_s > seen_s]
    if past is None:
        waiting = waiting[-1:]
    pending = []
    limits = [limit - circuit.reserve_a for limit in circuit.limit_a]
    lower = higher = NO_AMPS
    for taken_s, metered_a in waiting:
        loose = _loose(metered_a, limits, charging.loose_a)
        low, high, settled = interval(taken_s, metered_a, charging, rules)
        if past is None:  # nothing is known before the first reading
            past = House(_now(metered_a, charging), _without_charging(metered_a), NO_AMPS, taken_s, NO_AMPS)
            settled = False
        if settled or newest.taken_s - taken_s > rules.settle_within_s:
            past = _move(past, taken_s, low, high, loose, rules)
        else:
            pending.append((taken_s, metered_a))
            lower = _most(lower, _beyond(past.believed_a, low, loose))
            higher = _most(higher, _beyond(past.believed_a, _now(metered_a, charging), loose))
    assert past is not None  # noqa: S101
    now_a = newest.current_a
    past = House(
        past.believed_a,
        past.highest_a,
        past.peak_a,
        past.settled_s,
        (_value(now_a[0]), _value(now_a[1]), _value(now_a[2])),
        tuple(pending),
        past.trail,
    )
    lower = _most(lower, past.believed_a)
    if not past.trail or newest.taken_s > past.trail[-1][0]:
        kept = tuple(each for each in past.trail if each[0] > newest.taken_s - TRAIL_S)
        trail = (*kept, (newest.taken_s, lower))
        past = House(past.believed_a, past.highest_a, past.peak_a, past.settled_s, past.metered_a, past.pending, trail)
    lower = _ahead(lower, past.trail, rules)
    return past, lower, _most(_most(lower, higher), past.highest_a)


def _ahead(lower: PhaseAmps, trail: Sequence[tuple[float, PhaseAmps]], rules: Rules) -> PhaseAmps:
    """House load that goes on rising is met where it will be when boxes have followed; a single step is not."""
    at_s, after = trail[-1]
    slope_1 = slope_2 = slope_3 = math.inf
    steps = 0
    for taken_s, before in reversed(trail):
        if taken_s > at_s - TRAIL_S / 4:
            continue
        passed_s = at_s - taken_s
        slope_1 = min(slope_1, (after[0] - before[0]) / passed_s)
        slope_2 = min(slope_2, (after[1] - before[1]) / passed_s)
        slope_3 = min(slope_3, (after[2] - before[2]) / passed_s)
        if slope_1 <= 0.0 and slope_2 <= 0.0 and slope_3 <= 0.0:
            return lower
        at_s, after = taken_s, before
        steps += 1
    if steps < 3:
        return lower
    one, two, three = (
        a + min(rules.ahead_a, max(0.0, s) * rules.ahead_s) if a < math.inf else a
        for a, s in zip(lower, (slope_1, slope_2, slope_3), strict=True)
    )
    return one, two, three


def _loose(metered_a: MaybePhaseAmps, limits: Sequence[float], loose_a: float) -> PhaseAmps:
    """How much is put down to the boxes' measuring: nothing where more than the limit flows."""
    one, two, three = metered_a
    return (
        0.0 if one is not None and one > limits[0] else loose_a,
        0.0 if two is not None and two > limits[1] else loose_a,
        0.0 if three is not None and three > limits[2] else loose_a,
    )


def _beyond(believed: PhaseAmps, other: PhaseAmps, loose: PhaseAmps) -> PhaseAmps:
    """The other where it is higher by more than measuring may be off."""
    return (
        believed[0] if other[0] <= believed[0] + loose[0] + TINY else other[0],
        believed[1] if other[1] <= believed[1] + loose[1] + TINY else other[1],
        believed[2] if other[2] <= believed[2] + loose[2] + TINY else other[2],
    )


def _move(past: House, taken_s: float, low: PhaseAmps, high: PhaseAmps, loose: PhaseAmps, rules: Rules) -> House:
    """The belief after a settled reading: as before if that is possible, else the nearest that is."""
    up = _beyond(past.believed_a, low, loose)
    believed = (min(up[0], high[0]), min(up[1], high[1]), min(up[2], high[2]))
    highest = _beyond(believed, high, loose)
    calmer = rules.calm_a_per_s * max(0.0, taken_s - past.settled_s)
    peak = [max(believed[p], min(past.peak_a[p] - calmer, believed[p] + rules.jitter_a)) for p in (0, 1, 2)]
    return House(
        believed,
        highest,
        (peak[0], peak[1], peak[2]),
        taken_s,
        past.metered_a,
        (),
        past.trail,
    )


def _most(one: PhaseAmps, other: PhaseAmps) -> PhaseAmps:
    return max(one[0], other[0]), max(one[1], other[1]), max(one[2], other[2])


def _value(amps: float | None) -> float:
    return math.inf if amps is None else amps


def _now(metered_a: MaybePhaseAmps, charging: Charging) -> PhaseAmps:
    """House load if everything was read at the same time."""
    one, two, three = charging.steady_a
    for seen in charging.changing:
        one, two, three = one + seen.measured_a[0], two + seen.measured_a[1], three + seen.measured_a[2]
    return _up(metered_a[0], one), _up(metered_a[1], two), _up(metered_a[2], three)


def _without_charging(metered_a: MaybePhaseAmps) -> PhaseAmps:
    return _up(metered_a[0], 0.0), _up(metered_a[1], 0.0), _up(metered_a[2], 0.0)
