"""A rule on top of modes: when something holds, a limit, a mode or a pause for some charge points or users."""

from __future__ import annotations

from datetime import time

from attrs import field, frozen

from charging_manager.model.mode import Mode


@frozen
class Condition:
    """Everything that is given must hold; nothing given: always.

    Times are local; a ``time_to`` before ``time_from`` is on the next day.
    """

    time_from: time | None = None
    time_to: time | None = None
    weekdays: frozenset[int] = field(default=frozenset(), converter=frozenset)
    """Monday is 0; empty: every day."""


@frozen
class Rule:
    """For ``charge_points`` and where one of ``users`` charges; both empty: for all. The lowest wins."""

    id: str
    name: str
    when: Condition = Condition()
    charge_points: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    limit_a: float | None = None
    mode: Mode | None = None
    pause: bool = False
    keep_s: float = 0.0
    """For how long it goes on to hold when its condition has ended."""
    enabled: bool = True
