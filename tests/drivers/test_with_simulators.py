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

    def live(self, seconds: float, setpoint_a: float, phases: int | None = None) -> Reading | None:
        reading = None
        until_s = self.bench.clock.seconds() + seconds
        while self.bench.clock.seconds() < until_s:
            began_s = self.bench.clock.seconds()
            try:
                reading = self.bench.get(self.device.read())
                if self.steered:
                    self.bench.get(self.device.apply(setpoint_a, phases))
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


SWITCHERS = [name for name, driver in DRIVERS.items() if driver.phases is not None]


@pytest.mark.parametrize("name", SWITCHERS)
def test_phases_are_switched_only_without_current_and_only_so_often(name: str) -> None:
    guest = Guest(name)
    simulator, rule = guest.bench.simulator, DRIVERS[name].phases
    assert rule is not None
    simulator.plug(Car(wants_a=16.0, patience=None))
    guest.live(60, 12.0)
    outlet = simulator.outlet()
    assert outlet.charging and outlet.phases_on == 3
    known = guest.device.obedience(guest.bench.clock.seconds())
    assert known.switches_phases and known.phases == 3
    for wanted, code in ((1, rule.one), (3, rule.three)):
        unsure = False
        for _ in range(120):
            guest.live(1, 12.0, wanted)
            known = guest.device.obedience(guest.bench.clock.seconds())
            unsure = unsure or known.phases is None
            assert known.phases in (None, outlet.phases_on), "what is said to be certain is so"
            if known.phases == wanted and outlet.charging:
                break
        assert unsure and outlet.charging and outlet.phases_on == wanted
        assert simulator.violations == []
        assert [write["value"] for write in simulator.writes if write["register"] == rule.register][-1] == code
        before = len(simulator.writes)
        guest.live(rule.every_s / 2, 12.0, 4 - wanted)
        assert rule.register not in [write["register"] for write in simulator.writes[before:]], "too soon"
        guest.live(rule.every_s / 2 + 5, 12.0, wanted)
    guest.live(30, 12.0)
    assert guest.device.obedience(guest.bench.clock.seconds()).phases == 3
    assert guest.device.condition.sentence.startswith("Connected") and guest.troubles == 0
    assert (simulator.early, simulator.early_writes, simulator.refusals) == (0, 0, [])
    assert simulator.flash_writes <= 2


@pytest.mark.parametrize("name", SWITCHERS)
def test_a_box_that_does_not_switch_is_named_keeps_its_state_and_goes_on_charging(name: str) -> None:
    guest = Guest(name)
    simulator, rule = guest.bench.simulator, DRIVERS[name].phases
    assert rule is not None and simulator.box is not None
    simulator.plug(Car(wants_a=16.0, patience=None))
    shown = rule.state or rule.register
    guest.live(60, 12.0)
    readable = DRIVERS[name].registers[shown].function is not None
    simulator.change({"shows": {shown: rule.state_three if rule.state else rule.three}} if readable else {})
    guest.live(240, 12.0, 1)
    known = guest.device.obedience(guest.bench.clock.seconds())
    assert not known.switches_phases and known.phases == 3
    assert guest.device.condition.sentence == "Connected; it was told to switch phases and does not show it"
    assert simulator.outlet().charging and simulator.violations == []


@pytest.mark.parametrize("name", SWITCHERS)
def test_a_car_that_goes_on_charging_is_never_switched(name: str) -> None:
    guest = Guest(name)
    simulator, rule = guest.bench.simulator, DRIVERS[name].phases
    assert rule is not None
    simulator.plug(Car(wants_a=16.0))
    guest.live(30, 12.0)
    simulator.change({"disobeys": True})
    guest.live(100, 12.0, 1)
    assert rule.register not in [write["register"] for write in simulator.writes]
    known = guest.device.obedience(guest.bench.clock.seconds())
    assert (known.switches_phases, known.phases) == (False, 3)
    assert guest.device.condition.sentence == "Connected; phases could not be switched, because it went on charging"


@pytest.mark.parametrize("name", SWITCHERS)
def test_a_box_that_falls_silent_while_it_switches_is_certain_of_nothing_until_it_is_read_again(name: str) -> None:
    guest = Guest(name)
    simulator, rule = guest.bench.simulator, DRIVERS[name].phases
    assert rule is not None
    simulator.plug(Car(wants_a=16.0, patience=None))
    guest.live(60, 12.0)
    for _ in range(100):
        guest.live(1, 12.0, 1)
        if rule.register in [write["register"] for write in simulator.writes]:
            break
    assert guest.device.obedience(guest.bench.clock.seconds()).phases is None
    simulator.change({"silence": True})
    guest.live(20, 12.0, 1)
    assert guest.device.obedience(guest.bench.clock.seconds()).phases is None
    simulator.change({"silence": False})
    guest.live(90, 12.0, 1)
    assert guest.device.obedience(guest.bench.clock.seconds()).phases == simulator.outlet().phases_on == 1
    assert simulator.outlet().charging and simulator.violations == []
