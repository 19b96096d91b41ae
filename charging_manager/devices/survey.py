"""Everything that a device shows, once, for the eyes of a driver's author: words of the wire beside decoded values.

Only reads. What names a person or a box (tags, serial numbers) is covered unless it is asked for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from attrs import frozen

from charging_manager.devices.codec import decode_all
from charging_manager.devices.driver import Driver, Group, Value
from charging_manager.devices.planner import Request, moved, plan_reads
from charging_manager.devices.wire import BusLike, Wire, find_block
from charging_manager.errors import DeviceRefused
from charging_manager.modbus.units import Priority

PRIVATE = frozenset({"serial", "rfid"})
"""Names of values that say whose it is."""


@frozen
class Shown:
    """One request and what came of it: words, or why there are none."""

    request: Request
    words: tuple[int, ...] = ()
    values: dict[str, Value] | None = None
    trouble: str = ""


@frozen
class Survey:
    """A driver in the form that this very device has (firmware, model, place of its block), and all its answers."""

    driver: Driver
    base: int
    """Where a discovered block begins; else 0."""
    shown: tuple[Shown, ...]


async def survey(driver: Driver, bus: BusLike, unit: int, *, private: bool = False) -> Survey:
    """Ask for everything once. Raises: DeviceSilent if nobody answers; refusals stand in the result."""
    wire = Wire(bus, unit, driver.bus)
    base = 0
    if driver.discover is not None:
        base = await find_block(wire, driver.discover)
        driver = moved(driver, base)
    known: dict[str, Value] = {}
    first = [one async for one in _ask(driver, wire, known, (Group.ONCE,), private)]
    variant = driver.resolve(known)
    if variant is not driver:
        driver = variant
        first = [one async for one in _ask(driver, wire, known, (Group.ONCE,), private)]
    rest = [one async for one in _ask(driver, wire, known, (Group.LIVE, Group.SLOW, Group.RARE), private)]
    return Survey(driver, base, (*first, *rest))


async def _ask(
    driver: Driver, wire: Wire, known: dict[str, Value], groups: tuple[Group, ...], private: bool
) -> AsyncIterator[Shown]:
    for group in groups:
        for request in plan_reads(driver, driver.grouped(group)):
            try:
                words = tuple(await wire.read(request, Priority.SLOW))
            except DeviceRefused as refused:
                yield Shown(request, trouble=str(refused))
                continue
            if not private:
                words = _covered(request, words)
            values = decode_all(driver, request.cut(words), known)
            known.update(values)
            yield Shown(request, words, values)


def _covered(request: Request, words: tuple[int, ...]) -> tuple[int, ...]:
    """The same with zeros in place of what names somebody."""
    left = list(words)
    for register in request.registers:
        if register.name in PRIVATE:
            at = register.address - request.address
            left[at : at + register.count] = [0] * register.count
    return tuple(left)


def lines(survey: Survey) -> Iterator[str]:
    """One line a value: name, place, words, what it means."""
    width = max((len(name) for name in survey.driver.registers), default=0)
    for shown in survey.shown:
        if shown.values is None:
            yield f"{', '.join(shown.request.names)}: {shown.trouble}"
            continue
        words = shown.request.cut(shown.words)
        for register in shown.request.registers:
            value = shown.values.get(register.name)
            said = "covered" if register.name in PRIVATE and not any(words[register.name]) else _said(value)
            raw = " ".join(f"{word:04x}" for word in words[register.name])
            unit = f" {register.unit}" if register.unit and value is not None else ""
            yield f"{register.name:<{width}}  {register.function}:{register.address:<5}  {raw:<20}  {said}{unit}"


def _said(value: Value) -> str:
    if value is None:
        return "unknown"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def golden(survey: Survey) -> str:
    """The recorded frames as the proofs read them (tests/drivers/golden): what was asked, the answer, the values.

    The bytes are those of the PDU: function, then what belongs to it, without unit and checksum.
    """
    parts = [
        f"# Recorded from a device with the driver {survey.driver.name}: compare every value with its display",
        f"# or its manual before you trust it. Tags and serial numbers were covered.\nbase = {survey.base}\n",
    ]
    for shown in survey.shown:
        if shown.values is None:
            continue
        request = shown.request
        asked = bytes((request.function,)) + request.address.to_bytes(2, "big") + request.count.to_bytes(2, "big")
        parts.append("[[frame]]")
        parts.append(f'request = "{asked.hex(" ")}"')
        parts.append(f'answer = "{_answer(request.function, shown.words).hex(" ")}"')
        parts.append("[frame.values]")
        parts += [f"{name} = {_toml(value)}" for name, value in shown.values.items()]
        parts.append("")
    return "\n".join(parts)


def _answer(function: int, words: tuple[int, ...]) -> bytes:
    if function in (1, 2):
        packed = sum(1 << at for at, bit in enumerate(words) if bit)
        data = packed.to_bytes(-(-len(words) // 8), "little")
    else:
        data = b"".join(word.to_bytes(2, "big") for word in words)
    return bytes((function, len(data))) + data


def _toml(value: Value) -> str:
    if value is None:
        return '""'
    if isinstance(value, str):
        return (
            '"'
            + "".join(f"\\u{ord(letter):04x}" if letter in '"\\' or ord(letter) < 32 else letter for letter in value)
            + '"'
        )
    return repr(value)
