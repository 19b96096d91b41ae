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


@frozen
class Claim:
    """What one car needs at least and can use at most, on which lines."""

    lines: tuple[int, ...]
    min_a: float
    cap_a: float


def level(room_a: Sequence[float], claims: Sequence[Claim]) -> tuple[list[float], list[int]]:
    """Each claim's fair share, and the line that bounds it or ``AT_CAP``.

    The minimums of all claims must fit together; see ``turns``. Shares are exact, not rounded.
    """
    shares = [claim.min_a for claim in claims]
    bound = [AT_CAP] * len(claims)
    taken: dict[int, float] = {}  # by line: minimums of those not yet rising, and shares of those that stopped
    members: dict[int, list[int]] = {}
    for index, claim in enumerate(claims):
        for line in claim.lines:
            if line in taken:
                taken[line] += claim.min_a
                members[line].append(index)
            else:
                taken[line] = claim.min_a
                members[line] = [index]
    rising = dict.fromkeys(taken, 0)
    moving = [False] * len(claims)
    done = [False] * len(claims)
    starts = sorted(range(len(claims)), key=lambda i: claims[i].min_a, reverse=True)
    caps = sorted(range(len(claims)), key=lambda i: claims[i].cap_a, reverse=True)
    full: list[tuple[float, int]] = []  # (level at which this line is full, or an earlier one that was true once; line)
    at = 0.0
    left = len(claims)

    def stop(index: int, amps: float, line: int) -> None:
        moving[index], done[index] = False, True
        shares[index], bound[index] = amps, line
        for each in claims[index].lines:
            rising[each] -= 1
            taken[each] += amps

    while left:
        while done[caps[-1]]:
            caps.pop()
        while full and not rising[full[0][1]]:
            heapq.heappop(full)
        start_at = claims[starts[-1]].min_a if starts else math.inf
        cap_at = claims[caps[-1]].cap_a
        line_at = full[0][0] if full else math.inf
        if start_at <= cap_at and start_at <= line_at:
            at = start_at
            while starts and claims[starts[-1]].min_a <= at:
                index = starts.pop()
                moving[index] = True
                for line in claims[index].lines:
                    rising[line] += 1
                    taken[line] -= claims[index].min_a
            full = [((room_a[line] - taken[line]) / riders, line) for line, riders in rising.items() if riders]
            heapq.heapify(full)
        elif cap_at <= line_at:
            at = max(at, cap_at)
            stop(caps.pop(), cap_at, AT_CAP)
            left -= 1
        else:
            _, line = heapq.heappop(full)
            really = (room_a[line] - taken[line]) / rising[line]
            if really > line_at + 1e-9:
                heapq.heappush(full, (really, line))
                continue
            at = max(at, really)
            for index in members[line]:
                if moving[index]:
                    stop(index, at, line)
                    left -= 1
    return shares, bound
