"""Open, create, upgrade, refuse: nothing that was there before is lost by it."""

from __future__ import annotations

import queue
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.errors import ConfigError
from charging_manager.storage.database import Database, StorageError

FIRST = "CREATE TABLE cup (id INTEGER PRIMARY KEY, colour TEXT NOT NULL UNIQUE);"
SECOND = "ALTER TABLE cup ADD COLUMN size INTEGER NOT NULL DEFAULT 1;\nUPDATE cup SET size = 2;"

result_of = SynchronousTestCase().successResultOf
failure_of = SynchronousTestCase().failureResultOf


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    folder = tmp_path / "schema"
    folder.mkdir()
    (folder / "0001-cups.sql").write_text(FIRST)
    (folder / "__init__.py").write_text("")
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "state.db"


def add(colour: str) -> Callable[[sqlite3.Connection], None]:
    def insert(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO cup (colour) VALUES (?)", (colour,))

    return insert


def colours(connection: sqlite3.Connection) -> list[str]:
    return [row["colour"] for row in connection.execute("SELECT colour FROM cup ORDER BY id")]


def shape(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.execute("PRAGMA table_info(cup)")]


def test_what_was_written_is_read_and_is_there_after_reopening(path: Path, schema: Path) -> None:
    database = Database.open_here(path, schema)
    result_of(database.write(add("red")))
    assert result_of(database.read(colours)) == ["red"]
    result_of(database.close())
    again = Database.open_here(path, schema)
    assert result_of(again.read(colours)) == ["red"]
    result_of(again.close())


def test_file_and_folder_are_private(path: Path, schema: Path) -> None:
    database = Database.open_here(path, schema)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    result_of(database.close())


def test_commits_reach_the_disk_before_they_are_acknowledged(path: Path, schema: Path) -> None:
    database = Database.open_here(path, schema)
    settings = result_of(
        database.write(
            lambda connection: (
                connection.execute("PRAGMA journal_mode").fetchone()[0],
                connection.execute("PRAGMA synchronous").fetchone()[0],
            )
        )
    )
    assert settings == ("wal", 2)
    result_of(database.close())


def test_a_function_that_raises_changes_nothing(path: Path, schema: Path) -> None:
    database = Database.open_here(path, schema)

    def half(connection: sqlite3.Connection) -> None:
        add("red")(connection)
        raise KeyError("blue")

    failure_of(database.write(half), KeyError)
    assert result_of(database.read(colours)) == []
    result_of(database.write(add("green")))
    assert result_of(database.read(colours)) == ["green"]
    result_of(database.close())


def test_a_broken_constraint_is_the_callers_to_catch(path: Path, schema: Path) -> None:
    database = Database.open_here(path, schema)
    result_of(database.write(add("red")))
    failure_of(database.write(add("red")), sqlite3.IntegrityError)
    result_of(database.close())


def test_a_reader_cannot_write(path: Path, schema: Path) -> None:
    database = Database.open_here(path, schema)
    assert failure_of(database.read(add("red")), StorageError).value.code == "read-only"
    result_of(database.close())


def test_an_upgraded_database_equals_a_fresh_one(path: Path, schema: Path, tmp_path: Path) -> None:
    old = Database.open_here(path, schema)
    result_of(old.write(add("red")))
    result_of(old.close())
    (schema / "0002-sizes.sql").write_text(SECOND)
    upgraded = Database.open_here(path, schema)
    fresh = Database.open_here(tmp_path / "fresh.db", schema)
    assert result_of(upgraded.read(shape)) == result_of(fresh.read(shape))
    assert result_of(upgraded.read(lambda c: c.execute("SELECT size FROM cup").fetchone()[0])) == 2
    result_of(upgraded.close())
    result_of(fresh.close())


def test_a_failed_upgrade_keeps_the_old_schema_whole(path: Path, schema: Path) -> None:
    result_of(Database.open_here(path, schema).close())
    (schema / "0002-sizes.sql").write_text("ALTER TABLE cup ADD COLUMN size INTEGER;\nUPDATE saucer SET x = 1;")
    with pytest.raises(ConfigError, match=r"could not be upgraded by 0002-sizes\.sql"):
        Database.open_here(path, schema)
    (schema / "0002-sizes.sql").unlink()
    database = Database.open_here(path, schema)
    assert [row[1] for row in result_of(database.read(shape))] == ["id", "colour"]
    result_of(database.close())


def test_a_database_newer_than_the_program_is_refused_and_not_touched(path: Path, schema: Path) -> None:
    (schema / "0002-sizes.sql").write_text(SECOND)
    result_of(Database.open_here(path, schema).close())
    (schema / "0002-sizes.sql").unlink()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"newer Charging Manager \(schema 2, this program knows 1\); install"):
        Database.open_here(path, schema)
    assert path.read_bytes() == before


