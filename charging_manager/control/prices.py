"""What a kWh costs now, and whether that is cheap or dear beside the last three days. Unknown is None, never cheap.

A price is judged by how far it is from the mean of three days, as a part of what prices are large by (the mean of their
amounts without sign). Where no price is negative that is the mean itself, so that the bounds read: *very cheap* up to
60 % of the mean, *cheap* up to 90 %, *dear* from 115 %, *very dear* from 140 %. With negative prices a plain percentage
would turn round; the distance does not.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta

from attrs import frozen

from charging_manager.model.outside import PriceLevel, Prices, PriceSlot

MEAN_OVER = timedelta(days=3)
ENOUGH = timedelta(hours=20)
"""With less than this known of the three days, what is known of the future counts too."""
VERY_CHEAP, CHEAP, DEAR, VERY_DEAR = -0.40, -0.10, 0.15, 0.40
"""Distances from the mean at which a level begins."""
_TINY = 1e-9


@frozen
class Usual:
    """The mean of some days, and how large prices are, weighted by time."""

    mean: float
    size: float


def slot_now(prices: Prices, now_at: datetime | None) -> PriceSlot | None:
    """The slot in which that moment lies; None in a gap, before the first and after the last."""
    if now_at is None or not prices.slots:
        return None
    at = bisect_right(prices.slots, now_at, key=lambda slot: slot.start_at) - 1
    return prices.slots[at] if at >= 0 and now_at < prices.slots[at].end_at else None


def price_now(prices: Prices, now_at: datetime | None) -> float | None:
    """Of a kWh now, as the tariff says it; None: not known."""
    slot = slot_now(prices, now_at)
    return slot.price if slot is not None else None


def level_now(prices: Prices, now_at: datetime | None) -> PriceLevel | None:
    """How the price of now stands beside the last three days; None: it is not known."""
    slot = slot_now(prices, now_at)
    if slot is None:
        return None
    usual = usual_price(prices, slot)
    return level_of(slot.price, usual) if usual is not None else None


def usual_price(prices: Prices, slot: PriceSlot) -> Usual | None:
    """What is usual beside this slot: the three days that end with it, or all since while too little is known."""
    since = slot.end_at - MEAN_OVER
    known = [one for one in prices.slots if one.end_at > since]
    past = [one for one in known if one.start_at < slot.end_at]
    if sum((one.end_at - max(one.start_at, since) for one in past), timedelta()) >= ENOUGH:
        known = past
    hours = [(one.price, (one.end_at - max(one.start_at, since)).total_seconds()) for one in known]
    all_s = sum(weight for _, weight in hours)
    if all_s <= 0.0:
        return None
    return Usual(
        sum(price * weight for price, weight in hours) / all_s,
        sum(abs(price) * weight for price, weight in hours) / all_s,
    )


def level_of(price: float, usual: Usual) -> PriceLevel:
    """The level of a price beside what is usual."""
    if usual.size < _TINY:
        return PriceLevel.NORMAL
    away = (price - usual.mean) / usual.size
    if away <= VERY_CHEAP + _TINY:
        return PriceLevel.VERY_CHEAP
    if away <= CHEAP + _TINY:
        return PriceLevel.CHEAP
    if away < DEAR - _TINY:
        return PriceLevel.NORMAL
    return PriceLevel.DEAR if away < VERY_DEAR - _TINY else PriceLevel.VERY_DEAR
