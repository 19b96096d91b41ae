"""One device's requests on its bus, at the pace that its driver asks for; and the walk along a SunSpec chain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from attrs import evolve, frozen
from twisted.internet.defer import Deferred

from charging_manager.devices.driver import BusRules, Register, SunSpec
from charging_manager.devices.planner import Request
from charging_manager.errors import DeviceError, DeviceNonsense, DeviceRefused
from charging_manager.modbus.units import Priority

T = TypeVar("T")

SUNS = [0x5375, 0x6E53]
LAST_BLOCK = 0xFFFF
MOST_BLOCKS = 64


class BusLike(Protocol):
    """What a device needs of a bus (charging_manager.modbus.bus.Bus)."""

    @property
    def connections(self) -> int:
        """How often its line was opened."""

    def read(
        self, unit: int, function: int, address: int, count: int, *, priority: Priority, timeout_s: float, gap_s: float
    ) -> Deferred[list[int]]:
        """Registers or coils."""

    def write(
        self,
        unit: int,
        function: int,
        address: int,
        words: Sequence[int],
        *,
        priority: Priority,
        timeout_s: float,
        gap_s: float,
    ) -> Deferred[None]:
        """Fires when the unit confirmed."""


@frozen
class Exchange:
    """One question to a device and what came of it: words that were written or read, or why there are none."""

    wrote: bool
    function: int
    address: int
    registers: tuple[Register, ...]
    words: tuple[int, ...]
    trouble: str = ""


@runtime_checkable
class Dated(Protocol):
    """A bus that knows of what time its values are, because the device told them by itself."""

    def taken_s(self, address: int, count: int) -> float | None:
        """The time of the oldest of these values."""


class Wire:
    """Reads and writes of one device: its unit, its timeout, its silence between requests."""

    witness: Callable[[Exchange], None] | None = None
    """Told of every read and write of values, where somebody watches."""

    def __init__(
        self, bus: BusLike, unit: int, rules: BusRules, bus_at: Callable[[int], BusLike] | None = None
    ) -> None:
        self._bus = bus
        self._unit = unit
        self._rules = rules
        self._bus_at = bus_at

    @property
    def connections(self) -> int:
        """How often the line was opened."""
        return self._bus.connections

    async def read(self, request: Request, priority: Priority) -> list[int]:
        """The words of one request. Raises: DeviceError."""
        asked = self.words(
            request.function, request.address, request.count, priority, unit=request.unit, port=request.port
        )
        return await self._seen(asked, Exchange(False, request.function, request.address, request.registers, ()))

    def taken_s(self, request: Request, asked_s: float) -> float:
        """Of what time an answer is: that of the question, unless the device told it before."""
        bus = self._bus
        found = bus.taken_s(request.address, request.count) if isinstance(bus, Dated) else None
        return asked_s if found is None else min(asked_s, found)

    async def words(
        self,
        function: int,
        address: int,
        count: int,
        priority: Priority = Priority.SLOW,
        *,
        unit: int | None = None,
        port: int | None = None,
    ) -> list[int]:
        """Any words. Raises: DeviceError."""
        words = await self._at(port).read(
            self._unit if unit is None else unit,
            function,
            address,
            count,
            priority=priority,
            timeout_s=self._rules.timeout_s,
            gap_s=self._rules.gap_s,
        )
        if len(words) != count:
            raise DeviceNonsense(f"{len(words)} registers came where {count} were asked for")
        return words

    async def write(self, register: Register, words: Sequence[int], priority: Priority) -> None:
        """One value. Raises: DeviceError."""
        assert register.write_function is not None  # noqa: S101 - told to mypy: Orders.guard has looked
        written = self._at(register.at_port).write(
            self._unit if register.at_unit is None else register.at_unit,
            register.write_function,
            register.address,
            words,
            priority=priority,
            timeout_s=self._rules.timeout_s,
            gap_s=self._rules.gap_s,
        )
        told = Exchange(True, register.write_function, register.address, (register,), tuple(words))
        await self._seen(written, told)

    async def _seen(self, work: Awaitable[T], about: Exchange) -> T:
        """What comes of it, and whoever watches is told."""
        witness = self.witness
        if witness is None:
            return await work
        try:
            result = await work
        except DeviceError as error:
            witness(evolve(about, words=(), trouble=str(error)))
            raise
        witness(about if about.wrote else evolve(about, words=tuple(result)))  # type: ignore[arg-type]
        return result

    def _at(self, port: int | None) -> BusLike:
        if port is None:
            return self._bus
        if self._bus_at is None:
            raise DeviceError(f"a part of this device is at port {port}, which only a TCP address has")
        return self._bus_at(port)


async def find_block(wire: Wire, rule: SunSpec) -> int:
    """Where the first block of one of ``rule.models`` begins. Raises: DeviceNonsense if there is none, DeviceSilent."""
    for base in rule.bases:
        try:
            if await wire.words(3, base, 2) != SUNS:
                continue
            found = await _walk(wire, base + 2, rule)
        except DeviceRefused:  # nothing is there; the chain may begin elsewhere
            continue
        if found is not None:
            return found
    models = ", ".join(map(str, rule.models))
    raise DeviceNonsense(f"no SunSpec block of model {models} is here")


async def _walk(wire: Wire, at: int, rule: SunSpec) -> int | None:
    for _ in range(MOST_BLOCKS):
        if at + 2 > 65536:
            return None
        model, length = await wire.words(3, at, 2)
        if model == LAST_BLOCK:
            return None
        if model in rule.models and length >= rule.length - 1:  # some count the padding word, some do not
            return at
        at += 2 + length
    return None
