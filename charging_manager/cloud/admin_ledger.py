"""What the cloud has noted, for its admin: the audit log with its chain, and failed logins."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from charging_manager.cloud.chain import ChainBroken
from charging_manager.cloud.ledger import Ledger
from charging_manager.cloud.tables import Row, csv_stream, json_stream
from charging_manager.http.routes import Call, Problem, Right, Route, Stream

READ = "audit-read"
"""Scope of an API key."""
_ROWS_SHOWN = 500
_ROWS_READ = 250
"""At once, for the whole log: that many rows are held in memory, however long it is."""
_AUDIT = "/api/v1/cloud/admin/audit"
_COLUMNS = ("number", "at", "who", "source", "action", "subject", "hash")


class AdminLedger:
    """Routes that show the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def routes(self) -> list[Route]:
        admin = Right.ADMIN
        return [
            Route(
                *("GET", "/api/v1/cloud/admin/failed-logins", admin, self._failed_logins, "The newest failed logins"),
                answer=dict,
                scope=READ,
            ),
            Route(
                *("GET", _AUDIT, admin, self._audit, "Who did what, newest first"),
                answer=dict,
                query=("before",),
                scope=READ,
            ),
            Route("GET", f"{_AUDIT}.csv", admin, self._csv, "The whole audit log, as CSV", scope=READ),
            Route("GET", f"{_AUDIT}.json", admin, self._json, "The whole audit log, as JSON", scope=READ),
            Route(
                *("GET", f"{_AUDIT}/verify", admin, self._verify, "Is the audit log's chain whole?"),
                answer=dict,
                scope=READ,
            ),
        ]

    async def _failed_logins(self, call: Call) -> dict[str, Any]:
        return {"failed_logins": await self._ledger.failures(_ROWS_SHOWN)}

    async def _audit(self, call: Call) -> dict[str, Any]:
        before = call.query.get("before", "")
        if before and not (before.isascii() and before.isdigit() and len(before) < 16):
            raise Problem(422, "bad-before", "This is the number of an entry.", "before")
        return {"audit": await self._ledger.audit(_ROWS_SHOWN, int(before) if before else None)}

    async def _json(self, call: Call) -> Stream:
        return json_stream("audit", self._page, "audit.json")

    async def _csv(self, call: Call) -> Stream:
        return csv_stream(_COLUMNS, self._page, "audit.csv")

    def _page(self, last: Row | None) -> Deferred[list[dict[str, Any]]]:
        return self._ledger.audit(_ROWS_READ, None if last is None else last["number"])

    async def _verify(self, call: Call) -> dict[str, Any]:
        try:
            whole = await self._ledger.whole()
        except ChainBroken as broken:
            return {"whole": False, "reason": str(broken), "entries": None, "head": None}
        return {"whole": True, "reason": None, "entries": whole.entries, "head": str(whole.head)}
