"""A PostgreSQL database that several processes share (``store.Store``).

It makes the same promises as our SQLite file: one writer at a time, here by an advisory lock that every write begins
with, so that no function sees another one's half; what was acknowledged is on the server's disk. While the server does
not answer, every call fails quickly with StorageError, and the next one that is due tries again.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources.abc import Traversable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from charging_manager.errors import ConfigError
from charging_manager.storage.database import DatabaseGone, StorageError
from charging_manager.storage.news import News
from charging_manager.storage.pg_line import Line, Place
from charging_manager.storage.pg_schema import bring_up_shared, check_server, version_of_shared
from charging_manager.storage.schema import read_upgrades, refuse_newer
from charging_manager.storage.store import Connection
from charging_manager.storage.workers import Here, OwnThread, Worker

T = TypeVar("T")

WRITERS = 0x434D_0001
"""The advisory lock under which all writes are done, one after the other, whichever process asks."""
_LOOK_EVERY_S = 1.0
_BEGIN = f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({WRITERS})"
_LOOK = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class PostgresStore:
    """An open database on a server. Made by ``open`` or ``open_here``."""

    _log = Logger()
    is_shared = True

    def __init__(self, place: Place, writer: Worker, reader: Worker, clock: Any, news: News | None) -> None:
        self._writer, self._reader, self._news = writer, reader, news
        self._write_to, self._read_from = Line(place, clock), Line(place, clock)
        self._place = place
        self._closed = False
        self._gone = False
        self._watching = LoopingCall(self._look_for_stuck)
        self._watching.clock = clock

    @classmethod
    def open(cls, url: str, schema: Traversable, *, reactor: Any) -> Deferred[PostgresStore]:
        """Connect, and create or upgrade the tables. Raises: ConfigError, and then nothing was touched."""
        place = Place.of(url)
        store = cls(
            place,
            OwnThread(reactor, "database"),
            OwnThread(reactor, "database reader"),
            reactor,
            News(place, reactor),
        )

        def begun(_: object) -> PostgresStore:
            store._watching.start(_LOOK_EVERY_S, now=False)
            assert store._news is not None  # noqa: S101 - made above
            store._news.start()
            return store

        def failed(reason: Failure) -> Failure:
            store._release()
            return reason

        opening: Deferred[Any] = store._writer.run(lambda: store._prepare(schema))
        return opening.addCallbacks(begun, failed)

    @classmethod
    def open_here(cls, url: str, schema: Traversable, clock: Any) -> PostgresStore:
        """The same without threads: every Deferred has already fired, and nothing is heard. For commands and tests."""
        store = cls(Place.of(url), Here(), Here(), clock, None)
        try:
            store._prepare(schema)
        except BaseException:
            store._release()
            raise
        return store

    @classmethod
    def look_here(cls, url: str, schema: Traversable, clock: Any) -> PostgresStore:
        """As ``open_here``, but nothing is created or upgraded. Raises: ConfigError where that would be needed."""
        store = cls(Place.of(url), Here(), Here(), clock, None)
        try:
            upgrades = read_upgrades(schema)
            version = version_of_shared(store._write_to.at_first())
            refuse_newer(store._place, version, upgrades)
            if version < len(upgrades):
                raise ConfigError(str(store._place), "is not of this version yet; start the cloud server once")
        finally:
            store._write_to.drop()
        return store

    @property
    def place(self) -> str:
        """Where it is, without the password."""
        return str(self._place)

    @property
    def leads(self) -> bool:
        return self._news is None or self._news.leads

    def write(self, function: Callable[[Connection], T]) -> Deferred[T]:
        return self._noted(self._writer.run(lambda: self._transact(self._write_to, _BEGIN, function)))

    def read(self, function: Callable[[Connection], T]) -> Deferred[T]:
        return self._noted(self._reader.run(lambda: self._transact(self._read_from, _LOOK, function)))

    def tell(self, db: Connection, topic: str, detail: str = "") -> None:
        if self._news is not None:
            self._news.tell(db, topic, detail)

    def listen(self, topic: str, heard: Callable[[str | None], object]) -> None:
        if self._news is not None:
            self._news.listen(topic, heard)

    def close(self) -> Deferred[None]:
        """Finish what was asked, then close; later calls fail with StorageError."""

        def close() -> None:
            self._closed = True

        def release(result: Any) -> Any:
            self._release()
            return result

        ending: Deferred[Any] = self._reader.run(close)
        return ending.addCallback(lambda _: self._writer.run(close)).addBoth(release)

    def _prepare(self, schema: Traversable) -> None:
        upgrades = read_upgrades(schema)
        line = self._write_to.at_first()
        check_server(line, self._place)
        bring_up_shared(line, self._place, upgrades)

    def _transact(self, line: Line, begin: str, function: Callable[[Connection], T]) -> T:
        if self._closed:
            raise StorageError("closed", "the database is closed")
        with line.transaction(begin) as connection:
            return function(connection)

    def _noted(self, asked: Deferred[T]) -> Deferred[T]:
        """That the server does not answer is said once when it begins and once when it is over."""

        def fine(result: T) -> T:
            if self._gone:
                self._gone = False
                self._log.info("the database server answers again")
            return result

        def failed(failure: Failure) -> Failure:
            error = failure.value
            if isinstance(error, DatabaseGone) and not self._gone:
                self._gone = True
                self._log.error(
                    "the database server {place} does not answer ({why}); what needs it waits",
                    place=str(self._place),
                    why=str(error.__cause__ or error),
                )
            return failure

        asked.addCallbacks(fine, failed)
        return asked

    def _look_for_stuck(self) -> None:
        with self._log.failuresHandled("looking for questions without an answer failed; the next look comes"):
            for line in (self._write_to, self._read_from):
                line.break_if_stuck()

    def _release(self) -> None:
        self._closed = True
        if self._watching.running:
            self._watching.stop()
        if self._news is not None:
            self._news.stop()
        self._reader.stop()
        self._writer.stop()
        self._write_to.drop()
        self._read_from.drop()
