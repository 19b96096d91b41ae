"""Tells another program of alarms: one call at a time, kept on disk until it was taken, given up after a day.

The order is kept. A call carries ``X-Signature: sha256=…``, an HMAC-SHA-256 of its body under the secret that the admin
has set, if there is one.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool
from twisted.web.http_headers import Headers

from charging_manager import VERSION
from charging_manager.cloud.settings import SettingsStore
from charging_manager.storage.database import DatabaseGone
from charging_manager.storage.store import Connection, Store

log = Logger()

MOST_WAITING = 1_000
MOST_TRIES = 20
FIRST_PAUSE_S = 10.0
LONGEST_PAUSE_S = 7200.0
TIMEOUT_S = 10.0
_chance = random.SystemRandom()

Post = Callable[[str, bytes, dict[str, str]], Awaitable[int]]
"""URL, body, headers to the status. Raises: Exception if there was no answer."""


def enqueue(db: Connection, at: str, body: str) -> int:
    """Keep this call, in the transaction that it belongs to; the oldest go when there are too many: how many."""
    db.execute("INSERT INTO webhook_call (at, body) VALUES (?, ?)", (at, body))
    gone = db.execute(
        "DELETE FROM webhook_call WHERE number <= ("
        "SELECT number FROM webhook_call ORDER BY number DESC LIMIT 1 OFFSET ?)",
        (MOST_WAITING,),
    )
    return gone.rowcount


class Webhook(Service):
    """Sends what waits in ``webhook_call``."""

    def __init__(
        self,
        database: Store,
        settings: SettingsStore,
        post: Post,
        clock: IReactorTime,
        spread: Callable[[], float] = _chance.random,
    ) -> None:
        self._database, self._settings, self._post, self._spread = database, settings, post, spread
        self._clock = clock
        self._loop = LoopingCall(self._work)
        self._loop.clock = clock
        self._resting_until_s = 0.0
        self.last_error = ""
        """Why the last call was not taken; empty when it was."""
        self.given_up = 0
        """Calls that were never taken, since the start."""

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        self._loop.start(1.0, now=False)

    def stopService(self) -> None:
        super().stopService()  # type: ignore[no-untyped-call]
        if self._loop.running:
            self._loop.stop()

    def try_now(self) -> None:
        """The address was changed: no more resting."""
        self._resting_until_s = 0.0

    def waiting(self) -> Deferred[int]:
        """How many calls have not been taken yet."""
        return self._database.read(lambda db: int(db.execute("SELECT count(*) FROM webhook_call").fetchone()[0]))

    async def _work(self) -> None:
        with log.failuresHandled("the webhook failed; what waits is tried again"), suppress(DatabaseGone):
            while self._database.leads and self._clock.seconds() >= self._resting_until_s and await self._send_one():
                pass

    async def _send_one(self) -> bool:
        """Whether there was one, and it was taken or given up."""
        row = await self._database.read(
            lambda db: db.execute("SELECT number, body, tries FROM webhook_call ORDER BY number LIMIT 1").fetchone()
        )
        settings = self._settings.current
        if row is None:
            return False
        if not settings.webhook_url:  # switched off: nobody wants to hear of it any more
            await self._database.write(lambda db: db.execute("DELETE FROM webhook_call"))
            return False
        body = row["body"].encode()
        headers = {"Content-Type": "application/json", "User-Agent": f"charging-manager/{VERSION}"}
        if settings.webhook_secret:
            code = hmac.digest(settings.webhook_secret.encode(), body, hashlib.sha256).hex()
            headers["X-Signature"] = f"sha256={code}"
        try:
            status = await self._post(settings.webhook_url, body, headers)
            error = "" if 200 <= status < 300 else f"status {status}"
        except Exception as failure:
            error = type(failure).__name__
        return await self._taken(row["number"]) if not error else await self._failed(row["number"], row["tries"], error)

    async def _taken(self, number: int) -> bool:
        if self.last_error:
            log.info("the webhook takes alarms again")
        self.last_error = ""
        await self._database.write(lambda db: db.execute("DELETE FROM webhook_call WHERE number = ?", (number,)))
        return True

    async def _failed(self, number: int, tries: int, error: str) -> bool:
        if not self.last_error:
            log.warn("the webhook did not take an alarm ({error}); it is tried again", error=error)
        self.last_error = error
        if tries + 1 >= MOST_TRIES:
            self.given_up += 1
            log.error("the webhook did not take an alarm in {tries} tries; it is given up", tries=tries + 1)
            await self._database.write(lambda db: db.execute("DELETE FROM webhook_call WHERE number = ?", (number,)))
            return True
        await self._database.write(
            lambda db: db.execute("UPDATE webhook_call SET tries = tries + 1 WHERE number = ?", (number,))
        )
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**tries)
        self._resting_until_s = self._clock.seconds() + pause_s * (0.75 + 0.5 * self._spread())
        return False


class _HangUp(Protocol):
    """Nobody reads the answer's body, however long it is."""

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.loseConnection()


def poster(reactor: Any) -> Post:
    """Posts over the network: certificates are checked, redirects are not followed, the answer's body is not read."""
    agent = Agent(reactor, connectTimeout=TIMEOUT_S, pool=HTTPConnectionPool(reactor, persistent=False))

    async def post(url: str, body: bytes, headers: dict[str, str]) -> int:
        fields = Headers({name: [value] for name, value in headers.items()})
        asking = agent.request(b"POST", url.encode("ascii"), fields, FileBodyProducer(io.BytesIO(body)))
        asking.addTimeout(TIMEOUT_S, reactor)
        answer = await asking
        answer.deliverBody(_HangUp())
        return int(answer.code)

    return post
