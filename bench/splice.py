"""Connections in end-to-end mode beside those through SniTun and OpenSSH, the same nginx behind, TLS by the browser.

What a peer needs must be installed: nginx and sshd (Debian: nginx-light, openssh-server), and SniTun for the Python
that ``SNITUN_PYTHON`` names (by default ours). Without one its figures are left out, which is said. All is measured in
turns, so that a neighbour on the machine disturbs all alike; ratios are medians over the turns.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import secrets
import selectors
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from attrs import frozen

from charging_manager.clocks import utc_now
from charging_manager.http.certificates import self_signed
from tests.support.api import Browser
from tests.support.processes import Running, answers, daemon, eventually, free_port, running
from tests.support.sites import PASSWORD, set_password

BULK_MIB = 256
SMALL = 1024
CONNECTIONS = 64
REQUESTS = 4_000
ROUNDS = 3
STALLED = 4
STALLED_MIB = 32
MBIT_PER_S, DELAY_MS = 20.0, 15.0
CLICKS = 25
LINE_S = 12.0

Figure = tuple[str, float, str, str, float]


@frozen
class Way:
    """How a browser reaches nginx: the port, and the name that it asks for."""

    name: str
    port: int
    host: str = "localhost"
    cloud_pid: int = 0
    """Ours: whose memory is looked at."""

    def connect(self) -> ssl.SSLSocket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", self.port), 60)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(plain, server_hostname=self.host)

    def request(self, path: str, close: bool = False) -> bytes:
        more = "Connection: close\r\n" if close else ""
        return f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n{more}\r\n".encode()

    def __str__(self) -> str:
        return self.name


# -- what is put together


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[int]:
    """A TLS server with /small (1 KiB) and /bulk."""
    port = free_port()
    (folder / "pair.pem").write_bytes(self_signed("localhost", utc_now()).to_pem())
    web = folder / "web"
    web.mkdir()
    (web / "small").write_bytes(b"y" * SMALL)
    for name, mib in (("bulk", BULK_MIB), ("part", STALLED_MIB)):
        with (web / name).open("wb") as file:
            file.truncate(mib << 20)
    (folder / "nginx.conf").write_text(f"""
