"""What happened: tunnels that came and went, logins that failed, and what the cloud's admin did. All of it bounded."""

from __future__ import annotations

import sqlite3
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from charging_manager.clocks import UtcNow
from charging_manager.storage.database import Database

log = Logger()

CONNECTIONS_KEPT = 50
"""Of each installation."""
ROWS_KEPT = 10_000
"""Of failed logins, and of the audit log."""


@frozen
class Passage:
    """A tunnel came up or was lost. ``detail`` is the agent's version, or the reason's code."""

    installation: int
    event: str
    at: str
    source: str
    detail: str


class Ledger:
    """Writes down; never stands in the way of what it writes about (a failed write is logged)."""

    def __init__(self, database: Database, now: UtcNow) -> None:
        self._database = database
        self._now = now

    def did(self, who: str, source: str, action: str, subject: str) -> Deferred[None]:
        """The cloud's admin, or a program of this machine, changed something."""

        def note(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO audit (at, who, source, action, subject) VALUES (?, ?, ?, ?, ?)",
                (self._stamp(), who, source, action, subject),
            )
            _keep_newest(db, "audit")

        return self._quietly(self._database.write(note))

    def login_failed(self, door: str, installation: int | None, source: str, cause: str) -> Deferred[None]:
        """Somebody was refused. ``cause`` is for the cloud's admin alone; outside all causes look the same."""

        def note(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO failed_logins (at, door, installation, source, cause)"
                " SELECT ?, ?, ?, ?, ? WHERE ? IS NULL OR EXISTS (SELECT 1 FROM installations WHERE number = ?)",
                (self._stamp(), door, installation, source, cause, installation, installation),
            )
            _keep_newest(db, "failed_logins")

        return self._quietly(self._database.write(note))

    def passed(self, passages: list[Passage]) -> Deferred[None]:
        """Tunnels came and went; passages of installations that are gone by now are dropped."""

        def note(db: sqlite3.Connection) -> None:
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

        return self._quietly(self._database.write(note))

    def audit(self, limit: int) -> Deferred[list[dict[str, Any]]]:
        """The newest entries, newest first."""
        return self._newest("SELECT at, who, source, action, subject FROM audit ORDER BY number DESC LIMIT ?", limit)

    def failures(self, limit: int) -> Deferred[list[dict[str, Any]]]:
        """The newest failed logins, newest first; ``cloud_id`` is None where none of ours was named."""
        return self._newest(
            "SELECT f.at, f.door, i.cloud_id, f.source, f.cause FROM failed_logins f"
            " LEFT JOIN installations i ON i.number = f.installation ORDER BY f.number DESC LIMIT ?",
            limit,
        )

    def connections(self, installation: int) -> Deferred[list[dict[str, Any]]]:
        """One installation's newest passages, newest first."""
        return self._newest(
            "SELECT event, at, source, detail FROM connections WHERE installation = ? ORDER BY number DESC LIMIT ?",
            installation,
            CONNECTIONS_KEPT,
        )

    def _newest(self, query: str, *values: int) -> Deferred[list[dict[str, Any]]]:
        def look(db: sqlite3.Connection) -> list[dict[str, Any]]:
            cursor = db.execute(query, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

        return self._database.read(look)

    def _stamp(self) -> str:
        return self._now().isoformat(timespec="seconds")

    def _quietly(self, writing: Deferred[None]) -> Deferred[None]:
        return writing.addErrback(lambda failure: log.failure("the ledger could not be written", failure=failure))


def _keep_newest(db: sqlite3.Connection, table: str) -> None:
    db.execute(
        f"DELETE FROM {table} WHERE number <= (SELECT max(number) FROM {table}) - ?",  # noqa: S608
        (ROWS_KEPT,),
    )
