"""How the cloud changes its zone in the DNS, and whom it asks: options and settings, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from charging_manager.cloud.publisher import Publisher
from charging_manager.daemon.settings import Known
from charging_manager.dns.ask import DnsServer, parse_dns_server
from charging_manager.dns.domain import is_within
from charging_manager.dns.update import TsigKey, Zone, read_key
from charging_manager.errors import ConfigError

SETTLE_S, LONGEST_SETTLE_S = 15, 600

DNS_PARAMETERS: list[Sequence[Any]] = [
    ["dns-server", None, None, "DNS server that takes updates of the zone (RFC 2136), with a port if it is not 53."],
    ["dns-zone", None, None, "Zone there that is updated; if it is not the name of --zone itself."],
    ["dns-key-file", None, None, "File with the TSIG key, as tsig-keygen writes it, or with its secret alone."],
    ["dns-key-name", None, None, "Name of the TSIG key, where the file holds its secret alone."],
    ["dns-algorithm", None, None, "Algorithm of the TSIG key, likewise; hmac-sha256 unless given."],
    ["dns-settle-s", None, None, "Seconds until all servers of the zone know of a change; 15 unless given.", int],
    ["dns-resolver", None, None, "DNS server that is asked whose a domain is; the system's unless given."],
]
DNS_KNOWN: Known = {
    "dns_server": str,
    "dns_zone": str,
    "dns_key_file": str,
    "dns_key_name": str,
    "dns_algorithm": str,
    "dns_settle_s": int,
    "dns_resolver": str,
}


@frozen
class DnsSettings:
    """``resolver`` None: the system's. Without a ``server`` nothing is published."""

    resolver: DnsServer | None = None
    server: DnsServer | None = None
    zone: str = ""
    key: TsigKey | None = None
    settle_s: float = SETTLE_S

    def publisher(self, reactor: Any, under: str, path: Path) -> Publisher | None:
        """What publishes for agents, under the zone's name; None: it is not set up."""
        if self.server is None or self.key is None:
            return None
        return Publisher(Zone(reactor, self.server, self.zone, self.key), under, path, reactor, self.settle_s)


def read_dns(options: Mapping[str, Any], under: str) -> DnsSettings:
    """``under`` is the name under which labels stand. Raises: ConfigError."""
    said = {name: options.get(name.replace("_", "-")) for name in DNS_KNOWN}
    resolver = parse_dns_server(said["dns_resolver"], "dns_resolver") if said["dns_resolver"] else None
    if not said["dns_server"]:
        for name in ("dns_zone", "dns_key_file", "dns_key_name"):
            if said[name]:
                raise ConfigError(name, "is of no use without dns_server, the DNS server that takes updates")
        return DnsSettings(resolver)
    server = parse_dns_server(said["dns_server"], "dns_server")
    if not under:
        raise ConfigError("dns_server", "needs zone too: the name under which installations are reached")
    zone = str(said["dns_zone"] or under).lower().strip().rstrip(".")
    if not is_within(under, zone):
        raise ConfigError("dns_zone", f"{under} does not lie in {zone}; name the zone that holds it")
    if not said["dns_key_file"]:
        raise ConfigError("dns_key_file", "names the file with the TSIG key; updates without one are not made")
    key = read_key(Path(said["dns_key_file"]), said["dns_key_name"] or "", said["dns_algorithm"] or "", "dns_key_file")
    settle_s = SETTLE_S if said["dns_settle_s"] is None else said["dns_settle_s"]
    if not 0 <= settle_s <= LONGEST_SETTLE_S:
        raise ConfigError("dns_settle_s", f"must be from 0 to {LONGEST_SETTLE_S}")
    return DnsSettings(resolver, server, zone, key, float(settle_s))