daemon off; pid {folder}/nginx.pid; error_log stderr error; worker_processes 1;
events {{ worker_connections 512; }}
http {{
  access_log off; keepalive_requests 1000000; tcp_nodelay on; sendfile on;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port} ssl; root {web};
    ssl_certificate {folder}/pair.pem; ssl_certificate_key {folder}/pair.pem;
  }}
}}
""")
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    folder.chmod(0o755)
    with running(binary, "-c", folder / "nginx.conf", "-g", f"user {_user()};") as process:
        eventually(lambda: answers(port) or process.process.poll() is not None)
        yield port


def _user() -> str:
    return "root" if os.getuid() == 0 else "nobody"


@contextlib.contextmanager
def ours(folder: Path, nginx_port: int, through: Callable[[int], int]) -> Iterator[Way]:
    """A real cm-cloud, and an agent whose connections end at nginx; ``through`` may put a line between both."""
    data = folder / "cloud"
    set_password(data)
    password = secrets.token_urlsafe(15)
    with daemon("cm-cloud", data) as (cloud, port):
        keeper = Browser(port, secure=True)
        keeper.post("/api/v1/cloud/admin/login", {"password": PASSWORD})
        keeper.post("/api/v1/cloud/admin/installations", {"cloud_id": "bench", "password": password})
        agent = (folder / "agent").as_posix()
        Path(agent).mkdir()
        command = (sys.executable, "-m", "bench.splice_ends", "forward", str(through(port)), str(nginx_port))
        with running(*command, "bench", password, agent) as process:
            label = process.wait_line("label ").split()[1]
            yield Way("ours", port, f"{label}.localhost", cloud.pid)


@contextlib.contextmanager
def snitun(nginx_port: int, through: Callable[[int], int]) -> Iterator[Way]:
    from cryptography.fernet import Fernet

    python = os.environ.get("SNITUN_PYTHON", sys.executable)
    sni, peer, key = free_port(), free_port(), Fernet.generate_key().decode()
    end = (python, "-m", "bench.splice_ends")
    with running(*end, "snitun-server", str(sni), str(peer), key) as server:
        server.wait_line("ready")
        arguments = (str(through(peer)), str(nginx_port), key, "bench.snitun.example")
        with running(*end, "snitun-client", *arguments) as client:
            client.wait_line("ready")
            yield Way("snitun", sni, "bench.snitun.example")


@contextlib.contextmanager
def openssh(folder: Path, nginx_port: int, through: Callable[[int], int]) -> Iterator[Way]:
    """``ssh -R`` with AES-GCM."""
    port, open_port = free_port(), free_port()
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True, capture_output=True
        )
    shutil.copy(folder / "user.pub", folder / "authorized")
    for name in ("host", "user", "authorized"):
        (folder / name).chmod(0o600)
    Path("/run/sshd").mkdir(exist_ok=True)
    options = ("StrictModes=no", "UsePAM=no", "AllowTcpForwarding=yes", "PermitRootLogin=yes", "MaxSessions=1000")
    more = [word for option in options for word in ("-o", option)]
    server = ("/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", str(port), "-h", folder / "host")
    with running(*server, "-o", f"AuthorizedKeysFile={folder}/authorized", "-o", "ListenAddress=127.0.0.1", *more):
        eventually(lambda: answers(port))
        known = ("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder}/known", "-o", "LogLevel=ERROR")
        target = ("-R", f"127.0.0.1:{open_port}:127.0.0.1:{nginx_port}", "-p", str(through(port)), "127.0.0.1")
        with running("ssh", "-N", "-i", folder / "user", "-c", "aes128-gcm@openssh.com", *known, *target):
            eventually(lambda: answers(open_port))
            yield Way("openssh", open_port)


def _has(what: str) -> bool:
    if what == "openssh":
        return Path("/usr/sbin/sshd").exists() and shutil.which("ssh") is not None
    if what == "nginx":
        return shutil.which("nginx") is not None or Path("/usr/sbin/nginx").exists()
    python = os.environ.get("SNITUN_PYTHON", sys.executable)
    return subprocess.run([python, "-c", "import snitun"], capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def all_ways(slow: bool = False) -> Iterator[dict[str, Way]]:
    """Every way that can be built here, by name; with ``slow`` a thin line lies between tunnel server and client."""
    for what in ("nginx", "openssh", "snitun"):
        if not _has(what):
            print(f"# {what} is not here: its figures are left out", flush=True)
    if not _has("nginx"):
        yield {}
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")))

        def through(port: int) -> int:
            if not slow:
                return port
            near = free_port()
            words = (str(near), str(port), str(MBIT_PER_S), str(DELAY_MS))
            line: Running = stack.enter_context(running(sys.executable, "-m", "bench.slow_line", *words))
            line.wait_line("ready")
            return near

        port = stack.enter_context(nginx(folder))
        found = {"direct": Way("direct", through(port)), "ours": stack.enter_context(ours(folder, port, through))}
        if _has("openssh"):
            found["openssh"] = stack.enter_context(openssh(folder, port, through))
        if _has("snitun"):
            found["snitun"] = stack.enter_context(snitun(port, through))
        yield found


# -- what is measured


def bulk_mb_s(way: Way) -> float:
    """One download by curl."""
    to = f"{way.host}:{way.port}"
    command = ["curl", "-sk", "--resolve", f"{to}:127.0.0.1", "-o", "/dev/null", "-w", "%{speed_download}"]
    done = subprocess.run([*command, f"https://{to}/bulk"], check=True, capture_output=True, text=True, timeout=120)
    return float(done.stdout) / 1e6


class Asker:
    """One connection with one request of 1 KiB in flight."""

    def __init__(self, way: Way) -> None:
        self.socket = way.connect()
        self.socket.setblocking(False)
        self._request, self._got, self._want = way.request("/small"), b"", 0

    def ask(self) -> None:
        self.socket.send(self._request)

    def answered(self) -> bool:
        while True:
            try:
                data = self.socket.recv(65_536)
            except ssl.SSLWantReadError:
                return False
            if not data:
                raise ConnectionError("closed")
            self._got += data
            if not self._want and b"\r\n\r\n" in self._got:
                self._want = self._got.index(b"\r\n\r\n") + 4 + SMALL
            if self._want and len(self._got) >= self._want:
                self._got, self._want = b"", 0
                return True


def requests_per_s(way: Way) -> float:
    ready = selectors.DefaultSelector()
    askers = [Asker(way) for _ in range(CONNECTIONS)]
    for asker in askers:
        ready.register(asker.socket, selectors.EVENT_READ, asker)
        asker.ask()
    began_s, done = time.perf_counter(), 0
    while done < REQUESTS:
        for key, _ in ready.select(10):
            if key.data.answered():
                done += 1
                key.data.ask()
    took_s = time.perf_counter() - began_s
    for asker in askers:
        asker.socket.close()
    return done / took_s


def click_ms(talk: ssl.SSLSocket, way: Way) -> float:
    """1 KiB asked for and read on a connection that is open."""
    began_s = time.perf_counter()
    talk.sendall(way.request("/small"))
    got = b""
    while b"\r\n\r\n" not in got or len(got) < got.index(b"\r\n\r\n") + 4 + SMALL:
        data = talk.recv(65_536)
        if not data:
            raise ConnectionError("closed")
        got += data
    return (time.perf_counter() - began_s) * 1000


class Download:
    """A download at full speed in a thread, until it is stopped; ``bytes`` counts."""

    def __init__(self, way: Way) -> None:
        self.bytes = 0
        self._over = False
        self._talk = way.connect()
        self._talk.sendall(way.request("/bulk") * 8)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        buffer = bytearray(262_144)
        with contextlib.suppress(OSError, ValueError):
            while not self._over:
                size = self._talk.recv_into(buffer)
                if not size:
                    return
                self.bytes += size

    def stop(self) -> None:
        self._over = True
        with contextlib.suppress(OSError):
            self._talk.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._talk.close()


def p(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def speed() -> list[Figure]:
    """Bulk and small requests, in turns; and a click beside a download on this machine."""
    with all_ways() as ways:
        if not ways:
            return []
        bulk: dict[str, list[float]] = {name: [] for name in ways}
        small: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(2 * ROUNDS):
            for name, way in ways.items():
                bulk[name].append(bulk_mb_s(way))
                small[name].append(requests_per_s(way))
        for name in ways:
            mb_s, per_s = statistics.median(bulk[name]), statistics.median(small[name])
            print(f"# {name}: {mb_s:.0f} MB/s, {per_s:.0f} requests/s", flush=True)
        figures = [_ratio("splice-bulk", "direct", bulk, 0.3), _ratio("splice-requests", "direct", small, 0.2)]
        if "snitun" in ways:
            figures += [_ratio("splice-bulk", "snitun", bulk, 3), _ratio("splice-requests", "snitun", small, 1.3)]
        if "openssh" in ways:
            figures.append(_ratio("splice-bulk", "openssh", bulk, 1))
        return [*figures, *_beside(ways), *_stalled(ways["ours"])]


def _ratio(name: str, peer: str, values: dict[str, list[float]], goal: float) -> Figure:
    ratio = statistics.median(mine / other for mine, other in zip(values["ours"], values[peer], strict=True))
    return (f"{name}-of-{peer}", ratio, "times", ">=", goal)


def _clicks(way: Way, count: int) -> list[float]:
    with way.connect() as talk:
        return [click_ms(talk, way) for _ in range(count)]


@contextlib.contextmanager
def _downloading(way: Way) -> Iterator[None]:
    """At full speed, by a reader of the lowest priority: it takes what the machine's cores have left, for that a click
    waits for a core is not the tunnel's doing."""
    to = f"{way.host}:{way.port}"
    wanted = ["-o", "/dev/null", f"https://{to}/bulk"] * 64
    command = ["nice", "-n", "19", "curl", "-sk", "--resolve", f"{to}:127.0.0.1", *wanted]
    with running(*command) as reader:
        time.sleep(0.3)
        yield
        if reader.process.poll() is not None:
            raise ConnectionError(f"the download through {way} was over too soon")


