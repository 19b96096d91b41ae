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

    The minimums of all claims must fit together; see ``turns``. Shares are exact, not rounded.
    """
    shares = [claim.cap_a for claim in claims]
    bound = [AT_CAP] * len(claims)
    wanted = [0.0] * len(room_a)
    for claim in claims:
        cap = claim.cap_a
        for line in claim.lines:
            wanted[line] += cap
        for line in claim.heavy:
            wanted[line] += cap * claim.weight
    tight = {line for line, amps in enumerate(wanted) if amps > room_a[line]}
    if tight:
        _Rise(room_a, claims, tight, shares, bound).run()
    return shares, bound


class _Rise:
    """The level as it rises, for the lines that cannot give everybody all they could use; the others bound nobody."""

    def __init__(
        self, room_a: Sequence[float], claims: Sequence[Claim], tight: set[int], shares: list[float], bound: list[int]
    ) -> None:
        self.room_a, self.claims, self.shares, self.bound = room_a, claims, shares, bound
        self.taken = dict.fromkeys(tight, 0.0)  # minimums of those not yet rising, and shares of those that stopped
        self.rising = dict.fromkeys(tight, 0.0)
        self.members: dict[int, list[int]] = {line: [] for line in tight}
        self.rides: dict[int, list[tuple[int, float]]] = {}
        for index, claim in enumerate(claims):
            rides = [(line, 1.0) for line in claim.lines if line in tight]
            rides += [(line, claim.weight) for line in claim.heavy if line in tight]
            if rides:
                self.rides[index] = rides
                for line, weight in rides:
                    self.taken[line] += claim.min_a * weight
                    self.members[line].append(index)

    def run(self) -> None:
        """Until everybody has stopped: at their cap, or with a line that is full."""
        claims, rising = self.claims, self.rising
        starts = sorted(self.rides, key=lambda index: claims[index].min_a, reverse=True)
        caps = sorted(self.rides, key=lambda index: claims[index].cap_a, reverse=True)
        moving: set[int] = set()
        done: set[int] = set()
        full: list[
            tuple[float, int]
        ] = []  # (level at which a line is full, or an earlier one that was true once; line)
        at = 0.0

        def stop(index: int, amps: float, line: int) -> None:
            moving.discard(index)
            done.add(index)
            self.shares[index], self.bound[index] = amps, line
            for each, weight in self.rides[index]:
                rising[each] -= weight
                self.taken[each] += amps * weight

        while len(done) < len(self.rides):
            while caps[-1] in done:
                caps.pop()
            while full and rising[full[0][1]] < TINY:
                heapq.heappop(full)
            start_at = claims[starts[-1]].min_a if starts else math.inf
            cap_at = claims[caps[-1]].cap_a
            line_at = full[0][0] if full else math.inf
            if start_at <= cap_at and start_at <= line_at:
                at = start_at
                while starts and claims[starts[-1]].min_a <= at:
                    index = starts.pop()
                    moving.add(index)
                    for line, weight in self.rides[index]:
                        rising[line] += weight
                        self.taken[line] -= claims[index].min_a * weight
                full = [(self._full_at(line), line) for line, riders in rising.items() if riders > TINY]
                heapq.heapify(full)
            elif cap_at <= line_at:
                at = max(at, cap_at)
                stop(caps.pop(), cap_at, AT_CAP)
            else:
                _, line = heapq.heappop(full)
                really = self._full_at(line)
                if really > line_at + 1e-9:
                    heapq.heappush(full, (really, line))
                    continue
                at = max(at, really)
                for index in self.members[line]:
                    if index in moving:
                        stop(index, at, line)

    def _full_at(self, line: int) -> float:
        return (self.room_a[line] - self.taken[line]) / self.rising[line]
