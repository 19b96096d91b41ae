"""The certificate of end-to-end mode by ACME, and a domain of one's own, over the API. All of it is for the site."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from attrs import evolve, field, frozen

from charging_manager.acme.authority import LETS_ENCRYPT, Authority
from charging_manager.acme.trouble import AcmeError
from charging_manager.agent.acme_settings import SETTLE_S, AcmeSettings, DnsUpdates
from charging_manager.agent.api_common import field_problem
from charging_manager.agent.certify import ACME_SENTENCES, NO_PUBLISHER_SENTENCE, AcmeStand, Certifier
from charging_manager.agent.end_to_end import EndToEnd
from charging_manager.agent.own_domain import DOMAIN_SENTENCES
from charging_manager.agent.running import RunningSite
from charging_manager.clocks import utc_now
from charging_manager.dns.domain import normal_domain
from charging_manager.errors import ConfigError
from charging_manager.http.routes import Call, Problem
from charging_manager.tunnel import commands
from charging_manager.tunnel.labels import CHALLENGE, PROOF
from charging_manager.words import say

OWN_KEY_SENTENCE = (
    "With the right fingerprint, or with charging_manager open, the operator of the cloud server cannot read along."
)
OPERATORS_NAME_SENTENCE = (
    "The name is the operator's: he could obtain another certificate for it and read along. That would be noticeable "
    "(in the public lists of certificates, and by the check above), not impossible."
)
OWN_NAME_SENTENCE = (
    "The name is your own: with the CAA record below in its DNS the operator of the cloud server cannot obtain another "
    "certificate for it, and cannot read along. Without that record he could, because the name leads to his server."
)
OWN_NAME_BROUGHT_SENTENCE = (
    "The name is your own: the operator of the cloud server cannot read along as long as no authority gives him a "
    "certificate for it. A CAA record that names your authority and your account there sees to that."
)


@frozen
class DomainBody:
    """A domain of one's own; empty: none."""

    domain: str


@frozen
class TermsBody:
    """Whose terms of service are asked for; empty: Let's Encrypt's."""

    directory: str = ""


@frozen
class AcmeBody:
    """``terms``: the address of what was read and agreed to. Secrets that are left out stay as they are."""

    terms: str
    directory: str = ""
    contact: str = ""
    customer: str = ""
    customer_key: str | None = field(default=None, repr=False)
    dns_server: str = ""
    dns_zone: str = ""
    key_name: str = ""
    key_secret: str | None = field(default=None, repr=False)
    key_algorithm: str = "hmac-sha256"
    settle_s: float = SETTLE_S


