"""The control side of a simulated charge point: what was written to it, and what it therefore offers its cars."""

from __future__ import annotations

from charging_manager.devices.driver import Driver, FedBy, Value
from charging_manager.sim.car import LOWEST_A
from charging_manager.sim.power import Outlet

BOOT_A = 16.0
"""What a box offers that nobody has told anything."""


class Box:
    """One charge point with its connectors. ``stored`` is what its registers hold by name and connector."""

    def __init__(self, driver: Driver, wired_phases: int, now_s: float) -> None:
        self.driver = driver
        first = driver.channels.first if driver.channels else 1
        count = driver.channels.count if driver.channels else 1
        self.outlets = {channel: Outlet(wired_phases) for channel in range(first, first + count)}
        self.stored: dict[tuple[str, int], Value] = {}
        self.fed_s = now_s
        self.violations: list[str] = []
        self._relay_free_s = dict.fromkeys(self.outlets, now_s)
        self._relay_at: dict[int, int] = {}
        """Phases that a contactor is on its way to."""
        self.boot()

    @property
    def hardware_max_a(self) -> float:
        """What cable and fuse allow."""
        register = self.driver.registers.get("hardware_max_a")
        if register is not None and isinstance(register.example, int | float):
            return float(register.example)
        return self.driver.setpoint.highest_a if self.driver.setpoint else 32.0

    def boot(self) -> None:
        """Everything as after power-on; what lies in flash stays."""
        kept = {key: value for key, value in self.stored.items() if self.driver.registers[key[0]].volatile is False}
        self.stored = {}
        setpoint = self.driver.setpoint
        if setpoint is not None:
            for channel in self.outlets:
                self.stored[setpoint.register, channel] = min(BOOT_A, self.hardware_max_a)
                for write in setpoint.resume:
                    self.stored[write.register, channel] = write.value
        self.stored |= kept

    def get(self, name: str, channel: int) -> Value:
        """What was written there, or the driver's example."""
        if (name, channel) in self.stored:
            return self.stored[name, channel]
        register = self.driver.registers.get(name)
        return register.example if register is not None else None

    def write(self, name: str, channel: int, value: Value, now_s: float) -> None:
        """A client wrote this."""
        driver = self.driver
        phases = driver.phases
        outlet = self.outlets[channel]
        if phases is not None and name == phases.register:
            if outlet.charging:
                self.violations.append(f"{name} written while current flowed")
            if any(self.stored.get((write.register, channel)) != write.value for write in phases.prepare):
                self.violations.append(f"{name} written before {phases.prepare[0].register}: no effect")
                return
            if outlet.phases_on != (1 if value == phases.one else 3):
                if now_s < self._relay_free_s[channel] + phases.every_s - phases.settle_s and channel in self._relay_at:
                    self.violations.append(f"{name} written again too soon")
                self._relay_free_s[channel] = now_s + phases.settle_s
                self._relay_at[channel] = 1 if value == phases.one else 3
        if any(write.register == name and value for write in driver.wake) and outlet.car is not None:
            outlet.car.wake()
        self.stored[name, channel] = value
        watchdog = driver.watchdog
        if watchdog is not None:
            fed_by_write = watchdog.fed_by is FedBy.REGISTER_WRITE and any(w.register == name for w in watchdog.feed)
            setpoint = driver.setpoint
            fed_by_setpoint = watchdog.fed_by is FedBy.SETPOINT_WRITE and setpoint and name == setpoint.register
            if fed_by_write or fed_by_setpoint or name == watchdog.timeout_write:
                self.fed_s = now_s

    def heard(self, now_s: float) -> None:
        """A good request came, whatever it was."""
        if self.driver.watchdog is not None and self.driver.watchdog.fed_by is FedBy.ANY_REQUEST:
            self.fed_s = now_s

    def watchdog_left_s(self, now_s: float) -> float | None:
        """How long until it falls back; None if it is off."""
        watchdog = self.driver.watchdog
        if watchdog is None or watchdog.fed_by is FedBy.NONE:
            return None
        if watchdog.timeout_write is None or watchdog.timeout is None:
            return self.fed_s + watchdog.timeout_s - now_s
        timeout_s = self.get(watchdog.timeout_write, 1)
        if not isinstance(timeout_s, int | float) or timeout_s <= 0:
            shown = self.get(watchdog.timeout, 1)
            timeout_s = shown if (watchdog.timeout_write, 1) not in self.stored else 0
        if not isinstance(timeout_s, int | float) or timeout_s <= 0:
            return None
        return self.fed_s + timeout_s - now_s

    def fallback_a(self) -> float:
        """What it offers after the watchdog struck."""
        watchdog = self.driver.watchdog
        if watchdog is None:
            return 0.0
        if watchdog.timeout is None:
            return min(BOOT_A, self.hardware_max_a)  # its installer's limit, which nobody can see
        value = None if watchdog.fallback_write is None else self.get(watchdog.fallback_write, 1)
        if value is None and watchdog.fallback is not None:
            value = self.get(watchdog.fallback, 1)
        return float(value) if isinstance(value, int | float) else 0.0

    def paused(self, channel: int) -> bool:
        """Whether the writes that mean a pause are in force."""
        setpoint = self.driver.setpoint
        if setpoint is None:
            return False
        return all(self.get(write.register, channel) == write.value for write in setpoint.pause)

    def setpoint_a(self, channel: int) -> float:
        """What it was told, paused or not."""
        if self.driver.setpoint is None:
            return self.hardware_max_a
        value = self.get(self.driver.setpoint.register, channel)
        return float(value) if isinstance(value, int | float) else self.hardware_max_a

    def offered_a(self, channel: int, now_s: float) -> float:
        """What the pilot signal offers now; 0: paused."""
        left_s = self.watchdog_left_s(now_s)
        if left_s is not None and left_s <= 0:
            amps = self.fallback_a()
        else:
            amps = 0.0 if self.paused(channel) else self.setpoint_a(channel)
        if now_s < self._relay_free_s[channel]:
            amps = 0.0
        amps = min(amps, self.hardware_max_a)
        return amps if amps >= LOWEST_A - 1e-6 else 0.0

    def advance(self, now_s: float) -> None:
        """The time is now ``now_s``."""
        phases = self.driver.phases
        for channel, outlet in self.outlets.items():
            if phases is not None and now_s >= self._relay_free_s[channel]:
                outlet.phases_on = self._relay_at.get(channel, outlet.phases_on)
            outlet.advance(self.offered_a(channel, now_s), now_s)
