"""The cloud's login: carries the question to the installation, and hides from strangers why it failed.

Every failure is answered at the same moment after the request, with the same words, whatever its cause: unknown Cloud
ID, installation offline, no admin password there, wrong secret, throttled, or a fault of ours. The agent has 2.5 s, so
its own answer is always there before that moment. The true cause goes to the agent's log and to our ledger.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Protocol

from attrs import evolve, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from charging_manager.cloud.accounts import Accounts
from charging_manager.cloud.hearing import database_offline
from charging_manager.cloud.installation import Installation
from charging_manager.cloud.ledger import Ledger
from charging_manager.cloud.logins import Logins
from charging_manager.cloud.names import readings_of
from charging_manager.errors import TunnelError
from charging_manager.http.guard import DeviceCookies, LoginGuard
from charging_manager.http.routes import Answer, Call, Problem, Right, Role, Route
from charging_manager.storage.database import DatabaseGone
from charging_manager.tunnel.link import RemoteGrant, RemoteLogin
from charging_manager.words import LANGUAGES

log = Logger()

ANSWERED_AFTER_S = 3.0
SPREAD_S = 0.2
MOST_HELD = 512
"""Half of the browsers' connections (``http.web.MOST_CONNECTIONS``)."""
_LONGEST_SECRET = 256
_LONGEST_TOKEN = 256
_LONGEST_CODE = 64
_THROTTLED_NOTED_EVERY_S = 10.0
_NOTED_AT_ONCE, _NOTED_EVERY_S, _MOST_NOTED = 20.0, 30.0, 20_000
_random = random.SystemRandom()


class Doorbell(Protocol):
    """The tunnel of one installation, as far as the door uses it."""

    async def login(self, login: RemoteLogin) -> RemoteGrant: ...

    async def logout(self, token: str) -> None: ...


@frozen
class Knock:
    """What somebody typed on the login page, and where from."""

    cloud_id: str
    secret: str = field(repr=False)
    admin: bool
    source: str
    device: str | None = field(default=None, repr=False)
    language: str = "en"
    code: str = field(default="", repr=False)
    browser: str = ""


@frozen
class CloudLogin:
    """The login page's fields: Cloud ID, Cloud user ID (or the admin password), "Log in as admin".

    ``code`` is of the installation admin's second factor, if it has one.
    """

    cloud_id: str
    secret: str = field(repr=False)
    admin: bool = False
    code: str = field(default="", repr=False)


