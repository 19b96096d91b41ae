"""The cloud admin's functions for the server as a whole: settings, alarms, API keys, approvals ahead of time."""

from __future__ import annotations

from typing import Any

from attrs import asdict, evolve, field, frozen

from charging_manager.cloud.accounts import Accounts
from charging_manager.cloud.keys import SCOPES, ApiKey, ApiKeys
from charging_manager.cloud.ledger import Ledger, doer
from charging_manager.cloud.settings import CloudSettings, SettingsStore, check_webhook_url
from charging_manager.cloud.webhook import Webhook
from charging_manager.http.fields import between, length
from charging_manager.http.routes import Answer, Call, Problem, Right, Route
from charging_manager.tunnel.identity import is_serial

_ROOT = "/api/v1/cloud/admin"


@frozen
class SettingsChange:
    """What is left out stays. ``webhook_secret`` is never shown."""

    enrolment_approval: bool | None = None
    alarm_after_s: int | None = field(default=None, validator=between(0, 30 * 86_400))
    webhook_url: str | None = field(default=None, validator=length(0, 500))
    webhook_secret: str | None = field(default=None, repr=False, validator=length(0, 200))


@frozen
class NewKey:
    """``days``: how long it is valid; left out, until it is revoked."""

    name: str = field(validator=length(1, 60))
    scopes: list[str]
    days: int | None = field(default=None, validator=between(1, 3650))


@frozen
class Approval:
    """A serial number that may come in."""

    serial: str


class AdminServer:
    """Routes of the whole server."""

    def __init__(
        self,
        accounts: Accounts,
        ledger: Ledger,
        settings: SettingsStore,
        keys: ApiKeys,
        webhook: Webhook,
        open_enrolment: bool,
    ) -> None:
        self._accounts, self._ledger, self._settings, self._keys = accounts, ledger, settings, keys
        self._webhook, self._open_enrolment = webhook, open_enrolment

    def routes(self) -> list[Route]:
        admin = Right.ADMIN
        return [
            Route("GET", f"{_ROOT}/settings", admin, self._show, "Settings of the server", answer=dict),
            Route(
                *("PUT", f"{_ROOT}/settings", admin, self._change, "Change settings of the server"),
                body=SettingsChange,
                answer=dict,
                statuses=(200, 422),
            ),
            Route("GET", f"{_ROOT}/keys", admin, self._list_keys, "All API keys, without themselves", answer=dict),
            Route(
                *("POST", f"{_ROOT}/keys", admin, self._make_key, "A new API key; it is shown in this answer alone"),
                body=NewKey,
                answer=dict,
                statuses=(201, 409, 422),
            ),
            Route(
                *("DELETE", f"{_ROOT}/keys/{{id}}", admin, self._revoke, "Revoke an API key"),
                statuses=(204, 404),
            ),
            Route(
                *("POST", f"{_ROOT}/approvals", admin, self._approve, "Let this serial number in, also ahead of time"),
                body=Approval,
                answer=dict,
                statuses=(201, 422),
                scope="installations-write",
            ),
        ]

    async def _show(self, call: Call) -> dict[str, Any]:
        settings = self._settings.current
        return {
            "enrolment_approval": settings.enrolment_approval,
            "alarm_after_s": settings.alarm_after_s,
            "webhook_url": settings.webhook_url,
            "webhook_signed": bool(settings.webhook_secret),
            "webhook_waiting": await self._webhook.waiting(),
            "webhook_error": self._webhook.last_error or None,
            "open_enrolment": self._open_enrolment,
        }

    async def _change(self, call: Call) -> dict[str, Any]:
        wanted: SettingsChange = call.body
        given = {name: value for name, value in asdict(wanted).items() if value is not None}
        if "webhook_url" in given:
            given["webhook_url"] = given["webhook_url"].strip()
            check_webhook_url(given["webhook_url"])
        settings: CloudSettings = evolve(self._settings.current, **given)
        await self._settings.change(settings)
        self._webhook.try_now()
        await self._ledger.did(
            doer(call.caller), call.caller.source, "settings-changed", " ".join(sorted(given)) or "nothing"
        )
        return await self._show(call)

    async def _list_keys(self, call: Call) -> dict[str, Any]:
        return {"keys": [_shown(key) for key in await self._keys.listing()], "scopes": list(SCOPES)}

    async def _make_key(self, call: Call) -> Answer:
        wanted: NewKey = call.body
        name = wanted.name.strip()
        if not name or not name.isprintable():
            raise Problem(422, "bad-name", "Give the key a name that says who uses it.", "name")
        scopes = frozenset(wanted.scopes)
        if not scopes or not scopes <= set(SCOPES):
            raise Problem(
                422, "bad-scopes", "Choose one or more of these: {scopes}.", "scopes", scopes=", ".join(SCOPES)
            )
        text, made = await self._keys.make(name, scopes, wanted.days)
        subject = f"{made.name} ({', '.join(sorted(made.scopes))})"
        await self._ledger.did(doer(call.caller), call.caller.source, "key-made", subject)
        return Answer({**_shown(made), "key": text}, 201)

    async def _revoke(self, call: Call) -> None:
        number = call.params["id"]
        is_number = number.isascii() and number.isdigit() and len(number) < 16
        gone = await self._keys.revoke(int(number)) if is_number else None
        if gone is None:
            raise Problem(404, "not-found", "There is no such key (any more).")
        await self._ledger.did(doer(call.caller), call.caller.source, "key-revoked", gone.name)

    async def _approve(self, call: Call) -> Answer:
        serial = call.body.serial.strip().upper()
        if not is_serial(serial):
            sentence = "A serial number has four groups of four letters and digits, as the installation shows it."
            raise Problem(422, "bad-serial", sentence, "serial")
        approved = await self._accounts.approve(serial)
        await self._ledger.did(doer(call.caller), call.caller.source, "installation-approved", approved.cloud_id)
        return Answer({"cloud_id": approved.cloud_id, "state": approved.state}, 201)


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": str(key.number),
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "last_source": key.last_source,
    }
