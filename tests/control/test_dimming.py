"""The formula of §14a, and what counts as own generation."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging_manager.control.dimming import (
    FACTOR_OF_MANY,
    charging_w,
    from_grid_w,
    limit_w,
    minimum_w,
    own_power_w,
    site_minimum_w,
)
from charging_manager.model.grid import GridSettings
from tests.support.strategies import examples

# By hand from the decision's table, in kW: 4.2 + (n - 1) * GZF * 4.2.
BY_HAND = {
    0: 0.0,
    1: 4.2,
    2: 7.56,
    3: 10.5,
    4: 13.02,
    5: 15.12,
    6: 16.8,
    7: 18.06,
    8: 18.9,
    9: 19.32,
    10: 21.21,
    20: 40.11,
}


@pytest.mark.parametrize(("devices", "kilowatts"), BY_HAND.items())
def test_the_minimum_is_that_of_the_table(devices: int, kilowatts: float) -> None:
    assert minimum_w(devices) == pytest.approx(1000 * kilowatts)


def test_large_heat_pumps_and_cooling_have_their_part_of_their_power() -> None:
    assert minimum_w(1, heat_pumps_w=10_000) == 4200
    assert minimum_w(1, heat_pumps_w=20_000) == 8000
    assert minimum_w(3, heat_pumps_w=20_000, cooling_w=30_000) == pytest.approx(12_000 + 2 * 0.75 * 4200)


@examples(100, 2000)
@given(st.integers(1, 600))
def test_one_more_device_is_never_less(devices: int) -> None:
    assert minimum_w(devices + 1) > minimum_w(devices) >= 4200
    if devices >= 9:
        assert minimum_w(devices) == pytest.approx(4200 * (1 + (devices - 1) * FACTOR_OF_MANY))


def test_an_order_is_held_at_the_minimum_unless_the_customer_wants_it_as_it_stands() -> None:
    plain, strict = GridSettings(), GridSettings(below_minimum=True)
    assert limit_w(plain, 2, None) == limit_w(plain, 2, 1000.0) == pytest.approx(7560)
    assert limit_w(plain, 2, 9000.0) == 9000
    assert limit_w(strict, 2, 1000.0) == 1000
    assert limit_w(strict, 2, None) == pytest.approx(7560)
    assert limit_w(GridSettings(agreed_w=11_000.0), 2, None) == 11_000
    assert limit_w(GridSettings(agreed_w=5000.0), 2, None) == pytest.approx(7560), "what was agreed is never less"


def test_other_devices_count_and_have_their_part() -> None:
    grid = GridSettings(other_devices=1, others_w=3000.0)
    assert site_minimum_w(grid, 2) == pytest.approx(10_500)
    assert charging_w(grid, 2, 10_500) == 7500
    assert charging_w(grid, 2, 2000) == 0
    assert charging_w(GridSettings(others_w=3000.0), 2, 7560) == 7560, "without other devices nothing is kept for them"


@pytest.mark.parametrize(
    ("grid", "charging", "stored", "own"),
    [
        ([-3000.0], 5000.0, [], 8000.0),  # exports although cars take 5 kW
        ([2000.0], 5000.0, [], 3000.0),  # the rest comes from the roof
        ([6000.0], 5000.0, [], 0.0),  # the house takes more than the roof gives
        ([2000.0], 5000.0, [-2500.0], 500.0),  # most of it was the battery
        ([2000.0], 5000.0, [1500.0], 3000.0),  # what the battery takes is no generation for cars
        ([None], 5000.0, [], 0.0),
        ([], 5000.0, [], 0.0),
        ([2000.0], None, [], 0.0),
        ([2000.0], 5000.0, [None], 0.0),
        ([math.nan], 5000.0, [], 0.0),
        ([2000.0], 5000.0, [math.nan], 0.0),
        ([-math.inf], 5000.0, [], 0.0),
    ],
)
def test_own_generation_is_what_is_left_after_all_else_and_nothing_where_that_is_not_sure(
    grid: list[float | None], charging: float | None, stored: list[float | None], own: float
) -> None:
    assert own_power_w(grid, charging, stored) == own


def test_what_comes_from_the_grid_is_never_negative_and_unknown_stays_unknown() -> None:
    assert from_grid_w(5000.0, 3000.0) == 2000
    assert from_grid_w(5000.0, 8000.0) == 0
    assert from_grid_w(None, 0.0) is None
