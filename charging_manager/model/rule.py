"""A rule on top of modes: when something holds, a limit, a mode or a pause for some charge points or users.

Rules are data: conditions of named parts, joined by *all of* or *any of*, one level deep. They only narrow.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import time
from enum import StrEnum

from attrs import field, frozen

from charging_manager.model.mode import Mode
from charging_manager.model.outside import PriceLevel

__all__ = ["LEAST_FIRST", "Condition", "Match", "PriceLevel", "Rule", "Unknown", "lower_mode"]

LEAST_FIRST = (Mode.OFF, Mode.SOLAR, Mode.MIN_SOLAR, Mode.PLAN, Mode.FAST)
"""Modes by what they may take from the grid: a rule's mode replaces only one that stands behind it."""
_RANK = {mode: rank for rank, mode in enumerate(LEAST_FIRST)}


def lower_mode(one: Mode, other: Mode | None) -> Mode:
    """The one of both that takes less."""
    return one if other is None or _RANK[one] <= _RANK[other] else other


class Match(StrEnum):
    """How several conditions are joined."""

    ALL = "all"
    ANY = "any"


class Unknown(StrEnum):
    """How a part counts whose fact is not known."""

    HOLDS = "holds"
    FAILS = "fails"


@frozen
class Condition:
    """Everything that is given must hold; nothing given: always. *Below* and *above* leave the number itself out.

    Times are local; a ``time_to`` before ``time_from`` is on the next day, and belongs to the weekday before. Powers
    are those of the grid connection: surplus is what could be charged without taking from the grid.
    """

    time_from: time | None = None
    time_to: time | None = None
    weekdays: frozenset[int] = field(default=frozenset(), converter=frozenset)
    """Monday is 0; empty: every day."""
    price_below: float | None = None
    """Per kWh, in the tariff's currency."""
    price_above: float | None = None
    levels: frozenset[PriceLevel] = field(default=frozenset(), converter=frozenset)
    """The price is at one of these levels; empty: at any."""
    surplus_below_w: float | None = None
    surplus_above_w: float | None = None
    soc_below_pct: float | None = None
    """Of the car that is plugged in: judged for each by itself."""
    soc_above_pct: float | None = None
    charging_at_least: int | None = None
    """So many cars charge now, at the whole site."""
    charging_at_most: int | None = None
    input: str | None = None
    input_set: bool = True
    """False: it holds while the input is not set."""
    import_above_w: float | None = None
    export_above_w: float | None = None


def _conditions(value: Condition | Iterable[Condition]) -> tuple[Condition, ...]:
    return (value,) if isinstance(value, Condition) else tuple(value)


@frozen
class Rule:
    """For ``charge_points`` and where one of ``users`` charges; both empty: for all. The lowest wins."""

    id: str
    name: str
    when: tuple[Condition, ...] = field(default=(), converter=_conditions)
    """Empty: always."""
    match: Match = Match.ALL
    charge_points: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    limit_a: float | None = None
    """Per phase, for each charge point by itself."""
    limit_w: float | None = None
    """Over all phases that the car uses, for each charge point by itself."""
    mode: Mode | None = None
    """It replaces the chosen mode where that takes more (``LEAST_FIRST``)."""
    pause: bool = False
    keep_s: float = 0.0
    """For how long it goes on to hold when its condition has ended."""
    unknown: Unknown | None = None
    """For all its parts; None: by what the fact is for (``control.conditions``)."""
    enabled: bool = True
