"""Plans against the exact optimum, night by night: in time whenever that is possible, and at most 1 % dearer.

``CM_LONG=1`` lives 600 nights and prints what came of it.
"""

from __future__ import annotations

import statistics

import pytest
from attrs import evolve

from tests.control.plan_nights import Lived, Night, draw, live
from tests.support.strategies import LONG

NIGHTS = 600 if LONG else 24


@pytest.fixture(scope="module")
def lived() -> list[tuple[int, Night, Lived]]:
    found = []
    for seed in range(NIGHTS):
        night = draw(seed)
        found.append((seed, night, live(night if LONG else evolve(night, every_s=10.0))))
    return found


def test_a_goal_that_can_be_reached_is_reached_in_time(lived: list[tuple[int, Night, Lived]]) -> None:
    feasible = [one for one in lived if one[2].feasible]
    print(f"\n{len(feasible)} of {len(lived)} nights are feasible")
    assert len(feasible) >= NIGHTS // 2
    assert [seed for seed, _, how in feasible if not how.in_time] == []


def test_what_cannot_be_is_said_at_once_and_nothing_else_is(lived: list[tuple[int, Night, Lived]]) -> None:
    hopeless = [one for one in lived if one[2].hopeless]
    print(f"\n{len(hopeless)} of {len(lived)} nights are hopeless from the start")
    assert hopeless
    assert [seed for seed, _, how in hopeless if not how.announced] == []
    assert [seed for seed, _, how in lived if how.feasible and (how.announced or how.announced_later)] == []
    assert [seed for seed, _, how in lived if not how.feasible and not how.announced_later] == []


def test_it_costs_hardly_more_than_the_cheapest_schedule_there_is(lived: list[tuple[int, Night, Lived]]) -> None:
    known = [how for _, night, how in lived if how.feasible and night.known_w == night.car_w]
    other = [how for _, night, how in lived if how.feasible and night.known_w != night.car_w]
    for name, nights, goal in (("known", known, 0.01), ("less or not known", other, 0.03)):
        total = sum(how.cost for how in nights) / sum(how.least_cost for how in nights) - 1.0
        over = sorted((how.cost - how.least_cost) / max(abs(how.least_cost), 1e-6) for how in nights)
        starts = statistics.mean(how.starts for how in nights)
        print(
            f"\n{name}: {len(nights)} nights, {100 * total:.2f} % above the cheapest,"
            f" median {100 * over[len(over) // 2]:.2f} %,"
            f" 95 % below {100 * over[int(len(over) * 0.95)]:.2f} %, worst {100 * over[-1]:.2f} %, {starts:.1f} starts"
        )
        assert total <= goal
        assert over[len(over) // 2] <= 0.01
        assert starts <= 4.0
