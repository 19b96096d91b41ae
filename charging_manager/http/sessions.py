"""Login sessions: 256 random bits at the browser, their SHA-256 here; they end by idleness, by age or by decision.

They live in memory, so that a request costs one look-up, and in the daemon's ``login_session`` table (docs/http.md
has its SQL), so that a restart ends none. Expiry counts on the monotonic clock while the daemon runs; only what passed
while it was down is taken from the wall clock.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Hashable, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson
from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from charging_manager.clocks import UtcNow, utc_now
from charging_manager.http.routes import Role
from charging_manager.storage.database import StorageError
from charging_manager.storage.store import Connection, Store

IDLE_S = 14 * 86_400.0
ABSOLUTE_S = 90 * 86_400.0
_SAVE_EVERY_S = 300.0
MOST = 20_000
MOST_ALIKE = 500
"""Of one user, or of one installation: whoever logs in again and again pushes out nobody else."""


@frozen
class LoginSession:
    """One login, from login to logout. ``handle`` names it without opening it; ``about`` is the daemon's own."""

    handle: str
    role: Role
    user: str | None
    remote: bool
    language: str
    source: str
    about: Mapping[str, Any]
    created_at: datetime
    seen_at: datetime


@frozen
class Minted:
    """A new login: the token goes to the browser and is forgotten here."""

    token: str = field(repr=False)
    session: LoginSession


@define
class _Live:
    session: LoginSession
    created_s: float
    seen_s: float
    saved_s: float


