"""House load: what flows through a circuit and is not charging, by the meter's reading and the boxes' of that time.

A meter and a box are never read at the same instant. Between two readings a car may have changed its current, so that
each reading of the meter gives a lowest and a highest possible house load. Setpoints are lowered by the lowest (what
is sure), and raised by the highest (what may be), of a reading that is settled: every charging box below was read
again after it. So a car's own ramp is not taken for house load, a car that has just stopped does not hide house load,
and a house load that hides behind a ramp is found by the next reading.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import frozen

from charging_manager.control.memory import HouseSample
from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen
from charging_manager.model.reading import Reading
from charging_manager.model.units import PhaseAmps

STEADY_A = 0.3


def is_steady(seen: Seen) -> bool:
    """Whether its current was the same in its last three readings, and it takes what it was told."""
    readings = seen.readings
    one, two, three = seen.measured_a
    if seen.told_a > 0.5 + max(one, two, three):
        return False
    for reading in readings[-3:-1]:
        a, b, c = reading.current_a
        if abs((a or 0.0) - one) > STEADY_A or abs((b or 0.0) - two) > STEADY_A or abs((c or 0.0) - three) > STEADY_A:
            return False
    return True


def drawn(seen: Seen, at_s: float, rules: Rules) -> tuple[PhaseAmps, PhaseAmps, bool]:
    """Least and most that it can have drawn at that time, and whether it was read after it too.

    Unknown currents count 0: they are not subtracted from what the meter shows.
    """
    before: Reading | None = None
    after: Reading | None = None
    for reading in reversed(seen.readings):
        if reading.taken_s >= at_s:
            after = reading
        if reading.taken_s <= at_s:
            before = reading
            break
    near = before
    if after is not None and (before is None or after.taken_s - at_s < at_s - before.taken_s):
        near = after
    if near is None:
        return (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), False
    swing = rules.ramp_a_per_s * abs(near.taken_s - at_s)
    low, high = [], []
    for phase in (0, 1, 2):
        by_near = near.current_a[phase]
        if by_near is None:
            low.append(0.0)
            high.append(0.0)
            continue
        ends = [by_near]
        if after is None:
            if seen.outlet.bits >> phase & 1:
                ends.append(max(by_near, seen.told_a))
            ends.append(0.0)
        elif before is None:
            ends.append(0.0)
        else:
            ends.append(before.current_a[phase] or 0.0)
            ends.append(after.current_a[phase] or 0.0)
        low.append(max(min(ends), by_near - swing))
        high.append(min(max(ends), by_near + swing))
    return (low[0], low[1], low[2]), (high[0], high[1], high[2]), after is not None


@frozen
class Charging:
    """What draws below a circuit now: the steady boxes as a sum, the others one by one.

    ``read_s`` is the oldest of the newest readings of the steady boxes that draw current.
    """

    steady_a: Sequence[float]
    read_s: float
    changing: Sequence[Seen]


def sample(metered: Reading, charging: Charging, rules: Rules) -> HouseSample:
    """House load by one reading of a meter."""
    least, most = list(charging.steady_a), list(charging.steady_a)
    settled = metered.taken_s <= charging.read_s
    for seen in charging.changing:
        low, high, closed = drawn(seen, metered.taken_s, rules)
        settled = settled and closed
        for phase in (0, 1, 2):
            least[phase] += low[phase]
            most[phase] += high[phase]
    currents = metered.current_a
    return HouseSample(
        metered.taken_s,
        currents,
        (_up(currents[0], most[0]), _up(currents[1], most[1]), _up(currents[2], most[2])),
        (_up(currents[0], least[0]), _up(currents[1], least[1]), _up(currents[2], least[2])),
        settled,
    )


def _up(metered: float | None, charging: float) -> float:
    """Rounded up to 0.1 A; what flows back to the grid is no credit beyond the limit. inf: this phase is unknown."""
    if metered is None:
        return math.inf
    house = metered - charging
    return math.ceil(house * 10.0 - 1e-6) / 10.0 if house > 0.0 else 0.0


def history(
    past: tuple[HouseSample, ...], readings: Sequence[Reading], charging: Charging, rules: Rules
) -> tuple[HouseSample, ...]:
    """The samples that count, newest last: those of the last moments, and at least the last settled one."""
    newest_s = readings[-1].taken_s
    kept = [s for s in past if s.taken_s >= newest_s - rules.house_settled_s]
    if kept and not kept[-1].settled:
        last = kept.pop()
        kept.append(sample(Reading("", last.taken_s, last.metered_a), charging, rules))
    after_s = kept[-1].taken_s if kept else -math.inf
    recent_s = newest_s - rules.house_hold_s
    for reading in readings:
        if reading.taken_s > after_s and reading.taken_s >= recent_s:
            kept.append(sample(reading, charging, rules))
    first = next((i for i, s in enumerate(kept) if s.taken_s >= recent_s), len(kept) - 1)
    while first > 0 and not any(s.settled for s in kept[first:]):
        first -= 1
    return tuple(s for i, s in enumerate(kept) if i == first or (i > first and s.taken_s >= recent_s))


def worst_of(samples: Sequence[HouseSample]) -> tuple[PhaseAmps, PhaseAmps]:
    """House load to lower by and house load to raise by; without a settled sample nothing is taken for charging."""
    lows, highs = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    any_settled = any(s.settled for s in samples)
    for each in samples:
        for phase in (0, 1, 2):
            low = each.low_a[phase]
            lows[phase] = max(lows[phase], low)
            if each.settled:
                low = each.high_a[phase]
            elif not any_settled:
                low = _up(each.metered_a[phase], 0.0)
            highs[phase] = max(highs[phase], low)
    return (lows[0], lows[1], lows[2]), (highs[0], highs[1], highs[2])
