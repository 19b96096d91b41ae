"""The runtime file is for the machine's own programs: whole, private, and named in one sentence when it is missing."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from charging_manager.daemon.runtime import RuntimeFile, read_runtime, remove_runtime, write_runtime
from charging_manager.errors import ConfigError


@pytest.fixture(autouse=True)
def _no_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    content = RuntimeFile(4443, "cm-cloud", "ab" * 32)
    path = write_runtime(tmp_path, content)
    assert read_runtime(tmp_path, 4443) == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_token_is_not_in_the_repr() -> None:
    content = RuntimeFile(4443, "cm-cloud", "ab" * 32)
    assert content.token not in repr(content)
    assert len(content.token) >= 40


def test_no_server_is_one_sentence_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="start it first"):
        read_runtime(tmp_path, 4443)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    write_runtime(tmp_path, RuntimeFile(4443, "cm-cloud", "")).write_text("{")
    with pytest.raises(ConfigError, match="restart the server"):
        read_runtime(tmp_path, 4443)


def test_removing_twice_is_no_trouble(tmp_path: Path) -> None:
    path = write_runtime(tmp_path, RuntimeFile(4443, "cm-cloud", ""))
    remove_runtime(path)
    remove_runtime(path)
    assert not path.exists()
