"""Stories of loss: meters and boxes that fall silent, repeat themselves, lie or do not obey (SAFETY, F-01 to F-03)."""

from __future__ import annotations

import math

from attrs import evolve

from charging_manager.control.decide import Rules
from charging_manager.model.reading import Reading
from charging_manager.model.site import ChargePoint
from tests.scenarios.script import SiteScript


def box(name: str, **more: object) -> ChargePoint:
    return evolve(ChargePoint(name, name, "main"), **more)


def all_at(site: SiteScript, amps: float) -> bool:
    assert site.world.plan is not None
    return all(setpoint.current_a == amps for setpoint in site.world.plan.setpoints.values())


def test_before_the_first_reading_of_the_meter_nobody_charges() -> None:
    site = SiteScript()
    site.world.hide_meter("grid")
    site.plug("left", "right").after(20.0).expect("left", 0.0, "meter-silent").expect("right", 0.0)
    site.world.show_meter("grid")
    site.after(4.0).expect("left", 16.0)


def test_a_silent_meter_means_fallback_within_ten_seconds_and_three_good_readings_bring_it_back() -> None:
    site = SiteScript()
    site.house(20.0).plug("left", "right").after(60.0)
    site.world.hide_meter("grid")
    site.after(10.0)
    assert all_at(site, 0.0)
    assert site.charging() == set()
    site.after(20.0)
    site.world.show_meter("grid")
    site.after(2.0).expect("left", 0.0)
    site.after(265.0)
    assert site.charging() == set()
    site.after(30.0)
    assert site.charging() == {"left", "right"}


def test_a_meter_that_returns_to_a_constant_site_is_good_again() -> None:
    site = SiteScript()
    site.house(20.0).plug("left", "right", "yard").after(30.0)
    site.world.hide_meter("grid")
    site.after(15.0)
    site.world.show_meter("grid")
    site.after(4.0).expect("yard", 12.0, "circuit-limit")
    assert not site.world.plan.budgets["main"].stale  # type: ignore[union-attr]


def test_the_fallback_is_what_may_be_drawn_unmetered() -> None:
    site = SiteScript(fallback_a=12.0)
    site.plug("left", "right").after(60.0).expect("left", 16.0)
    site.world.hide_meter("grid")
    site.after(8.0).expect("left", 6.0, "meter-silent").expect("right", 6.0)
    site.after(60.0).expect("left", 6.0)


def test_a_meter_that_flaps_does_not_make_setpoints_swing() -> None:
    site = SiteScript(fallback_a=12.0)
    site.plug("left").after(60.0).watch()
    for _ in range(20):
        site.world.hide_meter("grid")
        site.after(9.0)
        site.world.show_meter("grid")
        site.after(6.0)
    assert len(site.changes) <= 10, site.changes  # five minutes, down and up


def freeze(site: SiteScript) -> None:
    """From now on its meter repeats one reading with new time stamps."""
    history = site.world.history["grid"]
    last = history[-1]
    keep = site.world._keep
    site.world._keep = lambda name, reading: keep(  # type: ignore[method-assign]
        name, evolve(last, taken_s=reading.taken_s) if name == "grid" else reading
    )


def test_a_frozen_meter_is_noticed_when_charging_changes() -> None:
    site = SiteScript(limit_a=40.0)
    site.house(20.0).plug("left").after(60.0).expect("left", 20.0)
    freeze(site)
    site.after(5.0).unplug("left").after(11.0).plug("right").after(3.0)
    site.expect("right", 0.0, "meter-silent")


def read_late(site: SiteScript, name: str, late_s: float) -> None:
    """This box gives one value at a time: its readings are as old as the oldest of them, and say so."""
    site.world.boxes[name].lag_s = late_s
    keep = site.world._keep
    site.world._keep = lambda device, reading: keep(  # type: ignore[method-assign]
        device, evolve(reading, taken_s=reading.taken_s - late_s) if device == name else reading
    )


def count_no_energy(site: SiteScript) -> None:
    """A meter whose energy is read seldom: at a constant load it repeats itself to the last digit."""
    keep = site.world._keep
    site.world._keep = lambda device, reading: keep(  # type: ignore[method-assign]
        device, evolve(reading, energy_wh=None, energy_export_wh=None) if device == "grid" else reading
    )


def test_a_meter_is_not_frozen_because_a_slow_box_shows_its_current_later() -> None:
    site = SiteScript(limit_a=50.0)
    read_late(site, "right", 7.0)
    count_no_energy(site)
    site.house(20.0).plug("left", max_a=10.0).plug("right", max_a=10.0)
    site.after(30.0)
    for _ in range(3):
        site.unplug("right").after(25.0)
        assert site.charging() == {"left"}
        site.plug("right", max_a=10.0).after(25.0)
        assert site.charging() == {"left", "right"}
        assert not site.world.plan.budgets["main"].stale  # type: ignore[union-attr]


def test_a_frozen_meter_is_noticed_also_beside_a_slow_box() -> None:
    site = SiteScript(limit_a=40.0)
    read_late(site, "yard", 7.0)
    site.house(20.0).plug("left").after(60.0)
    freeze(site)
    site.after(15.0).unplug("left").after(11.0).plug("right").after(3.0)
    site.expect("right", 0.0, "meter-silent")


def test_a_meter_that_is_constant_because_the_site_is_constant_is_not_frozen() -> None:
    site = SiteScript()
    site.house(20.0).plug("left").after(300.0).expect("left", 12.0)
    assert not site.world.plan.budgets["main"].stale  # type: ignore[union-attr]


