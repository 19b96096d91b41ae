"""The road to a device that speaks HTTP and JSON, with the manners of a bus: ``read`` and ``write`` of places.

One request is under way at a time; a look at a path gives every value on it. A device that did not answer twice is left
alone for a while, like a silent unit of a bus. What a device says is never shown or logged, only what is wrong with it.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime

from charging_manager.devices.codec import encode
from charging_manager.devices.driver import Driver, HttpWrite, Register, Type
from charging_manager.errors import DeviceLocked, DeviceNonsense, DeviceRefused, DeviceSilent
from charging_manager.modbus.units import Priority, Unit

MISSING = object()
NOT_DONE = 4
"""The exception code that an HTTP status of failure counts as (Modbus: the device failed)."""
_UNKNOWN = list(struct.unpack(">4H", struct.pack(">d", math.nan)))


class HttpClient(Protocol):
    """One request to one host (http_client.PlainClient)."""

    def __call__(self, method: str, path: str, body: str | None, timeout_s: float) -> Deferred[tuple[int, bytes]]:
        """Status and body. Fails with DeviceSilent, or DeviceNonsense for a body that is too long."""


class JsonBus:
    """A ``BusLike`` for one driver at one host."""

    def __init__(self, driver: Driver, client: HttpClient, clock: IReactorTime, name: str) -> None:
        self.driver, self.name = driver, name
        self._client, self._clock = client, clock
        self._turn = DeferredLock()
        self._unit = Unit(0)
        self._closed = False
        self.connections = 1
        """How often it was there anew: a device that was silent may have restarted."""

    def read(
        self, unit: int, function: int, address: int, count: int, *, priority: Priority, timeout_s: float, gap_s: float
    ) -> Deferred[list[int]]:
        """The words of all values in these places; what the documents do not have is unknown."""
        return Deferred.fromCoroutine(self._in_turn(lambda: self._read(address, count, timeout_s)))

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
        """Make the request that writes this value."""
        return Deferred.fromCoroutine(self._in_turn(lambda: self._write(address, words, timeout_s)))

    def close(self) -> Deferred[None]:
        """Ask no more; what is under way ends by itself, within its time."""
        self._closed = True
        return self._turn.run(lambda: None)

    async def _in_turn(self, work: Callable[[], Any]) -> Any:
        await self._turn.acquire()
        try:
            if self._closed:
                raise DeviceSilent(f"{self.name} was closed")
            wait_s = self._unit.quiet_until_s - self._clock.seconds()
            if wait_s > 0:
                raise DeviceSilent(f"{self.name} did not answer; next try in {wait_s:.0f} s")
            return await work()
        finally:
            self._turn.release()

    async def _ask(self, method: str, path: str, body: str | None, timeout_s: float) -> bytes:
        began_s = self._clock.seconds()
        try:
            code, answer = await self._client(method, path, body, timeout_s)
        except DeviceLocked as error:
            self._unit.answered(self._clock.seconds(), 0.0)
            raise DeviceLocked(error.code, f"{self.name}: {error}") from error
        except DeviceSilent as error:
            now_s = self._clock.seconds()
            self._unit.failed(now_s, now_s - began_s, alone=True)
            raise DeviceSilent(f"{self.name}: {error}") from error
        if self._unit.failures:
            self.connections += 1
        now_s = self._clock.seconds()
        self._unit.answered(now_s, now_s - began_s)
        if 300 <= code < 400:
            raise DeviceNonsense(f"{self.name} sends elsewhere, which is not followed: enter the final address")
        if not 200 <= code < 300:
            raise DeviceRefused(NOT_DONE, f"{self.name} answers with HTTP status {code}")
        return answer

    async def _read(self, address: int, count: int, timeout_s: float) -> list[int]:
        wanted = [
            r for r in self.driver.registers.values() if r.json is not None and address <= r.address < address + count
        ]
        documents = {}
        for path in dict.fromkeys(r.get for r in wanted):
            documents[path] = self._document(await self._ask("GET", path or "/", None, timeout_s))
        found = [(r, pointed(documents[r.get], r.json or "")) for r in wanted]
        if found and all(value is MISSING for _, value in found):
            raise DeviceNonsense(f"{self.name} shows none of the values of its driver")
        words = [0] * count
        for register, value in found:
            at = register.address - address
            words[at : at + register.count] = words_of(register, value)
        return words[:count]

    def _document(self, body: bytes) -> Any:
        try:
            return json.loads(body, parse_constant=lambda _: None)
        except (ValueError, RecursionError) as error:
            raise DeviceNonsense(f"{self.name} answers with what is no JSON") from error

    async def _write(self, address: int, words: Sequence[int], timeout_s: float) -> None:
        rule = next((r.set for r in self.driver.registers.values() if r.address == address and r.set), None)
        if not isinstance(rule, HttpWrite):
            raise DeviceRefused(2, "this value cannot be written")
        text = said(number_of(words))
        body = rule.body.replace("{value}", text) if rule.body is not None else None
        await self._ask(rule.method, rule.path.replace("{value}", text), body, timeout_s)


def pointed(document: Any, pointer: str) -> Any:
    """What a JSON pointer points at, or ``MISSING`` (RFC 6901)."""
    found = document
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(key, MISSING)
        elif isinstance(found, list) and key.isascii() and key.isdigit() and len(key) < 6 and int(key) < len(found):
            found = found[int(key)]
        else:
            return MISSING
    return found


def words_of(register: Register, value: Any) -> list[int]:
    """The words that stand for a JSON value in the register's place; unknown is NaN, or no text."""
    if register.type is Type.STR:
        known = isinstance(value, str | int | float) and not isinstance(value, bool)
        return encode(register, str(value)[:64] if known else "")
    number = _number(register, value)
    if number is None or not math.isfinite(number) or number in register.json_na:
        return list(_UNKNOWN)
    return list(struct.unpack(">4H", struct.pack(">d", number)))


def number_of(words: Sequence[int]) -> float:
    """The number that is to be written. Raises: DeviceRefused."""
    number: float = struct.unpack(">d", struct.pack(">4H", *words))[0]
    if not math.isfinite(number):
        raise DeviceRefused(3, "this is no number")
    return number


def said(number: float) -> str:
    """As it stands in a request or a message: whole numbers without a point."""
    return str(int(number)) if number == int(number) else f"{number:.6f}".rstrip("0")


def _number(register: Register, value: Any) -> float | None:
    if isinstance(value, str) and register.codes:
        return dict(register.codes).get(value)
    if not isinstance(value, bool | int | float | str) or (isinstance(value, str) and len(value) > 40):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
