"""What happened: tunnels that came and went, logins that failed, and what the cloud's admin did. All of it bounded."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from charging_manager.clocks import UtcNow
from charging_manager.cloud import chain
from charging_manager.cloud.chain import Head
from charging_manager.http.routes import Caller
from charging_manager.storage.database import DatabaseGone
from charging_manager.storage.store import Connection, Store

log = Logger()

CONNECTIONS_KEPT = 50
"""Of each installation."""
ROWS_KEPT = 10_000
"""Of failed logins."""
AUDIT_KEPT = 100_000
_MOST_WAITING = 10_000
HEAD_LOGGED_EVERY = 100
"""Entries of the audit log: so often its newest hash is written into the daemon's log."""


@frozen
class Passage:
    """A tunnel came up or was lost. ``detail`` is the agent's version, or the reason's code."""

    installation: int
    event: str
    at: str
    source: str
    detail: str


def doer(caller: Caller) -> str:
    """How the audit log names who asks: the cloud's admin, or a key by its name."""
    return f"key {caller.user}" if caller.user else "cloud-admin"


class Ledger:
    """Writes down; never stands in the way of what it writes about (a failed write is logged).

    ``key`` makes the audit log a chain (``chain.chain_key``).
    """

    def __init__(self, database: Store, now: UtcNow, key: bytes) -> None:
        self._database = database
        self._now = now
        self._key = key
        self._waiting: list[tuple[str, str, str, str, str]] = []
        self.head = Head(0, "")
        """The audit log's newest entry, as far as this process knows."""

    async def begin(self) -> None:
        """Take up the audit log, and say where it ends: whoever keeps the daemon's log can compare that later."""
        self.head = await self._database.read(chain.head_of)
        self._log_head()

    def did(self, who: str, source: str, action: str, subject: str) -> Deferred[None]:
        """The cloud's admin, a key, a browser or a program of this machine did something. No secret stands in it."""
        self._waiting.append((self._stamp(), who, source, action, subject))
        return self.catch_up()

    def catch_up(self) -> Deferred[None]:
        """Write down what waits: while the database was away nothing could be."""
        batch, self._waiting = self._waiting[-_MOST_WAITING:], []
        if not batch:
            return succeed(None)

        def note(db: Connection) -> Head:
            heads = [chain.append(db, self._key, entry, AUDIT_KEPT) for entry in batch]
            return heads[-1]

        def gone(failure: Failure) -> Failure:
            if failure.check(DatabaseGone):
                self._waiting = batch + self._waiting
            return failure

        return self._quietly(self._database.write(note).addCallbacks(self._went_on, gone))

    def _went_on(self, head: Head) -> None:
        self.head = head
        if head.number % HEAD_LOGGED_EVERY == 0:
            self._log_head()

    def _log_head(self) -> None:
        log.info("audit log: head {head}", head=str(self.head))

    def whole(self) -> Deferred[chain.Whole]:
        """Look through the whole chain. Fails with ChainBroken."""
        return self._database.read(lambda db: chain.verify(db, self._key))

    def login_failed(self, door: str, installation: int | None, source: str, cause: str) -> Deferred[None]:
        """Somebody was refused. ``cause`` is for the cloud's admin alone; outside all causes look the same."""

        def note(db: Connection) -> None:
            db.execute(
                "INSERT INTO failed_logins (at, door, installation, source, cause)"
                " SELECT ?, ?, ?, ?, ? WHERE ? IS NULL OR EXISTS (SELECT 1 FROM installations WHERE number = ?)",
                (self._stamp(), door, installation, source, cause, installation, installation),
            )
            db.execute("UPDATE installations SET failed_logins = failed_logins + 1 WHERE number = ?", (installation,))
            db.execute(
                "DELETE FROM failed_logins WHERE number <= (SELECT max(number) FROM failed_logins) - ?", (ROWS_KEPT,)
            )

        return self._quietly(self._database.write(note))

    def passed(self, passages: list[Passage]) -> Deferred[None]:
        """Tunnels came and went; passages of installations that are gone are dropped. Fails with StorageError."""

        def note(db: Connection) -> None:
            db.executemany(
                "INSERT INTO connections (installation, event, at, source, detail)"
                " SELECT ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM installations WHERE number = ?)",
                [(p.installation, p.event, p.at, p.source, p.detail, p.installation) for p in passages],
            )
            db.executemany(
                "DELETE FROM connections WHERE installation = ? AND number <= ("
                "SELECT number FROM connections WHERE installation = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
                [(n, n, CONNECTIONS_KEPT) for n in {p.installation for p in passages}],
            )

        return self._database.write(note)

    def audit(self, limit: int, before: int | None = None) -> Deferred[list[dict[str, Any]]]:
        """The newest entries, newest first; with ``before`` only those older than that number."""
        return self._newest(
            "SELECT number, at, who, source, action, subject, hash FROM audit WHERE number < ?"
            " ORDER BY number DESC LIMIT ?",
            before if before is not None else 2**62,
            limit,
        )

    def failures(self, limit: int, installation: int | None = None) -> Deferred[list[dict[str, Any]]]:
        """The newest failed logins, newest first; ``cloud_id`` is None where none of ours was named."""
        chosen = "WHERE f.installation = ?" if installation is not None else "WHERE ? IS NULL"
        return self._newest(
            "SELECT f.at, f.door, i.cloud_id, f.source, f.cause FROM failed_logins f"  # noqa: S608 - our own words
            f" LEFT JOIN installations i ON i.number = f.installation {chosen} ORDER BY f.number DESC LIMIT ?",
            installation,
            limit,
        )

    def connections(self, installation: int) -> Deferred[list[dict[str, Any]]]:
        """One installation's newest passages, newest first."""
        return self._newest(
            "SELECT event, at, source, detail FROM connections WHERE installation = ? ORDER BY number DESC LIMIT ?",
            installation,
            CONNECTIONS_KEPT,
        )

    def _newest(self, query: str, *values: int | None) -> Deferred[list[dict[str, Any]]]:
        def look(db: Connection) -> list[dict[str, Any]]:
            cursor = db.execute(query, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

        return self._database.read(look)

    def _stamp(self) -> str:
        return self._now().isoformat(timespec="seconds")

    def _quietly(self, writing: Deferred[None]) -> Deferred[None]:
        def failed(failure: Failure) -> None:
            if failure.check(DatabaseGone) is None:  # which the store says itself
                log.failure("the ledger could not be written", failure=failure)

        return writing.addErrback(failed)
