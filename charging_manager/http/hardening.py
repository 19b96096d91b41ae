"""The layer between the socket and twisted.web, whose defaults accept headers dripped for ever, folded lines and more.

A head is collected and judged here (heads.py), and so are chunks (chunks.py); twisted.web gets to see only their
framing, written anew: there are no two parsers of one request. Every phase has an absolute deadline: the head, the
body, and the wait for the next request.
"""

# twisted.web.http is not typed.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from io import BytesIO
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http

from charging_manager.http.chunks import Chunks
from charging_manager.http.crowd import Crowd
from charging_manager.http.facts import Peer
from charging_manager.http.guard import source_network
from charging_manager.http.heads import Head, Refused, find_head, read_head

HEAD_S = 10.0
IDLE_S = 60.0
BODY_S = 20.0
SLOWEST_BODY_BYTES_S = 16_384
LINGER_S = 2.0
LINGER_BYTES = 262_144
_MOST_PIPELINED = 65_536


class Policy(Protocol):
    """What the site decides about a channel's requests."""

    clock: IReactorTime
    crowd: Crowd

    def body_limit(self, head: Head, peer: Peer, secure: bool) -> int: ...

    def refusal(self, refused: Refused, secure: bool) -> bytes: ...


class _Phase(Enum):
    HEAD = auto()
    BODY = auto()
    ANSWER = auto()
    CLOSED = auto()


class HardenedRequest(http.Request):
    """A request whose head was checked; its body lies in memory, never over the limit."""

    head: Head
    content: Any
    channel: Any

    def gotLength(self, length: int | None) -> None:
        self.head = self.channel.head
        self._limit = self.channel.limit
        self.content = BytesIO()

    def parseCookies(self) -> None:
        """Ours are read from the head (cookies.py), by name."""

    def handleContentChunk(self, data: bytes) -> None:
        if self.content.tell() + len(data) > self._limit:
            raise Refused(413, "the request's body is too large")
        self.content.write(data)


class HardenedChannel(http.HTTPChannel):
    """One browser's connection."""

    head: Head
    limit = 0
    timeOut = None
    transport: Any
    site: Any
    _networkProducer: Any

    def __init__(self, policy: Policy, peer: Peer) -> None:
        super().__init__()
        self._policy = policy
        self.peer = peer
        self._pending = bytearray()
        self._phase = _Phase.HEAD
        self._feeding = False
        self._deadline: IDelayedCall | None = None
        self._swallowed = 0
        self._known = 0
        self._idle = False
        self._chunks: Chunks | None = None

    def connectionMade(self) -> None:
        super().connectionMade()
        self._arm(HEAD_S, self._too_slow)
        if not self._policy.crowd.enter(self, source_network(self.peer.source)):
            self.send_away()

    def dataReceived(self, data: bytes) -> None:
        if self._phase is _Phase.CLOSED:
            self._swallow(data)
            return
        self._pending += data
        if self._feeding:  # twisted.web hands back what was pipelined behind the request that it has just finished
            return
        self._feeding = True
        try:
            while self._pending and self._feed():
                pass
        except Refused as refused:
            self._refuse(refused)
        finally:
            self._feeding = False

    def _feed(self) -> bool:
        """Hand on the next piece; False if more must come first."""
        if self._phase is _Phase.CLOSED:
            self._pending.clear()
            return False
        if self._phase is _Phase.BODY and self._chunks is not None:
            plain = self._chunks.feed(self._pending)
            if plain:
                super().dataReceived(plain)
            return bool(plain)
        if self._phase is not _Phase.HEAD:
            data = bytes(self._pending)
            self._pending.clear()
            if self._phase is _Phase.ANSWER and sum(map(len, self._dataBuffer)) + len(data) > _MOST_PIPELINED:
                self.transport.abortConnection()
                return False
            super().dataReceived(data)
            return True
        if not self._known:
            if self._pending.startswith(b"\r\n"):  # RFC 9112, 2.2: an empty line before a request is forgiven
                del self._pending[:2]
            if self._idle:  # the first request's time runs from the connection, a later one's from its first byte
                self._arm(HEAD_S, self._too_slow)
        size = find_head(self._pending, self._known)
        if not size:
            self._known = len(self._pending)
            return False
        data = bytes(self._pending[:size])
        del self._pending[:size]
        self._known = 0
        head = read_head(data)
        self.limit = self._policy.body_limit(head, self.peer, self.isSecure())
        if head.length is not None and head.length > self.limit:
            raise Refused(413, "the request's body is too large")
        self.head = head
        self._chunks = Chunks(self.limit) if head.length is None else None
        self._phase = _Phase.BODY
        self._arm(BODY_S + self.limit / SLOWEST_BODY_BYTES_S, self._too_slow)
        super().dataReceived(head.framing())
        return True

    def allContentReceived(self) -> None:
        self._phase = _Phase.ANSWER
        self._policy.crowd.busy(self)
        self._disarm()
        super().allContentReceived()

    def requestDone(self, request: http.Request) -> None:
        if self._phase is not _Phase.CLOSED:
            self._phase = _Phase.HEAD if self.persistent else _Phase.CLOSED
            self._policy.crowd.idle(self)
            self._arm(IDLE_S, self._idle_too_long)
            self._idle = True
        super().requestDone(request)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._phase = _Phase.CLOSED
        self._disarm()
        self._policy.crowd.leave(self)
        super().connectionLost(reason)

    def send_away(self) -> None:
        """Room is needed for others."""
        self._phase = _Phase.CLOSED
        self.transport.abortConnection()

    def end_politely(self) -> None:
        """The daemon stops, and nothing is being asked here: close, but let leave what was written."""
        if self._phase is not _Phase.CLOSED:
            self._idle_too_long()

    def _respondToBadRequestAndDisconnect(self) -> None:
        # twisted.web's own refusals (broken chunks); inside its parser, so it must not go on with this request.
        raise Refused(400, "the request is malformed")

    def _refuse(self, refused: Refused) -> None:
        """Answer, close our side, and swallow what still comes: a reset would destroy the answer on its way."""
        self._phase = _Phase.CLOSED
        self._pending.clear()
        self.transport.write(self._policy.refusal(refused, self.isSecure()))
        half_close = getattr(self.transport, "loseWriteConnection", None)
        if self.isSecure() or half_close is None:
            self.loseConnection()
        else:
            self._networkProducer.unregisterProducer()
            half_close()
        self._arm(LINGER_S, self.transport.abortConnection)

    def _swallow(self, data: bytes) -> None:
        self._swallowed += len(data)
        if self._swallowed > LINGER_BYTES:
            self.transport.abortConnection()

    def _too_slow(self) -> None:
        if self._pending or self._phase is _Phase.BODY:
            self._refuse(Refused(408, "the request took too long to arrive"))
        else:
            self.transport.abortConnection()

    def _idle_too_long(self) -> None:
        self._phase = _Phase.CLOSED
        self.loseConnection()
        self._arm(LINGER_S, self.transport.abortConnection)

    def _arm(self, seconds: float, then: Callable[[], Any]) -> None:
        self._disarm()
        self._idle = False
        self._deadline = self._policy.clock.callLater(seconds, then)

    def _disarm(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None
