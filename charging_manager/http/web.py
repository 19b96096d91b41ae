"""The web side of a daemon: pages, files and ``/api/`` behind the hardening layer.

``Front`` is what the daemon decides (who asks, what is answered); everything about HTTP, cookies and headers is here.
"""

# twisted.web.http is not typed.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger
from twisted.web.server import Site

from charging_manager.http.cookies import CookieNames
from charging_manager.http.crowd import Crowd
from charging_manager.http.exchange import WebRequest
from charging_manager.http.facts import Peer, RequestFacts, peer_of, read_facts
from charging_manager.http.hardening import HardenedChannel
from charging_manager.http.headers import page_headers
from charging_manager.http.heads import Head, Refused
from charging_manager.http.pages import Pages, bare_page
from charging_manager.http.problems import problem_answer
from charging_manager.http.routes import Answer, Caller, Problem, Role, Stream
from charging_manager.http.streams import BrowserSink
from charging_manager.http.table import RawRequest
from charging_manager.http.tally import Tally

FINISH_S = 5.0
_LOOK_S = 0.05
MOST_CONNECTIONS = 1024
MOST_OF_ONE_SOURCE = 512
STRANGERS_BODY = 65_536


class Front(Protocol):
    """What a daemon says to its web side; to be subclassed, for the defaults."""

    def prepare(self, facts: RequestFacts) -> Deferred[None] | None:
        """What must be waited for before anything else is asked; None: nothing. It never fails."""
        return None

    def caller_of(self, facts: RequestFacts) -> Caller:
        """Who asks, from the login cookie and from where."""
        ...

    async def answer(self, request: RawRequest, caller: Caller, facts: RequestFacts) -> Answer | Stream:
        """The answer to anything under ``/api/`` (and ``/metrics``)."""
        ...

    def body_limit(self, method: str, path: str) -> int:
        """How many bytes of a body are read at this address."""
        return 65_536

    def closed_to(self, facts: RequestFacts) -> Problem | None:
        """Why this peer gets nothing at all, pages included; None: it may come in."""
        return None

    def detour(self, path: str, facts: RequestFacts) -> str | None:
        """Where a page or a file at this address leads to instead, for this peer; None: nowhere else."""
        return None

    def start_page(self, caller: Caller) -> str:
        """Where ``/`` leads on to."""
        return "login" if caller.role is Role.NOBODY else "overview"


class WebSite(Site):
    """The site of one daemon. ``close_streams_of`` ends what still runs for a login that has ended."""

    _log = Logger()

    def __init__(
        self,
        front: Front,
        pages: Pages,
        cookies: CookieNames,
        clock: IReactorTime,
        allow_http: bool,
        hsts: Callable[[], bool],
        tally: Tally | None = None,
    ) -> None:
        super().__init__(None, requestFactory=WebRequest, reactor=clock, parsePOSTFormSubmission=False)
        self.front, self.pages, self.cookies, self.clock = front, pages, cookies, clock
        self.allow_http = allow_http
        self.hsts = hsts
        self.tally = tally or Tally()
        self.crowd = Crowd(MOST_CONNECTIONS, MOST_OF_ONE_SOURCE)
        self._streams: dict[str, set[BrowserSink]] = {}

    def buildProtocol(self, addr: IAddress | None) -> Any:
        channel: Any = HardenedChannel(self, peer_of(addr))
        channel.factory = channel.site = self
        channel.requestFactory = self.requestFactory
        channel.callLater = self.clock.callLater
        return channel

    def acceptableProtocols(self) -> list[bytes]:
        """Never HTTP/2, even where the package for it is installed."""
        return [b"http/1.1"]

    def log(self, request: Any) -> None:
        """Level 4 shows requests, without what stood behind the question mark."""
        path = request.uri.partition(b"?")[0].decode("ascii", "replace")
        self._log.debug("{method} {path} {status}", method=request.method.decode(), path=path, status=request.code)

    def body_limit(self, head: Head, peer: Peer, secure: bool) -> int:
        """A large body is kept only for somebody who has logged in, or is on this machine."""
        path = head.target.partition("?")[0]
        if not path.startswith("/api/"):
            return 0
        limit = self.front.body_limit(head.method, path)
        if limit <= STRANGERS_BODY:
            return limit
        facts = read_facts(head, peer, secure, self.cookies)
        known = facts.loopback or self.front.caller_of(facts).role is not Role.NOBODY
        return limit if known else STRANGERS_BODY

    def refusal(self, refused: Refused, secure: bool) -> bytes:
        """The whole answer to a request that is not read further; 431 clears our cookies, which may be the cause."""
        self.tally.refused += 1
        headers = [*page_headers(False), ("Cache-Control", "no-store"), ("Connection", "close")]
        if refused.status == 431:
            headers += [("Set-Cookie", line.decode()) for line in self.cookies.clear_all(secure)]
        if refused.status in (413, 408, 417):
            problem = Problem(refused.status, "too-large" if refused.status == 413 else "bad-request", str(refused))
            answer = problem_answer(problem, "en")
            kind, body = answer.content_type, bytes(answer.body)
        else:
            kind, body = "text/html; charset=utf-8", bare_page("en", refused.sentence)
        headers += [("Content-Type", kind), ("Content-Length", str(len(body)))]
        lines = [f"HTTP/1.1 {refused.status} {HTTPStatus(refused.status).phrase}", *(f"{n}: {v}" for n, v in headers)]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def close_streams_of(self, login: str) -> None:
        """The login of that handle has ended: so do its event streams and downloads."""
        for sink in list(self._streams.get(login, ())):
            sink.close()

    def finish(self) -> Deferred[None]:
        """The daemon stops: what is being asked is answered, within ``FINISH_S``; streams and all else end now."""
        for login in list(self._streams):
            self.close_streams_of(login)
        until_s = self.clock.seconds() + FINISH_S
        finished: Deferred[None] = Deferred()

        def look() -> None:
            for member in self.crowd.waiting():
                cast(HardenedChannel, member).end_politely()
            if len(self.crowd) and self.clock.seconds() < until_s:
                self.clock.callLater(_LOOK_S, look)
                return
            self.crowd.empty()
            finished.callback(None)

        look()
        return finished

    def keep_stream(self, login: str, sink: BrowserSink) -> Callable[[], None]:
        """Remember a running stream; the answer forgets it."""
        self._streams.setdefault(login, set()).add(sink)

        def forget() -> None:
            running = self._streams.get(login, set())
            running.discard(sink)
            if not running:
                self._streams.pop(login, None)

        return forget


def build_site(
    front: Front,
    pages: Pages,
    cookies: CookieNames,
    *,
    reactor: IReactorTime,
    allow_http: bool = False,
    hsts: Callable[[], bool] = lambda: False,
    tally: Tally | None = None,
) -> WebSite:
    """A site to hand to the listener. ``hsts``: whether the certificate is CA-signed, asked at every answer."""
    return WebSite(front, pages, cookies, reactor, allow_http, hsts, tally)
