"""The words of a driver for a device that pushes: ``[push]``, where a value is in what it sends and in our answer."""

from __future__ import annotations

from attrs import evolve

from charging_manager.devices import reasons as why
from charging_manager.devices.driver import Push
from charging_manager.devices.parse_mqtt import silent_after_s
from charging_manager.devices.parse_values import pointer, readable, writable
from charging_manager.devices.registers import Register
from charging_manager.devices.tables import Table


def push_rules(table: Table) -> Push | None:
    """What ``[push]`` says, if it is there."""
    inner = table.table("push")
    if inner is None:
        return None
    made = Push(silent_after_s(inner))
    inner.done()
    return made


def push_value(table: Table, made: Register) -> Register:
    """A value's own words."""
    tell = pointer(table, "tell")
    if made.json is None and tell is None:
        sentence = "say where the value is in what the device sends, or with tell, in what it is answered"
        table.wrong("json", sentence, why.POINTER)
    made = readable(evolve(made, tell=tell), made.json is not None)
    return made if tell is None else writable(table, "tell", made)
