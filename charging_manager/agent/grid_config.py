"""Do inputs and what was agreed with the grid operator make sense? Raises ConfigError with the key path and remedy."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping

from charging_manager.errors import ConfigError
from charging_manager.model.grid import GridSettings
from charging_manager.model.input import REGISTERS, Input, InputSource

MOST_INPUTS = 64
MOST_W = 1_000_000.0
"""No low-voltage connection carries more: beyond it numbers come from mistakes."""
LEAST_W = 100.0
MOST_OTHERS = 500


def check_inputs(inputs: Mapping[str, Input], devices: Container[str]) -> None:
    """Every input has one source and all that belongs to it."""
    if len(inputs) > MOST_INPUTS:
        raise ConfigError("inputs", "there are at most {most} inputs; remove one", most=MOST_INPUTS)
    taken: dict[int, str] = {}
    for name, one in inputs.items():
        where = f"inputs.{name}"
        if one.source is InputSource.DEVICE:
            _check_value(where, one, devices)
        elif one.source is InputSource.MODBUS:
            if one.register is None or not 0 <= one.register < REGISTERS:
                raise ConfigError(
                    f"{where}.register", "say which of the map's inputs it is: 0 to {last}", last=REGISTERS - 1
                )
            if one.register in taken:
                raise ConfigError(
                    f"{where}.register", "the input {name} has this one already", name=taken[one.register]
                )
            taken[one.register] = name
            if one.holds_s is not None and not 1.0 <= one.holds_s <= 86_400.0:
                raise ConfigError(f"{where}.holds_s", "1 to 86400 seconds, or empty: until it is written again")


def _check_value(where: str, one: Input, devices: Container[str]) -> None:
    if one.device is None or one.device not in devices:
        raise ConfigError(
            f"{where}.device", "there is no device {name}; name one that exists", name=repr(one.device or "")
        )
    if not one.value:
        raise ConfigError(f"{where}.value", "name the device's value, as its driver has it")
    given = [key for key in ("equals", "at_least", "bit") if getattr(one, key) is not None]
    if len(given) > 1:
        raise ConfigError(f"{where}.{given[1]}", "give one of equals, at_least and bit, not several")
    for key in ("equals", "at_least"):
        number = getattr(one, key)
        if number is not None and not math.isfinite(number):
            raise ConfigError(f"{where}.{key}", "a number is needed here")
    if one.bit is not None and not 0 <= one.bit <= 63:
        raise ConfigError(f"{where}.bit", "a bit is a number from 0 to 63")


def check_grid(grid: GridSettings, inputs: Container[str], charge_points: Container[str]) -> None:
    """Numbers that a low-voltage connection can have, and names that exist."""
    if grid.input is not None and grid.input not in inputs:
        raise ConfigError("grid.input", "there is no input {name}; name one that exists", name=repr(grid.input))
    for name in grid.charge_points or ():
        if name not in charge_points:
            raise ConfigError(
                "grid.charge_points", "there is no charge point {name}; name one that exists", name=repr(name)
            )
    if not 0 <= grid.other_devices <= MOST_OTHERS:
        raise ConfigError("grid.other_devices", "a whole number from 0 to {most}", most=MOST_OTHERS)
    for key in ("others_w", "heat_pumps_w", "cooling_w"):
        if not 0.0 <= getattr(grid, key) <= MOST_W:  # NaN is neither
            raise ConfigError(f"grid.{key}", "a number of watts from 0 to {most}", most=int(MOST_W))
    if grid.agreed_w is not None and not LEAST_W <= grid.agreed_w <= MOST_W:
        raise ConfigError(
            "grid.agreed_w",
            "a number of watts from {least} to {most}, or empty: the minimum by law",
            least=int(LEAST_W),
            most=int(MOST_W),
        )
    if grid.heartbeat_s is not None and not 2.0 <= grid.heartbeat_s <= 86_400.0:
        raise ConfigError("grid.heartbeat_s", "2 to 86400 seconds, or empty: no heartbeat is asked for")
