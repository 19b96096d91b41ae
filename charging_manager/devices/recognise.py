"""Whose device is this? For searching a bus: only reads, and never raises for a device that is another."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from charging_manager.devices.codec import decode, decode_all
from charging_manager.devices.driver import Driver, Group, Value, all_hold
from charging_manager.devices.planner import moved, plan_reads
from charging_manager.devices.wire import BusLike, Wire, find_block
from charging_manager.errors import DeviceError, DeviceNonsense, DeviceRefused
from charging_manager.modbus.units import Priority

DOES_NOT_EXIST = (1, 2, 3)
"""Exception codes that mean: not like this, ever."""

PROBE_GAP_S = 0.5
"""We do not know yet who is there: the silence that the slowest device of all wants."""


async def recognises(driver: Driver, bus: BusLike, unit: int) -> bool:
    """Whether this driver's device answers there; only reads. Raises: DeviceSilent if nobody does."""
    return await recognised(driver, bus, unit) is not None


async def recognised(driver: Driver, bus: BusLike, unit: int) -> Driver | None:
    """The driver at the addresses where its device was found, or None if it is another device; only reads.

    Raises: DeviceSilent if nobody answers.
    """
    wire = _carefully(driver, bus, unit)
    try:
        if driver.discover is not None:
            driver = moved(driver, await find_block(wire, driver.discover))
        known: dict[str, Value] = {}
        for request in plan_reads(driver, [driver.registers[condition.register] for condition in driver.identify]):
            known.update(decode_all(driver, request.cut(await wire.read(request, Priority.SLOW))))
        ours = all_hold(driver.identify, known) is True and await told_apart(driver, wire) is None
        return driver if ours else None
    except (DeviceRefused, DeviceNonsense):
        return None


async def introduction(found: Driver, bus: BusLike, unit: int) -> dict[str, Value]:
    """What a device says of itself, beside what names its owner; what it does not tell is left out. Only reads.

    ``found`` is of ``recognised``.
    """
    wire = _carefully(found, bus, unit)
    known: dict[str, Value] = {}
    for request in plan_reads(found, found.grouped(Group.ONCE)):
        if request.port is not None:
            continue
        try:
            known.update(decode_all(found, request.cut(await wire.read(request, Priority.SLOW)), known))
        except DeviceError:
            continue
    return {name: value for name, value in known.items() if value is not None}


def _carefully(driver: Driver, bus: BusLike, unit: int) -> Wire:
    return Wire(bus, unit, evolve(driver.bus, gap_s=max(driver.bus.gap_s, PROBE_GAP_S)))


async def must_be(driver: Driver, known: Mapping[str, Value], wire: Wire) -> None:
    """Raises: DeviceNonsense if this is another device than the driver's. ``known``: what it says of itself."""
    for condition in driver.identify:
        if not condition.holds(known):
            raise DeviceNonsense(f"this is no {driver.name}: {condition.register} is {known.get(condition.register)}")
    other = await told_apart(driver, wire)
    if other is not None:
        raise DeviceNonsense(f"this is no {driver.name}: {other}")


async def told_apart(driver: Driver, wire: Wire) -> str | None:
    """Why this is another device, although all that ``identify`` asks is so. Raises: DeviceError."""
    for unlike in driver.unlike:
        (request,) = plan_reads(driver, [unlike.register])
        try:
            words = await wire.read(request, Priority.SLOW)
        except DeviceRefused as refused:
            if refused.code not in DOES_NOT_EXIST:
                raise
            continue
        if unlike.condition.holds({unlike.register.name: decode(unlike.register, words)}):
            return unlike.why
    return None
