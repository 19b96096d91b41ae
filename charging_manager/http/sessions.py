"""Login sessions: 256 random bits at the browser, their SHA-256 here; they end by idleness, by age or by decision.

They live in memory, so that a request costs one look-up, and in the daemon's ``login_session`` table (docs/http.md
has its SQL), so that a restart ends none. Where several processes share that table each tells the others what began
and what ended; one that is unknown here, or was not used here for long, is looked for there (``prepare``).
Expiry counts on the monotonic clock while the daemon runs; only what passed while it was down is taken from the wall
clock.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Coroutine, Hashable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import orjson
from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from charging_manager.clocks import UtcNow, utc_now
from charging_manager.http.routes import Role
from charging_manager.storage.database import DatabaseGone, StorageError
from charging_manager.storage.store import Connection, Store

IDLE_S = 14 * 86_400.0
ABSOLUTE_S = 90 * 86_400.0
_SAVE_EVERY_S = 300.0
_TOPIC = "login-session"
_TOKEN_LENGTH = 43
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
        self._unwritten: set[bytes] = set()
        self._over: dict[bytes, bool] = {}
        """What has ended, whatever a look at the table that began before still shows; True: to be deleted there yet."""
        self.in_doubt = False
        """The last ``prepare`` could not look: who is unknown may yet be logged in."""
        database.listen(_TOPIC, self._hear)
        self._sweeping = LoopingCall(self._sweep_guarded)
        self._sweeping.clock = clock

    async def load(self) -> None:
        """Take up the logins of the last run, and start to look for expired ones every 30 s."""
        await self._take_up()
        self._sweeping.start(30.0, now=True)

    async def _take_up(self) -> None:
        """All that the table has; and what it has not any more, has ended."""
        young = set(self._live)
        rows = await self._database.read(lambda c: c.execute("SELECT * FROM login_session").fetchall())
        for row in rows:
            self._take(row)
        kept = {row["token_hash"] for row in rows} | self._unwritten
        self._drop([key for key in young if key not in kept])

    def _take(self, row: Any) -> None:
        session, now_s, now_at = _from_row(row), self._clock.seconds(), self._now()
        age_s = max(0.0, (now_at - session.created_at).total_seconds())
        seen_s = now_s - max(0.0, (now_at - session.seen_at).total_seconds())
        known = self._live.get(row["token_hash"])
        if row["token_hash"] in self._over:
            return
        if known is None:
            self._keep(row["token_hash"], _Live(session, now_s - age_s, seen_s, seen_s))
        else:
            known.seen_s = max(known.seen_s, seen_s)

    def _drop(self, keys: list[bytes], *, delete: bool = False) -> list[LoginSession]:
        for key in keys:
            self._over[key] = delete or self._over.get(key, False)
        while len(self._over) > MOST:
            del self._over[next(iter(self._over))]
        ended = [self._live.pop(key).session for key in keys if key in self._live]
        for session in ended:
            self._by_handle.pop(session.handle, None)
            self._tell(session)
        return ended

    def _hear(self, detail: str | None) -> None:
        """What another process did: ``+`` or ``-`` and the hashes; None: anything may have happened."""
        if detail is None:
            self._aside(self._delete())
            self._aside(self._take_up())
        elif detail.startswith("-"):
            self._drop([bytes.fromhex(key) for key in detail[1:].split()])
        else:
            self._aside(self._look_for([bytes.fromhex(key) for key in detail[1:].split()]))

    def _aside(self, work: Coroutine[Any, Any, object]) -> None:
        def failed(failure: Failure) -> None:
            if failure.check(StorageError) is None:
                self._log.failure("logins of another server could not be taken up", failure=failure)

        Deferred.fromCoroutine(work).addErrback(failed)

    async def _look_for(self, keys: list[bytes]) -> None:
        """Take up these as they stand in the table now."""

        def look(c: Connection) -> list[Any]:
            found = [c.execute("SELECT * FROM login_session WHERE token_hash = ?", (key,)).fetchone() for key in keys]
            return [row for row in found if row is not None]

        for row in await self._database.read(look):
            self._take(row)

    def prepare(self, token: str | None) -> Deferred[None] | None:
        """To be waited for before ``find``; None: there is no need to wait. Never fails."""
        if not self._database.is_shared or not token or len(token) != _TOKEN_LENGTH:
            return None
        key = _digest(token)
        live = self._live.get(key)
        if live is not None and not self._expired(live, self._clock.seconds()):
            return None
        looking: Deferred[None] = Deferred.fromCoroutine(self._look_for([key]))
        return looking.addCallbacks(self._looked, self._not_found)

    def _looked(self, _: object) -> None:
        self.in_doubt = False

    def _not_found(self, failure: Failure) -> None:
        self.in_doubt = True
        if failure.check(StorageError) is None:
            self._log.failure("a login of another server could not be looked for", failure=failure)

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
        self._unwritten.add(key)

        def insert(c: Connection) -> None:
            _insert(c, key, session)
            self._database.tell(c, _TOPIC, f"+{key.hex()}")

        try:
            await self._database.write(insert)
            self._unwritten.discard(key)
        except Exception as error:
            if not (isinstance(error, StorageError) and error.code == "disk-full"):
                self._live.pop(key, None)
                self._by_handle.pop(session.handle, None)
                self._unwritten.discard(key)
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
        """End all that match everything given; they are closed at once, and gone from the disk when this returns, or
        when the database answers again."""
        if self._database.is_shared:
            with suppress(DatabaseGone):
                await self._take_up()
        return await self._end(
            lambda session: (
                (remote is None or session.remote is remote)
                and (user is None or session.user == user)
                and (where is None or where(session))
            )
        )

    async def _end(self, wanted: Callable[[LoginSession], bool]) -> list[LoginSession]:
        keys = [key for key, live in self._live.items() if wanted(live.session)]
        ended = self._drop(keys, delete=True)
        with suppress(DatabaseGone):  # they are over here, and there as soon as it answers
            await self._delete()
        return ended

    async def _delete(self) -> None:
        """What has ended and is in the table still."""
        keys = [key for key, waits in self._over.items() if waits]

        def delete(c: Connection) -> None:
            c.executemany("DELETE FROM login_session WHERE token_hash = ?", [(key,) for key in keys])
            self._database.tell(c, _TOPIC, "-" + " ".join(key.hex() for key in keys))

        if keys:
            await self._database.write(delete)
            self._over.update(dict.fromkeys(keys, False))

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
        with (
            self._log.failuresHandled("looking for expired logins failed; the next look comes"),
            suppress(DatabaseGone),
        ):
            await self._sweep()

    async def _sweep(self) -> None:
        await self._delete()
        now_s, now_at = self._clock.seconds(), self._now()
        over = [key for key, live in self._live.items() if self._expired(live, now_s)]
        if over and self._database.is_shared:  # it may have been used elsewhere
            await self._look_for(over)
        still = [self._live[key] for key in over if key in self._live]
        handles = {live.session.handle for live in still if self._expired(live, now_s)}
        if handles:
            await self._end(lambda session: session.handle in handles)
        used = []
        for key, live in self._live.items():
            if live.seen_s - live.saved_s >= _SAVE_EVERY_S:
                live.saved_s = live.seen_s
                seen_at = (now_at - timedelta(seconds=now_s - live.seen_s)).isoformat()
                used.append((seen_at, key, seen_at))
        if used:
            await self._database.write(
                lambda c: c.executemany(
                    "UPDATE login_session SET seen_at = ? WHERE token_hash = ? AND seen_at < ?", used
                )
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
