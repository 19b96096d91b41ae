"""One decision, seen alone: pure, repeatable, and safe when little is known."""

from __future__ import annotations

import pytest
from attrs import evolve

from charging_manager.control.decide import Rules, decide
from charging_manager.control.wiring import ceil_step, floor_step, wire
from charging_manager.errors import ConfigError
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Obedience, Reading, Status
from charging_manager.model.site import ChargePoint, Circuit, Meter, MeterRole, Site, check_site
from tests.control.adventure import live, set_out
from tests.control.test_planted import garage
from tests.control.world import World

SITE = check_site(
    Site(
        "house",
        "none",
        {"main": Circuit("main", "Main", None, (32.0, 32.0, 32.0), meter="grid")},
        {"box": ChargePoint("box", "Box", "main")},
        {"grid": Meter("grid", "Grid", "main", MeterRole.GRID)},
    )
)
OBEDIENT = Obedience(32.0, None, 0.0, 0.0, 30.0, answering=True, silent_s=0.0)


def image(now_s: float = 100.0, house_a: float | None = 10.0, last: Plan | None = None, **more: object) -> SiteImage:
    readings = {"box": (Reading("box", now_s, (0.0, 0.0, 0.0), status=Status.PLUGGED),)}
    if house_a is not None:
        readings["grid"] = (Reading("grid", now_s, (house_a, house_a, house_a)),)
    return evolve(SiteImage(now_s, 1, SITE, readings, {"box": OBEDIENT}, last), **more)


def test_a_car_gets_what_the_house_leaves_and_hears_why() -> None:
    setpoint = decide(image(), Rules()).setpoints["box"]
    assert setpoint.current_a == 22.0
    assert setpoint.because.code == "circuit-limit"
    assert setpoint.because.fields == {"circuit": "Main", "phase": "L1", "limit": 32.0, "cars": 1}


def test_the_same_image_gives_the_same_plan() -> None:
    one, two = decide(image(), Rules()), decide(image(), Rules())
    assert (one.setpoints, one.budgets) == (two.setpoints, two.budgets)


def test_a_run_repeats_itself_exactly() -> None:
    def plans() -> list[Plan]:
        world, kept = set_out(garage(), 3), []

        def keep(_: World, __: SiteImage, plan: Plan) -> None:
            kept.append(plan.setpoints)

        world.judges.append(keep)
        live(world, 10)
        return kept

    assert plans() == plans()


def test_without_a_meter_reading_nothing_is_given() -> None:
    plan = decide(image(house_a=None), Rules())
    assert plan.setpoints["box"].current_a == 0.0
    assert plan.setpoints["box"].because.code == "meter-silent"
    assert plan.budgets["main"].stale
    assert plan.budgets["main"].free_a == (0.0, 0.0, 0.0)


def test_solar_export_is_no_credit_beyond_the_limit() -> None:
    assert decide(image(house_a=-40.0), Rules()).setpoints["box"].current_a == 32.0


def test_an_empty_site_has_an_empty_plan() -> None:
    plan = decide(SiteImage(1.0, 1, Site("none", "none"), {}, {}), Rules())
    assert (plan.setpoints, plan.budgets, plan.violations) == ({}, {}, ())


def test_a_box_of_which_nothing_is_known_gets_nothing_and_is_counted() -> None:
    plan = decide(evolve(image(), readings={"grid": image().readings["grid"]}, obedience={}), Rules())
    assert plan.setpoints["box"].current_a == 0.0
    assert plan.setpoints["box"].because.code == "silent"


def test_a_box_that_answers_and_cannot_be_read_is_silent() -> None:
    for answering, silent_s in ((True, 0.0), (True, None), (False, 0.1), (False, None)):
        heard = evolve(OBEDIENT, answering=answering, silent_s=silent_s)
        plan = decide(evolve(image(), readings={"grid": image().readings["grid"]}, obedience={"box": heard}), Rules())
        assert (plan.setpoints["box"].current_a, plan.setpoints["box"].because.code) == (0.0, "silent")


def test_an_unconfirmed_box_is_first_brought_to_zero() -> None:
    fresh = evolve(OBEDIENT, confirmed_a=None)
    plan = decide(evolve(image(), obedience={"box": fresh}), Rules())
    assert plan.setpoints["box"].current_a == 0.0
    assert plan.setpoints["box"].because.code == "others-first"


