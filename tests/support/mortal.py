"""A daemon that is killed again and again at moments of a seeded generator, and what it has acknowledged meanwhile."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.api import Browser
from tests.support.processes import BIN, Running, eventually, free_port

MOST_S = 5.0
"""A start takes no longer, where nobody else wants the processors."""
_LOST = (OSError, http.client.HTTPException)


class Mortal:
    """One daemon on one state directory and one port; ``starts`` are wall and processor seconds of each start."""

    def __init__(self, plugin: str, data: Path, *options: str) -> None:
        self.plugin, self.data, self.options = plugin, data, options
        self.port = free_port()
        self.browser = Browser(self.port, timeout_s=20)
        self.process: Running | None = None
        self.starts: list[tuple[float, float]] = []

    def spawn(self) -> Running:
        """Begin to start it; returns at once."""
        command: list[str | Path] = [BIN / "twistd", "-n", self.plugin, "--data", str(self.data)]
        self.process = Running(*command, "--port", str(self.port), *self.options, cwd=self.data)
        return self.process

    def start(self) -> None:
        """Start it, and wait until it answers. Raises: AssertionError if that takes too long."""
        busy = os.getloadavg()[0] > (os.cpu_count() or 1)
        began_s = time.monotonic()
        process = self.spawn()
        try:
            eventually(lambda: self._answers(process), 60, 0.01)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{process.output}") from None
        wall_s, reckoned_s = time.monotonic() - began_s, processor_s(process.pid)
        self.starts.append((wall_s, reckoned_s))
        assert (reckoned_s if busy else wall_s) <= MOST_S, f"{wall_s:.1f} s, of which it reckoned {reckoned_s:.1f} s"

    def _answers(self, process: Running) -> bool:
        assert process.process.poll() is None, "it ended"
        return self.browser.call("GET", "/api/v1/me").status == 200

    def kill(self) -> None:
        """At once and without a word."""
        assert self.process is not None
        self.process.process.send_signal(signal.SIGKILL)
        self.process.process.wait(20)
        self.process._reader.join(5)

    def kill_within(self, delay_s: float, work: Callable[[], object]) -> None:
        """Let ``work`` go on until the daemon is killed, so long from now; how it ended is the ledger's business."""
        timer = threading.Timer(delay_s, self.kill)
        timer.start()
        try:
            work()
        finally:
            timer.join()


class Ledger:
    """Every acknowledged change, as the state that must be found again; the change in flight may be there or not."""

    def __init__(self, state: Any) -> None:
        self.state = state
        self.in_flight: Any = None
        self.acknowledged = 0

    def change(self, state: Any, ask: Callable[[], bool]) -> bool:
        """``ask`` makes the change that leads to ``state``. False: the daemon has gone."""
        self.in_flight = state
        try:
            assert ask(), "a change was refused"
        except _LOST:
            return False
        self.state, self.in_flight = state, None
        self.acknowledged += 1
        return True

    def compare(self, found: Any) -> None:
        """After a restart. Raises: AssertionError if something acknowledged is missing, or something else is there."""
        if self.in_flight is not None and found == self.in_flight:
            self.state = found
        assert found == self.state, f"acknowledged {self.state}, found {found}"
        self.in_flight = None


def processor_s(pid: int) -> float:
    """Seconds that a process has reckoned so far, all its threads together (proc_pid_stat(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
