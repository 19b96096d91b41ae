"""Stories of sharing: fuses, priorities, turns, cars that take less."""

from __future__ import annotations

from attrs import evolve

from charging_manager.control.decide import Rules
from charging_manager.model.site import ChargePoint, Circuit, Mode
from tests.control.world import World
from tests.scenarios.script import SiteScript


def box(name: str, **more: object) -> ChargePoint:
    return evolve(ChargePoint(name, name, "main"), **more)


def test_a_filling_house_slows_the_car() -> None:
    site = SiteScript(box("garage", max_a=32.0))
    site.plug("garage").house(4.0).after(5.0).expect("garage", 28.0, "circuit-limit")
    site.after(10.0).house(15.0).after(2.0).expect("garage", 17.0, "circuit-limit")
    site.after(60.0).house(2.0).after(60.0).expect("garage", 29.0).after(300.0).expect("garage", 30.0)
    site.house(0.0).after(60.0).expect("garage", 32.0, "maximum")


def test_three_cars_and_twenty_amperes_of_house_load_never_pass_the_fuse_and_turns_rotate() -> None:
    site = SiteScript()
    site.house(20.0).plug("left", "right", "yard").after(10.0)
    assert len(site.charging()) == 2
    seen = set(site.charging())
    for _ in range(20):
        site.after(60.0)
        seen |= site.charging()
    assert seen == {"left", "right", "yard"}
    assert site.most_a <= 32.0 + 1e-6


def test_twelve_amperes_carry_two_cars_for_a_whole_turn_without_a_single_change() -> None:
    site = SiteScript()
    site.house(20.0).plug("left", "right", "yard", ramp_a_per_s=3.0).after(30.0)
    assert len(site.charging()) == 2
    site.watch().after(600.0)
    assert site.changes == []


def test_a_car_that_starts_is_not_taken_for_house_load() -> None:
    site = SiteScript(limit_a=40.0)
    site.house(20.0).plug("left", ramp_a_per_s=2.0).after(30.0).expect("left", 20.0)
    site.world.boxes["right"].offset_s = 0.75
    site.plug("right", ramp_a_per_s=30.0).watch().after(60.0)
    site.expect("left", 10.0).expect("right", 10.0)
    assert [amps for _, _, amps in site.changes if amps == 0.0] == []


def test_jitter_of_the_house_at_the_edge_makes_nobody_start_and_stop() -> None:
    site = SiteScript()
    noise = iter([0.0, 0.2, 0.1, 0.05, 0.15] * 4000)
    site.world.noise = lambda: next(noise)
    site.house(19.9).plug("left", "right").after(120.0)
    site.watch().after(700.0)
    assert len(site.changes) <= 20, site.changes  # less than two a minute, and never to 0
    assert all(amps >= 11.0 for _, _, amps in site.changes)


def test_a_sudden_house_load_is_answered_within_two_decisions_and_the_flow_is_down_in_ten_seconds() -> None:
    site = SiteScript(limit_a=63.0)
    site.plug("left", "right", ramp_a_per_s=5.0).after(30.0)
    site.expect("left", 31.0).house(40.0).after(2.0)
    assert sum(setpoint.current_a for setpoint in site.world.plan.setpoints.values()) <= 23.0  # type: ignore[union-attr]
    site.after(8.0).watch().after(5.0)
    assert site.most_a <= 63.0


def test_far_above_the_fuse_the_lowest_priority_stops_at_once() -> None:
    site = SiteScript(box("first", priority=1), box("last"), limit_a=32.0)
    site.house(8.0).plug("first", "last").after(30.0)
    site.expect("first", 24.0).expect("last", 0.0)
    site = SiteScript(box("first", priority=1, max_a=10.0), box("last", max_a=16.0), limit_a=32.0)
    site.plug("first", "last").after(30.0).expect("last", 16.0).house(22.0).after(1.0)
    site.expect("last", 0.0, "overload").expect("first", 10.0)