def test_what_was_only_sent_is_no_confirmation() -> None:
    sent = evolve(OBEDIENT, confirmed_a=None, commanded_a=0.0)
    site = evolve(SITE, charge_points={**SITE.charge_points, "two": ChargePoint("two", "Two", "main")})
    both = evolve(image(), site=site, obedience={"box": OBEDIENT, "two": sent})
    readings = {**both.readings, "two": (evolve(both.readings["box"][0], device="two"),)}
    plan = decide(evolve(both, readings=readings), Rules())
    assert [setpoint.current_a for setpoint in plan.setpoints.values()] == [0.0, 0.0]


def test_a_one_phase_box_need_not_show_the_other_phases() -> None:
    site = evolve(SITE, charge_points={"box": evolve(SITE.charge_points["box"], phases=(1,))})
    plan, now_s = None, 100.0
    for _ in range(60):
        now_s += 1.0
        told = plan.setpoints["box"].current_a if plan else 0.0
        draws = min(told, 9.0)
        now = image(now_s, last=plan, site=site, obedience={"box": evolve(OBEDIENT, confirmed_a=told)})
        box = Reading("box", now_s, (None, draws, None), status=Status.CHARGING if draws else Status.PLUGGED)
        grid = Reading("grid", now_s, (10.0, 10.0 + draws, 10.0))
        plan = decide(evolve(now, readings={"box": (box,), "grid": (grid,)}), Rules())
    assert plan is not None
    assert plan.setpoints["box"].because.code == "car-takes-less"
    assert plan.setpoints["box"].current_a == 11.0


def test_a_changed_site_is_wired_anew() -> None:
    first = decide(image(), Rules())
    tighter = evolve(SITE, circuits={"main": evolve(SITE.circuits["main"], limit_a=(18.0, 18.0, 18.0))})
    second = decide(evolve(image(101.0, last=first), site=tighter), Rules())
    assert second.setpoints["box"].current_a == 8.0
    assert second.memory.wiring is not first.memory.wiring  # type: ignore[attr-defined]


def test_a_meter_of_house_load_alone_is_taken_as_it_is() -> None:
    site = check_site(
        evolve(
            SITE,
            circuits={"main": evolve(SITE.circuits["main"], meter=None)},
            meters={"flat": Meter("flat", "Flat", "main", MeterRole.LOAD)},
        )
    )
    with_load = evolve(image(), site=site)
    readings = {"box": with_load.readings["box"], "flat": (Reading("flat", 100.0, (9.0, 12.0, 9.0)),)}
    assert decide(evolve(with_load, readings=readings), Rules()).setpoints["box"].current_a == 20.0
    assert decide(evolve(with_load, readings={"box": readings["box"]}), Rules()).setpoints["box"].current_a == 0.0


def test_steps_are_rounded_the_safe_way() -> None:
    assert [floor_step(amps, 1.0) for amps in (6.0, 6.999, 5.9999999)] == [6.0, 6.0, 6.0]
    assert [ceil_step(amps, 1.0) for amps in (6.0, 6.2, 7.0)] == [6.0, 7.0, 7.0]
    assert floor_step(13.37, 0.1) == 13.3


def test_lines_climb_to_the_root() -> None:
    wiring = wire(garage())
    wing = next(index for index, circuit in enumerate(wiring.circuits) if circuit.id == "wing")
    assert wiring.paths[wing][0b100] == (3 * wing + 2, 2)


@pytest.mark.parametrize(("change", "where"), [({"max_a": float("nan")}, "max_a"), ({"step_a": 0.0}, "step_a")])
def test_a_charge_point_with_impossible_numbers_is_refused(change: dict[str, float], where: str) -> None:
    broken = evolve(SITE, charge_points={"box": evolve(SITE.charge_points["box"], **change)})
    with pytest.raises(ConfigError, match=rf"devices\.box\.{where}"):
        check_site(broken)


def test_a_solar_meter_cannot_be_the_meter_of_a_circuit() -> None:
    broken = evolve(SITE, meters={"grid": evolve(SITE.meters["grid"], role=MeterRole.SOLAR)})
    with pytest.raises(ConfigError, match="does not see what the circuit draws"):
        check_site(broken)
