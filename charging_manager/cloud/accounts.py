"""Which installations there are: added by the cloud's admin with a password, or enrolled by their own key."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import field, frozen
from twisted.internet.defer import Deferred

from charging_manager.clocks import UtcNow
from charging_manager.cloud.installation import COLUMNS, Installation, read_row, why_not
from charging_manager.cloud.listing import Page, Wish, counts_of, page_of
from charging_manager.http.routes import Problem
from charging_manager.storage.store import Connection, Store
from charging_manager.tunnel.scram import ScramVerifier

MOST_ENROLLED = 10_000
"""Whoever makes keys in a loop fills no disk."""

CUT_OFF = "cut-off"
"""What servers tell each other: Cloud ID and reason of a tunnel that has to end."""


@frozen
class Verifiers:
    """What an installation's password is checked against; ``next`` is of a new one that was not proved yet."""

    now: ScramVerifier
    next: ScramVerifier | None = None


@frozen
class Sighting:
    """When a tunnel was last known to be up, what came through it since the last sighting, and if it still is."""

    number: int
    at: str
    version: str | None
    online: bool
    received_bytes: int = 0
    sent_bytes: int = 0


@frozen
class Change:
    """What the admin changes of an installation; None leaves it as it is."""

    note: str | None = None
    tags: tuple[str, ...] | None = None
    disabled: bool | None = None
    approved: bool | None = None
    new_password: ScramVerifier | None = field(default=None, repr=False)
    at_once: bool = False
    """The new password counts at once, and the old one no more."""