def test_an_overdraft_that_lasts_lowers_the_budget_for_five_minutes() -> None:
    site = SiteScript(box("garage", max_a=32.0), rules=Rules(pause_s=5.0))
    site.house(35.0).plug("garage").after(20.0).house(0.0).after(30.0).expect("garage", 29.0, "overdraft")
    site.after(300.0).expect("garage", 32.0)


def test_what_flows_too_much_for_the_time_of_a_reaction_is_no_overdraft() -> None:
    site = SiteScript(box("garage", max_a=32.0))
    site.plug("garage").after(30.0).house(10.0).after(15.0).expect("garage", 22.0, "circuit-limit")
    site.house(0.0).after(60.0).expect("garage", 32.0)


def test_higher_priority_is_served_first_and_takes_all_it_can() -> None:
    site = SiteScript(box("guest"), box("taxi", priority=5), limit_a=40.0)
    site.plug("guest").after(30.0).expect("guest", 32.0)
    site.plug("taxi").after(60.0).expect("taxi", 32.0, "maximum").expect("guest", 8.0, "priority")
    site.house(5.0).after(10.0).expect("taxi", 32.0).expect("guest", 0.0)


def test_a_one_phase_car_leaves_the_other_phases_to_the_others() -> None:
    site = SiteScript(box("zoe"), box("van", phases=(1,)), limit_a=20.0)
    site.plug("zoe", phases=(0,)).after(30.0).expect("zoe", 20.0)
    site.plug("van", phases=(0,)).after(30.0).expect("zoe", 20.0).expect("van", 19.0)
    assert [round(amps) for amps in site.world.flow("main")] == [20, 19, 0]


def test_a_car_that_begins_to_use_more_phases_is_held_at_once() -> None:
    site = SiteScript(box("odd"), box("van", phases=(1,)), limit_a=20.0)
    site.plug("odd", phases=(0,)).plug("van", phases=(0,)).after(60.0).expect("odd", 20.0).expect("van", 19.0)
    site.world.boxes["odd"].car.phases = (0, 1, 2)  # type: ignore[union-attr]
    site.after(10.0).watch().after(20.0)
    assert site.most_a <= 20.0


def test_phases_are_turned_as_the_boxes_are_wired() -> None:
    site = SiteScript(*(box(f"b{i}", phases=phases) for i, phases in enumerate([(0, 1, 2), (1, 2, 0), (2, 0, 1)])))
    site.plug("b0", "b1", "b2", phases=(0,)).after(90.0)
    for name in ("b0", "b1", "b2"):
        site.expect(name, 31.0)  # half an ampere is kept for each of the two others' unused phases


def test_what_a_car_does_not_take_goes_to_the_others_and_comes_back_when_it_asks() -> None:
    site = SiteScript(box("small"), box("big"), limit_a=40.0)
    site.plug("small", max_a=8.0).plug("big").after(20.0).expect("small", 20.0).expect("big", 20.0)
    site.after(60.0).expect("small", 10.0, "car-takes-less").expect("big", 30.0)
    site.world.boxes["small"].car.max_a = 32.0  # type: ignore[union-attr]
    site.after(60.0).expect("small", 20.0).expect("big", 20.0)


def test_a_full_car_does_not_hold_up_one_that_waits() -> None:
    site = SiteScript(box("full"), box("empty"), limit_a=11.0)
    site.plug("full", wants=False).after(200.0).expect("full", 6.0)
    site.plug("empty").after(10.0)
    assert site.charging() == {"empty"}
    site.expect("full", 0.0)


def test_a_newly_plugged_car_gets_a_try_when_a_turn_is_over() -> None:
    site = SiteScript(box("old"), box("new"), limit_a=8.0)
    site.plug("old").after(600.0).plug("new").after(60.0)
    assert site.charging() == {"old"}
    site.after(300.0)
    assert site.charging() == {"new"}
    site.expect("old", 0.0)
    site.after(900.0)
    assert site.charging() == {"old"}


