"""The JSON of inputs and of the grid operator, as attrs classes; see ``api_shapes``."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from charging_manager.agent.api_shapes import LEFT_OUT


@frozen
class InputBody:
    """An input; ``id`` is made from the name if it is left out. What it rests on depends on ``source``: device, api
    or modbus."""

    name: str
    source: str
    id: str | None = None
    device: str | None = None
    value: str | None = None
    equals: float | None = None
    at_least: float | None = None
    bit: int | None = None
    register: int | None = None
    holds_s: float | None = None
    inverted: bool = False
    unknown_counts_as: bool | None = None
    on: bool | None = None
    """Accepted because ``GET`` shows it, like ``known`` and ``age_s``."""
    known: bool | None = None
    age_s: float | None = None


@frozen
class InputsBody:
    """All inputs of the site."""

    inputs: list[InputBody] = field(factory=list)
    values: dict[str, Any] | None = None
    """Accepted because ``GET`` shows it."""


@frozen
class OnBody:
    """Whether it is on, and for how long that counts; then it is unknown. Without ``for_s``: until it is said again."""

    on: bool
    for_s: float | None = None


@frozen
class DimmingBody:
    """An order: ``limit_w`` for all controllable devices (null: the minimum by law, or what was agreed), and for how
    long it holds (null: until it is ended)."""

    on: bool
    limit_w: float | None = None
    for_s: float | None = None


@frozen
class TestBody:
    """true: dim for a minute; false: end that at once."""

    __test__ = False
    on: bool = True


@frozen
class GridBody:
    """What is to be different; all else stays. Null means none, where that makes sense."""

    input: str | None = ""
    """Null: none; left out or empty: as it was."""
    charge_points: list[str] | None = field(factory=lambda: [""])
    """Those that are dimmed; null: all."""
    other_devices: int | None = None
    others_w: float | None = None
    heat_pumps_w: float | None = None
    cooling_w: float | None = None
    agreed_w: float | None = LEFT_OUT
    below_minimum: bool | None = None
    own_power_on_top: bool | None = None
    heartbeat_s: float | None = LEFT_OUT
    silence_dims: bool | None = None
