"""When to find out how much a car takes, before its plan can be made: where that costs the least in the worst case.

A plan needs the power. If the car draws less than was thought, cheap times were let go by; if more, dear ones were
taken. Some seconds of charging tell it. Early they cost a dear time's energy, late it may be too late for some cheap
time: for each power that is likely, both are known, so that the time is taken whose worst case is the smallest.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from charging_manager.control.schedule import greedy_cost
from charging_manager.control.stretches import Stretch

TAKES_S = 10.0
"""Measuring takes about as much energy as so long at full power."""
WORTH = 0.001
"""A contactor is not closed for less of what charging costs: then measuring waits for the first run."""
_MOST_TIMES = 24


@frozen
class _Likely:
    """One power that the car may have, and what is known of it."""

    power_w: float
    need_s: float
    least_cost: float
    scale: float


def when_to_measure(
    stretches: Sequence[Stretch], need_wh: float, powers_w: Sequence[float], first_run_s: float
) -> float | None:
    """At what time; that of the first run where it is good enough; None: nothing can be known.

    ``powers_w`` may be its own, lowest first; ``first_run_s`` is when it would begin by the highest of them.
    """
    likely = [one for power_w in powers_w if (one := _likely(stretches, need_wh, power_w)) is not None]
    if not likely:
        return None
    worst = {at_s: _worst(stretches, likely, at_s) for at_s in _times(stretches, first_run_s)}
    at_s = min(worst, key=lambda one: (worst[one], one))
    return at_s if worst[at_s] < worst[first_run_s] - WORTH else first_run_s


def _likely(stretches: Sequence[Stretch], need_wh: float, power_w: float) -> _Likely | None:
    """None: at that power the sun is likely enough, or all the time is not."""
    sun_wh = sum(min(one.spare_w, power_w) * (one.end_s - one.start_s) for one in stretches) / 3600.0
    need_s = (need_wh - sun_wh) / power_w * 3600.0
    least, short_s = greedy_cost(stretches, need_s)
    if need_s <= 0.0 or short_s > 0.0:
        return None
    costs = [one.cost for one in stretches]
    scale = abs(least)
    if min(costs) < 0.0:
        scale = max(scale, need_s * (max(costs) - min(costs)))
    return _Likely(power_w, need_s, least, max(scale, 1e-9))


def _times(stretches: Sequence[Stretch], first_run_s: float) -> list[float]:
    """Those before the first run that are cheaper than all before them: at no other is it better to measure."""
    found, cheapest = [], float("inf")
    for one in stretches:
        if one.start_s >= first_run_s:
            break
        if one.cost < cheapest:
            cheapest = one.cost
            found.append(one.start_s)
    every = -(-len(found) // _MOST_TIMES) or 1
    return [*found[::every], first_run_s]


def _worst(stretches: Sequence[Stretch], likely: Sequence[_Likely], at_s: float) -> float:
    """What measuring at that time costs too much, for the worst of the powers, as a part of what charging costs."""
    now = next(one for one in stretches if one.start_s <= at_s < one.end_s)
    ahead = [one for one in stretches if one.end_s > at_s]
    worst = 0.0
    for one in likely:
        later, short_s = greedy_cost(ahead, one.need_s - TAKES_S, at_s + TAKES_S)
        if short_s > 0.0:
            return float("inf")
        worst = max(worst, (now.cost * min(TAKES_S, one.need_s) + later - one.least_cost) / one.scale)
    return worst
