"""Charging sessions over the API, as JSON and as CSV (RFC 4180)."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, time, timedelta
from typing import Any

from attrs import frozen

from charging_manager.agent.api_common import field_problem
from charging_manager.agent.config import Configuration
from charging_manager.agent.running import RunningSite
from charging_manager.clocks import moment as midnight
from charging_manager.clocks import zone
from charging_manager.http.routes import Answer, Call, Caller, Problem, Right, Role, Route
from charging_manager.model.session import ChargingSession

_QUERY = ("from", "to", "user", "charge_point")
_COLUMNS = ("id", "charge_point", "user", "started_at", "ended_at", "energy_wh", "start_wh", "end_wh")


@frozen
class SessionPages:
    """The routes of ``/sessions``."""

    site: RunningSite

    def routes(self) -> list[Route]:
        path = "/api/v1/sessions"
        said = "Charging sessions, newest first"
        return [
            Route("GET", path, Right.USER, self.as_json, said, answer=dict, query=_QUERY),
            Route("GET", f"{path}.json", Right.USER, self.download, f"{said}, as a file", answer=dict, query=_QUERY),
            Route("GET", f"{path}.csv", Right.USER, self.as_csv, f"{said}, as CSV", query=_QUERY),
        ]

    async def as_json(self, call: Call) -> Any:
        return {"sessions": [_shown(session) for session in await self._chosen(call)]}

    async def download(self, call: Call) -> Any:
        return Answer(await self.as_json(call), filename="sessions.json")

    async def as_csv(self, call: Call) -> Any:
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(_COLUMNS)
        for session in await self._chosen(call):
            shown = _shown(session)
            writer.writerow([_cell(shown[column]) for column in _COLUMNS])
        return Answer(out.getvalue().encode(), content_type="text/csv; charset=utf-8", filename="sessions.csv")

    async def _chosen(self, call: Call) -> list[ChargingSession]:
        query, caller = call.query, call.caller
        config = self.site.config.current
        found = await field_problem(
            self.site.records.sessions(
                moment(query, "from", False, config),
                moment(query, "to", True, config),
                query.get("user") or None,
                query.get("charge_point") or None,
            )
        )
        return [session for session in found if _may_see(session, caller, config)]


def _may_see(session: ChargingSession, caller: Caller, config: Configuration) -> bool:
    """A user reads sessions of its own, and nobody's at a charge point that it has for itself."""
    if caller.role is not Role.USER:
        return True
    if session.user is not None:
        return session.user == caller.user
    return config.owners(session.charge_point) == [caller.user]


def moment(query: Any, name: str, is_end: bool, config: Configuration) -> datetime | None:
    """A day of the site (the end is included) or a time with zone."""
    text = query.get(name, "")
    if not text:
        return None
    try:
        if len(text) == 10:
            day = datetime.fromisoformat(text).date() + timedelta(days=1 if is_end else 0)
            return midnight(day, time(0), zone(config.timezone))
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # a + in a query arrives as a blank
    except (ValueError, OverflowError) as error:
        raise Problem(422, "bad-time", "A time is a date such as 2026-01-31, or 2026-01-31T12:00:00Z.", name) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _shown(session: ChargingSession) -> dict[str, Any]:
    return {
        "id": session.id,
        "charge_point": session.charge_point,
        "user": session.user,
        "started_at": _iso(session.started_at),
        "ended_at": _iso(session.ended_at) if session.ended_at else None,
        "energy_wh": round(session.energy_wh, 1),
        "start_wh": session.start_wh,
        "end_wh": session.end_wh,
    }


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets an apostrophe."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return "" if value is None else value
