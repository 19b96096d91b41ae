"""The door for charge points that speak OCPP: a port of its own, opened and closed as the configuration says.

Each connection is bounded: 10 s to ask, 64 KiB a message, 20 messages a second (a flood is slowed down, not believed),
64 KiB of what it does not read; who is silent is asked every 4 s and hung up on after 30 s.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Sequence
from typing import Any

from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509Store, X509StoreContext, X509StoreContextError
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IOpenSSLServerConnectionCreator, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from charging_manager.agent.ocpp_central import Admitted, Central
from charging_manager.agent.ocpp_config import OcppSettings, read_client_ca
from charging_manager.errors import ConfigError
from charging_manager.http.crowd import Crowd
from charging_manager.http.facts import unmapped
from charging_manager.http.guard import source_network
from charging_manager.http.listener import bind as bind_everywhere
from charging_manager.http.tls import TlsDoor
from charging_manager.ocpp.line import Line, Misbehaves
from charging_manager.ocpp.websocket import GONE, POLICY, Beat, Opening, Over, ServerSocket, Text

OPENING_S = 10.0
PING_S = 4.0
DROP_S = 30.0
LINGER_S = 3.0
PER_SECOND, AT_ONCE = 20.0, 100.0
MOST_STRANGERS, MOST_OF_ONE = 300, 150


@implementer(IPushProducer)
class Wire(Protocol):
    """One connection."""

    transport: Any
    log = Logger()

    def __init__(self, door: OcppDoor) -> None:
        self._door, self._clock = door, door.reactor
        self._socket = ServerSocket()
        self._source = ""
        self._line: Line | None = None
        self._heard: Any = None
        self._gone: Any = None
        self._timer: IDelayedCall | None = None
        self._draining: IDelayedCall | None = None
        self._waiting: deque[str] = deque()
        self._tokens, self._counted_s = AT_ONCE, 0.0
        self._came_s = 0.0
        self._why = "the connection was lost"
        self._over = self._full = self._slowed = False

    # -- the transport -----------------------------------------------------------------------------------------------

    def connectionMade(self) -> None:
        self._source = unmapped(self.transport.getPeer().host)
        self._came_s = self._counted_s = self._clock.seconds()
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        self.transport.registerProducer(self, True)
        self._door.wires.add(self)
        self._timer = self._clock.callLater(OPENING_S, self.send_away)
        if not self._door.strangers.enter(self, source_network(self._source)):
            self.send_away()

    def dataReceived(self, data: bytes) -> None:
        for event in self._socket.feed(data):
            self._came_s = self._clock.seconds()
            match event:
                case Opening():
                    self._opened(event)
                case Text():
                    self._waiting.append(event.text)
                case Beat():
                    self._tokens -= 0.1
                    if self._heard is not None:
                        self._heard()
                case Over():
                    self._end(event.sentence)
        self._drain()
        self._flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._over = True
        for timer in (self._timer, self._draining):
            if timer is not None and timer.active():
                timer.cancel()
        self._door.strangers.leave(self)
        self._door.wires.discard(self)
        gone, self._gone = self._gone, None
        if gone is not None:
            gone(self._why)

    def pauseProducing(self) -> None:
        """It does not read what we send: then it is not heard either."""
        self._full = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self._full = False
        if not self._slowed:
            self.transport.resumeProducing()

    def stopProducing(self) -> None:
        self.transport.loseConnection()

    def send_away(self) -> None:
        """It has said nothing that makes sense in time, or there is no room."""
        self._over = True
        self.transport.abortConnection()

    def hang_up(self, sentence: str, code: int = GONE) -> None:
        """End it, with a word."""
        self._socket.close(code, sentence)
        self._end(sentence)
        self._flush()

    # -- who it is ---------------------------------------------------------------------------------------------------

    def _opened(self, opening: Opening) -> None:
        verdict = self._door.central.admit(opening, self._source, self._certified())
        if not isinstance(verdict, Admitted):
            self._socket.refuse(verdict.status, verdict.sentence, verdict.headers)
            self._end(verdict.sentence)
            return
        self._socket.accept(verdict.dialect.version.subprotocol)
        self._flush()
        self._door.strangers.leave(self)
        self._line, self._heard, self._gone = self._door.central.connect(verdict, self._send, self.hang_up)
        self._beat_again()

    def _certified(self) -> str | None:
        """Whose certificate TLS has checked."""
        if not self._door.mutual:
            return None
        leaf = self.transport.getPeerCertificate()
        if leaf is None:
            return None
        chain = self.transport.getHandle().get_peer_cert_chain() or []
        return certified(leaf, chain, self._door.central.settings.client_ca)

    # -- what comes and goes -----------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Messages, as fast as one may speak here."""
        now_s = self._clock.seconds()
        self._tokens = min(AT_ONCE, self._tokens + (now_s - self._counted_s) * PER_SECOND)
        self._counted_s = now_s
        while self._waiting and self._tokens >= 1.0 and not self._over:
            self._tokens -= 1.0
            self._take(self._waiting.popleft())
        if self._over:
            self._waiting.clear()
        slow = bool(self._waiting) or self._tokens < 1.0
        if slow and not self._over and (self._draining is None or not self._draining.active()):
            if not self._slowed:
                self._slowed = True
                self.log.info("a charge point at {source} is slowed down: it sends too much", source=self._source)
                self.transport.pauseProducing()
            self._draining = self._clock.callLater(0.25, self._drained)

    def _drained(self) -> None:
        self._draining = None
        self._drain()
        self._flush()
        if self._draining is None and self._slowed and not self._over:
            self._slowed = False
            if not self._full:
                self.transport.resumeProducing()

    def _take(self, text: str) -> None:
        if self._line is None:
            return
        self._heard()
        try:
            self._line.hear(text)
        except Misbehaves as error:
            self._socket.close(POLICY, str(error))
            self._end(str(error))

    def _send(self, text: str) -> None:
        self._socket.text(text)
        self._flush()

    def _flush(self) -> None:
        data = self._socket.take()
        if data and self.transport is not None:
            self.transport.write(data)

    def _end(self, sentence: str) -> None:
        """Nothing more is heard; what was said goes out, then the connection ends."""
        if self._over:
            return
        self._over, self._why = True, sentence
        self._flush()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._clock.callLater(LINGER_S, self.transport.abortConnection)
        gone, self._gone = self._gone, None
        if gone is not None:
            gone(sentence)
        self.transport.loseConnection()

    def _beat_again(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._clock.callLater(PING_S, self._beat)

    def _beat(self) -> None:
        if self._clock.seconds() - self._came_s > DROP_S:
            self._why = f"it has said nothing for {DROP_S:.0f} s"
            self.transport.abortConnection()
            return
        self._socket.ping()
        self._flush()
        self._beat_again()


@implementer(IOpenSSLServerConnectionCreator)
class OcppTls:
    """The agent's own certificate; ``mutual``: whoever comes must show one too, and prove that it has its key.

    Who signed that one is looked at after the handshake (``certified``): the context is the web side's too, and a
    signer that was added to it would be trusted for ever.
    """

    def __init__(self, tls: TlsDoor, mutual: bool) -> None:
        self._tls, self._mutual = tls, mutual

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """Called by Twisted for every connection."""
        connection = self._tls.serverConnectionForTLS(protocol)
        if self._mutual:
            connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *found: True)
        return connection


