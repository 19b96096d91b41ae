"""API keys: programs of the operator ask with them, within their scopes. Of a key only its SHA-256 is kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import define, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from charging_manager.clocks import UtcNow
from charging_manager.cloud.hearing import quietly
from charging_manager.http.routes import Problem
from charging_manager.storage.database import DatabaseGone
from charging_manager.storage.store import Connection, Store

log = Logger()

PREFIX = "cmk_"
SCOPES = ("audit-read", "installations-read", "installations-write", "metrics-read")
MOST_KEYS = 100
_NOTED_EVERY_S = 60.0
_TOPIC = "api-keys"


@frozen
class ApiKey:
    """One key, without what opens anything."""

    number: int
    name: str
    scopes: frozenset[str]
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    last_source: str | None


@define
class _Live:
    key: ApiKey
    noted_s: float


class ApiKeys:
    """All keys; finding one is synchronous and cheap."""

    def __init__(self, database: Store, clock: IReactorTime, now: UtcNow) -> None:
        self._database, self._clock, self._now = database, clock, now
        self._live: dict[bytes, _Live] = {}
        database.listen(_TOPIC, lambda detail: quietly(self.load(), log, "API keys"))

    async def load(self) -> None:
        """Take up the keys of the database."""
        rows = await self._database.read(lambda db: db.execute("SELECT * FROM api_key").fetchall())
        noted = {digest: live.noted_s for digest, live in self._live.items()}
        self._live = {row["hash"]: _Live(_read(row), noted.get(row["hash"], float("-inf"))) for row in rows}

    async def listing(self) -> list[ApiKey]:
        """All of them, the oldest first."""
        rows = await self._database.read(lambda db: db.execute("SELECT * FROM api_key ORDER BY number").fetchall())
        return [_read(row) for row in rows]

    async def make(self, name: str, scopes: frozenset[str], days: int | None) -> tuple[str, ApiKey]:
        """A new key: the text that is shown once, and the rest. Raises: Problem 409 if there are too many."""
        text = PREFIX + secrets.token_urlsafe(32)
        moment = self._now()
        expires = (moment + timedelta(days=days)).isoformat(timespec="seconds") if days is not None else None
        values = (name, " ".join(sorted(scopes)), _digest(text), moment.isoformat(timespec="seconds"), expires)

        def insert(db: Connection) -> ApiKey:
            if db.execute("SELECT count(*) FROM api_key").fetchone()[0] >= MOST_KEYS:
                raise Problem(
                    409, "too-many-keys", "There are {most} keys already; revoke unused ones.", most=MOST_KEYS
                )
            self._database.tell(db, _TOPIC)
            return _read(
                db.execute(
                    "INSERT INTO api_key (name, scopes, hash, created_at, expires_at) VALUES (?, ?, ?, ?, ?)"
                    " RETURNING *",
                    values,
                ).fetchone()
            )

        made = await self._database.write(insert)
        self._live[_digest(text)] = _Live(made, float("-inf"))
        return text, made

    async def revoke(self, number: int) -> ApiKey | None:
        """It opens nothing from now on; None if there is none of that number."""

        def remove(db: Connection) -> None:
            db.execute("DELETE FROM api_key WHERE number = ?", (number,))
            self._database.tell(db, _TOPIC)

        for digest, live in list(self._live.items()):
            if live.key.number == number:
                del self._live[digest]
                await self._database.write(remove)
                return live.key
        return None

    def find(self, text: str, source: str) -> ApiKey | None:
        """The key of that text, unless it is unknown, revoked or expired; that it was used is noted."""
        live = self._live.get(_digest(text))
        if live is None:
            return None
        moment = self._now()
        if live.key.expires_at is not None and moment >= datetime.fromisoformat(live.key.expires_at):
            return None
        if self._clock.seconds() - live.noted_s >= _NOTED_EVERY_S:
            live.noted_s = self._clock.seconds()
            self._note(live.key.number, moment.isoformat(timespec="seconds"), source)
        return live.key

    def _note(self, number: int, at: str, source: str) -> None:
        values = (at, source, number)
        noting: Deferred[object] = self._database.write(
            lambda db: db.execute("UPDATE api_key SET last_used_at = ?, last_source = ? WHERE number = ?", values)
        )
        noting.addErrback(_not_noted)


def _not_noted(failure: Failure) -> None:
    if failure.check(DatabaseGone) is None:
        log.failure("the use of a key could not be noted", failure=failure)


def bearer_of(headers: Mapping[str, str]) -> str | None:
    """The key that a request carries, if it carries one of ours."""
    kind, _, given = headers.get("authorization", "").partition(" ")
    text = given.strip()
    return text if kind.lower() == "bearer" and text.startswith(PREFIX) and len(text) < 100 else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def _read(row: Any) -> ApiKey:
    return ApiKey(
        row["number"],
        row["name"],
        frozenset(row["scopes"].split()),
        row["created_at"],
        row["expires_at"],
        row["last_used_at"],
        row["last_source"],
    )
