"""Agents that send too much, too slowly or nothing at all, and two with one name: the others do not notice."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import eventually, free_port
from tests.support.storm import Guest, furnished, resident_kib, started
from tests.support.swarm import swarm

pytestmark = pytest.mark.e2e
HONEST = 20
HALF_OPEN, SILENT = 300, 200
SOURCES = ("127.0.20.1", "127.0.20.2")
"""Of those who misbehave."""
HELLO_BEGINS = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
TOO_LARGE = b"\x00\x08_command\x00\x05Enter\x00\x07message\xff\xff" + b"x" * 8192


def connected(port: int, source: str, begin: bytes = b"") -> socket.socket:
    wire = socket.create_connection(("127.0.0.1", port), 20, source_address=(source, 0))
    wire.sendall(begin)
    return wire


def as_agent(port: int, source: str) -> ssl.SSLSocket:
    """TLS stands, and the cloud waits for a login."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["cm-tunnel/1"])
    return context.wrap_socket(connected(port, source), server_hostname="localhost")


def is_over(wire: socket.socket) -> bool:
    """The other end has closed it, and is not merely quiet."""
    wire.setblocking(False)
    try:
        return wire.recv(4096) == b""
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Its port and its pid."""
    data, port = furnished(tmp_path, HONEST), free_port()
    process = started(data, port)
    try:
        yield port, process.pid
    finally:
        process.stop()


def test_who_stalls_sends_too_much_or_comes_twice_is_nobody_elses_trouble(cloud: tuple[int, int]) -> None:
    port, pid = cloud
    with contextlib.ExitStack() as open_wires:
        stalled = [
            open_wires.enter_context(connected(port, SOURCES[number % 2], HELLO_BEGINS[: number % 12]))
            for number in range(HALF_OPEN)
        ]
        before_kib = resident_kib(pid)
        silent = [open_wires.enter_context(as_agent(port, SOURCES[0])) for _ in range(SILENT)]
        for _ in range(20):
            rude = open_wires.enter_context(as_agent(port, SOURCES[1]))
            rude.sendall(TOO_LARGE)
            eventually(lambda rude=rude: is_over(rude), 10)
        guest = Guest(port)
        guest.start()
        with swarm(port, HONEST, 1) as honest:
            eventually(lambda: honest.connected == HONEST, 30)
            assert honest.stats()["most_tries"] == 1
            with swarm(port, 5, 1, network=40) as doubles:
                eventually(lambda: doubles.connected == 5, 30)
                eventually(lambda: honest.connected == HONEST - 5, 10)
            for wire in stalled + silent:  # 10 s without a hello or a login, and they are closed
                eventually(lambda wire=wire: is_over(wire), 30)
            assert honest.stats()["tries"] == HONEST  # who was displaced stays away
            assert honest.connected == HONEST - 5
            guest.stop()
            assert not guest.failures and max(filter(None, guest.took_s)) < 5, guest.took_s
            assert resident_kib(pid) - before_kib < 50 * 1024
