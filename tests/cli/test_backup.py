"""Backup and restore at the terminal: what would change is said first, and nothing changes without a yes."""

from __future__ import annotations

import io
import shutil
import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest
from attrs import evolve

from charging_manager.agent.store import ConfigStore
from charging_manager.paths import make_private
from charging_manager.storage import summary
from charging_manager.storage.database import Database
from tests.agent.waiting import result_of
from tests.cli.test_commands import _bare_environment, audit_log, one_line, status_of
from tests.support.backups import without_daemons

__all__ = ["_bare_environment"]
WORDS = "four words of mine"
AGENT_SCHEMA = files("charging_manager.agent") / "schema"


def agent_state(data: Path, name: str) -> None:
    (data / "agent").mkdir(parents=True, exist_ok=True)
    database = Database.open_here(data / "agent/agent.db", AGENT_SCHEMA)
    store = result_of(ConfigStore.load(database))
    result_of(store.change(lambda config: evolve(config, name=name, first_come=name == "Second")))
    database.close()


def site_name(data: Path) -> str:
    with closing(sqlite3.connect(data / "agent/agent.db")) as db:
        return str(db.execute("SELECT name FROM site").fetchone()[0])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    agent_state(tmp_path / "data", "First")
    return tmp_path / "data"


def test_what_will_change_is_said_and_without_a_yes_nothing_does(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(tmp_path / "file")
    assert status_of("backup", file, "--data", str(data)) == 0
    assert "read again and sound" in capsys.readouterr().out
    agent_state(data, "Second")
    (data / "admin").write_text("a hash")
    assert status_of("restore", file, "--data", str(data)) == 1
    shown = capsys.readouterr()
    assert "settings that differ: first_come, site" in shown.out
    assert "circuits: 1 -> 1 (the same number)" in shown.out
    assert "agent/agent.db: schema" in shown.out
    assert "add --yes" in shown.err
    assert site_name(data) == "Second" and not (data / ".restore/state").exists()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for said, status, name in (("no", 1, "Second"), ("yes", 0, "First")):
        monkeypatch.setattr("builtins.input", lambda _, said=said: said)
        assert status_of("restore", file, "--data", str(data)) == status
        assert site_name(data) == name
    assert "What was there before is in" in capsys.readouterr().out
    aside = next(data.glob("before-restore-*"))
    assert site_name(aside) == "Second" and (aside / "admin").read_text() == "a hash"
    assert not (data / "admin").exists()


def test_encrypted_under_words_from_stdin_or_from_a_private_file(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, words = str(tmp_path / "file"), tmp_path / "words"
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert status_of("backup", file, "--data", str(data), "--encrypt") == 1
    assert "12 characters or more" in one_line(capsys)
    monkeypatch.setattr("sys.stdin", io.StringIO(WORDS + "\n"))
    assert status_of("backup", file, "--data", str(data), "--encrypt") == 0
    assert "without its passphrase nobody can read it" in capsys.readouterr().out
    assert status_of("restore", file, "--check") == 1
    assert "its passphrase is needed" in one_line(capsys)
    words.write_text(WORDS + "\n")
    words.chmod(0o644)
    assert status_of("restore", file, "--check", "--passphrase-file", str(words)) == 1
    assert "chmod 600" in one_line(capsys)
    words.chmod(0o600)
    assert status_of("restore", file, "--check", "--passphrase-file", str(words)) == 0
    assert "sound" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO("other words of mine\n"))
    assert status_of("restore", file, "--data", str(data), "--yes", "--passphrase-file", "-") == 1
    assert "not the passphrase" in one_line(capsys)
    assert site_name(data) == "First" and not list(data.glob("before-restore-*"))


def test_a_backup_of_a_newer_version_is_refused_and_an_older_one_is_taken(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older, newer = tmp_path / "older", tmp_path / "newer"
    (older / "agent").mkdir(parents=True)
    with closing(sqlite3.connect(older / "agent/agent.db")) as db:
        db.executescript((AGENT_SCHEMA / "0001-start.sql").read_text("utf-8"))
        db.execute("PRAGMA user_version = 1")
        db.execute("INSERT INTO site VALUES (1, 'Older', 'en', NULL)")
        db.commit()
    agent_state(newer, "Newer")
    with closing(sqlite3.connect(newer / "agent/agent.db")) as db:
        db.execute("PRAGMA user_version = 9999")
    for name in ("older", "newer"):
        assert status_of("backup", str(tmp_path / f"{name}.file"), "--data", str(tmp_path / name)) == (name == "newer")
    assert "newer Charging Manager" in one_line(capsys)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "refuse_newer", lambda *_: None)  # as the newer program would have made it
        assert status_of("backup", str(tmp_path / "newer.file"), "--data", str(newer)) == 0
    capsys.readouterr()
    assert status_of("restore", str(tmp_path / "newer.file"), "--data", str(data), "--yes") == 1
    assert "newer Charging Manager (schema 9999" in one_line(capsys)
    assert site_name(data) == "First"
    assert status_of("restore", str(tmp_path / "older.file"), "--data", str(data), "--yes") == 0
    assert "schema 1, now" in capsys.readouterr().out
    database = Database.open_here(data / "agent/agent.db", AGENT_SCHEMA)  # as the next start does
    assert result_of(ConfigStore.load(database)).current.name == "Older"
    database.close()


def test_what_is_there_may_be_damaged_which_may_be_why(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "file")
    assert status_of("backup", file, "--data", str(data)) == 0
    (data / "agent/agent.db").write_bytes(b"no database at all" * 1000)
    assert status_of("restore", file, "--data", str(data), "--yes") == 0
    assert "cannot be read in full" in capsys.readouterr().out
    assert site_name(data) == "First"


def test_a_cloud_server_s_state_and_a_tampered_audit_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, file = tmp_path / "state", tmp_path / "backup.tar.gz"
    data.mkdir(mode=0o700)
    head = audit_log(data, 3)
    assert status_of("backup", str(file), "--data", str(data)) == 0
    assert status_of("restore", str(file), "--check") == 0
    assert "2 files" in capsys.readouterr().out
    assert status_of("restore", str(file), "--data", str(tmp_path / "new"), "--yes") == 0
    assert "audit log entries: none -> 3" in capsys.readouterr().out
    assert status_of("audit", "verify", "--data", str(tmp_path / "new"), "--head", head) == 0
    with closing(sqlite3.connect(data / "cloud/cloud.sqlite")) as db, db:
        db.execute("DELETE FROM audit WHERE number = 2")
    capsys.readouterr()
    assert status_of("backup", str(tmp_path / "other.tar.gz"), "--data", str(data)) == 1
    assert "entry 2 of the audit log is missing" in one_line(capsys)
    assert status_of("restore", str(tmp_path / "nothing"), "--data", str(data)) == 1
    assert "no such file" in one_line(capsys)
    assert status_of("backup", str(file), "--data", str(tmp_path / "nowhere")) == 1
    assert "--data" in one_line(capsys)


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Both default state directories in use, as on a machine with all packages, and a backup of each beside them."""
    homes = {
        name: tmp_path / "state-home" / f"charging-manager{end}" for name, end in (("agent", ""), ("cloud", "-cloud"))
    }
    for module in ("charging_manager.paths", "charging_manager.cli.backup"):  # also where packages are installed
        monkeypatch.setattr(f"{module}.state_folder", lambda given, daemon: Path(given or homes[daemon]))
    agent_state(homes["agent"], "First")
    homes["cloud"].mkdir()
    audit_log(homes["cloud"], 3)
    for name, data in homes.items():
        assert status_of("backup", str(tmp_path / name), "--data", str(data)) == 0
    return homes


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("of", "words", "way"),
    [
        ("cloud", (), "add --cloud"),
        ("agent", ("--cloud",), "leave --cloud away"),
        ("cloud", ("--data", "agent"), "name a cloud server's state directory with --data"),
        ("agent", ("--data", "cloud"), "name an agent's state directory with --data"),
        ("cloud", ("--data", "agent", "--cloud"), "name a cloud server's state directory with --data"),
    ],
)
@pytest.mark.parametrize(("says_it", "empty"), [(True, True), (False, False)])
def test_one_daemon_s_backup_is_refused_in_the_place_of_the_other_s_state(
    homes: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    of: str,
    words: tuple[str, ...],
    way: str,
    says_it: bool,
    empty: bool,
) -> None:
    file, other = tmp_path / of, homes["agent" if of == "cloud" else "cloud"]
    given = [str(homes.get(word, word)) for word in words]
    if not says_it:
        without_daemons(file)
    if empty:
        shutil.rmtree(other)
        other.mkdir()
    before = everything(tmp_path)
    capsys.readouterr()
    assert status_of("restore", str(file), "--yes", *given) == 1
    said = one_line(capsys)
    whose = {"agent": "an agent's", "cloud": "a cloud server's"}[of]
    assert f"this is {whose} backup" in said and way in said and "nothing was changed" in said, said
    assert everything(tmp_path) == before | {(other / ".restore").relative_to(tmp_path).as_posix()}
    assert status_of("restore", str(file), "--check", *given) == (0 if empty else 1)
    shown = capsys.readouterr()
    assert f"sound; {whose} state, " in shown.out and (way in shown.err) is not empty, shown
    assert status_of("restore", str(file), "--yes", *(("--cloud",) if of == "cloud" else ())) == 0


def test_where_both_daemons_share_a_state_and_where_nothing_is_yet_either_s_backup_fits(
    homes: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = tmp_path / "both"
    agent_state(both, "Both")
    audit_log(both, 1)
    assert status_of("backup", str(tmp_path / "of-both"), "--data", str(both)) == 0
    assert "an agent's state, a cloud server's state, " in capsys.readouterr().out
    for of in ("agent", "cloud", "of-both"):
        assert status_of("restore", str(tmp_path / of), "--data", str(tmp_path / f"new-{of}"), "--yes") == 0
        assert status_of("restore", str(tmp_path / "of-both"), "--data", str(both), "--yes") == 0
        assert status_of("restore", str(tmp_path / of), "--data", str(both), "--yes") == 0
        shutil.rmtree(both)
    assert status_of("restore", str(tmp_path / "of-both"), "--yes") == 0
    assert site_name(homes["agent"]) == "Both"


def test_a_default_state_that_holds_the_wrong_daemon_s_is_healed_by_its_own_backup(
    homes: dict[str, Path], tmp_path: Path
) -> None:
    shutil.rmtree(homes["agent"])
    audit_log(make_private(homes["agent"]), 1)
    assert status_of("restore", str(tmp_path / "cloud"), "--yes") == 1
    assert status_of("restore", str(tmp_path / "agent"), "--yes") == 0
    assert site_name(homes["agent"]) == "First"
