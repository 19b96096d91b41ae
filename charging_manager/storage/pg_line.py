"""One connection to a PostgreSQL server, made when it is needed, and made again when it is lost, with growing pauses.

Values are put into the statements here and not by the server: so ``?`` needs no types, as in SQLite.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from attrs import field, frozen
from psycopg.conninfo import conninfo_to_dict
from twisted.internet.interfaces import IReactorTime

from charging_manager.errors import ConfigError
from charging_manager.storage.database import DatabaseGone, StorageError

CONNECT_WITHIN_S = 4
ANSWER_WITHIN_S = 8.0
"""A statement takes no longer, or its connection is given up: longer than the server's own limits below."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 5.0
_LIMITS = "-c statement_timeout=7s -c lock_timeout=6s -c idle_in_transaction_session_timeout=20s"
_BUSY = {"40001", "40P01", "55P03", "57014"}
"""Conflicts, locks that were waited for too long, statements that took too long."""
_SENTENCES = {
    "53100": ("disk-full", "the database server's disk is full; make room, nothing was changed"),
    "25006": ("read-only", "the database can only be read; is this the standby server?"),
    "busy": ("busy", "the database server has too much to do; try again, nothing was changed"),
}
_chance = random.SystemRandom()


@frozen
class Place:
    """Where a database is. ``str`` shows it without the password."""

    url: str = field(repr=False)
    shown: str

    def __str__(self) -> str:
        return self.shown

    @classmethod
    def of(cls, url: str) -> Place:
        """Raises: ConfigError, in which no password stands."""
        example = "write it like postgresql://user@host/name; the password is better kept in ~/.pgpass"
        if not url.startswith(("postgresql://", "postgres://")):
            raise ConfigError("database", f"is not the address of a PostgreSQL database; {example}")
        try:
            parts = conninfo_to_dict(url)
        except psycopg.ProgrammingError:  # whose text may hold the password
            raise ConfigError("database", f"is not an address that can be read; {example}") from None
        user, host, port, name = (str(parts.get(key) or "") for key in ("user", "host", "port", "dbname"))
        shown = "".join(
            ("postgresql://", f"{user}@" if user else "", host, f":{port}" if port else "", f"/{name}" if name else "")
        )
        return cls(url, shown)

    def connect(self) -> psycopg.Connection[Any]:
        """Raises: psycopg.Error."""
        connection = psycopg.connect(
            self.url,
            autocommit=True,
            cursor_factory=psycopg.ClientCursor,
            row_factory=_rows,
            connect_timeout=CONNECT_WITHIN_S,
            options=_options(self.url),
            application_name="cm-cloud",
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=2,
            tcp_user_timeout=6000,
            client_encoding="utf-8",
        )
        # An acknowledged write is on the server's disk, whatever is the default there.
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        return connection


def _options(url: str) -> str:
    given = conninfo_to_dict(url).get("options")
    return f"{given} {_LIMITS}" if given else _LIMITS


class Row(tuple[Any, ...]):
    """A row that is read by name or by index, as ``sqlite3.Row``."""

    __slots__ = ()
    _at: dict[str, int]

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(self._at[key] if isinstance(key, str) else key)

    def keys(self) -> list[str]:
        return list(self._at)


@lru_cache(maxsize=512)
def _row_kind(names: tuple[str, ...]) -> type[Row]:
    return type("Row", (Row,), {"__slots__": (), "_at": {name: at for at, name in enumerate(names)}})


def _rows(cursor: Any) -> Callable[[Sequence[Any]], Row]:
    return _row_kind(tuple(column.name for column in cursor.description or ()))


@lru_cache(maxsize=1024)
def translated(sql: str) -> str:
    """``?`` outside quotes is where a value goes; psycopg writes that ``%s``, and ``%`` itself double."""
    parts = sql.replace("%", "%%").split("'")
    parts[::2] = [part.replace("?", "%s") for part in parts[::2]]
    return "'".join(parts)


