"""One simulated device, made from a driver: a Modbus slave with that register map, and a charge point or meter behind.

It refuses what the device refuses, and it remembers what a real one would have punished.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Container, Mapping, MutableMapping
from random import Random
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from charging_manager.devices.codec import decode
from charging_manager.devices.driver import TEXTS, Driver, Kind, Value
from charging_manager.errors import ConfigError, DeviceRefused
from charging_manager.modbus.pdu import BUSY, ILLEGAL_VALUE, WRITES
from charging_manager.modbus.server import EVERYBODY, Mute
from charging_manager.model.reading import Status
from charging_manager.model.units import NO_AMPS, PhaseAmps
from charging_manager.sim.box import Box
from charging_manager.sim.car import Car
from charging_manager.sim.faults import Faults
from charging_manager.sim.image import Entry, Image
from charging_manager.sim.lock import Lock
from charging_manager.sim.power import VOLTAGES, Flow
from charging_manager.sim.shown import (
    MEASURED,
    Measured,
    identifying,
    measured_value,
    of_flow,
    of_outlet,
    reversed_flow,
    state_codes,
)

GRACE = 0.95
"""A request counts as too early only under this share of the device's gap."""

STARTING_S = 3.0
COUNTERS_BACK_S = 10.0
MOST_REMEMBERED = 500
MOST_READS = 50

CAR_KEYS = ("wants_a", "phases", "needs_wh", "patience", "onset_s", "follow_s", "disobeys")
FAULT_KEYS = ("silence", "delay_ms", "exception", "half_frame", "wrong_unit", "nan", "frozen")


class _Anybody:
    """Whoever asks, where clients are not told apart."""


ANYBODY = _Anybody()


