"""Files are written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from charging_manager.storage.files import write_private


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["secret"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["secret"]


def test_what_a_killed_process_left_is_cleared_up_when_it_is_old(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    for name in (".secret.0123abcd", ".secret.99999999", ".other.0123abcd"):
        (tmp_path / name).write_bytes(b"half")
    for name in (".secret.0123abcd", ".other.0123abcd"):
        os.utime(tmp_path / name, (1, 1))
    write_private(path, b"new")
    assert sorted(os.listdir(tmp_path)) == [".other.0123abcd", ".secret.99999999", "secret"]
