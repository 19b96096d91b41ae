"""A small web process for test_listener.py: the real listener, TLS and site around a handful of routes.

Usage: python -m tests.e2e.listener_process FOLDER [cloud] [allow-http] [from=NETWORK];
prints one line of JSON once it listens. A line ``CERT KEY`` on its standard input loads that pair.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet import stdio
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import LoopingCall
from twisted.protocols.basic import LineOnlyReceiver

from charging_manager.clocks import use_monotonic
from charging_manager.errors import ConfigError
from charging_manager.http.cookies import CookieNames
from charging_manager.http.facts import RequestFacts
from charging_manager.http.listener import Listener
from charging_manager.http.pages import Pages
from charging_manager.http.proxy_header import Proxies
from charging_manager.http.routes import Answer, Call, Caller, Right, Role, Route, Sink, Stream
from charging_manager.http.table import RawRequest, RouteTable
from charging_manager.http.tls import TlsDoor
from charging_manager.http.web import Front, WebSite, build_site

reactor: Any = the_reactor
STARTED: list[str] = []


class Echo(Protocol):
    """Stands for the tunnel."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(b"tunnel:" + data)


class Ticks:
    """An event stream that says a number every 50 ms."""

    def __init__(self, sink: Sink) -> None:
        self._sink, self._count = sink, 0
        self._loop = LoopingCall(self._tick)
        self._loop.start(0.05)

    def _tick(self) -> None:
        self._count += 1
        self._sink.write(f"id: {self._count}\n\n".encode())

    def resumed(self) -> None:
        pass

    def stopped(self) -> None:
        STARTED.append("stopped")
        self._loop.stop()


class Bulk:
    """As many bytes as the reader takes, 20 MB in all; ``pushy`` goes on when told to wait."""

    def __init__(self, sink: Sink, pushy: bool) -> None:
        self._sink, self._left, self._pushy = sink, 20_000_000, pushy
        reactor.callLater(0, self.resumed)

    def resumed(self) -> None:
        while self._left > 0:
            self._left -= 16_384
            if not self._sink.write(b"x" * 16_384) and not self._pushy:
                return
        self._sink.finish()

    def stopped(self) -> None:
        STARTED.append(f"stopped with {self._left} left")
        self._left = 0


async def me(call: Call) -> object:
    return {"role": call.caller.role, "loopback": call.caller.loopback, "source": call.caller.source}


async def login(call: Call) -> Answer:
    return Answer({"in": True}, login="t0ken", device="d3vice")


async def logout(call: Call) -> Answer:
    return Answer(logout=True, status=204)


async def echo(call: Call) -> object:
    return call.body


async def events(call: Call) -> Stream:
    return Stream(Ticks)


async def bulk(call: Call) -> Stream:
    pushy = call.query.get("pushy") == "1"
    return Stream(lambda sink: Bulk(sink, pushy), content_type="text/csv", filename="bulk.csv")


async def story(call: Call) -> object:
    return STARTED


ROUTES = [
    Route("GET", "/api/v1/me", Right.ANYBODY, me, "me"),
    Route("POST", "/api/v1/login", Right.ANYBODY, login, "login", body=dict),
    Route("POST", "/api/v1/logout", Right.ANYBODY, logout, "logout"),
    Route("PUT", "/api/v1/echo", Right.ANYBODY, echo, "echo", body=dict),
    Route("PUT", "/api/v1/import", Right.ANYBODY, echo, "import", body=dict, body_limit=1_048_576),
    Route("GET", "/api/v1/events", Right.ANYBODY, events, "events"),
    Route("GET", "/api/v1/bulk", Right.ANYBODY, bulk, "bulk", query=("pushy",)),
    Route("GET", "/api/v1/story", Right.ANYBODY, story, "what happened to streams"),
]


class SmallFront(Front):
    def __init__(self) -> None:
        self.table = RouteTable(ROUTES, "Small")

    def caller_of(self, facts: RequestFacts) -> Caller:
        role = Role.USER if facts.login == "t0ken" else Role.NOBODY
        return Caller(role, loopback=facts.loopback, source=facts.source, login=facts.login)

    async def answer(self, request: RawRequest, caller: Caller, facts: RequestFacts) -> Answer | Stream:
        return await self.table.answer(request, caller)

    def body_limit(self, method: str, path: str) -> int:
        return self.table.body_limit(method, path)


class Commands(LineOnlyReceiver):
    delimiter = b"\n"

    def __init__(self, tls: TlsDoor, site: WebSite) -> None:
        self._tls, self._site = tls, site

    def lineReceived(self, line: bytes) -> None:
        words = line.decode().split()
        if words == ["end-streams"]:
            self._site.close_streams_of("t0ken")
            said: object = "ended"
        else:
            cert, key = (Path(word).read_bytes() for word in words)
            try:
                self._tls.load(cert, key)
                said = {"fingerprint": self._tls.certificate_fingerprint}
            except ConfigError as error:
                said = {"error": str(error)}
        print(json.dumps(said), flush=True)

    def connectionLost(self, reason: object = None) -> None:
        reactor.stop()


def main() -> None:
    folder, *words = sys.argv[1:]
    use_monotonic(reactor)
    web = Path(folder) / "web"
    (web / "common").mkdir(parents=True)
    (web / "common/app.js").write_text("export const a = 1;\n" * 100)
    (web / "common/login.htm").write_text('<html lang="{{lang}}"><p>{{t:Log in & out}}</p></html>')
    tls = TlsDoor(Path(folder) / "tls")
    site = build_site(
        SmallFront(),
        Pages([web / "common"], web),
        CookieNames("agent"),
        reactor=reactor,
        allow_http="allow-http" in words,
        hsts=lambda: tls.is_ca_signed,
    )
    tunnel = Factory.forProtocol(Echo) if "cloud" in words else None
    port = int(next((word for word in words if word.isdigit()), 0))
    proxies = Proxies(word.removeprefix("from=") for word in words if word.startswith("from="))
    listener = Listener(reactor, port, site, tunnel, tls, "allow-http" in words, proxies=proxies)
    try:
        listener.startService()
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    stdio.StandardIO(Commands(tls, site))
    print(json.dumps({"port": listener.port, "fingerprint": tls.certificate_fingerprint}), flush=True)
    reactor.addSystemEventTrigger("before", "shutdown", listener.stopService)
    reactor.run()


if __name__ == "__main__":
    main()
