"""House load: what flows through a circuit and is not charging, by the meter's reading and the boxes' of that time.

A meter and a box are never read at the same instant. Between two readings a car may have changed its current, so that
each reading of the meter gives a lowest and a highest possible house load. Setpoints are lowered by the lowest (what
is sure), and raised by the highest (what may be); both at their worst over the last moments. So a car's own ramp is
not taken for house load, and a house load that hides behind a ramp is found by the next reading.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

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


def sample(metered: Reading, steady_a: Sequence[float], changing: Iterable[Seen], rules: Rules) -> HouseSample:
    """House load by one reading of a meter. ``changing`` are the charge points below that are not steady."""
    least, most = list(steady_a), list(steady_a)
    settled = True
    for seen in changing:
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
    past: tuple[HouseSample, ...],
    readings: Sequence[Reading],
    steady_a: Sequence[float],
    changing: Sequence[Seen],
    rules: Rules,
) -> tuple[HouseSample, ...]:
    """The samples that count, newest last: those of the last moments, and the last settled one."""
    newest_s = readings[-1].taken_s
    kept = [s for s in past if s.taken_s >= newest_s - rules.house_settled_s]
    after_s = kept[-1].taken_s if kept else newest_s - rules.house_hold_s
    if kept and not kept[-1].settled:
        last = kept.pop()
        kept.append(sample(Reading("", last.taken_s, last.metered_a), steady_a, changing, rules))
    for reading in readings:
        if reading.taken_s > after_s and reading.taken_s >= newest_s - rules.house_hold_s:
            kept.append(sample(reading, steady_a, changing, rules))
    if not kept:
        kept.append(sample(readings[-1], steady_a, changing, rules))
    first = next((i for i, s in enumerate(kept) if s.taken_s >= newest_s - rules.house_hold_s), len(kept) - 1)
    if not any(s.settled for s in kept[first:]):
        while first > 0:
            first -= 1
            if kept[first].settled:
                break
    return tuple(kept[first:])


def worst_of(samples: Sequence[HouseSample]) -> tuple[PhaseAmps, PhaseAmps]:
    """House load to lower by and house load to raise by."""
    lows = [s.low_a for s in samples]
    highs = [s.high_a for s in samples]
    low = (max(a[0] for a in lows), max(a[1] for a in lows), max(a[2] for a in lows))
    high = (max(a[0] for a in highs), max(a[1] for a in highs), max(a[2] for a in highs))
    return low, high
