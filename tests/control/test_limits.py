"""Limits beside fuses: for charging alone, in watts, by order; and who is served first."""

from __future__ import annotations

import math
from typing import Any

import pytest
from attrs import evolve

from charging_manager.control.because import sentence
from charging_manager.control.decide import Rules, decide
from charging_manager.errors import ConfigError
from charging_manager.model.outside import Dimming, Outside
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Obedience, Reading, Status
from charging_manager.model.site import Breaker, BreakerCurve, ChargePoint, Circuit, Meter, MeterRole, Site, check_site
from charging_manager.model.wish import Wish
from tests.control.world import Car, World

WIDE = (100.0, 100.0, 100.0)


def site(points: list[ChargePoint] | None = None, more: dict[str, Any] | None = None, **root: Any) -> Site:
    """A wide fuse with a meter; whatever is said of its circuit and of the site."""
    boxes = points or [ChargePoint("a", "a", "main"), ChargePoint("b", "b", "main")]
    main = evolve(Circuit("main", "Main", None, WIDE, meter="grid"), **root)
    meter = Meter("grid", "Grid", "main", MeterRole.GRID)
    return check_site(Site("x", "none", {"main": main}, {b.id: b for b in boxes}, {"grid": meter}, **(more or {})))


def plugged(
    here: Site,
    house: Any = 0.0,
    volts: float | None = None,
    now_s: float = 100.0,
    last: Plan | None = None,
    **more: Any,
) -> SiteImage:
    """Everybody plugged in, and nobody has charged yet."""
    three = house if isinstance(house, tuple) else (house, house, house)
    voltage = (volts, volts, volts)
    readings = {
        name: (Reading(name, now_s, (0.0, 0.0, 0.0), voltage, status=Status.PLUGGED),) for name in here.charge_points
    }
    readings["grid"] = (Reading("grid", now_s, three, voltage),)
    obedience = {name: Obedience(32.0, None, 0.0, 0.0, 30.0, True, 0.0) for name in here.charge_points}
    return evolve(SiteImage(now_s, 1, here, readings, obedience, last), **more)


def amps(plan: Plan) -> list[float]:
    assert plan.violations == ()
    return [setpoint.current_a for setpoint in plan.setpoints.values()]


def codes(plan: Plan) -> list[str]:
    assert all("{" not in sentence(setpoint.because) for setpoint in plan.setpoints.values())
    return [setpoint.because.code for setpoint in plan.setpoints.values()]


def dimmed(watts: float) -> dict[str, Any]:
    return {"outside": Outside(dimming=Dimming(watts, "api"))}


def test_a_feeder_for_charging_is_shared_whatever_else_flows() -> None:
    plan = decide(plugged(site(charging_limit_a=(20.0, 30.0, 30.0)), house=50.0), Rules())
    assert (amps(plan), codes(plan)) == ([10.0, 10.0], ["feeder-limit"] * 2)


def test_watts_of_all_that_flows_count_the_house() -> None:
    here = site(limit_w=230.0 * 60.0)
    assert amps(decide(plugged(here), Rules())) == [10.0, 10.0]
    plan = decide(plugged(here, house=(6.0, 0.0, 6.0)), Rules())
    assert (amps(plan), codes(plan)) == ([8.0, 8.0], ["power-limit"] * 2)


def test_watts_for_charging_do_not_count_the_house() -> None:
    plan = decide(plugged(site(charging_limit_w=230.0 * 60.0), house=40.0), Rules())
    assert (amps(plan), codes(plan)) == ([10.0, 10.0], ["charging-power"] * 2)


def held(watts: float, *names: str) -> dict[str, Any]:
    return {"outside": Outside(dimming=Dimming(watts, "api", frozenset(names)))}


def test_an_order_holds_those_that_it_names_and_no_other() -> None:
    here = site([ChargePoint(name, name, "main") for name in ("a", "b", "c")])
    plan = decide(evolve(plugged(here), **held(230.0 * 42.0, "a", "b")), Rules())
    assert (amps(plan), codes(plan)[:2]) == ([7.0, 7.0, 32.0], ["dimmed"] * 2)
    assert amps(decide(evolve(plugged(here), **held(0.0, "c")), Rules())) == [32.0, 32.0, 0.0]
    assert amps(decide(evolve(plugged(here), **held(0.0)), Rules()))[0] > 0.0, "an order for nobody holds nobody"


