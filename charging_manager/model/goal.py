"""What a driver wants by when: so much energy, or a state of charge, by a time of the day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, time
from enum import StrEnum

from attrs import field, frozen

EVERY_DAY = frozenset(range(7))


def _as_set(days: Iterable[int]) -> frozenset[int]:
    return frozenset(days)


class Prefer(StrEnum):
    """By what slots are chosen where there is a choice."""

    CHEAP = "cheap"
    GREEN = "green"


@frozen
class Goal:
    """« 40 kWh by 07:00 ». One of ``energy_wh`` (since plug-in) and ``soc_pct`` is given.

    ``by`` is local time of the site; ``days`` are the weekdays (Monday is 0) on which it repeats, or ``on`` is the one
    day for which it was set.
    """

    by: time
    energy_wh: float | None = None
    soc_pct: float | None = None
    days: frozenset[int] = field(default=EVERY_DAY, converter=_as_set)
    on: date | None = None
    prefer: Prefer = Prefer.CHEAP
    capacity_wh: float | None = None
    """Of the vehicle's battery, as a person entered it: for ``soc_pct``, where the vehicle does not say it."""
