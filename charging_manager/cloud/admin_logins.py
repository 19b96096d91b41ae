"""Who is logged in at the cloud: its admins, and the browsers at one installation."""

from __future__ import annotations

from charging_manager.cloud.ledger import Ledger, doer
from charging_manager.http.login_pages import LoginPages
from charging_manager.http.routes import Call, Caller, Right, Route
from charging_manager.http.sessions import LoginSession, LoginSessions

PATH = "/api/v1/cloud/admin/logins"


def admin_login_routes(sessions: LoginSessions, ledger: Ledger) -> list[Route]:
    """All for the cloud's admin; ``installation`` names one, without it the admins' own logins are meant."""

    async def note(caller: Caller, action: str, subject: str) -> None:
        await ledger.did(doer(caller), caller.source, action, subject)

    def sees(call: Call, session: LoginSession) -> bool:
        if "id" in call.params:
            return True
        wanted = call.query.get("installation")
        if wanted is None:
            return not session.remote
        return session.remote and str(session.about.get("cloud_id", "")).lower() == wanted.strip().lower()

    return LoginPages(sessions, PATH, Right.ADMIN, sees, note, ("installation",)).routes()
