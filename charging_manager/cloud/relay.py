"""Carries a logged-in browser's request to its installation, and what may pass of the answer back.

The installation comes from the login session alone. Of the browser's headers only ``CARRIED`` go along; cookies, the
browser's address and everything else stay here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.logger import Logger

from charging_manager.cloud.sieve import sift
from charging_manager.errors import TunnelError
from charging_manager.http.routes import Answer, Problem, Sink, Source, Stream
from charging_manager.http.table import RawRequest
from charging_manager.tunnel.link import RemoteAnswer, RemoteRequest, RemoteSource, RemoteStream

log = Logger()

CARRIED = ("accept-language", "last-event-id")
_LONGEST_VALUE = 200
_PROBLEMS = {
    "busy": (503, "agent-busy", "The installation has too much to do right now. Try again in a moment."),
    "timeout": (504, "agent-timeout", "The installation did not answer in time."),
    "failed": (502, "agent-failed", "The installation could not answer this request; its log says why."),
    "protocol": (502, "agent-failed", "The installation could not answer this request; its log says why."),
}
_OFFLINE = (503, "agent-offline", "The installation is not connected to this cloud server right now.")


class Way(Protocol):
    """The tunnel of one installation, as far as the relay uses it."""

    async def request(self, token: str, request: RemoteRequest) -> RemoteAnswer | RemoteStream: ...


class TokenRefused(TunnelError):
    """The agent does not know this token any more."""

    def __init__(self) -> None:
        super().__init__("token-refused")


class OpenStreams:
    """The answers that are still running, by login session, so that they end when it does."""

    def __init__(self) -> None:
        self._running: dict[str, set[_Running]] = {}

    def cut(self, login: str) -> None:
        """End all of this login session."""
        for running in self._running.pop(login, set()):
            running.cut()

    def count(self) -> int:
        """How many run now."""
        return sum(map(len, self._running.values()))

    def watched(self, login: str, stream: Stream) -> Stream:
        """The same stream, but ``cut`` can end it."""

        def start(sink: Sink) -> Source:
            running = _Running(sink, lambda: self._forget(login, running))
            self._running.setdefault(login, set()).add(running)
            running.begin(stream)
            return running

        return Stream(start, stream.content_type, stream.filename, stream.status)

    def _forget(self, login: str, running: _Running) -> None:
        others = self._running.get(login)
        if others is not None:
            others.discard(running)
            if not others:
                del self._running[login]


class _Running:
    """Between the tunnel's stream and the browser's: passes both sides' words on until one of them has gone."""

    def __init__(self, sink: Sink, forget: Callable[[], None]) -> None:
        self._sink: Sink | None = sink
        self._forget = forget
        self._source: Source | RemoteSource | None = None

    def begin(self, stream: Stream) -> None:
        self._source = stream.start(self)
        if self._sink is None:
            self._source.stopped()

    def write(self, data: bytes) -> bool:
        return self._sink is not None and self._sink.write(data)

    def finish(self) -> None:
        sink = self._over()
        if sink is not None:
            sink.finish()

    def fail(self) -> None:
        sink = self._over()
        if sink is not None:
            getattr(sink, "fail", sink.finish)()

    def resumed(self) -> None:
        if self._sink is not None and self._source is not None:
            self._source.resumed()

    def stopped(self) -> None:
        if self._over() is not None and self._source is not None:
            self._source.stopped()

    def cut(self) -> None:
        """The login session is over."""
        sink = self._over()
        if sink is not None:
            if self._source is not None:
                self._source.stopped()
            getattr(sink, "fail", sink.finish)()

    def _over(self) -> Sink | None:
        sink, self._sink = self._sink, None
        if sink is not None:
            self._forget()
        return sink


async def carry(way: Way | None, token: str, asked: RawRequest) -> Answer | Stream:
    """Ask the installation. Raises: TokenRefused; Problem for everything that the browser should be told."""
    if way is None:
        raise Problem(*_OFFLINE)
    headers = {
        name: asked.headers[name]
        for name in CARRIED
        if name in asked.headers and len(asked.headers[name]) <= _LONGEST_VALUE and asked.headers[name].isprintable()
    }
    request = RemoteRequest(asked.method, asked.path, asked.query, asked.content_type, asked.body, headers)
    try:
        answer = await way.request(token, request)
    except TunnelError as error:
        if error.code == "token-refused":
            raise TokenRefused from error
        log.debug("{method} {path} was not answered: {code}", method=asked.method, path=asked.path, code=error.code)
        raise Problem(*_PROBLEMS.get(error.code, _OFFLINE)) from error
    if answer.status == 401:
        drop(answer)
        raise TokenRefused
    try:
        return sift(_ours(answer))
    except Problem:
        drop(answer)
        raise


def drop(answer: RemoteAnswer | RemoteStream | Answer | Stream) -> None:
    """Tell the agent that nobody reads this stream."""
    if isinstance(answer, RemoteStream | Stream):
        answer.start(_Nowhere()).stopped()


class _Nowhere:
    """Takes nothing."""

    def write(self, data: bytes) -> bool:
        return False

    def finish(self) -> None:
        pass


def _ours(answer: RemoteAnswer | RemoteStream) -> Answer | Stream:
    if isinstance(answer, RemoteStream):
        return Stream(answer.start, answer.content_type, answer.filename, answer.status)
    return Answer(answer.body, answer.status, answer.content_type, answer.filename)
