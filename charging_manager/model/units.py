"""Phases and amperes. ``*_a`` per phase is three floats, L1 to L3 of the site; positive is consumption."""

from __future__ import annotations

import math
from collections.abc import Iterable

PhaseAmps = tuple[float, float, float]
MaybePhaseAmps = tuple[float | None, float | None, float | None]

NO_AMPS: PhaseAmps = (0.0, 0.0, 0.0)
UNKNOWN_AMPS: MaybePhaseAmps = (None, None, None)
PHASES = (0, 1, 2)
"""Indexes of L1, L2, L3 in every per-phase tuple."""


def phase_amps(values: Iterable[float]) -> PhaseAmps:
    """Exactly three finite numbers. Raises: ValueError otherwise."""
    three = tuple(float(value) for value in values)
    if len(three) != 3 or not all(map(math.isfinite, three)):
        raise ValueError("three finite numbers are needed, one for each of L1, L2 and L3")
    return three[0], three[1], three[2]
