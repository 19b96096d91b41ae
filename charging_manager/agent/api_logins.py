"""Who is logged in here, and the admin's second factor."""

from __future__ import annotations

from charging_manager.agent.people import People
from charging_manager.agent.running import RunningSite
from charging_manager.http.login_pages import LoginPages
from charging_manager.http.routes import Call, Caller, Right, Role, Route
from charging_manager.http.second_factor_pages import SecondFactorPages
from charging_manager.http.sessions import LoginSession


def login_routes(site: RunningSite, people: People) -> list[Route]:
    """The admin sees all logins, everybody else their own. The second factor is switched at the site alone."""

    async def note(caller: Caller, action: str, subject: str) -> None:
        people.note(caller, action, subject)

    def sees(call: Call, session: LoginSession) -> bool:
        caller = call.caller
        return caller.role is Role.ADMIN or (session.role is caller.role and session.user == caller.user)

    return [
        *LoginPages(people.logins, "/api/v1/logins", Right.USER, sees, note).routes(),
        *SecondFactorPages(
            people.factor,
            "/api/v1/admin/second-factor",
            lambda: site.config.current.name or site.serial,
            lambda: people.password.state == "set",
            people.is_admin,
            note,
            site_only=True,
        ).routes(),
    ]
