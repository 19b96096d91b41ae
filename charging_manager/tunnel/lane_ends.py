"""The agent's ends of lanes (``lanes``): dialled when the cloud asks, and handed on when it tells of a browser."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IAddress, IConsumer, IReactorTime, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from charging_manager.tunnel import bounds
from charging_manager.tunnel.lanes import Ticket
from charging_manager.tunnel.pump import keep_open, prepare
from charging_manager.tunnel.reasons import Refusal

Dial = Callable[[Protocol], Deferred[Any]]


@implementer(ITransport, IConsumer)
class Named:
    """A connection that comes from a browser, and not from the cloud that it leads to."""

    def __init__(self, transport: Any, peer: IAddress) -> None:
        self._transport, self._peer = transport, peer
        self.write, self.writeSequence = transport.write, transport.writeSequence

    def getPeer(self) -> IAddress:
        return self._peer

    def getHost(self) -> IAddress:
        return IPv4Address("TCP", "cloud", 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Lane(Protocol):
    """Says its ticket, waits for a browser's bytes, and then is whatever it ``become``s."""

    transport: Any = None

    def __init__(self, ticket: Ticket, gone: Callable[[Lane], None]) -> None:
        self.ticket = ticket
        self._gone = gone
        self._first = b""
        self._came: Deferred[None] | None = None
        self._lost = False

    def connectionMade(self) -> None:
        if self._lost:
            self.transport.abortConnection()
            return
        prepare(self.transport.getHandle())
        keep_open(self.transport)
        self.transport.write(self.ticket.hello())

    def dataReceived(self, data: bytes) -> None:
        self._first += data
        self.transport.pauseProducing()
        if self._came is not None and not self._came.called:
            self._came.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.transport = None
        self._lost = True
        self._gone(self)
        if self._came is not None and not self._came.called:
            self._came.errback(Failure(Refusal("lost")))

    def give_up(self) -> None:
        """It is not needed any more, or does not work."""
        self._lost = True
        if self.transport is not None:
            self.transport.abortConnection()

    async def first_bytes(self, clock: IReactorTime) -> None:
        """Wait for a browser's. Raises: Refusal."""
        if self.transport is None or self._came is not None:
            raise Refusal("lost")
        if not self._first:
            came: Deferred[None] = Deferred()
            self._came = came
            await came.addTimeout(bounds.LANE_BYTES_WITHIN_S, clock, _nothing_came)
        if self.transport is None:
            raise Refusal("lost")

    def become(self, protocol: Any, peer: IAddress | None = None) -> None:
        """From now on the connection is this protocol's, and comes from that peer."""
        transport = self.transport
        transport.protocol = protocol
        protocol.makeConnection(transport if peer is None else Named(transport, peer))
        transport.resumeProducing()
        first, self._first = self._first, b""
        protocol.dataReceived(first)


def _nothing_came(*_: Any) -> None:
    raise Refusal("timeout")


class LaneEnds:
    """All lanes of one tunnel; with its end they all end."""

    log = Logger()

    def __init__(self, clock: IReactorTime, dial: Dial) -> None:
        self._clock, self._dial = clock, dial
        self._waiting: dict[bytes, Lane] = {}
        self._used: list[Any] = []

    def dial(self, tickets: list[Ticket]) -> None:
        """One connection for each. Raises: Refusal when so many are not meant to wait."""
        if len(self._waiting) + len(tickets) > bounds.LANES:
            raise Refusal("busy")
        for ticket in tickets:
            lane = Lane(ticket, self._forget)
            self._waiting[ticket.number] = lane
            self._dial(lane).addErrback(self._not_dialled, lane)

    def _not_dialled(self, failure: Failure, lane: Lane) -> None:
        failure.trap(ConnectError)  # the cloud notices by itself, and goes on with streams
        self._forget(lane)

    def _forget(self, lane: Lane) -> None:
        if self._waiting.get(lane.ticket.number) is lane:
            del self._waiting[lane.ticket.number]

    async def take(self, number: bytes) -> Lane:
        """The lane of this ticket, once a browser's first bytes are there. Raises: Refusal."""
        lane = self._waiting.pop(number, None)
        if lane is None:
            raise Refusal("lost")
        if lane.transport is None:  # it is being dialled still: no honest cloud knows it
            lane.give_up()
            raise Refusal("lost")
        self._used = [transport for transport in self._used if transport.connected]
        try:
            if len(self._used) >= bounds.SPLICES:
                raise Refusal("busy")
            self._used.append(lane.transport)
            await lane.first_bytes(self._clock)
        except Refusal:
            lane.give_up()
            raise
        return lane

    def end(self) -> None:
        """The tunnel is no more, or end-to-end mode was switched off."""
        waiting, self._waiting = self._waiting, {}
        used, self._used = self._used, []
        for lane in waiting.values():
            lane.give_up()
        for transport in used:
            with suppress(AttributeError):  # closed a moment ago
                transport.abortConnection()