class Simulator:
    """A Slave (charging_manager.modbus.server) with one device on one unit."""

    def __init__(
        self,
        driver: Driver,
        clock: IReactorTime,
        *,
        unit: int = 1,
        wired_phases: int = 3,
        source: Callable[[], PhaseAmps] = lambda: NO_AMPS,
        shows: Mapping[str, Value] | None = None,
        early: str = "busy",
        soc_pct: Callable[[], float] | None = None,
    ) -> None:
        self.unit = unit
        self.clock = clock
        self.shows: dict[str, Value] = dict(shows or {})
        """Values that are shown whatever the model says."""
        self.faults = Faults()
        self.restarted: Callable[[], None] = lambda: None
        """Called when the device restarts: its owner drops the clients."""
        self.early_answer = early
        examples = {name: each.example for name, each in driver.registers.items() if each.example is not None}
        self.driver = driver = driver.resolve({**identifying(driver), **examples, **self.shows})
        self._image = Image(driver, unit)
        self._identifying = identifying(driver)
        self._codes = state_codes(driver)
        self.box = Box(driver, wired_phases, clock.seconds()) if driver.kind is Kind.CHARGER else None
        self.extra_a: PhaseAmps = NO_AMPS
        """What a meter sees beside what the site lets flow there, on its own phases."""
        self.flow = Flow(lambda: _plus(source(), self.extra_a)) if self.box is None else None
        self.changed_s = clock.seconds()
        self.read_at_s: deque[float] = deque(maxlen=MOST_READS)
        """Of a meter: when it was read last."""
        self._still: dict[tuple[str, int], Value] = {}
        self.lock = Lock(driver.storage, clock.seconds()) if driver.storage is not None else None
        self._soc_pct = soc_pct
        self._channel = min(self.box.outlets) if self.box else 1
        self._last_request_s: MutableMapping[object, float] = WeakKeyDictionary()
        self._last_write_s: dict[Entry, float] = {}
        self.reset_counters()

    def reset_counters(self) -> None:
        """Begin counting anew."""
        self.reads = self.refused = self.early = self.early_writes = self.flash_writes = 0
        self.writes: list[dict[str, Any]] = []
        self.refusals: list[str] = []
        if self.box is not None:
            self.box.violations.clear()

    @property
    def violations(self) -> list[str]:
        """What a real device would have punished although it answered."""
        return self.box.violations if self.box is not None else []

    # -- physics -----------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Bring everything up to the clock."""
        now_s = self.clock.seconds()
        if self.box is not None:
            self.box.advance(now_s)
        if self.flow is not None:
            self.flow.advance(now_s)

    def current_a(self) -> PhaseAmps:
        """What the charge point draws in all, on its own phases."""
        if self.box is None:
            return NO_AMPS
        totals = [sum(outlet.current_a[phase] for outlet in self.box.outlets.values()) for phase in range(3)]
        return totals[0], totals[1], totals[2]

    def status(self, channel: int | None = None) -> Status:
        """What is so at a connector."""
        outlet = self.outlet(channel)
        if outlet.fault:
            return Status.FAULT
        if outlet.car is None:
            return Status.FREE
        return Status.CHARGING if outlet.charging else Status.PLUGGED

    def outlet(self, channel: int | None = None) -> Any:
        """One connector. Raises: ConfigError if there is none."""
        if self.box is None:
            raise ConfigError("plugged", "this is a meter; it has no connector")
        try:
            return self.box.outlets[self._channel if channel is None else channel]
        except KeyError:
            raise ConfigError("connector", f"there are {', '.join(map(str, self.box.outlets))}") from None

    # -- Slave -------------------------------------------------------------------------------------------------------

    def units(self) -> Container[int]:
        return self._image.units()

    def handle(
        self, unit: int, function: int, address: int, count: int, words: tuple[int, ...], client: object = ANYBODY
    ) -> Awaitable[list[int]] | list[int]:
        """As a Slave; ``client`` tells apart whose requests come too early, where a device has several."""
        now_s = self.clock.seconds()
        self.advance()
        faults = self.faults
        if unit == EVERYBODY:
            unit = self.unit
        if faults.silence or now_s < faults.starting_until_s:
            raise Mute
        if faults.exception is not None:
            raise DeviceRefused(faults.exception, "as asked for")
        self._check_gap(now_s, client)
        try:
            if function in WRITES:
                answer = self._write(unit, function, address, words, now_s)
            else:
                answer = self._image.read(unit, function, address, count, self._value)
                self.reads += 1
                if self.flow is not None:
                    self.read_at_s.append(round(now_s, 4))
        except DeviceRefused as refusal:
            self.refused += 1
            self._remember(self.refusals, f"function {function} at {address} x {count}: {refusal}")
            raise
        if self.box is not None:
            self.box.heard(now_s)
        if faults.delay_ms:
            return deferLater(self.clock, faults.delay_ms / 1000, lambda: answer)
        return answer

    def spoil(self, frame: bytes, serial: bool) -> list[bytes]:
        """What of this answer is really sent."""
        return self.faults.spoil(frame, serial)

    def _check_gap(self, now_s: float, client: object) -> None:
        since_s = now_s - self._last_request_s.get(client, -math.inf)
        if since_s < GRACE * self.driver.bus.gap_s:
            self.early += 1
            if self.early_answer == "silent":
                raise Mute
            raise DeviceRefused(BUSY, "too early")
        self._last_request_s[client] = now_s

    def _write(self, unit: int, function: int, address: int, words: tuple[int, ...], now_s: float) -> list[int]:
        for never in self.driver.never:
            if never.address < address + len(words) and address < never.address + never.count:
                self.violations.append(f"{address} written: {never.why}")
        parts = self._image.written(unit, function, address, words)
        values: list[tuple[Entry, Value]] = []
        for entry, part in parts:
            register = entry.register
            last_s = self._last_write_s.get(entry, -math.inf)
            if now_s - last_s < GRACE * self.driver.bus.write_gap_s:
                self.early_writes += 1
                raise DeviceRefused(BUSY, f"{register.name} was written a moment ago")
            factor = self._value(register.scale_from, entry.channel) if register.scale_from else 0
            value = decode(register, part, factor if isinstance(factor, int) else 0)
            if isinstance(value, int | float) and value != 0:
                if register.lowest is not None and value < register.lowest:
                    raise DeviceRefused(ILLEGAL_VALUE, f"{register.name} takes no {value:g}")
                if register.highest is not None and value > register.highest:
                    raise DeviceRefused(ILLEGAL_VALUE, f"{register.name} takes no {value:g}")
            values.append((entry, value))
        for entry, value in values:
            register = entry.register
            self._last_write_s[entry] = now_s
            if register.volatile is False:
                self.flash_writes += 1
            self._remember(self.writes, {"at_s": round(now_s, 3), "register": register.name, "value": value})
            if self.box is not None:
                self.box.write(register.name, entry.channel, value, now_s)
            if self.lock is not None:
                self.lock.write(register.name, value, now_s)
        return []

    @staticmethod
    def _remember(where: list[Any], what: Any) -> None:
        where.append(what)
        del where[:-MOST_REMEMBERED]

    # -- what the registers show -------------------------------------------------------------------------------------

    def _value(self, name: str, channel: int) -> Value:
        """Frozen, what was shown last, however long ago that was: a register read seldom does not move once more."""
        if self.faults.frozen and (name, channel) in self._still:
            return self._still[name, channel]
        value = self._still[name, channel] = self._lively(name, channel)
        return value

    def _lively(self, name: str, channel: int) -> Value:
        if name in self.shows:
            return self.shows[name]
        faults = self.faults
        if faults.unknown(name, bool(MEASURED.match(name))):
            return None
        seen = self._measured(channel)
        box = self.box
        if self.lock is not None and name in self.lock.stored:
            return self.lock.stored[name]
        if name == "soc_pct" and self._soc_pct is not None:
            return self._soc_pct()
        if box is None:
            value = measured_value(name, seen, self.driver.unsigned_currents)
        else:
            value = self._box_value(box, name, channel, seen)
        if name.startswith("energy_") and self.clock.seconds() < faults.zero_energy_until_s:
            return 0
        if value is not None:
            return value
        register = self.driver.registers[name]
        if register.example is not None:
            return register.example
        return self._identifying.get(name, "" if name == "rfid" or register.type in TEXTS else 0)

    def _measured(self, channel: int) -> Measured:
        if self.flow is not None:
            seen = of_flow(self.flow)
            return reversed_flow(seen) if self.driver.kind is Kind.INVERTER else seen
        return of_outlet(self.outlet(channel))

    def _box_value(self, box: Box, name: str, channel: int, seen: Measured) -> Value:
        now_s = self.clock.seconds()
        driver = self.driver
        if (name, channel) in box.stored:
            return box.stored[name, channel]
        setpoint, watchdog, phases = driver.setpoint, driver.watchdog, driver.phases
        if setpoint is not None and name == setpoint.applied:
            return box.offered_a(channel, now_s)
        if watchdog is not None and name == watchdog.timeout:
            left_s = box.watchdog_left_s(now_s) or 0.0  # where it cannot be set, what is left of it is shown
            return max(0.0, left_s) if watchdog.timeout_write is None else box.get(watchdog.timeout_write, 1)
        if watchdog is not None and watchdog.fallback_write is not None and name == watchdog.fallback:
            return box.get(watchdog.fallback_write, 1)
        if phases is not None and name == phases.state:
            return phases.state_one if box.outlets[channel].phases_on == 1 else phases.state_three
        codes = self._codes.get(self.status(channel), {})
        if name in codes:
            return codes[name]
        if name.startswith("rfid"):
            return self._tag(name, channel)
        return measured_value(name, seen, driver.unsigned_currents)

    def _tag(self, name: str, channel: int) -> Value:
        tag = str(self.outlet(channel).rfid)
        if name == "rfid_count":
            return 1 if tag else 0
        if name == "rfid_number":
            return int(tag[:8], 16) if tag else 0
        return tag

    # -- what people and tests do to it ------------------------------------------------------------------------------

    def plug(self, car: Car | None = None, channel: int | None = None) -> None:
        """A car comes."""
        self.advance()
        self.outlet(channel).plug(car or Car())

    def unplug(self, channel: int | None = None) -> None:
        """The car goes."""
        self.advance()
        self.outlet(channel).unplug()

    def restart(self) -> None:
        """Power off and on: silent for a while, then with counters that read 0 for a while."""
        now_s = self.clock.seconds()
        self.advance()
        if self.box is not None:
            self.box.boot()
            self.box.fed_s = now_s
        self.faults.starting_until_s = now_s + STARTING_S
        self.faults.zero_energy_until_s = now_s + COUNTERS_BACK_S
        self.restarted()

    def truth(self) -> dict[str, Any]:
        """What is really so, for whoever wants to compare."""
        self.advance()
        now_s = self.clock.seconds()
        told: dict[str, Any] = {
            "driver": self.driver.name,
            "changed_s": round(self.changed_s, 4),
            "unit": self.unit,
            "voltage_v": list(VOLTAGES),
            "faults": {key: getattr(self.faults, key) for key in FAULT_KEYS},
            "reads": self.reads,
            "writes": list(self.writes),
            "refused": self.refused,
            "refusals": list(self.refusals),
            "early": self.early,
            "early_writes": self.early_writes,
            "flash_writes": self.flash_writes,
            "violations": list(self.violations),
        }
        if self.flow is not None:
            told["current_a"] = [round(a, 4) for a in self.flow.current_a]
            if self.lock is not None:
                told["locked"] = self.lock.locked(now_s)
            told["extra_a"] = list(self.extra_a)
            told["read_at_s"] = list(self.read_at_s)
            told["power_w"] = round(sum(self.flow.power_w), 2)
            told["energy_wh"] = round(sum(self.flow.energy_l_wh), 2)
            told["energy_export_wh"] = round(sum(self.flow.export_l_wh), 2)
            return told
        box, channel = self.box, self._channel
        assert box is not None  # noqa: S101 - told to mypy: a device is one or the other
        outlet = box.outlets[channel]
        left_s = box.watchdog_left_s(now_s)
        told |= {
            "plugged": outlet.car is not None,
            "status": str(self.status(channel)),
            "current_a": [round(a, 4) for a in outlet.current_a],
            "power_w": round(sum(outlet.power_w), 2),
            "energy_wh": round(outlet.energy_wh, 2),
            "session_wh": round(outlet.session_wh, 2),
            "setpoint_a": box.setpoint_a(channel),
            "paused": box.paused(channel),
            "offered_a": box.offered_a(channel, now_s),
            "phases_on": outlet.phases_on,
            "watchdog_left_s": None if left_s is None else round(left_s, 2),
            "watchdog_expired": left_s is not None and left_s <= 0,
            "fallback_a": box.fallback_a(),
            "car": None
            if outlet.car is None
            else {key: getattr(outlet.car, key) for key in CAR_KEYS} | {"asleep": outlet.car.asleep},
        }
        return told

    def change(self, what: Mapping[str, Any], random: Random | None = None) -> None:
        """Do what docs/simulators.md lists, in order. Raises: ConfigError for an unknown key or a bad value."""
        channel = what.get("connector")
        self.changed_s = self.clock.seconds()
        for key, value in what.items():
            if key == "connector":
                continue
            if key == "plugged":
                if value and self.outlet(channel).car is None:
                    self.plug(Car.any(random) if random and what.get("any_car") else Car(), channel)
                elif not value:
                    self.unplug(channel)
            elif key == "any_car":
                continue
            elif key in CAR_KEYS:
                car = self.outlet(channel).car
                if car is None:
                    raise ConfigError(key, "no car is plugged in; say plugged first")
                setattr(car, key, _like(key, value))
            elif key in FAULT_KEYS:
                setattr(self.faults, key, value)
            elif key == "extra_a" and self.flow is not None:
                self.extra_a = three_amps(key, value)
            elif key == "fault":
                self.outlet(channel).fault = bool(value)
            elif key == "rfid":
                self.outlet(channel).rfid = str(value)
            elif key == "shows":
                self._show(value)
            elif key == "restart":
                self.restart()
            elif key == "wake":
                car = self.outlet(channel).car
                if car is not None:
                    car.wake()
            elif key == "reset_counters":
                self.reset_counters()
            else:
                raise ConfigError(key, "is nothing that a simulator can do")
        self.advance()

    def _show(self, values: Mapping[str, Value]) -> None:
        for name, value in values.items():
            if name not in self.driver.registers:
                raise ConfigError(f"shows.{name}", "this device has no such register")
            if value is None:
                self.shows.pop(name, None)
            else:
                self.shows[name] = value


def _plus(one: PhaseAmps, other: PhaseAmps) -> PhaseAmps:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def three_amps(key: str, value: Any) -> PhaseAmps:
    """Three numbers. Raises: ConfigError."""
    try:
        one, two, three = (float(amps) for amps in value)
    except (TypeError, ValueError) as error:
        raise ConfigError(key, "three numbers are needed") from error
    return one, two, three


def _like(key: str, value: Any) -> Any:
    if key == "disobeys":
        return bool(value)
    if value is None and key == "patience":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ConfigError(key, "a number of 0 or more is needed")
    return int(value) if key in ("phases", "patience") else float(value)
