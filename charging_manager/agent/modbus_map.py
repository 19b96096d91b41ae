"""The registers of our own Modbus server: one table, from which answers, checks and the documentation are made.

All are holding registers, read by function 3 or 4 and written by 6 or 16. Addresses are the protocol's, counted from 0;
values of 32 bits have their high word first. Half of a value can be read, and is what stands there then.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from enum import StrEnum

from attrs import frozen

from charging_manager import VERSION
from charging_manager.agent.config import DeviceSettings, Kind
from charging_manager.agent.dimming import MODBUS, SOURCES
from charging_manager.agent.measured import FRESH_S, flow_w
from charging_manager.agent.running import RunningSite
from charging_manager.errors import DeviceRefused
from charging_manager.modbus.pdu import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    READ_HOLDING,
    READ_INPUT,
    WRITE_REGISTER,
    WRITE_REGISTERS,
)
from charging_manager.model.input import REGISTERS
from charging_manager.model.mode import Mode
from charging_manager.model.reading import Reading, Status

MAP_VERSION = 1
MAGIC = 0x434D  # "CM"
ORDER, ORDER_LIMIT, HEARTBEAT, INPUTS = 200, 201, 202, 300
POINTS, STEP, MOST_POINTS = 1000, 50, 1200
NO_LIMIT = 0xFFFF
MOST_LIMIT = 60_000
"""In 10 W: 600 kW."""
STATUS = (*(status.value for status in Status if status is not Status.UNKNOWN), "offline")
MODES = tuple(mode.value for mode in Mode)

Value = float | int | str | None


class Form(StrEnum):
    """How a value lies in its registers, and what says that it is unknown."""

    U16 = "u16"  # 0xFFFF
    U32 = "u32"  # 0xFFFFFFFF
    I32 = "i32"  # 0x80000000
    TEXT = "text"  # UTF-8, two bytes a register, zeros behind


@frozen
class Place:
    """One value of the map; ``scale``: a raw 1 is so much in the unit."""

    address: int
    form: Form
    text: str
    count: int = 1
    unit: str = ""
    scale: float = 1.0
    writable: bool = False

    @property
    def end(self) -> int:
        return self.address + self.count


@frozen
class Cell:
    """A place, and how its value is found for a thing of type T (the site, or a charge point in it)."""

    place: Place
    read: Callable[[Registers, DeviceSettings | None], Value]


def words_of(place: Place, value: Value) -> tuple[int, ...]:
    """The value's registers; what does not fit is cut off at the bound, never turned round."""
    if place.form is Form.TEXT:
        data = str(value or "").encode()[: 2 * place.count].decode("utf-8", "ignore").encode()
        return struct.unpack(f">{place.count}H", data.ljust(2 * place.count, b"\0"))
    known = value is not None and not isinstance(value, str) and math.isfinite(value)
    raw = round(float(value or 0) / place.scale) if known else 0
    if place.form is Form.U16:
        return (max(0, min(0xFFFE, raw)) if known else 0xFFFF,)
    if place.form is Form.U32:
        return struct.unpack(">2H", struct.pack(">I", max(0, min(0xFFFFFFFE, raw)) if known else 0xFFFFFFFF))
    return struct.unpack(">2H", struct.pack(">i", max(-0x7FFFFFFF, min(0x7FFFFFFF, raw)) if known else -0x80000000))


