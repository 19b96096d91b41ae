"""What was agreed with the grid operator about dimming (§14a EnWG), as it was entered."""

from __future__ import annotations

from attrs import frozen


@frozen
class GridSettings:
    """docs/grid-operator.md says what the law wants of each."""

    input: str | None = None
    """Dims while this input is on, and while it is unknown."""
    charge_points: tuple[str, ...] | None = None
    """Those that are dimmed and count in the formula; None: all."""
    other_devices: int = 0
    """Other controllable devices under the same energy management; all heat pumps are one, all cooling is one."""
    others_w: float = 0.0
    """Of the limit, what is left to those."""
    heat_pumps_w: float = 0.0
    """Connected power of all heat pumps among them, if that is more than 11 kW; else 0."""
    cooling_w: float = 0.0
    """The same of room cooling."""
    agreed_w: float | None = None
    """A higher limit that the operator agreed to; None: the minimum by the formula."""
    below_minimum: bool = False
    """Orders of less than the minimum are obeyed as they stand; otherwise they are held at the minimum."""
    own_power_on_top: bool = False
    """What the site's own generation leaves over, as the grid meter shows it, may be drawn on top."""
    heartbeat_s: float | None = None
    """The Modbus client must write so often; None: it need not."""
    silence_dims: bool = True
    """When it does not write: dim; otherwise its order is over."""
