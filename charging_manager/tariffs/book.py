"""What is known of prices and sun over time: what came, laid over what was there, and kept for three days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, TypeVar

import attrs
import orjson

from charging_manager.errors import ConfigError
from charging_manager.model.outside import PriceSlot, SunSlot

KEPT = timedelta(days=4)
AHEAD = timedelta(days=9)

Slot = TypeVar("Slot", PriceSlot, SunSlot)


def laid_over(known: Sequence[Slot], fresh: Sequence[Slot], now_at: datetime) -> tuple[Slot, ...]:
    """The fresh ones, and what was known beside them. Raises: ConfigError if all that came is over."""
    if fresh and fresh[-1].end_at <= now_at:
        raise ConfigError("", "what came ended at {time} and is left out", time=f"{fresh[-1].end_at:%Y-%m-%d %H:%MZ}")
    kept: list[Slot] = list(known)
    if fresh:
        start_at, end_at = fresh[0].start_at, fresh[-1].end_at
        kept = [one for one in known if one.end_at <= start_at or one.start_at >= end_at]
    kept += fresh
    kept.sort(key=lambda one: one.start_at)
    return tuple([one for one in kept if one.end_at > now_at - KEPT and one.start_at < now_at + AHEAD])


def gaps(slots: Sequence[PriceSlot], now_at: datetime) -> list[tuple[datetime, datetime]]:
    """Holes between now and the last that is known."""
    found = []
    at = now_at
    for one in slots:
        if one.end_at <= now_at:
            continue
        if one.start_at > at:
            found.append((at, one.start_at))
        at = one.end_at
    return found


def to_json(slots: Sequence[Slot]) -> bytes:
    """For a file."""
    return orjson.dumps([attrs.asdict(one) for one in slots], option=orjson.OPT_UTC_Z)


def from_json(data: bytes, kind: type[Slot]) -> tuple[Slot, ...]:
    """Of a file of ours. Raises: ConfigError for anything else."""
    try:
        rows: list[dict[str, Any]] = orjson.loads(data)
        slots = [
            kind(**{**row, **{key: datetime.fromisoformat(row[key]) for key in ("start_at", "end_at")}}) for row in rows
        ]
        in_order = all(a.end_at <= b.start_at for a, b in pairwise(slots))
        if not in_order or any(one.start_at.tzinfo is None or one.end_at <= one.start_at for one in slots):
            raise ValueError("order")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError("", "the file of known values cannot be read") from error
    return tuple(slots)
