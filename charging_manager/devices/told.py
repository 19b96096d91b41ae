"""The road to a device that tells its values by itself: the last ones are kept, and ``read`` and ``write`` as of a bus.

A write is done when the device shows what it was told, where it shows it at all: a message that was sent, or an answer
that was given, says nothing of what the device does. Until then that value is unknown.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime

from charging_manager.devices.driver import Driver, Register
from charging_manager.devices.json_bus import MISSING, number_of, words_of
from charging_manager.errors import DeviceError, DeviceRefused, DeviceSilent
from charging_manager.modbus.pdu import BUSY
from charging_manager.modbus.units import Priority


@frozen
class Said:
    """What the device said of one value, and when; ``value`` may be ``MISSING``."""

    value: Any
    at_s: float


class ToldBus:
    """A ``BusLike`` for one device, to be filled by whoever hears it."""

    def __init__(self, driver: Driver, clock: IReactorTime, name: str, silent_after_s: float) -> None:
        self.driver, self.name = driver, name
        self.connections = 1
        """How often it was there anew: a device that was silent may have restarted."""
        self._clock = clock
        self._silent_after_s = silent_after_s
        self._heard_s: float | None = None
        self._pending: dict[str, tuple[list[int], Deferred[None], float]] = {}
        self._closed = False

    @abstractmethod
    def _said(self, register: Register) -> Said | None:
        """The newest word of it that counts now."""

    @abstractmethod
    def _send(self, register: Register, number: float) -> Deferred[None]:
        """Tell the device. Fails with DeviceError."""

    def _check(self) -> None:
        """Raises: DeviceError if nothing that it said counts now."""
        if self._heard_s is None:
            raise DeviceSilent(f"{self.name} has told nothing yet")
        silent_s = self._clock.seconds() - self._heard_s
        if silent_s > self._silent_after_s:
            raise DeviceSilent(f"{self.name} has told nothing for {silent_s:.0f} s")

    def read(
        self, unit: int, function: int, address: int, count: int, *, priority: Priority, timeout_s: float, gap_s: float
    ) -> Deferred[list[int]]:
        """The words of all values in these places; what was not said is unknown."""
        try:
            return succeed(self._words(address, count))
        except DeviceError as error:
            return fail(error)

    def taken_s(self, address: int, count: int) -> float | None:
        """When the oldest of these values was said; those that are said only when they change are of now."""
        said = [(r, self._said(r)) for r in self._at(address, count) if not r.on_change]
        return min((one.at_s for _, one in said if one is not None), default=self._heard_s)

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
        """Tell it, and wait until it shows that; where it does not show it, tell it."""
        return Deferred.fromCoroutine(self._write(address, list(words), timeout_s))

    def close(self) -> Deferred[None]:
        """Hear and tell no more."""
        self._closed = True
        for _, done, _ in tuple(self._pending.values()):
            done.errback(DeviceSilent(f"{self.name} was closed"))
        self._pending.clear()
        return succeed(None)

    def _heard(self) -> None:
        """It lives."""
        now_s = self._clock.seconds()
        if self._heard_s is not None and now_s - self._heard_s > self._silent_after_s:
            self.connections += 1
        self._heard_s = now_s

    def _shown(self) -> None:
        """Something new was said: writes that wait for it may be done."""
        for name, (words, done, since_s) in tuple(self._pending.items()):
            register = self.driver.registers[name]
            said = self._said(register)
            if said is not None and said.at_s >= since_s and words_of(register, said.value) == words:
                del self._pending[name]
                done.callback(None)

    def _at(self, address: int, count: int) -> list[Register]:
        return [
            r
            for r in self.driver.registers.values()
            if r.function is not None and address <= r.address < address + count
        ]

    def _words(self, address: int, count: int) -> list[int]:
        self._check()
        wanted = self._at(address, count)
        said = [(r, None if r.name in self._pending else self._said(r)) for r in wanted]
        if wanted and all(one is None or one.value is MISSING for _, one in said) and not self._pending:
            names = ", ".join(r.name for r in wanted[:3])
            raise DeviceSilent(f"{self.name} has not told {names}{' and more' if len(wanted) > 3 else ''} yet")
        words = [0] * count
        for register, one in said:
            at = register.address - address
            words[at : at + register.count] = words_of(register, MISSING if one is None else one.value)
        return words[:count]

    async def _write(self, address: int, words: list[int], timeout_s: float) -> None:
        register = next((r for r in self.driver.registers.values() if r.address == address and r.write_function), None)
        if register is None:
            raise DeviceRefused(2, "this value cannot be written")
        if self._closed:
            raise DeviceSilent(f"{self.name} was closed")
        number = number_of(words)
        self._check()
        said = self._said(register) if register.function is not None else None
        since_s = self._clock.seconds()
        same = said is not None and words_of(register, said.value) == words
        if register.function is None or same:
            await self._told(self._send(register, number), timeout_s)
            return
        shown: Deferred[None] = Deferred()
        self._pending[register.name] = (words, shown, since_s)
        try:
            await self._told(self._send(register, number), timeout_s)
            await self._told(shown, timeout_s)
        finally:
            self._pending.pop(register.name, None)

    async def _told(self, work: Deferred[None], timeout_s: float) -> None:
        late = self._clock.callLater(timeout_s, work.cancel)
        try:
            await work
        except DeviceError:
            raise
        except Exception as error:  # cancelled: it has not come in time
            raise DeviceRefused(BUSY, f"{self.name} does not show what it was told") from error
        finally:
            if late.active():
                late.cancel()
