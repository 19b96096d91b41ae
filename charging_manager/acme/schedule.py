"""When a certificate is renewed, and how long a failure is left alone: pure, so that a test can look at years."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

SPREAD = 1 / 24
"""Of a certificate's life: so far apart are those renewed that were given at the same moment."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 600.0, 43_200.0
"""An authority that counts failures, as Let's Encrypt does (five an hour), is not made angry by this."""


def renew_at(begins: datetime, ends: datetime, fingerprint: str) -> datetime:
    """Two thirds of its life, and a little earlier or later, the same for the same certificate (hex fingerprint)."""
    chance = int(fingerprint[:8], 16) / 0x1_0000_0000
    return begins + (ends - begins) * (2 / 3 + SPREAD * (chance - 0.5))


def pause_s(failures: int, wanted_s: float, chance: Callable[[], float]) -> float:
    """After so many failures in a row: ten minutes, twenty, up to half a day, up to a quarter more; never less than
    the authority wants. ``chance`` is from 0 to 1."""
    own_s: float = min(FIRST_PAUSE_S * 2.0 ** min(max(failures, 1) - 1, 16), LONGEST_PAUSE_S)
    return max(own_s, wanted_s) * (1 + chance() / 4)