def test_a_damaged_database_is_noticed_and_not_touched(path: Path, schema: Path) -> None:
    database = Database.open_here(path, schema)
    many = [(f"colour {number}",) for number in range(3000)]
    result_of(database.write(lambda c: c.executemany("INSERT INTO cup (colour) VALUES (?)", many)))
    result_of(database.close())
    data = bytearray(path.read_bytes())
    data[5000:9000] = b"\xa5" * 4000
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"database is damaged.*restore a backup"):
        Database.open_here(path, schema)
    assert path.read_bytes() == bytes(data)


def test_a_file_that_is_no_database_is_refused(path: Path, schema: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.write_bytes(b"just some notes of mine\n" * 100)
    with pytest.raises(ConfigError, match="damaged; restore a backup"):
        Database.open_here(path, schema)
    assert path.read_bytes().startswith(b"just some notes")


def test_a_second_program_on_the_same_file_is_refused(path: Path, schema: Path) -> None:
    database = Database.open_here(path, schema)
    with pytest.raises(ConfigError, match="in use by another running program"):
        Database.open_here(path, schema)
    result_of(database.close())
    result_of(Database.open_here(path, schema).close())


def test_a_full_disk_is_said_so_and_the_database_goes_on(path: Path, schema: Path) -> None:
    database = Database.open_here(path, schema)
    result_of(database.write(lambda c: c.execute("PRAGMA max_page_count = 4").fetchone()))
    error = failure_of(database.write(add("x" * 50_000)), StorageError).value
    assert (error.code, error.sentence) == ("disk-full", "the disk is full; make room, nothing was changed")
    result_of(database.write(add("red")))
    assert result_of(database.read(colours)) == ["red"]
    result_of(database.close())


def test_a_closed_database_says_so(path: Path, schema: Path) -> None:
    database = Database.open_here(path, schema)
    result_of(database.close())
    assert failure_of(database.write(add("red")), StorageError).value.code == "closed"
    assert failure_of(database.read(colours), StorageError).value.code == "closed"


def test_a_gap_in_the_upgrade_files_is_a_broken_installation(path: Path, schema: Path) -> None:
    (schema / "0003-later.sql").write_text(SECOND)
    with pytest.raises(ConfigError, match="install the program again"):
        Database.open_here(path, schema)
    assert not path.exists()


class QueueReactor:
    """Only what a thread needs of a reactor: a queue of calls."""

    def __init__(self) -> None:
        self.calls: queue.Queue[Callable[[], object]] = queue.Queue()

    def callFromThread(self, function: Callable[..., object], *args: object, **kw: object) -> None:
        self.calls.put(lambda: function(*args, **kw))

    def wait(self, deferred: Deferred[Any]) -> Any:
        results: list[object] = []
        deferred.addBoth(results.append)
        while not results:
            self.calls.get(timeout=10)()
        return results[0]


def test_with_threads_answers_come_back_through_the_reactor(path: Path, schema: Path) -> None:
    reactor = QueueReactor()
    database = reactor.wait(Database.open(path, schema, reactor=reactor))
    writing = [database.write(add(colour)) for colour in ("red", "green")]
    assert [reactor.wait(each) for each in writing] == [None, None]
    assert reactor.wait(database.read(colours)) == ["red", "green"]
    assert reactor.wait(database.close()) is None


def test_with_threads_a_refusal_is_a_failure_and_leaves_no_lock(path: Path, schema: Path) -> None:
    reactor = QueueReactor()
    (schema / "0003-later.sql").write_text(SECOND)
    assert reactor.wait(Database.open(path, schema, reactor=reactor)).check(ConfigError)
    (schema / "0003-later.sql").unlink()
    result_of(Database.open_here(path, schema).close())
