"""What a breaker bears: the curve's lower edge, a short peak and a long one."""

from __future__ import annotations

import math

import pytest
from attrs import evolve

from charging_manager.control.breaker import tau_s, warmed, watch
from charging_manager.control.decide import Rules
from charging_manager.control.memory import Heat
from charging_manager.model.site import Breaker, BreakerCurve, ChargePoint, Circuit, Meter, MeterRole, Site, check_site
from tests.control.world import Car, World

RULES = Rules()
SMALL, LARGE = Breaker(BreakerCurve.B, 32.0), Breaker(BreakerCurve.C, 80.0)


def trips_after_s(breaker: Breaker, times: float, before: float = 0.0) -> float:
    """Until it is hot, from having carried so many times its rated current for ever; inf: never within a day."""
    heat, passed_s = before * before, 0.0
    while passed_s < 86400.0:
        passed_s += 1.0
        heat = warmed(breaker, heat, times * breaker.rated_a, 1.0, RULES)
        if heat >= 1.0 - 1e-9:
            return passed_s
    return math.inf


@pytest.mark.parametrize(("breaker", "conventional_s"), [(SMALL, 3600.0), (LARGE, 7200.0)])
def test_the_conventional_current_is_borne_for_the_conventional_time_and_no_longer(
    breaker: Breaker, conventional_s: float
) -> None:
    assert trips_after_s(breaker, 1.13) == pytest.approx(conventional_s, abs=1.0)
    assert trips_after_s(breaker, 0.999) == math.inf


@pytest.mark.parametrize("times", [1.14, 1.45, 2.55, 3.0, 10.0, math.inf, math.nan])
def test_above_the_conventional_current_nothing_is_promised(times: float) -> None:
    assert trips_after_s(SMALL, times) == 1.0


@pytest.mark.parametrize(("before", "least_s", "most_s"), [(0.8, 1900, 2000), (0.95, 700, 720), (0.999, 0, 30)])
def test_what_it_carried_before_is_time_that_it_lacks(before: float, least_s: float, most_s: float) -> None:
    assert least_s <= trips_after_s(SMALL, 1.13, before) <= most_s


def test_many_small_steps_are_one_large_one() -> None:
    heat = 0.2
    for _ in range(600):
        heat = warmed(SMALL, heat, 33.0, 1.0, RULES)
    assert heat == pytest.approx(warmed(SMALL, 0.2, 33.0, 600.0, RULES))


def test_what_nobody_saw_heats_it_fully() -> None:
    cool = Heat(0.1, 100.0, 10.0, bears=True)
    assert watch(SMALL, cool, 10.0, 101.0, RULES).bears
    for past, now_s, flow_a in ((None, 101.0, 10.0), (cool, 131.0, 10.0), (cool, 99.0, 10.0), (cool, 101.0, math.inf)):
        assert watch(SMALL, past, flow_a, now_s, RULES) == Heat(1.0, now_s, flow_a)
    assert watch(SMALL, cool, math.nan, 101.0, RULES).heat == 1.0


def test_it_bears_again_only_when_it_is_well_below() -> None:
    for heat, bore, bears in ((0.95, True, True), (0.95, False, False), (0.985, True, False), (0.85, False, True)):
        assert watch(SMALL, Heat(heat, 100.0, 30.0, bore), 30.0, 100.0, RULES).bears is bears


def evening(breaker: Breaker | None) -> World:
    """A car at 20 A behind a fuse of 32 A."""
    site = check_site(
        Site(
            "house",
            "none",
            {"main": Circuit("main", "Main", None, (32.0, 32.0, 32.0), meter="grid", breaker=breaker)},
            {"box": ChargePoint("box", "Box", "main", max_a=20.0)},
            {"grid": Meter("grid", "Grid", "main", MeterRole.GRID)},
        )
    )
    world = World(site, Rules(bear_s=600.0))
    world.boxes["box"].car = Car()
    world.run(900.0)  # from hot, as at every start
    return world


def lowest_of(world: World, house_a: float, seconds: float) -> float:
    given: list[float] = []
    world.judges.append(lambda world, image, plan: given.append(plan.setpoints["box"].current_a))
    world.set_house("main", house_a)
    world.run(seconds)
    world.judges.pop()
    return min(given)


def test_a_short_peak_throttles_only_without_a_breaker() -> None:
    assert lowest_of(evening(None), 15.0, 60.0) < 18.0
    assert lowest_of(evening(SMALL), 15.0, 60.0) == 20.0


def test_a_long_peak_throttles_and_what_was_too_much_cools() -> None:
    world = evening(SMALL)
    assert lowest_of(world, 15.0, 120.0) == 20.0
    assert lowest_of(world, 15.0, 900.0) <= 14.0  # 32 less 15, less the overdraft of 3
    world.run(400.0)
    assert world.plan is not None
    assert world.plan.setpoints["box"].current_a == 17.0
    assert world.plan.violations == ()


def test_a_peak_above_what_it_bears_is_lowered_to_what_it_bears_at_once_and_to_the_limit_when_seen() -> None:
    assert lowest_of(evening(SMALL), 18.0, 8.0) <= 14.0


def test_nobody_is_raised_into_what_a_breaker_bears() -> None:
    world = evening(SMALL)
    world.set_house("main", 15.0)
    world.run(30.0)
    assert world.flow("main")[0] == 35.0
    world.boxes["box"].car = None
    world.run(20.0)
    world.boxes["box"].car = Car()
    world.run(30.0)
    assert world.flow("main")[0] <= 32.0


def test_a_rated_current_above_the_limit_gives_no_more_than_the_limit_does() -> None:
    site = evolve(evening(None).site)
    assert tau_s(SMALL, RULES) < tau_s(LARGE, RULES)
    wide = Breaker(BreakerCurve.C, 63.0)
    circuits = {"main": evolve(site.circuits["main"], breaker=wide)}
    world = World(check_site(evolve(site, circuits=circuits)), Rules(bear_s=600.0))
    world.boxes["box"].car = Car()
    world.run(900.0)
    assert lowest_of(world, 18.0, 60.0) <= 18.0  # 1.13 times 32 A, not 63 A