class Registers:
    """A Slave of the Modbus server. Every unit is this one."""

    def __init__(self, site: RunningSite) -> None:
        self.site = site
        self._limit_w: float | None = None
        """What was written before it is ordered."""
        self._heartbeat = 0

    def units(self) -> range:
        """Whatever the client's unit is: there is nobody else here."""
        return range(256)

    def handle(self, unit: int, function: int, address: int, count: int, words: tuple[int, ...]) -> list[int]:
        """Raises: DeviceRefused with the exception that is due."""
        if function in (READ_HOLDING, READ_INPUT):
            return self._read(address, count)
        if function in (WRITE_REGISTER, WRITE_REGISTERS):
            self._write(address, words)
            return []
        raise DeviceRefused(ILLEGAL_FUNCTION, "registers are read by function 3 or 4, and written by 6 or 16")

    # -- reading -----------------------------------------------------------------------------------------------------

    def _read(self, address: int, count: int) -> list[int]:
        found: list[int] = []
        points: list[DeviceSettings] | None = None
        known: dict[int, tuple[int, ...]] = {}
        for at in range(address, address + count):
            cell, point = _SITE_CELLS.get(at), None
            base = 0
            if cell is None and at >= POINTS:
                points = self.points() if points is None else points
                number, offset = divmod(at - POINTS, STEP)
                if number < len(points):
                    cell, point, base = _POINT_CELLS.get(offset), points[number], POINTS + number * STEP
            if cell is None:
                raise DeviceRefused(ILLEGAL_ADDRESS, f"there is no register {at}")
            begin = base + cell.place.address
            if begin not in known:
                known[begin] = words_of(cell.place, cell.read(self, point))
            found.append(known[begin][at - begin])
        return found

    def points(self) -> list[DeviceSettings]:
        """The charge points in the order of their blocks."""
        devices = self.site.config.current.devices.values()
        return [device for device in devices if device.kind is Kind.CHARGE_POINT][:MOST_POINTS]

    def fresh(self, name: str) -> Reading | None:
        """Its reading, if it is of now."""
        reading = self.site.readings.last(name)
        now_s = self.site.clock.seconds()
        return reading if reading is not None and now_s - reading.taken_s <= FRESH_S else None

    def status(self, point: DeviceSettings) -> int:
        """Its place in STATUS."""
        reading = self.fresh(point.id)
        if reading is None or reading.status in (None, Status.UNKNOWN):
            return len(STATUS) - 1
        return STATUS.index(reading.status.value)

    def setpoint_a(self, point: DeviceSettings) -> float | None:
        """What was decided last."""
        cycle = self.site.steering.last
        setpoint = cycle.plan.setpoints.get(point.id) if cycle else None
        return setpoint.current_a if setpoint else None

    def charging_a(self, phase: int) -> float | None:
        """All charging on one of the site's phases."""
        total = 0.0
        for point in self.points():
            reading = self.fresh(point.id)
            if reading is None or point.out_of_service:
                continue
            amps = reading.current_a[phase]
            if amps is None and reading.status is not Status.FREE:
                return None
            total += amps or 0.0
        return total

    @property
    def limit_w(self) -> float | None:
        """The limit of the order over Modbus, or what it would be."""
        asked = self.site.grid.asked(MODBUS)
        return asked.limit_w if asked is not None else self._limit_w

    @property
    def heartbeat(self) -> int:
        return self._heartbeat

    # -- writing -----------------------------------------------------------------------------------------------------

    def _write(self, address: int, words: tuple[int, ...]) -> None:
        """All of it, or nothing."""
        for at in range(address, address + len(words)):
            cell = _SITE_CELLS.get(at)
            input_here = INPUTS <= at < INPUTS + REGISTERS and self.site.inputs.at_register(at - INPUTS) is not None
            if not input_here and (cell is None or not cell.place.writable or at >= INPUTS):
                raise DeviceRefused(ILLEGAL_ADDRESS, f"register {at} cannot be written")
        for at, word in enumerate(words, address):
            _check_word(at, word)
        grid = self.site.grid
        on, limit_w = grid.asked(MODBUS) is not None, self.limit_w
        ordered = False
        for at, word in enumerate(words, address):
            if at == ORDER:
                on, ordered = bool(word), True
            elif at == ORDER_LIMIT:
                limit_w, ordered = None if word == NO_LIMIT else 10.0 * word, True
            elif at == HEARTBEAT:
                self._heartbeat = word
            else:
                name = self.site.inputs.at_register(at - INPUTS)
                assert name is not None  # noqa: S101 - looked up above
                self.site.inputs.tell(name, bool(word))
        if address < INPUTS:
            grid.heard()
        if ordered:
            self._limit_w = limit_w
            grid.order(MODBUS, on, limit_w)


def _check_word(at: int, word: int) -> None:
    if at == ORDER_LIMIT and MOST_LIMIT < word != NO_LIMIT:
        raise DeviceRefused(ILLEGAL_VALUE, "no such limit")
    if (at == ORDER or at >= INPUTS) and word not in (0, 1):
        raise DeviceRefused(ILLEGAL_VALUE, "0 or 1")


# -- the table --------------------------------------------------------------------------------------------------------


