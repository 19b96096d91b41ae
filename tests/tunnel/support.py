"""Ends, certificates and in-memory connections for the tunnel's tests."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.test.iosim import IOPump, connect, makeFakeClient, makeFakeServer
from zope.interface import implementer

from charging_manager.cloud.downlink import TunnelFactory
from charging_manager.tunnel.agent_side import AgentSide, Credentials
from charging_manager.tunnel.cloud_side import Link
from charging_manager.tunnel.commands import ALPN
from charging_manager.tunnel.identity import AgentKey, Ed25519PrivateKey
from charging_manager.tunnel.link import (
    RemoteAnswer,
    RemoteGrant,
    RemoteLogin,
    RemoteRequest,
    RemoteSink,
    RemoteStream,
    SpliceEnd,
)
from charging_manager.tunnel.reasons import Refusal
from charging_manager.tunnel.scram import ScramVerifier, make_verifier

PASSWORD = "correct horse battery"


@cache
def verifier_of(password: str = PASSWORD) -> ScramVerifier:
    return make_verifier(password, iterations=100_000)


def new_key() -> AgentKey:
    return AgentKey(Ed25519PrivateKey.generate())


def certificate(name: str = "localhost") -> tuple[bytes, bytes]:
    """PEM of a self-signed ECDSA certificate and of its key; the same each time."""
    return _certificate(name)


@cache
def _certificate(name: str) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@implementer(IOpenSSLServerConnectionCreator)
class ServerTls:
    """The least that a listener needs; the product's own is in ``http``."""

    def __init__(self, name: str = "localhost", alpn: bytes = ALPN) -> None:
        self.load(name, alpn)

    def load(self, name: str, alpn: bytes = ALPN) -> None:
        pem, key = certificate(name)
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.use_certificate(x509.load_pem_x509_certificate(pem))
        context.use_privatekey(serialization.load_pem_private_key(key, password=None))
        context.set_mode(0x10)
        context.set_options(SSL.OP_NO_TICKET)
        context.set_alpn_select_callback(lambda _c, offered: alpn if alpn in offered else SSL.NO_OVERLAPPING_PROTOCOLS)
        self.context = context

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        return SSL.Connection(self.context, None)


class FakeAgent:
    """An agent's end that knows one secret, and answers by path."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, RemoteRequest]] = []
        self.logins: list[RemoteLogin] = []
        self.tokens: set[str] = set()
        self.answers: dict[str, Callable[[RemoteRequest], Any]] = {}

    async def login(self, login: RemoteLogin) -> RemoteGrant:
        self.logins.append(login)
        if login.secret != "open sesame":
            raise Refusal("refused")
        token = f"token-{len(self.tokens)}"
        self.tokens.add(token)
        return RemoteGrant(token, "admin" if login.admin else "user", login.language)

    async def request(self, token: str, request: RemoteRequest) -> RemoteAnswer | RemoteStream:
        self.seen.append((token, request))
        answer = self.answers.get(request.path)
        if answer is None:
            return RemoteAnswer(200, "application/json", b'{"path": "%s"}' % request.path.encode())
        found = answer(request)
        return await found if isinstance(found, Deferred) else found

    async def logout(self, token: str) -> None:
        self.tokens.discard(token)


class FakeCloud:
    """A cloud's end that knows some installations."""

    def __init__(self, **installations: str) -> None:
        self.verifiers = {name: verifier_of(password) for name, password in installations.items()}
        self.serials: set[str] = set()
        self.is_ready = True
        self.events: list[tuple[str, str, str]] = []

    def ready(self) -> bool:
        return self.is_ready

    async def verifiers_of(self, cloud_id: str) -> list[ScramVerifier]:
        return [self.verifiers[cloud_id.lower()]] if cloud_id.lower() in self.verifiers else []

    async def proved(self, cloud_id: str, verifier: ScramVerifier) -> bool:
        return verifier in await self.verifiers_of(cloud_id)

    async def admits(self, serial: str) -> bool:
        self.serials.add(serial)
        return True

    def connected(self, link: Link) -> None:
        self.events.append(("connected", link.cloud_id, ""))

    def lost(self, link: Link, reason: str) -> None:
        self.events.append(("lost", link.cloud_id, reason))


class FakeChannel:
    def __init__(self, binding: bytes = b"certificate", exporter: bytes = b"exporter") -> None:
        self._binding = binding
        self._exporter = exporter

    def binding(self) -> bytes:
        return self._binding

    def exporter(self) -> bytes:
        return self._exporter


class Collected:
    """A sink that remembers, and is slow on demand."""

    def __init__(self, *, slow: bool = False) -> None:
        self.data = bytearray()
        self.slow = slow
        self.ended = False
        self.failed = False

    def write(self, data: bytes) -> bool:
        self.data += data
        return not self.slow

    def finish(self) -> None:
        self.ended = True

    def fail(self) -> None:
        self.failed = True


class Bulk:
    """A source that always has more, and knows how it was treated."""

    def __init__(self, total: int = 1 << 40, piece: bytes = b"x" * 65536) -> None:
        self.left = total
        self.piece = piece
        self.was_stopped = False
        self.sink: RemoteSink | None = None

    def start(self, sink: RemoteSink) -> Bulk:
        self.sink = sink
        self.resumed()
        return self

    def resumed(self) -> None:
        assert self.sink is not None
        more = True
        while more and self.left and not self.was_stopped:
            piece = self.piece[: self.left]
            self.left -= len(piece)
            more = self.sink.write(piece)
        if not self.left:
            self.sink.finish()

    def stopped(self) -> None:
        self.was_stopped = True

    def stream(self) -> RemoteStream:
        return RemoteStream(self.start, "application/octet-stream")


class Tunnel:
    """An agent's side and a link of a cloud, connected in memory."""

    def __init__(
        self,
        agent: FakeAgent | None = None,
        cloud: FakeCloud | None = None,
        *,
        cloud_id: str = "garage",
        password: str = PASSWORD,
        factory: TunnelFactory | None = None,
        clock: Clock | None = None,
        agent_channel: FakeChannel | None = None,
        key: AgentKey | None = None,
        enter: bool = True,
        splices: SpliceEnd | None = None,
        dial: Callable[[Any, Protocol], Deferred[Any]] | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.agent = agent or FakeAgent()
        self.cloud = cloud or FakeCloud(garage=PASSWORD)
        self.factory = factory or TunnelFactory(self.clock, self.cloud, salt_key=b"salt" * 8)
        link = self.factory.buildProtocol(None)
        assert link is not None
        self.link = link
        self.link.channel = FakeChannel()
        credentials = Credentials(key or new_key(), cloud_id, password)
        self.side = AgentSide(self.clock, self.agent, credentials, "test agent 1", maybeDeferred, splices, dial=dial)
        self.entered: list[Any] = []
        self.side.entered.addBoth(self.entered.append)
        self.gone: list[str] = []
        self.side.gone.addBoth(self.gone.append)
        self.agent_io = makeFakeClient(self.side)
        self.cloud_io = makeFakeServer(self.link)
        self.pump: IOPump = connect(self.link, self.cloud_io, self.side, self.agent_io, clock=self.clock)
        if enter:
            self.side.begin(agent_channel or FakeChannel())
            self.pump.flush()

    def flush(self) -> None:
        self.pump.flush()

    def after(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass in steps, and boxes with it."""
        while seconds > 0:
            self.clock.advance(min(step, seconds))
            seconds -= step
            self.pump.flush()
