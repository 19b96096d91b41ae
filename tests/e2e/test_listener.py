"""The listener on real sockets: one port for plain HTTP, HTTPS and a tunnel; asked by curl, openssl and raw bytes."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from charging_manager.http.cookies import CookieNames
from tests.http.test_tls import certificate, pem, rsa_key

pytestmark = pytest.mark.e2e
BEGUN = datetime.now(UTC) - timedelta(days=1)
ENDS = BEGUN + timedelta(days=90)
ROOT = Path(__file__).resolve().parent.parent.parent


class Server:
    """The small process of listener_process.py."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        folder.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.listener_process", str(folder), *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "stderr").open("wb"),
            text=True,
        )
        self.port: int = self.said()["port"]

    def said(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (self.folder / "stderr").read_text()
        return json.loads(line)

    def command(self, line: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.said()

    def connect(self, host: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection((host, self.port), timeout=15)

    def connect_tls(self, *alpn: str) -> ssl.SSLSocket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context.wrap_socket(self.connect(), server_hostname="localhost")

    def curl(self, url: str, *more: str) -> str:
        url = url.replace("PORT", str(self.port))
        done = subprocess.run(["curl", "-sik", "-m", "15", *more, url], capture_output=True, check=True)
        return done.stdout.decode()

    def memory_kib(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=20)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("cloud") / "d", "cloud")
    yield server
    server.stop()
    assert server.process.returncode == 0, (server.folder / "stderr").read_text()


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("agent") / "d")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def open_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("open") / "d", "cloud", "allow-http")
    yield server
    server.stop()


def until_closed(sock: socket.socket) -> bytes:
    data = b""
    try:
        while piece := sock.recv(65_536):
            data += piece
    except ConnectionResetError:
        pass
    return data


def plain_get(server: Server, target: str) -> Any:
    with server.connect() as sock:
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return json.loads(until_closed(sock).partition(b"\r\n\r\n")[2])


def eventually(server: Server, wanted: str) -> None:
    """Until the story of the streams holds ``wanted``."""
    deadline = time.monotonic() + 15
    while not any(wanted in each for each in plain_get(server, "/api/v1/story")):
        assert time.monotonic() < deadline


def test_one_port_answers_http_and_https_over_ipv4_and_ipv6(open_cloud: Server) -> None:
    for scheme in ("http", "https"):
        for host in ("127.0.0.1", "localhost", "[::1]"):
            answer = open_cloud.curl(f"{scheme}://{host}:PORT/api/v1/me")
            assert answer.startswith("HTTP/1.1 200"), answer
            assert '"loopback":true' in answer
    assert '"source":"127.0.0.1"' in open_cloud.curl("http://127.0.0.1:PORT/api/v1/me")


def test_browsers_that_offer_http2_get_http1(open_cloud: Server) -> None:
    assert open_cloud.curl("https://localhost:PORT/api/v1/me", "--http2").startswith("HTTP/1.1 200")
    with open_cloud.connect_tls("h2", "http/1.1") as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
    with open_cloud.connect_tls("h2") as sock:
        assert sock.selected_alpn_protocol() is None


def test_without_allow_http_the_cloud_says_to_use_https(cloud: Server) -> None:
    answer = cloud.curl("http://localhost:PORT/ui/fr/login.htm")
    assert answer.startswith("HTTP/1.1 400")
    assert "Content-Type: text/plain" in answer
    assert "https://" in answer
    assert cloud.curl("https://localhost:PORT/api/v1/me").startswith("HTTP/1.1 200")
    with cloud.connect() as sock:  # and it arrives whole, although we go on talking
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000)
        assert until_closed(sock).endswith(b"in front of its address.\n")


def test_the_agent_redirects_plain_http_of_foreign_names(agent: Server) -> None:
    assert agent.curl("http://localhost:PORT/api/v1/me").startswith("HTTP/1.1 200")
    answer = agent.curl("http://localhost:PORT/x?y", "-H", "Host: box.local:99")
    assert answer.startswith("HTTP/1.1 308")
    assert "Location: https://box.local:99/x?y" in answer
    assert agent.curl("https://localhost:PORT/api/v1/me", "-H", "Host: box.local").startswith("HTTP/1.1 200")


def test_the_agent_has_no_tunnel(agent: Server) -> None:
    with agent.connect_tls("cm-tunnel/1") as sock:
        assert sock.selected_alpn_protocol() is None