def _of_site(place: Place, read: Callable[[Registers], Value]) -> Cell:
    return Cell(place, lambda registers, _: read(registers))


def _of_point(place: Place, read: Callable[[Registers, DeviceSettings], Value]) -> Cell:
    def found(registers: Registers, point: DeviceSettings | None) -> Value:
        return read(registers, point) if point is not None else None

    return Cell(place, found)


def _reading(pick: Callable[[Reading], Value]) -> Callable[[Registers, DeviceSettings], Value]:
    def found(registers: Registers, point: DeviceSettings) -> Value:
        reading = registers.fresh(point.id)
        return None if reading is None else pick(reading)

    return found


def _source(registers: Registers) -> int:
    held = registers.site.grid.held
    return 0 if held is None else 1 + SOURCES.index(held.source)


def _session_wh(registers: Registers, point: DeviceSettings) -> Value:
    reading = registers.fresh(point.id)
    if reading is not None and reading.session_wh is not None:
        return reading.session_wh
    running = registers.site.book.running(point.id)
    return running.energy_wh if running else None


def _input(number: int) -> Callable[[Registers], Value]:
    def found(registers: Registers) -> Value:
        name = registers.site.inputs.at_register(number)
        raw = None if name is None else registers.site.inputs.state(name).raw
        return None if raw is None else int(raw)

    return found


def _cells_of_site() -> Iterator[Cell]:
    yield _of_site(Place(0, Form.U16, "0x434D, “CM”: this is Charging Manager"), lambda r: MAGIC)
    yield _of_site(Place(1, Form.U16, "version of this map"), lambda r: MAP_VERSION)
    yield _of_site(Place(2, Form.TEXT, "version of the program", 8), lambda r: VERSION)
    yield _of_site(Place(10, Form.TEXT, "serial number of the installation", 16), lambda r: r.site.serial)
    yield _of_site(Place(26, Form.TEXT, "name of the site", 32), lambda r: r.site.config.current.name)

    seen = "all charging"
    yield _of_site(Place(100, Form.U16, "charge points"), lambda r: len(r.points()))
    yield _of_site(
        Place(101, Form.U16, "of these charging now"),
        lambda r: sum(STATUS[r.status(point)] == Status.CHARGING for point in r.points()),
    )
    yield _of_site(Place(102, Form.U32, f"{seen}: power", 2, "W"), lambda r: r.site.grid.seen.charging_w)
    for phase in (0, 1, 2):
        place = Place(104 + phase, Form.U16, f"{seen}: current on L{phase + 1}", 1, "A", 0.1)
        yield _of_site(place, lambda r, phase=phase: r.charging_a(phase))  # type: ignore[misc]
    yield _of_site(
        Place(107, Form.U16, "charge points that cannot be read now, and are in no sum"),
        lambda r: r.site.grid.seen.silent,
    )
    yield _of_site(
        Place(108, Form.I32, "grid connection: power, import is positive", 2, "W"), lambda r: r.site.grid.seen.grid_w
    )
    yield _of_site(
        Place(110, Form.U16, "counts cycles, so that one sees that this lives"),
        lambda r: r.site.steering.number % 0xFFFF,
    )

    yield _of_site(
        Place(120, Form.U16, "1: an order of the grid operator holds"), lambda r: int(r.site.grid.held is not None)
    )
    sources = ", ".join(f"{number} {source}" for number, source in enumerate(SOURCES, 1))
    yield _of_site(Place(121, Form.U16, f"who ordered: 0 nobody, {sources}"), _source)
    yield _of_site(
        Place(122, Form.U32, "what charging may draw while it holds; else unknown", 2, "W"),
        lambda r: r.site.grid.charging_limit_w,
    )
    yield _of_site(
        Place(124, Form.U32, "what the law leaves at least to all controllable devices", 2, "W"),
        lambda r: r.site.grid.minimum_w,
    )

    yield _of_site(
        Place(ORDER, Form.U16, "order over Modbus: 1 dim, 0 do not", writable=True),
        lambda r: int(r.site.grid.asked(MODBUS) is not None),
    )
    yield _of_site(
        Place(
            ORDER_LIMIT,
            Form.U16,
            f"its limit, for all controllable devices, at most {MOST_LIMIT}; 0xFFFF: none, so the minimum by law",
            unit="W",
            scale=10.0,
            writable=True,
        ),
        lambda r: r.limit_w,
    )
    yield _of_site(
        Place(HEARTBEAT, Form.U16, "sign of life: any value (writing 200 or 201 counts too)", writable=True),
        lambda r: r.heartbeat,
    )
    yield _of_site(
        Place(203, Form.U16, "how often that is asked for; unknown: it is not", unit="s"),
        lambda r: r.site.config.current.grid.heartbeat_s,
    )
    yield _of_site(
        Place(204, Form.U16, "since the last sign of life", unit="s"), lambda r: math.floor(r.site.grid.heartbeat_age_s)
    )
    for number in range(REGISTERS):
        text = f"input {number} of source modbus: 1 on, 0 off; written only where one is configured"
        yield _of_site(Place(INPUTS + number, Form.U16, text, writable=True), _input(number))


