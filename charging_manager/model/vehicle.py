"""What somebody said of the vehicle that is plugged in: kept until it is unplugged."""

from __future__ import annotations

from attrs import frozen


@frozen
class Vehicle:
    """``soc_pct`` was so when ``session_wh`` had been delivered to it."""

    soc_pct: float | None = None
    capacity_wh: float | None = None
    """Of its battery."""
    session_wh: float = 0.0
