from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from charging_manager.agent.config import DeviceSettings
from charging_manager.agent.fleet import Fleet, Spec
from charging_manager.devices.loader import load_drivers
from charging_manager.errors import ConfigError
from charging_manager.modbus.address import Address
from charging_manager.model.reading import Reading
from charging_manager.paths import shared
from tests.agent.values import box, house
from tests.agent.waiting import result_of
from tests.agent.whole import ScriptedDevice

DRIVERS = load_drivers([shared("drivers")]).drivers
LEFT = box("left", driver="keba-p30", address="tcp://192.0.2.1:1502?unit=1")
RIGHT = box("right", driver="keba-p30", address="tcp://192.0.2.1:1502?unit=2")
APART = box("apart", driver="keba-p30", address="tcp://192.0.2.2?unit=1")


class OneBus:
    def __init__(self, endpoint: str) -> None:
        self.endpoint, self.closed = endpoint, False

    def close(self) -> Deferred[None]:
        self.closed = True
        return succeed(None)


class Yard:
    """A fleet with scripted devices, and everything that it opened."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.buses: list[OneBus] = []
        self.made: list[ScriptedDevice] = []
        self.heard: list[Reading] = []
        self.fleet = Fleet(self.clock, self.heard.append, self.open_bus, self.make)

    def open_bus(self, address: Address, driver: object, access: object) -> OneBus:
        self.buses.append(OneBus(address.endpoint))
        return self.buses[-1]

    def make(self, name: str, spec: Spec, bus: Any, fallback_a: float, bus_at: Any) -> Any:
        device = ScriptedDevice(name, self.clock)
        device.fallback_a = fallback_a
        self.made.append(device)
        return device

    def update(self, *devices: DeviceSettings, **fallbacks: float) -> set[str]:
        config = house(*devices)
        touched = self.fleet.update(config.devices, DRIVERS, fallbacks, config.site("S"))
        self.clock.pump([0.5] * 4)
        return touched


def test_devices_behind_one_endpoint_share_a_bus_that_closes_with_the_last() -> None:
    yard = Yard()
    yard.update(LEFT, RIGHT, APART)
    shared_bus, own = yard.buses
    assert (shared_bus.endpoint, own.endpoint) == ("tcp://192.0.2.1:1502", "tcp://192.0.2.2:502")
    yard.update(RIGHT)
    assert (shared_bus.closed, own.closed) == (False, True)
    yard.update()
    assert shared_bus.closed


def test_only_what_differs_is_touched() -> None:
    yard = Yard()
    yard.update(LEFT, APART)
    assert yard.update(evolve(LEFT, name="Other", priority=3, max_a=10.0), APART) == set()
    assert yard.update(evolve(LEFT, phases=(2, 3, 1)), APART) == {"left"}
    assert [device.name for device in yard.made] == ["left", "apart", "left"]
    assert [device.closed for device in yard.made] == [True, False, False]


def test_a_neighbour_that_comes_changes_the_fallback_and_nothing_else() -> None:
    yard = Yard()
    yard.update(LEFT, left=16.0)
    assert yard.update(LEFT, RIGHT, left=8.0, right=8.0) == set()
    assert [device.fallback_a for device in yard.made] == [8.0, 8.0]


def test_what_cannot_be_made_is_named_and_the_others_run() -> None:
    yard = Yard()
    make, yard.fleet._make_device = yard.fleet._make_device, lambda *what: _refuse(what[0], yard.make(*what))
    assert make is not None
    yard.update(LEFT, APART, evolve(RIGHT, driver="nobody"))
    assert yard.fleet.not_running.keys() == {"right", "left"}
    assert {reading.device for reading in yard.heard} == {"apart"}


def _refuse(name: str, device: Any) -> Any:
    if name == "left":
        raise ConfigError("address", "cannot be")
    return device


def test_a_device_that_runs_goes_on_when_its_driver_file_vanishes() -> None:
    yard = Yard()
    yard.update(LEFT)
    config = house(LEFT)
    assert yard.fleet.update(config.devices, {}, {}, config.site("S")) == set()
    assert not yard.made[0].closed and "left" in yard.fleet.not_running


def test_a_slow_device_delays_no_other() -> None:
    yard = Yard()
    yard.update(LEFT, APART)
    never: Deferred[Reading] = Deferred()
    yard.made[0].read = lambda: never  # type: ignore[method-assign, assignment, return-value]
    yard.heard.clear()
    yard.clock.pump([1.0] * 5)
    assert [reading.device for reading in yard.heard] == ["apart"] * 5


def test_stopping_waits_a_few_seconds_for_a_box_that_does_not_answer() -> None:
    yard = Yard()
    yard.update(LEFT, APART, left=6.0, apart=6.0)
    yard.made[0].apply = lambda amps, phases: Deferred()  # type: ignore[method-assign, assignment, return-value]
    stopping = Deferred.fromCoroutine(yard.fleet.stop())
    assert not stopping.called and yard.made[1].setpoint_a == 6.0
    yard.clock.advance(8)
    result_of(stopping)
    assert all(bus.closed for bus in yard.buses)


def test_another_limit_of_the_site_renews_no_device() -> None:
    yard = Yard()
    yard.update(LEFT)
    config = house(LEFT)
    for limit_a, most_a in ((400.0, 4000.0), (20.0, 500.0)):
        circuits = {key: evolve(one, limit_a=(limit_a,) * 3) for key, one in config.circuits.items()}
        changed = evolve(config, circuits=circuits)
        assert yard.fleet.update(changed.devices, DRIVERS, {}, changed.site("S")) == set()
        assert len(yard.made) == 1 and yard.made[0].most_a == most_a
