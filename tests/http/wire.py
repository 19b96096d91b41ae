"""A site in memory: bytes in, bytes out, a clock in hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import INegotiated, IPushProducer, ITransport
from twisted.internet.task import Clock
from zope.interface import implementer

from charging_manager.http.cookies import CookieNames
from charging_manager.http.facts import RequestFacts
from charging_manager.http.pages import Pages
from charging_manager.http.routes import Answer, Call, Caller, Problem, Right, Role, Route, Sink, Stream
from charging_manager.http.table import RawRequest, RouteTable
from charging_manager.http.web import Front, WebSite, build_site


@implementer(ITransport, IPushProducer)
class Transport:
    """What a socket is to a channel; ``slow`` makes it call for a pause."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.sent = b""
        self.aborted = self.lost = self.half_closed = False
        self.producer: Any = None

    def write(self, data: bytes) -> None:
        assert not (self.aborted or self.lost or self.half_closed)
        self.sent += data

    def writeSequence(self, data: list[bytes]) -> None:
        self.write(b"".join(data))

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", self.host, 50000)

    getHost = getPeer

    def loseConnection(self) -> None:
        self.lost = True

    def abortConnection(self) -> None:
        self.aborted = True

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def setTcpNoDelay(self, enabled: bool) -> None: ...

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None: ...

    @property
    def disconnecting(self) -> bool:
        return self.lost

    @property
    def closed(self) -> bool:
        return self.aborted or self.lost or self.half_closed


@implementer(INegotiated)
class SecureTransport(Transport):
    negotiatedProtocol = b"http/1.1"


class Told:
    """A stream under the test's thumb."""

    def __init__(self) -> None:
        self.sink: Sink | None = None
        self.events: list[str] = []

    def start(self, sink: Sink) -> Told:
        self.sink = sink
        return self

    def resumed(self) -> None:
        self.events.append("resumed")

    def stopped(self) -> None:
        self.events.append("stopped")


class House(Front):
    """A front that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[RawRequest, Caller, RequestFacts]] = []
        self.waiting: list[Deferred[object]] = []
        self.streams: list[Told] = []
        self.closed: Problem | None = None
        routes = [
            Route("GET", "/api/v1/me", Right.ANYBODY, self._me, "me"),
            Route("PUT", "/api/v1/echo", Right.ANYBODY, self._echo, "echo", body=dict),
            Route("PUT", "/api/v1/import", Right.ANYBODY, self._echo, "import", body=dict, body_limit=1_048_576),
            Route("GET", "/api/v1/slow", Right.ANYBODY, self._slow, "slow"),
            Route("GET", "/api/v1/events", Right.ANYBODY, self._events, "events"),
            Route("GET", "/api/v1/long", Right.ANYBODY, self._long, "long"),
            Route("GET", "/api/v1/late-events", Right.ANYBODY, self._late_events, "events, later"),
            Route("GET", "/api/v1/users-only", Right.USER, self._me, "users"),
            Route("POST", "/api/v1/login", Right.ANYBODY, self._login, "login"),
            Route("POST", "/api/v1/logout", Right.ANYBODY, self._logout, "logout"),
        ]
        self.table = RouteTable(routes, "House")

    def caller_of(self, facts: RequestFacts) -> Caller:
        role = Role.USER if facts.login == "t0ken" else Role.NOBODY
        return Caller(role, login="handle" if role is Role.USER else None, source=facts.source, language="de")

    async def answer(self, request: RawRequest, caller: Caller, facts: RequestFacts) -> Answer | Stream:
        self.asked.append((request, caller, facts))
        if request.path == "/api/v1/bug":
            raise ZeroDivisionError("secret detail")
        return await self.table.answer(request, caller)

    def body_limit(self, method: str, path: str) -> int:
        return self.table.body_limit(method, path)

    def closed_to(self, facts: RequestFacts) -> Problem | None:
        return self.closed

    async def _me(self, call: Call) -> object:
        return {"role": call.caller.role}

    async def _echo(self, call: Call) -> object:
        return call.body

    async def _slow(self, call: Call) -> object:
        self.waiting.append(Deferred())
        return await self.waiting[-1]

    async def _events(self, call: Call) -> Stream:
        self.streams.append(Told())
        return Stream(self.streams[-1].start)

    async def _late_events(self, call: Call) -> Stream:
        await self._slow(call)
        return await self._events(call)

    async def _long(self, call: Call) -> Answer:
        return Answer(b"0123456789" * 100_000, content_type="text/csv", filename='a "b".csv')

    async def _login(self, call: Call) -> Answer:
        return Answer({}, login="t0ken", device="d3vice.x")

    async def _logout(self, call: Call) -> Answer:
        return Answer(status=204, logout=True)


class Town:
    """The site around a ``House``."""

    def __init__(self, folder: Path, allow_http: bool = True, hsts: Callable[[], bool] = lambda: False) -> None:
        self.clock = Clock()
        self.house = House()
        (folder / "web/agent").mkdir(parents=True, exist_ok=True)
        (folder / "web/common").mkdir(exist_ok=True)
        pages = Pages([folder / "web/agent", folder / "web/common"], folder / "web")
        self.site: WebSite = build_site(
            self.house, pages, CookieNames("agent"), reactor=self.clock, allow_http=allow_http, hsts=hsts
        )

    def connect(self, host: str = "127.0.0.1", secure: bool = False) -> Wire:
        return Wire(self.site, SecureTransport(host) if secure else Transport(host))

    def ask(self, request: bytes, host: str = "127.0.0.1", secure: bool = False) -> Reply:
        wire = self.connect(host, secure)
        wire.send(request)
        return wire.reply()


class Wire:
    """One connection."""

    def __init__(self, site: WebSite, transport: Transport) -> None:
        self.transport = transport
        self.channel = site.buildProtocol(transport.getPeer())
        self.channel.makeConnection(transport)

    def send(self, data: bytes) -> None:
        self.channel.dataReceived(data)

    def reply(self) -> Reply:
        """The first answer that has come; what stands behind it stays."""
        reply, self.transport.sent = take_reply(self.transport.sent)
        return reply

    def lose(self) -> None:
        from twisted.internet.error import ConnectionDone
        from twisted.python.failure import Failure

        self.channel.connectionLost(Failure(ConnectionDone()))


class Reply:
    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        found = self.all(name)
        assert len(found) == 1, (name, found)
        return found[0]

    def json(self) -> Any:
        return json.loads(self.body)


def take_reply(data: bytes) -> tuple[Reply, bytes]:
    head, gap, rest = data.partition(b"\r\n\r\n")
    assert gap, data
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    status = int(first.split()[1])
    reply = Reply(status, headers, b"")
    length = int((reply.all("Content-Length") or ["0"])[0])
    reply.body = rest[:length]
    assert len(reply.body) == length or not rest, data  # none to a HEAD, none with a 304
    return reply, rest[length:]


def request(
    method: str = "GET", target: str = "/api/v1/me", body: bytes = b"", host: str = "localhost", **headers: str
) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    if body:
        headers.setdefault("Content_Type", "application/json")
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
