"""The agent as a browser sees it that came in end-to-end mode: a remote caller on our own pages.

Before login the login page and its files are open, and nothing else. Failed logins all look alike and take equally
long, as they do at a cloud server.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from charging_manager.agent.api_shapes import LoginBody
from charging_manager.agent.people import People
from charging_manager.http.facts import RequestFacts
from charging_manager.http.pages import Pages
from charging_manager.http.problems import problem_answer
from charging_manager.http.routes import Answer, Call, Caller, Problem, Right, Role, Route, Stream
from charging_manager.http.table import RawRequest, RouteTable
from charging_manager.http.web import Front, WebSite
from charging_manager.words import LANGUAGES, best_language

ANSWERED_AFTER_S, SPREAD_S = 3.0, 0.2
_OPEN = {("GET", "/api/v1/me"), ("POST", "/api/v1/logout")}
_LOGIN = ("POST", "/api/v1/login")
_LONGEST_SECRET = 1024
_FILE = re.compile(rb'"(/ui/files/[^"]+)"')
_OWN_MACHINE = re.compile(r"127(\.\d{1,3}){3}(:\d{1,5})?")


class PrivateFront(Front):
    """``read_along`` says whether our own check found a stranger's key; then nobody is served. ``local``: the browser
    speaks plainly to a program on its own machine, which speaks to us."""

    def __init__(
        self,
        people: People,
        table: RouteTable,
        pages: Pages,
        clock: IReactorTime,
        read_along: Callable[[], bool],
        *,
        local: bool = False,
        spread: Callable[[], float] = random.SystemRandom().random,
    ) -> None:
        self._people, self._table, self._pages, self._clock = people, table, pages, clock
        self._read_along, self._local, self._spread = read_along, local, spread
        summary = "Log in from afar; every failure looks the same"
        self._door = RouteTable([Route(*_LOGIN, Right.ANYBODY, self._log_in, summary, body=LoginBody)], "Door")
        self._login_files: frozenset[str] | None = None

    def caller_of(self, facts: RequestFacts) -> Caller:
        """Remote, whoever it is, and never this machine itself."""
        language = best_language(facts.accept_language, "")
        stranger = Caller(
            Role.NOBODY,
            remote=True,
            language=language,
            source=facts.source,
            device=facts.device,
            browser=facts.browser,
        )
        known = self._people.known(facts.login, stranger) or stranger
        return known if known.language else evolve(known, language="en")

    def body_limit(self, method: str, path: str) -> int:
        return self._table.body_limit(method, path)

    def closed_to(self, facts: RequestFacts) -> Problem | None:
        if self._people.password.state == "unset":
            return Problem(403, "setup-needed", "No admin password is set at the installation.")
        if self._read_along():
            return Problem(
                403,
                "read-along",
                "This connection does not reach the installation privately: somebody on the way ends its encryption. "
                "Nobody can log in until that has ended; type no password here.",
            )
        if self._local and _OWN_MACHINE.fullmatch(facts.host) is None:
            return Problem(403, "wrong-address", "Use the address that charging_manager open has printed.")
        return None

    def detour(self, path: str, facts: RequestFacts) -> str | None:
        """Before login everything leads to the login page but what that page is made of."""
        if self.caller_of(facts).role is not Role.NOBODY or self._is_of_login(path):
            return None
        return f"/ui/{self._pages.language_of(path) or best_language(facts.accept_language)}/login.htm"

    def _is_of_login(self, path: str) -> bool:
        if self._login_files is None:
            files = {name.decode() for name in _FILE.findall(self._shell(LANGUAGES[0]))}
            files |= {f"/ui/{language}/login.htm" for language in LANGUAGES}
            self._login_files = frozenset(files | {f"/ui/locale/{language}.json" for language in LANGUAGES})
        return path in self._login_files

    def _shell(self, language: str) -> bytes:
        page = self._pages.find(f"/ui/{language}/login.htm")
        return b"" if page is None else page.data

    async def answer(self, request: RawRequest, caller: Caller, facts: RequestFacts) -> Answer | Stream:
        """Never raises."""
        closed = self.closed_to(facts)
        if closed is not None:
            return problem_answer(closed, caller.language)
        wanted = (request.method, request.path)
        if wanted == _LOGIN:
            return await self._door.answer(request, caller)
        if caller.role is Role.NOBODY and wanted not in _OPEN:
            return problem_answer(Problem(401, "login-required", "log in first"), caller.language)
        return await self._table.answer(request, caller)

    async def _log_in(self, call: Call) -> Any:
        body: LoginBody = call.body
        answered_s = self._clock.seconds() + ANSWERED_AFTER_S + SPREAD_S * self._spread()
        admin = body.password is not None
        secret = (body.password if admin else body.user_id) or ""
        found = None
        if len(secret) <= _LONGEST_SECRET and (body.password is None) is not (body.user_id is None):
            found = await self._people.log_in_end_to_end(secret, admin, body.code, call.caller)
        if found is None:
            await deferLater(self._clock, max(0.0, answered_s - self._clock.seconds()), lambda: None)
            raise Problem(401, "login-failed", "This login is not right.")
        token, admitted = found
        return Answer(
            {"role": admitted.role.value, "user": admitted.user_id},
            login=token,
            device=self._people.device_cookie(admitted),
        )


class LocalSite(WebSite):
    """Pages for browsers behind ``charging_manager open``: what they speak to their own machine is plain HTTP."""

    def buildProtocol(self, addr: Any) -> Any:
        channel = super().buildProtocol(addr)
        channel.isSecure = lambda: False
        return channel
