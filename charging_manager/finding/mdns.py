"""Multicast DNS (RFC 6762) and its lists of services (RFC 6763): questions as packets, answers understood. Pure.

The packets are made and read by ``twisted.names``, which refuses what loops or breaks off; nothing that is heard is
believed but that somebody at an address gives himself a name.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address

from attrs import define, field, frozen
from twisted.names import dns

from charging_manager.finding.plan import Talk

GROUP = "224.0.0.251"
PORT = 5353
LARGEST = 9000
MOST_NAMES = 500
SERVICES: dict[str, Talk | None] = {
    "_modbus._tcp.local": Talk.MODBUS,
    "_http._tcp.local": Talk.HTTP,
    "_shelly._tcp.local": Talk.HTTP,
    "_ocpp._tcp.local": None,
    "_openevse._tcp.local": None,
}
"""What wallboxes and meters announce, and what is spoken there, where a driver may know it."""


@frozen
class Service:
    """Something that announces itself: ``name`` is its own word for itself."""

    name: str
    service: str
    address: IPv4Address
    port: int


@define
class Ear:
    """Collects what is announced."""

    instances: dict[str, str] = field(factory=dict)
    """Full name of an instance to its service."""
    places: dict[str, tuple[str, int]] = field(factory=dict)
    """Instance to host name and port."""
    addresses: dict[str, IPv4Address] = field(factory=dict)

    def questions(self) -> list[bytes]:
        """The packets to send now: who offers our services, and what is still unknown of those that do."""
        wanted = [(service, dns.PTR) for service in SERVICES]
        wanted += [(name, dns.SRV) for name in self.instances if name not in self.places]
        hosts = dict.fromkeys(host for host, _ in self.places.values())
        wanted += [(host, dns.A) for host in hosts if host not in self.addresses]
        return [_packet(wanted[at : at + 20]) for at in range(0, len(wanted), 20)]

    def hear(self, packet: bytes, source: IPv4Address) -> list[Service]:
        """Understand a packet: all services that have become known by it, in full. Never raises."""
        before = set(self.services())
        message = dns.Message()
        try:
            message.fromStr(packet[:LARGEST])
        except Exception:  # of many kinds, and all of them mean: this is no such packet
            return []
        if not message.answer:
            return []
        for record in (*message.answers, *message.additional):
            self._note(record, source)
        return [service for service in self.services() if service not in before]

    def _note(self, record: dns.RRHeader, source: IPv4Address) -> None:
        name, payload = _text(record.name), record.payload
        if isinstance(payload, dns.Record_PTR) and name in SERVICES:
            if len(self.instances) < MOST_NAMES:
                self.instances.setdefault(_text(payload.name), name)
        elif isinstance(payload, dns.Record_SRV) and len(self.places) < MOST_NAMES:
            self.places.setdefault(name, (_text(payload.target), payload.port))
        elif isinstance(payload, dns.Record_A) and len(self.addresses) < MOST_NAMES:
            self.addresses.setdefault(name, IPv4Address(payload.dottedQuad()))

    def services(self) -> Iterable[Service]:
        """Everything that is known in full."""
        for instance, service in self.instances.items():
            host, port = self.places.get(instance, ("", 0))
            address = self.addresses.get(host)
            if address is not None and 0 < port < 65536:
                name = instance.removesuffix(f".{service}")
                yield Service("".join(char for char in name if char.isprintable())[:60], service, address, port)


def _packet(questions: Iterable[tuple[str, int]]) -> bytes:
    message = dns.Message()
    for name, kind in questions:
        message.addQuery(name.encode(), kind, dns.IN)
    packet: bytes = message.toStr()
    return packet


def _text(name: dns.Name) -> str:
    return name.name.decode("utf-8", "replace").rstrip(".").lower() if isinstance(name.name, bytes) else str(name)