def _beside(ways: dict[str, Way]) -> list[Figure]:
    """A click beside a download, in turns; the other ways' figures say what the machine alone does."""
    alone: dict[str, list[list[float]]] = {name: [] for name in ways}
    beside: dict[str, list[list[float]]] = {name: [] for name in ways}
    for _ in range(2 * ROUNDS):
        for name, way in ways.items():
            alone[name].append(_clicks(way, 300))
            with _downloading(way):
                beside[name].append(_clicks(way, 300))

    def middle(values: list[list[float]], percent: int) -> float:
        return statistics.median(p(clicks, percent) for clicks in values)

    for name in ways:
        shown = [f"{middle(values[name], percent):.2f}" for values in (alone, beside) for percent in (50, 99)]
        print("# {}: a click takes {} ms (p99 {}), beside a download {} ms (p99 {})".format(name, *shown), flush=True)
    ratio = middle(beside["ours"], 99) / middle(alone["ours"], 99)
    return [("splice-beside-bulk-p99", ratio, "times-alone", "<=", 3)]


def _stalled(way: Way) -> list[Figure]:
    """Four readers that stop, and go on later: others do not wait, little is held, and all four get everything."""
    alone_ms, beside_ms, held = [], [], []
    complete = 0
    for _ in range(ROUNDS):
        alone_ms.append(p(_clicks(way, 300), 95))
        before = held_bytes(way.cloud_pid)
        readers = [way.connect() for _ in range(STALLED)]
        for talk in readers:
            talk.sendall(way.request("/part", close=True))
        time.sleep(1)
        held.append(held_bytes(way.cloud_pid) - before)
        beside_ms.append(p(_clicks(way, 300), 95))
        sizes = [_read_all(talk) for talk in readers]
        complete += sum(size >= STALLED_MIB << 20 for size in sizes)
    return [
        (
            "splice-stalled-others-p95",
            statistics.median(beside_ms) / statistics.median(alone_ms),
            "times-alone",
            "<=",
            2,
        ),
        ("splice-stalled-held", max(held) / (1 << 20), "MiB", "<=", 8),
        ("splice-stalled-complete", complete / ROUNDS, f"of-{STALLED}", ">=", STALLED),
    ]


