"""Our own Modbus server's door: who may come in, how many, and for how long they may say nothing."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from charging_manager.errors import ConfigError
from charging_manager.http.facts import unmapped
from charging_manager.http.listener import bind as bind_everywhere
from charging_manager.modbus.server import Slave, TcpServer, TcpServerFactory

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
MOST_CLIENTS = 8
IDLE_S = 120.0
"""A client that says nothing for so long has gone without telling."""
_REFUSED_SAID_EVERY_S = 60.0


@frozen
class DoorSettings:
    """Where the server listens, and for whom beside this machine itself."""

    port: int
    bind: str | None = None
    """None: this machine alone if nobody else is allowed, else every address."""
    allowed: tuple[Network, ...] = ()


def read_door(port: int | None, bind: str | None, allow: Sequence[str]) -> DoorSettings | None:
    """None: no server is wanted. Raises: ConfigError naming the setting."""
    allowed = []
    for text in allow:
        try:
            allowed.append(ipaddress.ip_network(text.strip()))
        except ValueError as error:
            raise ConfigError("agent.modbus_allow", f"{text!r} is no network; write it as in 192.168.1.0/24") from error
    for network in allowed:
        if network.prefixlen == 0:
            raise ConfigError("agent.modbus_allow", f"{network} is everybody; name the networks that need it")
    if bind is not None:
        try:
            ipaddress.ip_address(bind)
        except ValueError as error:
            raise ConfigError("agent.modbus_bind", f"{bind!r} is no address of this machine") from error
    return None if port is None else DoorSettings(port, bind, tuple(allowed))


@implementer(IPushProducer)
class Client(TcpServer):
    """One client. While it does not read its answers, it is not heard either."""

    _idle: IDelayedCall | None = None

    def connectionMade(self) -> None:
        super().connectionMade()
        transport: Any = self.transport
        transport.registerProducer(self, True)
        transport.setTcpKeepAlive(True)
        self._idle = self.factory.clock.callLater(IDLE_S, transport.abortConnection)

    def dataReceived(self, data: bytes) -> None:
        if self._idle is not None and self._idle.active():
            self._idle.reset(IDLE_S)
        super().dataReceived(data)

    def pauseProducing(self) -> None:
        transport: Any = self.transport
        transport.pauseProducing()

    def resumeProducing(self) -> None:
        transport: Any = self.transport
        transport.resumeProducing()

    def stopProducing(self) -> None:
        transport: Any = self.transport
        transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        super().connectionLost(reason)


class Door(TcpServerFactory):
    """Lets loopback in and the networks of a list, and nobody else."""

    protocol = Client
    log = Logger()

    def __init__(self, slave: Slave, allowed: Sequence[Network], clock: IReactorTime) -> None:
        super().__init__(slave, most_clients=MOST_CLIENTS)
        self.allowed = (*LOOPBACK, *allowed)
        self.clock = clock
        self.refused = 0
        self._said_s = float("-inf")

    def buildProtocol(self, addr: Any) -> Client | None:
        """None: the connection ends at once."""
        if self.admits(getattr(addr, "host", "")):
            client: Any = super().buildProtocol(addr)
            return client  # type: ignore[no-any-return]
        self.refused += 1
        if self.clock.seconds() - self._said_s >= _REFUSED_SAID_EVERY_S:
            self._said_s = self.clock.seconds()
            self.log.warn(
                "a Modbus client at {host} was refused: its network is not in modbus_allow ({count} so far)",
                host=addr.host,
                count=self.refused,
            )
        return None

    def admits(self, host: str) -> bool:
        """Whether a client at this address may come in."""
        try:
            address = ipaddress.ip_address(unmapped(host).partition("%")[0])
        except ValueError:
            return False
        return any(address in network for network in self.allowed)


class ModbusServer(Service):
    """The listening port."""

    log = Logger()

    def __init__(
        self, settings: DoorSettings, slave: Slave, reactor: Any, sockets: Sequence[socket.socket] = ()
    ) -> None:
        """``sockets`` listen already, for us; who may come in is the settings' business as ever."""
        self._settings, self._reactor, self._handed_over = settings, reactor, sockets
        self.door = Door(slave, settings.allowed, reactor)
        self.port = settings.port
        self._listening: list[Any] = []

    def startService(self) -> None:
        """Raises: ConfigError in one sentence if the port cannot be had."""
        super().startService()  # type: ignore[no-untyped-call]
        sockets = self._handed_over or [self._bind()]
        self.port = sockets[0].getsockname()[1]
        for bound in sockets:
            with bound:
                self._listening.append(self._reactor.adoptStreamPort(bound.fileno(), bound.family, self.door))
        self.log.info("Modbus clients are served on port {port}", port=self.port)

    def _bind(self) -> socket.socket:
        wanted = self._settings.bind
        if wanted is None and self._settings.allowed:
            return bind_everywhere(self._settings.port)
        address = wanted or "127.0.0.1"
        bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setblocking(False)
            bound.bind((address, self._settings.port))
            bound.listen(16)
        except OSError as error:
            bound.close()
            raise ConfigError(
                "modbus-port", f"{address} port {self._settings.port} cannot be listened on ({error.strerror})"
            ) from error
        return bound

    def stopService(self) -> Deferred[Any]:
        super().stopService()  # type: ignore[no-untyped-call]
        listening, self._listening = self._listening, []
        stopped: Deferred[Any] = DeferredList([maybeDeferred(each.stopListening) for each in listening])
        self.door.drop_all()
        return stopped
