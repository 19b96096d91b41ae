"""Where a request at the cloud goes: to the cloud's own routes, or through the relay to an installation.

The login session decides, never the URL or the body. Addresses under ``/api/v1/cloud/`` are always the cloud's own, and
a login at an installation has no right there, not even as that installation's admin.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve
from twisted.internet.defer import Deferred

from charging_manager.cloud.hearing import database_offline
from charging_manager.cloud.keys import ApiKey, bearer_of
from charging_manager.cloud.logins import AdminLogin, InstallationLogin, Logins
from charging_manager.cloud.relay import TokenRefused, Way, carry
from charging_manager.cloud.sealing import SealBroken
from charging_manager.http.facts import RequestFacts
from charging_manager.http.health import PATHS as HEALTH
from charging_manager.http.passwords import AdminPassword
from charging_manager.http.problems import problem_answer
from charging_manager.http.routes import Answer, Caller, Problem, Role, Stream
from charging_manager.http.streams import drop
from charging_manager.http.table import RawRequest, RouteTable
from charging_manager.http.tally import Tally
from charging_manager.http.web import Front
from charging_manager.words import best_language

OWN = "/api/v1/cloud/"
_WITHOUT_LOGIN = {"/api/v1/cloud/login", "/api/v1/cloud/admin/login", "/metrics", *HEALTH}
LOGOUT = ("POST", "/api/v1/logout")


class CloudFront(Front):
    """The cloud as the web side sees it (``http.web.Front``)."""

    def __init__(
        self,
        table: RouteTable,
        logins: Logins,
        way_to: Callable[[str], Way | None],
        password: AdminPassword,
        key_of: Callable[[str, str], ApiKey | None] = lambda text, source: None,
        tally: Tally | None = None,
    ) -> None:
        self._tally = tally or Tally()
        self._key_of = key_of
        self._table, self._logins = table, logins
        self._way_to, self._password = way_to, password
        self._paths = {route.path for route in table.routes}

    def prepare(self, facts: RequestFacts) -> Deferred[None] | None:
        """A login that began at another server is looked for."""
        return self._logins.prepare(facts.login)

    def caller_of(self, facts: RequestFacts) -> Caller:
        """Who this is to the cloud's own routes: its admin, or nobody. ``login`` is there at an installation too."""
        login = self._logins.find(facts.login)
        caller = Caller(
            Role.NOBODY,
            loopback=facts.loopback,
            language=best_language(facts.accept_language),
            source=facts.source,
            device=facts.device,
            browser=facts.browser,
        )
        if isinstance(login, AdminLogin):
            return evolve(caller, role=Role.ADMIN, login=login.handle)
        if facts.loopback and login is None and self._password.state == "unset":
            return evolve(caller, role=Role.ADMIN)
        return evolve(caller, login=login.handle) if login else caller

    def closed_to(self, facts: RequestFacts) -> Problem | None:
        """While no admin password was ever set, only this machine is served."""
        if not facts.loopback and self._password.state == "unset":
            return Problem(
                403,
                "setup-needed",
                "This server has no admin password yet. Set one on its own machine, in a browser or with the command "
                "charging_manager passwd.",
            )
        return None

    def body_limit(self, method: str, path: str) -> int:
        """A relayed body is no larger than the default."""
        return self._table.body_limit(method, path)

    def start_page(self, caller: Caller) -> str:
        if caller.role is Role.ADMIN:
            return "cloud-admin"
        return "overview" if caller.login else "login"

    async def answer(self, raw: RawRequest, caller: Caller, facts: RequestFacts) -> Answer | Stream:
        """Never raises."""
        language = best_language(raw.headers.get("accept-language"), caller.language)
        closed = None if raw.path in HEALTH else self.closed_to(facts)
        if closed is not None:
            return problem_answer(closed, language)
        bearer = bearer_of(raw.headers)
        if bearer is not None:
            return await self._by_key(bearer, raw, caller, language)
        if (raw.method, raw.path) == LOGOUT:
            await self._logins.leave(facts.login)
            return await self._table.answer(evolve(raw, body=b""), caller)
        login = self._logins.find(facts.login)
        if login is None and facts.login and self._logins.in_doubt and raw.path not in _WITHOUT_LOGIN:
            return problem_answer(database_offline(), language)
        if isinstance(login, InstallationLogin) and raw.path.startswith("/api/") and not raw.path.startswith(OWN):
            return await self._relay(raw, login, facts.login, language)
        if caller.role is Role.NOBODY and raw.path.startswith("/api/") and not self._is_own(raw.path):
            return problem_answer(Problem(401, "login-required", "log in first"), language)
        answer = await self._table.answer(raw, caller)
        if isinstance(answer, Answer) and answer.login is not None:
            await self._logins.leave(facts.login)  # a browser has one login here; the older one ends
        return answer

    async def _by_key(self, bearer: str, raw: RawRequest, caller: Caller, language: str) -> Answer | Stream:
        """A program with an API key: whatever cookie it sends too, it may what the key's scopes say and no more."""
        key = self._key_of(bearer, caller.source)
        if key is None:
            problem = Problem(401, "key-refused", "This API key is unknown, revoked or expired.")
            return problem_answer(problem, language)
        return await self._table.answer(
            raw, evolve(caller, role=Role.ADMIN, user=key.name, login=None, scopes=key.scopes)
        )

    async def _relay(
        self, raw: RawRequest, login: InstallationLogin, cookie: str | None, language: str
    ) -> Answer | Stream:
        try:
            way, token = self._way_to(login.cloud_id), login.token(cookie)
            self._tally.relayed += way is not None
            answer = await carry(way, token, raw)
        except (TokenRefused, SealBroken):
            await self._logins.end(login)
            return _ended(language)
        except Problem as problem:
            return problem_answer(problem, language)
        if self._logins.find(cookie) is None:  # while the agent was answering
            if isinstance(answer, Stream):
                drop(answer)
            return _ended(language)
        return answer

    def _is_own(self, path: str) -> bool:
        return path in self._paths or path.startswith(OWN)


def _ended(language: str) -> Answer:
    problem = Problem(401, "login-ended", "Your login has ended. Log in again.")
    return evolve(problem_answer(problem, language), logout=True)
