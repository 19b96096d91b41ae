"""``GET /api/v1/state`` through the cloud against the same request at the agent itself, requests per second.

Real daemons, TLS on both ways, 16 connections that ask again as soon as they were answered, and a client that does no
more than that, so that it does not set the pace.
"""

from __future__ import annotations

import secrets
import selectors
import socket
import ssl
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from tests.support.api import Browser
from tests.support.processes import daemon, eventually
from tests.support.sites import PASSWORD, set_password

CONNECTIONS = 16
REQUESTS = 4_000
ROUNDS = 3


class Asker:
    """One connection with one request in flight."""

    def __init__(self, port: int, request: bytes) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port)))
        self.socket.setblocking(False)
        self._request, self._buffer, self._want = request, b"", -1

    def ask(self) -> None:
        self.socket.send(self._request)

    def answered(self) -> bool:
        """Take what came; True once the answer is whole."""
        while True:
            try:
                data = self.socket.recv(65536)
            except ssl.SSLWantReadError:
                return False
            if not data:
                raise ConnectionError("the server closed the connection")
            self._buffer += data
            if self._want < 0 and b"\r\n\r\n" in self._buffer:
                head, _, _ = self._buffer.partition(b"\r\n\r\n")
                if not head.startswith(b"HTTP/1.1 200"):
                    raise ConnectionError(head.split(b"\r\n")[0].decode())
                length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
                self._want = len(head) + 4 + int(length.split(b":")[1])
            if 0 <= self._want <= len(self._buffer):
                self._buffer, self._want = b"", -1
                return True


def requests_per_second(port: int, browser: Browser) -> float:
    """Ask ``REQUESTS`` times over ``CONNECTIONS`` connections with the browser's cookies."""
    cookie = browser.headers()["Cookie"]
    request = (
        f"GET /api/v1/state HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie}\r\nAccept: application/json\r\n\r\n"
    ).encode()
    ready = selectors.DefaultSelector()
    askers = [Asker(port, request) for _ in range(CONNECTIONS)]
    for asker in askers:
        ready.register(asker.socket, selectors.EVENT_READ, asker)
        asker.ask()
    began, done = time.perf_counter(), 0
    while done < REQUESTS:
        for key, _ in ready.select(10):
            if key.data.answered():
                done += 1
                key.data.ask()
    took = time.perf_counter() - began
    for asker in askers:
        asker.socket.close()
    return done / took


def relayed_state() -> Iterable[tuple[str, float, str, str, float]]:
    """The median of three paired rounds."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("site", "cloud"):
            set_password(folder / name)
        _, cloud_port = stack.enter_context(daemon("cm-cloud", folder / "cloud"))
        _, agent_port = stack.enter_context(daemon("cm-agent", folder / "site"))
        keeper = Browser(cloud_port, secure=True)
        keeper.post("/api/v1/cloud/admin/login", {"password": PASSWORD})
        password = secrets.token_urlsafe(15)
        keeper.post("/api/v1/cloud/admin/installations", {"cloud_id": "bench", "password": password})
        direct = Browser(agent_port, secure=True)
        direct.post("/api/v1/login", {"password": PASSWORD})
        server = {"enabled": True, "server": f"127.0.0.1:{cloud_port}", "cloud_id": "bench", "password": password}
        direct.put("/api/v1/config/cloud", server)
        eventually(lambda: direct.get("/api/v1/config/cloud")["state"] == "connected")
        remote = Browser(cloud_port, secure=True)
        remote.post("/api/v1/cloud/login", {"cloud_id": "bench", "secret": PASSWORD, "admin": True})
        pairs = [
            (requests_per_second(cloud_port, remote), requests_per_second(agent_port, direct)) for _ in range(ROUNDS)
        ]
    through, at_agent = sorted(pairs, key=lambda pair: pair[0] / pair[1])[ROUNDS // 2]
    print(f"# through the cloud {through:.0f} requests/s, at the agent {at_agent:.0f} requests/s")
    return [("relayed-state", through / at_agent, "of-direct", ">=", 0.5)]


FIGURES = {"relayed-state": relayed_state}
