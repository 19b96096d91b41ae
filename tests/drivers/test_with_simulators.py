"""Every driver's device against every simulator: it knows its own, and is a good guest at it through all faults."""

from __future__ import annotations

from typing import Any

import pytest

from charging_manager.devices.device import Device
from charging_manager.devices.recognise import recognises
from charging_manager.errors import DeviceError
from charging_manager.model.reading import Reading
from charging_manager.sim.car import Car
from tests.sim.rigs import DRIVERS, Bench

FAULTS: tuple[dict[str, Any], ...] = (
    {"silence": True},
    {"exception": 6},
    {"exception": 11},
    {"half_frame": True},
    {"wrong_unit": True},
    {"delay_ms": 1500},
    {"nan": True},
)


class Guest:
    """A device at a simulator, read every second and steered."""

    def __init__(self, name: str) -> None:
        self.bench = Bench(name)
        self.device = Device("x", DRIVERS[name], self.bench.bus, 1, (0, 1, 2), self.bench.clock, 6.0)
        self.steered = DRIVERS[name].setpoint is not None
        self.troubles = 0

    def live(self, seconds: float, setpoint_a: float) -> Reading | None:
        reading = None
        until_s = self.bench.clock.seconds() + seconds
        while self.bench.clock.seconds() < until_s:
            began_s = self.bench.clock.seconds()
            try:
                reading = self.bench.get(self.device.read())
                if self.steered:
                    self.bench.get(self.device.apply(setpoint_a))
            except DeviceError:
                self.troubles += 1
                reading = None
            self.bench.run(max(0.1, 1.0 - (self.bench.clock.seconds() - began_s)))
        return reading


@pytest.mark.parametrize("name", DRIVERS)
def test_every_driver_recognises_its_own_simulator_and_no_other(name: str) -> None:
    for other in DRIVERS:
        bench = Bench(other)
        assert bench.get(recognises(DRIVERS[name], bench.bus, 1)) is (name == other), other
        assert bench.simulator.early == 0, "a search is patient with everybody"


@pytest.mark.parametrize("name", DRIVERS)
def test_it_asks_nothing_that_is_refused_and_wears_nothing_out(name: str) -> None:
    guest = Guest(name)
    if guest.steered:
        guest.bench.simulator.plug(Car(wants_a=32.0))
    for amps in (16.0, 8.0, 0.0, 10.0):
        guest.live(60, amps)
    simulator = guest.bench.simulator
    assert len(simulator.refusals) <= len(guest.bench.driver.unlike), "a look at what another device would have"
    assert simulator.violations == []
    assert (simulator.early, simulator.early_writes) == (0, 0)
    assert simulator.flash_writes <= 2
    assert guest.troubles == 0
    if guest.steered:
        assert simulator.truth()["setpoint_a"] == 10.0


@pytest.mark.parametrize("name", DRIVERS)
def test_it_comes_through_every_fault_and_steers_again(name: str) -> None:
    guest = Guest(name)
    guest.live(40, 10.0)
    for number, fault in enumerate(FAULTS):
        guest.bench.simulator.change(fault)
        guest.live(10, 8.0)
        guest.bench.simulator.change({key: None if key == "exception" else 0 for key in fault})
        setpoint_a = 10.0 + number
        reading = guest.live(45, setpoint_a)
        assert reading is not None, fault
        assert guest.bench.clock.seconds() - reading.taken_s < 10, fault
        if guest.steered:
            assert guest.bench.simulator.truth()["setpoint_a"] == setpoint_a, fault
            assert guest.device.obedience(guest.bench.clock.seconds()).confirmed_a == setpoint_a
    assert guest.bench.simulator.violations == []
    assert guest.bench.simulator.flash_writes <= 4


def test_every_connector_of_a_row_is_steered_by_itself() -> None:
    guest = Guest("phoenix-charx-sec")
    bench = guest.bench
    third = Device("third", DRIVERS["phoenix-charx-sec"], bench.bus, 1, (0, 1, 2), bench.clock, 6.0, channel=3)
    for channel in (1, 3):
        bench.simulator.plug(Car(wants_a=20.0), channel)
    for _ in range(10):
        guest.live(1, 7.0)
        bench.get(third.read())
        bench.get(third.apply(11.0))
    readings = [bench.get(device.read()) for device in (guest.device, third)]
    assert [reading.current_a[0] for reading in readings] == pytest.approx([7.0, 11.0], abs=0.1)
    assert bench.simulator.refusals == []


@pytest.mark.parametrize("name", [name for name in DRIVERS if DRIVERS[name].setpoint is not None])
def test_a_box_that_restarts_gets_its_setpoint_and_its_watchdog_again(name: str) -> None:
    guest = Guest(name)
    guest.live(40, 7.0)
    guest.bench.simulator.restart()
    guest.live(90, 7.0)
    assert guest.bench.simulator.truth()["setpoint_a"] == 7.0
    assert guest.device.condition.fallback == ("programmed" if DRIVERS[name].shows_fallback else "none")