class _NotLetIn(Exception):
    """``cause`` is for the ledger alone."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class Door:
    """Lets browsers in to their installations."""

    def __init__(
        self,
        accounts: Accounts,
        ledger: Ledger,
        logins: Logins,
        way_to: Callable[[str], Doorbell | None],
        guard: LoginGuard,
        devices: DeviceCookies,
        clock: IReactorTime,
        spread: Callable[[], float] = _random.random,
    ) -> None:
        self._accounts, self._ledger, self._logins = accounts, ledger, logins
        self._way_to, self._guard, self._devices = way_to, guard, devices
        self._clock, self._spread = clock, spread
        self._throttled_noted_s = -_THROTTLED_NOTED_EVERY_S
        self._held = 0
        self._noted: dict[int, tuple[float, float]] = {}

    def routes(self) -> list[Route]:
        return [
            Route(
                "POST",
                "/api/v1/cloud/login",
                Right.ANYBODY,
                self._login,
                "Log in at an installation; every failure looks the same",
                body=CloudLogin,
                answer=dict,
                statuses=(200, 401, 503),
            )
        ]

    async def _login(self, call: Call) -> Answer:
        typed: CloudLogin = call.body
        caller = call.caller
        return await self.knock(
            Knock(
                typed.cloud_id,
                typed.secret,
                typed.admin,
                caller.source,
                caller.device,
                caller.language,
                typed.code,
                caller.browser,
            )
        )

    async def knock(self, knock: Knock) -> Answer:
        """The answer with a new login, or Problem 401 ``login-failed`` when its moment has come.

        Only so many wait for that moment: one more stranger is sent away at once, whatever was typed, so that thousands
        of guesses that are held for 3 s do not fill every place that a known browser needs.

        Raises: Problem 503 then; and, at that moment, while the database does not answer.
        """
        if self._held >= MOST_HELD and not await self._is_known(knock):
            raise Problem(503, "busy", "too many logins at once; try again in a few seconds")
        self._held += 1
        try:
            return await self._unless_refused(self._let_in(knock))
        finally:
            self._held -= 1

    async def _is_known(self, knock: Knock) -> bool:
        """Whether this browser was let in there before; without a cookie nothing is looked up."""
        if knock.device is None:
            return False
        found = await self._find(knock.cloud_id)
        subject = _subject(found, knock.admin) if found else ""
        return self._devices.known(knock.device, subject) is not None and found is not None

    async def _unless_refused(self, trying: Awaitable[Answer]) -> Answer:
        answered_s = self._clock.seconds() + ANSWERED_AFTER_S + SPREAD_S * self._spread()
        gone = False
        try:
            return await trying
        except _NotLetIn:
            pass
        except DatabaseGone:
            gone = True
        except Exception:
            log.failure("a cloud login failed by a fault of ours")
        await deferLater(self._clock, max(0.0, answered_s - self._clock.seconds()), lambda: None)
        if gone:  # whoever asks, and whatever was typed
            raise database_offline()
        raise Problem(
            401,
            "login-failed",
            "The login failed. Check what you entered, and whether the installation is connected.",
        )

    async def _let_in(self, knock: Knock) -> Answer:
        found = await self._find(knock.cloud_id)
        number = found.number if found else None
        device = self._devices.known(knock.device, _subject(found, knock.admin)) if found else None
        installation = None if number is None else str(number)
        # Offline and unknown count like a wrong secret: else the throttle would tell them apart.
        now_s = self._clock.seconds()
        if self._guard.admit(now_s, source=knock.source, device=device, installation=installation) > 0:
            self._note_throttled(number, knock.source)
            raise _NotLetIn("throttled")
        try:
            answer = await self._ask(found, knock, trusted=device is not None)
        except _NotLetIn as refusal:
            self._ledger.login_failed("installation", number, knock.source, refusal.cause)
            raise
        now_s = self._clock.seconds()
        self._guard.succeeded(now_s, source=knock.source, device=device, installation=installation)
        return answer

    async def _ask(self, found: Installation | None, knock: Knock, trusted: bool) -> Answer:
        if found is None:
            raise _NotLetIn("unknown-id")
        if not found.may_enter:
            raise _NotLetIn(found.state)
        way = self._way_to(found.cloud_id)
        if way is None:
            raise _NotLetIn("offline")
        if len(knock.secret) > _LONGEST_SECRET or len(knock.code) > _LONGEST_CODE:
            raise _NotLetIn("refused")
        try:
            grant = await way.login(self._question(knock, trusted))
        except TunnelError as error:
            raise _NotLetIn("refused" if error.code == "refused" else "offline") from error
        if grant.role not in (Role.USER, Role.INSTALLER, Role.ADMIN) or not _is_token(grant.token):
            raise _NotLetIn("refused")
        if grant.language not in LANGUAGES:
            grant = evolve(grant, language="en")
        token = await self._logins.enter(found, grant, knock.source, knock.browser)
        still = await self._accounts.find(found.cloud_id)
        if still is None or still.number != found.number or not still.may_enter:  # deleted or disabled meanwhile
            await self._logins.leave(token)
            raise _NotLetIn("unknown-id")
        if self._worth_noting(found.number):
            await self._ledger.did("browser", knock.source, "installation-login", f"{found.cloud_id} ({grant.role})")
        log.info("somebody logged in at {cloud_id} as {role}", cloud_id=found.cloud_id, role=grant.role)
        return Answer(
            {"role": grant.role, "language": grant.language, "cloud_id": found.cloud_id},
            login=token,
            device=self._devices.mint(_subject(found, knock.admin)),
        )

    def _question(self, knock: Knock, trusted: bool) -> RemoteLogin:
        return RemoteLogin(knock.secret, knock.admin, knock.language, knock.source, trusted, knock.code, knock.browser)

    async def _find(self, typed: str) -> Installation | None:
        for cloud_id in readings_of(typed):
            found = await self._accounts.find(cloud_id)
            if found is not None:
                return found
        return None

    def _worth_noting(self, number: int) -> bool:
        """Whoever logs in at one installation again and again drives nothing out of the audit log: of each, 20 logins
        are noted, then one in half a minute."""
        now_s = self._clock.seconds()
        left, last_s = self._noted.pop(number, (_NOTED_AT_ONCE, now_s))
        left = min(_NOTED_AT_ONCE, left + (now_s - last_s) / _NOTED_EVERY_S)
        self._noted[number] = (left - 1 if left >= 1 else left, now_s)
        if len(self._noted) > _MOST_NOTED:
            del self._noted[next(iter(self._noted))]
        return left >= 1

    def _note_throttled(self, number: int | None, source: str) -> None:
        """Whoever floods the door does not flood the ledger."""
        now_s = self._clock.seconds()
        if now_s - self._throttled_noted_s >= _THROTTLED_NOTED_EVERY_S:
            self._throttled_noted_s = now_s
            self._ledger.login_failed("installation", number, source, "throttled")


def _subject(installation: Installation, admin: bool) -> str:
    """A browser that came in as a user has earned no trust as the admin."""
    return f"installation-{installation.number}-{'admin' if admin else 'user'}"


def _is_token(token: str) -> bool:
    return token.isascii() and token.isprintable() and 0 < len(token) <= _LONGEST_TOKEN