class Accounts:
    """The installations in the database. Every change is on disk when its Deferred fires."""

    def __init__(self, database: Store, now: UtcNow, node: str = "") -> None:
        """``node`` names this server where several share the database."""
        self._database = database
        self._now = now
        self._node = node

    def add(self, cloud_id: str, verifier: ScramVerifier) -> Deferred[Installation]:
        """A new installation with a password. Fails with Problem 409 if the Cloud ID exists in any spelling."""
        return self._database.write(lambda db: _insert(db, cloud_id, "added", verifier, self._stamp(), True))

    def enrol(self, serial: str, approved: bool = True) -> Deferred[Installation]:
        """The installation that proved to own this serial number, new or known. Fails with Problem when full."""

        def find_or_insert(db: Connection) -> Installation:
            known = _find(db, serial)
            if known is not None:
                return known
            enrolled = "SELECT count(*) FROM installations WHERE source = 'enrolled'"
            if db.execute(enrolled).fetchone()[0] >= MOST_ENROLLED:
                raise Problem(503, "enrolment-full", "No more installations can be enrolled; delete unused ones.")
            return _insert(db, serial, "enrolled", None, self._stamp(), approved)

        return self._database.write(find_or_insert)

    def approve(self, serial: str) -> Deferred[Installation]:
        """This serial number may come in, whether it has asked yet or not."""

        def approved(db: Connection) -> Installation:
            if _find(db, serial) is None:
                return _insert(db, serial, "enrolled", None, self._stamp(), True)
            db.execute("UPDATE installations SET approved = 1 WHERE cloud_id = ?", (serial,))
            return _must_find(db, serial)

        return self._database.write(approved)

    def find(self, cloud_id: str) -> Deferred[Installation | None]:
        """By Cloud ID, in any spelling."""
        return self._database.read(lambda db: _find(db, cloud_id))

    def verifiers(self, cloud_id: str) -> Deferred[Verifiers | None]:
        """What a password is checked against; None if there is no such installation, or it has no password."""

        def look(db: Connection) -> Verifiers | None:
            row = db.execute(
                "SELECT verifier, next_verifier FROM installations WHERE cloud_id = ?", (cloud_id,)
            ).fetchone()
            if not row or not row["verifier"]:
                return None
            new = row["next_verifier"]
            return Verifiers(ScramVerifier.from_text(row["verifier"]), ScramVerifier.from_text(new) if new else None)

        return self._database.read(look)

    def proved(self, cloud_id: str, verifier: ScramVerifier) -> Deferred[bool]:
        """An agent came in with this one. If it was the new one, the old one ends; True if so."""
        text = verifier.to_text()

        def promote(db: Connection) -> bool:
            done = db.execute(
                "UPDATE installations SET verifier = next_verifier, next_verifier = NULL"
                " WHERE cloud_id = ? AND next_verifier = ?",
                (cloud_id, text),
            )
            return done.rowcount == 1

        return self._database.write(promote)

    def change(self, cloud_id: str, change: Change) -> Deferred[Installation | None]:
        """None if there is no such installation. Fails with Problem where a password makes no sense."""

        def apply(db: Connection) -> Installation | None:
            known = _find(db, cloud_id)
            if known is None:
                return None
            if change.new_password is not None and known.source == "enrolled":
                raise Problem(
                    422, "no-password", "This installation comes in with its own key and has no password.", "password"
                )
            new = change.new_password.to_text() if change.new_password else None
            at_once = new is not None and change.at_once
            fields = {
                "note": change.note,
                "tags": _stored_tags(change.tags) if change.tags is not None else None,
                "disabled": change.disabled,
                "approved": change.approved,
                "verifier": new if at_once else None,
                "next_verifier": None if at_once else new,
            }
            for name, value in fields.items():
                if value is not None:
                    db.execute(f"UPDATE installations SET {name} = ? WHERE number = ?", (value, known.number))  # noqa: S608
            if at_once:
                db.execute("UPDATE installations SET next_verifier = NULL WHERE number = ?", (known.number,))
            if change.disabled or change.approved is False:
                db.execute("UPDATE installations SET alarm_at = NULL WHERE number = ?", (known.number,))
            changed = _must_find(db, cloud_id)
            if at_once or not changed.may_enter:
                self._database.tell(db, CUT_OFF, f"{changed.cloud_id} {why_not(changed) or 'password-changed'}")
            return changed

        return self._database.write(apply)

    def admitted(self) -> Deferred[set[int]]:
        """The numbers of all that may have a tunnel."""

        def look(db: Connection) -> set[int]:
            return {
                row[0] for row in db.execute("SELECT number FROM installations WHERE disabled = 0 AND approved <> 0")
            }

        return self._database.read(look)

    def listing(self) -> Deferred[list[Installation]]:
        """All of them, by Cloud ID."""

        def look(db: Connection) -> list[Installation]:
            rows = db.execute(f"SELECT {COLUMNS} FROM installations ORDER BY cloud_id")  # noqa: S608
            return [read_row(row) for row in rows]

        return self._database.read(look)

    def page(self, wish: Wish) -> Deferred[Page]:
        """The part of them that somebody wants to see."""
        return self._database.read(lambda db: page_of(db, wish))

    def counts(self) -> Deferred[dict[str, int]]:
        """How many there are in each state."""
        return self._database.read(counts_of)

    def delete(self, cloud_id: str) -> Deferred[Installation | None]:
        """Gone with its login sessions and its history; None if there was none."""

        def remove(db: Connection) -> Installation | None:
            known = _find(db, cloud_id)
            if known is not None:
                db.execute("DELETE FROM installations WHERE number = ?", (known.number,))
                self._database.tell(db, CUT_OFF, f"{known.cloud_id} deleted")
            return known

        return self._database.write(remove)

    def seen(self, sightings: Iterable[Sighting]) -> Deferred[None]:
        """What became of the tunnels since the last time."""
        me = self._node
        rows = [
            (s.at, s.version, s.online, me, s.online, me, s.received_bytes, s.sent_bytes, s.number) for s in sightings
        ]

        def note(db: Connection) -> None:
            db.executemany(
                "UPDATE installations SET last_seen_at = ?, version = coalesce(?, version),"
                # Another server may have its tunnel by now: then what we say of ours does not count.
                " online = CASE WHEN ? <> 0 THEN 1 WHEN node = ? THEN 0 ELSE online END,"
                " node = CASE WHEN ? <> 0 THEN ? ELSE node END,"
                " received_bytes = received_bytes + ?, sent_bytes = sent_bytes + ? WHERE number = ?",
                rows,
            )

        return self._database.write(note)

    def nobody_is_here(self) -> Deferred[None]:
        """This server has just started: no tunnel is up here."""

        def forget(db: Connection) -> None:
            db.execute("UPDATE installations SET online = 0 WHERE online <> 0 AND node = ?", (self._node,))

        return self._database.write(forget)

    def _stamp(self) -> str:
        return self._now().isoformat(timespec="seconds")


def _stored_tags(tags: tuple[str, ...]) -> str:
    return "".join(f" {tag}" for tag in sorted(set(tags))) + " " if tags else ""


def _find(db: Connection, cloud_id: str) -> Installation | None:
    row = db.execute(f"SELECT {COLUMNS} FROM installations WHERE cloud_id = ?", (cloud_id,)).fetchone()  # noqa: S608
    return read_row(row) if row else None


def _must_find(db: Connection, cloud_id: str) -> Installation:
    found = _find(db, cloud_id)
    assert found is not None  # noqa: S101 - it was there a statement ago, in this transaction
    return found


def _insert(
    db: Connection, cloud_id: str, source: str, verifier: ScramVerifier | None, stamp: str, approved: bool
) -> Installation:
    if _find(db, cloud_id) is not None:
        raise Problem(409, "cloud-id-exists", "There is already an installation with this Cloud ID.", "cloud_id")
    db.execute(
        "INSERT INTO installations (cloud_id, source, verifier, created_at, approved) VALUES (?, ?, ?, ?, ?)",
        (cloud_id, source, verifier.to_text() if verifier else None, stamp, approved),
    )
    return _must_find(db, cloud_id)
