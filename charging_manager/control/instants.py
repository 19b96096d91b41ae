"""Instants in sentences: « 14:20 », in local time of the site, where control itself knows durations alone.

Wall clock and monotonic clock are compared once and kept, so that the same instant is the same text in every cycle: a
sentence that changed with the second would be told to every open page each second.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from attrs import frozen

APART_S = 5.0
"""Clocks that drifted or were set by more than this are compared anew."""
UNKNOWN = "–"


@frozen
class Instants:
    """What the wall clock showed when the monotonic one was at 0; None: nobody knows what time it is."""

    zero_at: datetime | None = None
    zone: tzinfo | None = None

    def at(self, instant_s: float) -> str:
        """Hours and minutes of a monotonic instant, rounded up to the whole minute; a dash where it is not known."""
        if self.zero_at is None or not -1e10 < instant_s < 1e10:
            return UNKNOWN
        try:
            minute = self.zero_at + timedelta(seconds=instant_s + 59.999)
            return minute.astimezone(self.zone).strftime("%H:%M")
        except (OverflowError, ValueError):
            return UNKNOWN


NOWHERE = Instants()


def compare(known: Instants, now_s: float, now_at: datetime | None) -> Instants:
    """The same as before unless a clock was set or the site's time zone changed."""
    if now_at is None or now_at.tzinfo is None:
        return NOWHERE
    try:
        zero_at = now_at.astimezone(UTC) - timedelta(seconds=now_s)
    except (OverflowError, ValueError):
        return NOWHERE
    if (
        known.zero_at is not None
        and known.zone == now_at.tzinfo
        and abs((known.zero_at - zero_at).total_seconds()) < APART_S
    ):
        return known
    return Instants(zero_at, now_at.tzinfo)
