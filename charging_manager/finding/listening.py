"""Multicast DNS on the wire: asks on our own interfaces, hears what is answered there or announced anyway."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from charging_manager.finding.ground import Interface
from charging_manager.finding.mdns import GROUP, PORT, Ear, Service

ASK_AFTER_S = (0.0, 1.0, 3.0)
"""RFC 6762, section 5.2: the intervals grow."""

LISTEN_S = 5.0


class Announcements(DatagramProtocol):
    """Listens until it is stopped, beside whatever else on this machine does the same."""

    log = Logger()

    def __init__(self, interfaces: Iterable[Interface], heard: Callable[[Service], None], reactor: Any) -> None:
        self._interfaces = tuple(interfaces)
        self._heard = heard
        self._reactor = reactor
        self._ear = Ear()
        self._port: Any = None
        self._calls: list[IDelayedCall] = []

    def start(self) -> None:
        """Begin. Where the port cannot be shared, nothing is heard, and the search goes on without."""
        if not self._interfaces:
            return
        try:
            self._port = self._reactor.listenMulticast(PORT, self, listenMultiple=True)
        except (CannotListenError, OSError) as error:
            self.log.info("multicast DNS cannot be listened to: {reason}", reason=str(error))
            return
        self._calls = [self._reactor.callLater(after_s, self._ask) for after_s in ASK_AFTER_S]

    def stop(self) -> None:
        """Listen no more."""
        for call in self._calls:
            if call.active():
                call.cancel()
        port, self._port = self._port, None
        if port is not None:
            port.stopListening()

    def startProtocol(self) -> None:
        transport: Any = self.transport
        transport.setTTL(255)
        for interface in self._interfaces:
            transport.joinGroup(GROUP, interface=str(interface.address)).addErrback(
                lambda failure: self.log.debug("no multicast there: {reason}", reason=str(failure.value))
            )

    def _ask(self) -> None:
        transport: Any = self.transport
        for interface in self._interfaces:
            try:
                transport.setOutgoingInterface(str(interface.address))
                for packet in self._ear.questions():
                    transport.write(packet, (GROUP, PORT))
            except OSError as error:  # an interface that is down asks nobody
                self.log.debug("no multicast from there: {reason}", reason=str(error))

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        try:
            source = IPv4Address(addr[0])
        except ValueError:
            return
        if not any(source in interface.network for interface in self._interfaces):
            return
        for service in self._ear.hear(datagram, source):
            self._heard(service)
