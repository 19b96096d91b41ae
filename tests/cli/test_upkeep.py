"""What the Debian packages do with the state when the version changes, and what never stops them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest

from charging_manager import VERSION
from charging_manager.cli import upkeep
from charging_manager.cli.backup import schema_of
from charging_manager.cli.upkeep import MOST, Place, version_changed
from charging_manager.storage.schema import bring_up


def place(tmp_path: Path, daemon: str) -> Place:
    """A state of this version, with a word in it."""
    known = upkeep.PLACES[daemon]
    made = Place(tmp_path / "state", known.database, tmp_path / "backups")
    made.backups.mkdir()
    database = made.data / made.database
    database.parent.mkdir(parents=True)
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        bring_up(db, database, schema_of(database))
    write(made, "before")
    return made


def write(of: Place, word: str) -> None:
    (of.data / "word").write_text(word)


def age(of: Place, by: int) -> None:
    """As a program would leave it that has so many more upgrade files."""
    database = of.data / of.database
    with closing(sqlite3.connect(database)) as db:
        db.execute(f"PRAGMA user_version = {len(schema_of(database)) + by}")


@pytest.mark.parametrize("daemon", ["agent", "cloud"])
def test_an_upgrade_keeps_the_state_and_a_rollback_brings_it_back(tmp_path: Path, daemon: str) -> None:
    one = place(tmp_path, daemon)
    said = version_changed(one, "0.0.9")
    [kept] = one.kept()
    assert kept.name.endswith("-from-0.0.9.tar.gz") and str(kept) in said
    age(one, 1)
    write(one, "since")
    said = version_changed(one, "9.0")
    assert (one.data / "word").read_text() == "before"
    [aside] = one.data.glob("before-*")
    assert (aside / "word").read_text() == "since" and str(aside) in said
    assert version_changed(one, VERSION) == "", "the state is one that this program reads"


def test_a_rollback_that_needs_none_keeps_all_that_came_since(tmp_path: Path) -> None:
    one = place(tmp_path, "agent")
    version_changed(one, "0.0.9")
    write(one, "since")
    version_changed(one, "9.0")
    assert (one.data / "word").read_text() == "since"


def test_a_damaged_or_too_new_backup_makes_way_for_an_older_one(tmp_path: Path) -> None:
    one = place(tmp_path, "agent")
    version_changed(one, "0.0.9")
    [sound] = one.kept()
    (one.backups / "99990101-000000-from-2.tar.gz").write_bytes(sound.read_bytes()[:-200])
    (one.backups / "99990102-000000-from-2.tar.gz").write_bytes(b"nothing")
    age(one, 1)
    assert str(sound) in version_changed(one, "9.0")


def test_without_a_backup_the_newer_state_stays_and_the_way_out_is_named(tmp_path: Path) -> None:
    one = place(tmp_path, "cloud")
    age(one, 2)
    assert "install the newer version again" in version_changed(one, "9.0")
    assert (one.data / "word").read_text() == "before"


def test_backups_are_bounded(tmp_path: Path) -> None:
    one = place(tmp_path, "agent")
    for number in range(MOST + 3):
        (one.backups / f"20200101-00000{number}-from-0.tar.gz").touch()
    version_changed(one, "0.0.9")
    assert len(one.kept()) == MOST
    assert one.kept()[0].name.endswith("-from-0.0.9.tar.gz"), "the oldest went"


def test_the_same_version_again_needs_no_backup(tmp_path: Path) -> None:
    one = place(tmp_path, "agent")
    assert version_changed(one, VERSION) == ""
    assert one.kept() == []


@pytest.mark.parametrize("trouble", ["garbage", "folder", "nothing", "no room"])
def test_nothing_hinders_a_package(tmp_path: Path, trouble: str, capsys: pytest.CaptureFixture[str]) -> None:
    one = place(tmp_path, "agent")
    database = one.data / one.database
    if trouble == "no room":
        one.backups.rmdir()
    else:
        for path in database.parent.iterdir():
            path.unlink()
    if trouble == "garbage":
        database.write_bytes(b"SQLite format 3\0" + bytes(5000))
    elif trouble == "folder":
        database.mkdir()
    elif trouble == "nothing":
        (one.data / "word").unlink()
    with patch.dict(upkeep.PLACES, {"agent": one}):
        assert upkeep.main(["agent", "0.0.9"]) == 0
    said = capsys.readouterr().out
    assert said.count("\n") <= 1
    assert trouble == "folder" or "no backup was made" in said, said
