"""One long answer on its way to one browser: chunks out, back-pressure back, and no patience for the very slow."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from charging_manager.http.routes import Sink, Source, Stream

MOST_BEHIND = 262_144
STUCK_S = 60.0
_PIECE = 32_768


class Pieces:
    """A long body as a stream: as fast as its reader takes it, and no faster."""

    def __init__(self, body: bytes, sink: Sink) -> None:
        self._body, self._at, self._sink = body, 0, sink
        self._finished = False
        self.resumed()

    def resumed(self) -> None:
        while self._at < len(self._body):
            piece = self._body[self._at : self._at + _PIECE]
            self._at += len(piece)
            if not self._sink.write(piece) and self._at < len(self._body):
                return
        if not self._finished:
            self._finished = True
            self._sink.finish()

    def stopped(self) -> None:
        self._finished = True


class _Nowhere:
    """A sink for a stream that nobody will read."""

    def write(self, data: bytes) -> bool:
        return False

    def finish(self) -> None: ...

    def fail(self) -> None: ...


def drop(stream: Stream) -> None:
    """Start and stop it at once, so that whoever feeds it (a tunnel, perhaps) learns that nobody reads."""
    stream.start(_Nowhere()).stopped()


@implementer(IPushProducer)
class BrowserSink:
    """The ``Sink`` of a stream that ends at a browser.

    A reader that is 256 KiB behind, or reads nothing for 60 s while data waits, is dropped.
    """

    _log = Logger()

    def __init__(self, request: Any, clock: IReactorTime) -> None:
        self._request, self._clock = request, clock
        self._source: Source | None = None
        self._paused = False
        self._behind = 0
        self._over = False
        self._stuck: IDelayedCall | None = None

    def start(self, stream: Stream) -> None:
        """Run the stream; its headers are out already."""
        self._request.notifyFinish().addErrback(lambda _: self._gone())
        self._request.registerProducer(self, True)
        try:
            source = stream.start(self)
        except Exception:
            self._log.failure("a stream failed at its start")
            self.fail()
            return
        self._source = source
        if self._over:  # ended while it started: nobody has told the source yet
            self._tell_stopped()

    def write(self, data: bytes) -> bool:
        """Send on; False: the reader is slow, wait for ``resumed``."""
        if self._over:
            return False
        self._request.write(data)
        if self._paused:
            self._behind += len(data)
            if self._behind > MOST_BEHIND:
                self._log.info("a reader too slow for its stream was dropped")
                self.fail()
        return not self._paused and not self._over

    def finish(self) -> None:
        """The stream is complete."""
        if self._end():
            self._request.unregisterProducer()
            self._request.finish()

    def fail(self) -> None:
        """The stream breaks off: the connection too, so that nobody takes the part for the whole."""
        if self._end():
            self._request.channel.transport.abortConnection()
            self._tell_stopped()

    def close(self) -> None:
        """The login behind this stream has ended."""
        if not self._over:
            self.finish()
            self._tell_stopped()

    def pauseProducing(self) -> None:
        self._paused = True
        if self._stuck is None and not self._over:
            self._stuck = self._clock.callLater(STUCK_S, self.fail)

    def resumeProducing(self) -> None:
        self._paused = False
        self._behind = 0
        self._unstick()
        if self._source is not None and not self._over:
            with self._log.failuresHandled("a stream failed when its reader caught up"):
                self._source.resumed()

    def stopProducing(self) -> None:
        self._gone()

    def _gone(self) -> None:
        if self._end():
            self._tell_stopped()

    def _end(self) -> bool:
        """Whether this is the first end."""
        first, self._over = not self._over, True
        self._unstick()
        return first

    def _unstick(self) -> None:
        if self._stuck is not None and self._stuck.active():
            self._stuck.cancel()
        self._stuck = None

    def _tell_stopped(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            with self._log.failuresHandled("a stream failed when its reader had gone"):
                source.stopped()
