"""A device over the real bus: read whole and honest, steered at once, prepared again after silence."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.logger import capturedLogs

from charging_manager.devices.driver import Driver, Group, Write
from charging_manager.devices.survey import PRIVATE
from charging_manager.devices.trial import TestStep, try_device
from charging_manager.errors import DeviceError, DeviceNonsense, DeviceRefused, DeviceSilent
from charging_manager.model.reading import Status
from tests.devices.rig import Rig, driver, shipped
from tests.devices.tables import METER, table

SHIPPED = dict(shipped().drivers)


@pytest.fixture
def acme() -> Rig:
    rig = Rig(driver(table()))
    rig.live(3)
    rig.box.wrote.clear()
    return rig


def changed(**changes: object) -> Driver:
    return driver(table(**changes))


def test_a_reading_carries_phases_status_and_what_the_box_obeys(acme: Rig) -> None:
    for phase, amps in ((1, 10.0), (2, 9.8), (3, 9.6)):
        acme.box.show(f"current_l{phase}_a", amps)
    acme.box.show("state", 2)
    before_s = acme.clock.seconds()
    reading = acme.read()
    assert reading.current_a == (10.0, 9.8, 9.6)
    assert reading.status is Status.CHARGING
    assert reading.setpoint_a == 16.0
    assert reading.taken_s == before_s
    assert reading.values["current_l2_a"] == 9.8


@pytest.mark.parametrize(
    ("phases", "currents"),
    [((1, 2, 0), (9.6, 10.0, 9.8)), ((2, 1, 0), (9.6, 9.8, 10.0)), ((1,), (0.0, 10.0, 0.0))],
)
def test_phases_are_the_sites(phases: tuple[int, ...], currents: tuple[float, ...]) -> None:
    rig = Rig(driver(table()), phases=phases)
    for phase, amps in ((1, 10.0), (2, 9.8), (3, 9.6)):
        rig.box.show(f"current_l{phase}_a", amps)
    assert rig.read().current_a == currents


def test_the_watchdog_is_armed_read_back_and_shown() -> None:
    rig = Rig(driver(table()), fallback_a=7.0)
    rig.live(3)
    assert rig.box.written("failsafe_s") == [30]
    assert rig.box.written("failsafe_a") == [7.0]
    obedience = rig.device.obedience(rig.clock.seconds())
    assert (obedience.fallback_a, obedience.fallback_after_s) == (7.0, 30.0)
    condition = rig.device.condition
    assert condition.fallback == "programmed"
    assert condition.wear == {"failsafe_s": 1, "failsafe_a": 1}
    assert condition.sentence.format(**condition.fields) == (
        "Connected. If we fall silent for 30.0 s, it charges with at most 7.0 A."
    )


def test_a_watchdog_that_does_not_take_its_value_promises_nothing() -> None:
    rig = Rig(driver(table()), fallback_a=7.0)
    rig.box.refuses["failsafe_s"] = 3
    rig.live(10)
    obedience = rig.device.obedience(rig.clock.seconds())
    assert (obedience.fallback_a, obedience.fallback_after_s) == (None, None)
    assert rig.device.condition.fallback != "programmed"


def test_another_fallback_is_armed_with_the_next_read(acme: Rig) -> None:
    acme.device.use_fallback(0.0)
    acme.live(3)
    assert acme.box.written("failsafe_a") == [0.0]
    assert acme.device.obedience(acme.clock.seconds()).fallback_a == 0.0


def test_a_reduction_is_on_the_wire_at_once(acme: Rig) -> None:
    acme.live(5, 16.0)
    acme.box.wrote.clear()
    at_s = acme.clock.seconds()
    acme.apply(8.0)
    assert acme.box.wrote == [(at_s, "setpoint_a", 8.0)]
    acme.apply(8.0)
    assert len(acme.box.wrote) == 1, "only what differs is written"


def test_the_old_setpoint_stays_the_worst_case_until_the_new_one_is_acknowledged(acme: Rig) -> None:
    acme.live(3, 16.0)
    acme.box.mute = True
    with pytest.raises(DeviceSilent):
        acme.apply(6.0)
    obedience = acme.device.obedience(acme.clock.seconds())
    assert (obedience.confirmed_a, obedience.commanded_a) == (16.0, 6.0)
    assert not obedience.answering
    acme.box.mute = False
    for _ in range(10):
        acme.run(1)
        try:
            acme.read()
        except DeviceError:
            continue
    assert acme.box.offers_a == 6.0
    assert acme.device.obedience(acme.clock.seconds()).confirmed_a == 6.0


def test_a_reduction_that_waited_for_the_device_goes_before_all_else(acme: Rig) -> None:
    acme.live(3, 16.0)
    acme.box.mute = True
    with pytest.raises(DeviceError):
        acme.read()
    acme.apply(7.0)
    acme.box.boot()
    acme.box.mute = False
    acme.box.wrote.clear()
    acme.run(3)
    acme.read()
    assert acme.box.wrote[0][1:] == ("setpoint_a", 7.0)


def test_a_box_of_which_nothing_is_known_is_told_a_low_setpoint_before_it_is_looked_at_further() -> None:
    """Our first question feeds its watchdog: from then on it obeys again what it was told before we were killed."""
    rig = Rig(SHIPPED["keba-p30"])
    rig.apply(0.0)
    rig.box.wrote.clear()
    began_s = rig.clock.seconds()
    rig.live(8)
    at_s, name, value = rig.box.wrote[0]
    assert (name, value) == ("enable", 0)
    assert at_s - began_s <= 1.5


def test_a_box_of_which_nothing_is_known_is_told_nothing_high_before_it_is_looked_at() -> None:
    rig = Rig(SHIPPED["keba-p30"])
    rig.apply(16.0)
    began_s = rig.clock.seconds()
    rig.live(8)
    assert all(at_s - began_s > 2 for at_s, _, _ in rig.box.wrote)


def test_a_lost_acknowledgement_is_no_acknowledgement(acme: Rig) -> None:
    acme.live(3, 16.0)
    acme.box.drops_acks = True
    with pytest.raises(DeviceSilent):
        acme.apply(20.0)
    assert acme.box.offers_a == 20.0
    obedience = acme.device.obedience(acme.clock.seconds())
    assert max(obedience.confirmed_a or 0, obedience.commanded_a or 0) == 20.0


def test_somebody_else_is_noticed_and_written_over(acme: Rig) -> None:
    acme.live(3, 10.0)
    acme.box.show("setpoint_a", 32.0)
    acme.live(3, 10.0)
    assert acme.box.offers_a == 10.0


def test_unknown_codes_and_values_are_unknown(acme: Rig) -> None:
    acme.box.show("state", 77)
    assert acme.read().status is Status.UNKNOWN
    acme.box.show("current_l1_a", 6500.0)
    reading = acme.read()
    assert reading.current_a == (None, None, None)
    assert reading.voltage_v == (None, None, None)
    assert "current_l1_a" in (acme.device.condition.last_error or "")
    acme.box.show("current_l1_a", 6.0)
    acme.box.show("state", 1)
    assert acme.read().current_a[0] == 6.0
    assert acme.device.condition.last_error is None


def test_a_driver_that_is_another_devices_writes_nothing() -> None:
    rig = Rig(driver(table()))
    rig.box.show("marker", 0xBAD)
    with pytest.raises(DeviceNonsense, match="this is no acme"):
        rig.wait(rig.device.prepare())
    rig.apply(6.0)
    rig.run(20)
    assert rig.box.wrote == []
    assert not rig.device.condition.connected
    assert rig.device.condition.sentence == "Not connected: {why}"


def test_a_value_that_the_device_does_not_have_is_missing_and_asked_no_more(acme: Rig) -> None:
    rig = Rig(driver(table()))
    rig.box.refuses["voltage_l1_v"] = 2
    reading = rig.live(5)
    assert reading.voltage_v == (None, None, None)
    assert reading.current_a == (0.0, 0.0, 0.0)
    assert rig.device.condition.missing == ("voltage_l1_v",)
    asked = len([address for _, _, address, _ in rig.box.reads if address == 14])
    rig.live(20)
    assert len([address for _, _, address, _ in rig.box.reads if address == 14]) == asked


@pytest.mark.parametrize("code", [1, 2, 3])
def test_what_a_device_has_shown_it_has_whatever_it_says_for_a_while(acme: Rig, code: int) -> None:
    first = acme.live(5)
    names = tuple(acme.device.driver.registers)
    acme.box.refuses.update(dict.fromkeys(names, code))
    for _ in range(5):
        acme.run(1)
        with pytest.raises(DeviceRefused):
            acme.read()
    acme.box.refuses.clear()
    reading = acme.live(3)
    assert reading.current_a == first.current_a
    assert reading.taken_s > first.taken_s
    assert acme.device.condition.missing == ()


def test_a_device_that_shows_nothing_while_it_starts_is_prepared_again() -> None:
    rig = Rig(driver(table()))
    live = [name for name, r in rig.device.driver.registers.items() if r.group is Group.LIVE]
    rig.box.refuses.update(dict.fromkeys(live, 2))
    for _ in range(6):
        with pytest.raises(DeviceError):
            rig.read()
        rig.run(1)
    rig.box.refuses.clear()
    assert rig.live(3).current_a == (0.0, 0.0, 0.0)
    assert rig.device.condition.missing == ()


def test_a_value_that_was_missing_is_looked_for_again_in_a_while() -> None:
    rig = Rig(driver(table()))
    rig.box.refuses["voltage_l1_v"] = 2
    rig.live(5)
    rig.box.refuses.clear()
    assert rig.live(660).voltage_v != (None, None, None)
    assert rig.device.condition.missing == ()


def test_a_device_that_we_leave_is_not_called_silent(acme: Rig) -> None:
    acme.box.mute = True
    with capturedLogs() as logs:
        reading = Deferred.fromCoroutine(acme.device.read())
        acme.run(0.1)
        acme.device.close()
        acme.bus.close()
        acme.run(3)
        failed: list[object] = []
        reading.addErrback(lambda failure: failed.append(failure.type))
    assert failed == [DeviceSilent]
    assert [event["log_format"] for event in logs if event["log_namespace"].endswith("device.Device")] == []


def test_a_busy_device_is_asked_again_and_its_values_grow_old(acme: Rig) -> None:
    first = acme.read()
    acme.box.refuses["state"] = 6
    acme.box.refuses["applied_a"] = 6
    acme.run(2)
    with pytest.raises(DeviceRefused):
        acme.read()
    acme.box.refuses.pop("applied_a")
    reading = acme.read()
    assert reading.taken_s == first.taken_s, "the state is as old as it was"
    acme.box.refuses.clear()
    assert acme.read().taken_s > first.taken_s


def test_only_the_yes_or_no_that_was_chosen_turns_the_meter_around() -> None:
    made = SHIPPED["sunspec-meter-203"]
    for settings, power_w, import_wh in (((), -1500.0, 2000.0), (("inverted",), 1500.0, 1000.0)):
        rig = Rig(made, settings=settings)
        rig.box.show("power_w", -1500)
        rig.box.show("power_l1_w", -1500)
        rig.box.show("current_l1_a", 6.52)
        rig.box.show("energy_wh", 2000)
        rig.box.show("energy_export_wh", 1000)
        reading = rig.read()
        assert (reading.power_w, reading.energy_wh) == (power_w, import_wh)
        assert reading.current_a[0] == math.copysign(6.52, power_w)


@pytest.mark.parametrize("base", [40000, 50000, 0])
def test_a_sunspec_block_is_found_wherever_the_chain_begins(base: int) -> None:
    rig = Rig(SHIPPED["sunspec-meter-203"], base=base)
    rig.box.show("power_w", 400)
    assert rig.read().power_w == 400


def test_a_chain_without_our_block_is_another_device() -> None:
    rig = Rig(SHIPPED["sunspec-meter-203"])
    rig.box.words["holding", rig.box.offset] = 103
    with pytest.raises(DeviceNonsense, match="no SunSpec block of model 201, 202, 203, 204"):
        rig.read()


def test_a_meters_currents_take_the_sign_of_their_phases_power() -> None:
    rig = Rig(SHIPPED["eastron-sdm630"])
    for phase, amps, watts in ((1, 10.0, -2300.0), (2, 5.0, 1150.0), (3, 0.5, 0.0)):
        rig.box.show(f"current_l{phase}_a", amps)
        rig.box.show(f"power_l{phase}_w", watts)
    assert rig.read().current_a == (-10.0, 5.0, 0.5)


@pytest.mark.parametrize("factor", [1000.0, -1.0])
def test_a_lying_meter_is_not_believed(factor: float) -> None:
    rig = Rig(SHIPPED["eastron-sdm630"])
    for phase in (1, 2, 3):
        rig.box.show(f"voltage_l{phase}_v", 230.0)
        rig.box.show(f"current_l{phase}_a", 10.0)
        rig.box.show(f"power_l{phase}_w", 2300.0)
    assert rig.read().current_a == (10.0, 10.0, 10.0)
    for phase in (1, 2, 3):
        rig.box.show(f"voltage_l{phase}_v", 230.0 * factor)
        rig.box.show(f"current_l{phase}_a", 10.0 * factor)
        rig.box.show(f"power_l{phase}_w", 2300.0 * factor)
    reading = rig.read()
    assert reading.current_a == (None, None, None) and reading.power_w is None


def test_more_than_the_site_can_carry_is_not_believed() -> None:
    rig = Rig(driver(table(METER)), most_a=350.0)
    rig.box.show("current_l1_a", 400.0)
    assert rig.read().current_a[0] is None


def test_cfos_shows_small_negative_power_and_no_energy_after_a_restart() -> None:
    rig = Rig(SHIPPED["cfos-power-brain"])
    rig.box.raw("power_w", [0xFFFF, 0xFFFF])
    rig.box.show("energy_wh", 0)
    reading = rig.read()
    assert (reading.power_w, reading.energy_wh) == (-1.0, None)
    rig.box.show("energy_wh", 1234567)
    assert rig.read().energy_wh == 1234567.0


def test_cfos_without_a_meter_knows_no_current() -> None:
    rig = Rig(SHIPPED["cfos-power-brain"])
    rig.box.show("has_meter", 0)
    reading = rig.live(40)
    assert reading.current_a == (None, None, None) and reading.power_w is None
    rig = Rig(SHIPPED["cfos-power-brain"])
    rig.box.show("meter_flags", 0)
    reading = rig.live(2)
    assert reading.current_a == (None, None, None) and reading.power_w == 0.0


def test_keba_is_asked_one_value_at_a_time_with_half_a_second_between() -> None:
    rig = Rig(SHIPPED["keba-p30"])
    reading = rig.live(60, 10.0)
    assert all(count == 2 for _, _, _, count in rig.box.reads)
    times = [at_s for at_s, _, _, _ in rig.box.reads]
    assert all(later - earlier >= 0.5 - 1e-6 for earlier, later in pairwise(times))
    assert rig.clock.seconds() - reading.taken_s <= 6.0
    slow = {"energy_wh", "session_wh", "voltage_l1_v", "failsafe_s"}
    assert slow <= {name for name, value in reading.values.items() if value is not None}


def test_a_slow_devices_reading_is_as_old_as_its_oldest_live_value() -> None:
    rig = Rig(SHIPPED["keba-p30"])
    rig.live(30)
    begun_s = rig.clock.seconds()
    reading = rig.read()
    assert reading.taken_s < begun_s
    assert rig.clock.seconds() - begun_s <= 1.2, "a turn is short, however long a round is"


def test_heidelberg_leaves_standby_once_and_again_where_it_cannot_be_read_back() -> None:
    rig = Rig(SHIPPED["heidelberg-energy-control"])
    rig.live(30)
    assert rig.box.written("standby") == [4]
    old = Rig(SHIPPED["heidelberg-energy-control"])
    old.box.show("layout", 0x107)
    old.box.refuses["lock"] = 2
    old.live(30)
    assert old.device.condition.variant is not None
    assert old.box.written("standby") == [4]
    assert old.device.condition.missing == (), "what cannot be read back is not asked"


def test_abb_is_never_told_to_stop_or_to_unlock() -> None:
    rig = Rig(SHIPPED["abb-terra-ac"])
    for amps in (16.0, 3.0, 0.0, 32.0):
        rig.live(10, amps)
    assert {name for _, name, _ in rig.box.wrote} == {"setpoint_a", "failsafe_s_set"}
    assert rig.device.obedience(rig.clock.seconds()).fallback_a == 0.0


def test_a_box_that_nobody_reads_is_not_fed() -> None:
    rig = Rig(SHIPPED["keba-p30"])
    rig.live(60, 10.0)
    rig.box.wrote.clear()
    rig.run(200, step_s=0.5)
    assert len(rig.box.wrote) <= 2
    assert rig.box.expired


def test_a_state_of_its_own_is_left_a_few_times_and_no_more() -> None:
    recover = [{"when": {"state": 9}, "write": {"hidden": 1}, "at_most": 2}]
    rig = Rig(changed(recover=recover))
    rig.live(3)
    rig.box.show("state", 9)
    rig.live(20)
    assert rig.box.written("hidden") == [1, 1]
    rig.box.show("state", 1)
    rig.live(3)
    rig.box.show("state", 9)
    rig.live(20)
    assert rig.box.written("hidden") == [1, 1, 1, 1]


def test_a_sleeping_car_is_woken() -> None:
    rig = Rig(SHIPPED["cfos-power-brain"])
    rig.live(3)
    rig.wait(rig.device.wake())
    assert rig.box.written("disconnect_cp_s") == [5]


def test_the_trial_shows_an_installer_every_step(acme: Rig) -> None:
    steps = acme.wait(acme.device.test(), within_s=120)
    assert [(step.name, step.ok) for step in steps] == [
        ("connect", True),
        ("values", True),
        ("setpoint", True),
        ("pause", True),
        ("watchdog", True),
    ]
    assert acme.box.offers_a == 0.0, "it stays paused"
    assert steps[2].sentence.format(**steps[2].fields) == "It took 6.0 A and shows it"


def test_the_trial_keeps_what_was_sent_and_read_with_every_step() -> None:
    rig = Rig(SHIPPED["keba-p30"], fallback_a=8.0)
    noted: list[TestStep] = []
    steps = rig.wait(try_device(rig.device, noted.append), within_s=120)
    assert noted == list(steps)
    assert all(step.began_s <= step.ended_s for step in steps)
    assert [step.began_s for step in steps[1:]] == [step.ended_s for step in steps[:-1]]
    heard = {step.name: step.spoken for step in steps}
    sent = [(one.name, one.value) for one in heard["setpoint"] if one.wrote]
    assert ("setpoint_a", 6.0) in sent
    assert any(not one.wrote and one.name == "state" for one in heard["setpoint"])
    assert {one.name for step in steps for one in step.spoken}.isdisjoint(PRIVATE)
    shown = {one.name: one.value for one in heard["watchdog"] if not one.wrote}
    assert {"failsafe_s", "failsafe_a"} <= shown.keys() and shown["failsafe_a"] == 8.0
    (setpoint,) = (one for one in heard["setpoint"] if one.name == "setpoint_a")
    assert (setpoint.place, setpoint.words, setpoint.unit) == ("6:5004", (6000,), "A")
    assert rig.device.wire.witness is None


def test_a_trial_that_is_cancelled_leaves_nobody_watching_and_has_told_its_steps(acme: Rig) -> None:
    noted: list[TestStep] = []
    trial = Deferred.fromCoroutine(try_device(acme.device, noted.append))
    while len(noted) < 2 and acme.clock.seconds() < 2000:
        acme.run(0.05)
    trial.cancel()
    trial.addErrback(lambda failure: failure.trap(CancelledError))
    assert acme.device.wire.witness is None
    assert [step.name for step in noted][:2] == ["connect", "values"]


def test_the_trial_of_a_device_that_disobeys_or_is_away_says_so(acme: Rig) -> None:
    acme.box.refuses["setpoint_a"] = 4
    steps = acme.wait(acme.device.test(), within_s=120)
    assert steps[-1].name == "setpoint" and not steps[-1].ok
    acme.box.mute = True
    steps = acme.wait(acme.device.test(), within_s=120)
    assert [(step.name, step.ok) for step in steps] == [("connect", False)]


def test_a_meter_is_only_read_in_its_trial() -> None:
    rig = Rig(SHIPPED["sunspec-meter-203"])
    steps = rig.wait(rig.device.test())
    assert [(step.name, step.ok) for step in steps] == [("connect", True), ("values", True)]
    assert rig.box.wrote == []


def test_a_plugins_hook_decodes_and_encodes() -> None:
    class Acme:
        def decode(self, values: dict[str, object]) -> dict[str, object]:
            return {"current_l1_a": 7.0}

        def encode(self, setpoint_a: float) -> list[object]:
            return [Write("hidden", 1 if setpoint_a else 0), Write("setpoint_a", setpoint_a)]

    recover = [{"when": {"state": 9}, "write": {"hidden": 1}}]
    rig = Rig(evolve(changed(recover=recover), hook=Acme))
    rig.live(3)
    assert rig.read().current_a[0] == 7.0
    rig.apply(9.0)
    assert rig.box.written("hidden") == [1]
    assert rig.box.written("setpoint_a") == [9.0]


def test_reading_and_steering_at_once_do_not_get_in_each_others_way() -> None:
    rig = Rig(SHIPPED["keba-p30"])
    rig.live(20)
    both = gatherResults(
        [
            Deferred.fromCoroutine(rig.device.read()),
            Deferred.fromCoroutine(rig.device.apply(9.0)),
            Deferred.fromCoroutine(rig.device.read()),
            Deferred.fromCoroutine(rig.device.apply(8.0)),
        ]
    )
    done: list[object] = []
    both.addBoth(done.append)
    rig.run(10)
    assert len(done) == 1 and isinstance(done[0], list)
    rig.live(10)
    assert rig.box.offers_a == 8.0


@pytest.mark.parametrize("name", ["keba-p30", "keba-p40"])
@pytest.mark.parametrize("after_s", [0.05, 0.45, 1.3, 4.8])
def test_a_reduction_waits_for_one_interval_between_writes_at_most(name: str, after_s: float) -> None:
    """These boxes want 5 s between two writes, and food for the watchdog is one: an order may come right after it."""
    rig = Rig(shipped().drivers[name])
    rig.live(35, 16.0)
    known = len(rig.box.wrote)
    while len(rig.box.wrote) == known:
        rig.live(1.0, 16.0)
    fed_s, food, _ = rig.box.wrote[-1]
    assert rig.device.driver.watchdog is not None
    assert food in [write.register for write in rig.device.driver.watchdog.feed]
    reading = Deferred.fromCoroutine(rig.device.read())
    ordered = False
    while rig.box.written("setpoint_a")[-1:] != [8.0]:
        rig.run(0.05)
        if reading.called:
            reading = Deferred.fromCoroutine(rig.device.read())
        if not ordered and rig.clock.seconds() >= fed_s + after_s:
            ordered = True
            Deferred.fromCoroutine(rig.device.apply(8.0))
        assert rig.clock.seconds() < fed_s + 10.0
    wrote_s = rig.box.wrote[-1][0]
    assert 5.0 <= wrote_s - fed_s + 1e-6 <= 5.6, "an interval, and a read with the silence after it"
