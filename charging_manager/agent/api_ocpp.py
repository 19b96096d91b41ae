"""Charge points that speak OCPP over the API: the listener, who waits, passwords, cards, and transactions by hand."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from attrs import evolve, frozen

from charging_manager.agent.api_common import field_problem
from charging_manager.agent.config import Configuration
from charging_manager.agent.ocpp_central import Central
from charging_manager.agent.ocpp_config import OcppSettings
from charging_manager.agent.ocpp_ledger import card_hash
from charging_manager.agent.people import People
from charging_manager.agent.running import RunningSite
from charging_manager.devices.ocpp_box import OcppBox
from charging_manager.errors import DeviceError
from charging_manager.http.routes import Answer, Call, Problem, Right, Route
from charging_manager.modbus.address import IDENTITY

_SHORTEST, _LONGEST = 16, 40
_LONGEST_CARD = 36


@frozen
class OcppBody:
    """Which settings of the listener shall change."""

    enabled: bool | None = None
    port: int | None = None
    bind: str | None = None
    profile: int | None = None
    client_ca: str | None = None
    known_cards_only: bool | None = None


@frozen
class OcppPasswordBody:
    """A password, or the one that the waiting charge point brought; neither: a new one is made, and shown once."""

    password: str | None = None
    presented: bool = False


@frozen
class CardBody:
    """A card for a user: its number, or the last one that was shown and nobody is known by."""

    user: str
    card: str | None = None


@frozen
class TransactionBody:
    """``start`` or ``stop``."""

    action: str


@frozen
class OcppPages:
    """The routes under ``/ocpp``."""

    site: RunningSite
    people: People

    def routes(self) -> list[Route]:
        path = "/api/v1/ocpp"
        return [
            Route("GET", path, Right.ADMIN, self.show, "The listener for OCPP, and who waits to be added", answer=dict),
            Route(
                "PUT",
                path,
                Right.ADMIN,
                self.change,
                "Change the listener for OCPP",
                body=OcppBody,
                answer=dict,
                site_only=True,
            ),
            Route(
                "PUT",
                f"{path}/passwords/{{identity}}",
                Right.ADMIN,
                self.password,
                "Set the password of a charge point; a new one is shown once",
                body=OcppPasswordBody,
                answer=dict,
                site_only=True,
            ),
            Route(
                "POST",
                f"{path}/cards",
                Right.ADMIN,
                self.add_card,
                "Give a user a card",
                body=CardBody,
                answer=dict,
                statuses=(201,),
            ),
            Route(
                "DELETE",
                f"{path}/cards/{{user}}",
                Right.ADMIN,
                self.remove_cards,
                "Take all cards from a user",
                statuses=(204,),
            ),
            Route(
                "POST",
                "/api/v1/devices/{id}/transaction",
                Right.ADMIN,
                self.transaction,
                "Begin or end charging at an OCPP charge point, as its card reader would",
                body=TransactionBody,
                answer=dict,
            ),
        ]

    async def show(self, call: Call) -> Any:
        config, central = self.site.config.current, self.site.ocpp
        settings = config.ocpp
        unknown = central.ledger.last_unknown if central is not None else None
        return {
            "enabled": settings.enabled,
            "port": settings.port,
            "bind": settings.bind,
            "profile": settings.profile,
            "client_ca": settings.client_ca,
            "known_cards_only": settings.known_cards_only,
            "listening": central.port if central is not None else None,
            "trouble": central.trouble if central is not None else None,
            "waiting": self._waiting(central),
            "charge_points": self._stations(central, settings),
            "cards": {user: list(settings.cards.values()).count(user) for user in set(settings.cards.values())},
            "unknown_card": None if unknown is None else {"identity": unknown[1], "at": _text(unknown[2])},
        }

    def _waiting(self, central: Central | None) -> list[dict[str, Any]]:
        return [
            {
                "identity": one.identity,
                "version": one.version,
                "vendor": one.boot.vendor if one.boot else "",
                "model": one.boot.model if one.boot else "",
                "serial": one.boot.serial if one.boot else "",
                "source": one.source,
                "connected": one.hang_up is not None,
                "has_password": one.presented is not None,
                "seen_at": _text(one.seen_at),
            }
            for one in (central.waiting.values() if central is not None else ())
        ]

    def _stations(self, central: Central | None, settings: OcppSettings) -> list[dict[str, Any]]:
        return [
            {
                "identity": one.identity,
                "connected": one.line is not None,
                "version": one.dialect.version.number if one.dialect else None,
                "vendor": one.boot.vendor if one.boot else "",
                "model": one.boot.model if one.boot else "",
                "password_set": one.identity in settings.passwords,
                "trouble": one.trouble,
            }
            for one in (central.stations.values() if central is not None else ())
        ]

    async def change(self, call: Call) -> Any:
        body: OcppBody = call.body
        names = ("enabled", "port", "bind", "profile", "client_ca", "known_cards_only")
        given = {key: getattr(body, key) for key in names if getattr(body, key) is not None}

        def changed(config: Configuration) -> Configuration:
            return evolve(config, ocpp=evolve(config.ocpp, **given))

        await field_problem(self.site.config.change(changed))
        self.people.note(call.caller, "ocpp-changed", "", ", ".join(key for key in given if key != "client_ca"))
        return await self.show(call)

    async def password(self, call: Call) -> Any:
        body: OcppPasswordBody = call.body
        identity, central = call.params["identity"], self._central()
        if not IDENTITY.fullmatch(identity):
            raise Problem(422, "bad-identity", "an identity is 1 to 48 of letters, digits and *-_=:+|@.", "identity")
        made = None
        if body.presented:
            waits = central.waiting.get(identity)
            if waits is None or waits.presented is None:
                raise Problem(
                    409, "no-password", "No charge point of this identity waits with a password.", "presented"
                )
            hashed = waits.presented
        else:
            made = secrets.token_hex(10) if body.password is None else None
            password = made if made is not None else body.password or ""
            if not (_SHORTEST <= len(password) <= _LONGEST and password.isascii() and password.isprintable()):
                raise Problem(
                    422,
                    "bad-password",
                    "The password of a charge point has 16 to 40 characters without accents.",
                    "password",
                )
            hashed = central.password_hash(identity, password)

        def changed(config: Configuration) -> Configuration:
            return evolve(config, ocpp=evolve(config.ocpp, passwords={**config.ocpp.passwords, identity: hashed}))

        await field_problem(self.site.config.change(changed))
        central.hang_up(identity, "its password has changed")
        self.people.note(call.caller, "ocpp-password", identity)
        return {"identity": identity, "password": made}

    async def add_card(self, call: Call) -> Any:
        body: CardBody = call.body
        central = self._central()
        if body.card is None:
            if central.ledger.last_unknown is None:
                raise Problem(409, "no-card", "No unknown card was shown since the program started.", "card")
            hashed = central.ledger.last_unknown[0]
        elif not 0 < len(body.card.strip()) <= _LONGEST_CARD:
            raise Problem(422, "bad-card", "The number of a card has 1 to 36 characters.", "card")
        else:
            hashed = card_hash(self.people, body.card)

        def changed(config: Configuration) -> Configuration:
            if body.user not in config.users:
                raise Problem(422, "unknown-user", "There is no user {name}.", "user", name=repr(body.user))
            return evolve(config, ocpp=evolve(config.ocpp, cards={**config.ocpp.cards, hashed: body.user}))

        config = await field_problem(self.site.config.change(changed))
        if body.card is None:
            central.ledger.last_unknown = None
        self.people.note(call.caller, "card-added", body.user)
        count = list(config.ocpp.cards.values()).count(body.user)
        return Answer({"user": body.user, "cards": count}, status=201)

    async def remove_cards(self, call: Call) -> Any:
        user = call.params["user"]

        def changed(config: Configuration) -> Configuration:
            left = {card: owner for card, owner in config.ocpp.cards.items() if owner != user}
            return evolve(config, ocpp=evolve(config.ocpp, cards=left))

        await field_problem(self.site.config.change(changed))
        self.people.note(call.caller, "cards-removed", user)
        return Answer(status=204)

    async def transaction(self, call: Call) -> Any:
        body: TransactionBody = call.body
        if body.action not in ("start", "stop"):
            raise Problem(422, "bad-action", "The action is start or stop.", "action")
        name = call.params["id"]
        box = self.site.fleet.device(name)
        if not isinstance(box, OcppBox):
            raise Problem(404, "not-found", "There is no charge point {id} that speaks OCPP.", id=repr(name))
        try:
            done = await (box.start() if body.action == "start" else box.stop())
        except DeviceError as error:
            raise Problem(409, "not-done", "The charge point did not do it: {reason}", reason=str(error)) from error
        self.people.note(call.caller, f"transaction-{body.action}", name)
        return {"accepted": done}

    def _central(self) -> Central:
        if self.site.ocpp is None:
            raise Problem(503, "no-ocpp", "The listener for charge points is not there.")
        return self.site.ocpp


def _text(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
