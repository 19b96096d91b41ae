"""Inputs of a site: named yes-or-no values from a contact, a program or a register, that rules and orders rest on."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

STALE_S = 10.0
"""What was not read for so long is unknown."""

REGISTERS = 32
"""So many inputs have a register in the map of our own Modbus server."""


class InputSource(StrEnum):
    """Where an input comes from."""

    DEVICE = "device"  # a value that a device shows
    API = "api"  # whoever calls PUT /inputs/{id}
    MODBUS = "modbus"  # a register of our own Modbus server


@frozen
class Input:
    """One input. A device's value is on when it equals ``equals``, is at least ``at_least``, or has ``bit`` set; with
    none of these, when it is not 0."""

    id: str
    name: str
    source: InputSource = InputSource.API
    device: str | None = None
    value: str | None = None
    """Name of the device's value, as its driver has it."""
    equals: float | None = None
    at_least: float | None = None
    bit: int | None = None
    register: int | None = None
    """Which of the map's inputs, from 0; for source modbus."""
    holds_s: float | None = None
    """What was written to the register counts so long, then it is unknown; None: until it is written again."""
    inverted: bool = False
    unknown_counts_as: bool | None = None
    """For rules; an order of the grid operator takes unknown for on. None: unknown stays unknown."""

    def reads(self, value: float | int | str | None) -> bool | None:
        """What a device's value says, before ``inverted``; None: nothing."""
        if value is None or isinstance(value, str):
            return None
        if value != value:  # NaN
            return None
        if self.equals is not None:
            return value == self.equals
        if self.at_least is not None:
            return value >= self.at_least
        if self.bit is not None:
            return bool(int(value) >> self.bit & 1) if value >= 0 else None
        return value != 0
