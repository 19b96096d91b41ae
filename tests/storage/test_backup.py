"""One file holds a whole state directory; a damaged one changes nothing."""

from __future__ import annotations

import fcntl
import gzip
import io
import json
import random
import sqlite3
import stat
import tarfile
import tempfile
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from charging_manager.errors import ConfigError
from charging_manager.storage.backup import Backup, make_backup, unpack
from charging_manager.storage.restore import commit, finish, nobody_runs, stage

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def fine(_: Path) -> None:
    pass


def restore_backup(file: Path, data: Path, passphrase: str | None = None) -> tuple[Backup, Path | None]:
    held = stage(file, data, fine, passphrase=passphrase)
    with nobody_runs(data):
        commit(data, held, AT)
    done = finish(data)
    assert done is not None
    return held, done.aside


def check_backup(file: Path) -> Backup:
    with tempfile.TemporaryDirectory() as place:
        return unpack(file, Path(place) / "state")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "state"
    for folder in ("cloud/tls", "run", "agent/recording"):
        (data / folder).mkdir(parents=True)
    (data / "admin").write_text("hash")
    (data / "cloud/secret").write_bytes(b"s" * 32)
    (data / "cloud/tls/pair.pem").write_text("pem")
    (data / "run/4443.json").write_text("{}")
    (data / "agent/recording/day").write_text("x" * 1000)
    (data / "cloud/cloud.sqlite.lock").touch()
    (data / "link").symlink_to("/etc/passwd")
    with closing(sqlite3.connect(data / "cloud/cloud.sqlite")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE one (a INTEGER, b INTEGER)")
    return data


def kept(data: Path) -> set[str]:
    return {path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()}


def test_what_belongs_to_the_state_is_kept_and_comes_back_private(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar.gz"
    made = make_backup(data, file, "charging-manager 1.0", AT)
    assert set(made.files) == {"admin", "cloud/secret", "cloud/tls/pair.pem", "cloud/cloud.sqlite"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert check_backup(file) == made
    back, aside = restore_backup(file, tmp_path / "new/state")
    assert (back, aside) == (made, None)
    assert kept(tmp_path / "new/state") == set(made.files)
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in (tmp_path / "new/state").rglob("*"))


def test_what_was_there_moves_aside(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar.gz"
    make_backup(data, file, "p", AT)
    (data / "admin").write_text("changed since")
    _, aside = restore_backup(file, data)
    assert aside is not None and (aside / "admin").read_text() == "changed since"
    assert (data / "admin").read_text() == "hash"
    assert [path.name for path in data.rglob("*") if path.name.startswith(".")] == []
    assert (data / "run/4443.json").is_file()  # of this run, and of the machine: neither replaced nor put aside
    assert make_backup(data, file, "p", AT).files.keys() == {
        "admin",
        "cloud/secret",
        "cloud/tls/pair.pem",
        "cloud/cloud.sqlite",
    }


def test_a_database_that_is_written_meanwhile_is_kept_as_of_one_instant(data: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(data / "cloud/cloud.sqlite", isolation_level=None, timeout=30)) as db:
            number = 0
            while not stop.is_set():
                number += 1
                db.execute("BEGIN IMMEDIATE")
                db.execute("INSERT INTO one VALUES (?, ?)", (number, 0))
                db.execute("UPDATE one SET b = ?", (number,))  # all rows alike, or it was not one instant
                db.execute("COMMIT")

    writing = threading.Thread(target=write)
    writing.start()
    try:
        for number in range(5):
            file = tmp_path / f"{number}.tar.gz"
            make_backup(data, file, "p", AT)
            restore_backup(file, tmp_path / f"back-{number}")
            with closing(sqlite3.connect(tmp_path / f"back-{number}/cloud/cloud.sqlite")) as db:
                rows = db.execute("SELECT a, b FROM one ORDER BY a").fetchall()
            assert [a for a, _ in rows] == list(range(1, len(rows) + 1))
            assert {b for _, b in rows} <= {len(rows)}
    finally:
        stop.set()
        writing.join()


def test_a_damaged_file_is_found_and_changes_nothing(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar.gz"
    make_backup(data, file, "p", AT)
    whole, chance, refused = file.read_bytes(), random.Random(5), 0
    for _ in range(60):
        broken = bytearray(whole)
        if chance.random() < 0.3:
            del broken[chance.randrange(len(broken)) :]
        else:
            broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        file.write_bytes(broken)
        try:
            restore_backup(file, data)
        except ConfigError as error:
            refused += 1
            assert error.sentence
            assert (data / "admin").read_text() == "hash"
    assert refused > 50  # a bit of gzip's own head, as its time, says nothing


def packed(tmp_path: Path, files: dict[str, bytes], manifest: object, kind: bytes = tarfile.REGTYPE) -> Path:
    file = tmp_path / "made.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        for name, content in {"manifest.json": json.dumps(manifest).encode(), **files}.items():
            info = tarfile.TarInfo(name)
            info.size, info.type = len(content), tarfile.REGTYPE if name == "manifest.json" else kind
            info.linkname = "/etc/passwd"
            tar.addfile(info, io.BytesIO(content))
    return file


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", "", ".", "a//b", "a/./b"])
def test_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    manifest = {"format": 1, "files": {name: {"size": 1, "sha256": "x"}}}
    with pytest.raises(ConfigError, match="no backup"):
        restore_backup(packed(tmp_path, {name or "x": b"x"}, manifest), tmp_path / "state/in")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_only_plain_files_are_taken(tmp_path: Path, kind: bytes) -> None:
    manifest = {"format": 1, "files": {"a": {"size": 0, "sha256": "x"}}}
    with pytest.raises(ConfigError):
        check_backup(packed(tmp_path, {"a": b""}, manifest, kind))


@pytest.mark.parametrize("manifest", [None, [], {}, {"format": 2, "files": {}}, {"format": 1, "files": {"a": 7}}])
def test_what_is_no_backup_is_said(tmp_path: Path, manifest: object) -> None:
    with pytest.raises(ConfigError, match="no backup"):
        check_backup(packed(tmp_path, {}, manifest))
    (tmp_path / "text").write_bytes(gzip.compress(b"hello"))
    (tmp_path / "empty").touch()
    for path in (tmp_path / "text", tmp_path / "empty", tmp_path / "nothing"):
        with pytest.raises(ConfigError):
            check_backup(path)


def test_files_beyond_the_manifest_and_missing_ones_are_found(tmp_path: Path) -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    manifest = {"format": 1, "files": {"a": {"size": 0, "sha256": empty}}}
    check_backup(packed(tmp_path, {"a": b""}, manifest))
    with pytest.raises(ConfigError, match="does not name"):
        check_backup(packed(tmp_path, {"a": b"", "b": b""}, manifest))
    with pytest.raises(ConfigError, match="a is missing"):
        check_backup(packed(tmp_path, {}, manifest))


def test_a_running_daemon_keeps_its_state(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.tar.gz"
    make_backup(data, file, "p", AT)
    with (data / "cloud/cloud.sqlite.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="stop that one first"):
            restore_backup(file, data)
    assert (data / "run/4443.json").is_file()


def test_what_cannot_be_kept_or_written_is_said(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--data"):
        make_backup(tmp_path / "nowhere", tmp_path / "file", "p", AT)
    for target in (tmp_path, tmp_path / "no/folder/file"):
        with pytest.raises(ConfigError, match="must be a file"):
            make_backup(data, target, "p", AT)


def test_a_damaged_database_is_found_before_it_is_kept(data: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data / "cloud/cloud.sqlite")) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.executemany("INSERT INTO one VALUES (?, ?)", [(n, n) for n in range(2000)])
        db.commit()
    whole = bytearray((data / "cloud/cloud.sqlite").read_bytes())
    whole[8192:8292] = b"x" * 100
    (data / "cloud/cloud.sqlite").write_bytes(whole)
    with pytest.raises(ConfigError, match="damaged"):
        make_backup(data, tmp_path / "file", "p", AT)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_under_a_passphrase_nothing_can_be_changed_or_cut_off(data: Path, tmp_path: Path) -> None:
    file, words = tmp_path / "sealed", "four words of mine"
    made = make_backup(data, file, "p", AT, passphrase=words)
    assert made.sealed and b"pem" not in file.read_bytes()
    assert restore_backup(file, tmp_path / "new", words)[0] == made
    for wrong, said in (
        (None, "passphrase is needed"),
        ("", "passphrase is needed"),
        ("other words", "not the passph"),
    ):
        with pytest.raises(ConfigError, match=said):
            restore_backup(file, data, wrong)
    whole, chance = file.read_bytes(), random.Random(7)
    for _ in range(12):  # each costs half a second of scrypt
        broken = bytearray(whole)
        if chance.random() < 0.4:
            del broken[chance.randrange(len(broken)) :]
        else:
            broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        file.write_bytes(broken)
        with pytest.raises(ConfigError, match=r"damaged|passphrase"):
            restore_backup(file, data, words)
    assert (data / "admin").read_text() == "hash"


def test_progress_comes_to_its_end_and_may_stop_the_work(data: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    make_backup(data, tmp_path / "file", "p", AT, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]

    def enough(done: int, total: int) -> None:
        raise ConfigError("", "enough")

    with pytest.raises(ConfigError, match="enough"):
        make_backup(data, tmp_path / "other", "p", AT, progress=enough)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "state"]


def test_a_disk_without_room_is_named_before_anything_is_written(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    make_backup(data, file, "p", AT)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with pytest.raises(ConfigError, match=r"not enough room.*1 MB are free"):
        make_backup(data, tmp_path / "other", "p", AT)
    with pytest.raises(ConfigError, match="not enough room"):
        restore_backup(file, data)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "state"]
