"""Browsers' bytes on connections of their own, with a real cloud and a real agent: which way they go, and every end."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from charging_manager.tunnel.lanes import GREETING, HELLO_BYTES, Ticket
from tests.support.api import Browser
from tests.support.processes import Running, eventually
from tests.support.tapped import tapped
from tests.support.wiretap import Wiretap

pytestmark = pytest.mark.e2e

AT = "/api/v1/config/cloud/end-to-end"
HELLO = re.compile(re.escape(GREETING) + b".{%d}" % (HELLO_BYTES - len(GREETING)), re.DOTALL)


@frozen
class Pair:
    """A cloud, an agent behind a wiretap, and who looks at both; browsers come to the cloud itself."""

    cloud: Running
    cloud_port: int
    agent: Running
    tap: Wiretap
    site: Browser
    keeper: Browser
    host: str

    def metric(self, name: str) -> int:
        found = re.search(rf"^cm_cloud_{name} (\d+)", self.keeper.call("GET", "/metrics").body.decode(), re.MULTILINE)
        assert found is not None
        return int(found[1])

    def talk(self) -> ssl.SSLSocket:
        """A browser's connection, with a page read on it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", self.cloud_port), 20)
        talk = context.wrap_socket(plain, server_hostname=self.host)
        assert self.ask(talk).startswith(b"HTTP/1.1 200 ")
        return talk

    def ask(self, talk: ssl.SSLSocket, path: str = "/ui/en/login.htm") -> bytes:
        talk.sendall(f"GET {path} HTTP/1.1\r\nHost: {self.host}:{self.cloud_port}\r\n\r\n".encode())
        got = b""
        while True:
            data = talk.recv(65_536)
            if not data:
                return got
            got += data
            head, end, body = got.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if end and length is not None and len(body) >= int(length[1]):
                return got

    def hellos(self) -> list[bytes]:
        """Of all lanes that were ever dialled."""
        return HELLO.findall(bytes(self.tap.heard))

    def waiting(self) -> int:
        return self.metric("waiting_lanes")

    def warm(self) -> None:
        """A browser that came in a stream, and lanes that wait for the next."""
        self.talk().close()
        eventually(self.waiting)


@contextlib.contextmanager
def pair(folder: Path) -> Iterator[Pair]:
    with tapped(folder) as them:
        site = them.site
        site.put(AT, {"enabled": True})
        eventually(lambda: site.get(AT)["state"] == "open")
        host = str(site.get(AT)["url"]).split("/")[2].partition(":")[0]
        yield Pair(them.cloud, them.cloud_port, them.agent, them.tap, site, them.keeper, host)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair(tmp_path_factory.mktemp("lanes")) as found:
        yield found


def test_the_second_browser_has_a_lane_and_its_bytes_are_counted(both: Pair) -> None:
    both.warm()
    dialled = len(both.hellos())
    sent = both.metric("tunnel_sent_bytes")
    with both.talk() as talk:
        eventually(lambda: len(both.hellos()) > dialled)  # the one that was taken is made up for
        for _ in range(20):
            assert both.ask(talk).startswith(b"HTTP/1.1 200 ")
        assert both.metric("spliced_connections") >= 1
    eventually(lambda: both.metric("spliced_connections") == 0)
    assert both.metric("tunnel_sent_bytes") > sent + 20 * 60  # twenty requests at least


def test_a_hello_used_once_or_made_up_is_noise_like_any(both: Pair) -> None:
    both.warm()
    used = both.hellos()[-1]
    waiting = both.waiting()
    answers = []
    for noise in (used, Ticket.new().hello(), used[:-1] + b"?", b"\x00" * HELLO_BYTES, b"\x01 no TLS either\r\n"):
        with socket.create_connection(("127.0.0.1", both.cloud_port), 10) as talk:
            talk.sendall(noise)
            said = b""
            with contextlib.suppress(ConnectionError):
                while data := talk.recv(4096):
                    said += data
            answers.append(said)
    assert len(set(answers)) == 1
    assert answers[0].startswith(b"HTTP/1.1 400 ")
    assert both.waiting() == waiting


def test_a_browser_that_has_said_all_ends_its_lane(both: Pair) -> None:
    both.warm()
    with both.talk() as talk:
        eventually(lambda: both.metric("spliced_connections") == 1)
        socket.socket.shutdown(talk, socket.SHUT_WR)
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            assert talk.recv(4096) == b""
        eventually(lambda: both.metric("spliced_connections") == 0)


def test_behind_a_firewall_that_lets_no_lane_pass_everything_goes_in_streams(both: Pair) -> None:
    both.tap.lets_lanes_pass = False
    try:
        both.site.put(AT, {"enabled": False})
        both.site.put(AT, {"enabled": True})
        eventually(lambda: both.site.get(AT)["state"] == "open")
        for _ in range(4):
            with both.talk() as talk:
                assert both.ask(talk).startswith(b"HTTP/1.1 200 ")
        assert both.waiting() == 0
    finally:
        both.tap.lets_lanes_pass = True
        both.site.put(AT, {"enabled": False})
        both.site.put(AT, {"enabled": True})
        eventually(lambda: both.site.get(AT)["state"] == "open")


def test_switching_the_mode_off_ends_what_is_carried(both: Pair) -> None:
    both.warm()
    talk = both.talk()
    both.site.put(AT, {"enabled": False})
    try:
        assert ends(talk)
        eventually(lambda: both.waiting() == 0 and both.metric("spliced_connections") == 0)
    finally:
        both.site.put(AT, {"enabled": True})
        eventually(lambda: both.site.get(AT)["state"] == "open")


def ends(talk: ssl.SSLSocket) -> bool:
    """Within seconds, in whatever way."""
    with talk, contextlib.suppress(ssl.SSLError, ConnectionError):
        return talk.recv(4096) == b""
    return True


def test_many_at_once_are_all_served(both: Pair) -> None:
    both.warm()
    replies: list[bytes] = []

    def one() -> None:
        with both.talk() as talk:
            replies.append(both.ask(talk)[:13])

    threads = [threading.Thread(target=one) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert replies == [b"HTTP/1.1 200 "] * 24


def test_a_killed_agent_and_a_killed_cloud_end_their_connections(tmp_path: Path) -> None:
    with pair(tmp_path) as mine:
        mine.warm()
        talk = mine.talk()
        mine.agent.signal(signal.SIGSTOP)
        mine.agent.signal(signal.SIGKILL)
        assert ends(talk)
        eventually(lambda: mine.waiting() == 0 and mine.metric("spliced_connections") == 0)
    (tmp_path / "again").mkdir()
    with pair(tmp_path / "again") as mine:
        mine.warm()
        talk = mine.talk()
        mine.cloud.signal(signal.SIGKILL)
        assert ends(talk)
        eventually(lambda: mine.site.get("/api/v1/config/cloud")["state"] != "connected")
        eventually(lambda: sockets_of(mine.agent.pid, mine.tap.port) == 0)


def sockets_of(pid: int, port: int) -> int:
    """How many connections to this port a process has open."""
    inodes = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if "socket:" in str(link.readlink())}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    to = [f"socket:[{words[9]}]" for words in lines if int(words[2].split(":")[1], 16) == port and words[3] == "01"]
    return len(inodes & set(to))