@frozen
class CertificateDesk:
    """What the pages of end-to-end mode show and change of it."""

    site: RunningSite
    door: EndToEnd
    certifier: Certifier

    def show(self, language: str) -> dict[str, Any]:
        """How it stands with certificate and domain."""
        door, settings = self.door, self.site.config.current.acme
        source = "acme" if settings.enabled else "own" if door.tls.is_ours else "brought"
        promise = OWN_KEY_SENTENCE
        if not door.tls.is_ours:
            own = bool(door.domain.name) and door.tls.pair.names(door.domain.name)
            promise = (
                OPERATORS_NAME_SENTENCE
                if not own
                else OWN_NAME_SENTENCE
                if settings.enabled
                else OWN_NAME_BROUGHT_SENTENCE
            )
        return {
            "source": source,
            "promise": say(language, promise),
            "domain": self._domain(language),
            "acme": self._acme(settings, language),
        }

    def _domain(self, language: str) -> dict[str, Any]:
        door, domain = self.door, self.door.domain
        server, name, address = door.server, domain.name, door.address
        zone = None if address is None else address.host.partition(".")[2]
        proof = None if server is None or not name else {"name": PROOF + name, "value": domain.proof(server)}
        challenge = None
        if proof is not None and zone and server is not None:
            challenge = {"name": CHALLENGE + name, "value": f"{CHALLENGE}{domain.delegate(server)}.{zone}"}
        return {
            "name": name,
            "state": domain.stand.value,
            "state_text": say(language, DOMAIN_SENTENCES[domain.stand]),
            "leads_to": {"name": name, "value": zone} if name and zone else None,
            "proof": proof,
            "challenge": challenge,
            "caa": self._caa(),
        }

    def _caa(self) -> str | None:
        """What the domain's CAA record has to hold, so that this installation's account alone gets certificates."""
        state, name = self.certifier.state, self.door.domain.name
        if not name or not state.account or not state.caa:
            return None
        return f'0 issue "{state.caa[0]}; accounturi={state.account}; validationmethods=dns-01"'

    def _acme(self, settings: AcmeSettings, language: str) -> dict[str, Any]:
        certifier, state, side = self.certifier, self.certifier.state, self.door.side
        stand = certifier.stand
        tried = stand in (AcmeStand.PAUSED, AcmeStand.VALID) and bool(state.problem)
        publishes = side is not None and side.can(commands.PUBLISH)
        lacking = settings.enabled and side is not None and not publishes and not settings.updates.server
        return {
            "enabled": settings.enabled,
            "state": stand.value,
            "state_text": say(language, ACME_SENTENCES[stand]),
            "problem": say(language, state.problem, **state.fields) if state.problem else None,
            "hint": say(language, NO_PUBLISHER_SENTENCE) if lacking else None,
            "names": list(certifier.names),
            "renew_at": _iso(certifier.renew_at),
            "next_try_at": _iso(state.not_before) if tried else None,
            "directory": settings.directory,
            "is_lets_encrypt": settings.directory == LETS_ENCRYPT,
            "contact": settings.contact,
            "terms": settings.terms,
            "account": state.account or None,
            "customer": settings.customer,
            "customer_key_set": bool(settings.customer_key),
            "cloud_publishes": publishes,
            "dns_server": settings.updates.server,
            "dns_zone": settings.updates.zone,
            "key_name": settings.updates.key_name,
            "key_secret_set": bool(settings.updates.key_secret),
            "key_algorithm": settings.updates.key_algorithm,
            "settle_s": settings.updates.settle_s,
        }

    async def terms(self, call: Call) -> dict[str, Any]:
        """What an authority wants to have agreed to."""
        body: TermsBody = call.body
        directory = body.directory.strip() or LETS_ENCRYPT
        if not directory.startswith("https://"):
            raise Problem(422, "invalid-field", "The authority's address begins with https://.", "directory")
        try:
            found = await Authority(directory, self.certifier.http, utc_now).directory()
        except AcmeError as error:
            raise Problem(502, "authority", error.template, "directory", **error.fields) from error
        return {"directory": directory, "terms": found.terms, "wants_binding": found.wants_binding}

    async def use_domain(self, body: DomainBody) -> str:
        """Another domain, or none. Raises: Problem."""
        try:
            name = normal_domain(body.domain) if body.domain.strip() else ""
        except ConfigError as error:
            raise Problem(422, "invalid-field", error.template, "domain", **error.fields) from error
        before = self.site.config.current

        def changed(config: Any) -> Any:
            updates = config.acme.updates if name == config.own_domain else DnsUpdates()
            return evolve(config, own_domain=name, acme=evolve(config.acme, updates=updates))

        await field_problem(self.site.config.change(changed))
        self.door.use_domain(name)
        if self.site.config.current != before:
            self.certifier.changed()
        await self.door.domain.check()
        return name

    async def use_acme(self, body: AcmeBody) -> None:
        """Get certificates by ACME from now on. Raises: Problem."""

        def changed(config: Any) -> Any:
            old: AcmeSettings = config.acme
            secret = old.updates.key_secret if body.key_secret is None else body.key_secret
            customer_key = old.customer_key if body.customer_key is None else body.customer_key
            server = body.dns_server.strip()
            updates = DnsUpdates()
            if server:
                zone = normal_domain(body.dns_zone, "dns_zone")
                updates = DnsUpdates(server, zone, body.key_name, secret, body.key_algorithm, body.settle_s)
            acme = AcmeSettings(
                True,
                body.directory.strip() or LETS_ENCRYPT,
                body.contact.strip(),
                body.terms,
                body.customer.strip(),
                customer_key if body.customer.strip() else "",
                updates,
            )
            return evolve(config, acme=acme)

        await field_problem(self.site.config.change(changed))
        self.certifier.changed()

    async def stop_acme(self) -> None:
        """Another kind of certificate was chosen."""
        await self.site.config.change(lambda config: evolve(config, acme=evolve(config.acme, enabled=False)))
        self.certifier.changed()

    def try_now(self) -> None:
        """Raises: Problem."""
        wait_s = self.certifier.try_now()
        if wait_s:
            minutes = max(1, round(wait_s / 60))
            sentence = "The authority wants to be left alone for {minutes} minutes more."
            raise Problem(409, "authority-waits", sentence, minutes=minutes)


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z")
