"""What happened, made durable: charging sessions and the audit log. A full disk delays them and stops nothing."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from charging_manager.agent.sessions import Step
from charging_manager.agent.store import Storage
from charging_manager.clocks import UtcNow, utc_now
from charging_manager.model.session import ChargingSession
from charging_manager.storage.database import StorageError

_MOST_SESSIONS_WAITING = 5_000
_MOST_AUDIT_WAITING = 1_000
_AUDIT_KEPT = 10_000
_SEEN_EVERY_S = 300.0
_MOST_LISTED = 10_000


@frozen
class AuditEntry:
    """Who did what to what. ``detail`` holds no secret."""

    at: datetime
    actor: str
    source: str
    action: str
    subject: str = ""
    detail: str = ""


class Records:
    """Writes sessions and audit entries: at once when something begins or ends, else every ``every_s``."""

    log = Logger()

    def __init__(
        self, storage: Storage, clock: IReactorTime, now: UtcNow = utc_now, every_s: float = 15.0, retry_s: float = 5.0
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._now = now
        self._every_s, self._retry_s = every_s, retry_s
        self._sessions: dict[str, Step] = {}
        self._durable: dict[str, Step] = {}
        self._audit: deque[AuditEntry] = deque(maxlen=_MOST_AUDIT_WAITING)
        self._urgent = False
        self._one_at_a_time = DeferredLock()
        self._written_s = clock.seconds()
        self._loop = LoopingCall(self._when_due)
        self._loop.clock = clock
        self.trouble: str | None = None
        """Code of what keeps records from being written, while that lasts."""
        self.lost = 0
        """Sessions that found no room in the queue."""

    def start(self) -> None:
        """Begin to write by itself."""
        self._loop.start(1.0, now=False)

    async def stop(self) -> None:
        """Write what waits and end."""
        if self._loop.running:
            self._loop.stop()
        await self.flush()

    @property
    def waiting(self) -> int:
        """How many records are not durable yet."""
        return len(self._sessions) + len(self._audit)

    def note(self, step: Step) -> None:
        """Take down the newest state of a session; a car that only stands there costs no writing."""
        durable = self._durable.get(step.session.id)
        if durable is not None and not step.closed and step.session.id not in self._sessions and _same(durable, step):
            return
        known = self._sessions.pop(step.session.id, None)
        if known is None and len(self._sessions) >= _MOST_SESSIONS_WAITING:
            del self._sessions[next(iter(self._sessions))]
            self.lost += 1
        self._sessions[step.session.id] = step
        self._urgent = self._urgent or step.opened or step.closed

    def audit(self, actor: str, source: str, action: str, subject: str = "", detail: str = "") -> None:
        """Take down who did what."""
        self._audit.append(AuditEntry(self._now(), actor, source, action, subject, detail))
        self._urgent = True

    def _when_due(self) -> None:
        wait_s = self._retry_s if self.trouble else (0.0 if self._urgent else self._every_s)
        if self.waiting and not self._one_at_a_time.locked and self._clock.seconds() - self._written_s >= wait_s:
            Deferred.fromCoroutine(self.flush()).addErrback(
                lambda failure: self.log.failure("records could not be written; they wait", failure=failure)
            )

    async def flush(self) -> None:
        """Write what waits, in one transaction. Trouble with the disk keeps it waiting."""
        await self._one_at_a_time.acquire()
        try:
            await self._flush()
        finally:
            self._written_s = self._clock.seconds()
            self._one_at_a_time.release()

    async def _flush(self) -> None:
        if not self.waiting:
            return
        sessions, audit = dict(self._sessions), list(self._audit)
        self._urgent = False
        try:
            await self._storage.write(lambda connection: _write(connection, sessions, audit))
        except StorageError as error:
            if self.trouble is None:
                self.log.error("records wait: {reason}", reason=error.sentence)
            self.trouble = error.code
        else:
            if self.trouble is not None:
                self.log.info("records are written again, {count} had waited", count=len(sessions) + len(audit))
            self.trouble = None
            for key, step in sessions.items():
                self._durable[key] = step
                if step.closed:
                    del self._durable[key]
                if self._sessions.get(key) is step:
                    del self._sessions[key]
            for entry in audit:
                if self._audit and self._audit[0] is entry:
                    self._audit.popleft()

    def open_sessions(self) -> Deferred[list[tuple[ChargingSession, datetime]]]:
        """What was not closed when the program ended, with the time that the car was last seen."""
        return self._storage.read(
            lambda connection: [
                (_session(row), datetime.fromisoformat(row["seen_at"]))
                for row in connection.execute(
                    "SELECT * FROM charging_session WHERE ended_at IS NULL ORDER BY started_at"
                )
            ]
        )

    async def sessions(
        self,
        since_at: datetime | None = None,
        until_at: datetime | None = None,
        user: str | None = None,
        charge_point: str | None = None,
    ) -> list[ChargingSession]:
        """Sessions that began in this time, newest first; those not durable yet included."""
        where = {
            "started_at >= ?": _text(since_at) if since_at else None,
            "started_at < ?": _text(until_at) if until_at else None,
            "user = ?": user,
            "charge_point = ?": charge_point,
        }
        stored = await self._storage.read(lambda connection: _select(connection, where))
        found = {session.id: session for session in stored}
        for step in self._sessions.values():
            new = step.session
            if (
                (since_at is None or new.started_at >= since_at)
                and (until_at is None or new.started_at < until_at)
                and (user is None or new.user == user)
                and (charge_point is None or new.charge_point == charge_point)
            ):
                found[new.id] = new
        return sorted(found.values(), key=lambda session: session.started_at, reverse=True)


def _same(one: Step, other: Step) -> bool:
    """Nothing worth writing lies between them."""
    return (
        abs(other.session.energy_wh - one.session.energy_wh) < 1.0
        and other.session.user == one.session.user
        and other.session.started_at == one.session.started_at
        and abs((other.seen_at - one.seen_at).total_seconds()) < _SEEN_EVERY_S
    )


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def _select(connection: sqlite3.Connection, where: Mapping[str, str | None]) -> list[ChargingSession]:
    chosen = {condition: value for condition, value in where.items() if value is not None}
    condition = " AND ".join(chosen) or "1"
    rows = connection.execute(
        f"SELECT * FROM charging_session WHERE {condition} ORDER BY started_at DESC LIMIT {_MOST_LISTED}",  # noqa: S608
        list(chosen.values()),
    )
    return [_session(row) for row in rows]


def _session(row: sqlite3.Row) -> ChargingSession:
    return ChargingSession(
        id=row["id"],
        charge_point=row["charge_point"],
        user=row["user"],
        started_at=datetime.fromisoformat(row["started_at"]),
        ended_at=datetime.fromisoformat(row["ended_at"]) if row["ended_at"] else None,
        start_wh=row["start_wh"],
        end_wh=row["end_wh"],
        energy_wh=row["energy_wh"],
    )


def _write(connection: sqlite3.Connection, sessions: Mapping[str, Step], audit: list[AuditEntry]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO charging_session"
        " (id, charge_point, user, started_at, ended_at, start_wh, end_wh, energy_wh, seen_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(one.id, one.charge_point, one.user, _text(one.started_at)),
                _text(one.ended_at) if one.ended_at else None,
                *(one.start_wh, one.end_wh, one.energy_wh, _text(step.seen_at)),
            )
            for step in sessions.values()
            for one in (step.session,)
        ],
    )
    connection.executemany(
        "INSERT INTO audit (at, actor, source, action, subject, detail) VALUES (?, ?, ?, ?, ?, ?)",
        [(_text(one.at), one.actor, one.source, one.action, one.subject, one.detail) for one in audit],
    )
    if audit:
        connection.execute("DELETE FROM audit WHERE id <= (SELECT MAX(id) FROM audit) - ?", (_AUDIT_KEPT,))