def test_one_phase_weighs_a_third_of_three() -> None:
    here = site([ChargePoint("a", "a", "main"), ChargePoint("b", "b", "main", (1,))], charging_limit_w=230.0 * 48.0)
    assert amps(decide(plugged(here), Rules())) == [12.0, 12.0]


@pytest.mark.parametrize(("volts", "given"), [(None, 10.0), (228.0, 10.0), (231.0, 9.0), (253.0, 9.0), (9e9, 10.0)])
def test_watts_hold_at_the_voltage_that_is_measured(volts: float | None, given: float) -> None:
    assert amps(decide(plugged(site(charging_limit_w=230.0 * 60.0), volts=volts), Rules())) == [given, given]


def test_a_voltage_that_has_sunk_counts_for_five_minutes_more() -> None:
    here = site(charging_limit_w=230.0 * 60.0)
    high = decide(plugged(here, volts=250.0), Rules())
    soon = decide(plugged(here, volts=231.0, now_s=101.0, last=high), Rules())
    assert soon.memory.volts["main"].volts == 250.0  # type: ignore[attr-defined]
    late = decide(plugged(here, volts=231.0, now_s=401.0, last=soon), Rules())
    assert late.memory.volts["main"].volts == 231.0  # type: ignore[attr-defined]


def test_the_grid_operator_is_obeyed_and_named() -> None:
    here = site()
    plan = decide(plugged(here, **dimmed(4200.0)), Rules())
    assert (amps(plan), codes(plan)) == ([6.0, 0.0], ["dimmed", "dimmed"])
    free = decide(plugged(here, now_s=101.0, last=plan), Rules())
    assert amps(free) == [6.0, 32.0]  # the first rises in steps


@pytest.mark.parametrize("watts", [math.nan, -1.0, -math.inf, math.inf, 0.0])
def test_an_order_that_makes_no_sense_is_one_for_nothing(watts: float) -> None:
    plan = decide(plugged(site(), **dimmed(watts)), Rules())
    assert (amps(plan), codes(plan)) == ([0.0, 0.0], ["dimmed", "dimmed"])


def test_no_breaker_softens_an_order() -> None:
    here = site([ChargePoint("a", "a", "main")], limit_a=(32.0, 32.0, 32.0), breaker=Breaker(BreakerCurve.B, 32.0))
    world = World(here, Rules(bear_s=60.0))
    world.boxes["a"].car = Car()
    world.run(120.0)
    world.order(230.0 * 30.0)
    world.run(10.0)
    assert world.flow("main") == [10.0, 10.0, 10.0]


def test_an_order_is_obeyed_within_five_seconds() -> None:
    world = World(site())
    for box in world.boxes.values():
        box.car = Car()
    world.run(60.0)
    world.order(4200.0)
    world.run(5.0)
    assert sum(box.limit_a for box in world.boxes.values()) <= 4200.0 / 230.0 / 3.0


def test_an_order_for_some_is_obeyed_while_the_others_charge_on() -> None:
    world = World(site([ChargePoint(name, name, "main") for name in ("a", "b", "c")]))
    for box in world.boxes.values():
        box.car = Car()
    world.run(60.0)
    world.order(4200.0, frozenset({"a", "b"}))
    world.run(5.0)
    assert world.boxes["a"].limit_a + world.boxes["b"].limit_a <= 4200.0 / 230.0 / 3.0
    world.run(60.0)
    assert world.boxes["c"].limit_a == 32.0
    assert world.plan is not None and world.plan.violations == ()
    world.order(0.0, frozenset({"a", "b"}))
    world.silence("c")
    world.run(60.0)
    assert world.boxes["a"].limit_a + world.boxes["b"].limit_a == 0.0


def test_the_watts_of_a_charge_point_are_its_own_limit() -> None:
    points = [ChargePoint("a", "a", "main", max_w=11000.0), ChargePoint("b", "b", "main", (0,), max_w=4600.0)]
    plan = decide(plugged(site(points)), Rules())
    assert (amps(plan), codes(plan)) == ([15.0, 20.0], ["own-power", "own-power"])
    assert amps(decide(plugged(site(points), volts=240.0), Rules())) == [15.0, 19.0]
    plan = decide(plugged(site([evolve(points[0], max_w=4000.0)])), Rules())
    assert (amps(plan), codes(plan)) == ([0.0], ["own-power-too-low"])


