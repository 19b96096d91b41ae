"""One port for everything: the first byte tells TLS from plain HTTP, ALPN tells a tunnel from a browser, and at the
cloud the name in the ClientHello tells whose TLS does not end here.

Until that is known a connection is a stranger: it has 10 s, and strangers are few enough to fit into memory. What comes
from a proxy says first whom it forwards (proxy_header); all that follows goes by that address.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from charging_manager.errors import ConfigError
from charging_manager.http.admission import Admission, Place
from charging_manager.http.clienthello import HelloReader, Malformed, TooLong
from charging_manager.http.crowd import Crowd
from charging_manager.http.facts import Forwarded, unmapped
from charging_manager.http.guard import source_network
from charging_manager.http.lobby import Waiting
from charging_manager.http.proxy_header import OF_NOBODY, HeaderReader, NoHeader, Proxies
from charging_manager.http.tls import HTTP, TlsDoor

TUNNEL = b"cm-tunnel/1"
NODE = b"cm-node/1"
"""Servers of one cloud among themselves: ``nodes`` makes what they get."""
PATIENCE_S = 10.0
HELLO_WITHIN_S = 2.0
"""So long after its first byte a ClientHello must be whole, where its name is read."""
PROXY_WITHIN_S = 5.0
"""So long after connecting a proxy must have said whom it forwards."""
_LOG_GAP_S = 60.0
BACKLOG = 4096
MOST_STRANGERS = 4096
_TLS_HANDSHAKE = 0x16
_NEITHER_TLS_NOR_HTTP = 0x00
_LINGER_S = 2.0
_HTTPS_ONLY = b"This server answers over HTTPS only: write https:// in front of its address.\n"
_REFUSAL = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_HTTPS_ONLY), _HTTPS_ONLY)
)

Greeted = tuple[int, Callable[[bytes], Any]]
"""How many bytes a greeting has, and what becomes of a connection that began with these; None: it is none."""


class Listener(Service):
    """Listens on ``port`` (0: any free one; afterwards ``port`` is the real one).

    With a tunnel factory it is the cloud's: plain HTTP gets a short 400 unless ``allow_http``. Without, it is the
    agent's: the web site itself redirects those who are not on this machine.

    ``passed_on`` is asked for each TLS connection, by the name in its ClientHello and its source: a protocol gets the
    connection still encrypted, None leaves it to us. ``greeted`` is asked for what begins with a zero byte.

    Agents wait for ``admission`` before TLS begins.

    Connections from ``proxies`` must begin with a header of the PROXY protocol; all others must not.

    ``sockets`` listen already, for us: then ``port`` is not asked for, and becomes the first one's.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        port: int,
        web: Factory,
        tunnel: Factory | None,
        tls: TlsDoor,
        allow_http: bool,
        passed_on: Callable[[str, str], Any] | None = None,
        proxies: Proxies | None = None,
        greeted: Greeted | None = None,
        nodes: Factory | None = None,
        sockets: Sequence[socket.socket] = (),
        admission: Admission | None = None,
    ) -> None:
        self.port = port
        self._handed_over = sockets
        self.web, self.tls = web, tls
        self.passed_on, self.admission = passed_on, admission
        self.proxies = proxies if proxies is not None else Proxies()
        self.door = _Door(self)
        """Makes the protocol of each connection that comes in."""
        self._told_s = -_LOG_GAP_S
        self.greeted = greeted
        self.refuses_plain = tunnel is not None and not allow_http
        self.reactor = reactor
        self.strangers = Crowd(MOST_STRANGERS, MOST_STRANGERS)
        named = {name: factory for name, factory in ((TUNNEL, tunnel), (NODE, nodes)) if factory is not None}
        tls.protocols = (*named, HTTP)
        inner = ByProtocol(named, web, self.strangers, reactor, () if admission is None else (TUNNEL,))
        self.over_tls: Any = TLSMemoryBIOFactory(tls, False, inner, reactor)
        self._listening: list[Any] = []
        self._renewing = LoopingCall(self._renew)
        self._renewing.clock = reactor

    def startService(self) -> None:
        """Raises: ConfigError in one sentence if the port cannot be had."""
        super().startService()  # type: ignore[no-untyped-call]
        if not self._listening:
            self.listen()
        self._renewing.start(86_400.0, now=False)

    def listen(self) -> None:
        """Bind and listen, or take over what listens already. Raises: ConfigError."""
        sockets = self._handed_over or [bind(self.port)]
        self.port = sockets[0].getsockname()[1]
        for bound in sockets:
            with bound:
                self._listening.append(self.reactor.adoptStreamPort(bound.fileno(), bound.family, self.door))

    @property
    def own_address(self) -> tuple[str, int]:
        """Where this machine itself reaches it: host and port."""
        bound = self._listening[0].getHost()
        return {"::": "::1", "0.0.0.0": "127.0.0.1"}.get(bound.host, bound.host), bound.port  # noqa: S104 - found there

    @property
    def own_preface(self) -> bytes:
        """What a call from this machine itself must begin with: nothing, unless a proxy is expected there."""
        return OF_NOBODY if self.own_address[0] in self.proxies else b""

    def stopService(self) -> Deferred[None]:
        """No new connections, and what browsers have asked is answered; tunnels are their own factory's."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._renewing.running:
            self._renewing.stop()
        finish = getattr(self.web, "finish", lambda: None)
        return self.stop_listening().addBoth(lambda _: finish())

    def stop_listening(self) -> Deferred[Any]:
        """Nobody is let in any more. Where somebody else listens for us (``sockets``), they wait for our successor."""
        listening, self._listening = self._listening, []
        return DeferredList([maybeDeferred(each.stopListening) for each in listening])

    @property
    def is_succeeded(self) -> bool:
        """Whoever comes while we stop is not refused, but waits for who comes after us."""
        return bool(self._handed_over)

    def begin_tls(self, peer: Any, place: Place | None = None) -> Any:
        """The protocol that does TLS with this peer, who was admitted if it is an agent."""
        protocol = self.over_tls.buildProtocol(peer)
        protocol.wrappedProtocol.place = place
        return protocol

    def without_header(self, proxy: str, reason: str) -> None:
        """A proxy's connection did not begin as it must: told at most once a minute."""
        now_s = self.reactor.seconds()
        if now_s - self._told_s >= _LOG_GAP_S:
            self._told_s = now_s
            self._log.warn(
                "a connection from {proxy}, a network of --proxy-from, was closed: no header of the PROXY protocol "
                "({reason}); let the proxy send it",
                proxy=proxy,
                reason=reason,
            )

    def _renew(self) -> None:
        with self._log.failuresHandled("the certificate could not be renewed; the next try is tomorrow"):
            self.tls.renew()


