"""The client of devices that speak HTTP against real servers of every bad kind: bounded, and hung up on."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

pytestmark = pytest.mark.e2e

ONE_REQUEST = """
import sys
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react
from charging_manager.agent.fetch import Asked, Fetcher, FetchError
from charging_manager.devices.http_client import PlainClient
from charging_manager.errors import DeviceError

async def main(reactor):
    try:
        if sys.argv[1] == "fetch":
            print("got", len(await Fetcher(reactor)(Asked(sys.argv[2] + "/x", {}))))
        else:
            code, body = await PlainClient(sys.argv[2], reactor)("GET", "/x", None, float(sys.argv[3]))
            print("got", code, len(body))
    except (DeviceError, FetchError) as error:
        print(type(error).__name__, error)
    sys.stdout.flush()
    await deferLater(reactor, 60)  # who hangs up must do so now, not when the process ends

react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
"""

HEAD = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
ENDLESS = HEAD % b"200 OK" + b"\r\n"


class Server:
    """Answers one request with ``head``, then with ``piece`` again and again until the client hangs up."""

    def __init__(
        self, head: bytes, piece: bytes, every_s: float, pieces: int | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.head, self.piece, self.every_s, self.pieces = head, piece, every_s, pieces
        self.hung_up = threading.Event()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listening = socket.create_server((host, 0), family=family)
        shown = f"[{host}]" if ":" in host else host
        self.base = f"http://{shown}:{self._listening.getsockname()[1]}"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            client, _ = self._listening.accept()
        except OSError:
            return
        with closing(client):
            try:
                client.recv(65536)
                client.sendall(self.head)
                sent = 0
                while not self._stopped.is_set() and (self.pieces is None or sent < self.pieces):
                    client.sendall(self.piece)
                    sent += 1
                    self._stopped.wait(self.every_s)
            except OSError:
                self.hung_up.set()

    def stop(self) -> None:
        self._stopped.set()
        self._listening.close()


@contextmanager
def serving(
    head: bytes, piece: bytes, every_s: float, pieces: int | None = None, host: str = "127.0.0.1"
) -> Iterator[Server]:
    server = Server(head, piece, every_s, pieces, host)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def asking(how: str, base: str, patience_s: float = 20.0) -> Iterator[str]:
    """What the client says of it; it lives on until the block ends."""
    args = [sys.executable, "-c", ONE_REQUEST, how, base, str(patience_s)]
    with subprocess.Popen(args, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("device", "DeviceNonsense its answer is longer than 64 KiB"),
        ("fetch", "FetchError its answer is larger than 1 MiB"),
    ],
)
def test_endless_bytes_are_hung_up_on(how: str, said: str) -> None:
    with serving(ENDLESS, b"x" * 65536, 0.0) as server, asking(how, server.base) as heard:
        assert heard == said
        assert server.hung_up.wait(20)


def test_who_dribbles_for_ever_is_hung_up_on_when_the_time_is_over() -> None:
    with serving(ENDLESS, b"x", 0.05) as server, asking("device", server.base, 1.0) as heard:
        assert heard == "DeviceSilent no answer (within 1 s)"
        assert server.hung_up.wait(20)


def test_the_endless_page_of_an_error_is_not_waited_for() -> None:
    head = HEAD % b"500 Sorry" + b"\r\n"
    with serving(head, b"x", 0.05) as server, asking("fetch", server.base) as heard:
        assert heard == "FetchError it answers with HTTP status 500"
        assert server.hung_up.wait(20)


def test_an_answer_that_ends_short_is_named() -> None:
    head = HEAD % b"200 OK" + b"Content-Length: 1000\r\n\r\n"
    with serving(head, b"x", 0.0, 1) as server, asking("device", server.base) as heard:
        assert heard == "DeviceSilent the answer broke off"


def test_what_is_no_http_is_named() -> None:
    with serving(b"\x00\x01\x02 hello\r\n\r\n", b"x", 0.0, 1) as server, asking("device", server.base) as heard:
        assert heard == "DeviceSilent the answer broke off or is no HTTP"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_small_device_that_says_no_length_ends_by_hanging_up(host: str) -> None:
    with serving(ENDLESS, b"x" * 10, 0.0, 3, host) as server, asking("device", server.base) as heard:
        assert heard == "got 200 30"
