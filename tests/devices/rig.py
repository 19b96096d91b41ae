"""A device made from a driver, behind the real bus over an in-memory connection, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Container, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from charging_manager.devices.codec import decode, encode
from charging_manager.devices.device import Device
from charging_manager.devices.driver import Driver, FedBy, Register, Type, Value, Write
from charging_manager.devices.loader import Loaded, load_drivers
from charging_manager.devices.parse import parse_driver
from charging_manager.errors import DeviceRefused
from charging_manager.modbus.bus import Bus
from charging_manager.modbus.lines import TcpLine
from charging_manager.modbus.server import Mute, TcpServerFactory
from charging_manager.modbus.transaction import TcpConversation
from charging_manager.model.reading import Reading
from charging_manager.paths import shared
from tests.modbus.rigs import MemoryEndpoint

T = TypeVar("T")
SPACES = {1: "coil", 5: "coil", 15: "coil", 2: "bit", 3: "holding", 6: "holding", 16: "holding", 4: "input"}


def shipped() -> Loaded:
    """The drivers of this program that speak Modbus; tests/drivers/test_http.py has the others."""
    found = load_drivers([shared("drivers")])
    return evolve(found, drivers={name: each for name, each in found.drivers.items() if each.speaks_modbus})


def driver(table: Mapping[str, Any], name: str = "acme", path: Path | None = None) -> Driver:
    """A driver from a table in a test."""
    return parse_driver(table, name, path=path)


class Box:
    """A slave with the driver's map: it refuses what is not defined, obeys setpoints, and has a watchdog.

    Values are set by the driver's names; it shares the driver's mistakes, so scales are tested elsewhere.
    """

    def __init__(self, driver: Driver, clock: Clock, unit: int = 1, base: int = 0) -> None:
        self.driver, self.clock, self.unit, self.base = driver, clock, unit, base
        self.words: dict[tuple[str, int], int] = {}
        self.refuses: dict[str, int] = {}
        """Exception code by register name."""
        self.mute = False
        self.drops_acks = False
        self.wrote: list[tuple[float, str, float | int]] = []
        self.reads: list[tuple[float, int, int, int]] = []
        self.fed_s = clock.seconds()
        self.boot()

    def boot(self) -> None:
        """As it comes from the factory, or after its power was off."""
        self.words.clear()
        for register in sorted(self.driver.registers.values(), key=lambda r: r.scale_from is not None):
            self.show(register.name, self._first(register))
        rule = self.driver.setpoint
        if rule is not None:
            self.show(rule.register, min(16.0, rule.highest_a))
            for write in rule.resume:
                self.show(write.register, write.value)
        for condition in self.driver.identify:
            value = condition.values[0] if condition.values else condition.lowest
            example = self.driver.registers[condition.register].example
            if value is not None:
                self.show(condition.register, example if example is not None else value)
        for place, word in self._chain().items():
            self.words["holding", place] = word

    def _chain(self) -> dict[int, int]:
        rule = self.driver.discover
        if rule is None:
            return {}
        at = self.base
        words = [0x5375, 0x6E53, 1, 65, *[0] * 65]
        start = at + len(words)
        end = start + 2 + rule.length
        self.offset = start
        placed = {at + number: word for number, word in enumerate(words)}
        block = {start + number: self.words.pop(("holding", number), 0) for number in range(2 + rule.length)}
        return {**placed, **block, start: rule.models[0], start + 1: rule.length, end: 0xFFFF, end + 1: 0}

    offset = 0

    def _first(self, register: Register) -> float | int | str:
        if register.example is not None:
            return register.example
        if register.type in (Type.STR, Type.STR16):
            return ""
        return "00" * 2 * register.count if register.type is Type.RAW else 0

    def show(self, name: str, value: float | int | str) -> None:
        """From now on this register shows this value."""
        register = self.driver.registers[name]
        exponent = 0
        if register.scale_from is not None:
            seen = self.value(register.scale_from)
            exponent = int(seen) if isinstance(seen, int) else 0
        plain = evolve(register, bits=None)
        words = encode(plain if register.bits is None else register, value, exponent)
        if register.bits is not None:
            low, high = register.bits
            mask = ((1 << high - low + 1) - 1) << low
            old = 0
            for at in range(register.count):
                old = old << 16 | self.words.get((self._space(register), register.address + self.offset + at), 0)
            new = 0
            for word in words:
                new = new << 16 | word
            number = old & ~mask | new
            words = [number >> 16 * (register.count - 1 - at) & 0xFFFF for at in range(register.count)]
        self.raw(name, words)

    def raw(self, name: str, words: list[int]) -> None:
        """From now on this register shows these words."""
        register = self.driver.registers[name]
        for space in {self._space(register), SPACES.get(register.write_function or 0, self._space(register))}:
            for at, word in enumerate(words):
                self.words[space, register.address + self.offset + at] = word

    def value(self, name: str) -> Value:
        """What this register shows now."""
        register = self.driver.registers[name]
        space, start = self._space(register), register.address + self.offset
        return decode(register, [self.words.get((space, start + at), 0) for at in range(register.count)])

    def _space(self, register: Register) -> str:
        return SPACES[register.function or register.write_function or 3]

    # -- behaviour ---------------------------------------------------------------------------------------------------

    @property
    def expired(self) -> bool:
        """Whether its watchdog has taken over."""
        watchdog = self.driver.watchdog
        if watchdog is None:
            return False
        after_s = self.value(watchdog.timeout) if watchdog.timeout else watchdog.timeout_s
        return isinstance(after_s, int | float) and 0 < after_s < self.clock.seconds() - self.fed_s

    @property
    def offers_a(self) -> float:
        """What the car may draw now."""
        rule, watchdog = self.driver.setpoint, self.driver.watchdog
        assert rule is not None
        if self.expired and watchdog is not None:
            if watchdog.timeout is None:
                return 16.0  # its own limit, which nobody can see
            return float(self.value(watchdog.fallback) or 0) if watchdog.fallback else 0.0
        if all(self.value(write.register) == write.value for write in rule.pause):
            return 0.0
        return float(self.value(rule.register) or 0)

    def units(self) -> Container[int]:
        return {self.unit, *(r.at_unit for r in self.driver.registers.values() if r.at_unit is not None)}

    def handle(self, unit: int, function: int, address: int, count: int, words: tuple[int, ...]) -> list[int]:
        if self.mute:
            raise Mute
        watchdog = self.driver.watchdog
        if watchdog is not None and watchdog.fed_by is FedBy.ANY_REQUEST:
            self.fed_s = self.clock.seconds()
        if function in (1, 2, 3, 4):
            return self._read(function, address, count)
        self._write(function, address, list(words))
        if self.drops_acks:
            raise Mute
        return []

    def _read(self, function: int, address: int, count: int) -> list[int]:
        self.reads.append((self.clock.seconds(), function, address, count))
        rule = self.driver.setpoint
        if rule is not None and rule.applied is not None and rule.applied != rule.register:
            self.show(rule.applied, self.offers_a)
        found = []
        for at in range(address, address + count):
            word = self.words.get((SPACES[function], at))
            if word is None and not self.driver.bus.gaps:
                raise DeviceRefused(2, "nothing is defined there")
            found.append(word or 0)
        for register in self.driver.registers.values():
            if register.name in self.refuses and address <= register.address < address + count:
                raise DeviceRefused(self.refuses[register.name], "as scripted")
        return found

    def _write(self, function: int, address: int, words: list[int]) -> None:
        for register in self.driver.registers.values():
            if (register.write_function, register.address + self.offset, register.count) == (
                function,
                address,
                len(words),
            ):
                break
        else:
            raise DeviceRefused(2, "nothing can be written there")
        if register.name in self.refuses:
            raise DeviceRefused(self.refuses[register.name], "as scripted")
        value = decode(register, words)
        assert isinstance(value, int | float)
        self.wrote.append((self.clock.seconds(), register.name, value))
        self.raw(register.name, words)
        phases = self.driver.phases
        if phases is not None and register.name == phases.register and phases.state is not None:
            self.show(phases.state, phases.state_one if value == phases.one else phases.state_three)
        watchdog = self.driver.watchdog
        if watchdog is None:
            return
        for to, at in ((watchdog.timeout_write, watchdog.timeout), (watchdog.fallback_write, watchdog.fallback)):
            if register.name == to and at is not None and at != to:
                self.show(at, value)
        rule = self.driver.setpoint
        lease = watchdog.fed_by is FedBy.SETPOINT_WRITE and rule is not None and rule.register == register.name
        if lease or any(write.register == register.name for write in watchdog.feed):
            self.fed_s = self.clock.seconds()

    def written(self, name: str) -> list[float | int]:
        """All values that were written there, in order."""
        return [value for _, register, value in self.wrote if register == name]


class Rig:
    """A device object, the real bus, and a box at the other end."""

    def __init__(
        self, driver: Driver, *, phases: tuple[int, ...] = (0, 1, 2), fallback_a: float = 6.0, **more: Any
    ) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.box = Box(driver, self.clock, base=more.pop("base", 40000) if driver.discover else 0)
        self.endpoint = MemoryEndpoint(TcpServerFactory(self.box))
        self.bus = Bus(TcpLine("box", 502, "tcp://box:502", self.clock, self.endpoint), TcpConversation(), self.clock)
        self.device = Device("box-1", driver, self.bus, 1, phases, self.clock, fallback_a, **more)

    def flush(self) -> None:
        """Deliver all that was sent."""
        while any(pump.pump() for pump in list(self.endpoint.pumps)):
            pass

    def run(self, seconds: float, step_s: float = 0.05) -> None:
        """Let time pass, and nobody asks anything."""
        for _ in range(round(seconds / step_s)):
            self.flush()
            self.clock.advance(step_s)
        self.flush()

    def wait(self, work: Coroutine[Any, Any, T], within_s: float = 60.0, step_s: float = 0.05) -> T:
        """The result of ``work``; raises what it raised."""
        outcome: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(outcome.append)
        waited_s = 0.0
        while not outcome and waited_s < within_s:
            self.flush()
            if not outcome:
                self.clock.advance(step_s)
                waited_s += step_s
        assert outcome, f"nothing came within {within_s} s"
        if hasattr(outcome[0], "raiseException"):
            outcome[0].raiseException()
        result: T = outcome[0]
        return result

    def read(self) -> Reading:
        """One reading."""
        return self.wait(self.device.read())

    def apply(self, setpoint_a: float) -> None:
        """One setpoint."""
        self.wait(self.device.apply(setpoint_a))

    def live(self, seconds: float, setpoint_a: float | None = None, step_s: float = 0.05) -> Reading:
        """A manager that reads every second, and steers if there is a setpoint. Gives the last reading."""
        until_s = self.clock.seconds() + seconds
        reading = None
        while self.clock.seconds() < until_s - 1e-6:
            begun_s = self.clock.seconds()
            reading = self.read()
            if setpoint_a is not None:
                self.apply(setpoint_a)
            self.run(max(0.0, 1.0 - (self.clock.seconds() - begun_s)), step_s)
        assert reading is not None
        return reading


def writes(*pairs: tuple[str, float]) -> tuple[Write, ...]:
    """Shorter in tests."""
    return tuple(Write(name, value) for name, value in pairs)
