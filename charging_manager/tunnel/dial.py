"""From a server's name, as somebody typed it, to a TLS connection: name, addresses, connection, one step each."""

from __future__ import annotations

import re
from typing import Any

from attrs import frozen
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IResolutionReceiver
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from zope.interface import implementer

from charging_manager.errors import ConfigError
from charging_manager.tunnel.agent_side import AgentSide
from charging_manager.tunnel.commands import read_put_off
from charging_manager.tunnel.reasons import trouble
from charging_manager.tunnel.tls import AnyServer, ClientTls

DEFAULT_PORT = 4443
_CONNECT_WITHIN_S = 8.0
_SERVER = re.compile(r"(?:https://)?(?P<host>\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(?::(?P<port>\d+))?/?")


@frozen
class ServerName:
    """A cloud server: host name or address, and port."""

    host: str
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORT else f"{host}:{self.port}"


def parse_server(text: str) -> ServerName | None:
    """``host[:port]`` or ``https://host[:port]``; None when empty. Raises: ConfigError for the field ``server``."""
    text = text.strip().lower()
    if not text:
        return None
    try:
        text = text.encode("idna").decode() if not text.isascii() else text
    except UnicodeError:
        text = ""
    match = _SERVER.fullmatch(text)
    port = int(match["port"] or DEFAULT_PORT) if match and len(match["port"] or "") <= 5 else 0
    if match is None or not 0 < port < 65536 or len(match["host"]) > 253 or ".." in match["host"]:
        raise ConfigError("server", "Enter the cloud server as a name or address, with a port if it is not 4443.")
    return ServerName(match["host"].strip("[]"), port)


@implementer(IResolutionReceiver)
class _Addresses:
    def __init__(self, done: Deferred[list[Any]]) -> None:
        self._done = done
        self._found: list[Any] = []

    def resolutionBegan(self, resolutionInProgress: Any) -> None:
        pass

    def addressResolved(self, address: Any) -> None:
        self._found.append(address)

    def resolutionComplete(self) -> None:
        if not self._done.called:
            self._done.callback(self._found)


async def resolve(reactor: Any, server: ServerName) -> list[IPv4Address | IPv6Address]:
    """The server's addresses, in the resolver's order. Raises: TunnelError."""
    done: Deferred[list[Any]] = Deferred()
    reactor.nameResolver.resolveHostName(_Addresses(done), server.host, portNumber=server.port)
    addresses = await done
    if not addresses:
        raise trouble("name-not-found")
    return addresses


async def connect(reactor: Any, addresses: list[IPv4Address | IPv6Address], tls: ClientTls, side: AgentSide) -> None:
    """Connect ``side`` to the first address that answers. Raises: TunnelError when none does."""
    side.tls = tls
    await connect_any(reactor, addresses, tls, side, _MayBePutOff)


async def connect_to_label(reactor: Any, server: ServerName, protocol: Protocol, *protocols: bytes) -> None:
    """Connect ``protocol`` by TLS to whoever answers to a name of end-to-end mode; it judges by ``tls.key_shown``.

    Raises: TunnelError.
    """
    local: list[IPv4Address | IPv6Address] = [IPv4Address("TCP", "127.0.0.1", server.port)]
    is_local = server.host.endswith(".localhost")  # RFC 6761: browsers do not ask the DNS either
    addresses = local if is_local else await resolve(reactor, server)
    await connect_any(reactor, addresses, AnyServer(server.host, *protocols), protocol)


async def connect_any(
    reactor: Any,
    addresses: list[IPv4Address | IPv6Address],
    tls: ClientTls | AnyServer,
    protocol: Protocol,
    transport: type[BufferingTLSTransport] = BufferingTLSTransport,
) -> None:
    """Connect this protocol to the first address that answers. Raises: TunnelError when none does."""
    code = "unreachable"
    for address in addresses:
        factory = TLSMemoryBIOFactory(tls, True, _OneSide(protocol), reactor)
        factory.protocol = transport
        try:
            await _endpoint(reactor, address).connect(factory)
        except ConnectError as error:
            code = "timeout" if "timeout" in type(error).__name__.lower() else "unreachable"
        else:
            return
    raise trouble(code)


class _MayBePutOff(BufferingTLSTransport):
    """The tunnel's TLS. A cloud that has no time for a login says so before TLS begins (``commands.put_off``)."""

    wrappedProtocol: Any
    dataReceived: Any

    def makeConnection(self, transport: Any) -> None:
        self.dataReceived = self._first_bytes
        super().makeConnection(transport)  # type: ignore[no-untyped-call]

    def _first_bytes(self, data: bytes) -> None:
        del self.dataReceived
        seconds = read_put_off(data)
        if seconds is None:
            self.dataReceived(data)
        else:
            self.wrappedProtocol.put_off(seconds)


def connect_plain(reactor: Any, address: IPv4Address | IPv6Address, protocol: Protocol) -> Deferred[Any]:
    """Connect this protocol to this address, without TLS. Fails with ConnectError."""
    connected: Deferred[Any] = _endpoint(reactor, address).connect(_OneSide(protocol))
    return connected


def _endpoint(reactor: Any, address: IPv4Address | IPv6Address) -> Any:
    endpoint = TCP6ClientEndpoint if isinstance(address, IPv6Address) else TCP4ClientEndpoint
    return endpoint(reactor, address.host, address.port, timeout=_CONNECT_WITHIN_S)


class _OneSide(Factory):
    noisy = False

    def __init__(self, side: Protocol) -> None:
        self._side = side

    def buildProtocol(self, addr: Any) -> Protocol:
        return self._side
