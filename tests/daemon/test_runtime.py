"""The runtime file is for the machine's own programs: whole, private, and named in one sentence when it is missing."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from charging_manager.daemon.runtime import RuntimeFile, read_runtime, remove_runtime, write_runtime
from charging_manager.errors import ConfigError
from charging_manager.paths import runtime_folders


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


def test_a_daemon_of_the_packages_is_found_where_its_unit_put_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    assert runtime_folders(Path("/var/lib/charging-manager-cloud"))[1:] == (
        Path("/var/lib/charging-manager-cloud/run"),
        Path("/run/charging-manager-cloud"),
    )
    assert Path("/run/data") not in runtime_folders(Path("/home/me/data"))


def test_it_is_read_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = RuntimeFile(4443, "cloud", "ab")
    write_runtime(tmp_path / "data", content)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    assert read_runtime(tmp_path / "data", 4443) == content
