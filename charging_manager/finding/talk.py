"""Who is there? Every driver that may fit asks, at the pace of the slowest device of all, and only reads.

A unit that says nothing to the first question is not asked a second one. One that has answered before and is silent to
another driver's question may only dislike that question; but twice, and it is left alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from attrs import frozen
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from charging_manager.devices.driver import Driver, Value
from charging_manager.devices.recognise import introduction, recognised, recognises
from charging_manager.devices.wire import BusLike
from charging_manager.errors import DeviceError, DeviceSilent
from charging_manager.modbus.units import SOON_S

ODD_UNIT = 213
"""Nobody has it: who answers here too does not look at units."""

MOST_SILENCES = 2


@frozen
class Met:
    """Who was met at a unit; ``driver`` None: somebody whom no driver knows."""

    unit: int
    driver: Driver | None
    said: dict[str, Value]


@frozen
class Unit:
    """A unit to ask, and who may be there."""

    number: int
    drivers: tuple[Driver, ...]


class Talker:
    """Asks the units of one bus, one after the other."""

    def __init__(self, bus: BusLike, clock: IReactorTime, step: Callable[[float], None] = lambda took_s: None) -> None:
        """``step`` is called whenever a unit is done with, with how long it took."""
        self._bus, self._clock, self._step = bus, clock, step

    async def meet(self, units: Sequence[Unit], *, alone: bool = False) -> AsyncIterator[Met]:
        """Everybody who is there. ``alone``: once a box is met that is no gateway, its other units are not asked."""
        met: dict[str, Met] = {}
        stranger = False
        for unit in units:
            began_s = self._clock.seconds()
            one = await self._at(unit)
            if one is not None:
                twin = met.get(one.driver.name) if one.driver else None
                if one.driver is None:
                    if not stranger:
                        yield one
                    stranger = True
                elif twin is None or not await self._is_the_same(twin, one):
                    one = await self._at_home(one)
                    met.setdefault(one.driver.name if one.driver else "", one)
                    yield one
                    if alone and one.driver is not None and one.driver.rtu is None:
                        self._step(self._clock.seconds() - began_s)
                        return
            self._step(self._clock.seconds() - began_s)

    async def _at(self, unit: Unit) -> Met | None:
        answered, silences = False, 0
        for driver in unit.drivers:
            try:
                found = await recognised(driver, self._bus, unit.number)
                answered = True
            except DeviceSilent:
                if not answered:
                    return None
                silences += 1
                if silences >= MOST_SILENCES:
                    break
                await deferLater(self._clock, SOON_S)
                continue
            except DeviceError:  # a part of it is elsewhere, where we do not ask
                continue
            if found is not None:
                return Met(unit.number, driver, await introduction(found, self._bus, unit.number))
        return Met(unit.number, None, {}) if answered else None

    async def _at_home(self, met: Met) -> Met:
        """The same box at the unit that its maker names, if it answers there too."""
        driver = met.driver
        if driver is None or driver.tcp is None or driver.rtu is not None or driver.tcp.unit == met.unit:
            return met
        if await self._answers(driver, driver.tcp.unit):
            return Met(driver.tcp.unit, driver, met.said)
        return met

    async def _is_the_same(self, one: Met, other: Met) -> bool:
        """Whether two units are one box: it says the same number of itself, or answers to any unit."""
        assert one.driver is not None  # noqa: S101 - told to mypy: it was met by its driver
        mine, yours = one.said.get("serial"), other.said.get("serial")
        if mine is not None and yours is not None:
            return mine == yours
        return await self._answers(one.driver, ODD_UNIT)

    async def _answers(self, driver: Driver, unit: int) -> bool:
        try:
            return await recognises(driver, self._bus, unit)
        except DeviceError:
            return False
