"""Fair shares: max-min on a tree of lines, by raising everybody's level together until a line is full.

Who shares a full line stops rising, all others go on; so nobody can get more without taking from someone who has no
more than they. Source: D. Bertsekas, R. Gallager, Data Networks, 2nd edition, 6.5.2 (max-min flow control).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

from attrs import frozen

AT_CAP = -1
"""In place of a line: nothing but its own cap bounds it."""
TINY = 1e-9


@frozen
class Claim:
    """What one car needs at least and can use at most, on which lines.

    On ``heavy`` lines, power limits, it weighs ``weight`` times its current.
    """

    lines: tuple[int, ...]
    min_a: float
    cap_a: float
    heavy: tuple[int, ...] = ()
    weight: float = 1.0


def level(room_a: Sequence[float], claims: Sequence[Claim]) -> tuple[list[float], list[int]]:
    """Each claim's fair share, and the line that bounds it or ``AT_CAP``.

    The minimums of all claims must fit together; see ``turns``. Shares are exact, not rounded. Claims that are alike
    get alike: they rise as one.
    """
    alike: dict[tuple[object, ...], int] = {}
    herds: list[Herd] = []
    of: list[int] = []
    for claim in claims:
        key = (claim.lines, claim.heavy, claim.min_a, claim.cap_a, claim.weight)
        at = alike.get(key)
        if at is None:
            at = alike[key] = len(herds)
            herds.append(Herd(claim))
        else:
            herds[at].count += 1
        of.append(at)
    wanted = [0.0] * len(room_a)
    for herd in herds:
        claim = herd.claim
        amps = claim.cap_a * herd.count
        for line in claim.lines:
            wanted[line] += amps
        for line in claim.heavy:
            wanted[line] += amps * claim.weight
    tight = {line for line, amps in enumerate(wanted) if amps > room_a[line]}
    if tight:
        _rise(room_a, herds, tight)
    return [herds[at].share_a for at in of], [herds[at].bound for at in of]


class Herd:
    """Claims that are alike, and how far they have come."""

    __slots__ = ("bound", "claim", "count", "moving", "rides", "share_a")

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.count = 1
        self.share_a, self.bound = claim.cap_a, AT_CAP
        self.rides: list[tuple[Tight, float]] = []
        self.moving: bool | None = None
        """None: not yet; False: no longer."""


class Tight:
    """A line that cannot give everybody all they could use."""

    __slots__ = ("line", "members", "rising", "room_a", "taken")

    def __init__(self, line: int, room_a: float) -> None:
        self.line, self.room_a = line, room_a
        self.taken = 0.0
        """Minimums of those that do not rise yet, and shares of those that have stopped."""
        self.rising = 0.0
        self.members: list[Herd] = []

    def full_at(self) -> float:
        """The level at which it is full."""
        return (self.room_a - self.taken) / self.rising


def _rise(room_a: Sequence[float], herds: Sequence[Herd], tight: set[int]) -> None:
    """Raise the level until everybody has stopped: at their cap, or with a line that is full."""
    lines = {line: Tight(line, room_a[line]) for line in tight}
    riders = []
    for herd in herds:
        claim, count = herd.claim, herd.count
        rides = [(lines[line], count * 1.0) for line in claim.lines if line in tight]
        if claim.heavy:
            rides += [(lines[line], count * claim.weight) for line in claim.heavy if line in tight]
        if rides:
            herd.rides = rides
            riders.append(herd)
            least = claim.min_a
            for line, weight in rides:
                line.taken += least * weight
                line.members.append(herd)
    starts = sorted(riders, key=lambda herd: herd.claim.min_a, reverse=True)
    caps = sorted(riders, key=lambda herd: herd.claim.cap_a, reverse=True)
    full: list[tuple[float, int]] = []  # (level at which a line is full, or an earlier one that was true once; line)
    at = 0.0
    left = len(riders)
    while left:
        while caps[-1].moving is False:
            caps.pop()
        while full and lines[full[0][1]].rising < TINY:
            heapq.heappop(full)
        start_at = starts[-1].claim.min_a if starts else math.inf
        cap_at = caps[-1].claim.cap_a
        line_at = full[0][0] if full else math.inf
        if start_at <= cap_at and start_at <= line_at:
            at = start_at
            while starts and starts[-1].claim.min_a <= at:
                herd = starts.pop()
                herd.moving = True
                for line, weight in herd.rides:
                    line.rising += weight
                    line.taken -= herd.claim.min_a * weight
            full = [(line.full_at(), line.line) for line in lines.values() if line.rising > TINY]
            heapq.heapify(full)
        elif cap_at <= line_at:
            at = max(at, cap_at)
            _stop(caps.pop(), cap_at, AT_CAP)
            left -= 1
        else:
            _, number = heapq.heappop(full)
            line = lines[number]
            really = line.full_at()
            if really > line_at + TINY:
                heapq.heappush(full, (really, number))
                continue
            at = max(at, really)
            for herd in line.members:
                if herd.moving:
                    _stop(herd, at, number)
                    left -= 1


def _stop(herd: Herd, amps: float, line: int) -> None:
    herd.moving = False
    herd.share_a, herd.bound = amps, line
    for each, weight in herd.rides:
        each.rising -= weight
        each.taken += amps * weight
