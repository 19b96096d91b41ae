"""Connections that agents dial for browsers' bytes (``tunnel.lanes``): asked for in time, kept waiting, given out.

Theory of operation. As long as browsers come, an agent keeps a few lanes ready, so that one is there before its browser
is: a first page then costs no round trip more than in a stream. Where nobody has come for a while there are none: ten
thousand agents at rest are ten thousand connections and no more, and the first browser is carried in a stream. More are
kept where there were too few. Lanes that were asked for and never came stand for a firewall: we ask ever more seldom.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from charging_manager.errors import TunnelError
from charging_manager.http.crowd import Crowd
from charging_manager.tunnel import bounds
from charging_manager.tunnel.cloud_side import Link
from charging_manager.tunnel.lanes import Ticket, number_in
from charging_manager.tunnel.pump import keep_open, prepare

READY = 2
KEPT_S = 120.0
"""After the last browser that came."""
MOST_WAITING = 1024
HOLD_OFF_S, HOLD_OFF_MOST_S = 60.0, 3600.0


class WaitingLane(Protocol):
    """A lane that carries nothing yet. Whoever has taken it, makes its transport another protocol's."""

    transport: Any = None

    def __init__(self, pool: _Pool, number: bytes) -> None:
        self._pool = pool
        self.number = number

    def connectionMade(self) -> None:
        prepare(self.transport.getHandle())
        keep_open(self.transport)
        self._pool.came(self)

    def dataReceived(self, data: bytes) -> None:
        if data:  # the agent speaks after the browser only
            self.send_away()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.transport = None
        self._pool.lost(self)

    def send_away(self) -> None:
        if self.transport is not None:
            self.transport.abortConnection()

    def say(self, data: bytes) -> bool:
        """A browser's first bytes, before the lane is pumped. False: it does not take them all at once."""
        if self.transport is None:
            return False
        try:
            return bool(self.transport.getHandle().send(data) == len(data))
        except OSError:
            return False


class Lanes:
    """Of all agents. At the limit the one that has waited longest goes, of the agent that has most."""

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self.tickets: dict[bytes, tuple[Ticket, _Pool]] = {}
        self.crowd = Crowd(MOST_WAITING, bounds.LANES)
        self._pools: dict[Link, _Pool] = {}

    def __len__(self) -> int:
        """How many wait."""
        return len(self.crowd)

    def take(self, link: Link) -> WaitingLane | None:
        """One for a browser that came just now; None: there is none, a stream has to do."""
        if not link.can_use_lanes:
            return None
        pool = self._pools.get(link)
        if pool is None:
            pool = self._pools[link] = _Pool(self, link)
        return pool.take()

    def drop(self, link: Link) -> None:
        """This agent gets no browsers any more."""
        pool = self._pools.pop(link, None)
        if pool is not None:
            pool.end()

    def admit(self, hello: bytes) -> Protocol | None:
        """What becomes of a connection with these first bytes; None: it is no lane of anybody's."""
        number = number_in(hello)
        ticket, pool = self.tickets.get(number or b"", (None, None))
        if number is None or ticket is None or pool is None or not ticket.is_held_by(hello):
            return None
        del self.tickets[number]
        return WaitingLane(pool, number)


class _Pool:
    """The lanes of one agent."""

    log = Logger()

    def __init__(self, lanes: Lanes, link: Link) -> None:
        self._lanes, self._link = lanes, link
        self._waiting: list[WaitingLane] = []
        self._expected: set[bytes] = set()
        self._ready = READY
        self._used_s = 0.0
        self._failures = 0
        self._not_before_s = 0.0
        self._timers: list[IDelayedCall] = []
        self._over = False

    def take(self) -> WaitingLane | None:
        self._used_s = self._lanes.clock.seconds()
        if not self._waiting:
            self._ready = min(bounds.LANES, self._ready * 2 if self._expected else READY)
            self._ask()
            return None
        lane = self._waiting.pop()
        lane.transport.pauseProducing()  # the agent's answer is the pump's to read
        self._lanes.crowd.leave(lane)
        self._ask()
        return lane

    def _ask(self) -> None:
        """For as many as are missing."""
        clock = self._lanes.clock
        missing = self._ready - len(self._waiting) - len(self._expected)
        if missing <= 0 or clock.seconds() < self._not_before_s:
            return
        tickets = [Ticket.new() for _ in range(missing)]
        for ticket in tickets:
            self._lanes.tickets[ticket.number] = ticket, self
            self._expected.add(ticket.number)
        self._after(bounds.LANE_WITHIN_S, self._too_late, [ticket.number for ticket in tickets])
        dialling = Deferred.fromCoroutine(self._link.dial(tickets))
        dialling.addErrback(lambda failure: failure.trap(TunnelError))  # the tickets run out

    def _too_late(self, numbers: list[bytes]) -> None:
        late = [number for number in numbers if number in self._expected]
        for number in late:
            self._forget(number)
        if len(late) < len(numbers):  # some came: it is no firewall, but a busy line, or another server's port
            return
        hold_off_s = min(HOLD_OFF_MOST_S, HOLD_OFF_S * 2.0**self._failures)
        if not self._failures:
            self.log.info("{name} does not get through with connections of its own: streams do", name=self._link.name())
        self._failures = min(self._failures + 1, 16)
        self._not_before_s = self._lanes.clock.seconds() + hold_off_s

    def _forget(self, number: bytes) -> None:
        self._expected.discard(number)
        self._lanes.tickets.pop(number, None)

    def came(self, lane: WaitingLane) -> None:
        self._expected.discard(lane.number)
        self._failures = 0
        if self._over or not self._lanes.crowd.enter(lane, self._link.cloud_id):
            lane.send_away()
            return
        if not self._waiting:
            self._after(KEPT_S, self._cool_down)
        self._waiting.append(lane)

    def lost(self, lane: WaitingLane) -> None:
        self._lanes.crowd.leave(lane)
        if lane in self._waiting:
            self._waiting.remove(lane)

    def _cool_down(self) -> None:
        """Nobody has come for long: keep none."""
        left_s = self._used_s + KEPT_S - self._lanes.clock.seconds()
        if left_s > 0:
            if self._waiting:
                self._after(left_s, self._cool_down)
            return
        self._ready = READY
        for lane in list(self._waiting):
            lane.send_away()

    def _after(self, seconds: float, what: Any, *with_what: Any) -> None:
        self._timers = [timer for timer in self._timers if timer.active()]
        self._timers.append(self._lanes.clock.callLater(seconds, what, *with_what))

    def end(self) -> None:
        self._over = True
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        for number in list(self._expected):
            self._forget(number)
        for lane in list(self._waiting):
            lane.send_away()
