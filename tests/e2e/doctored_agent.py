"""An agent that cheats: the real tunnel, and answers that no honest agent gives. For test_attack.py.

Usage: python -m tests.e2e.doctored_agent KEY SERVER CLOUD_ID PASSWORD. It prints a line ``connected``, then one for
every stream that it began or that was stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as the_reactor

from charging_manager.agent.uplink import Uplink, UplinkSettings
from charging_manager.tunnel.identity import load_or_make_key
from charging_manager.tunnel.link import RemoteAnswer, RemoteGrant, RemoteLogin, RemoteRequest, RemoteSink, RemoteStream

reactor: Any = the_reactor
MARKUP = b"<script>alert(document.domain)</script>"
ENDLESS = b"x" * 16_384


def say(line: str) -> None:
    print(line, flush=True)


class Endless:
    """Bytes without end, as fast as they are taken, or (``pushy``) faster."""

    def __init__(self, sink: RemoteSink, pushy: bool) -> None:
        self._sink, self._pushy, self._going = sink, pushy, True
        say("stream started")
        reactor.callLater(0, self.resumed)

    def resumed(self) -> None:
        while self._going and (self._sink.write(ENDLESS) or self._pushy):
            if self._pushy:
                reactor.callLater(0.001, self.resumed)
                return

    def stopped(self) -> None:
        if self._going:
            self._going = False
            say("stream stopped")


class Cheat:
    """``tunnel.link.AgentEnd``; the path says which lie is told."""

    def __init__(self) -> None:
        self.lies: dict[str, RemoteAnswer | RemoteStream] = {
            "html": RemoteAnswer(200, "text/html", MARKUP),
            "xhtml": RemoteAnswer(200, "application/xhtml+xml", MARKUP),
            "svg": RemoteAnswer(200, "image/svg+xml", MARKUP),
            "script": RemoteAnswer(200, "text/javascript", b"alert(1)"),
            "css": RemoteAnswer(200, "text/css", b"*{}"),
            "plain": RemoteAnswer(200, "text/plain", MARKUP),
            "no-type": RemoteAnswer(200, "", MARKUP),
            "two-types": RemoteAnswer(200, "application/json, text/html", MARKUP),
            "type-with-header": RemoteAnswer(200, "application/json\r\nSet-Cookie: __Host-cm_cloud=planted", b"{}"),
            "type-with-end": RemoteAnswer(200, "application/json\r\n\r\n<script>", b"{}"),
            "type-trailing-end": RemoteAnswer(200, "application/json\r\n\r\n", b"{}"),
            "type-end-in-parameter": RemoteAnswer(200, "application/json;\r\n charset=utf-8", b"{}"),
            "other-charset": RemoteAnswer(200, "application/json; charset=utf-7", b"{}"),
            "redirect": RemoteAnswer(302, "application/json", b"{}"),
            "informational": RemoteAnswer(101, "application/json", b"{}"),
            "no-status": RemoteAnswer(0, "application/json", b"{}"),
            "negative-status": RemoteAnswer(-200, "application/json", b"{}"),
            "odd-success": RemoteAnswer(299, "application/json", b"{}"),
            "odd-mistake": RemoteAnswer(499, "application/json", b"{}"),
            "odd-failure": RemoteAnswer(599, "application/json", b"{}"),
            "large-status": RemoteAnswer(10**30, "application/json", b"{}"),
            "odd-stream": RemoteStream(lambda sink: Endless(sink, False), "text/csv", None, 499),
            "redirect-stream": RemoteStream(lambda sink: Endless(sink, False), "text/csv", None, 307),
            "html-stream": RemoteStream(lambda sink: Endless(sink, False), "text/html"),
            "filename": RemoteAnswer(200, "text/csv", b"a,b", 'x"\r\nSet-Cookie: a=b\r\n\r\n<script>.html'),
            "path-filename": RemoteAnswer(200, "text/csv", b"a,b", "../../.bashrc"),
            "endless": RemoteStream(lambda sink: Endless(sink, False), "text/csv", "endless.csv"),
            "pushy": RemoteStream(lambda sink: Endless(sink, True), "text/event-stream"),
            "giant": RemoteAnswer(200, "application/json", b'"' + b"g" * 40_000_000 + b'"'),
            "honest": RemoteAnswer(200, "application/json", b'{"honest":true}'),
            "ended": RemoteAnswer(401, "application/problem+json", b'{"code":"login-required"}'),
            "mistake": RemoteAnswer(422, "application/problem+json", b'{"code":"x","detail":"<b>x</b>"}'),
        }

    async def login(self, login: RemoteLogin) -> RemoteGrant:
        grants = {
            "no role": RemoteGrant("t" * 43, "cloud-admin"),
            "nobody": RemoteGrant("t" * 43, "nobody"),
            "no token": RemoteGrant("", "admin"),
            "odd token": RemoteGrant("a\r\nb", "admin"),
            "long token": RemoteGrant("t" * 5000, "admin"),
            "odd language": RemoteGrant("t" * 43, "user", "<script>" * 1000),
        }
        return grants.get(login.secret, RemoteGrant("t" * 43, "admin"))

    async def request(self, token: str, request: RemoteRequest) -> RemoteAnswer | RemoteStream:
        return self.lies[request.path.rpartition("/")[2]]

    async def logout(self, token: str) -> None:
        say("logout")


def main(key: str, server: str, cloud_id: str, password: str) -> None:
    settings = UplinkSettings(load_or_make_key(Path(key)), True, server, cloud_id, password)
    uplink = Uplink(reactor, settings, Cheat())
    uplink.watch(lambda: say(uplink.state.value))
    uplink.startService()
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
