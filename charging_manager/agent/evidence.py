"""What the grid operator ordered, and what was drawn meanwhile, minute by minute: durable for two years.

A full disk delays it (bounded) and stops nothing. An order that was open when the program died is closed at the next
start with the last minute that was written; that it goes on is an entry of its own.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from datetime import UTC, datetime, timedelta

from attrs import evolve, field, frozen
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from charging_manager.agent.store import Storage
from charging_manager.storage.database import StorageError

AROUND = 5
"""So many minutes before and after an order are kept too."""

KEPT = timedelta(days=731)
MOST_MINUTES = 400_000
"""Bounds the table: nine months of uninterrupted dimming."""
MOST_ORDERS = 50_000
_MOST_WAITING = 5_000
_MOST_LISTED = 10_000
_STEADY_S = 86_400.0


@frozen
class Order:
    """One order from begin to end: a new entry for each limit and each source that holds."""

    began_at: datetime
    source: str
    reason: str
    limit_w: float
    asked_w: float | None
    minimum_w: float
    ended_at: datetime | None = None
    end: str | None = None
    """over, or restart: the program ended, and the order may have gone on."""


@frozen
class Minute:
    """One minute. Powers are means of what was measured; None: nobody measured it."""

    at: datetime
    charging_w: float | None
    charging_most_w: float | None
    from_grid_w: float | None
    grid_w: float | None
    limit_w: float | None
    """The lowest that held in this minute."""
    silent: int
    """Most charge points that could not be read."""
    seconds: int
    """How often was looked."""


@frozen
class Standing:
    """What holds on after a restart."""

    source: str
    limit_w: float | None = None
    until_at: datetime | None = None


@frozen
class _Sums:
    """A minute that is not over yet."""

    at: datetime
    count: int = 0
    silent: int = 0
    limit_w: float | None = None
    charging: tuple[float, ...] = field(factory=tuple)
    from_grid: tuple[float, ...] = field(factory=tuple)
    grid: tuple[float, ...] = field(factory=tuple)

    def minute(self) -> Minute:
        return Minute(
            self.at,
            _mean(self.charging),
            max(self.charging, default=None),
            _mean(self.from_grid),
            _mean(self.grid),
            self.limit_w,
            self.silent,
            self.count,
        )


class Evidence:
    """The log. ``begin``, ``end`` and ``measure`` never wait; writing happens by itself."""

    log = Logger()

    def __init__(self, storage: Storage, clock: IReactorTime, retry_s: float = 5.0) -> None:
        self._storage = storage
        self._clock = clock
        self._retry_s = retry_s
        self._waiting: deque[Order | Minute] = deque()
        self._open: Order | None = None
        self._sums: _Sums | None = None
        self._before: deque[Minute] = deque(maxlen=AROUND)
        self._after = 0
        self.standing: tuple[Standing, ...] = ()
        self._written: tuple[Standing, ...] = ()
        self._one_at_a_time = DeferredLock()
        self._tried_s = clock.seconds()
        self._offset_s: float | None = None
        self._steady_s = clock.seconds()
        self._loop = LoopingCall(self._when_due)
        self._loop.clock = clock
        self.trouble: str | None = None
        """Code of what keeps the log from being written, while that lasts."""
        self.lost = 0
        """Entries that found no room in the queue."""

    async def start(self) -> list[Standing]:
        """Close what was left open, begin to write by itself; what held when the program ended."""
        found = await self._storage.read(_read_standing)
        self._written = self.standing = tuple(found)
        try:
            await self._storage.write(_close_open)
        except StorageError as error:
            self._trouble(error)
        self._loop.start(1.0, now=False)
        return found

    async def stop(self) -> None:
        """Write what waits and end."""
        if self._loop.running:
            self._loop.stop()
        if self._sums is not None and (self._open is not None or self._after > 0):
            self._add(self._sums.minute())
        await self.flush()

    @property
    def waiting(self) -> int:
        """How many entries are not durable yet."""
        return len(self._waiting)

    def begin(self, order: Order) -> None:
        """An order holds from now on."""
        self._open = order
        self._add(order)
        for minute in self._before:
            self._add(minute)
        self._before.clear()

    def end(self, at: datetime) -> None:
        """It holds no more."""
        if self._open is not None:
            self._add(evolve(self._open, ended_at=at, end="over"))
            self._open = None
            self._after = AROUND + 1  # the minute in which it ended, and those after

    def keep(self, standing: tuple[Standing, ...]) -> None:
        """What must hold on after a restart."""
        self.standing = standing

    def measure(
        self,
        at: datetime,
        *,
        charging_w: float | None,
        from_grid_w: float | None,
        grid_w: float | None,
        limit_w: float | None,
        silent: int,
    ) -> None:
        """What is drawn now; once a cycle."""
        self._watch_the_clock(at)
        start = at.replace(second=0, microsecond=0)
        sums = self._sums
        if sums is not None and sums.at != start:
            self._minute_over(sums.minute())
            sums = None
        sums = sums or _Sums(start)
        limits = [each for each in (sums.limit_w, limit_w) if each is not None]
        self._sums = evolve(
            sums,
            count=sums.count + 1,
            silent=max(sums.silent, silent),
            limit_w=min(limits) if limits else None,
            charging=_with(sums.charging, charging_w),
            from_grid=_with(sums.from_grid, from_grid_w),
            grid=_with(sums.grid, grid_w),
        )

    def _watch_the_clock(self, at: datetime) -> None:
        offset_s = at.timestamp() - self._clock.seconds()
        if self._offset_s is None or abs(offset_s - self._offset_s) > 60.0:
            self._steady_s = self._clock.seconds()
        self._offset_s = offset_s

    @property
    def _prunes(self) -> bool:
        """Old entries go only when the wall clock has not jumped for a day: a wrong date must not delete them."""
        return self._clock.seconds() - self._steady_s > _STEADY_S

    def _minute_over(self, minute: Minute) -> None:
        if self._open is not None or self._after > 0:
            self._add(minute)
            if self._open is None:
                self._after -= 1
        else:
            self._before.append(minute)

    def _add(self, entry: Order | Minute) -> None:
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(entry)

    def _when_due(self) -> None:
        due = bool(self._waiting) or self.standing != self._written
        wait_s = self._retry_s if self.trouble else 0.0
        if due and not self._one_at_a_time.locked and self._clock.seconds() - self._tried_s >= wait_s:
            Deferred.fromCoroutine(self.flush()).addErrback(
                lambda failure: self.log.failure("the grid operator's log could not be written", failure=failure)
            )

    async def flush(self) -> None:
        """Write what waits, in one transaction. Trouble with the disk keeps it waiting."""
        await self._one_at_a_time.acquire()
        try:
            await self._flush()
        finally:
            self._tried_s = self._clock.seconds()
            self._one_at_a_time.release()

    async def _flush(self) -> None:
        entries, standing, prunes = list(self._waiting), self.standing, self._prunes
        if not entries and standing == self._written:
            return
        try:
            await self._storage.write(lambda connection: _write(connection, entries, standing, prunes))
        except StorageError as error:
            self._trouble(error)
            return
        if self.trouble is not None:
            self.log.info("the grid operator's log is written again, {count} entries had waited", count=len(entries))
        self.trouble = None
        self._written = standing
        for entry in entries:
            if self._waiting and self._waiting[0] is entry:
                self._waiting.popleft()

    def _trouble(self, error: StorageError) -> None:
        if self.trouble is None:
            self.log.error("the grid operator's log waits: {reason}", reason=error.sentence)
        self.trouble = error.code

    async def read(self, since_at: datetime | None, until_at: datetime | None) -> tuple[list[Order], list[Minute]]:
        """Orders and minutes of this time, oldest first; those not durable yet included, and the minute that runs."""
        orders, minutes = await self._storage.read(lambda connection: _select(connection, since_at, until_at))
        by_begin = {order.began_at: order for order in orders}
        by_minute = {minute.at: minute for minute in minutes}
        waiting: list[Order | Minute] = list(self._waiting)
        if self._sums is not None and (self._open is not None or self._after > 0):
            waiting.append(self._sums.minute())
        for entry in waiting:
            at = entry.began_at if isinstance(entry, Order) else entry.at
            if (until_at is not None and at >= until_at) or (since_at is not None and at < since_at):
                continue
            if isinstance(entry, Order):
                by_begin[at] = entry
            else:
                by_minute[at] = entry
        return [by_begin[at] for at in sorted(by_begin)], [by_minute[at] for at in sorted(by_minute)]


def _with(known: tuple[float, ...], value: float | None) -> tuple[float, ...]:
    return known if value is None else (*known, value)


def _mean(values: tuple[float, ...]) -> float | None:
    return sum(values) / len(values) if values else None


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _read_standing(connection: sqlite3.Connection) -> list[Standing]:
    rows = connection.execute("SELECT source, limit_w, until_at FROM standing_order ORDER BY source")
    return [Standing(row[0], row[1], _moment(row[2])) for row in rows]


def _close_open(connection: sqlite3.Connection) -> None:
    """What a killed program left open ended, as far as anybody knows, with its last minute."""
    connection.execute(
        "UPDATE dimming_order SET end = 'restart', ended_at ="
        " (SELECT MAX(began_at, COALESCE((SELECT MAX(at) FROM dimming_minute), began_at))) WHERE ended_at IS NULL"
    )


def _write(
    connection: sqlite3.Connection, entries: list[Order | Minute], standing: tuple[Standing, ...], prunes: bool
) -> None:
    orders = [entry for entry in entries if isinstance(entry, Order)]
    minutes = [entry for entry in entries if isinstance(entry, Minute)]
    connection.executemany(
        "INSERT OR REPLACE INTO dimming_order"
        " (began_at, ended_at, end, source, reason, limit_w, asked_w, minimum_w) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(_text(one.began_at), _text(one.ended_at) if one.ended_at else None, one.end, one.source),
                *(one.reason, one.limit_w, one.asked_w, one.minimum_w),
            )
            for one in orders
        ],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO dimming_minute"
        " (at, charging_w, charging_most_w, from_grid_w, grid_w, limit_w, silent, seconds)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(_text(one.at), one.charging_w, one.charging_most_w, one.from_grid_w, one.grid_w, one.limit_w),
                *(one.silent, one.seconds),
            )
            for one in minutes
        ],
    )
    connection.execute("DELETE FROM standing_order")
    connection.executemany(
        "INSERT INTO standing_order (source, limit_w, until_at) VALUES (?, ?, ?)",
        [(one.source, one.limit_w, _text(one.until_at) if one.until_at else None) for one in standing],
    )
    if entries and prunes:
        newest_at = max(entry.began_at if isinstance(entry, Order) else entry.at for entry in entries)
        oldest = _text(newest_at - KEPT)
        connection.execute("DELETE FROM dimming_order WHERE began_at < ?", (oldest,))
        connection.execute("DELETE FROM dimming_minute WHERE at < ?", (oldest,))
    for table, key, most in (("dimming_order", "began_at", MOST_ORDERS), ("dimming_minute", "at", MOST_MINUTES)):
        connection.execute(
            f"DELETE FROM {table} WHERE {key} <= (SELECT {key} FROM {table} ORDER BY {key} DESC LIMIT 1 OFFSET {most})"  # noqa: S608
        )


def _select(
    connection: sqlite3.Connection, since_at: datetime | None, until_at: datetime | None
) -> tuple[list[Order], list[Minute]]:
    since, until = _text(since_at) if since_at else "", _text(until_at) if until_at else "~"
    orders = connection.execute(
        "SELECT * FROM (SELECT * FROM dimming_order WHERE (ended_at IS NULL OR ended_at >= ?) AND began_at < ?"
        " ORDER BY began_at DESC LIMIT ?) ORDER BY began_at",
        (since, until, _MOST_LISTED),
    )
    minutes = connection.execute(
        "SELECT * FROM (SELECT * FROM dimming_minute WHERE at >= ? AND at < ? ORDER BY at DESC LIMIT ?) ORDER BY at",
        (since, until, _MOST_LISTED),
    )
    return (
        [
            Order(
                began_at=datetime.fromisoformat(row["began_at"]),
                source=row["source"],
                reason=row["reason"],
                limit_w=row["limit_w"],
                asked_w=row["asked_w"],
                minimum_w=row["minimum_w"],
                ended_at=_moment(row["ended_at"]),
                end=row["end"],
            )
            for row in orders
        ],
        [
            Minute(
                at=datetime.fromisoformat(row["at"]),
                charging_w=row["charging_w"],
                charging_most_w=row["charging_most_w"],
                from_grid_w=row["from_grid_w"],
                grid_w=row["grid_w"],
                limit_w=row["limit_w"],
                silent=row["silent"],
                seconds=row["seconds"],
            )
            for row in minutes
        ],
    )
