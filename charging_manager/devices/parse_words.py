"""Words that stand in tables of every kind of driver: conditions, writes and examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charging_manager.devices.reasons import EMPTY
from charging_manager.devices.registers import Condition, Write
from charging_manager.devices.tables import NUMBER, Shape, Table

VALUE: Shape = {"type": ["number", "string"]}
CONDITION: Shape = {
    "anyOf": [
        VALUE,
        {"type": "array", "items": VALUE, "minItems": 1},
        {
            "type": "object",
            "properties": {"from": VALUE, "to": VALUE},
            "additionalProperties": False,
            "minProperties": 1,
        },
    ]
}


def example(table: Table) -> float | int | str | None:
    """A typical value, if the table has one."""
    value = table.raw("example", VALUE)
    if value is None or (isinstance(value, float | int | str) and not isinstance(value, bool)):
        return value
    table.mistyped("example", "a number or a text is needed here")
    return None


def conditions(table: Table, key: str) -> tuple[Condition, ...]:
    """``{ name = value, … }``: all of it must hold."""
    inner = table.table(key)
    if inner is None:
        return ()
    return tuple(condition(inner, name, value) for name, value in inner.items(CONDITION))


def condition(table: Table, name: str, value: Any) -> Condition:
    """One value, a list of them, or bounds."""
    if isinstance(value, Mapping):
        bounds = Table(value, table.path(name), table.problems)
        lowest, highest = bounds.raw("from", VALUE), bounds.raw("to", VALUE)
        for bound in (lowest, highest):
            if bound is not None and (not isinstance(bound, float | int | str) or isinstance(bound, bool)):
                table.mistyped(name, "from and to are numbers or versions")
                return Condition(name)
        if lowest is None and highest is None:
            table.wrong(name, "from, to or both are needed here", EMPTY)
        bounds.done()
        return Condition(name, (), lowest, highest)
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(v, float | int | str) and not isinstance(v, bool) for v in values):
        table.mistyped(name, "a value, a list of values or { from = …, to = … } is needed here")
        return Condition(name)
    return Condition(name, tuple(values))


def writes(table: Table, key: str) -> tuple[Write, ...]:
    """``{ name = number, … }``, or a list of such tables: in this order."""
    made = []
    for inner in table.tables(key):
        for name, value in inner.items(NUMBER):
            if isinstance(value, int | float) and not isinstance(value, bool):
                made.append(Write(name, value))
            else:
                inner.mistyped(name, "the number that is to be written is needed here")
    return tuple(made)
