"""One timestamped set of values from one device. Unknown is None and never counts as 0."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen

from charging_manager.model.units import UNKNOWN_AMPS, MaybePhaseAmps


class Status(StrEnum):
    """What a charge point says of its car. UNKNOWN is shown as offline, and its worst case stays reserved."""

    FREE = "free"
    PLUGGED = "plugged"
    CHARGING = "charging"
    FAULT = "fault"
    UNKNOWN = "unknown"


@frozen
class Reading:
    """Values of one poll, in our units; phases are the site's. ``taken_s`` is monotonic, of the oldest value in it."""

    device: str
    taken_s: float
    current_a: MaybePhaseAmps = UNKNOWN_AMPS
    voltage_v: MaybePhaseAmps = UNKNOWN_AMPS
    power_w: float | None = None
    energy_wh: float | None = None
    """Import (meters) or total delivered (charge points)."""
    energy_export_wh: float | None = None
    session_wh: float | None = None
    status: Status | None = None
    """None for meters."""
    setpoint_a: float | None = None
    """What the box says that it obeys now (0: paused), where it can say that."""
    rfid: str | None = None
    values: Mapping[str, float | int | str | None] = field(factory=dict)
    """Everything that was decoded, by the driver's names."""


@frozen
class Obedience:
    """What is known of a charge point's obedience: the ground of its worst case (docs/control.md, I1).

    ``commanded_a``: the highest setpoint sent since the last confirmed one, None if none was sent.
    ``confirmed_a``: the last setpoint that the box acknowledged or showed, None if never.
    ``fallback_a`` after ``fallback_after_s``: what was programmed and read back; None where that is not so.
    """

    hardware_max_a: float
    commanded_a: float | None = None
    confirmed_a: float | None = None
    fallback_a: float | None = None
    fallback_after_s: float | None = None
    answering: bool = False
    silent_s: float | None = None
    """How long it has not answered; None: never heard of since we started."""
    switches_phases: bool = False
    """It can be told to use one phase or three."""
    phases: int | None = None
    """What it was told to use and confirmed, or shows; None: not known, or it cannot be told."""