def _value(value: Any) -> Any:
    """As SQLite takes it: truth is a number. A text with a NUL, which is nobody's, fits nothing here either."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and "\0" in value:
        return value.replace("\0", "\ufffd")
    return value


class Line:
    """One connection, used by one thread; only ``break_if_stuck`` is called from another."""

    def __init__(self, place: Place, clock: IReactorTime) -> None:
        self._place, self._clock = place, clock
        self._connection: psycopg.Connection[Any] | None = None
        self._failures = 0
        self._next_try_s = float("-inf")
        self._asked_s: float | None = None

    # -- the connection

    def at_first(self) -> psycopg.Connection[Any]:
        """For the start of the program. Raises: ConfigError in one sentence."""
        try:
            self._connection = self._place.connect()
        except psycopg.Error as error:
            raise ConfigError(str(self._place), f"the database cannot be opened ({_why(error)})") from error
        return self._connection

    def _open(self) -> psycopg.Connection[Any]:
        """Raises: StorageError, at once while it is too early for another try."""
        if self._connection is not None:
            return self._connection
        if self._clock.seconds() < self._next_try_s:
            raise DatabaseGone()
        try:
            self._connection = self._place.connect()
        except psycopg.Error as error:
            pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures, 10))
            self._failures += 1
            self._next_try_s = self._clock.seconds() + pause_s * (0.75 + 0.5 * _chance.random())
            raise DatabaseGone() from error
        self._failures = 0
        return self._connection

    def drop(self) -> None:
        """Close it; the next use makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()

    def break_if_stuck(self) -> None:
        """End the connection under a statement that is not answered: the thread that waits for it goes on."""
        asked_s, connection = self._asked_s, self._connection
        if asked_s is None or connection is None or self._clock.seconds() - asked_s < ANSWER_WITHIN_S:
            return
        with contextlib.suppress(OSError, psycopg.Error):
            copy = socket.socket(fileno=os.dup(connection.fileno()))
            try:
                copy.shutdown(socket.SHUT_RDWR)
            finally:
                copy.close()

    @contextlib.contextmanager
    def alone(self) -> Iterator[psycopg.Connection[Any]]:
        """A fresh connection without transactions, for this block. Raises: psycopg.Error."""
        self._connection = self._place.connect()
        try:
            yield self._connection
        finally:
            self.drop()

    # -- statements

    def run(self, sql: str) -> Any:
        """One statement outside transactions. Raises: psycopg.Error."""
        return self._run(self._here(), sql)

    @contextlib.contextmanager
    def transaction(self, begin: str) -> Iterator[Line]:
        """Everything in the block or nothing. Raises: StorageError; what the statements themselves got wrong."""
        connection = self._open()
        try:
            self._run(connection, begin)
            try:
                yield self
            except BaseException:
                with contextlib.suppress(psycopg.Error):
                    self._run(connection, "ROLLBACK")
                raise
            self._run(connection, "COMMIT")
        except psycopg.Error as error:
            raise self._judged(error) from error
        finally:
            if connection.closed or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                self.drop()

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        return self._run(self._here(), translated(sql), tuple(map(_value, parameters)))

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Any:
        cursor = self._here().cursor()
        with self._waiting():
            cursor.executemany(translated(sql), [tuple(map(_value, row)) for row in rows])
        return cursor

    def _here(self) -> psycopg.Connection[Any]:
        assert self._connection is not None  # noqa: S101 - in a transaction
        return self._connection

    def _run(self, connection: psycopg.Connection[Any], sql: str, values: tuple[Any, ...] | None = None) -> Any:
        with self._waiting():
            return connection.execute(sql, values)

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        self._asked_s = self._clock.seconds()
        try:
            yield
        finally:
            self._asked_s = None

    def _judged(self, error: psycopg.Error) -> Exception:
        """Trouble with the server becomes ours; a wrong statement or a broken constraint is the caller's business."""
        state = error.sqlstate or ""
        known = "53100" if state == "53100" else "busy" if state in _BUSY or state[:2] == "53" else state
        if known in _SENTENCES and state != "53300":
            return StorageError(*_SENTENCES[known])
        lost = self._connection is None or self._connection.closed
        if lost or state[:2] in ("08", "57") or state == "53300" or isinstance(error, psycopg.InterfaceError):
            return DatabaseGone()
        return error


def _why(error: psycopg.Error) -> str:
    """The first line of what the driver says, which holds no password; its end is the reason."""
    lines = str(error).strip().splitlines()
    return lines[0].rpartition("FATAL: ")[2].strip() if lines else type(error).__name__
