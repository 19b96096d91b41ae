"""Bodies that are too long for a box travel as streams: cut at one end, put together at the other."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from charging_manager.tunnel import bounds
from charging_manager.tunnel.link import RemoteSink, RemoteStream
from charging_manager.tunnel.reasons import Violation, trouble
from charging_manager.tunnel.streams import Incoming


class BodySource:
    """Sends bytes that are there already, as fast as they are read."""

    def __init__(self, body: bytes, sink: RemoteSink) -> None:
        self._rest = memoryview(body)
        self._sink = sink
        self._stopped = False
        self.resumed()

    def resumed(self) -> None:
        wants_more = True
        while wants_more and self._rest and not self._stopped:
            piece, self._rest = self._rest[: bounds.ALONE_CHUNK], self._rest[bounds.ALONE_CHUNK :]
            wants_more = self._sink.write(bytes(piece))
        if not self._rest and not self._stopped:
            self._stopped = True
            self._sink.finish()

    def stopped(self) -> None:
        self._stopped = True
        self._rest = memoryview(b"")


def body_stream(body: bytes, content_type: str = "", filename: str | None = None, status: int = 200) -> RemoteStream:
    """The stream that carries these bytes."""
    return RemoteStream(lambda sink: BodySource(body, sink), content_type, filename, status)


class BodySink:
    """Puts a stream of announced length together; more than announced is a violation of the sender."""

    def __init__(self, announced: int) -> None:
        if not 0 <= announced <= bounds.REQUEST_BODY:
            raise Violation("body too large")
        self._announced = announced
        self._parts: list[bytes] = []
        self._size = 0
        self.whole: Deferred[bytes] = Deferred()

    def write(self, data: bytes) -> bool:
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._announced:
            raise Violation("body longer than announced")
        return True

    def finish(self) -> None:
        if self._size != self._announced:
            self.fail()
        elif not self.whole.called:
            self.whole.callback(b"".join(self._parts))

    def fail(self) -> None:
        self._parts.clear()
        if not self.whole.called:
            self.whole.errback(Failure(trouble("protocol")))


def whole_body(stream: Incoming, announced: int) -> Deferred[bytes]:
    """All of it, or TunnelError when it breaks off."""
    sink = BodySink(announced)
    stream.start(sink)
    return sink.whole