def test_who_charges_may_have_a_higher_priority_and_never_a_lower_one() -> None:
    here = site(limit_a=(10.0, 10.0, 10.0))
    assert amps(decide(plugged(here), Rules())) == [10.0, 0.0]
    assert amps(decide(plugged(here, wishes={"b": Wish(priority=1)}), Rules())) == [0.0, 10.0]
    lower = {"a": Wish(priority=-5), "b": Wish(priority=0)}
    assert amps(decide(plugged(here, wishes=lower), Rules())) == [10.0, 0.0]


def test_first_come_is_served_first_and_turns_do_not_rotate() -> None:
    here = site([ChargePoint(name, name, "main") for name in "abc"], {"first_come": True}, limit_a=(13.0, 13.0, 13.0))
    world = World(here, Rules(pause_s=20.0, turn_s=40.0))
    for name in "cab":
        world.boxes[name].car = Car()
        world.run(5.0)
    for _ in range(10):
        world.run(30.0)
        assert world.plan is not None
        assert [world.plan.setpoints[name].current_a for name in "abc"] == [6.0, 0.0, 6.0]
    assert world.plan.setpoints["b"].because.code == "first-come"


def test_unbalance_counts_the_house_where_it_is_said_so() -> None:
    points = [ChargePoint("a", "a", "main", (0,)), ChargePoint("b", "b", "main", (1,))]
    house = (12.0, 0.0, 0.0)
    without = {"unbalance_a": 20.0}
    assert amps(decide(plugged(site(points, without), house=house), Rules())) == [20.0, 20.0]
    plan = decide(plugged(site(points, {**without, "unbalance_with_house": True}), house=house), Rules())
    assert (amps(plan), codes(plan)) == ([8.0, 20.0], ["unbalance", "unbalance"])


def test_a_house_that_nobody_sees_leaves_no_unbalance() -> None:
    points = [ChargePoint("a", "a", "main", (0,)), ChargePoint("b", "b", "main")]
    here = site(points, {"unbalance_a": 20.0, "unbalance_with_house": True}, fallback_a=16.0)
    image = plugged(here)
    readings = {name: kept for name, kept in image.readings.items() if name != "grid"}
    assert amps(decide(evolve(image, readings=readings), Rules())) == [0.0, 16.0]


@pytest.mark.parametrize(
    "root",
    [
        {"limit_a": (4.0, 32.0, 32.0)},
        {"limit_a": (0.0, 32.0, 32.0)},
        {"limit_a": (8.0, 8.0, 8.0), "reserve_a": 3.0},
        {"charging_limit_a": (5.0, 5.0, 5.0)},
        {"limit_w": 4000.0},
        {"charging_limit_w": 0.0},
    ],
)
def test_a_circuit_below_the_least_of_its_box_is_named(root: dict[str, Any]) -> None:
    plan = decide(plugged(site(**root)), Rules())
    assert (amps(plan), codes(plan)) == ([0.0, 0.0], ["circuit-too-low"] * 2)
    assert plan.setpoints["a"].because.fields == {"circuit": "Main", "amps": 6.0}


@pytest.mark.parametrize(
    ("root", "where"),
    [
        ({"charging_limit_a": (math.nan, 1.0, 1.0)}, r"circuits\.main\.charging_limit_a"),
        ({"limit_w": -1.0}, r"circuits\.main\.limit_w"),
        ({"charging_limit_w": math.nan}, r"circuits\.main\.charging_limit_w"),
        ({"breaker": Breaker(BreakerCurve.B, math.nan)}, r"circuits\.main\.breaker\.rated_a"),
        ({"breaker": Breaker(BreakerCurve.B, 126.0)}, r"circuits\.main\.breaker\.rated_a"),
        ({"breaker": Breaker(BreakerCurve.C, 63.0)}, "does not bear the limit of 100 A"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_name(root: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError, match=where):
        site(**root)


def test_watts_of_a_charge_point_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"devices\.a\.max_w"):
        site([ChargePoint("a", "a", "main", max_w=math.nan)])


def test_lowering_is_never_delayed_and_raising_is() -> None:
    world = World(site([ChargePoint("a", "a", "main")], limit_a=(40.0, 40.0, 40.0)))
    world.boxes["a"].car = Car()
    world.run(60.0)
    given: list[float] = []
    world.judges.append(lambda world, image, plan: given.append(plan.setpoints["a"].current_a))
    for house in (10.0, 20.0, 30.0):
        world.set_house("main", house)
        world.run(4.0)
    assert given == sorted(given, reverse=True)
    assert given[-1] == 10.0
    world.set_house("main", 0.0)
    world.run(9.0)
    assert given[-1] == 10.0
    world.run(10.0)
    assert given[-1] == 32.0
