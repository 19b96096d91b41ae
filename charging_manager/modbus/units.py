"""What the bus remembers of each unit, and which request goes next. No I/O; the time is handed in.

A unit that does not answer is asked once more, behind its neighbours; then it is left alone for a while, and what is
wanted of it meanwhile fails at once. How long depends on whom that helps. Beside neighbours that live it is 2, 5, 15 s
and at last 50 times what asking it in vain costs: so it costs them one timeout and no more than a fiftieth of the bus's
time in the end. A unit that was quick while it lived is not waited for long, and so may be asked more often. A unit
with nobody beside it is asked every 2 s, for the sooner it is heard the better.

Ghosts: a serial answer that comes too late looks like one to the next question of the same function. So for as long as
a late answer is possible, a unit is asked nothing that it could be confused with; its neighbours go on.
"""

from __future__ import annotations

import math
from enum import IntEnum

from twisted.internet.defer import Deferred

from charging_manager.modbus.pdu import Request

SOON_S = 2.0
"""A silent unit is left alone for so long at least, and no longer where that helps nobody."""

BACK_OFF_S = (SOON_S, 5.0, 15.0)
"""The first waits beside neighbours; then the share decides."""

LIVES_S = 10.0
"""Who answered within that time is a neighbour that lives."""

PROBE_S = 0.3
"""A silent unit is given so long and twice its longest answering time, and never more than its timeout."""

FULL_EVERY = 6
"""Each so many-th time a silent unit is given all its time: it may have come back slower."""

LATE_EVERY_S = 60.0
"""An answer that comes late has its unit asked out of turn no more often than that."""

GARBLED_S = 5.0
"""A unit whose answers come damaged is there, and is left alone no longer than this."""

SMALLEST_SHARE = 50
"""A unit that stays silent costs at most one in so many seconds."""

SLOW_BECOMES_LIVE_S = 5.0
"""A slow read that waited so long goes with the live ones, so that a full bus still serves it."""


class Priority(IntEnum):
    """What goes first when a bus is busy."""

    SAFETY = 0
    SETPOINT = 1
    LIVE = 2
    SLOW = 3


class Job:
    """One request on its way through the queue. ``deferred`` is None once nobody waits for it any more."""

    __slots__ = (
        "attempts",
        "deferred",
        "gap_s",
        "number",
        "priority",
        "request",
        "sent_s",
        "since_s",
        "timeout_s",
        "unit",
    )

    def __init__(self, unit: Unit, request: Request, priority: Priority, timeout_s: float, gap_s: float) -> None:
        self.unit = unit
        self.request = request
        self.priority = priority
        self.timeout_s = timeout_s
        self.gap_s = gap_s
        self.deferred: Deferred[list[int]] | None = None
        self.since_s = 0.0
        self.sent_s = 0.0
        self.attempts = 0
        self.number = 0