class LoginSessions:
    """All logins of one daemon. ``find`` is synchronous and cheap; whoever wants to know of endings says ``on_end``."""

    _log = Logger()

    def __init__(
        self,
        database: Store,
        clock: IReactorTime,
        now: UtcNow = utc_now,
        idle_s: float = IDLE_S,
        absolute_s: float = ABSOLUTE_S,
    ) -> None:
        self._database, self._clock, self._now = database, clock, now
        self._idle_s, self._absolute_s = idle_s, absolute_s
        self.alike: Callable[[LoginSession], Hashable] = lambda session: (session.role, session.user, session.remote)
        self._live: dict[bytes, _Live] = {}
        self._by_handle: dict[str, bytes] = {}
        self._listeners: list[Callable[[LoginSession], None]] = []
        self._sweeping = LoopingCall(self._sweep_guarded)
        self._sweeping.clock = clock

    async def load(self) -> None:
        """Take up the logins of the last run, and start to look for expired ones every 30 s."""
        rows = await self._database.read(lambda c: c.execute("SELECT * FROM login_session").fetchall())
        now_s, now_at = self._clock.seconds(), self._now()
        for row in rows:
            session = _from_row(row)
            age_s = max(0.0, (now_at - session.created_at).total_seconds())
            idle_s = max(0.0, (now_at - session.seen_at).total_seconds())
            self._keep(row["token_hash"], _Live(session, now_s - age_s, now_s - idle_s, now_s - idle_s))
        self._sweeping.start(30.0, now=True)

    def stop(self) -> None:
        """No more looking for expired ones; the logins stay in the table."""
        if self._sweeping.running:
            self._sweeping.stop()

    def new_token(self) -> str:
        """A token for ``mint``, for callers that must know it before (to seal something under it)."""
        return secrets.token_urlsafe(32)

    def on_end(self, listener: Callable[[LoginSession], None]) -> None:
        """``listener`` is called for every login that ends, whatever ends it."""
        self._listeners.append(listener)

    async def mint(
        self,
        role: Role,
        *,
        user: str | None = None,
        remote: bool = False,
        language: str = "en",
        source: str = "",
        about: Mapping[str, Any] | None = None,
        token: str | None = None,
    ) -> Minted:
        """A new login; it counts once it is on the disk. On a full disk it is only until the next start: whoever
        makes room must be let in."""
        token = token or self.new_token()
        now_at, now_s, key = self._now(), self._clock.seconds(), _digest(token)
        session = LoginSession(
            secrets.token_urlsafe(9), role, user, remote, language, source, dict(about or {}), now_at, now_at
        )
        # Kept before it is written, so that whatever ends it meanwhile finds it; the disk sees both in this order.
        self._keep(key, _Live(session, now_s, now_s, now_s))
        try:
            await self._database.write(lambda c: _insert(c, key, session))
        except Exception as error:
            if not (isinstance(error, StorageError) and error.code == "disk-full"):
                self._live.pop(key, None)
                self._by_handle.pop(session.handle, None)
                raise
            self._log.warn("the disk is full: a login is kept in memory alone")
        kind = self.alike(session)
        crowd = [live for live in self._live.values() if self.alike(live.session) == kind]
        if len(crowd) <= MOST_ALIKE:
            crowd = list(self._live.values()) if len(self._live) > MOST else []
        if crowd:
            await self.end(min(crowd, key=lambda live: live.seen_s).session.handle)
        return Minted(token, session)

    def find(self, token: str | None) -> LoginSession | None:
        """Whose token this is; finding it counts as use. None if it is unknown or has expired."""
        if not token or len(token) > 100:
            return None
        live = self._live.get(_digest(token))
        now_s = self._clock.seconds()
        if live is None or self._expired(live, now_s):
            return None
        live.seen_s = now_s
        return live.session

    def get(self, handle: str) -> LoginSession | None:
        """The login of that handle, if it still lasts; this does not count as use."""
        key = self._by_handle.get(handle)
        live = self._live.get(key) if key else None
        return None if live is None or self._expired(live, self._clock.seconds()) else live.session

    def listing(self) -> list[LoginSession]:
        """All that last, newest use first, with ``seen_at`` as of now."""
        now_s, now_at = self._clock.seconds(), self._now()
        lasting = [live for live in self._live.values() if not self._expired(live, now_s)]
        lasting.sort(key=lambda live: -live.seen_s)
        return [evolve(live.session, seen_at=now_at - timedelta(seconds=now_s - live.seen_s)) for live in lasting]

    async def end(self, handle: str) -> bool:
        """End one login; False if there was none of that handle."""
        return bool(await self._end(lambda session: session.handle == handle))

    async def end_all(
        self,
        *,
        remote: bool | None = None,
        user: str | None = None,
        where: Callable[[LoginSession], bool] | None = None,
    ) -> list[LoginSession]:
        """End all that match everything given; they are closed at once, and gone from the disk when this returns."""
        return await self._end(
            lambda session: (
                (remote is None or session.remote is remote)
                and (user is None or session.user == user)
                and (where is None or where(session))
            )
        )

    async def _end(self, wanted: Callable[[LoginSession], bool]) -> list[LoginSession]:
        keys = [key for key, live in self._live.items() if wanted(live.session)]
        ended = [self._live.pop(key).session for key in keys]
        for session in ended:
            self._by_handle.pop(session.handle, None)
            self._tell(session)
        if keys:
            await self._database.write(
                lambda c: c.executemany("DELETE FROM login_session WHERE token_hash = ?", [(key,) for key in keys])
            )
        return ended

    def _tell(self, session: LoginSession) -> None:
        for listener in self._listeners:
            with self._log.failuresHandled("telling of an ended login failed"):
                listener(session)

    def _keep(self, key: bytes, live: _Live) -> None:
        self._live[key] = live
        self._by_handle[live.session.handle] = key

    def _expired(self, live: _Live, now_s: float) -> bool:
        return now_s - live.seen_s >= self._idle_s or now_s - live.created_s >= self._absolute_s

    async def _sweep_guarded(self) -> None:
        with self._log.failuresHandled("looking for expired logins failed; the next look comes"):
            await self._sweep()

    async def _sweep(self) -> None:
        now_s, now_at = self._clock.seconds(), self._now()
        over = {live.session.handle for live in self._live.values() if self._expired(live, now_s)}
        if over:
            await self._end(lambda session: session.handle in over)
        used = []
        for key, live in self._live.items():
            if live.seen_s - live.saved_s >= _SAVE_EVERY_S:
                live.saved_s = live.seen_s
                used.append(((now_at - timedelta(seconds=now_s - live.seen_s)).isoformat(), key))
        if used:
            await self._database.write(
                lambda c: c.executemany("UPDATE login_session SET seen_at = ? WHERE token_hash = ?", used)
            )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _insert(connection: Connection, key: bytes, session: LoginSession) -> None:
    connection.execute(
        "INSERT INTO login_session"
        ' (token_hash, handle, role, "user", remote, language, source, about, created_at, seen_at)'
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            key,
            session.handle,
            session.role.value,
            session.user,
            int(session.remote),
            session.language,
            session.source,
            orjson.dumps(session.about).decode(),
            session.created_at.isoformat(),
            session.seen_at.isoformat(),
        ),
    )


def _from_row(row: Any) -> LoginSession:
    return LoginSession(
        row["handle"],
        Role(row["role"]),
        row["user"],
        bool(row["remote"]),
        row["language"],
        row["source"],
        orjson.loads(row["about"]),
        datetime.fromisoformat(row["created_at"]),
        datetime.fromisoformat(row["seen_at"]),
    )
