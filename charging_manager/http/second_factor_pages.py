"""Switching the admin's second factor on and off: the same at agent and cloud, and never without the password."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import field, frozen

from charging_manager.http.fields import length
from charging_manager.http.qr import qr_rows
from charging_manager.http.routes import Answer, Call, Caller, Problem, Right, Route
from charging_manager.http.second_factor import SecondFactor


@frozen
class OwnPassword:
    """The admin password, once more."""

    password: str = field(repr=False)


@frozen
class FirstCode:
    """What the authenticator shows for the proposed secret."""

    code: str = field(repr=False, validator=length(0, 64))


@frozen
class PasswordAndCode:
    """Both of what a login needs."""

    password: str = field(repr=False)
    code: str = field(repr=False, validator=length(0, 64))


@frozen
class SecondFactorPages:
    """Routes of ``path``. ``judge`` checks the password, throttled like a login; with a code, that too.

    ``account`` names this server or site in the authenticator.
    """

    factor: SecondFactor
    path: str
    account: Callable[[], str]
    may_begin: Callable[[], bool]
    judge: Callable[[Caller, str, str | None], Awaitable[bool]]
    note: Callable[[Caller, str, str], Awaitable[None]]
    site_only: bool = False

    def routes(self) -> list[Route]:
        admin, path, here = Right.ADMIN, self.path, self.site_only
        return [
            Route("GET", path, admin, self._show, "Is the admin's second factor on?", answer=dict),
            Route(
                *("POST", path, admin, self._propose, "Propose a secret for a second factor, as text and QR code"),
                body=OwnPassword,
                answer=dict,
                site_only=here,
                statuses=(200, 403, 409, 429),
            ),
            Route(
                *("POST", f"{path}/confirm", admin, self._confirm, "Switch it on with the first code"),
                body=FirstCode,
                answer=dict,
                site_only=here,
                statuses=(200, 409, 422),
            ),
            Route(
                *("POST", f"{path}/recovery-codes", admin, self._recovery, "Other recovery codes; the old ones end"),
                body=PasswordAndCode,
                answer=dict,
                site_only=here,
                statuses=(200, 403, 409, 429),
            ),
            Route(
                *("POST", f"{path}/off", admin, self._off, "Switch it off, with password and code"),
                body=PasswordAndCode,
                site_only=here,
                statuses=(204, 403, 409, 429),
            ),
        ]

    async def _show(self, call: Call) -> dict[str, Any]:
        return {"on": self.factor.on, "recovery_left": self.factor.recovery_left}

    async def _propose(self, call: Call) -> dict[str, Any]:
        if not self.may_begin():
            raise Problem(409, "no-admin-password", "Set an admin password first; the second factor comes after it.")
        if self.factor.on:
            raise Problem(409, "second-factor-on", "The second factor is on already; switch it off first.")
        await self._need(call.caller, call.body.password, None)
        proposal = self.factor.propose()
        uri = proposal.uri(self.account())
        return {"secret": proposal.text, "uri": uri, "qr": qr_rows(uri)}

    async def _confirm(self, call: Call) -> dict[str, Any]:
        if self.factor.on or not self.factor.is_proposed:
            raise Problem(409, "nothing-proposed", "Begin again: this secret is used up or too old.")
        codes = await self.factor.confirm(call.body.code)
        if codes is None:
            sentence = "This is not the code of the new secret. Check the clock of your phone, and of this computer."
            raise Problem(422, "wrong-code", sentence, "code")
        await self.note(call.caller, "second-factor-on", "")
        return {"recovery_codes": codes}

    async def _recovery(self, call: Call) -> dict[str, Any]:
        self._must_be_on()
        await self._need(call.caller, call.body.password, call.body.code)
        codes = await self.factor.new_recovery_codes()
        await self.note(call.caller, "recovery-codes-renewed", "")
        return {"recovery_codes": codes}

    async def _off(self, call: Call) -> Answer:
        self._must_be_on()
        await self._need(call.caller, call.body.password, call.body.code)
        await self.factor.off()
        await self.note(call.caller, "second-factor-off", "")
        return Answer(b"", status=204)

    def _must_be_on(self) -> None:
        if not self.factor.on:
            raise Problem(409, "second-factor-is-off", "The second factor is off already.")

    async def _need(self, caller: Caller, password: str, code: str | None) -> None:
        if await self.judge(caller, password, code):
            return
        if code is None:
            raise Problem(403, "wrong-password", "This is not the present admin password.", "password")
        raise Problem(403, "wrong-password", "The admin password or the code is not right.", "code")
