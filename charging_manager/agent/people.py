"""Who comes in: one judgement for the login page here and for the cloud's, login sessions, and what is noted of it.

SECURITY, "Login, exactly": with an empty admin password nobody comes in through the cloud. Each judgement costs one
Argon2 run and one keyed hash, whatever is asked and whatever comes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from charging_manager.agent.config import UserSettings
from charging_manager.agent.records import Records
from charging_manager.agent.store import ConfigStore
from charging_manager.http.browsers import clean
from charging_manager.http.guard import DeviceCookies, LoginGuard
from charging_manager.http.passwords import AdminPassword
from charging_manager.http.routes import Caller, Problem, Role
from charging_manager.http.second_factor import SecondFactor
from charging_manager.http.sessions import LoginSession, LoginSessions
from charging_manager.http.userids import UserIds, normal_user_id

CLOUD = "cloud"
"""The source of whoever comes through the tunnel, as the audit log names it."""

_THROTTLED_NOTED_EVERY_S = 10.0
_OWN_CHANGE_SEEN_S = 2.0
"""Within this time the watch notices, once, what we changed ourselves."""


@frozen
class Admitted:
    """Somebody who proved who they are."""

    role: Role
    user: UserSettings | None = None

    @property
    def user_id(self) -> str | None:
        return self.user.id if self.user else None


class People:
    """Judges secrets, keeps logins, writes the audit log."""

    log = Logger()

    def __init__(
        self,
        *,
        clock: IReactorTime,
        config: ConfigStore,
        records: Records,
        password: AdminPassword,
        logins: LoginSessions,
        guard: LoginGuard,
        ids: UserIds,
        devices: DeviceCookies,
        factor: SecondFactor,
    ) -> None:
        self._clock = clock
        self._config = config
        self._records = records
        self.password = password
        self.logins = logins
        self._guard = guard
        self._ids = ids
        self.devices = devices
        self.factor = factor
        self._set_here_s = float("-inf")
        self._throttled_noted_s = float("-inf")

    def note(self, caller: Caller, action: str, subject: str = "", detail: str = "") -> None:
        """Write into the audit log what a caller did."""
        actor = f"user:{caller.user}" if caller.user else caller.role.value
        self._records.audit(actor, CLOUD if caller.remote else caller.source, action, subject, detail)

    def hash_of(self, user_id: str) -> str:
        """What is stored of a secret user ID, however it was typed."""
        return self._ids.digest(normal_user_id(user_id) or user_id).hex()

    def digest_of(self, what: str, secret: str) -> str:
        """What is stored of another secret: of something else with the same letters it is another digest."""
        return self._ids.digest(f"{what}\0{secret}").hex()

    async def judge(self, secret: str, admin: bool, code: str = "") -> tuple[Admitted | None, str]:
        """Who that is, or None and the reason for our own log. The cost is the same on every path."""
        right = await self.password.check(secret)
        needs_code = self.factor.on
        fits = await self.factor.fits(code, use=admin and right and needs_code)
        digest = self.hash_of(secret)
        users = self._config.current.users.values()
        user = next((one for one in users if one.id_hash == digest), None)
        if not secret:
            return None, "empty"
        if admin:
            if self.password.state != "set":
                return None, "no-admin-password"
            if right and needs_code and not fits:
                return None, "wrong-code"
            return (Admitted(Role.ADMIN), "") if right else (None, "wrong-password")
        return (Admitted(Role.USER, user), "") if user is not None else (None, "unknown-user-id")

    async def log_in_here(self, secret: str, admin: bool, caller: Caller, code: str = "") -> tuple[str, Admitted]:
        """A login token for a browser at the site. Raises: Problem."""
        # A network may have many addresses: strangers also share one throttle, whatever their number.
        device = self.devices.known(caller.device, _subject(admin))
        who: dict[str, Any] = {"source": caller.source, "device": device, "installation": f"here-{_subject(admin)}"}
        wait_s = self._guard.admit(self._clock.seconds(), **who)
        if wait_s > 0:
            if self._worth_noting():
                self.note(caller, "login-throttled")
            raise Problem(
                429, "too-many-attempts", "Too many attempts; try again in {seconds} s.", seconds=max(1, round(wait_s))
            )
        if self.password.state == "unset" or (admin and self.password.state == "emptied"):
            raise no_admin_password()
        admitted, reason = await self.judge(secret, admin, code)
        if admitted is None:
            self.note(caller, "login-failed", "", reason)
            self.log.warn("login from {source} failed: {reason}", source=caller.source, reason=reason)
            if admin and self.factor.on:
                raise Problem(401, "login-failed", "The admin password or the code is not right.")
            raise Problem(401, "login-failed", "This login is not right.")
        self._guard.succeeded(self._clock.seconds(), **who)
        minted = await self.logins.mint(
            admitted.role,
            user=admitted.user_id,
            remote=False,
            language=admitted.user.language if admitted.user else caller.language,
            source=caller.source,
            about={"browser": caller.browser},
        )
        self.note(Caller(admitted.role, admitted.user_id, source=caller.source), "login")
        return minted.token, admitted

    async def log_in_from_afar(
        self,
        secret: str,
        admin: bool,
        language: str,
        source: str,
        trusted_device: bool,
        code: str = "",
        browser: str = "",
    ) -> tuple[str, Admitted] | None:
        """A token for the cloud to send along, or None. The truth table stands in SECURITY, "Login, exactly"."""
        # What the cloud says of source and device may be invented: all that it calls trusted share one throttle, all
        # others another one, so that guesses through the tunnel are bounded whatever it says.
        # Those of users do not count with the admin's, or a user's right logins would buy guesses at the password.
        device = f"{CLOUD}-{_subject(admin)}" if trusted_device else None
        caller = Caller(Role.NOBODY, remote=True, language=language, source=source, browser=clean(browser))
        return await self._from_afar(secret, admin, code, caller, device)

    async def log_in_end_to_end(
        self, secret: str, admin: bool, code: str, caller: Caller
    ) -> tuple[str, Admitted] | None:
        """The same for a browser that came to our own pages through the cloud: its device we know ourselves."""
        return await self._from_afar(secret, admin, code, caller, self.devices.known(caller.device, _subject(admin)))

    async def _from_afar(
        self, secret: str, admin: bool, code: str, caller: Caller, device: str | None
    ) -> tuple[str, Admitted] | None:
        source, language = caller.source, caller.language
        installation = None if device is not None else f"{CLOUD}-{_subject(admin)}"
        wait_s = self._guard.admit(self._clock.seconds(), source=source, device=device, installation=installation)
        if wait_s > 0:
            if self._worth_noting():
                self._refused_from_afar(caller, "throttled")
            return None
        admitted, reason = await self.judge(secret, admin, code)
        if self.password.state != "set":
            admitted, reason = None, "no-admin-password"
        elif admitted is not None and admitted.user is not None and not admitted.user.remote:
            admitted, reason = None, "user-not-remote"
        if admitted is None:
            self._guard.failed(self._clock.seconds(), source=source, device=device, installation=installation)
            self._refused_from_afar(caller, reason)
            return None
        self._guard.succeeded(self._clock.seconds(), source=source, device=device, installation=installation)
        minted = await self.logins.mint(
            admitted.role,
            user=admitted.user_id,
            remote=True,
            language=admitted.user.language if admitted.user else language,
            source=source,
            about={"browser": caller.browser},
        )
        self.note(Caller(admitted.role, admitted.user_id, remote=True, source=source), "login", "", source)
        return minted.token, admitted

    def _worth_noting(self) -> bool:
        """Whoever floods the door drives nothing out of the audit log."""
        now_s = self._clock.seconds()
        due = now_s - self._throttled_noted_s >= _THROTTLED_NOTED_EVERY_S
        if due:
            self._throttled_noted_s = now_s
        return due

    def _refused_from_afar(self, caller: Caller, reason: str) -> None:
        self.note(caller, "login-failed", "", f"{reason}, {caller.source}")
        self.log.warn("login through the cloud from {source} refused: {reason}", source=caller.source, reason=reason)

    def known(self, token: str | None, stranger: Caller) -> Caller | None:
        """The stranger, recognised by this token. One of the tunnel opens nothing here, nor the other way round."""
        login = self.logins.find(token) if token else None
        if login is None or login.remote is not stranger.remote:
            return None
        if stranger.remote and self.password.state != "set":
            return None
        if login.user is not None:
            user = self._config.current.users.get(login.user)
            if user is None or (stranger.remote and not user.remote):
                return None
        language = stranger.language or login.language
        return evolve(stranger, role=login.role, user=login.user, login=login.handle, language=language)

    async def log_out(self, caller: Caller) -> None:
        """End the caller's login."""
        if caller.login is not None:
            await self.logins.end(caller.login)
            self.note(caller, "logout")

    async def end_logins(self, user: str | None = None, remote: bool | None = None) -> None:
        """End all logins of a user, or all from afar, or all."""
        await self.logins.end_all(user=user, remote=remote)

    async def is_admin(self, caller: Caller, password: str, code: str | None = None) -> bool:
        """Whether a caller who is logged in knows the admin password, and with a code that too. Raises: Problem 429."""
        device = self.devices.known(caller.device, _subject(True))
        who: dict[str, Any] = {"source": caller.source, "device": device, "installation": "here-confirm"}
        wait_s = self._guard.admit(self._clock.seconds(), **who)
        if wait_s > 0:
            raise Problem(
                429, "too-many-attempts", "Too many attempts; try again in {seconds} s.", seconds=max(1, round(wait_s))
            )
        right = await self.password.check(password)
        if code is not None:
            right = await self.factor.fits(code, use=right) and right
        if right:
            self._guard.succeeded(self._clock.seconds(), **who)
        else:
            self.note(caller, "password-refused")
        return right

    def second_factor_changed_elsewhere(self, on: bool) -> None:
        """Somebody switched it with the command, or at the cloud server that shares our password."""
        self._records.audit("agent", "", f"second-factor-{'on' if on else 'off'}", "", "by another program")

    async def set_password(self, caller: Caller, old: str, new: str) -> str:
        """Set the admin password and end all logins; the caller gets a new one. Raises: Problem, ConfigError."""
        if self.password.state == "unset":
            if not caller.loopback:
                raise no_admin_password()
        else:
            if not await self.is_admin(caller, old):
                raise Problem(403, "wrong-password", "The old password is not right.", "old")
        await self.password.set(new)
        self._set_here_s = self._clock.seconds()
        await self.end_logins()
        self.note(caller, "password-changed")
        minted = await self.logins.mint(
            Role.ADMIN,
            remote=False,
            language=caller.language,
            source=caller.source,
            about={"browser": caller.browser},
        )
        return str(minted.token)

    def password_changed_elsewhere(self) -> None:
        """The password's file changed. If that was not us, somebody ran ``passwd``: all logins end."""
        ours = self._clock.seconds() - self._set_here_s < _OWN_CHANGE_SEEN_S
        self._set_here_s = float("-inf")
        if ours:
            return
        self._records.audit("agent", "", "password-changed", "", f"by command, now {self.password.state}")
        ending: Deferred[Any] = Deferred.fromCoroutine(self.end_logins())
        ending.addErrback(lambda failure: self.log.failure("logins could not be ended", failure=failure))

    def device_cookie(self, admitted: Admitted) -> str:
        """Says from now on that this browser has logged in before."""
        return self.devices.mint(_subject(admitted.role is Role.ADMIN))

    def on_end(self, callback: Callable[[LoginSession], None]) -> None:
        """Call this for every login that ends."""
        self.logins.on_end(callback)


def _subject(admin: bool) -> str:
    return "admin" if admin else "user"


def no_admin_password() -> Problem:
    """What everybody but loopback hears while there is no admin password."""
    return Problem(
        403,
        "no-admin-password",
        "No admin password is set: set one on the device itself with 'charging_manager passwd', "
        "or in a browser running on it.",
    )
