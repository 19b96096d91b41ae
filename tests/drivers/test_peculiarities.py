"""What single device families do that no generated proof can know."""

from __future__ import annotations

import pytest

from charging_manager.devices.device import Device
from charging_manager.errors import DeviceNonsense
from charging_manager.model.reading import Reading, Status
from charging_manager.model.units import PhaseAmps
from charging_manager.sim.car import Car
from tests.devices.rig import Rig, shipped
from tests.sim.rigs import Bench

DRIVERS = dict(shipped().drivers)
UNKNOWN = (None, None, None)


def _metered(name: str, amps: PhaseAmps, phases: tuple[int, ...] = (0, 1, 2)) -> Reading:
    """What the device of that name says when so much is drawn from its line."""
    bench = Bench(name, source=lambda: amps)
    device = Device("x", DRIVERS[name], bench.bus, 1, phases, bench.clock)
    bench.get(device.read())
    bench.run(2.0)
    return bench.get(device.read())


@pytest.mark.parametrize(
    "name",
    [
        "abb-b23-b24",
        "carlo-gavazzi-em24-rs485",
        "eastron-sdm630",
        "janitza-umg-float",
        "sunspec-inverter-103",
        "sunspec-meter-203",
    ],
)
def test_whatever_gives_has_negative_currents_and_power(name: str) -> None:
    reading = _metered(name, (-10.5, -5.25, -0.75))
    assert reading.current_a == pytest.approx((-10.5, -5.25, -0.75), abs=0.06)
    assert reading.power_w == pytest.approx(-3798, rel=0.01)
    assert reading.voltage_v == pytest.approx((230.4, 229.6, 231.2), abs=0.2)


def test_an_inverter_counts_what_it_has_given() -> None:
    reading = _metered("sunspec-inverter-103", (-10.0, -10.0, -10.0))
    assert reading.energy_wh is None
    assert reading.energy_export_wh == pytest.approx(750_000, rel=0.001)


def test_a_meter_of_one_phase_is_on_the_phase_that_the_site_says() -> None:
    reading = _metered("eastron-sdm120", (-10.5, 0.0, 0.0), phases=(1,))
    assert reading.current_a == pytest.approx((0.0, -10.5, 0.0))
    assert reading.voltage_v == pytest.approx((None, 230.4, None))


def test_an_sdm120_and_an_sdm630_are_not_taken_for_each_other() -> None:
    for wrong, right in (("eastron-sdm120", "eastron-sdm630"), ("eastron-sdm630", "eastron-sdm120")):
        rig = Rig(DRIVERS[right])
        mistaken = Device("y", DRIVERS[wrong], rig.bus, 1, (0, 1, 2), rig.clock)
        with pytest.raises(DeviceNonsense, match=f"this is no {wrong}"):
            rig.wait(mistaken.prepare())


def test_an_sdm630_on_one_phase_is_one_all_the_same() -> None:
    rig = Rig(DRIVERS["eastron-sdm630"])
    for phase in (2, 3):
        rig.box.show(f"voltage_l{phase}_v", 0)
    assert rig.read().voltage_v[0] == pytest.approx(230.4)


def test_a_phase_that_is_not_connected_is_unknown_at_an_abb_meter_and_the_others_are_not() -> None:
    rig = Rig(DRIVERS["abb-b23-b24"])
    rig.box.show("current_l1_a", 12.5)
    rig.box.raw("voltage_l2_v", [0xFFFF, 0xFFFF])
    rig.box.raw("power_l2_w", [0x7FFF, 0xFFFF])
    reading = rig.read()
    assert reading.voltage_v == pytest.approx((230.4, None, 231.2))
    assert reading.current_a[0] == 12.5
    assert reading.values["power_l2_w"] is None


def test_a_scale_factor_that_changes_is_believed_at_once() -> None:
    rig = Rig(DRIVERS["sunspec-inverter-103"])
    for exponent, raw, watts in ((0, 3798, -3798.0), (-1, 3798, -379.8), (1, 3798, -37980.0)):
        rig.box.raw("sf_power", [exponent & 0xFFFF])
        rig.box.raw("power_w", [raw])
        assert rig.live(2).power_w == pytest.approx(watts)


def test_a_controller_without_a_meter_does_not_say_0_a() -> None:
    rig = Rig(DRIVERS["phoenix-em-cp-pp-eth"])
    rig.box.show("state", "C")
    assert rig.read().current_a == (0.0, 0.0, 0.0), "with a meter that shows a voltage, 0 is 0"
    for phase in (1, 2, 3):
        rig.box.show(f"voltage_l{phase}_v", 0)
    reading = rig.live(2)
    assert (reading.status, reading.current_a, reading.power_w) == (Status.CHARGING, UNKNOWN, None)


def test_a_controller_that_cannot_measure_says_so() -> None:
    bench = Bench("phoenix-ev-cc-ac1-m3-rtu")
    bench.simulator.plug(Car(wants_a=16.0))
    device = Device("x", bench.driver, bench.bus, 1, (0, 1, 2), bench.clock)
    for _ in range(20):
        bench.get(device.read())
        bench.get(device.apply(10.0))
        bench.run(1.0)
    reading = bench.get(device.read())
    assert (reading.status, reading.current_a, reading.power_w) == (Status.CHARGING, UNKNOWN, None)
    assert bench.simulator.current_a()[0] == pytest.approx(10.0, abs=0.1)


@pytest.mark.parametrize(("before", "writes"), [(3, []), (0, [3]), (1, [3])])
def test_the_enable_coil_is_made_to_count_with_one_write_at_most(before: int, writes: list[int]) -> None:
    rig = Rig(DRIVERS["phoenix-ev-cc-ac1-m3-rtu"])
    rig.box.show("release_mode", before)
    rig.live(120, 10.0, step_s=0.25)
    assert rig.box.written("release_mode") == writes
    assert rig.device.condition.wear == ({"release_mode": 1} if writes else {})