class Unit:
    """One unit of a bus: how it has behaved so far."""

    __slots__ = (
        "_cleared_s",
        "_cost_s",
        "_extra_try",
        "_ghosts",
        "answer_s",
        "answered_s",
        "failures",
        "last_s",
        "number",
        "quiet_until_s",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.failures = 0
        """How often in a row it did not answer."""
        self.quiet_until_s = -math.inf
        self.last_s = -math.inf
        """When its last exchange ended."""
        self.answered_s = -math.inf
        self.answer_s: float | None = None
        """How long it took to answer at most, lately."""
        self._cleared_s = -math.inf
        self._extra_try = False
        self._cost_s = 0.0
        self._ghosts: list[tuple[Request, float]] = []

    def answered(self, now_s: float, took_s: float) -> None:
        """It lives."""
        self.last_s = self.answered_s = now_s
        slowest_s = self.answer_s
        self.answer_s = took_s if slowest_s is None or took_s > slowest_s else slowest_s + (took_s - slowest_s) / 64.0
        if self.failures:
            self.failures = 0
            self.quiet_until_s = self._cleared_s = -math.inf
            self._extra_try = False

    def lives(self, now_s: float) -> bool:
        """It answered not long ago."""
        return now_s - self.answered_s <= LIVES_S and self.failures < 2

    def patience_s(self, timeout_s: float) -> float:
        """How long to wait for its answer: less for one that is silent and was quick before."""
        if self.failures < 2 or self.answer_s is None or self._extra_try or self.failures % FULL_EVERY == 0:
            return timeout_s
        return min(timeout_s, PROBE_S + 2.0 * self.answer_s)

    def failed(self, now_s: float, cost_s: float, *, alone: bool, garbled: bool = False) -> None:
        """It did not answer, or not so that it could be read; from the second time on it is left alone for a while.

        ``cost_s`` is how long the bus waited in vain; ``alone``: nobody else could have used that time.
        """
        self.last_s = now_s
        self.failures += 1
        self._cost_s = cost_s if self.failures <= 3 else self._cost_s + (cost_s - self._cost_s) / FULL_EVERY
        if self.failures >= 2:
            wait_s = SOON_S
            if not alone:
                wait_s = max(SOON_S, SMALLEST_SHARE * self._cost_s)
                if self._extra_try:  # it was asked out of its turn, and in vain
                    wait_s *= 2
                if self.failures - 2 < len(BACK_OFF_S):
                    wait_s = min(wait_s, BACK_OFF_S[self.failures - 2])
            self._extra_try = False
            self.quiet_until_s = now_s + (min(wait_s, GARBLED_S) if garbled else wait_s)

    def heard_late(self, now_s: float) -> bool:
        """An answer came after we gave up: it may be asked again now.

        Not so more than once a minute, or once in 50 of its costs: a unit that is always too slow stays a cheap one.
        """
        wait_s = max(LATE_EVERY_S, SMALLEST_SHARE * self._cost_s)
        if now_s >= self.quiet_until_s or now_s - self._cleared_s < wait_s:
            return False
        self._cleared_s = now_s
        self._extra_try = True
        self.quiet_until_s = now_s
        return True

    def haunt(self, request: Request, until_s: float) -> None:
        """A late answer to this request is possible until then."""
        self._ghosts = [ghost for ghost in self._ghosts if ghost[0] != request] + [(request, until_s)]

    def sending(self, request: Request, now_s: float, timeout_s: float) -> None:
        """A request goes out; if it is the one that was not answered, two answers may come."""
        if self._ghosts:
            self._ghosts = [ghost for ghost in self._ghosts if ghost[1] > now_s]
            if any(ghost[0] == request for ghost in self._ghosts):
                self.haunt(request, now_s + timeout_s)

    def free_s(self, job: Job) -> float:
        """From when on this job may be sent."""
        free_s = self.last_s + job.gap_s
        for request, until_s in self._ghosts:
            if request.function == job.request.function and request != job.request:
                free_s = max(free_s, until_s)
        return free_s


class Queue:
    """The requests that wait for the bus."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self._last_failed: Unit | None = None

    def failed(self, unit: Unit) -> None:
        """The last exchange was with this unit and cost its whole timeout: now the others."""
        self._last_failed = unit

    def answered(self) -> None:
        """The last exchange was a good one."""
        self._last_failed = None

    def pick(self, now_s: float) -> tuple[Job | None, float]:
        """The job to send now, taken out of the queue; else when to ask again (inf: nothing waits).

        The most urgent class first; in it units that answer before units that do not, then the most overdue, where a
        unit's turn counts from its last exchange, so that one with many requests does not keep out its neighbours.
        """
        best: Job | None = None
        other: Job | None = None
        best_rank = other_rank = (9, 9, math.inf, 0)
        soonest_s = math.inf
        for job in self.jobs:
            unit = job.unit
            free_s = unit.free_s(job)
            if free_s > now_s:
                soonest_s = min(soonest_s, free_s)
                continue
            level = int(job.priority)
            if level == Priority.SLOW and now_s - job.since_s > SLOW_BECOMES_LIVE_S:
                level = int(Priority.LIVE)
            rank = (level, 1 if unit.failures else 0, max(job.since_s, unit.last_s), job.number)
            if rank < best_rank:
                best, best_rank = job, rank
            if unit is not self._last_failed and rank < other_rank:
                other, other_rank = job, rank
        if best is None:
            return None, soonest_s
        chosen = other if other is not None and best.unit is self._last_failed else best
        self.jobs.remove(chosen)
        return chosen, now_s
