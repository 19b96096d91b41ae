"""Time is handed in. Below the taps nobody asks the wall clock or sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
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
