"""The cloud admin's functions: add an installation, list, delete, look into the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from charging_manager.clocks import UtcNow
from charging_manager.cloud.accounts import Accounts, Installation
from charging_manager.cloud.downlink import Links
from charging_manager.cloud.ledger import Ledger
from charging_manager.cloud.logins import Logins
from charging_manager.cloud.names import check_new_installation
from charging_manager.cloud.sites import version_in
from charging_manager.http.routes import Answer, Call, Problem, Right, Route
from charging_manager.tunnel.scram import ScramVerifier, make_verifier

log = Logger()

InThread = Callable[[Callable[[], ScramVerifier]], Deferred[ScramVerifier]]
"""Runs something costly in a thread."""

INSTALLATIONS = "/api/v1/cloud/admin/installations"
_ROWS_SHOWN = 500
_MOST_ROWS = 10_000
_SORTS = ("cloud_id", "state", "last_seen_at", "created_at", "version")


@frozen
class NewInstallation:
    """What the admin enters under "Add new installation"."""

    cloud_id: str
    password: str = field(repr=False)


@frozen
class InstallationRow:
    """One installation as the admin sees it. ``last_seen_at`` of a connected one is now."""

    cloud_id: str
    state: str
    last_seen_at: str | None
    version: str | None
    created_at: str
    source: str


@frozen
class InstallationList:
    """``total`` counts all that fit the search, also those beyond ``limit``."""

    installations: list[InstallationRow]
    total: int


class Admin:
    """Routes under ``/api/v1/cloud/admin/installations`` and the ledger's."""

    def __init__(
        self, accounts: Accounts, ledger: Ledger, links: Links, logins: Logins, in_thread: InThread, now: UtcNow
    ) -> None:
        self._accounts, self._ledger, self._links, self._logins = accounts, ledger, links, logins
        self._in_thread, self._now = in_thread, now

    def routes(self) -> list[Route]:
        """All for the cloud's admin alone."""
        one = INSTALLATIONS + "/{cloud_id}"
        return [
            Route(
                "GET",
                INSTALLATIONS,
                Right.ADMIN,
                self._list,
                "All installations with their state",
                answer=InstallationList,
                query=("search", "sort", "limit", "after"),
            ),
            Route(
                "POST",
                INSTALLATIONS,
                Right.ADMIN,
                self._add,
                "Add new installation",
                body=NewInstallation,
                answer=InstallationRow,
                statuses=(201, 409, 422),
            ),
            Route(
                "DELETE",
                one,
                Right.ADMIN,
                self._delete,
                "Delete an installation; its tunnel and its login sessions end",
                statuses=(204, 404),
            ),
            Route(
                "GET",
                f"{one}/connections",
                Right.ADMIN,
                self._connections_of,
                "When this installation's tunnel came and went",
                answer=dict,
                statuses=(200, 404),
            ),
            Route(
                "GET",
                "/api/v1/cloud/admin/failed-logins",
                Right.ADMIN,
                self._failed_logins,
                "The newest failed logins",
                answer=dict,
            ),
            Route("GET", "/api/v1/cloud/admin/audit", Right.ADMIN, self._audit, "What the admin changed", answer=dict),
        ]

    async def _list(self, call: Call) -> InstallationList:
        moment = self._now()
        rows = [self._row(known, moment) for known in await self._accounts.listing()]
        return page_of(rows, call.query)

    async def _add(self, call: Call) -> Answer:
        wanted: NewInstallation = call.body
        check_new_installation(wanted.cloud_id, wanted.password)
        try:
            verifier = await self._in_thread(lambda: make_verifier(wanted.password))
        except ValueError as error:
            raise Problem(
                422, "bad-password", "This password has characters that cannot be used.", "password"
            ) from error
        made = await self._accounts.add(wanted.cloud_id, verifier)
        log.info("installation {cloud_id} was added", cloud_id=made.cloud_id)
        await self._ledger.did("cloud-admin", call.caller.source, "installation-added", made.cloud_id)
        return Answer(self._row(made, self._now()), 201)

    async def _delete(self, call: Call) -> Answer:
        gone = await self._accounts.delete(call.params["cloud_id"])
        if gone is None:
            raise _unknown()
        self._links.close(gone.cloud_id, "deleted")
        await self._logins.end_at(gone)
        log.info("installation {cloud_id} was deleted", cloud_id=gone.cloud_id)
        await self._ledger.did("cloud-admin", call.caller.source, "installation-deleted", gone.cloud_id)
        return Answer(None, 204)

    async def _connections_of(self, call: Call) -> dict[str, Any]:
        known = await self._accounts.find(call.params["cloud_id"])
        if known is None:
            raise _unknown()
        return {"connections": await self._ledger.connections(known.number)}

    async def _failed_logins(self, call: Call) -> dict[str, Any]:
        return {"failed_logins": await self._ledger.failures(_ROWS_SHOWN)}

    async def _audit(self, call: Call) -> dict[str, Any]:
        return {"audit": await self._ledger.audit(_ROWS_SHOWN)}

    def _row(self, known: Installation, moment: datetime) -> InstallationRow:
        link = self._links.get(known.cloud_id)
        return InstallationRow(
            known.cloud_id,
            "connected" if link else "offline",
            moment.isoformat(timespec="seconds") if link else known.last_seen_at,
            version_in(link.program) if link else known.version,
            known.created_at,
            known.source,
        )


def page_of(rows: Iterable[InstallationRow], query: Any) -> InstallationList:
    """What the query asks for: ``search`` in the Cloud ID, ``sort`` by a column, ``limit`` rows ``after`` that ID.

    Raises: Problem 422 that names the parameter.
    """
    search = query.get("search", "").strip().lower()
    found = sorted((row for row in rows if search in row.cloud_id.lower()), key=lambda row: row.cloud_id.lower())
    sort = query.get("sort", "cloud_id")
    column = sort.removeprefix("-")
    if column not in _SORTS:
        raise Problem(422, "bad-sort", "There is no such column to sort by.", "sort")
    if column != "cloud_id":  # equal rows stay in the order of their IDs
        found.sort(key=lambda row: getattr(row, column) or "", reverse=sort.startswith("-"))
    elif sort.startswith("-"):
        found.reverse()
    limit = query.get("limit", str(_MOST_ROWS))
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= _MOST_ROWS:
        raise Problem(422, "bad-limit", "A limit is a number from 1 to {most}.", "limit", most=_MOST_ROWS)
    total = len(found)
    after = query.get("after", "").lower()
    if after:
        places = [place for place, row in enumerate(found) if row.cloud_id.lower() == after]
        found = found[places[0] + 1 :] if places else []
    return InstallationList(found[: int(limit)], total)


def _unknown() -> Problem:
    return Problem(404, "no-such-installation", "There is no installation with this Cloud ID.")
