"""A network namespace of its own for a test, made and removed by ``ip``; needs root."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest
from attrs import frozen

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000


@frozen
class Namespace:
    """``command`` runs there; ``inside`` does a piece of work of this process there."""

    name: str

    def command(self, *words: str | Path) -> tuple[str | Path, ...]:
        return ("ip", "netns", "exec", self.name, *words)

    def inside(self, work: Callable[[], T]) -> T:
        """The sockets that ``work`` opens are opened there. Raises: what it raises."""
        result: list[Any] = []

        def enter() -> None:
            try:
                with Path(f"/run/netns/{self.name}").open("rb") as there:
                    libc = ctypes.CDLL(None, use_errno=True)
                    if libc.setns(there.fileno(), _CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                result.append((True, work()))
            except BaseException as error:
                result.append((False, error))

        thread = threading.Thread(target=enter)  # a namespace is a thread's own
        thread.start()
        thread.join()
        good, value = result[0]
        if not good:
            raise value
        return value  # type: ignore[no-any-return]


def _leave_out(reason: str) -> NoReturn:
    if os.environ.get("CM_LEAVE_OUT_NONE"):
        pytest.fail(f"nothing may be left out here, and this cannot be done: {reason}")
    pytest.skip(reason)


@contextlib.contextmanager
def namespace(name: str) -> Iterator[Namespace]:
    """For the length of a block; the test is left out where that is not allowed, but never by CI."""
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        _leave_out("needs root and /dev/net/tun")
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        _leave_out(f"no network namespace can be made here: {made.stderr.strip()}")
    try:
        yield Namespace(name)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)