def lie(site: SiteScript, *currents: float | None) -> None:
    """The meter's next reading is this, whatever flows; the ones after it are true again."""
    keep = site.world._keep
    left = [1]

    def keep_once(name: str, reading: Reading) -> None:
        if name == "grid" and left[0]:
            left[0] = 0
            reading = evolve(reading, current_a=tuple(currents))
        keep(name, reading)

    site.world._keep = keep_once  # type: ignore[method-assign]


def test_a_reading_that_is_no_number_neither_stops_nor_feeds_anybody() -> None:
    for nonsense in (math.nan, math.inf, None, 20000.0, -9000.0):
        site = SiteScript()
        site.house(20.0).plug("left").after(60.0).expect("left", 12.0)
        lie(site, nonsense, nonsense, nonsense)
        site.watch().after(5.0)
        assert site.changes == [], nonsense


def test_nothing_but_nonsense_is_silence() -> None:
    site = SiteScript()
    site.house(20.0).plug("left").after(60.0)
    keep = site.world._keep
    site.world._keep = lambda name, reading: keep(  # type: ignore[method-assign]
        name, evolve(reading, current_a=(20.0, math.nan, 20.0)) if name == "grid" else reading
    )
    site.after(10.0).expect("left", 0.0, "meter-silent")


def test_a_silent_box_is_counted_at_what_it_was_told_and_others_keep_what_is_left() -> None:
    site = SiteScript(limit_a=40.0)
    site.world.boxes["left"].fallback_a = 6.0
    site.plug("left").after(30.0).expect("left", 32.0)
    site.world.silence("left")
    site.plug("right").after(12.0).expect("left", 20.0, "silent").expect("right", 8.0)
    site.world.wake("left")
    site.after(60.0).expect("left", 20.0).expect("right", 20.0)


def test_a_silent_box_without_a_fallback_is_counted_at_its_hardware_maximum_within_ten_seconds() -> None:
    site = SiteScript(limit_a=40.0)
    site.world.boxes["left"].fallback_a = None
    site.plug("left", "right").after(30.0).expect("left", 20.0).expect("right", 20.0)
    site.world.silence("left")
    site.after(10.0).expect("left", 20.0, "silent").expect("right", 8.0)
    site.after(60.0)
    site.world.wake("left")
    site.after(10.0)
    assert "left" in site.charging()


def test_a_box_that_comes_back_quickly_finds_its_setpoint() -> None:
    site = SiteScript()
    site.plug("left").after(30.0).expect("left", 32.0)
    site.world.silence("left")
    site.after(12.0)
    site.world.wake("left")
    site.watch().after(20.0).expect("left", 32.0)
    assert site.changes == []


def test_nothing_is_raised_before_others_have_confirmed_that_they_draw_less() -> None:
    site = SiteScript(limit_a=32.0)
    site.world.boxes["left"].confirm_s = 5.0
    site.plug("left").after(60.0).expect("left", 32.0)
    site.plug("right").after(3.0).expect("left", 16.0).expect("right", 0.0, "others-first")
    site.after(20.0).expect("right", 16.0)
    assert site.most_a <= 32.0


def test_a_box_that_does_not_obey_is_counted_at_what_it_draws() -> None:
    site = SiteScript(limit_a=32.0)
    site.plug("left").after(30.0)
    left = site.world.boxes["left"]
    left.gap_s = math.inf  # every further write is refused
    site.house(20.0).plug("right").after(30.0).expect("right", 0.0)
    assert left.current_a == 32.0


def test_a_box_that_is_out_of_service_is_neither_counted_nor_served() -> None:
    site = SiteScript(box("gone", out_of_service=True), box("here"), limit_a=32.0)
    site.world.silence("gone")
    site.plug("here").after(10.0).expect("here", 32.0).expect("gone", 0.0, "out-of-service")


def test_a_box_that_never_answered_is_counted_at_its_hardware_maximum() -> None:
    site = SiteScript(box("gone"), box("here"), limit_a=40.0)
    site.world.boxes["gone"].fallback_a = None
    site.world.silence("gone")
    site.plug("here").after(30.0).expect("here", 8.0).expect("gone", 0.0, "silent")


def test_a_car_whose_turn_is_over_goes_on_while_nobody_can_be_sure_of_the_room() -> None:
    site = SiteScript(box("lost"), box("old"), box("new"), limit_a=40.0, rules=Rules(turn_s=100.0))
    site.world.boxes["lost"].fallback_after_s = 60.0
    site.house(12.0).plug("lost", max_a=16.0).plug("old", max_a=8.0).after(90.0)
    site.world.silence("lost")
    site.after(9.0).plug("new").watch().after(40.0)
    assert site.charging() == {"lost", "old"}
    assert site.most_a <= 40.0
    site.after(120.0)
    assert "new" in site.charging()


def test_house_load_cannot_hide_behind_a_silent_box() -> None:
    site = SiteScript(box("lost"), box("here"), limit_a=40.0)
    site.house(5.0).plug("here").after(30.0)
    site.world.silence("lost")
    site.after(20.0).house(20.0).after(20.0)
    lost = site.world.boxes["lost"]
    lost.limit_a = lost.fallback_a = 16.0  # comes up by itself, with a car
    lost.fallback_after_s = 0.0
    site.plug("lost").after(15.0).watch().after(20.0)
    assert site.most_a <= 40.0 or site.charging() == {"lost"}


def test_a_box_that_reports_nonsense_is_counted_at_what_it_was_told() -> None:
    for nonsense in (math.nan, math.inf, None, 65535.0):
        site = SiteScript(limit_a=40.0)
        site.house(4.0).plug("left", "right").after(60.0).expect("left", 18.0)
        site.world.boxes["right"].shows = lambda now, amps=nonsense: (amps, amps, amps)  # type: ignore[misc]
        site.watch().after(60.0)
        assert site.most_a <= 40.0, nonsense
        site.expect("left", 18.0).expect("right", 18.0)
