"""Every driver of a storage battery: locked and released as its table says, on simulators and as bytes on the wire."""

from __future__ import annotations

from typing import Any

import pytest

from charging_manager.devices.device import Device
from charging_manager.errors import DeviceError
from charging_manager.model.reading import Reading
from tests.devices.rig import Rig
from tests.sim.rigs import DRIVERS, Bench

BATTERIES = [name for name, driver in DRIVERS.items() if driver.storage is not None]


class Guest:
    """A device at a simulated battery, read every second."""

    def __init__(self, name: str, **options: Any) -> None:
        self.bench = Bench(name, **options)
        self.device = self.again()

    def again(self) -> Device:
        """We were started anew."""
        self.device = Device("x", DRIVERS[self.bench.driver.name], self.bench.bus, 1, (0, 1, 2), self.bench.clock)
        return self.device

    def live(self, seconds: int, locked: bool | None = None) -> Reading:
        for _ in range(seconds):
            reading = self.bench.get(self.device.read())
            if locked is not None:
                self.bench.get(self.device.lock_storage(locked))
            self.bench.run(1.0)
        return reading

    @property
    def locked(self) -> bool:
        assert self.bench.simulator.lock is not None
        return self.bench.simulator.lock.locked(self.bench.clock.seconds())


each = pytest.mark.parametrize("name", BATTERIES)


@each
def test_it_is_locked_kept_locked_and_released(name: str) -> None:
    guest = Guest(name)
    guest.live(3, False)
    assert guest.bench.simulator.writes == [], "who never locked it leaves it alone"
    guest.live(5, True)
    assert guest.locked and guest.device.storage_locked is True
    for _ in range(20):
        guest.live(30, True)
        assert guest.locked, "also when it would unlock itself"
    rule = DRIVERS[name].storage
    assert rule is not None
    writes = len(guest.bench.simulator.writes)
    assert writes <= (600 / (rule.keep_every_s or 600) + 2) * len(rule.lock)
    guest.live(5, False)
    assert not guest.locked and guest.device.storage_locked is False
    assert [write["value"] for write in guest.bench.simulator.writes[-len(rule.unlock) :]] == [
        write.value for write in rule.unlock
    ]
    before = len(guest.bench.simulator.writes)
    guest.live(100, False)
    assert len(guest.bench.simulator.writes) == before
    assert guest.bench.simulator.refusals == [] and guest.bench.simulator.violations == []


@each
def test_it_unlocks_itself_when_we_die_and_the_next_run_of_ours_releases_it(name: str) -> None:
    guest = Guest(name)
    guest.live(5, True)
    guest.device.close()
    guest.bench.run(150, step_s=1.0)
    assert not guest.locked
    guest.again()
    guest.live(5, True)
    guest.device.close()
    guest.again()
    guest.live(5, False)
    assert not guest.locked and guest.device.storage_locked is False


@each
def test_somebody_else_who_unlocks_it_is_noticed(name: str) -> None:
    guest = Guest(name)
    guest.live(5, True)
    rule, simulator = DRIVERS[name].storage, guest.bench.simulator
    assert rule is not None and simulator.lock is not None
    for write in rule.unlock:
        simulator.lock.write(write.register, write.value, guest.bench.clock.seconds())
    guest.live(8, True)
    assert guest.locked


@each
def test_after_silence_it_is_locked_again(name: str) -> None:
    guest = Guest(name)
    guest.live(5, True)
    guest.bench.simulator.change({"silence": True})
    for _ in range(8):
        with pytest.raises(DeviceError):
            guest.bench.get(guest.device.read())
        guest.bench.run(1.0)
    guest.bench.simulator.change({"silence": False, "restart": True})
    for write in () if guest.bench.simulator.lock is None else tuple(guest.bench.simulator.lock.stored):
        guest.bench.simulator.lock.stored.pop(write)  # type: ignore[union-attr]
    for _ in range(40):
        try:
            guest.live(1)
        except DeviceError:
            guest.bench.run(1.0)
    assert guest.locked and guest.device.storage_locked is True


def test_a_meter_that_is_no_battery_is_not_locked() -> None:
    guest = Guest("eastron-sdm630")
    guest.live(2)
    with pytest.raises(DeviceError, match="no storage battery"):
        guest.bench.get(guest.device.lock_storage(True))
    assert guest.device.storage_locked is None


def sunspec(**shows: float) -> Rig:
    rig = Rig(DRIVERS["sunspec-storage-124"])
    for name, value in shows.items():
        rig.box.show(name, value)
    rig.read()
    return rig


def words(rig: Rig, name: str) -> int:
    return rig.box.words["holding", rig.box.driver.registers[name].address + rig.box.offset]


def test_sunspec_percents_go_out_by_the_scale_factor_that_the_inverter_shows_now() -> None:
    for factor, hundred in ((-2, 10_000), (-1, 1_000), (0, 100)):
        rig = sunspec(sf_limits=factor, discharge_limit_pct=100)
        rig.wait(rig.device.lock_storage(True))
        assert [(name, value) for _, name, value in rig.box.wrote] == [
            ("revert_s", 120),
            ("discharge_limit_pct", 0),
            ("control_mode", 2),
        ]
        rig.box.wrote.clear()
        rig.wait(rig.device.lock_storage(False))
        assert [name for _, name, _ in rig.box.wrote] == ["control_mode", "discharge_limit_pct", "revert_s"]
        assert (words(rig, "control_mode"), words(rig, "discharge_limit_pct")) == (0, hundred)


def test_a_sunspec_battery_without_the_timer_is_locked_all_the_same() -> None:
    rig = sunspec()
    rig.box.raw("revert_s", [0xFFFF])
    rig.read()
    rig.wait(rig.device.lock_storage(True))
    assert [name for _, name, _ in rig.box.wrote] == ["discharge_limit_pct", "control_mode"]
    assert rig.device.storage_locked is True


def test_a_limit_that_somebody_else_set_is_left_alone() -> None:
    rig = sunspec(discharge_limit_pct=50, control_mode=2)
    rig.wait(rig.device.lock_storage(False))
    assert rig.box.wrote == [] and rig.device.storage_locked is False


def test_the_state_of_charge_is_read_and_nonsense_is_unknown() -> None:
    rig = sunspec(soc_pct=73.5)
    assert rig.read().values["soc_pct"] == 73.5
    rig.box.show("soc_pct", 140.0)
    rig.run(1.0)
    assert rig.read().values["soc_pct"] is None
