"""Connections in end-to-end mode: a label leads to a tunnel, and the bytes pass there and back as they come.

The cloud keeps labels in memory alone, for as long as their agents are connected. So a label that does not exist and
one whose installation is offline are the same to it, and to whoever asks. Labels stand in no log and no answer.
A name that is not the cloud's may lead to an agent as well (``domains``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from charging_manager.cloud.domains import Domains
from charging_manager.cloud.lanes import Lanes, WaitingLane
from charging_manager.errors import TunnelError
from charging_manager.http.crowd import Crowd
from charging_manager.http.guard import source_network
from charging_manager.tunnel import bounds
from charging_manager.tunnel.cloud_side import Link
from charging_manager.tunnel.labels import CLAIM_BYTES, label_in, label_of
from charging_manager.tunnel.link import RemoteSink, RemoteSource, RemoteStream
from charging_manager.tunnel.node_link import FarLink
from charging_manager.tunnel.pump import Pump, Pumps
from charging_manager.tunnel.reasons import Refusal, Violation

MOST_SPLICES = 4096
MOST_OF_ONE_SOURCE = 512
UNRECOGNIZED_NAME = b"\x15\x03\x01\x00\x02\x02\x70"
"""TLS: fatal alert 112 (RFC 6066). All that anybody gets who is not carried on."""


class Switchboard:
    """Labels and their tunnels. ``zone`` is what agents are told: the name under which labels stand, with a port if
    need be; empty: the one that they dialled. Without ``lanes`` and ``pumps`` all is carried in streams.

    At a limit the connection goes that has been quiet for longest, from the source that has most.
    """

    def __init__(
        self,
        zone: str = "",
        lanes: Lanes | None = None,
        pumps: Pumps | None = None,
        domains: Domains | None = None,
    ) -> None:
        self.zone = zone
        self.lanes, self.pumps, self.domains = lanes, pumps, domains
        self._links: dict[str, Link] = {}
        self._labels: dict[Link, str] = {}
        self._crowds: dict[Link | FarLink, Crowd] = {}
        self._changed: Callable[[str, str | None], object] = lambda cloud_id, label: None
        self._elsewhere: Callable[[str], FarLink | None] = lambda label: None
        self._all = Crowd(MOST_SPLICES, MOST_OF_ONE_SOURCE)

    def __len__(self) -> int:
        """How many connections are being carried."""
        return len(self._all)

    # -- agents

    def claim(self, link: Link, claim: bytes) -> str:
        """From now on this agent has the label that its claim proves. Raises: Refusal, Violation."""
        if not claim:
            self.release(link)
            return self.zone
        if len(claim) != CLAIM_BYTES:
            raise Violation("claim of another length")
        label = label_of(claim)
        holder = self._links.get(label)
        if holder is not None and holder.cloud_id.lower() != link.cloud_id.lower():
            raise Refusal("label-taken")
        for one in (link, holder):
            if one is not None:
                self.release(one)
        self._links[label], self._labels[link] = link, label
        self._crowds[link] = Crowd(bounds.SPLICES, bounds.SPLICES)
        self._changed(link.cloud_id, label)
        return self.zone

    def watch(self, changed: Callable[[str, str | None], object], elsewhere: Callable[[str], FarLink | None]) -> None:
        """``changed`` is told Cloud ID and label (None: none any more); ``elsewhere`` finds labels of other servers."""
        self._changed, self._elsewhere = changed, elsewhere

    def release(self, link: Link) -> None:
        """This agent has no label any more, and what is carried to it ends."""
        label = self._labels.pop(link, None)
        if self.domains is not None:
            self.domains.release(link)
        if label is not None:
            del self._links[label]
            self._changed(link.cloud_id, None)
            self._crowds.pop(link).empty()
        if self.lanes is not None:
            self.lanes.drop(link)

    def label_of(self, link: Link) -> str | None:
        """The label that this agent has."""
        return self._labels.get(link)

    # -- browsers

    def passed_on(self, name: str, source: str) -> Protocol | None:
        """What becomes of a connection that asks for this name; None: it is not in end-to-end mode."""
        label = label_in(name)
        if label is None:
            owner = None if self.domains is None else self.domains.holder(name)
            return None if owner is None else Spliced(self, owner, source)
        link = self._links.get(label) or self._elsewhere(label)
        return _Nobody() if link is None else Spliced(self, link, source)

    def enter(self, splice: Spliced) -> bool:
        if isinstance(splice.link, FarLink):
            self._crowds.setdefault(splice.link, Crowd(bounds.SPLICES, bounds.SPLICES))
        crowd = self._crowds.get(splice.link)
        source = source_network(splice.source)
        return crowd is not None and self._all.enter(splice, source) and crowd.enter(splice, source)

    def touch(self, splice: Spliced) -> None:
        """Something passed: others have been quiet for longer."""
        for crowd in (self._all, self._crowds.get(splice.link)):
            if crowd is not None:
                crowd.idle(splice)

    def leave(self, splice: Spliced) -> None:
        for crowd in (self._all, self._crowds.get(splice.link)):
            if crowd is not None:
                crowd.leave(splice)
        if isinstance(splice.link, FarLink) and not self._crowds.get(splice.link, ()):
            self._crowds.pop(splice.link, None)


class _Nobody(Protocol):
    """Answers that there is nobody of this name, and closes."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(UNRECOGNIZED_NAME)
        self.transport.loseConnection()


