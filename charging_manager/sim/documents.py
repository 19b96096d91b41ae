"""What a simulated device without registers shows and takes: JSON documents from its driver, numbers in texts."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from charging_manager.devices.codec import decode
from charging_manager.devices.driver import Register, Type
from charging_manager.sim.simulator import Simulator


def value_of(simulator: Simulator, register: Register) -> Any:
    """What the device shows of it, in its own units."""
    words: Any = simulator.handle(simulator.unit, 3, register.address, register.count, ())
    value = decode(register, list(words))
    if isinstance(value, int | float):
        value = (value - register.offset) / register.scale
        value = int(value) if value == int(value) and register.type is not Type.STR else value
        known = {number: word for word, number in register.codes}
        return known.get(value, value) if isinstance(value, int) else value
    return value


def document_of(simulator: Simulator, shown: Iterable[Register]) -> Any:
    """One document with all of these values."""
    tree: dict[str, Any] = {}
    for register in shown:
        at = tree
        *way, last = (register.json or "").split("/")[1:]
        for step in way:
            at = at.setdefault(step, {})
        at[last] = value_of(simulator, register)
    return _lists(tree)


def _lists(tree: Any) -> Any:
    """Tables whose keys are numbers are lists."""
    if not isinstance(tree, dict):
        return tree
    if tree and all(key.isdigit() for key in tree):
        return [_lists(tree.get(str(n))) for n in range(max(map(int, tree)) + 1)]
    return {key: _lists(value) for key, value in tree.items()}


def number_in(template: str, given: str) -> float | None:
    """The number that stands where the template has ``{value}``; None if the text is another."""
    before, found, after = template.partition("{value}")
    if not (found and given.startswith(before) and given.endswith(after)):
        return None
    try:
        return float(given[len(before) : len(given) - len(after)])
    except ValueError:
        return None


def write_number(simulator: Simulator, register: Register, number: float) -> None:
    """As if it had been written. Raises: DeviceRefused."""
    words = struct.unpack(">4H", struct.pack(">d", number))
    simulator.handle(simulator.unit, 16, register.address, 4, words)
