"""TLS as the tunnel needs it: the agent's side of the connection, and what both ends bind their login to."""

from __future__ import annotations

import base64
import socket
from typing import Any, Protocol

from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface import implementer

from charging_manager.tunnel.bounds import QUICK_BYTES, SHARE_BYTES
from charging_manager.tunnel.commands import ALPN
from charging_manager.tunnel.reasons import trouble

_RELEASE_BUFFERS = 0x10
_TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)


class Channel(Protocol):
    """What a login is bound to."""

    def binding(self) -> bytes:
        """``tls-server-end-point`` of this very connection (RFC 5929)."""

    def exporter(self) -> bytes:
        """``tls-exporter`` of this very connection (RFC 9266)."""


@frozen
class Trust:
    """How the agent knows the cloud's certificate. Empty: by the password alone (SCRAM-PLUS is bound to it)."""

    ca: str | None = None
    """A PEM file, or ``system``."""
    pins: frozenset[str] = field(default=frozenset(), converter=frozenset)
    """Accepted keys: SHA-256 of the SubjectPublicKeyInfo, base64."""

    @property
    def given(self) -> bool:
        return bool(self.ca or self.pins)


def pin_of(certificate: x509.Certificate) -> str:
    """What ``Trust.pins`` holds for this certificate's key."""
    return base64.b64encode(_key_hash(certificate)).decode()


def _key_hash(certificate: x509.Certificate) -> bytes:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(
        certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return digest.finalize()


def end_point_binding(certificate: x509.Certificate) -> bytes:
    """RFC 5929, section 4.1: hashed as the certificate's signature is, but never by MD5 or SHA-1.

    Raises: TunnelError if the signature has no single hash (Ed25519): the binding is undefined then.
    """
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None:
        raise trouble("certificate-unusable")
    if algorithm.name in ("md5", "sha1"):
        algorithm = hashes.SHA256()
    return certificate.fingerprint(algorithm)


class TlsChannel:
    """The facts of a live TLS connection, read when they are needed."""

    def __init__(self, transport: Any, *, client: bool) -> None:
        self._transport = transport
        self._client = client

    def certificate(self) -> x509.Certificate:
        """The server's certificate on this connection, whichever end we are."""
        connection = self._transport.getHandle()
        found = (connection.get_peer_certificate if self._client else connection.get_certificate)()
        if found is None:
            raise trouble("tls-failed")
        return found if isinstance(found, x509.Certificate) else found.to_cryptography()

    def binding(self) -> bytes:
        return end_point_binding(self.certificate())

    def exporter(self) -> bytes:
        connection = self._transport.getHandle()
        if connection.get_protocol_version() < SSL.TLS1_3_VERSION:  # RFC 9266: below 1.3 not unique by itself
            raise trouble("tls-failed")
        return bytes(connection.export_keying_material(b"EXPORTER-Channel-Binding", 32, b""))


@implementer(IOpenSSLClientConnectionCreator)
class ClientTls:
    """Makes the agent's TLS connections to one server, and judges what the server showed."""

    def __init__(self, host: str, trust: Trust) -> None:
        """Raises: TunnelError when the file of authorities cannot be read."""
        self._host = host
        self._trust = trust
        self._address = isIPAddress(host) or isIPv6Address(host)
        self._context = self._make_context()

    def _make_context(self) -> SSL.Context:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_cipher_list(b"ECDHE+AESGCM:ECDHE+CHACHA20")
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET)
        context.set_mode(_RELEASE_BUFFERS)
        context.set_alpn_protos([ALPN])
        if self._trust.ca:
            try:
                if self._trust.ca == "system":
                    context.set_default_verify_paths()
                else:
                    context.load_verify_locations(self._trust.ca)
            except SSL.Error as error:
                raise trouble("authorities-unreadable", file=self._trust.ca) from error
            context.set_verify(SSL.VERIFY_PEER, lambda _connection, _certificate, _number, _depth, good: bool(good))
        return context

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Called by Twisted for each connection."""
        connection = SSL.Connection(self._context, None)
        if not self._address:
            connection.set_tlsext_host_name(self._host.encode("idna"))
        return connection

    def judge(self, transport: Any, *, must_be_trusted: bool) -> None:
        """After the handshake, before a byte is sent. Raises: TunnelError saying what is wrong with the server."""
        if transport.negotiatedProtocol != ALPN:
            raise trouble("not-a-tunnel")
        if must_be_trusted and not self._trust.given:
            raise trouble("certificate-not-trusted")
        if self._trust.pins and pin_of(TlsChannel(transport, client=True).certificate()) not in self._trust.pins:
            raise trouble("certificate-not-trusted")
        if self._trust.ca:
            verify = verify_ip_address if self._address else verify_hostname
            try:
                verify(transport.getHandle(), self._host)
            except (VerificationError, CertificateError) as error:
                raise trouble("certificate-wrong-name") from error


@implementer(IOpenSSLClientConnectionCreator)
class AnyServer:
    """TLS with whoever answers to this name: it is ``key_shown`` that is judged, before a byte is sent."""

    def __init__(self, name: str, *protocols: bytes) -> None:
        self._name = name.encode("idna")
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._context.set_min_proto_version(SSL.TLS1_2_VERSION)
        self._context.set_cipher_list(b"ECDHE+AESGCM:ECDHE+CHACHA20")
        self._context.set_mode(_RELEASE_BUFFERS)
        self._context.set_alpn_protos(list(protocols))

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Called by Twisted for each connection."""
        connection = SSL.Connection(self._context, None)
        connection.set_tlsext_host_name(self._name)
        return connection


def key_shown(transport: Any) -> str:
    """Hex SHA-256 of the public key that the server of this connection has proved to hold. Raises: TunnelError."""
    return _key_hash(TlsChannel(transport, client=True).certificate()).hex()


def tune(transport: Any) -> None:
    """Small boxes leave at once, and little lies unsent in the kernel, where no later box can overtake it."""
    if hasattr(transport, "setTcpNoDelay"):
        transport.setTcpNoDelay(True)
    plain = getattr(transport, "socket", None)
    if isinstance(plain, socket.socket):
        plain.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, SHARE_BYTES)


def hold_back(transport: Any, size: int) -> None:
    """Let no more than about so many bytes wait in the program for the kernel to take them (64 KiB by default).

    Where so much leaves quickly that nobody waits for it, the kernel may keep as much too: else each 16 KiB that have
    left wake us up, and on a busy machine waking up takes longer than sending.
    """
    plain: Any = getattr(transport, "transport", None)
    if hasattr(plain, "bufferSize"):
        plain.bufferSize = size
    own = getattr(transport, "socket", None)
    if isinstance(own, socket.socket):
        unsent = size if size >= QUICK_BYTES else SHARE_BYTES
        own.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, unsent)