def test_a_paused_car_rests_three_hundred_seconds_and_the_first_start_is_not_delayed() -> None:
    site = SiteScript(box("garage"))
    site.plug("garage").after(3.0).expect("garage", 32.0).after(20.0).house(30.0).after(2.0).expect("garage", 0.0)
    site.house(0.0).after(290.0).expect("garage", 0.0, "pause").after(20.0)
    assert (site.world.plan.setpoints["garage"].current_a) >= 6.0  # type: ignore[union-attr]


def test_off_stops_fast_starts_again_and_solar_waits_for_the_sun() -> None:
    site = SiteScript(box("garage"))
    site.plug("garage").after(10.0).expect("garage", 32.0)
    site.world.set_mode("garage", Mode.OFF)
    site.after(1.0).expect("garage", 0.0, "mode-off").after(20.0)
    site.world.set_mode("garage", Mode.FAST)
    site.after(5.0).expect("garage", 32.0)
    site.world.set_mode("garage", Mode.SOLAR)
    site.after(1.0).expect("garage", 0.0, "sun-wait")


def test_an_override_holds_a_car_lower_and_below_the_minimum_pauses_it() -> None:
    site = SiteScript(box("garage"))
    site.plug("garage").after(5.0)
    site.world.overrides["garage"] = 10.7
    site.after(2.0).expect("garage", 10.0, "override")
    site.world.overrides["garage"] = 5.0
    site.after(2.0).expect("garage", 0.0, "override")


def test_a_box_without_a_car_is_at_zero() -> None:
    SiteScript().after(5.0).expect("left", 0.0, "no-car")


def test_a_branch_without_a_meter_bounds_its_cars_by_its_own_limit() -> None:
    shed = Circuit("shed", "Shed", "main", (10.0, 10.0, 10.0))
    site = SiteScript(box("a", circuit="shed"), box("b"), circuits=(shed,))
    site.plug("a", "b").after(30.0).expect("a", 10.0, "circuit-limit").expect("b", 22.0)


def test_charging_differs_between_phases_by_no_more_than_the_unbalance_limit() -> None:
    site = SiteScript(box("one", phases=(0,)), box("two", phases=(1,)), limit_a=63.0, unbalance_a=20.0)
    site.plug("one", phases=(0,)).after(30.0).expect("one", 20.0, "unbalance")
    site.plug("two", phases=(0,)).after(60.0).expect("two", 20.0)
    site.world.boxes["one"].car.wants = False  # type: ignore[union-attr]
    site.after(20.0)
    flow = site.world.flow("main")
    assert max(flow) - min(flow) <= 20.0


def test_steps_of_two_amperes_are_rounded_down() -> None:
    site = SiteScript(box("coarse", step_a=2.0), limit_a=13.9)
    site.plug("coarse").after(10.0).expect("coarse", 12.0)


def test_when_room_comes_back_someone_charges_within_three_cycles() -> None:
    site = SiteScript(box("garage"), rules=Rules(pause_s=0.0))
    site.house(30.0).plug("garage").after(30.0).expect("garage", 0.0, "no-room")
    site.house(26.0).after(3.0).expect("garage", 6.0)


def test_a_house_that_goes_on_rising_is_met_ahead() -> None:
    site = SiteScript(box("one"), box("two"), limit_a=50.0)
    noise = iter([0.3, -0.2, 0.1, -0.3, 0.2, 0.0, -0.1] * 900)
    over = []

    def note(world: World) -> None:
        over.append(max(world.flow("main")) > 50.4)

    site.plug("one", "two").house(5.0).after(60.0)
    site.world.watchers.append(note)
    for second in range(60):
        site.house(5.0 + 0.5 * second + next(noise)).after(1.0)
    assert site.most_a <= 51.4
    assert sum(over) < 0.08 * len(over)


def test_a_limit_that_a_person_lowers_is_no_overload() -> None:
    site = SiteScript(box("garage"), limit_a=32.0)
    site.plug("garage").after(30.0).expect("garage", 32.0)
    main = evolve(site.world.site.circuits["main"], limit_a=(16.0, 16.0, 16.0))
    site.world.site = evolve(site.world.site, circuits={"main": main})
    site.after(1.0).expect("garage", 16.0, "circuit-limit")
