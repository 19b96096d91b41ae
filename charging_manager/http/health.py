"""What load balancers and watchers ask, without a login: does the process answer, and may traffic be sent to it.

``/healthz`` is answered as long as anything is. ``/readyz`` says 200, or 503 and why in one word: it tells nothing that
a stranger could not find out by trying.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from charging_manager.http.routes import Answer, Call, Right, Route
from charging_manager.storage.database import StorageError

ALIVE, READY = "/healthz", "/readyz"
PATHS = frozenset({ALIVE, READY})
"""Open to anybody, even while a daemon is closed to strangers."""
DATABASE_WITHIN_S = 2.0
GOOD_FOR_S = 1.0
"""So long the database's last answer counts: strangers who ask often do not burden it."""
_TEXT = "text/plain; charset=utf-8"


class Health:
    """``look`` asks the database for anything at all; ``otherwise`` says why else the daemon is not ready, or None."""

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        look: Callable[[], Deferred[Any]],
        otherwise: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._clock, self._look, self._otherwise = clock, look, otherwise
        self._looking = False
        self._late: IDelayedCall | None = None
        self._waiting: list[Deferred[None]] = []
        self._answers = False
        self._told_s = -GOOD_FOR_S
        self.draining = False
        """Set when the daemon begins to end: whoever sends traffic sends it elsewhere."""

    def routes(self) -> list[Route]:
        return [
            Route("GET", ALIVE, Right.ANYBODY, self._alive, "Does the process answer? Open to anybody"),
            Route(
                *("GET", READY, Right.ANYBODY, self._ready, "May traffic be sent here? Open to anybody"),
                statuses=(200, 503),
            ),
        ]

    async def _alive(self, call: Call) -> Answer:
        return Answer(b"ok\n", content_type=_TEXT)

    async def _ready(self, call: Call) -> Answer:
        why = await self.why_not()
        return Answer(f"{why or 'ready'}\n".encode("ascii"), status=503 if why else 200, content_type=_TEXT)

    async def why_not(self) -> str | None:
        """``draining``, ``database``, or what the daemon itself says; None: ready."""
        if self.draining:
            return "draining"
        return self._otherwise() or (None if await self._database_answers() else "database")

    async def _database_answers(self) -> bool:
        """One look for all who ask at once; while a look hangs there is no other."""
        if not self._looking and self._clock.seconds() - self._told_s >= GOOD_FOR_S:
            self._looking = True
            self._late = self._clock.callLater(DATABASE_WITHIN_S, self._tell, False)
            self._look().addCallbacks(lambda _: True, self._failed).addCallback(self._looked)
        if self._looking and self._late is not None and self._late.active():
            waiting: Deferred[None] = Deferred()
            self._waiting.append(waiting)
            await waiting
        return self._answers

    def _failed(self, failure: Failure) -> bool:
        if failure.check(StorageError) is None:
            self._log.failure("the database could not be asked", failure=failure)
        return False

    def _looked(self, answers: bool) -> None:
        self._looking = False
        if self._late is not None and self._late.active():
            self._late.cancel()
        self._tell(answers)

    def _tell(self, answers: bool) -> None:
        self._answers, self._told_s = answers, self._clock.seconds()
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)
