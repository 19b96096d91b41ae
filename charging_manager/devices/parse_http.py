"""The words of a driver for a device that speaks HTTP and JSON: ``[http]``, and values by JSON pointer.

Such a value becomes a register like any other, at a place that only ``json_bus`` knows: so planner, orders and proofs
are those of every device.
"""

from __future__ import annotations

from collections.abc import Mapping

from charging_manager.devices import reasons as why
from charging_manager.devices.parse_words import conditions, example
from charging_manager.devices.registers import Group, HttpWrite, Register, Type
from charging_manager.devices.tables import NUMBER, WHOLE, Table, one_or_more

NUMBER_WORDS = 4
TEXT_WORDS = 32
MOST_VALUES = 500
METHODS = ("GET", "POST", "PUT")
NOT_WITH_HTTP = ("tcp", "rtu", "discover", "unlike", "channels", "never", "variant")


def check_words(table: Table) -> None:
    """What a register map has and a JSON document has not."""
    for key in NOT_WITH_HTTP:
        table.without(key, "a device with [http] has no such thing; leave it out")


def http_path(table: Table, key: str, default: str | None = None) -> str:
    """The path that a request asks for."""
    path = table.text(key, default)
    if path and not (path.startswith("/") and path.isascii() and path.isprintable() and " " not in path):
        table.wrong(key, 'a path is needed here, in plain letters: for instance "/status"', why.HOSTLESS)
    if path and (path.startswith("//") or "#" in path):
        table.wrong(key, "the host belongs to the device's address; write the path alone", why.HOSTLESS)
    return path


def http_registers(named: Mapping[str, Table], default_get: str | None) -> dict[str, Register]:
    """The values, in the file's order, each at a place of its own."""
    made: dict[str, Register] = {}
    address = 0
    for name, table in named.items():
        made[name] = _register(name, table, address, default_get)
        address = made[name].end
        if len(made) == MOST_VALUES + 1:
            table.wrong("", f"a driver has at most {MOST_VALUES} values", why.FILE)
    return made


def _register(name: str, table: Table, address: int, default_get: str | None) -> Register:
    text = table.flag("text")
    pointer = table.maybe_text("json")
    get = http_path(table, "get", default_get or "") or None
    if pointer is not None and not pointer.startswith("/"):
        table.wrong("json", 'a JSON pointer is needed here (RFC 6901): for instance "/emeters/0/power"', why.POINTER)
    if pointer is not None and get is None:
        table.wrong("get", "say which path shows this value, here or in [http]", why.POINTER)
    made = Register(
        name=name,
        address=address,
        type=Type.STR if text else Type.F64,
        count=TEXT_WORDS if text else NUMBER_WORDS,
        function=3 if pointer is not None else None,
        write_function=None if "set" not in table else 16,
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
        json=pointer,
        get=get,
        codes=_codes(table, text),
        json_na=_na(table),
        set=_set(table),
    )
    if made.scale == 0:
        table.wrong("scale", "every value would be 0", why.SCALE_ZERO)
    if text and made.set is not None:
        table.wrong("set", "only numbers are written", why.TEXT_NUMBER)
    table.done()
    return made


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


def _set(table: Table) -> HttpWrite | None:
    inner = table.table("set")
    if inner is None:
        return None
    made = HttpWrite(inner.word("method", METHODS, "GET"), http_path(inner, "path"), inner.maybe_text("body"))
    if made.method == "GET" and made.body is not None:
        inner.wrong("body", "a GET has no body", why.FORBIDDEN)
    if "{value}" not in made.path + (made.body or ""):
        inner.wrong("path", "{value} must stand in the path or in the body: there the number goes", why.VALUE_PLACE)
    inner.done()
    return made
