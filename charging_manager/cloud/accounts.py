"""Which installations there are: added by the cloud's admin with a password, or enrolled by their own key."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from attrs import frozen
from twisted.internet.defer import Deferred

from charging_manager.clocks import UtcNow
from charging_manager.http.routes import Problem
from charging_manager.storage.database import Database
from charging_manager.tunnel.scram import ScramVerifier

MOST_ENROLLED = 10_000
"""Whoever makes keys in a loop fills no disk."""


@frozen
class Installation:
    """One row for the cloud's admin. ``number`` is ours and never given twice; ``cloud_id`` is as it was written."""

    number: int
    cloud_id: str
    source: str
    created_at: str
    last_seen_at: str | None
    version: str | None


_COLUMNS = "number, cloud_id, source, created_at, last_seen_at, version"


class Accounts:
    """The installations in the database. Every change is on disk when its Deferred fires."""

    def __init__(self, database: Database, now: UtcNow) -> None:
        self._database = database
        self._now = now

    def add(self, cloud_id: str, verifier: ScramVerifier) -> Deferred[Installation]:
        """A new installation with a password. Fails with Problem 409 if the Cloud ID exists in any spelling."""
        return self._database.write(lambda db: _insert(db, cloud_id, "added", verifier, self._stamp()))

    def enrol(self, serial: str) -> Deferred[Installation]:
        """The installation that proved to own this serial number, new or known. Fails with Problem when full."""

        def find_or_insert(db: sqlite3.Connection) -> Installation:
            known = _find(db, serial)
            if known is not None:
                return known
            if (
                db.execute("SELECT count(*) FROM installations WHERE source = 'enrolled'").fetchone()[0]
                >= MOST_ENROLLED
            ):
                raise Problem(503, "enrolment-full", "No more installations can be enrolled; delete unused ones.")
            return _insert(db, serial, "enrolled", None, self._stamp())

        return self._database.write(find_or_insert)

    def find(self, cloud_id: str) -> Deferred[Installation | None]:
        """By Cloud ID, in any spelling."""
        return self._database.read(lambda db: _find(db, cloud_id))

    def verifier(self, cloud_id: str) -> Deferred[ScramVerifier | None]:
        """What a password is checked against; None if there is no such installation, or it has no password."""

        def look(db: sqlite3.Connection) -> ScramVerifier | None:
            row = db.execute("SELECT verifier FROM installations WHERE cloud_id = ?", (cloud_id,)).fetchone()
            return ScramVerifier.from_text(row["verifier"]) if row and row["verifier"] else None

        return self._database.read(look)

    def listing(self) -> Deferred[list[Installation]]:
        """All of them, by Cloud ID."""

        def look(db: sqlite3.Connection) -> list[Installation]:
            rows = db.execute(f"SELECT {_COLUMNS} FROM installations ORDER BY cloud_id")  # noqa: S608
            return [Installation(*row) for row in rows]

        return self._database.read(look)

    def delete(self, cloud_id: str) -> Deferred[Installation | None]:
        """Gone with its login sessions and its history; None if there was none."""

        def remove(db: sqlite3.Connection) -> Installation | None:
            known = _find(db, cloud_id)
            if known is not None:
                db.execute("DELETE FROM installations WHERE number = ?", (known.number,))
            return known

        return self._database.write(remove)

    def seen(self, sightings: Iterable[tuple[int, str, str | None]]) -> Deferred[None]:
        """Installation numbers with the moment when each tunnel was last known to be up, and the agent's version."""
        rows = [(at, version, number) for number, at, version in sightings]

        def note(db: sqlite3.Connection) -> None:
            db.executemany(
                "UPDATE installations SET last_seen_at = ?, version = coalesce(?, version) WHERE number = ?", rows
            )

        return self._database.write(note)

    def _stamp(self) -> str:
        return self._now().isoformat(timespec="seconds")


def _find(db: sqlite3.Connection, cloud_id: str) -> Installation | None:
    row = db.execute(f"SELECT {_COLUMNS} FROM installations WHERE cloud_id = ?", (cloud_id,)).fetchone()  # noqa: S608
    return Installation(*row) if row else None


def _insert(
    db: sqlite3.Connection, cloud_id: str, source: str, verifier: ScramVerifier | None, stamp: str
) -> Installation:
    if _find(db, cloud_id) is not None:
        raise Problem(409, "cloud-id-exists", "There is already an installation with this Cloud ID.", "cloud_id")
    number = db.execute(
        "INSERT INTO installations (cloud_id, source, verifier, created_at) VALUES (?, ?, ?, ?)",
        (cloud_id, source, verifier.to_text() if verifier else None, stamp),
    ).lastrowid
    assert number is not None  # noqa: S101 - after an INSERT there is one
    return Installation(number, cloud_id, source, stamp, None, None)
