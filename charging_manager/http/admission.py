"""How many logins of agents are in progress at once; the others wait a little, or are told when to come back.

Theory of operation. A login costs TLS, hashes and looks into the database. When thousands of agents come back at once,
their ClientHellos wait here, before any of that, and are let in as places become free: in turns by source, for no
longer at a time than everything else takes, so that browsers, which do not wait here, are answered in between. Whoever
does not fit into the waiting room, or waited for too long, is told to come back: each at a time of its own, as fast as
logins have been dealt with lately. Nothing of this knows a socket.

Many agents behind one address are legal (a fleet behind one router, an operator of mobile networks). So one source may
have half of the places while others wait, and where the room is full a guest of the source that has most makes room.
"""

from __future__ import annotations

import math
import random
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

MOST_AT_ONCE = 512
"""A login takes about a second, nearly all of it under way: fewer would leave the server idle."""
MOST_OF_ONE_SOURCE = 256
MOST_WAITING = 1024
WAIT_S = 5.0
"""An agent gives up after 15 s; so long it may wait for its turn."""
FIRST_RATE = 100.0
"""Logins per second, while nobody knows better: a machine with one slow core manages as many."""
SLOWEST_RATE, FASTEST_RATE = 50.0, 500.0
LONGEST_S = 60
"""It costs little to put somebody off twice, and much to be idle while thousands wait: so nobody is told more. Those
for whom there is no time within this come back at random in its second half."""
_SLICE_S = (0.002, 0.2)
"""As long as everything else has taken since the last turn, but within these: so letting in takes half of the time, and
a turn at most twice as long as without."""
_AT_LEAST = 8
"""In each turn: on a machine that has other things to do, a slice of time may pass without us."""
_MEASURED_AFTER = 20
_LOOK_S = 0.25
"""While no place is free, those who waited for too long are looked for so often."""


class Guest(Protocol):
    """A connection of which nothing but its first bytes has been dealt with."""

    def go(self, place: Place) -> None:
        """Its login begins now; ``place.leave`` ends it."""

    def put_off(self, told: bytes) -> None:
        """It is told to come back, and closed."""


class Place:
    """One login in progress."""

    def __init__(self, admission: Admission, source: str) -> None:
        self._admission: Admission | None = admission
        self._source = source

    def leave(self, *, finished: bool = False) -> None:
        """It is over; ``finished``: the agent is in, or was refused. Leaving twice is nothing."""
        admission, self._admission = self._admission, None
        if admission is not None:
            admission.left(self._source, finished=finished)


class Admission:
    """``say`` makes the bytes that tell a guest after how many seconds to come back."""

    def __init__(self, clock: IReactorTime, say: Callable[[int], bytes], chance: random.Random | None = None) -> None:
        self._clock, self._say = clock, say
        self._chance = chance or random.SystemRandom()
        self._waiting: OrderedDict[str, OrderedDict[Guest, float]] = OrderedDict()
        self._inside: Counter[str] = Counter()
        self._turn_call: IDelayedCall | None = None
        self._turned_s = clock.seconds()
        self._busy_since_s: float | None = None
        self._finished = 0
        self._rate = FIRST_RATE
        self._next_free_s = 0.0
        self.waiting = 0
        self.in_progress = 0
        self.put_off_total = 0

    def come(self, guest: Guest, source: str) -> None:
        """It is let in, now or in a few seconds, or told when to come back."""
        if self.waiting >= MOST_WAITING:
            fattest = max(self._waiting, key=lambda one: len(self._waiting[one]))
            if len(self._waiting.get(source, ())) + 1 >= len(self._waiting[fattest]):
                self._put_off(guest)
                return
            self._put_off(self._take(fattest, last=True))
        self._waiting.setdefault(source, OrderedDict())[guest] = self._clock.seconds()
        self.waiting += 1
        self._turn_within(0.0)

    def gone(self, guest: Guest, source: str) -> None:
        """It does not wait any longer."""
        if guest in self._waiting.get(source, ()):
            del self._waiting[source][guest]
            self._one_less(source)

    def left(self, source: str, *, finished: bool) -> None:
        """Told by a ``Place``."""
        self.in_progress -= 1
        self._inside[source] -= 1
        if not self._inside[source]:
            del self._inside[source]
        self._finished += finished
        if self._waiting:
            self._turn_within(0.0)

    # -- turns

    def _turn_within(self, seconds: float) -> None:
        call = self._turn_call
        if call is None or not call.active():
            self._turn_call = self._clock.callLater(seconds, self._turn)
        elif call.getTime() > self._clock.seconds() + seconds:
            call.reset(seconds)

    def _turn(self) -> None:
        begun_s = self._clock.seconds()
        least_s, most_s = _SLICE_S
        until_s = begun_s + min(most_s, max(least_s, begun_s - self._turned_s))
        self._measure(begun_s)
        self._put_off_the_late(begun_s)
        full, came = False, 0
        while self._waiting and not full and (came < _AT_LEAST or self._clock.seconds() <= until_s):
            source = self._next_source()
            if source is None:
                full = True
            else:
                self._let_in(self._take(source, last=False), source)
                came += 1
        self._turned_s = self._clock.seconds()
        if self._waiting:
            self._turn_within(_LOOK_S if full else 0.0)
        else:
            self._busy_since_s = None

    def _next_source(self) -> str | None:
        """The one whose turn it is; it goes to the end of the line. None: no place is free."""
        if self.in_progress >= MOST_AT_ONCE:
            return None
        source = next((one for one in self._waiting if self._inside[one] < MOST_OF_ONE_SOURCE), None)
        if source is not None:
            self._waiting.move_to_end(source)
        return source

    def _let_in(self, guest: Guest, source: str) -> None:
        self._inside[source] += 1
        self.in_progress += 1
        guest.go(Place(self, source))

    def _take(self, source: str, *, last: bool) -> Guest:
        guest, _ = self._waiting[source].popitem(last=last)
        self._one_less(source)
        return guest

    def _one_less(self, source: str) -> None:
        self.waiting -= 1
        if not self._waiting[source]:
            del self._waiting[source]

    # -- those who are told to come back

    def _put_off_the_late(self, now_s: float) -> None:
        for source in list(self._waiting):
            while source in self._waiting and now_s - next(iter(self._waiting[source].values())) > WAIT_S:
                self._put_off(self._take(source, last=False))

    def _put_off(self, guest: Guest) -> None:
        """Each gets a time of its own: they come back as fast as they can be dealt with, and not faster."""
        now_s = self._clock.seconds()
        free_s = max(self._next_free_s, now_s + self.waiting / self._rate) + 1 / self._rate
        if free_s > now_s + LONGEST_S:
            wait_s = self._chance.uniform(LONGEST_S / 2, LONGEST_S)
        else:
            self._next_free_s, wait_s = free_s, free_s - now_s
        self.put_off_total += 1
        guest.put_off(self._say(max(2, math.ceil(wait_s))))

    def _measure(self, now_s: float) -> None:
        """While some wait, count how many are dealt with in a second."""
        took_s = now_s - self._busy_since_s if self._busy_since_s is not None else 0.0
        enough = self._finished >= _MEASURED_AFTER or took_s >= WAIT_S
        if took_s >= 1.0 and enough:
            self._rate = min(max(self._finished / took_s, SLOWEST_RATE), FASTEST_RATE)
        if self._busy_since_s is None or (took_s >= 1.0 and enough):
            self._busy_since_s, self._finished = now_s, 0
