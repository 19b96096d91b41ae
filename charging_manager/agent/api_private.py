"""End-to-end mode over the API: its switch, its address, key and certificate, and the check from outside."""

from __future__ import annotations

from typing import Any

from attrs import evolve, field, frozen

from charging_manager.agent.api_certificate import AcmeBody, CertificateDesk, DomainBody, TermsBody
from charging_manager.agent.api_common import field_problem
from charging_manager.agent.end_to_end import LOOK_SENTENCES, STAND_SENTENCES, EndToEnd
from charging_manager.agent.people import People
from charging_manager.agent.running import RunningSite
from charging_manager.errors import ConfigError
from charging_manager.http.qr import qr_rows
from charging_manager.http.routes import Call, Problem, Right, Route
from charging_manager.words import say

PATH = "/api/v1/config/cloud/end-to-end"
_LARGEST_PAIR = 256 * 1024


@frozen
class EndToEndBody:
    """The switch."""

    enabled: bool


@frozen
class PairBody:
    """PEM texts: the certificate with its chain, and its private key."""

    cert: str
    key: str = field(repr=False)


@frozen
class PrivatePages:
    """The routes of end-to-end mode. All are for the site: a cloud that could ask for the address, or turn the mode
    off, would need no more."""

    site: RunningSite
    people: People
    door: EndToEnd
    desk: CertificateDesk

    def routes(self) -> list[Route]:
        return [
            self._route("GET", "", self.show, "End-to-end mode: its address, key and state"),
            self._route("PUT", "", self.change, "Switch end-to-end mode; logins from afar end", EndToEndBody),
            self._route("POST", "/check", self.check, "Look at the address from outside, now"),
            self._route("POST", "/new-address", self.new_address, "Another address; the old one leads nowhere"),
            self._route("PUT", "/certificate", self.bring, "Show this certificate there", PairBody, _LARGEST_PAIR),
            self._route("DELETE", "/certificate", self.make_own, "Show a certificate of our own, with a new key"),
            self._route("POST", "/terms", self.desk.terms, "What an authority wants agreed to", TermsBody),
            self._route("PUT", "/acme", self.use_acme, "Get certificates of an authority by ACME", AcmeBody),
            self._route("POST", "/acme/now", self.try_now, "Ask the authority now, not later"),
            self._route("PUT", "/domain", self.use_domain, "A domain of one's own, or none", DomainBody),
            self._route("POST", "/domain/check", self.check_domain, "Have the cloud ask now whose the domain is"),
        ]

    @staticmethod
    def _route(
        method: str, more: str, function: Any, summary: str, body: type | None = None, limit: int = 65_536
    ) -> Route:
        return Route(
            method,
            PATH + more,
            Right.ADMIN,
            function,
            summary,
            body=body,
            answer=dict,
            site_only=True,
            body_limit=limit,
        )

    async def show(self, call: Call) -> dict[str, Any]:
        door, language = self.door, call.caller.language
        return {
            "enabled": door.enabled,
            "state": door.stand.value,
            "state_text": say(language, STAND_SENTENCES[door.stand]),
            "url": door.url,
            "qr": None if door.url is None else qr_rows(door.url),
            "code": door.code,
            "fingerprint": door.tls.certificate_fingerprint,
            "key_fingerprint": door.tls.fingerprint,
            "own_certificate": door.tls.is_ours,
            "subject": door.tls.subject,
            "not_after": door.tls.not_after.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "check": {
                "result": door.look,
                "text": say(language, LOOK_SENTENCES[door.look]),
                "at": door.looked_at.isoformat(timespec="seconds").replace("+00:00", "Z") if door.looked_at else None,
                "seen_key": door.seen_key,
            },
            **self.desk.show(language),
        }

    async def change(self, call: Call) -> dict[str, Any]:
        body: EndToEndBody = call.body
        before = self.site.config.current.end_to_end
        await field_problem(self.site.config.change(lambda config: evolve(config, end_to_end=body.enabled)))
        self.door.use(body.enabled)
        if body.enabled is not before:
            self.people.note(call.caller, "end-to-end", "", "on" if body.enabled else "off")
            await self.people.end_logins(remote=True)
        return await self.show(call)

    async def check(self, call: Call) -> dict[str, Any]:
        await self.door.check()
        return await self.show(call)

    async def new_address(self, call: Call) -> dict[str, Any]:
        _or_problem(self.door.new_address)
        self.people.note(call.caller, "end-to-end", "", "new-address")
        return await self.show(call)

    async def bring(self, call: Call) -> dict[str, Any]:
        body: PairBody = call.body
        _or_problem(lambda: self.door.bring_certificate(body.cert.encode(), body.key.encode()))
        await self.desk.stop_acme()
        self.people.note(call.caller, "end-to-end", self.door.tls.fingerprint, "certificate")
        return await self.show(call)

    async def use_acme(self, call: Call) -> dict[str, Any]:
        await self.desk.use_acme(call.body)
        self.people.note(call.caller, "end-to-end", call.body.directory, "acme")
        return await self.show(call)

    async def try_now(self, call: Call) -> dict[str, Any]:
        self.desk.try_now()
        return await self.show(call)

    async def use_domain(self, call: Call) -> dict[str, Any]:
        name = await self.desk.use_domain(call.body)
        self.people.note(call.caller, "end-to-end", name, "domain")
        return await self.show(call)

    async def check_domain(self, call: Call) -> dict[str, Any]:
        await self.door.domain.check()
        return await self.show(call)

    async def make_own(self, call: Call) -> dict[str, Any]:
        await self.desk.stop_acme()
        _or_problem(self.door.own_certificate)
        self.people.note(call.caller, "end-to-end", self.door.tls.fingerprint, "own-certificate")
        return await self.show(call)


def _or_problem(do: Any) -> None:
    try:
        do()
    except ConfigError as error:
        raise Problem(422, "bad-certificate", error.template, error.where, **error.fields) from error