def _read_all(talk: ssl.SSLSocket) -> int:
    size = 0
    with talk, contextlib.suppress(OSError):
        while data := talk.recv(1 << 20):
            size += len(data)
    return size


def held_bytes(pid: int) -> int:
    """What a process holds: its memory, and in the kernel what lies in its sockets and pipes."""
    names = {}
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            names[link] = os.readlink(link)
    queues = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            queues[f"socket:[{words[9]}]"] = sum(int(size, 16) for size in words[4].split(":"))
    held = sum(queues.get(name, 0) for name in names.values())
    pipes = {name: link for link, name in names.items() if name.startswith("pipe:")}
    for link in pipes.values():
        with contextlib.suppress(OSError), link.open("rb", 0) as pipe:
            size = array.array("i", [0])
            fcntl.ioctl(pipe, termios.FIONREAD, size)
            held += size[0]
    status = Path(f"/proc/{pid}/status").read_text()
    return held + int(status.partition("VmRSS:")[2].split()[0]) * 1024


def thin() -> list[Figure]:
    """20 Mbit/s and 30 ms: a click beside a download, and the first page on a new connection."""
    with all_ways(slow=True) as ways:
        medians: dict[str, float] = {}
        figures: list[Figure] = []
        for name, way in ways.items():
            first = []
            for _ in range(9):
                began_s = time.perf_counter()
                with way.connect() as talk:
                    click_ms(talk, way)
                first.append((time.perf_counter() - began_s) * 1000)
            download = Download(way)
            began_s = time.perf_counter()
            with way.connect() as talk:
                time.sleep(2)
                clicks = []
                had, began_s = download.bytes, time.perf_counter()
                while time.perf_counter() - began_s < LINE_S or len(clicks) < CLICKS:
                    clicks.append(click_ms(talk, way))
                    time.sleep(0.1)
            rate = (download.bytes - had) * 8 / (time.perf_counter() - began_s) / 1e6
            download.stop()
            medians[name] = statistics.median(clicks)
            print(
                f"# {name}: click beside a download {medians[name]:.0f} ms (p95 {p(clicks, 95):.0f}), "
                f"download {rate:.1f} Mbit/s, first page {statistics.median(first):.0f} ms",
                flush=True,
            )
            if name == "ours":
                figures = [
                    ("splice-thin-click", medians[name], "ms", "<=", 170),
                    ("splice-thin-download", rate / MBIT_PER_S, "of-the-line", ">=", 0.9),
                    ("splice-thin-first-page", statistics.median(first), "ms", "<=", 130),
                ]
        return figures


FIGURES: dict[str, Callable[[], list[Figure]]] = {"splice-speed": speed, "splice-thin": thin}
