"""What the rooms above need of a database, be it one SQLite file of ours or a PostgreSQL that several share.

Statements are written once, in the SQL that both understand, with ``?`` for values. Rows are read by name or index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


class Cursor(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int: ...

    @property
    def description(self) -> Any: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """An open transaction, or a look at a moment."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor: ...

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> Cursor: ...


class Store(Protocol):
    """An open database. Functions handed in get the connection, on another thread: they touch nothing else."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes write here too: then what is kept in memory may be out of date (``listen``)."""

    @property
    def leads(self) -> bool:
        """Whether this process is the one that does what must be done once (always, if it is alone)."""

    def write(self, function: Callable[[Connection], T]) -> Deferred[T]:
        """Run ``function`` in one transaction, one after the other whoever asks; durable when the Deferred fires.

        Raises: StorageError.
        """

    def read(self, function: Callable[[Connection], T]) -> Deferred[T]:
        """Run ``function`` on one view of everything acknowledged; it cannot write. Raises: StorageError."""

    def tell(self, db: Connection, topic: str, detail: str = "") -> None:
        """In a write: once it is committed, whoever listens for the topic in another process is called."""

    def listen(self, topic: str, heard: Callable[[str | None], object]) -> None:
        """``heard`` is called with the detail of what another process told, and with None when some may be missed."""

    def close(self) -> Deferred[None]:
        """Finish what was asked, then close; later calls fail with StorageError."""
