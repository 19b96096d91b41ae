"""The cloud admin's functions for installations: list, add, look at, change, give a new password, delete, export."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from attrs import asdict, evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from charging_manager.clocks import UtcNow
from charging_manager.cloud import listing
from charging_manager.cloud.accounts import Accounts, Change
from charging_manager.cloud.downlink import Links
from charging_manager.cloud.installation import Installation
from charging_manager.cloud.ledger import Ledger, doer
from charging_manager.cloud.logins import Logins
from charging_manager.cloud.names import check_new_installation, new_cloud_id, new_cloud_password
from charging_manager.cloud.sites import version_in
from charging_manager.cloud.tables import as_csv
from charging_manager.http.fields import length
from charging_manager.http.routes import Answer, Call, Problem, Right, Route
from charging_manager.tunnel.scram import ScramVerifier, make_verifier

log = Logger()

InThread = Callable[[Callable[[], ScramVerifier]], Deferred[ScramVerifier]]
"""Runs something costly in a thread."""

INSTALLATIONS = "/api/v1/cloud/admin/installations"
READ, WRITE = "installations-read", "installations-write"
"""Scopes of an API key."""
_FAILURES_SHOWN = 50
_MOST_TAGS = 10
_TAG = re.compile(r"[^\s,]{1,30}")
_COLUMNS = (
    *("cloud_id", "state", "last_seen_at", "version", "created_at", "source", "note", "tags"),
    *("received_bytes", "sent_bytes", "failed_logins", "alarm_at", "new_password"),
)


class Tunnel(Protocol):
    """Of an installation that is connected, here or at another server."""

    @property
    def program(self) -> str:
        """How its agent introduced itself."""


@frozen
class NewInstallation:
    """What the admin enters under "Add new installation"."""

    cloud_id: str
    password: str = field(repr=False)
    note: str = field(default="", validator=length(0, 500))
    tags: list[str] = field(factory=list)


@frozen
class InstallationChange:
    """What the admin changes; what is left out stays."""

    disabled: bool | None = None
    approved: bool | None = None
    note: str | None = field(default=None, validator=length(0, 500))
    tags: list[str] | None = None


@frozen
class NewInstallationPassword:
    """Left out, the password is made up. ``at_once``: the old one ends now, not when the new one is proved."""

    password: str | None = field(default=None, repr=False)
    at_once: bool = False


@frozen
class InstallationRow:
    """One installation as the admin sees it. ``last_seen_at`` of a connected one is now."""

    cloud_id: str
    state: str
    last_seen_at: str | None
    version: str | None
    created_at: str
    source: str
    note: str
    tags: tuple[str, ...]
    received_bytes: int
    sent_bytes: int
    failed_logins: int
    alarm_at: str | None
    new_password: bool


@frozen
class InstallationList:
    """``total`` counts all that fit the search, also those beyond ``limit``; ``counts`` all, by state."""

    installations: list[InstallationRow]
    total: int
    counts: dict[str, int]


class Admin:
    """Routes under ``/api/v1/cloud/admin/installations``."""

    def __init__(
        self,
        accounts: Accounts,
        ledger: Ledger,
        links: Links,
        logins: Logins,
        in_thread: InThread,
        now: UtcNow,
        way_to: Callable[[str], Tunnel | None] | None = None,
    ) -> None:
        """``way_to`` finds tunnels at other servers too; without it there are none."""
        self._way_to = way_to or links.get
        self._accounts, self._ledger, self._links, self._logins = accounts, ledger, links, logins
        self._in_thread, self._now = in_thread, now

    def routes(self) -> list[Route]:
        """All for the cloud's admin alone, or for keys of that scope."""
        one = INSTALLATIONS + "/{cloud_id}"
        admin = Right.ADMIN
        return [
            Route(
                *("GET", INSTALLATIONS, admin, self._list, "All installations with their state"),
                answer=InstallationList,
                query=listing.PARAMETERS,
                scope=READ,
            ),
            *(
                Route(
                    *("GET", f"{INSTALLATIONS}.{kind}", admin, self._export(kind), f"The list, as {kind.upper()}"),
                    query=listing.PARAMETERS,
                    scope=READ,
                )
                for kind in ("csv", "json")
            ),
            Route(
                *("POST", INSTALLATIONS, admin, self._add, "Add new installation"),
                body=NewInstallation,
                answer=InstallationRow,
                statuses=(201, 409, 422),
                scope=WRITE,
            ),
            Route(
                *("GET", "/api/v1/cloud/admin/proposal", admin, self._propose, "A random Cloud ID and a password"),
                answer=dict,
                scope=WRITE,
            ),
            Route("GET", one, admin, self._show, "One installation", answer=dict, statuses=(200, 404), scope=READ),
            Route(
                *("PUT", one, admin, self._change, "Disable, enable or approve it; change its note and tags"),
                body=InstallationChange,
                answer=InstallationRow,
                statuses=(200, 404, 422),
                scope=WRITE,
            ),
            Route(
                *("POST", f"{one}/password", admin, self._new_password, "A new password; the old one holds until then"),
                body=NewInstallationPassword,
                answer=dict,
                statuses=(200, 404, 422),
                scope=WRITE,
            ),
            Route(
                *("DELETE", one, admin, self._delete, "Delete an installation; its tunnel and its logins end"),
                statuses=(204, 404),
                scope=WRITE,
            ),
            Route(
                *("DELETE", f"{one}/logins", admin, self._end_logins, "End all browsers' logins at it"),
                statuses=(204, 404),
                scope=WRITE,
            ),
            Route(
                *("GET", f"{one}/connections", admin, self._connections_of, "When its tunnel came and went"),
                answer=dict,
                statuses=(200, 404),
                scope=READ,
            ),
        ]

    async def _list(self, call: Call) -> InstallationList:
        page = await self._accounts.page(listing.read_wish(call.query))
        moment = self._now()
        return InstallationList([self._row(known, moment) for known in page.rows], page.total, page.counts)

    def _export(self, kind: str) -> Callable[[Call], Any]:
        async def export(call: Call) -> Answer:
            found = await self._list(call)
            if kind == "json":
                return Answer({"installations": found.installations}, filename="installations.json")
            rows = [asdict(row) | {"tags": " ".join(row.tags)} for row in found.installations]
            return as_csv(_COLUMNS, rows, "installations.csv")

        return export

    async def _add(self, call: Call) -> Answer:
        wanted: NewInstallation = call.body
        check_new_installation(wanted.cloud_id, wanted.password)
        tags = _checked_tags(wanted.tags)
        made = await self._accounts.add(wanted.cloud_id, await self._verifier(wanted.password))
        if wanted.note or tags:
            made = await self._accounts.change(made.cloud_id, Change(note=wanted.note, tags=tags)) or made
        log.info("installation {cloud_id} was added", cloud_id=made.cloud_id)
        await self._did(call, "installation-added", made.cloud_id)
        return Answer(self._row(made, self._now()), 201)

    async def _propose(self, call: Call) -> dict[str, str]:
        """Nothing is kept of it."""
        return {"cloud_id": new_cloud_id(), "password": new_cloud_password()}

    async def _verifier(self, password: str, beside: ScramVerifier | None = None) -> ScramVerifier:
        try:
            return await self._in_thread(lambda: make_verifier(password, beside=beside))
        except ValueError as error:
            raise Problem(
                422, "bad-password", "This password has characters that cannot be used.", "password"
            ) from error

    async def _show(self, call: Call) -> dict[str, Any]:
        known = await self._known(call)
        return {
            **asdict(self._row(known, self._now())),
            "connections": await self._ledger.connections(known.number),
            "refused_logins": await self._ledger.failures(_FAILURES_SHOWN, known.number),
            "logins": len(self._logins.at(known)),
        }

    async def _change(self, call: Call) -> InstallationRow:
        wanted: InstallationChange = call.body
        tags = None if wanted.tags is None else _checked_tags(wanted.tags)
        changed = await self._accounts.change(
            call.params["cloud_id"],
            Change(note=wanted.note, tags=tags, disabled=wanted.disabled, approved=wanted.approved),
        )
        if changed is None:
            raise _unknown()
        if not changed.may_enter:
            self._links.close(changed.cloud_id, "disabled" if changed.state == "disabled" else "not-approved")
            await self._logins.end_at(changed)
        for field_name, yes, no in (("disabled", "disabled", "enabled"), ("approved", "approved", "sent-to-wait")):
            value = getattr(wanted, field_name)
            if value is not None:
                await self._did(call, f"installation-{yes if value else no}", changed.cloud_id)
        if wanted.note is not None or tags is not None:
            await self._did(call, "installation-changed", changed.cloud_id)
        return self._row(changed, self._now())

    async def _new_password(self, call: Call) -> dict[str, Any]:
        wanted: NewInstallationPassword = call.body
        known = await self._known(call)
        password = new_cloud_password() if wanted.password is None else wanted.password
        check_new_installation(known.cloud_id if known.source == "added" else "any", password)
        now = await self._accounts.verifiers(known.cloud_id)
        verifier = await self._verifier(password, now.now if now and not wanted.at_once else None)
        changed = await self._accounts.change(known.cloud_id, Change(new_password=verifier, at_once=wanted.at_once))
        if changed is None:
            raise _unknown()
        if wanted.at_once:
            self._links.close(changed.cloud_id, "password-changed")
        await self._did(call, f"installation-password{'-at-once' if wanted.at_once else ''}", changed.cloud_id)
        proposed = {"password": password} if wanted.password is None else {}
        return asdict(self._row(changed, self._now())) | proposed

    async def _delete(self, call: Call) -> Answer:
        gone = await self._accounts.delete(call.params["cloud_id"])
        if gone is None:
            raise _unknown()
        self._links.close(gone.cloud_id, "deleted")
        await self._logins.end_at(gone)
        log.info("installation {cloud_id} was deleted", cloud_id=gone.cloud_id)
        await self._did(call, "installation-deleted", gone.cloud_id)
        return Answer(None, 204)

    async def _end_logins(self, call: Call) -> None:
        known = await self._known(call)
        await self._logins.end_at(known)
        await self._did(call, "logins-ended", known.cloud_id)

    async def _connections_of(self, call: Call) -> dict[str, Any]:
        known = await self._known(call)
        return {"connections": await self._ledger.connections(known.number)}

    async def _known(self, call: Call) -> Installation:
        known = await self._accounts.find(call.params["cloud_id"])
        if known is None:
            raise _unknown()
        return known

    def _did(self, call: Call, action: str, subject: str) -> Deferred[None]:
        return self._ledger.did(doer(call.caller), call.caller.source, action, subject)

    def _row(self, known: Installation, moment: datetime) -> InstallationRow:
        link = self._way_to(known.cloud_id) if known.may_enter else None
        row = InstallationRow(*(getattr(known, name) for name in _COLUMNS))
        if link is None:
            return evolve(row, state="offline") if known.may_enter else row
        now = moment.isoformat(timespec="seconds")
        return evolve(row, state="connected", last_seen_at=now, version=version_in(link.program))


def _checked_tags(tags: list[str]) -> tuple[str, ...]:
    """Raises: Problem 422."""
    tags = [tag.strip() for tag in tags]
    if len(tags) > _MOST_TAGS or not all(_TAG.fullmatch(tag) and tag.isprintable() for tag in tags):
        sentence = "At most {most} tags, each of 1 to 30 characters without blanks and commas."
        raise Problem(422, "bad-tags", sentence, "tags", most=_MOST_TAGS)
    return tuple(dict.fromkeys(tags))


def _unknown() -> Problem:
    return Problem(404, "no-such-installation", "There is no installation with this Cloud ID.")
