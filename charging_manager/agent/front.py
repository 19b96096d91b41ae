"""The agent as the web side sees it: who a browser is, and what answers it."""

from __future__ import annotations

from attrs import evolve, frozen

from charging_manager.agent.people import People
from charging_manager.http.facts import RequestFacts
from charging_manager.http.health import PATHS as HEALTH
from charging_manager.http.problems import problem_answer
from charging_manager.http.routes import Answer, Caller, Problem, Role, Stream
from charging_manager.http.table import RawRequest, RouteTable
from charging_manager.http.web import Front
from charging_manager.words import best_language


@frozen
class AgentFront(Front):
    """http.web.Front, by our people and our routes."""

    people: People
    table: RouteTable

    def caller_of(self, facts: RequestFacts) -> Caller:
        """The login that the cookie names. While no admin password was ever set, this very computer acts as admin."""
        role = Role.ADMIN if facts.loopback and self.people.password.state == "unset" else Role.NOBODY
        language = best_language(facts.accept_language, "")
        stranger = Caller(role, loopback=facts.loopback, language=language, source=facts.source, device=facts.device)
        stranger = evolve(stranger, browser=facts.browser)
        known = self.people.known(facts.login, stranger) or stranger
        return known if known.language else evolve(known, language="en")

    def body_limit(self, method: str, path: str) -> int:
        """How many bytes of a body are read at this address."""
        return self.table.body_limit(method, path)

    def closed_to(self, facts: RequestFacts) -> Problem | None:
        """While no admin password was ever set, nobody but this very computer is served."""
        if self.people.password.state == "unset" and not facts.loopback:
            return Problem(
                403,
                "setup-needed",
                "No admin password is set yet: set one on the device itself with 'charging_manager passwd', "
                "or in a browser running on it.",
            )
        return None

    async def answer(self, request: RawRequest, caller: Caller, facts: RequestFacts) -> Answer | Stream:
        """Never raises."""
        closed = None if request.path in HEALTH else self.closed_to(facts)
        if closed is not None:
            return problem_answer(closed, caller.language)
        return await self.table.answer(request, caller)
