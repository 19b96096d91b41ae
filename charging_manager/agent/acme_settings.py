"""How this installation comes to a certificate by ACME, as it was entered."""

from __future__ import annotations

import re
from typing import Any

from attrs import field, frozen

from charging_manager.acme.authority import LETS_ENCRYPT
from charging_manager.acme.signing import read_mac_key
from charging_manager.dns.ask import parse_dns_server
from charging_manager.dns.domain import is_within, normal_domain
from charging_manager.dns.update import ALGORITHMS, Zone, make_key
from charging_manager.errors import ConfigError

SETTLE_S, LONGEST_SETTLE_S = 15.0, 600.0
_URL = re.compile(r"https://[a-zA-Z0-9.\[\]:-]+(/[!-~]*)?")
_MAIL = re.compile(r"[^\s@,?;]{1,64}@[^\s@,?;]{1,180}")
_LONGEST = 1000


@frozen
class DnsUpdates:
    """Where the agent itself publishes the proof, with the keeper's key; without a ``server`` the cloud does it."""

    server: str = ""
    zone: str = ""
    key_name: str = ""
    key_secret: str = field(default="", repr=False)
    key_algorithm: str = ALGORITHMS[0]
    settle_s: float = SETTLE_S

    def zone_at(self, reactor: Any) -> Zone:
        """What changes the zone. Raises: ConfigError."""
        key = make_key(self.key_name, self.key_secret, self.key_algorithm, "key")
        return Zone(reactor, parse_dns_server(self.server, "dns_server"), normal_domain(self.zone, "dns_zone"), key)


@frozen
class AcmeSettings:
    """``terms`` is the address of the terms of service that the keeper has agreed to."""

    enabled: bool = False
    directory: str = LETS_ENCRYPT
    contact: str = ""
    """An address for mail, if the keeper wants to be written to."""
    terms: str = ""
    customer: str = ""
    customer_key: str = field(default="", repr=False)
    """Who we are at an authority that knows its customers, and the key that it gave (external account binding)."""
    updates: DnsUpdates = field(factory=DnsUpdates)


def check_acme(settings: AcmeSettings, domain: str) -> None:
    """Raises: ConfigError with the key path."""
    if domain and normal_domain(domain, "own_domain") != domain:
        raise ConfigError("own_domain", "Enter a whole name of yours like charge.example.org, without a port.")
    if not _URL.fullmatch(settings.directory) or len(settings.directory) > _LONGEST:
        raise ConfigError("acme.directory", "The authority's address begins with https:// and leads to its directory.")
    if settings.contact and not _MAIL.fullmatch(settings.contact):
        raise ConfigError("acme.contact", "This is no address for mail; leave it empty if you want none.")
    if len(settings.terms) > _LONGEST:
        raise ConfigError("acme.terms", "This is too long.")
    if bool(settings.customer) is not bool(settings.customer_key):
        raise ConfigError("acme.customer", "Enter both the account's ID and its key, or neither.")
    if settings.customer_key:
        read_mac_key(settings.customer_key)
    updates = settings.updates
    if not updates.server:
        return
    zone = updates.zone_at(None)
    if not domain:
        raise ConfigError("acme.dns_server", "Updates of your own are for a domain of your own; enter that first.")
    if not is_within(domain, zone.name):
        raise ConfigError(
            "acme.dns_zone", "{domain} does not lie in this zone; name the zone that holds it.", domain=domain
        )
    if not 0 <= updates.settle_s <= LONGEST_SETTLE_S:
        raise ConfigError("acme.settle_s", "A number of seconds from 0 to 600.")
