"""The pace of a search, and how far it is. Pure: instants are handed in, nobody is spoken to.

Theory of operation. Every new connection, be it to knock at a door or to ask somebody more, is a *turn*; two turns lie
at least ``every_s`` apart, so that no second ever sees more than its inverse, however late timers are. A door counts
as open from its turn until its knock came to nothing or the talk behind it is over; no more than ``most_open`` are.
What remains is estimated from what was seen: knocks from their mean distance, talks from the mean time of their steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from ipaddress import IPv4Address

from attrs import define, field, frozen

from charging_manager.finding.plan import Door

MOST_PER_S = 50
EVERY_S = 1.0 / 48.0
"""A little slower than promised: what is measured on the wire has the jitter of two clocks."""

MOST_OPEN = 64
KNOCK_S = 0.9
"""So long a door has to answer: before the system repeats its knock, which would be one more connection."""

FIRST_STEP_S = 2.0
"""What a step of a talk is taken to last before one was seen."""


@frozen
class Progress:
    """``done`` of ``of`` steps; ``eta_s`` is None where nothing is known to estimate from."""

    done: int
    of: int
    eta_s: float | None


@define
class Talks:
    """What is being asked behind doors and on lines: steps done, and those that remain of each."""

    remaining: dict[object, int] = field(factory=dict)
    done: int = 0
    spent_s: float = 0.0

    def begin(self, who: object, steps: int) -> None:
        """Somebody answers, and so many steps lie before us."""
        self.remaining[who] = steps

    def step(self, who: object, took_s: float) -> None:
        """One step is over."""
        if self.remaining.get(who, 0) > 0:
            self.remaining[who] -= 1
            self.done += 1
            self.spent_s += took_s

    def end(self, who: object) -> None:
        """All is said; steps that were not needed count as done."""
        self.done += self.remaining.pop(who, 0)

    @property
    def step_s(self) -> float:
        """How long a step lasts."""
        return self.spent_s / self.done if self.done and self.spent_s else FIRST_STEP_S


@define
class Course:
    """A search on its way."""

    waiting: list[Door]
    """Doors that nobody has knocked at, the next one last."""
    every_s: float = EVERY_S
    most_open: int = MOST_OPEN
    turn_s: float = -math.inf
    """When the last turn was, or is to be."""
    open: set[Door] = field(factory=set)
    knocked: int = 0
    left_out: int = 0
    cancelled: bool = False
    talks: Talks = field(factory=Talks)
    _began_s: float | None = None
    _seen: set[Door] = field(factory=set)

    @classmethod
    def through(cls, doors: Iterable[Door]) -> Course:
        """The course through these doors, in this order."""
        return cls(list(doors)[::-1])

    def next(self, now_s: float) -> tuple[Door | None, float | None]:
        """The door to knock at now, or in how many seconds to ask again; (None, None): something must end first."""
        if self.cancelled or not self.waiting or len(self.open) >= self.most_open:
            return None, None
        wait_s = self.turn_s + self.every_s - now_s
        if wait_s > 0:
            return None, wait_s
        self._begin(now_s)
        self.turn_s = now_s
        door = self.waiting.pop()
        self.open.add(door)
        self._seen.add(door)
        self.knocked += 1
        return door, None

    def turn(self, now_s: float) -> float:
        """Take the next turn for a connection of another kind: in how many seconds it is."""
        self._begin(now_s)
        self.turn_s = max(now_s, self.turn_s + self.every_s)
        return self.turn_s - now_s

    def _begin(self, now_s: float) -> None:
        if self._began_s is None:
            self._began_s = now_s

    def closed(self, door: Door) -> None:
        """Nobody opened, or all is said behind it."""
        self.open.discard(door)
        self.talks.end(door)

    def absent(self, host: IPv4Address) -> None:
        """The network knows of no such host: its other doors are left out."""
        before = len(self.waiting)
        self.waiting = [door for door in self.waiting if door.host != host]
        self.left_out += before - len(self.waiting)

    def prefer(self, host: IPv4Address) -> None:
        """It announced itself: its doors come next."""
        self.waiting.sort(key=lambda door: door.host == host)

    def add(self, door: Door) -> None:
        """One more door, the next to be knocked at."""
        if door not in self._seen and door not in self.waiting:
            self.waiting.append(door)

    def cancel(self) -> None:
        """Knock no more."""
        self.cancelled = True

    @property
    def over(self) -> bool:
        """Nobody is waited for, and nobody will be."""
        return not self.open and not self.talks.remaining and (self.cancelled or not self.waiting)

    def progress(self, now_s: float) -> Progress:
        """How far it is."""
        knocking = sum(door not in self.talks.remaining for door in self.open)
        done = self.knocked - knocking + self.left_out + self.talks.done
        of = self.knocked + self.left_out + len(self.waiting) + self.talks.done + sum(self.talks.remaining.values())
        if self.over:
            return Progress(done, of, 0.0)
        return Progress(done, of, self._eta_s(now_s, knocking))

    def _eta_s(self, now_s: float, knocking: int) -> float:
        knocks_s = 0.0
        if self.waiting or knocking:
            spent_s = now_s - self._began_s if self._began_s is not None else 0.0
            each_s = max(self.every_s, spent_s / self.knocked if self.knocked else 0.0)
            knocks_s = len(self.waiting) * each_s + KNOCK_S
        return max(knocks_s, max(self.talks.remaining.values(), default=0) * self.talks.step_s)
