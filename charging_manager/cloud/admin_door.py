"""The cloud admin's own login, behind the charging manager's admin password, and the change of that password."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import ceil
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from charging_manager.cloud.ledger import Ledger, doer
from charging_manager.cloud.logins import Logins
from charging_manager.http.fields import length
from charging_manager.http.guard import DeviceCookies, LoginGuard
from charging_manager.http.passwords import AdminPassword
from charging_manager.http.routes import Answer, Call, Caller, Problem, Right, Role, Route
from charging_manager.http.second_factor import SecondFactor
from charging_manager.http.second_factor_pages import SecondFactorPages

log = Logger()

_SUBJECT = "cloud-admin"


@frozen
class AdminSecret:
    """What is typed on the cloud-admin page."""

    password: str = field(repr=False)
    code: str = field(default="", repr=False, validator=length(0, 64))
    """Of the second factor, if there is one."""


@frozen
class NewPassword:
    """``old`` is empty while none was ever set."""

    old: str = field(repr=False)
    new: str = field(repr=False)


class AdminDoor:
    """Lets the cloud's admin in. Wrong and throttled tries are written to the ledger."""

    def __init__(
        self,
        password: AdminPassword,
        logins: Logins,
        ledger: Ledger,
        guard: LoginGuard,
        devices: DeviceCookies,
        clock: IReactorTime,
        factor: SecondFactor,
        tell_others: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``tell_others`` waits until a changed password is that of all servers of this cloud."""
        self._tell_others = tell_others
        self.factor = factor
        self._password, self._logins, self._ledger = password, logins, ledger
        self._guard, self._devices, self._clock = guard, devices, clock

    def watch(self) -> None:
        """From now on whoever changes the password, with whatever program, ends the admin's logins."""
        self._password.stop()
        self._password.watch(self._clock, self._changed)
        self.factor.stop()
        self.factor.watch(self._factor_changed)

    def stop(self) -> None:
        """No more watching."""
        self._password.stop()
        self.factor.stop()

    def _factor_changed(self, on: bool) -> None:
        """By the command, or by an agent that shares our password."""
        self._ledger.did("machine", "", f"second-factor-{'on' if on else 'off'}", "")

    def _changed(self) -> None:
        Deferred.fromCoroutine(self._logins.end_admins()).addErrback(
            lambda failure: log.failure("logins of the admin could not be ended", failure=failure)
        )

    def routes(self) -> list[Route]:
        """The password may be changed under the CONTRACT's address and under the cloud's own."""
        return [
            Route(
                "POST",
                "/api/v1/cloud/admin/login",
                Right.ANYBODY,
                self._login,
                "Log in as the cloud's admin",
                body=AdminSecret,
                answer=dict,
                statuses=(200, 401, 429),
            ),
            *(
                Route(
                    "PUT",
                    path,
                    Right.ADMIN,
                    self._change,
                    "Change the admin password; all logins of the admin end",
                    body=NewPassword,
                    answer=dict,
                    statuses=(200, 403, 422, 429),
                )
                for path in ("/api/v1/admin/password", "/api/v1/cloud/admin/password")
            ),
            *SecondFactorPages(
                self.factor,
                "/api/v1/cloud/admin/second-factor",
                lambda: "cloud-admin",
                lambda: self._password.state == "set",
                self.is_admin,
                self._note,
            ).routes(),
        ]

    async def _login(self, call: Call) -> Answer:
        secret: AdminSecret = call.body
        needs_code = self.factor.on
        if not await self.is_admin(call.caller, secret.password, secret.code if needs_code else None):
            if needs_code:
                raise Problem(401, "login-failed", "The admin password or the code is not right.", "password")
            raise Problem(401, "login-failed", "This is not the admin password.", "password")
        log.info("the cloud's admin logged in from {source}", source=call.caller.source)
        await self._ledger.did("cloud-admin", call.caller.source, "admin-login", "")
        return await self._welcome(call.caller)

    async def _change(self, call: Call) -> Answer:
        wanted: NewPassword = call.body
        first = self._password.state == "unset"
        if not first and not await self.is_admin(call.caller, wanted.old):
            raise Problem(403, "wrong-password", "This is not the present admin password.", "old")
        await self._password.set(wanted.new)
        if self._tell_others is not None:
            await self._tell_others()
        self.watch()  # anew: this change needs no second look, which would end the login made below
        log.info("the admin password was changed from {source}", source=call.caller.source)
        action = "password-set" if first else "password-changed"
        await self._ledger.did("cloud-admin", call.caller.source, action, "")
        await self._logins.end_admins()
        return await self._welcome(call.caller)

    async def _note(self, caller: Caller, action: str, subject: str) -> None:
        await self._ledger.did(doer(caller), caller.source, action, subject)

    async def _welcome(self, caller: Caller) -> Answer:
        cookie = await self._logins.enter_admin(caller.language, caller.source, caller.browser)
        return Answer({"role": Role.ADMIN, "cloud_admin": True}, login=cookie, device=self._devices.mint(_SUBJECT))

    async def is_admin(self, caller: Caller, secret: str, code: str | None = None) -> bool:
        """Whether this is the admin password, and with a code that too. Raises: Problem 429."""
        device = self._devices.known(caller.device, _SUBJECT)
        who: dict[str, Any] = {"source": caller.source, "device": device, "installation": _SUBJECT}
        wait_s = self._guard.admit(self._clock.seconds(), **who)
        if wait_s > 0:
            raise Problem(
                429, "throttled", "Too many failed tries. Wait {wait_s} seconds.", "password", wait_s=ceil(wait_s)
            )
        right = await self._password.check(secret)
        if code is not None:
            right = await self.factor.fits(code, use=right) and right
        if right:
            self._guard.succeeded(self._clock.seconds(), **who)
            return True
        self._ledger.login_failed("cloud-admin", None, caller.source, "refused")
        return False
