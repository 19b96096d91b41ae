"""Real daemons for end-to-end tests: on free ports, waited for by condition, stopped by their pid."""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from signal import SIGCONT, SIGTERM, Signals
from typing import TypeVar

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
BELOW_EPHEMERAL = range(15000, 32000)


def free_port() -> int:
    """A port that nobody listens on now, and that no connection or listener on port 0 is given meanwhile."""
    while True:
        port = secrets.choice(BELOW_EPHEMERAL)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def eventually(condition: Callable[[], T], within_s: float = 30.0, every_s: float = 0.05) -> T:
    """The first true result of ``condition``; an exception counts as not yet. Raises: AssertionError in the end."""
    pause = threading.Event()
    deadline = time.monotonic() + within_s
    trouble: object = None
    while time.monotonic() < deadline:
        try:
            result = condition()
            if result:
                return result
            trouble = result
        except Exception as error:
            trouble = error
        pause.wait(every_s)
    raise AssertionError(f"not within {within_s} s; last: {trouble!r}")


def throughout(condition: Callable[[], object], for_s: float, every_s: float = 0.05) -> None:
    """``condition`` holds from now on for so long. Raises: AssertionError at the first look at which it does not."""
    pause = threading.Event()
    until_s = time.monotonic() + for_s
    while time.monotonic() < until_s:
        assert condition()
        pause.wait(every_s)


class Running:
    """A process whose output is collected; ``stop`` ends it by its pid and returns its status."""

    def __init__(
        self,
        *command: str | Path,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.lines: list[str] = []
        self._fresh: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd or ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            start_new_session=True,
            pass_fds=pass_fds,
        )
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def _collect(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._fresh.put(line)
        self._fresh.put(None)

    def wait_line(self, part: str, within_s: float = 30.0) -> str:
        """The first line that holds ``part``. Raises: AssertionError with all output if it does not come."""
        deadline = time.monotonic() + within_s
        while True:
            for line in list(self.lines):
                if part in line:
                    return line
            try:
                if self._fresh.get(timeout=max(0.0, deadline - time.monotonic())) is None:
                    raise AssertionError(f"ended without {part!r}:\n{self.output}")
            except queue.Empty:
                raise AssertionError(f"no {part!r} within {within_s} s:\n{self.output}") from None

    def signal(self, number: Signals) -> None:
        self.process.send_signal(number)

    def wait(self, within_s: float = 30.0) -> int:
        return self.process.wait(within_s)

    def stop(self, number: Signals = SIGTERM, within_s: float = 20.0) -> int:
        if self.process.poll() is None:
            self.process.send_signal(SIGCONT)
            self.process.send_signal(number)
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"did not stop within {within_s} s:\n{self.output}") from None
        finally:
            self._reader.join(5)


@contextlib.contextmanager
def running(*command: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> Iterator[Running]:
    """A process for the length of a block."""
    process = Running(*command, env=env, cwd=cwd)
    try:
        yield process
    finally:
        process.stop()


def answers(port: int) -> bool:
    """Does something accept connections there?"""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextlib.contextmanager
def daemon(
    plugin: str, data: Path, *options: str, port: int | None = None, env: dict[str, str] | None = None
) -> Iterator[tuple[Running, int]]:
    """``twistd -n cm-agent`` or ``cm-cloud`` on ``data``; yields it and its port once it answers."""
    number = port or free_port()
    command: list[str | Path] = [BIN / "twistd", "-n", plugin, "--data", str(data), "--port", str(number), *options]
    with running(*command, cwd=data, env=env) as process:
        try:
            eventually(lambda: process.process.poll() is not None or answers(number))
            assert process.process.poll() is None, f"{plugin} ended:\n{process.output}"
        except AssertionError as error:
            raise AssertionError(f"{error}\n{process.output}") from None
        yield process, number