def _cells_of_point() -> Iterator[Cell]:
    states = ", ".join(f"{number} {state}" for number, state in enumerate(STATUS))
    yield _of_point(Place(0, Form.U16, f"state: {states}"), lambda r, p: r.status(p))
    modes = ", ".join(f"{number} {mode}" for number, mode in enumerate(MODES))
    yield _of_point(
        Place(1, Form.U16, f"mode: {modes}"), lambda r, p: MODES.index(r.site.config.current.effective_mode(p).value)
    )
    yield _of_point(Place(2, Form.U16, "setpoint per phase; 0: paused", 1, "A", 0.1), lambda r, p: r.setpoint_a(p))
    for phase in (0, 1, 2):
        place = Place(3 + phase, Form.U16, f"current on the site's L{phase + 1}", 1, "A", 0.1)
        yield _of_point(place, _reading(lambda reading, phase=phase: reading.current_a[phase]))  # type: ignore[misc]
    yield _of_point(Place(6, Form.U32, "power", 2, "W"), _reading(flow_w))
    yield _of_point(Place(8, Form.U32, "energy delivered in all", 2, "Wh"), _reading(lambda reading: reading.energy_wh))
    yield _of_point(Place(10, Form.U32, "energy of this session", 2, "Wh"), _session_wh)
    yield _of_point(Place(12, Form.U16, "least current", 1, "A", 0.1), lambda r, p: p.min_a)
    yield _of_point(Place(13, Form.U16, "most current", 1, "A", 0.1), lambda r, p: p.max_a)
    yield _of_point(Place(14, Form.TEXT, "ID", 16), lambda r, p: p.id)


SITE_MAP, POINT_MAP = tuple(_cells_of_site()), tuple(_cells_of_point())
_SITE_CELLS = {at: cell for cell in SITE_MAP for at in range(cell.place.address, cell.place.end)}
_POINT_CELLS = {at: cell for cell in POINT_MAP for at in range(cell.place.address, cell.place.end)}


def describe() -> str:
    """The map in Markdown, as docs/grid-operator.md has it."""
    lines = ["| register | type | unit | access | value |", "| --- | --- | --- | --- | --- |"]
    inputs = [cell for cell in SITE_MAP if cell.place.address >= INPUTS]
    for cell in SITE_MAP[: -len(inputs)]:
        lines.append(_row(str(cell.place.address), cell.place))
    last = inputs[-1].place
    text = f"inputs 0 to {REGISTERS - 1} of source modbus: 1 on, 0 off; written only where one is configured"
    lines.append(f"| {INPUTS} … {last.address} | u16 | | read, write | {text} |")
    lines += ["", f"Charge point *n* (from 0, as the pages list them) has its block at {POINTS} + {STEP} × *n*:", ""]
    lines += ["| block + | type | unit | access | value |", "| --- | --- | --- | --- | --- |"]
    lines += [_row(f"+{cell.place.address}", cell.place) for cell in POINT_MAP]
    return "\n".join(lines) + "\n"


def _row(where: str, place: Place) -> str:
    form = f"text, {place.count} registers" if place.form is Form.TEXT else place.form.value
    unit = f"{place.scale:g} {place.unit}" if place.scale != 1.0 else place.unit
    access = "read, write" if place.writable else "read"
    return f"| {where} | {form} | {unit} | {access} | {place.text} |"
