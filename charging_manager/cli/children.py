"""Child processes that end with their parent, whatever ends it."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import TypeVar

from charging_manager.errors import ChargingManagerError

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None)


class ChildEnded(ChargingManagerError):
    """A child stopped by itself; the message holds its last words."""


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """One process with its output in a file."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name, self.log = name, log
        with log.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )

    def check(self) -> None:
        """Raises: ChildEnded with its last line."""
        status = self._process.poll()
        if status is not None:
            lines = self.log.read_text("utf-8", "replace").strip().splitlines() or [f"status {status}"]
            raise ChildEnded(f"{self.name} ended: {lines[-1]}")

    def ask_to_end(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()

    def end(self, within_s: float) -> None:
        """Wait for its end; kill it after ``within_s``."""
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Family:
    """Children that live and end together, the last started ending first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: list[Child] = []
        self.stop_wanted = Event()

    def start(self, name: str, command: list[str]) -> Child:
        child = Child(name, command, self._folder / f"{name}.log")
        self._children.append(child)
        return child

    def until(self, condition: Callable[[], T], what: str, within_s: float = 60.0) -> T:
        """The first true result of ``condition``; OSError counts as not yet. Raises: ChildEnded, KeyboardInterrupt."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            for child in self._children:
                child.check()
            try:
                result = condition()
                if result:
                    return result
            except OSError:
                pass
            if self.stop_wanted.wait(0.1):
                raise KeyboardInterrupt
        raise ChargingManagerError(f"{what}: not within {within_s:.0f} s; the logs are in {self._folder}")

    def watch(self) -> None:
        """Return when a stop is wanted. Raises: ChildEnded when one ends by itself."""
        while not self.stop_wanted.wait(0.5):
            for child in self._children:
                child.check()

    def end(self) -> None:
        for child in reversed(self._children):
            child.ask_to_end()
            child.end(15.0)
