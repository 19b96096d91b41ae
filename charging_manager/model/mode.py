"""How a charge point charges."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """What a person chose for a charge point (CONTRACT, ``PUT /charge-points/{id}/mode``)."""

    OFF = "off"
    SOLAR = "solar"
    MIN_SOLAR = "min-solar"
    FAST = "fast"
    PLAN = "plan"
