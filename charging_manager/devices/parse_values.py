"""The words of a value of a device without registers: found by JSON pointer in a document, a message or what is pushed.

Such a value becomes a register like any other, at a place that only its road knows: so planner, orders and proofs are
those of every device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import evolve

from charging_manager.devices import reasons as why
from charging_manager.devices.parse_words import conditions, example
from charging_manager.devices.registers import Group, Register, Type
from charging_manager.devices.tables import NUMBER, WHOLE, Table, one_or_more

NUMBER_WORDS = 4
TEXT_WORDS = 32
MOST_VALUES = 500
NOT_WITHOUT_REGISTERS = ("tcp", "rtu", "discover", "unlike", "channels", "never", "variant")

ReadValue = Callable[[Table, Register], Register]
"""Reads what one road says of a value beside the common words, which are there already."""


def check_words(table: Table) -> None:
    """What a register map has and a document has not."""
    for key in NOT_WITHOUT_REGISTERS:
        table.without(key, "a device with [http], [mqtt] or [push] has no such thing; leave it out")


def valued(named: Mapping[str, Table], read_value: ReadValue) -> dict[str, Register]:
    """The values, in the file's order, each at a place of its own."""
    made: dict[str, Register] = {}
    address = 0
    for name, table in named.items():
        made[name] = read_value(table, _common(name, table, address))
        table.done()
        address = made[name].end
        if len(made) == MOST_VALUES + 1:
            table.wrong("", f"a driver has at most {MOST_VALUES} values", why.FILE)
    return made


def _common(name: str, table: Table, address: int) -> Register:
    text = table.flag("text")
    made = Register(
        name=name,
        address=address,
        type=Type.STR if text else Type.F64,
        count=TEXT_WORDS if text else NUMBER_WORDS,
        function=None,
        scale=table.number("scale", 1.0),
        offset=table.number("offset", 0.0),
        group=table.choice("group", Group, Group.SLOW),
        volatile=table.flag("volatile") if "volatile" in table else None,
        lowest=table.maybe_number("min"),
        highest=table.maybe_number("max"),
        only_when=conditions(table, "only_when"),
        example=example(table),
        uncertain=table.maybe_text("uncertain"),
        page=table.maybe_whole("page"),
        source=table.maybe_text("source"),
        note=table.text("note", ""),
        json=pointer(table, "json"),
        codes=_codes(table, text),
        json_na=_na(table),
    )
    if made.scale == 0:
        table.wrong("scale", "every value would be 0", why.SCALE_ZERO)
    return made


def readable(made: Register, where: bool) -> Register:
    """The same, to be read if the road says where it is."""
    return evolve(made, function=3 if where else None)


def writable(table: Table, key: str, made: Register) -> Register:
    """The same, to be written. ``key``: the word that says so."""
    if made.type is Type.STR:
        table.wrong(key, "only numbers are written", why.TEXT_NUMBER)
    return evolve(made, write_function=16)


def pointer(table: Table, key: str) -> str | None:
    """A JSON pointer, if there is one."""
    found = table.maybe_text(key)
    if found is not None and not found.startswith("/"):
        table.wrong(key, 'a JSON pointer is needed here (RFC 6901): for instance "/emeters/0/power"', why.POINTER)
    return found


def _codes(table: Table, text: bool) -> tuple[tuple[str, int], ...]:
    inner = table.table("codes")
    if inner is None:
        return ()
    if text:
        table.wrong("codes", "a text has no codes; leave text or codes out", why.TEXT_NUMBER)
    return tuple((word, inner.whole(word)) for word, _ in inner.items(WHOLE))


def _na(table: Table) -> tuple[float, ...]:
    value = table.raw("na", one_or_more(NUMBER))
    items = [] if value is None else value if isinstance(value, list) else [value]
    if all(isinstance(item, int | float) and not isinstance(item, bool) for item in items):
        return tuple(float(item) for item in items)
    table.mistyped("na", "a list of numbers is needed here; null and what is missing are unknown anyhow")
    return ()
