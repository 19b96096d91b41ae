"""Which logins last, and the end of one or of all others: the same at agent and cloud."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from attrs import frozen

from charging_manager.http.routes import Call, Caller, Problem, Right, Route
from charging_manager.http.sessions import LoginSession, LoginSessions

MOST_SHOWN = 500


@frozen
class ShownLogin:
    """One login. ``id`` names it and opens nothing; ``current`` is the one that asks."""

    id: str
    role: str
    user: str | None
    remote: bool
    source: str
    browser: str
    created_at: datetime
    seen_at: datetime
    current: bool


@frozen
class LoginList:
    """Newest use first; ``total`` counts also those beyond the list."""

    logins: list[ShownLogin]
    total: int


@frozen
class LoginPages:
    """Routes of ``path``. ``sees``: whether a caller may see, and end, a login; ``note`` writes down what ended."""

    sessions: LoginSessions
    path: str
    right: Right
    sees: Callable[[Call, LoginSession], bool]
    note: Callable[[Caller, str, str], Awaitable[None]]
    query: tuple[str, ...] = ()

    def routes(self) -> list[Route]:
        return [
            Route(
                *("GET", self.path, self.right, self._list, "The logins that last, of whom one may know"),
                answer=LoginList,
                query=self.query,
            ),
            Route(
                *("DELETE", self.path + "/{id}", self.right, self._end, "End one login"),
                statuses=(204, 404),
            ),
            Route(
                *("DELETE", self.path, self.right, self._end_others, "End all logins that one sees, but one's own"),
                query=self.query,
                statuses=(204,),
            ),
        ]

    async def _list(self, call: Call) -> LoginList:
        seen = [session for session in self.sessions.listing() if self.sees(call, session)]
        shown = [
            ShownLogin(
                one.handle,
                one.role.value,
                one.user,
                one.remote,
                one.source,
                str(one.about.get("browser", "")),
                one.created_at.replace(microsecond=0),
                one.seen_at.replace(microsecond=0),
                one.handle == call.caller.login,
            )
            for one in seen[:MOST_SHOWN]
        ]
        return LoginList(shown, len(seen))

    async def _end(self, call: Call) -> None:
        handle = call.params["id"]
        session = self.sessions.get(handle)
        if session is None or not self.sees(call, session):
            raise Problem(404, "not-found", "There is no such login (any more).")
        await self.sessions.end(handle)
        await self.note(call.caller, "login-ended", f"{session.role.value} {session.source}".strip())

    async def _end_others(self, call: Call) -> None:
        ended = await self.sessions.end_all(
            where=lambda session: session.handle != call.caller.login and self.sees(call, session)
        )
        await self.note(call.caller, "logins-ended", str(len(ended)))
