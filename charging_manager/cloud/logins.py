"""Who is logged in here: the cloud's admin, or a browser at an installation, whose token only its cookie opens."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Protocol

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from charging_manager.cloud.installation import Installation
from charging_manager.cloud.sealing import SealBroken, seal, unseal
from charging_manager.errors import TunnelError
from charging_manager.http.routes import Role
from charging_manager.http.sessions import LoginSession, LoginSessions
from charging_manager.tunnel.link import RemoteGrant

log = Logger()


class ForgetsTokens(Protocol):
    """The tunnel of one installation, as far as the end of a login needs it."""

    async def logout(self, token: str) -> None: ...


@frozen
class InstallationLogin:
    """One browser at one installation. ``handle`` names the login session; ``sealed`` opens with the cookie."""

    handle: str
    installation: int
    cloud_id: str
    role: str
    language: str
    sealed: str = field(repr=False)

    def token(self, cookie: str | None) -> str:
        """The agent's token. Raises: SealBroken."""
        try:
            return unseal(base64.b64decode(self.sealed), cookie or "", self.installation)
        except binascii.Error as error:
            raise SealBroken("the sealed token is no base64") from error


@frozen
class AdminLogin:
    """The cloud's admin."""

    handle: str
    language: str


class Logins:
    """Login sessions with what the cloud keeps of each."""

    def __init__(self, sessions: LoginSessions, way_to: Callable[[str], ForgetsTokens | None]) -> None:
        self._sessions, self._way_to = sessions, way_to
        sessions.alike = lambda session: (session.about.get("installation"), session.role)

    async def enter(self, installation: Installation, grant: RemoteGrant, source: str, browser: str = "") -> str:
        """A new login at this installation; returns the cookie."""
        cookie = self._sessions.new_token()
        sealed = base64.b64encode(seal(grant.token, cookie, installation.number)).decode("ascii")
        await self._sessions.mint(
            Role(grant.role),
            remote=True,
            language=grant.language,
            source=source,
            about={
                "installation": installation.number,
                "cloud_id": installation.cloud_id,
                "sealed": sealed,
                "browser": browser,
            },
            token=cookie,
        )
        return cookie

    async def enter_admin(self, language: str, source: str, browser: str = "") -> str:
        """A new login of the cloud's admin; returns the cookie."""
        minted = await self._sessions.mint(
            Role.ADMIN, remote=False, language=language, source=source, about={"browser": browser}
        )
        return minted.token

    def prepare(self, cookie: str | None) -> Deferred[None] | None:
        """To be waited for before ``find``, where another server may have let this browser in; None: no need to."""
        return self._sessions.prepare(cookie)

    @property
    def in_doubt(self) -> bool:
        """Who is unknown may yet be logged in: it could not be looked for."""
        return self._sessions.in_doubt

    def find(self, cookie: str | None) -> InstallationLogin | AdminLogin | None:
        """Whose cookie this is."""
        session = self._sessions.find(cookie) if cookie else None
        if session is None:
            return None
        if not session.remote:
            return AdminLogin(session.handle, session.language)
        about = session.about
        return InstallationLogin(
            session.handle, about["installation"], about["cloud_id"], session.role, session.language, about["sealed"]
        )

    async def leave(self, cookie: str | None) -> None:
        """Logout at both ends; the agent's end is told without waiting for it."""
        login = self.find(cookie)
        if login is None:
            return
        await self._sessions.end(login.handle)
        if isinstance(login, InstallationLogin):
            way = self._way_to(login.cloud_id)
            try:
                token = login.token(cookie)
            except SealBroken:
                return
            if way is not None:
                Deferred.fromCoroutine(way.logout(token)).addErrback(_not_told, login.cloud_id)

    async def end(self, login: InstallationLogin) -> None:
        """The agent does not know its token any more."""
        await self._sessions.end(login.handle)

    def at(self, installation: Installation) -> list[LoginSession]:
        """All that last at this installation."""
        return [session for session in self._sessions.listing() if _is_at(session, installation)]

    async def end_at(self, installation: Installation) -> None:
        """All logins at an installation that is gone, or that is to be left alone."""
        await self._sessions.end_all(where=lambda session: _is_at(session, installation))

    async def end_admins(self) -> None:
        """All logins of the cloud's admin: the password has changed."""
        await self._sessions.end_all(remote=False)


def _is_at(session: LoginSession, installation: Installation) -> bool:
    return session.remote and session.about.get("installation") == installation.number


def _not_told(failure: object, cloud_id: str) -> None:
    error = getattr(failure, "value", None)
    if isinstance(error, TunnelError):
        log.debug("logout could not be told to {cloud_id}: {code}", cloud_id=cloud_id, code=error.code)
        return
    log.failure("logout could not be told to {cloud_id}", failure=failure, cloud_id=cloud_id)  # type: ignore[arg-type]
