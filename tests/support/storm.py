"""A cloud with thousands of agents is killed and begun anew; meanwhile somebody opens the login page."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from itertools import pairwise
from pathlib import Path

from attrs import define, field, frozen

from tests.support.processes import BIN, Running, answers, eventually, free_port
from tests.support.sites import set_password
from tests.support.swarm import Swarm, furnish, swarm

_LEAST_VISITS = 150
_PAGE = b"GET /ui/en/login.htm HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@frozen
class Storm:
    """What was seen. Times in seconds; memory as resident KiB of the cloud for each agent."""

    kib_each: float
    kib_each_after: float
    """And when all are back."""
    cpu_each_s: float
    """Of the cloud, from its start until all were back."""
    back_s: float
    """From the kill until the last agent was back."""
    page_p99_s: float
    page_worst_s: float
    page_failures: int
    visits: int
    tries: int
    most_tries: int
    least_gap_s: float
    """Between two tries of one agent."""
    put_off: int


def storm(folder: Path, count: int, processes: int, within_s: float) -> Storm:
    """Let so many agents come, kill the cloud, start it again, wait for all. Raises: AssertionError if they do not."""
    data = furnished(folder, count)
    port = free_port()
    cloud = started(data, port)
    try:
        before = resident_kib(cloud.pid)
        with swarm(port, count, processes) as agents:
            all_here(agents, count, 30 + count / 20)
            kib = _settled_kib(cloud.pid)
            agents.ask("mark")
            cloud.process.kill()
            cloud.process.wait()
            killed_s = time.monotonic()
            cloud = started(data, port)
            guest = Guest(port)
            guest.start()
            all_here(agents, count, within_s + 60)
            stats, cpu_s = agents.stats(), _cpu_s(cloud.pid)
            guest.stop(_LEAST_VISITS)
            kib_after = _settled_kib(cloud.pid)
            took = sorted(filter(None, guest.took_s))
            return Storm(
                kib_each=(kib - before) / count,
                kib_each_after=(kib_after - before) / count,
                cpu_each_s=cpu_s / count,
                back_s=stats["last_up_s"] - killed_s,
                page_p99_s=took[len(took) * 99 // 100],
                page_worst_s=took[-1],
                page_failures=guest.failures,
                visits=len(took),
                tries=int(stats["tries"]),
                most_tries=int(stats["most_tries"]),
                least_gap_s=stats["least_gap_s"],
                put_off=int(stats["put_off"]),
            )
    finally:
        cloud.process.kill()
        cloud.stop()


@frozen
class HandOver:
    """What was seen of a cloud that was stopped in order and begun anew. Times in seconds."""

    page_failures: int
    page_gap_s: float
    """The longest time without an answered visit."""
    ended_s: float
    """From the signal until the old process was gone."""
    status: int
    back_s: float
    """From the signal until the last agent was back."""
    tries: int
    least_gap_s: float


def hand_over(folder: Path, count: int, *, socket_stays: bool) -> HandOver:
    """Stop a cloud with so many agents by SIGTERM and begin it anew; ``socket_stays``: we listen, as systemd may."""
    data = furnished(folder, count)
    port = free_port()
    ours = socket.create_server(("127.0.0.1", port), backlog=4096) if socket_stays else None
    cloud = started(data, port, ours)
    try:
        with swarm(port, count, 1) as agents:
            all_here(agents, count, 60)
            guest = Guest(port)
            guest.start()
            eventually(lambda: len(guest.took_s) >= 10)
            agents.ask("mark")
            told_s = time.monotonic()
            status = cloud.stop(within_s=30)
            ended_s = time.monotonic() - told_s
            cloud = started(data, port, ours)
            all_here(agents, count, 60)
            stats = agents.stats()
            guest.stop()
        answered = [at_s for at_s, took_s in zip(guest.ended_s, guest.took_s, strict=True) if took_s is not None]
        return HandOver(
            page_failures=guest.failures,
            page_gap_s=max(later - earlier for earlier, later in pairwise(answered)),
            ended_s=ended_s,
            status=status,
            back_s=stats["last_up_s"] - told_s,
            tries=int(stats["tries"]),
            least_gap_s=stats["least_gap_s"],
        )
    finally:
        cloud.process.kill()
        cloud.stop()
        if ours is not None:
            ours.close()


def furnished(folder: Path, count: int) -> Path:
    """The state directory of a cloud that knows so many installations."""
    data = folder / "cloud"
    data.mkdir(mode=0o700)
    set_password(data, "the cloud's admin password")
    furnish(data, count)
    return data


def started(data: Path, port: int, passed: socket.socket | None = None) -> Running:
    command = [BIN / "twistd", "-n", "cm-cloud", "--data", data, "--port", str(port), "--loglevel", "2"]
    if passed is None:
        cloud = Running(*command, cwd=data)
    else:
        shell = f'exec 3<&{passed.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=main exec "$@"'
        cloud = Running("bash", "-c", shell, "bash", *command, cwd=data, pass_fds=[passed.fileno()])
    eventually(lambda: answers(port))
    return cloud


def all_here(agents: Swarm, count: int, within_s: float) -> None:
    eventually(lambda: agents.connected == count, within_s, every_s=0.5)


def _settled_kib(pid: int) -> int:
    """When it grows no more."""
    last = [0]

    def settled() -> bool:
        earlier, last[0] = last[0], resident_kib(pid)
        return last[0] <= earlier

    eventually(settled, every_s=1.0)
    return last[0]


def resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@define
class Guest:
    """Opens the login page on a new connection each time, from another address than any agent."""

    port: int
    took_s: list[float | None] = field(factory=list)
    """None: it failed."""
    ended_s: list[float] = field(factory=list)
    failures: int = 0
    _over: threading.Event = field(factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._visit_often, daemon=True)
        self._thread.start()

    def stop(self, least: int = 0) -> None:
        """When it has been there so often."""
        eventually(lambda: len(self.took_s) >= least, 60)
        self._over.set()
        assert self._thread is not None
        self._thread.join(60)

    def _visit_often(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        while not self._over.wait(0.05):
            began_s = time.monotonic()
            try:
                answered = self._visit(context)
            except OSError:
                answered = False
            self.failures += not answered
            self.ended_s.append(time.monotonic())
            self.took_s.append(self.ended_s[-1] - began_s if answered else None)

    def _visit(self, context: ssl.SSLContext) -> bool:
        plain = socket.create_connection(("127.0.0.1", self.port), 30, source_address=("127.0.9.9", 0))
        with plain, context.wrap_socket(plain) as wire:
            wire.sendall(_PAGE)
            page = b"".join(iter(lambda: wire.recv(65_536), b""))
        return page.startswith(b"HTTP/1.1 200 ") and b"</html>" in page
