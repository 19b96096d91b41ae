"""A charging session: from plug-in to plug-out."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen


@frozen
class ChargingSession:
    """One vehicle at one charge point. Energies are the meter's own readings where it has one."""

    id: str
    charge_point: str
    user: str | None
    started_at: datetime
    ended_at: datetime | None
    start_wh: float | None
    end_wh: float | None
    energy_wh: float