def certified(leaf: X509, chain: Sequence[X509], client_ca: str) -> str | None:
    """The common name in a certificate that ``client_ca`` has signed and that holds now; None: there is none."""
    store = X509Store()
    for each in read_client_ca(client_ca):
        store.add_cert(X509.from_cryptography(each))
    try:
        X509StoreContext(store, leaf, list(chain)).verify_certificate()
    except X509StoreContextError:
        return None
    names = leaf.to_cryptography().subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else None


class OcppDoor(Service):
    """Listens while it is switched on."""

    log = Logger()

    def __init__(self, central: Central, tls: TlsDoor, reactor: Any) -> None:
        self.central, self._tls, self.reactor = central, tls, reactor
        self.wires: set[Wire] = set()
        self.strangers = Crowd(MOST_STRANGERS, MOST_OF_ONE)
        self.mutual = False
        self._listening: Any = None
        self._settings = OcppSettings()

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        self.follow(self.central.settings)

    def follow(self, settings: OcppSettings) -> None:
        """Listen as these say. What cannot be is shown as trouble, and nothing else suffers from it."""
        if not self.running or _door_of(settings) == _door_of(self._settings):
            return
        self._settings = settings
        closing = self._close("the listener for charge points is being changed")
        closing.addCallback(lambda _: self._open(settings) if self._settings is settings else None)
        closing.addErrback(lambda failure: self.log.failure("the door for OCPP could not be opened", failure))

    def _open(self, settings: OcppSettings) -> None:
        central = self.central
        central.trouble = central.port = None
        if not settings.enabled or not self.running:
            return
        try:
            factory: Any = _Wires(self)
            self.mutual = settings.profile == 3
            if settings.profile > 1:
                creator = OcppTls(self._tls, self.mutual)
                factory = TLSMemoryBIOFactory(creator, False, factory)
            bound = _bound(settings)
        except ConfigError as error:
            central.trouble = str(error)
            self.log.error("charge points cannot call: {why}", why=str(error))
            return
        try:
            central.port = bound.getsockname()[1]
            self._listening = self.reactor.adoptStreamPort(bound.fileno(), bound.family, factory)
        finally:
            bound.close()
        self.log.info(
            "charge points may call on port {port}, security profile {profile}",
            port=central.port,
            profile=settings.profile,
        )

    def _close(self, sentence: str) -> Deferred[Any]:
        listening, self._listening = self._listening, None
        for wire in tuple(self.wires):
            wire.hang_up(sentence)
        return maybeDeferred(listening.stopListening) if listening is not None else maybeDeferred(lambda: None)

    def stopService(self) -> Deferred[Any]:
        super().stopService()  # type: ignore[no-untyped-call]
        return self._close("the charging manager stops")


class _Wires(Factory):
    noisy = False

    def __init__(self, door: OcppDoor) -> None:
        self._door = door

    def buildProtocol(self, addr: Any) -> Wire:
        return Wire(self._door)


def _door_of(settings: OcppSettings) -> tuple[object, ...]:
    return settings.enabled, settings.port, settings.bind, settings.profile, settings.client_ca


def _bound(settings: OcppSettings) -> socket.socket:
    """Raises: ConfigError."""
    if not settings.bind:
        return bind_everywhere(settings.port)
    bound = socket.socket(socket.AF_INET6 if ":" in settings.bind else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        bound.bind((settings.bind, settings.port))
        bound.listen(256)
    except OSError as error:
        bound.close()
        raise ConfigError(
            "ocpp", f"{settings.bind} port {settings.port} cannot be listened on ({error.strerror})"
        ) from error
    return bound
