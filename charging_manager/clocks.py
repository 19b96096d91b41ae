"""Time is handed in. Below the taps nobody asks the wall clock or sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from datetime import time as day_time
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from charging_manager.errors import ConfigError

UtcNow = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock, aware and in UTC: only for what people read (``*_at``), never for durations."""
    return datetime.now(UTC)


def use_monotonic(reactor: Any) -> None:
    """Make ``reactor.seconds`` the monotonic clock; to be called by a tap before anything is scheduled.

    Twisted's own is the wall clock, and a step back of that stalls every timer. A wrapper does not help: callLater
    asks the reactor itself.
    """
    reactor.seconds = time.monotonic


@cache
def zone(name: str) -> ZoneInfo:
    """The time zone of that IANA name, as in ``Europe/Paris``. Raises: ConfigError for an unknown one."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError("timezone", "a time zone is a name like Europe/Paris") from error


def moment(day: date, at: day_time, where: tzinfo) -> datetime:
    """The first instant, in UTC, at which clocks there show that time of that day or a later one.

    So a time that the change to summer time leaves out is the instant of the change, and of one that the change back
    brings twice it is the first. Raises: OverflowError at the ends of the calendar.
    """
    naive = datetime.combine(day, at.replace(tzinfo=None, fold=0))
    earlier, later = (naive.replace(tzinfo=where, fold=fold).astimezone(UTC) for fold in (0, 1))
    if earlier <= later:  # the same, or it exists twice
        return earlier
    low, high = later, earlier  # clocks jump over it: between these two
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(where).replace(tzinfo=None) < naive:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)
