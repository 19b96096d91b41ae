"""What every shipped driver must prove, made from the driver itself: its author writes none of this."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging_manager.devices.codec import decode, encode
from charging_manager.devices.driver import TEXTS, Driver, FedBy, Group, Type
from charging_manager.devices.loader import check_file
from charging_manager.devices.planner import plan_reads
from charging_manager.devices.recognise import recognises
from charging_manager.errors import DeviceError, DeviceNonsense, DeviceSilent
from charging_manager.model.reading import Status
from charging_manager.paths import shared
from tests.devices.rig import Rig, shipped
from tests.support.strategies import examples

DRIVERS = dict(shipped().drivers)
CHARGERS = {name: driver for name, driver in DRIVERS.items() if driver.setpoint is not None}

each = pytest.mark.parametrize("driver", DRIVERS.values(), ids=DRIVERS.keys())
each_charger = pytest.mark.parametrize("driver", CHARGERS.values(), ids=CHARGERS.keys())


def test_the_six_families_are_shipped_and_every_file_is_a_good_driver() -> None:
    assert set(DRIVERS) >= {
        "abb-terra-ac",
        "cfos-power-brain",
        "eastron-sdm630",
        "heidelberg-energy-control",
        "keba-p30",
        "sunspec-meter-203",
    }
    for path in shared("drivers").glob("*.*"):
        assert check_file(path) == []


@each
def test_every_driver_names_its_sources_and_why_registers_are_left_alone(driver: Driver) -> None:
    assert driver.sources
    assert all(len(unmapped.why) > 20 for unmapped in driver.unmapped)
    assert all(len(never.why) > 20 for never in driver.never)


@each
@given(data=st.data())
@examples(40, 2000)
def test_a_register_decodes_what_it_encodes(driver: Driver, data: st.DataObject) -> None:
    register = data.draw(st.sampled_from([r for r in driver.registers.values() if r.type not in TEXTS]))
    bits = 16 * register.count
    if register.type is Type.F32:
        value = data.draw(st.floats(-1e6, 1e6, width=32)) * register.scale
    else:
        if register.bits is not None:
            raw = data.draw(st.integers(0, (1 << register.bits[1] - register.bits[0] + 1) - 1))
        elif register.type.startswith("i"):
            raw = data.draw(st.integers(-(1 << bits - 1) + 1, (1 << bits - 1) - 1))
        else:
            raw = data.draw(st.integers(0, min((1 << bits) - 2, 1 << 50)))
        if raw in register.na:
            raw = 1
        value = raw * register.scale
    decoded = decode(register, encode(register, value))
    assert isinstance(decoded, int | float)
    assert decoded == pytest.approx(value, rel=1e-6, abs=register.scale * 1e-3)


@each
def test_not_available_is_unknown_and_never_zero(driver: Driver) -> None:
    for register in driver.registers.values():
        for raw in register.na:
            words = [raw >> 16 * at & 0xFFFF for at in reversed(range(register.count))]
            assert decode(register, words) is None
        if register.type is Type.F32:
            for pattern in ([0x7FC0, 0], [0x7F80, 0], [0xFF80, 0]):  # NaN and both infinities
                assert decode(register, pattern) is None


@each
def test_the_first_reading_is_whole_and_legal(driver: Driver) -> None:
    rig = Rig(driver)
    rig.wait(rig.device.prepare())
    reading = rig.read()
    live = {register.name for register in driver.grouped(Group.LIVE)}
    assert live <= set(reading.values)
    assert rig.device.condition.missing == ()
    for _, _, _, count in rig.box.reads:
        assert count <= driver.bus.max_read


@each
def test_requests_are_the_fewest_that_are_legal(driver: Driver) -> None:
    everything = driver.grouped(*Group)
    plan = plan_reads(driver, everything)
    assert sum(len(request.registers) for request in plan) == len(everything)
    for one, other in pairwise(plan):
        joined = max(one.address + one.count, other.address + other.count) - one.address
        together = (one.function, one.unit, one.port) == (other.function, other.unit, other.port)
        touching = one.address + one.count == other.address
        mergeable = together and joined <= driver.bus.max_read and (touching or driver.bus.gaps)
        assert driver.bus.alone or not mergeable


@each_charger
def test_all_states_reach_the_right_vehicle_state_and_unknown_codes_are_unknown(driver: Driver) -> None:
    assert driver.state is not None
    for rule in driver.state.rules:
        known: dict[str, float | int | str | None] = dict.fromkeys(driver.registers)
        for earlier in driver.state.rules:
            if earlier is rule:
                break
            known.update({condition.register: -1 for condition in earlier.when})
        for condition in rule.when:
            known[condition.register] = condition.values[0] if condition.values else condition.lowest or 0
        assert driver.state.status(known) == (rule.status, True)
    codes = {c.register for rule in driver.state.rules for c in rule.when if c.values}
    seen = [{name: code if name in codes else 0 for name in driver.state.registers} for code in (77, -1)]
    assert (Status.UNKNOWN, False) in map(driver.state.status, seen)  # one code is strange, however open a rule is
    assert driver.state.status(dict.fromkeys(driver.state.registers)) == (Status.UNKNOWN, True)


@each_charger
def test_setpoints_are_rounded_down_bounded_and_small_ones_pause(driver: Driver) -> None:
    rule = driver.setpoint
    assert rule is not None
    rig = Rig(driver)
    rig.live(20)
    highest = rig.device.hardware_max_a
    for wanted, expected in (
        (rule.lowest_a, rule.lowest_a),
        (1000.0, highest),
        (rule.lowest_a + 3.3337, rule.lowest_a + 3.3337 // rule.step_a * rule.step_a),
        (rule.lowest_a - 0.01, 0.0),
        (rule.lowest_a, rule.lowest_a),
        (0.0, 0.0),
        (-5.0, 0.0),
    ):
        rig.live(30, wanted)
        assert rig.box.offers_a == pytest.approx(expected, abs=1e-6)
        assert rig.box.offers_a <= max(0.0, wanted) + 1e-6
        assert rig.device.obedience(rig.clock.seconds()).confirmed_a == pytest.approx(expected, abs=1e-6)
        told = rig.box.written(rule.register)
        assert all(value == 0 or rule.lowest_a <= value <= highest for value in told)


@each_charger
def test_the_watchdog_stays_fed_for_ten_minutes_and_falls_back_when_we_stop(driver: Driver) -> None:
    watchdog = driver.watchdog
    rig = Rig(driver)
    rig.live(40, 12.0, step_s=0.25)
    obedience = rig.device.obedience(rig.clock.seconds())
    if watchdog is None:
        assert (obedience.fallback_a, obedience.fallback_after_s) == (None, None)
        rig.device.close()
        rig.run(600, step_s=0.5)
        assert rig.box.offers_a == 12.0  # which is why its whole current stays reserved
        return
    expected = 6.0 if watchdog.fallback else 0.0
    promised = (expected, watchdog.timeout_s) if driver.shows_fallback else (None, None)
    assert (obedience.fallback_a, obedience.fallback_after_s) == promised
    rig.box.wrote.clear()
    begun, begun_s = len(rig.box.reads), rig.clock.seconds()
    for _ in range(60):
        rig.live(10, step_s=0.25)  # control is idle
        assert not rig.box.expired
    feeds = len(rig.box.wrote)
    most = (rig.clock.seconds() - begun_s) / watchdog.every_s + 1
    assert 0 < feeds <= most if watchdog.fed_by is not FedBy.ANY_REQUEST else feeds == 0
    assert (len(rig.box.reads) - begun) / 600 <= 12  # requests a second
    assert rig.box.offers_a == 12.0
    rig.device.close()
    rig.run(watchdog.timeout_s + 1, step_s=0.5)
    assert rig.box.offers_a == (expected if driver.shows_fallback else 16.0)


@each_charger
def test_nothing_is_written_that_was_not_declared_and_little_in_steady_state(driver: Driver) -> None:
    rig = Rig(driver)
    rig.live(60, 10.0, step_s=0.25)
    rig.box.wrote.clear()
    rig.live(600, 10.0, step_s=0.25)
    names = {name for _, name, _ in rig.box.wrote}
    fed = {write.register for write in driver.watchdog.feed} if driver.watchdog else set()
    if driver.watchdog is not None and driver.watchdog.fed_by is FedBy.SETPOINT_WRITE:
        fed = {driver.setpoint.register if driver.setpoint else ""}
    assert names <= fed
    rig.live(120, 16.0, step_s=0.25)
    rig.live(120, 0.0, step_s=0.25)
    assert {name for _, name, _ in rig.box.wrote} <= driver.written()
    wear = {name: count for name, count in rig.device.condition.wear.items() if count > 1}
    assert wear == {}


@each_charger
def test_writes_keep_their_distance(driver: Driver) -> None:
    rig = Rig(driver)
    for amps in (16.0, 8.0, 12.0, 0.0, 10.0, 7.0):
        rig.live(7, amps)
    times = [at_s for at_s, _, _ in rig.box.wrote]
    assert all(b - a >= driver.bus.write_gap_s - 1e-6 for a, b in pairwise(times))


@each
def test_after_silence_it_is_prepared_again_and_goes_on(driver: Driver) -> None:
    rig = Rig(driver)
    rig.live(10, 10.0 if driver.setpoint else None)
    rig.box.mute = True
    with pytest.raises(DeviceSilent):
        rig.wait(rig.device.read())
    assert rig.device.needs_preparation
    assert not rig.device.obedience(rig.clock.seconds()).answering
    rig.box.boot()
    rig.box.mute = False
    for _ in range(20):
        rig.run(1.0)
        try:
            rig.read()
        except DeviceError:
            continue
    assert not rig.device.needs_preparation
    rig.live(15, step_s=0.25)
    assert rig.device.obedience(rig.clock.seconds()).answering
    if driver.setpoint is not None:
        assert rig.box.offers_a == 10.0  # the box had forgotten


@pytest.mark.parametrize("name", DRIVERS)
def test_a_driver_recognises_only_its_own_device(name: str) -> None:
    driver = DRIVERS[name]
    for other_name, other in DRIVERS.items():
        rig = Rig(other)
        assert rig.wait(recognises(driver, rig.bus, 1)) is (name == other_name), other_name


@each
def test_another_device_at_the_address_is_never_written_to(driver: Driver) -> None:
    for other in DRIVERS.values():
        if other.name == driver.name:
            continue
        rig = Rig(other)
        rig.device.close()
        stranger = type(rig.device)("x", driver, rig.bus, 1, (0, 1, 2), rig.clock, 6.0)
        with pytest.raises(DeviceNonsense):
            rig.wait(stranger.prepare())
        if driver.setpoint is not None:
            rig.wait(stranger.apply(16.0))
        rig.run(10, step_s=0.25)
        assert rig.box.wrote == []
