"""Cheap and dear are relative to three days; what is not known is not cheap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from charging_manager.control.prices import level_now, price_now, slot_now
from charging_manager.model.outside import PriceLevel, Prices, PriceSlot

START_AT = datetime(2026, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def hourly(*prices: float, start_at: datetime = START_AT) -> Prices:
    return Prices(
        tuple(PriceSlot(start_at + n * HOUR, start_at + (n + 1) * HOUR, price) for n, price in enumerate(prices))
    )


@pytest.mark.parametrize(
    ("percent", "level"),
    [
        (10, PriceLevel.VERY_CHEAP),
        (60, PriceLevel.VERY_CHEAP),
        (61, PriceLevel.CHEAP),
        (90, PriceLevel.CHEAP),
        (91, PriceLevel.NORMAL),
        (100, PriceLevel.NORMAL),
        (114, PriceLevel.NORMAL),
        (115, PriceLevel.DEAR),
        (139, PriceLevel.DEAR),
        (140, PriceLevel.VERY_DEAR),
        (300, PriceLevel.VERY_DEAR),
    ],
)
def test_a_level_is_a_distance_from_the_mean_of_three_days(percent: int, level: PriceLevel) -> None:
    price = percent / 100
    rest = (72 - price) / 71  # so that the mean is 1
    prices = hourly(*[rest] * 71, price)
    assert level_now(prices, START_AT + 71.5 * HOUR) is level


def test_older_days_do_not_count() -> None:
    prices = hourly(*[9.0] * 48, *[1.0] * 71, 1.2)
    assert level_now(prices, START_AT + 119.5 * HOUR) is PriceLevel.DEAR


def test_what_comes_counts_only_while_too_little_is_known_of_what_was() -> None:
    prices = hourly(0.2, *[0.4] * 30)
    assert level_now(prices, START_AT) is PriceLevel.VERY_CHEAP
    assert level_now(prices, START_AT + 20 * HOUR) is PriceLevel.NORMAL
    later = Prices((*hourly(*[0.2] * 24).slots, *hourly(*[9.0] * 24, start_at=START_AT + 24 * HOUR).slots))
    assert level_now(later, START_AT + 23 * HOUR) is PriceLevel.NORMAL


def test_negative_prices_are_the_cheap_ones() -> None:
    prices = hourly(*[-0.05] * 12, *[0.03] * 12)
    assert level_now(prices, START_AT + 11 * HOUR) is PriceLevel.VERY_CHEAP
    assert level_now(prices, START_AT + 23 * HOUR) is PriceLevel.VERY_DEAR


def test_a_fixed_price_and_a_free_one_are_normal() -> None:
    assert level_now(hourly(*[0.3] * 24), START_AT) is PriceLevel.NORMAL
    assert level_now(hourly(*[0.0] * 24), START_AT) is PriceLevel.NORMAL


def test_a_gap_has_neither_price_nor_level() -> None:
    prices = Prices((hourly(0.1).slots[0], hourly(0.1, start_at=START_AT + 3 * HOUR).slots[0]))
    for moment in (START_AT - HOUR / 60, START_AT + HOUR, START_AT + 2 * HOUR, START_AT + 4 * HOUR, None):
        assert slot_now(prices, moment) is None
        assert price_now(prices, moment) is None
        assert level_now(prices, moment) is None
    assert price_now(prices, START_AT + 3 * HOUR) == 0.1
    assert level_now(Prices(), START_AT) is None
