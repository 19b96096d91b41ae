"""The time until a deadline, cut where prices or the forecast of the sun change. Times are POSIX seconds.

What is not known counts as the dearest that is known, and never as free. Where nothing at all is known,
all times are worth the same.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import pairwise

from attrs import frozen

from charging_manager.model.goal import Prefer
from charging_manager.model.outside import Outside


@frozen
class Stretch:
    """A time with one price. ``cost`` is what slots are chosen by: of a kWh, in the currency or in grams of CO2."""

    start_s: float
    end_s: float
    cost: float
    price: float | None = None
    """What a kWh costs, None: not known."""
    spare_w: float = 0.0
    """Sun that is likely left for charging."""


@frozen
class Times:
    """All of it, without holes."""

    stretches: tuple[Stretch, ...]
    by: Prefer
    """What ``cost`` is: a greener time can only be chosen where the tariff says what is green."""
    unknown_s: float
    """For how long the cost is not known."""


def times(outside: Outside, now_s: float, until_s: float, prefer: Prefer) -> Times:
    """From now until then."""
    slots = outside.prices.slots
    first = max(0, bisect_right(slots, now_s, key=lambda slot: slot.start_at.timestamp()) - 1)
    ahead = []
    for slot in slots[first:]:
        start_s, end_s = slot.start_at.timestamp(), slot.end_at.timestamp()
        if start_s >= until_s:
            break
        if end_s > now_s:
            ahead.append((max(start_s, now_s), min(end_s, until_s), slot))
    by = prefer if prefer is Prefer.CHEAP or any(slot.co2_g is not None for _, _, slot in ahead) else Prefer.CHEAP

    def cost_of(price: float, co2_g: float | None) -> float | None:
        return price if by is Prefer.CHEAP else co2_g

    known = (cost_of(slot.price, slot.co2_g) for slot in slots)
    dearest = max((cost for cost in known if cost is not None), default=0.0)
    cut: list[Stretch] = []
    unknown_s, at = 0.0, now_s
    for start_s, end_s, slot in ahead:
        if start_s > at:
            cut.append(Stretch(at, start_s, dearest))
            unknown_s += start_s - at
        cost = cost_of(slot.price, slot.co2_g)
        if cost is None:
            unknown_s += end_s - start_s
        cut.append(Stretch(start_s, end_s, dearest if cost is None else cost, slot.price))
        at = end_s
    if at < until_s:
        cut.append(Stretch(at, until_s, dearest))
        unknown_s += until_s - at
    return Times(tuple(_with_sun(cut, outside, now_s, until_s)), by, unknown_s)


def cost_at(outside: Outside, at_s: float, by: Prefer) -> float:
    """The cost of a kWh then, as ``times`` has it."""
    slots = outside.prices.slots
    found = bisect_right(slots, at_s, key=lambda slot: slot.start_at.timestamp()) - 1
    if found >= 0 and at_s < slots[found].end_at.timestamp():
        cost = slots[found].price if by is Prefer.CHEAP else slots[found].co2_g
        if cost is not None:
            return cost
    known = (slot.price if by is Prefer.CHEAP else slot.co2_g for slot in slots)
    return max((cost for cost in known if cost is not None), default=0.0)


def _with_sun(cut: list[Stretch], outside: Outside, now_s: float, until_s: float) -> list[Stretch]:
    """The same, cut once more where the forecast changes."""
    sun = [
        (slot.start_at.timestamp(), slot.end_at.timestamp(), slot.spare_w)
        for slot in outside.sun
        if slot.spare_w > 0.0 and math.isfinite(slot.spare_w)
    ]
    sun = [one for one in sun if one[1] > now_s and one[0] < until_s]
    if not sun:
        return cut
    edges = sorted({edge for start_s, end_s, _ in sun for edge in (start_s, end_s)})
    found = []
    for one in cut:
        marks = [one.start_s, *(edge for edge in edges if one.start_s < edge < one.end_s), one.end_s]
        for start_s, end_s in pairwise(marks):
            spare_w = max((power for begin, end, power in sun if begin <= start_s < end), default=0.0)
            found.append(Stretch(start_s, end_s, one.cost, one.price, spare_w))
    return found
