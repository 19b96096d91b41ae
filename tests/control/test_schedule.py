"""The cheapest times: equal to the exact optimum where switches are free, few switches where prices leave a choice."""

from __future__ import annotations

import random
from itertools import product

import pytest

from charging_manager.control.schedule import TOLERANCE, Schedule, cheapest
from charging_manager.control.stretches import Stretch
from tests.control.plan_nights import exact_cost
from tests.support.strategies import LONG

POWER_W = 10_000.0
HOUR = 3600.0


def hours(*costs: float) -> tuple[Stretch, ...]:
    return tuple(Stretch(n * HOUR, (n + 1) * HOUR, cost, cost) for n, cost in enumerate(costs))


def runs(schedule: Schedule) -> list[tuple[float, float]]:
    return [(run.start_s / HOUR, run.end_s / HOUR) for run in schedule.runs]


def test_the_cheapest_hours_are_taken_and_the_dearest_of_them_in_part() -> None:
    schedule = cheapest(hours(0.30, 0.10, 0.20, 0.40), 15_000.0, POWER_W)
    assert runs(schedule) == [(1.0, 2.5)]
    assert schedule.cost == pytest.approx(1.0 + 1.0)


def test_a_part_hangs_on_what_is_taken_anyway() -> None:
    assert runs(cheapest(hours(0.2, 0.1, 0.3), 15_000.0, POWER_W)) == [(0.5, 2.0)]
    assert runs(cheapest(hours(0.2, 0.1, 0.2, 0.1), 30_000.0, POWER_W)) == [(1.0, 4.0)]


def test_where_all_costs_the_same_it_charges_once_and_at_once() -> None:
    assert runs(cheapest(hours(*[0.3] * 10), 35_000.0, POWER_W)) == [(0.0, 3.5)]


def test_a_gap_that_costs_next_to_nothing_is_filled() -> None:
    schedule = cheapest(hours(0.100, 0.1005, 0.100, 0.100, 0.1001), 40_000.0, POWER_W)
    assert len(schedule.runs) == 1
    assert schedule.cost <= schedule.least_cost * (1.0 + TOLERANCE)


def test_a_car_that_charges_goes_on_where_that_costs_little() -> None:
    prices = hours(0.1002, 0.1001, 0.1000)
    assert runs(cheapest(prices, 10_000.0, POWER_W)) == [(2.0, 3.0)]
    assert runs(cheapest(prices, 10_000.0, POWER_W, charging=True)) == [(0.0, 1.0)]


def test_what_does_not_fit_is_told() -> None:
    schedule = cheapest(hours(0.1, 0.2), 25_000.0, POWER_W)
    assert runs(schedule) == [(0.0, 2.0)]
    assert schedule.short_s == pytest.approx(1800.0)


def test_nothing_is_needed_or_nothing_is_there() -> None:
    assert cheapest(hours(0.1), 0.0, POWER_W) == Schedule()
    assert cheapest((), 1.0, POWER_W) == Schedule()
    assert cheapest(hours(0.1), 1.0, 0.0) == Schedule()


def test_what_the_sun_will_likely_give_is_not_bought() -> None:
    prices = (Stretch(0.0, HOUR, 0.1), Stretch(HOUR, 2 * HOUR, 0.2, spare_w=5_000.0), Stretch(2 * HOUR, 3 * HOUR, 0.3))
    schedule = cheapest(prices, 12_000.0, POWER_W, least_w=1_400.0)
    assert runs(schedule) == [(0.0, 0.7)]
    assert schedule.sun_wh == pytest.approx(5_000.0)
    assert runs(cheapest(prices, 4_000.0, POWER_W, least_w=1_400.0)) == []
    assert runs(cheapest(prices, 12_000.0, POWER_W, least_w=6_000.0)) == [(0.0, 1.2)]  # too little to charge with


def test_no_sun_is_counted_while_it_is_bought_in_that_time() -> None:
    prices = (Stretch(0.0, HOUR, 0.1, spare_w=5_000.0), Stretch(HOUR, 2 * HOUR, 0.2))
    schedule = cheapest(prices, 18_000.0, POWER_W)
    bought_wh = sum(end - start for start, end in runs(schedule)) * POWER_W
    assert bought_wh + schedule.sun_wh >= 18_000.0 - 1.0


def test_negative_prices_are_the_best() -> None:
    schedule = cheapest(hours(0.1, -0.2, 0.0, -0.1), 20_000.0, POWER_W)
    assert schedule.least_cost == pytest.approx(-3.0)
    assert schedule.cost <= -3.0 * (1.0 - TOLERANCE)


def any_prices(r: random.Random, count: int) -> tuple[Stretch, ...]:
    found, at = [], 0.0
    for _ in range(count):
        length = r.choice((900.0, 900.0, 3600.0, r.uniform(1.0, 5000.0)))
        found.append(Stretch(at, at + length, r.choice((0.1, 0.2, round(r.uniform(-0.1, 0.5), 4)))))
        at += length
    return tuple(found)


def test_it_is_the_exact_optimum_but_for_what_fewer_switches_may_cost() -> None:
    for seed in range(2000 if LONG else 150):
        r = random.Random(seed)
        prices = any_prices(r, r.randrange(1, 60))
        length_s = prices[-1].end_s
        need_wh = r.uniform(0.01, 1.0) * length_s * POWER_W / 3600.0
        exact = exact_cost(prices, need_wh, POWER_W)
        plain = cheapest(prices, need_wh, POWER_W, at_most=float("-inf"))
        assert plain.cost == pytest.approx(exact, abs=1e-6), seed
        calm = cheapest(prices, need_wh, POWER_W)
        assert calm.least_cost == pytest.approx(exact, abs=1e-6), seed
        assert calm.cost <= exact + TOLERANCE * abs(exact) + 1e-6, seed
        assert len(calm.runs) <= len(plain.runs), seed
        for schedule in (plain, calm):
            assert sum(run.end_s - run.start_s for run in schedule.runs) * POWER_W / 3600.0 == pytest.approx(need_wh)
            assert all(a.end_s < b.start_s for a, b in zip(schedule.runs, schedule.runs[1:], strict=False))
            assert not schedule.runs or (schedule.runs[0].start_s >= 0.0 and schedule.runs[-1].end_s <= length_s + 1e-6)


def test_small_ones_have_as_few_switches_as_brute_force_finds() -> None:
    """Whole hours of few prices: among all choices of hours that cost the least, none has fewer runs."""
    for seed in range(400 if LONG else 60):
        r = random.Random(seed)
        costs = [r.choice((0.1, 0.2, 0.3)) for _ in range(r.randrange(2, 9))]
        count = r.randrange(1, len(costs) + 1)
        choices = [one for one in product((0, 1), repeat=len(costs)) if sum(one) == count]
        least = min(sum(c for c, on in zip(costs, one, strict=True) if on) for one in choices)
        fewest = min(
            sum(1 for at, on in enumerate(one) if on and not (at and one[at - 1]))
            for one in choices
            if sum(c for c, on in zip(costs, one, strict=True) if on) <= least + 1e-9
        )
        schedule = cheapest(hours(*costs), count * POWER_W, POWER_W)
        assert len(schedule.runs) <= fewest, (seed, costs, count, runs(schedule))