def bind(port: int) -> socket.socket:
    """A listening socket for IPv6 and IPv4, or for IPv4 where there is no IPv6. Raises: ConfigError."""
    try:
        return _bind(socket.AF_INET6, ("::", port))
    except OSError as error:
        if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise _no_port(port, error) from error
    try:
        return _bind(socket.AF_INET, ("0.0.0.0", port))  # noqa: S104 - a server for the house and beyond
    except OSError as error:
        raise _no_port(port, error) from error


def _bind(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def _no_port(port: int, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(f"port {port}", "is in use by another program; stop that one, or choose another port")
    if error.errno == errno.EACCES:
        return ConfigError(f"port {port}", "may not be used by this user; choose a port above 1023")
    return ConfigError(f"port {port}", f"cannot be listened on ({error.strerror}); choose another port")


class _Door(Factory):
    noisy = False

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def logPrefix(self) -> str:
        return "listener"

    def buildProtocol(self, addr: Any) -> Protocol:
        if unmapped(addr.host) in self._listener.proxies:
            return _FromProxy(self._listener, addr)
        return _Stranger(self._listener, addr)


class _Stranger(Protocol):
    """A connection that has not said anything yet."""

    transport: Any
    patience_s = PATIENCE_S

    def __init__(self, listener: Listener, peer: Any) -> None:
        self._listener = listener
        self._peer = peer
        self._deadline: IDelayedCall | None = None
        self._hello: HelloReader | None = None
        self.gone = False
        self._greeting = b""

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        self._deadline = self._listener.reactor.callLater(self.patience_s, self.send_away)
        if not self._listener.strangers.enter(self, source_network(unmapped(self._peer.host))):
            self.send_away()

    def dataReceived(self, data: bytes) -> None:
        listener = self._listener
        if self._greeting or (listener.greeted is not None and data[0] == _NEITHER_TLS_NOR_HTTP):
            self._read_greeting(data)
        elif self._hello is not None or (listener.passed_on is not None and data[0] == _TLS_HANDSHAKE):
            self._read_hello(data)
        elif data[0] == _TLS_HANDSHAKE:
            self._become(listener.begin_tls(self._peer), data)
        elif listener.refuses_plain:
            self._become(_Refusal(listener.reactor), data)
        else:
            self._become(listener.web.buildProtocol(self._peer), data)

    def _read_greeting(self, data: bytes) -> None:
        """Collect as much as a greeting has; what is none is answered like any bytes that are no TLS."""
        listener, self._greeting = self._listener, self._greeting + data
        size, admit = listener.greeted or (0, lambda _: None)
        if len(self._greeting) < size:
            return
        other = admit(self._greeting)
        if other is not None:
            self._become(other, b"")
        elif listener.refuses_plain:
            self._become(_Refusal(listener.reactor), self._greeting)
        else:
            self.send_away()

    def _read_hello(self, data: bytes) -> None:
        """Collect the ClientHello; what names nobody else, or is none, is OpenSSL's to deal with."""
        if self._hello is None:
            self._hello = HelloReader()
            self._wait(HELLO_WITHIN_S)
        reader, listener = self._hello, self._listener
        try:
            hello = reader.feed(data)
        except TooLong:
            self.send_away()
            return
        except Malformed:
            name, waits = None, False
        else:
            if hello is None:
                return
            name, waits = hello.name, TUNNEL in hello.protocols
        source = unmapped(self._peer.host)
        other = listener.passed_on(name, source) if name is not None and listener.passed_on else None
        if other is None and waits and listener.admission is not None:
            other = Waiting(listener.admission, source_network(source), partial(listener.begin_tls, self._peer))
        self._become(listener.begin_tls(self._peer) if other is None else other, reader.taken)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._over()

    def send_away(self) -> None:
        self.gone = True
        self._over()
        self.transport.abortConnection()

    def _wait(self, seconds: float) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.reset(seconds)

    def _become(self, protocol: Any, data: bytes) -> None:
        self._over()
        self.transport.protocol = protocol
        protocol.makeConnection(self.transport)
        protocol.dataReceived(data)

    def _over(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._listener.strangers.leave(self)


class _FromProxy(_Stranger):
    """A proxy's connection, which becomes a stranger's once the proxy has said whom it forwards."""

    patience_s = PROXY_WITHIN_S

    def __init__(self, listener: Listener, peer: Any) -> None:
        super().__init__(listener, peer)
        self._header = HeaderReader()

    def dataReceived(self, data: bytes) -> None:
        try:
            header = self._header.feed(data)
        except NoHeader as error:
            self._listener.without_header(unmapped(self._peer.host), str(error))
            self.send_away()
            return
        if header is None:
            return
        self._over()
        client = Forwarded(header.source or self._peer.host, header.port if header.source else self._peer.port)
        stranger: Any = _Stranger(self._listener, client)
        self.transport.protocol = stranger
        stranger.makeConnection(self.transport)
        if self._header.rest and not stranger.gone:
            stranger.dataReceived(self._header.rest)


class _Refusal(Protocol):
    """Says once that HTTPS is spoken here, then swallows the rest: a reset would destroy the answer on its way."""

    transport: Any

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def connectionMade(self) -> None:
        self._deadline = self._reactor.callLater(_LINGER_S, self.transport.abortConnection)
        self.transport.write(_REFUSAL)
        self.transport.loseWriteConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._deadline.active():
            self._deadline.cancel()


class ByProtocol(Factory):
    """What TLS wraps: the handshake's ALPN name chooses among ``named``; all others get ``other``."""

    noisy = False

    def __init__(
        self,
        named: Mapping[bytes, Factory],
        other: Factory,
        strangers: Crowd,
        reactor: Any,
        need_place: Collection[bytes] = (),
    ) -> None:
        self.named, self.other, self.need_place = named, other, need_place
        self.strangers, self.reactor = strangers, reactor

    def buildProtocol(self, addr: Any) -> Protocol:
        return _Shaking(self, addr)


@implementer(IHandshakeListener)
class _Shaking(Protocol):
    """Inside TLS until the handshake is done; then it steps out of the way."""

    transport: Any

    def __init__(self, choice: ByProtocol, peer: Any) -> None:
        self._choice, self._peer = choice, peer
        self._inner: Any = None
        self.place: Place | None = None

    def connectionMade(self) -> None:
        self._deadline = self._choice.reactor.callLater(PATIENCE_S, self.send_away)
        if not self._choice.strangers.enter(self, source_network(unmapped(self._peer.host))):
            self.send_away()

    def handshakeCompleted(self) -> None:
        self._over()
        choice, transport, place = self._choice, self.transport, self.place
        chosen = transport.negotiatedProtocol
        if chosen in choice.need_place and place is None:  # its ClientHello was not one to us
            transport.abortConnection()
            return
        self._inner = choice.named.get(chosen, choice.other).buildProtocol(self._peer)
        if self._inner is None:
            self.send_away()
            return
        if place is not None and chosen in choice.need_place:
            self._inner.came_in = place.leave
        elif place is not None:
            place.leave()
        transport.wrappedProtocol = self._inner
        self._inner.makeConnection(transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._give_up()

    def send_away(self) -> None:
        self._give_up()
        self.transport.abortConnection()

    def _give_up(self) -> None:
        self._over()
        if self.place is not None:
            self.place.leave()

    def _over(self) -> None:
        if self._deadline.active():
            self._deadline.cancel()
        self._choice.strangers.leave(self)