@implementer(IHalfCloseableProtocol, IPushProducer)
class Spliced(Protocol):
    """A browser's connection, carried on as it is.

    It is the tunnel's source (of the browser's bytes) and sink (of the agent's) at once, and, towards the browser's
    socket, the producer of the agent's bytes.
    """

    transport: Any
    log = Logger()

    def __init__(self, board: Switchboard, link: Link | FarLink, source: str) -> None:
        self._board = board
        self.link = link
        self.source = source
        self._first = b""
        self._lane: WaitingLane | None = None
        self._pump: Pump | None = None
        self._out: RemoteSink | None = None
        self._back: RemoteSource | None = None
        self._full = False
        self._over = False

    def connectionMade(self) -> None:
        if not self._board.enter(self):
            self._refuse()
            return
        if self._board.lanes is not None and self._board.pumps is not None:
            # An agent dials whichever server its name leads to: a lane to another server's is not for us to give.
            self._lane = None if isinstance(self.link, FarLink) else self._board.lanes.take(self.link)
        if self._lane is None:
            self._by_stream()

    # -- on a lane

    def _by_lane(self, lane: WaitingLane, data: bytes) -> None:
        """The browser's first bytes have come, and no more is read until the agent has them."""
        self.transport.pauseProducing()
        self._first = data
        if not lane.say(data):
            self._not_by_lane(None, lane)
            return
        assert not isinstance(self.link, FarLink)  # noqa: S101 - those have no lanes
        carrying = Deferred.fromCoroutine(self.link.carry(lane.number, self.source))
        carrying.addCallbacks(lambda _: self._pumped(lane), self._not_by_lane, errbackArgs=(lane,))

    def _pumped(self, lane: WaitingLane) -> None:
        pumps, far = self._board.pumps, lane.transport
        if self._over or far is None or pumps is None:
            lane.send_away()
            self._break()
            return
        self._lane, self._first = None, b""
        pump = self._pump = pumps.make(self._moved, self._pump_over)
        for transport, end in ((far, pump.far), (self.transport, pump.near)):
            transport.protocol = end
            end.makeConnection(transport)  # type: ignore[no-untyped-call]

    def _moved(self, there: int, back: int) -> None:
        assert not isinstance(self.link, FarLink)  # noqa: S101 - those have no lanes
        self.link.carried(there, back)
        self._board.touch(self)

    def _pump_over(self) -> None:
        if not self._over:
            self._end()

    def _not_by_lane(self, failure: Failure | None, lane: WaitingLane) -> None:
        """It is dead: a stream does as well, with the same first bytes."""
        if failure is not None:
            failure.trap(TunnelError)
        lane.send_away()
        if self._over:
            return
        self._lane, first, self._first = None, self._first, b""
        self._by_stream()
        if not self._over:
            self.transport.resumeProducing()
            self.dataReceived(first)

    # -- in a stream

    def _by_stream(self) -> None:
        carrying = Deferred.fromCoroutine(self.link.splice(self.source, RemoteStream(self._begin, "")))
        carrying.addCallbacks(self._carried, self._not_carried)

    def _begin(self, sink: RemoteSink) -> RemoteSource:
        self._out = sink
        return self

    def _carried(self, back: RemoteStream) -> None:
        if self._over:
            back.start(self).stopped()
            return
        self.transport.bufferSize = bounds.WINDOW_BYTES  # as much as its stream may bring: fewer wake-ups
        self.transport.registerProducer(self, True)
        self._back = back.start(self)

    def _not_carried(self, failure: Failure) -> None:
        failure.trap(TunnelError)
        if not self._over:
            self._refuse()

    def _refuse(self) -> None:
        self._end()
        self.transport.write(UNRECOGNIZED_NAME)
        self.transport.loseConnection()

    def send_away(self) -> None:
        """Its place is needed, or its agent has gone."""
        self._break()

    def _break(self) -> None:
        if self._pump is not None:
            self._pump.break_off()
        elif not self._over:
            self._end()
            self.transport.abortConnection()

    def _end(self) -> None:
        """Nothing is carried any more, either way."""
        self._over = True
        self._board.leave(self)
        if self._lane is not None:
            self._lane.send_away()
        out, self._out = self._out, None
        back, self._back = self._back, None
        fail: Callable[[], None] | None = getattr(out, "fail", None)
        if fail is not None:
            fail()
        if back is not None:
            back.stopped()

    # -- from the browser

    def dataReceived(self, data: bytes) -> None:
        if self._lane is not None:
            self._by_lane(self._lane, data)
            return
        if self._out is None:  # the agent reads no more: what still comes is swallowed until it has said all
            return
        self._board.touch(self)
        if not self._out.write(data):
            self.transport.pauseProducing()

    def readConnectionLost(self) -> None:
        out, self._out = self._out, None
        if out is not None:
            out.finish()
        elif self._over:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._over:
            self._end()

    # -- the tunnel's source

    def resumed(self) -> None:
        if not self._over:
            self.transport.resumeProducing()

    def stopped(self) -> None:
        self._out = None
        if not self._over:
            self.transport.resumeProducing()

    # -- the tunnel's sink

    def write(self, data: bytes) -> bool:
        if self._over:
            return False
        self._board.touch(self)
        self.transport.write(data)
        return not self._full

    def finish(self) -> None:
        """The agent has said all. TLS knows no half-closed connections worth keeping."""
        self._back = None
        if not self._over:
            self._end()
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def fail(self) -> None:
        self._back = None
        self._break()

    # -- the socket's producer

    def pauseProducing(self) -> None:
        self._full = True

    def resumeProducing(self) -> None:
        self._full = False
        if self._back is not None:
            self._back.resumed()

    def stopProducing(self) -> None:
        pass
