"""The agent as the web side sees it: who a browser is, and what answers it."""

from __future__ import annotations

from attrs import frozen

from charging_manager.agent.people import People
from charging_manager.http.problems import problem_answer
from charging_manager.http.routes import Answer, Caller, Problem, Role, Stream
from charging_manager.http.table import RawRequest, RouteTable
from charging_manager.http.web import RequestFacts


@frozen
class AgentFront:
    """http.web.Front, by our people and our routes."""

    people: People
    table: RouteTable

    def caller_of(self, facts: RequestFacts) -> Caller:
        """The login that the cookie names. While no admin password was ever set, this very computer acts as admin."""
        role = Role.ADMIN if facts.loopback and self.people.password.state == "unset" else Role.NOBODY
        stranger = Caller(
            role, loopback=facts.loopback, language=facts.language, source=facts.source, device=facts.device
        )
        return self.people.known(facts.login, stranger) or stranger

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

    async def answer(self, raw: RawRequest, caller: Caller, facts: RequestFacts) -> Answer | Stream:
        """Never raises."""
        closed = self.closed_to(facts)
        if closed is not None:
            return problem_answer(closed, caller.language)
        return await self.table.answer(raw, caller)
