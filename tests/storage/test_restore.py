"""A restore that is cut off at any step goes on at the next start; before it is confirmed nothing has changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pytest

from charging_manager.errors import ConfigError
from charging_manager.storage.backup import make_backup
from charging_manager.storage.daemons import fits_only
from charging_manager.storage.restore import commit, discard, finish, stage, staged

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD = {"admin": "old", "agent/db": "old", "agent/only-now": "old", "extra": "old"}
NEW = {"admin": "new", "agent/db": "new", "drivers/a.toml": "new"}


def lay(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def held(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    lay(tmp_path / "source", NEW)
    make_backup(tmp_path / "source", tmp_path / "file", "charging-manager 1.0", AT)
    return tmp_path / "file"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    lay(tmp_path / "data", {**OLD, "run/8080.json": "run", "backups/one": "kept", "backup-passphrase": "kept"})
    return tmp_path / "data"


STAYING = {"run/8080.json": "run", "backups/one": "kept", "backup-passphrase": "kept"}


def fine(_: Path) -> None:
    pass


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Whether ``work`` was still at work when it wanted to change the disk for the ``number``-th time."""
    count = 0

    class Killed(BaseException):
        pass

    def counted(change: Callable[..., object]) -> Callable[..., object]:
        def run(*args: object, **kw: object) -> object:
            nonlocal count
            count += 1
            if count > number:
                raise Killed
            return change(*args, **kw)

        return run

    names = ("rename", "replace", "unlink", "mkdir", "rmdir")
    patches = [patch.object(os, name, counted(getattr(os, name))) for name in names]
    for one in patches:
        one.start()
    try:
        work()
    except Killed:
        return True
    finally:
        for one in patches:
            one.stop()
    return False


def test_wherever_it_is_cut_off_the_state_is_the_old_one_or_at_the_next_start_the_new_one(
    backup: Path, tmp_path: Path
) -> None:
    for number in range(1000):
        data = tmp_path / f"data-{number}"
        lay(data, {**OLD, **STAYING})
        whole = stage(backup, data, fine)
        cut = killed_at(number, lambda data=data, whole=whole: (commit(data, whole, AT), finish(data)))  # type: ignore[misc]
        committed = (data / ".restore/ready").is_file()
        done = finish(data)
        inside = held(data)
        if done is None and cut and not committed and inside == {**OLD, **STAYING}:
            continue  # it had not been confirmed
        aside = {f"before-restore-20260301-120000/{name}": text for name, text in OLD.items()}
        assert inside == {**NEW, **STAYING, **aside}, number
        assert finish(data) is None
        if not cut:
            assert number > 8
            return
    raise AssertionError("it never came to an end")


def test_nothing_changes_before_it_is_confirmed(backup: Path, data: Path) -> None:
    before = held(data)
    stage(backup, data, fine)
    assert staged(data) is not None
    discard(data)
    assert staged(data) is None and held(data) == before
    stage(backup, data, fine)
    assert finish(data) is None  # a start clears up what nobody confirmed
    assert held(data) == before


def test_what_is_not_fit_leaves_nothing_behind(backup: Path, data: Path) -> None:
    before = held(data)

    def newer(state: Path) -> None:
        assert (state / "admin").read_text() == "new"
        raise ConfigError("db", "was written by a newer Charging Manager")

    with pytest.raises(ConfigError, match="newer"):
        stage(backup, data, newer)
    assert held(data) == before and staged(data) is None


def test_another_daemon_s_state_is_refused_before_it_is_unpacked(backup: Path, data: Path) -> None:
    before = held(data)
    with pytest.raises(ConfigError, match="an agent's backup; restore it at an agent"):
        stage(backup, data, never, fits=fits_only("cloud"))
    assert held(data) == before and staged(data) is None
    assert stage(backup, data, fine, fits=fits_only("agent")).daemons == {"agent"}


def never(_: Path) -> None:
    raise AssertionError("it was unpacked")


def test_two_restores_do_not_mix(backup: Path, data: Path) -> None:
    first = stage(backup, data, fine)
    commit(data, first, AT)
    with pytest.raises(ConfigError, match="confirmed already"):
        stage(backup, data, fine)
    discard(data)  # what is confirmed is not discarded
    assert finish(data) is not None and (data / "admin").read_text() == "new"
    with pytest.raises(ConfigError, match="look at the backup again"):
        commit(data, first, AT)


def test_into_an_empty_place(backup: Path, tmp_path: Path) -> None:
    data = tmp_path / "nowhere/yet"
    whole = stage(backup, data, fine)
    commit(data, whole, AT)
    done = finish(data)
    assert done is not None and done.aside is None and held(data) == NEW
    assert oct(data.stat().st_mode)[-3:] == "700"
