"""One SQLite file: one thread writes, one reads, and what was acknowledged survives a ``kill -9``.

WAL with ``synchronous=FULL``: the Deferred of ``write`` fires after the commit has reached the disk. The threads are
the database's own, because the reactor's pool also resolves names and may be busy for seconds.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from charging_manager.errors import ChargingManagerError, ConfigError
from charging_manager.paths import give_to_owner_of, make_private
from charging_manager.storage.schema import bring_up, read_upgrades, refuse_newer, version_of
from charging_manager.storage.store import Connection
from charging_manager.storage.workers import Here, OwnThread, Worker

T = TypeVar("T")

_GONE_SENTENCE = "the database server does not answer; try again in a minute, it goes on by itself when it is back"

_SENTENCES = {
    sqlite3.SQLITE_FULL: ("disk-full", "the disk is full; make room, nothing was changed"),
    sqlite3.SQLITE_READONLY: ("read-only", "the disk can only be read; make it writable, nothing was changed"),
    sqlite3.SQLITE_IOERR: ("io-error", "the disk failed to read or write; check it, nothing was changed"),
    sqlite3.SQLITE_CORRUPT: ("damaged", "the database is damaged; restore a backup"),
    sqlite3.SQLITE_NOTADB: ("damaged", "the database is damaged; restore a backup"),
    sqlite3.SQLITE_CANTOPEN: ("no-access", "the database cannot be opened; check who owns it, its folder and the disk"),
    sqlite3.SQLITE_BUSY: ("busy", "another program holds the database; stop it"),
}


class StorageError(ChargingManagerError):
    """The disk or the file did not do its part; ``code`` is stable, and nothing was changed."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


class DatabaseGone(StorageError):
    """The server that has the database does not answer now; it is tried again by itself."""

    def __init__(self) -> None:
        super().__init__("database-offline", _GONE_SENTENCE)


class Database:
    """An open database. Functions handed in get the connection, on another thread: they touch nothing else.

    No other process has it open (``store.Store``): there is nobody to tell, and nothing to hear.
    """

    is_shared = False
    leads = True

    def __init__(self, path: Path, writer: Worker, reader: Worker) -> None:
        self.path = path
        self._writer, self._reader = writer, reader
        self._write_to: sqlite3.Connection | None = None
        self._read_from: sqlite3.Connection | None = None
        self._lock: int | None = None

    @classmethod
    def open(cls, path: Path, schema: Traversable, *, reactor: Any) -> Deferred[Database]:
        """Open, create or upgrade ``path``.

        Raises: ConfigError if it is damaged, newer than the program, or in use; then nothing was touched.
        """
        database = cls(path, OwnThread(reactor, "database"), OwnThread(reactor, "database reader"))

        def failed(reason: Any) -> Any:
            database._release()
            return reason

        opening: Deferred[Any] = database._writer.run(lambda: database._open(schema))
        return opening.addCallbacks(lambda _: database, failed)

    @classmethod
    def open_here(cls, path: Path, schema: Traversable) -> Database:
        """The same without threads: every Deferred has already fired. For commands and tests."""
        database = cls(path, Here(), Here())
        try:
            database._open(schema)
        except BaseException:
            database._release()
            raise
        return database

    def write(self, function: Callable[[sqlite3.Connection], T]) -> Deferred[T]:
        """Run ``function`` in one transaction; durable when the Deferred fires. Raises: StorageError."""
        return self._writer.run(lambda: self._transact(function))

    def read(self, function: Callable[[sqlite3.Connection], T]) -> Deferred[T]:
        """Run ``function`` on a connection that cannot write; it sees all acknowledged writes. Raises: StorageError."""
        return self._reader.run(lambda: self._look(function))

    def tell(self, db: Connection, topic: str, detail: str = "") -> None:
        """There is nobody to tell."""

    def listen(self, topic: str, heard: Callable[[str | None], object]) -> None:
        """There is nothing to hear."""

    def close(self) -> Deferred[None]:
        """Finish what was asked, then close; later calls fail with StorageError."""

        def close_reader() -> None:
            if self._read_from is not None:
                self._read_from.close()
                self._read_from = None

        def close_writer(_: object) -> Deferred[None]:
            return self._writer.run(self._close_writer)

        def stop(result: Any) -> Any:
            self._release()
            return result

        return self._reader.run(close_reader).addCallback(close_writer).addBoth(stop)

    def _open(self, schema: Traversable) -> None:
        upgrades = read_upgrades(schema)
        make_private(self.path.parent)
        self._lock = _lock(self.path)
        existed = self.path.exists()
        try:
            if existed:
                with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)) as looking:
                    refuse_newer(self.path, version_of(looking), upgrades)
                    _check(self.path, looking)
            else:
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
                give_to_owner_of(self.path.parent, self.path)
            self.path.chmod(0o600)
            writing = self._write_to = _connect(self.path)
            bring_up(writing, self.path, upgrades)
            reading = self._read_from = _connect(self.path)
            reading.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise ConfigError(str(self.path), _sentence(error)) from error
        except OSError as error:
            raise ConfigError(str(self.path), f"cannot be opened ({error.strerror}); check its folder") from error
        wal = self.path.with_name(self.path.name + "-wal")
        give_to_owner_of(self.path.parent, *(p for p in (wal, wal.with_name(self.path.name + "-shm")) if p.exists()))

    def _transact(self, function: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._write_to
        if connection is None:
            raise StorageError("closed", "the database is closed")
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = function(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise _translated(error) from error
        return result

    def _look(self, function: Callable[[sqlite3.Connection], T]) -> T:
        if self._read_from is None:
            raise StorageError("closed", "the database is closed")
        try:
            return function(self._read_from)
        except sqlite3.Error as error:
            raise _translated(error) from error

    def _close_writer(self) -> None:
        if self._write_to is not None:
            self._write_to.close()
            self._write_to = None

    def _release(self) -> None:
        for connection in (self._read_from, self._write_to):
            if connection is not None:
                connection.close()
        self._read_from = self._write_to = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        self._reader.stop()
        self._writer.stop()


def _connect(path: Path) -> sqlite3.Connection:
    # Opened on one thread and closed on another, but never used by two at once: each has its own single worker.
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _check(path: Path, connection: sqlite3.Connection) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0].splitlines()[-1]
    if found != "ok":
        raise ConfigError(str(path), f"the database is damaged ({found}); restore a backup, or move the file away")


def _lock(path: Path) -> int:
    """Hold ``path`` for this process; the lock ends with the process, however that ends."""
    beside = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        give_to_owner_of(path.parent, beside)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be opened ({error.strerror}); check its folder") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise ConfigError(
            str(path), "is in use by another running program; stop that one, or choose another folder with --data"
        ) from error
    return descriptor


def _sentence(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return _SENTENCES.get(code, ("", f"the database failed ({error})"))[1]


def _translated(error: sqlite3.Error) -> Exception:
    """Trouble with disk or file becomes ours; a wrong statement or a broken constraint is the caller's business."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _SENTENCES:
        return StorageError(*_SENTENCES[code])
    return error
