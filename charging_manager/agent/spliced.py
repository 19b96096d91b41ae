"""A browser's connection that came through the tunnel still encrypted, as Twisted's TLS wants a transport to be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import frozen
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IReactorTime, ITransport
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from charging_manager.http.guard import source_network
from charging_manager.tunnel.link import RemoteSink, RemoteSource, RemoteStream


def peer_named(source: str) -> IPv4Address:
    """The browser, as the cloud calls it. That may be invented: so it is no address, least of all one of this machine,
    but a throttle's key and a word in a log."""
    return IPv4Address("TCP", f"cloud {source_network(source)}", 0)


@implementer(ITransport, IConsumer)
class SplicedTransport:
    """What ``there`` brings is read by a protocol of ``factory``; what that writes goes into ``stream()``."""

    log = Logger()

    def __init__(self, factory: Factory, source: str, there: RemoteStream, clock: IReactorTime) -> None:
        self._factory, self._peer, self._there, self._clock = factory, peer_named(source), there, clock
        self._out: RemoteSink | None = None
        self._reading: RemoteSource | None = None
        self._protocol: Any = None
        self._producer: Any = None
        self._streaming = True
        self._full = False
        self.reads = True
        """False: the protocol wants nothing now."""
        self.disconnecting = False

    def stream(self) -> RemoteStream:
        """The way back to the browser."""
        return RemoteStream(self._begin, "")

    def _begin(self, out: RemoteSink) -> RemoteSource:
        self._out = out
        self._protocol = self._factory.buildProtocol(self._peer)
        self._protocol.makeConnection(self)
        reading = self._there.start(_FromBrowser(self))
        if self._protocol is None:  # over already
            reading.stopped()
        else:
            self._reading = reading
        return _ToBrowser(self)

    def lost(self, reason: type[Exception]) -> None:
        """The connection is over, whoever ended it."""
        protocol, self._protocol = self._protocol, None
        reading, self._reading = self._reading, None
        self._producer = None
        if reading is not None:
            reading.stopped()
        if protocol is not None:
            with self.log.failuresHandled("a connection in end-to-end mode did not end in order"):
                protocol.connectionLost(Failure(reason()))
        self.disconnecting = True

    def read(self, data: bytes) -> bool:
        """Bytes of the browser; False: no more for now."""
        if self._protocol is None:
            return False
        try:
            self._protocol.dataReceived(data)
        except Exception:
            self.log.failure("a connection in end-to-end mode failed")
            self.abortConnection()
        return self.reads

    def ended(self) -> None:
        """The browser has said all, which ends a connection of TLS."""
        out = self._out
        self.lost(ConnectionDone)
        if out is not None:
            out.finish()

    def room(self) -> None:
        """The way back takes more."""
        self._full = False
        if self._producer is not None:
            self._producer.resumeProducing()

    # -- ITransport, IConsumer

    def write(self, data: bytes) -> None:
        if self._out is None or self.disconnecting or self._out.write(data) or self._full:
            return
        self._full = True
        if self._producer is not None and self._streaming:
            self._producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        if not self.disconnecting and self._out is not None:
            self.disconnecting = True
            self._out.finish()
            self._clock.callLater(0, self.lost, ConnectionDone)

    def abortConnection(self) -> None:
        out, self._out = self._out, None
        if out is not None and self._protocol is not None:
            self.disconnecting = True
            getattr(out, "fail", out.finish)()
            self._clock.callLater(0, self.lost, ConnectionAborted)

    def getPeer(self) -> IPv4Address:
        return self._peer

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "cloud", 0)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer, self._streaming = producer, streaming
        if self._protocol is None and self.disconnecting:
            producer.stopProducing()
        elif not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self._producer = None

    def pauseProducing(self) -> None:
        self.reads = False

    def resumeProducing(self) -> None:
        self.reads = True
        if self._reading is not None:
            self._reading.resumed()

    def stopProducing(self) -> None:
        self.loseConnection()

    def setTcpNoDelay(self, enabled: bool) -> None:
        """The tunnel's own connection sees to that."""


@frozen
class _FromBrowser:
    """Sink of the browser's bytes."""

    transport: SplicedTransport

    def write(self, data: bytes) -> bool:
        return self.transport.read(data)

    def finish(self) -> None:
        self.transport.ended()

    def fail(self) -> None:
        self.transport.abortConnection()


@frozen
class _ToBrowser:
    """Source of what the browser gets."""

    transport: SplicedTransport

    def resumed(self) -> None:
        self.transport.room()

    def stopped(self) -> None:
        self.transport.lost(ConnectionLost)
