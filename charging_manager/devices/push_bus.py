"""The road to a device that tells us by itself: what it sent is read, and what it is to do stands in our answer."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from charging_manager.devices.codec import decode
from charging_manager.devices.driver import Driver, Register, Type, Value
from charging_manager.devices.json_bus import MISSING, pointed, words_of
from charging_manager.devices.plausible import nonsense_in, within_limits
from charging_manager.devices.told import Said, ToldBus
from charging_manager.errors import DeviceNonsense


class PushBus(ToldBus):
    """A ``BusLike`` for one device that pushes."""

    def __init__(self, driver: Driver, clock: IReactorTime, name: str) -> None:
        if driver.push is None:
            raise ValueError(f"{driver.name} has no [push]")
        super().__init__(driver, clock, name, driver.push.silent_after_s)
        self.most_a: float | None = None
        self._document: Any = None
        self._to_tell: dict[str, float] = {}

    def push(self, document: Any) -> None:
        """What the device sent. Raises: DeviceNonsense for what is none of its values, or cannot be."""
        values: dict[str, Value] = {}
        for register in self.driver.registers.values():
            given = pointed(document, register.json) if register.json is not None else MISSING
            if given is not MISSING and given is not None:
                values[register.name] = _understood(register, given)
        if not values:
            raise DeviceNonsense("none of the values of its driver is there")
        absurd = nonsense_in(self.driver, within_limits(self.driver, values), self.most_a)
        if absurd is not None:
            raise DeviceNonsense(f"{absurd} is {values[absurd]}, which cannot be")
        self._document = document
        self._heard()
        self._shown()

    def told(self) -> dict[str, Any]:
        """What it is to do, as a document."""
        made: dict[str, Any] = {}
        for name, number in self._to_tell.items():
            at = made
            *way, last = (self.driver.registers[name].tell or "").split("/")[1:]
            for step in way:
                at = at.setdefault(step, {})
            at[last] = int(number) if number == int(number) else round(number, 6)
        return made

    def _said(self, register: Register) -> Said | None:
        if self._document is None or register.json is None or self._heard_s is None:
            return None
        return Said(pointed(self._document, register.json), self._heard_s)

    def _send(self, register: Register, number: float) -> Deferred[None]:
        self._to_tell[register.name] = number
        return succeed(None)

    async def _write(self, address: int, words: list[int], timeout_s: float) -> None:
        await super()._write(address, words, max(timeout_s, self._silent_after_s))


def _understood(register: Register, given: Any) -> Value:
    """The value, in our units. Raises: DeviceNonsense for what is of another kind."""
    value = decode(register, words_of(register, given))
    if register.type is Type.STR:
        if not isinstance(given, str | int | float) or isinstance(given, bool):
            raise DeviceNonsense(f"{register.name} is no text")
    elif value is None and not register.codes and given not in register.json_na:
        raise DeviceNonsense(f"{register.name} is no number")
    return value
