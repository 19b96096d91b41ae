"""A small disk of its own that a test fills up and frees again; needs root."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen


@frozen
class SmallDisk:
    """``path`` is where it lies."""

    path: Path

    @property
    def _filler(self) -> Path:
        return self.path / "filler"

    def fill(self, left: int = 0) -> None:
        """Until nothing fits any more, or ``left`` bytes."""
        with self._filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        if left:
            with self._filler.open("r+b") as file:
                file.truncate(max(0, self._filler.stat().st_size - left))

    def free(self) -> None:
        """Room again."""
        self._filler.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(path: Path, mib: int) -> Iterator[SmallDisk]:
    """For the length of a block; the test is left out where that is not allowed, but never by CI."""
    path.mkdir()
    reason = "needs root, to mount a small disk"
    if os.geteuid() == 0:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", path], capture_output=True, text=True
        )
        reason = made.stderr.strip() if made.returncode else ""
    if reason and os.environ.get("CM_LEAVE_OUT_NONE"):
        pytest.fail(f"nothing may be left out here, and this cannot be done: {reason}")
    if reason:
        pytest.skip(reason)
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", path], check=True)
