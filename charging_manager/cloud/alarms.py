"""An installation that has been offline for too long raises an alarm; it ends when the installation is back.

What is noted in the database, and what the webhook is to tell, is one transaction: a crash loses neither. After a start
everybody gets the whole time anew to come back, and what was never here raises nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import orjson
from attrs import frozen
from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from charging_manager.clocks import UtcNow
from charging_manager.cloud.settings import SettingsStore
from charging_manager.cloud.webhook import enqueue
from charging_manager.storage.database import DatabaseGone
from charging_manager.storage.store import Connection, Store

log = Logger()

LOOK_EVERY_S = 15.0
MOST_IN_A_CALL = 500
"""When the network of a whole town fails, the webhook hears of many at once, not of one after the other."""


@frozen
class Change:
    """An alarm that began (``offline``) or ended (``back``)."""

    event: str
    cloud_id: str
    last_seen_at: str | None


class Alarms(Service):
    """Looks every few seconds who is missing."""

    def __init__(self, database: Store, settings: SettingsStore, clock: IReactorTime, now: UtcNow) -> None:
        self._database, self._settings, self._now = database, settings, now
        self._started_at = now()
        self._loop = LoopingCall(self._look_guarded)
        self._loop.clock = clock
        self.dropped = 0
        """Calls of the webhook that found no room, since the start."""

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        self._loop.start(LOOK_EVERY_S, now=False)

    def stopService(self) -> None:
        super().stopService()  # type: ignore[no-untyped-call]
        if self._loop.running:
            self._loop.stop()

    async def _look_guarded(self) -> None:
        looked_again = log.failuresHandled("looking for missing installations failed; the next look comes")
        with looked_again, suppress(DatabaseGone):
            if self._database.leads:
                await self.look()

    async def look(self) -> list[Change]:
        """What began and what ended since the last look. Raises: StorageError."""
        moment, settings = self._now(), self._settings.current
        waited = timedelta(seconds=settings.alarm_after_s)
        stamp, limit = (at.isoformat(timespec="seconds") for at in (moment, moment - waited))
        raises = settings.alarm_after_s > 0 and moment - self._started_at >= waited

        def note(db: Connection) -> tuple[list[Change], int]:
            ended = db.execute(
                "UPDATE installations SET alarm_at = NULL"
                " WHERE alarm_at IS NOT NULL AND (? <> 0 OR state = 'connected')"
                " RETURNING cloud_id, last_seen_at, state",
                (settings.alarm_after_s == 0,),
            ).fetchall()
            changes = [Change("back", row[0], row[1]) for row in ended if row[2] == "connected"]
            if raises:
                began = db.execute(
                    "UPDATE installations SET alarm_at = ? WHERE alarm_at IS NULL AND state = 'offline'"
                    " AND last_seen_at <= ? RETURNING cloud_id, last_seen_at",
                    (stamp, limit),
                ).fetchall()
                changes += [Change("offline", row[0], row[1]) for row in began]
            dropped = 0
            if settings.webhook_url:
                dropped = sum(enqueue(db, stamp, body) for body in _bodies(changes, stamp))
            return changes, dropped

        changes, dropped = await self._database.write(note)
        self.dropped += dropped
        for change in changes:
            what = "is offline for too long" if change.event == "offline" else "is back"
            log.warn("installation {cloud_id} {what}", cloud_id=change.cloud_id, what=what)
        return changes


def _bodies(changes: list[Change], stamp: str) -> Iterator[str]:
    for at in range(0, len(changes), MOST_IN_A_CALL):
        part = changes[at : at + MOST_IN_A_CALL]
        yield orjson.dumps({"at": stamp, "events": part}, default=_plain).decode()


def _plain(change: Change) -> dict[str, str | None]:
    return {"event": change.event, "cloud_id": change.cloud_id, "last_seen_at": change.last_seen_at}
