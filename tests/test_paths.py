"""One rule finds the state directory and the shared files; what is created is private."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from charging_manager.errors import ConfigError
from charging_manager.paths import make_private, runtime_folder, shared, state_folder


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_the_option_wins_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/elsewhere")
    assert state_folder(str(tmp_path)) == tmp_path


def test_systemd_names_the_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")
    assert state_folder(None) == Path("/var/lib/a")


def test_agent_and_cloud_differ_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder(None, "cloud").name == state_folder(None, "agent").name + "-cloud"


def test_the_runtime_folder_is_below_the_state_directory_or_systemds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runtime_folder(tmp_path) == tmp_path / "run"
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/cm")
    assert runtime_folder(tmp_path) == Path("/run/cm")


def test_a_private_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    made = make_private(tmp_path / "a" / "b")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="--data"):
        make_private(tmp_path / "file" / "below")


def test_shared_folders_are_found_in_a_checkout() -> None:
    assert (shared("drivers").parent / "setup.cfg").exists()


def test_a_missing_shared_folder_says_to_install_again() -> None:
    with pytest.raises(ConfigError, match="install"):
        shared("no-such-folder")