def test_tls_settings(cloud: Server) -> None:
    def openssl(*words: str) -> str:
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{cloud.port}", *words],
            input=b"",
            capture_output=True,
            timeout=20,
            check=False,
        )
        return (done.stdout + done.stderr).decode(errors="replace")

    assert "alert protocol version" in openssl("-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert "Protocol  : TLSv1.2" in openssl("-tls1_2") or "New, TLSv1.2" in openssl("-tls1_2")
    modern = openssl("-tls1_3")
    assert "TLSv1.3" in modern
    for version in ("-tls1_2", "-tls1_3"):  # no session is resumed, so that a new certificate is shown to everybody
        saved = str(cloud.folder / f"session{version}")
        openssl(version, "-sess_out", saved)
        assert not Path(saved).exists() or "Reused" not in openssl(version, "-sess_in", saved)
    assert "ALPN protocol: cm-tunnel/1" in openssl("-alpn", "cm-tunnel/1,http/1.1")
    assert "ALPN protocol: http/1.1" in openssl("-alpn", "http/1.1")


def test_a_client_hello_may_come_byte_by_byte(cloud: Server) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    client = context.wrap_bio(incoming, outgoing)
    with cloud.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(10):
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    sock.sendall(bytes([byte]))
                incoming.write(sock.recv(65_536))
        assert client.version() in ("TLSv1.2", "TLSv1.3")


def test_a_new_certificate_is_shown_while_tunnel_and_stream_go_on(cloud: Server) -> None:
    tunnel, stream = cloud.connect_tls("cm-tunnel/1"), cloud.connect_tls("http/1.1")
    tunnel.sendall(b"one")
    assert tunnel.recv(100) == b"tunnel:one"
    stream.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200 OK" in stream.recv(4096)
    old = tunnel.getpeercert(binary_form=True)
    (cloud.folder / "cert.pem").write_bytes(certificate(rsa_key(), start=BEGUN, end=ENDS))
    (cloud.folder / "key.pem").write_bytes(pem(rsa_key()))
    said = cloud.command(f"{cloud.folder}/cert.pem {cloud.folder}/key.pem")
    refused = cloud.command(f"{cloud.folder}/cert.pem {cloud.folder}/cert.pem")
    assert "not a private key" in refused["error"]
    with cloud.connect_tls() as fresh:
        shown = fresh.getpeercert(binary_form=True)
    assert shown is not None
    assert shown != old
    assert (
        subprocess.run(
            ["openssl", "x509", "-inform", "DER", "-noout", "-fingerprint", "-sha256"],
            input=shown,
            capture_output=True,
            check=True,
        )
        .stdout.decode()
        .strip()
        .partition("=")[2]
        .replace(":", "")
        .lower()
        == said["fingerprint"]
    )
    tunnel.sendall(b"two")
    assert tunnel.recv(100) == b"tunnel:two"
    assert b"id:" in stream.recv(4096)
    tunnel.close()
    stream.close()


def test_a_large_refused_body_still_gets_its_answer(agent: Server) -> None:
    with agent.connect() as sock:
        sock.sendall(b"PUT /api/v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000)
        assert until_closed(sock).startswith(b"HTTP/1.1 413")
    answer = agent.curl("https://localhost:PORT/api/v1/me", "-H", "Cookie: a=" + "x" * 20_000)
    assert answer.startswith("HTTP/1.1 431")
    assert answer.count("Set-Cookie: " + CookieNames("agent").login(True)) == 2


@pytest.mark.parametrize("secure", [False, True])
def test_a_reader_that_does_not_read_stops_the_stream_and_a_pushed_one_is_dropped(secure: bool, agent: Server) -> None:
    for query, left in (("pushy=0", "stopped with 1"), ("pushy=1", "stopped with 19")):
        before = len(plain_get(agent, "/api/v1/story"))
        sock = agent.connect_tls() if secure else agent.connect()
        sock.sendall(f"GET /api/v1/bulk?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        if query == "pushy=0":
            assert sock.recv(100).startswith(b"HTTP/1.1 200")
            sock.close()
        deadline = time.monotonic() + 15
        while len(story := plain_get(agent, "/api/v1/story")) == before:
            assert time.monotonic() < deadline
        assert left in story[-1]
        sock.close()


def test_a_download_arrives_whole(agent: Server) -> None:
    for scheme in ("http", "https"):
        path = agent.folder / "bulk.csv"
        subprocess.run(
            ["curl", "-skf", "-m", "60", "-o", str(path), f"{scheme}://localhost:{agent.port}/api/v1/bulk"], check=True
        )
        assert path.stat().st_size == 20_004_864


def test_streams_end_with_their_login(agent: Server) -> None:
    with agent.connect() as sock:
        cookie = "cm_plain_agent=t0ken"
        sock.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode())
        assert b"200 OK" in sock.recv(4096)
        assert agent.command("end-streams") == "ended"
        data = b""
        while not data.endswith(b"0\r\n\r\n"):
            data += sock.recv(4096)
    eventually(agent, "stopped")


def test_silence_is_ended_after_ten_seconds_and_500_slow_ones_hinder_nobody(agent: Server) -> None:
    before = agent.memory_kib()
    silent, shaking = agent.connect(), agent.connect()
    begun = time.monotonic()
    shaking.sendall(b"\x16\x03\x01")
    slow = [agent.connect() for _ in range(500)]
    for sock in slow:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    waits = []
    for _ in range(40):
        start = time.monotonic()
        plain_get(agent, "/api/v1/me")
        waits.append(time.monotonic() - start)
    assert sorted(waits)[37] < 0.5
    assert agent.memory_kib() - before < 40_000
    assert until_closed(silent) == until_closed(shaking) == b""
    assert 8 < time.monotonic() - begun < 14
    assert all(until_closed(sock).startswith(b"HTTP/1.1 408") for sock in slow[-5:])
    for sock in slow:
        sock.close()


def test_a_port_that_is_taken_is_one_sentence(agent: Server, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.listener_process", str(tmp_path / "d"), str(agent.port)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"port {agent.port}: is in use by another program; stop that one, or choose another port"
    )
