"""What a device over HTTP or at a broker asks of us, and how we know that it is the right one: login, token, TLS."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from attrs import field, frozen
from OpenSSL import SSL
from OpenSSL.crypto import Error as CryptoError
from service_identity import CertificateError, VerificationError
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from zope.interface import implementer

from charging_manager.errors import ConfigError

PATIENCE_S = 10
UNTRUSTED = "its certificate is not trusted: give the file of its authority, or its fingerprint"
_HEX = re.compile(r"[0-9a-f]{64}")


@frozen
class Access:
    """Settings of one device. Empty: no login, and certificates as the system's authorities have them."""

    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    ca: str = ""
    """A PEM file with the authorities that its certificate is checked by."""
    fingerprint: str = ""
    """SHA-256 of its certificate, in hex: this one and no other."""


NO_ACCESS = Access()


def check_access(access: Access) -> Access:
    """The same, the fingerprint as plain hex. Raises: ConfigError with the field."""
    for name in ("user", "password", "token"):
        text = getattr(access, name)
        if len(text) > 200 or not text.isprintable():
            raise ConfigError(f"access.{name}", "at most 200 printable characters")
    plain = access.fingerprint.replace(":", "").replace(" ", "").lower()
    if plain and not _HEX.fullmatch(plain):
        raise ConfigError("access.fingerprint", "a SHA-256 fingerprint has 64 hexadecimal digits; colons are left out")
    if access.ca and not access.ca.startswith("/"):
        raise ConfigError("access.ca", "the whole path of a PEM file is needed, as in /etc/ssl/certs/garage.pem")
    return Access(access.user, access.password, access.token, access.ca, plain)


def endpoint(reactor: Any, host: str, port: int, tls: bool, access: Access) -> Any:
    """Where to connect. Raises: ConfigError for a file of authorities that cannot be read."""
    plain = HostnameEndpoint(reactor, host.encode(), port, timeout=PATIENCE_S)
    return wrapClientTLS(_creator(host, access), plain) if tls else plain


def _creator(host: str, access: Access) -> Any:
    if access.fingerprint:
        return _Pinned(host, bytes.fromhex(access.fingerprint))
    return optionsForClientTLS(host, trustRoot=authorities(access.ca))


def authorities(path: str) -> Any:
    """The authorities in a PEM file, or (empty) the system's. Raises: ConfigError."""
    if not path:
        return None
    try:
        found = [Certificate.loadPEM(b"-----BEGIN" + one) for one in Path(path).read_bytes().split(b"-----BEGIN")[1:]]
    except (OSError, ValueError, CryptoError) as error:
        raise ConfigError("access.ca", "{path} is no PEM file with certificates", path=path) from error
    if not found:
        raise ConfigError("access.ca", "{path} is no PEM file with certificates", path=path)
    return trustRootFromCertificates(found)


@implementer(IOpenSSLClientConnectionCreator)
class _Pinned:
    """TLS to whoever has this very certificate, whatever name stands in it."""

    def __init__(self, host: str, fingerprint: bytes) -> None:
        self._host, self._fingerprint = host, fingerprint
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._context.set_min_proto_version(SSL.TLS1_2_VERSION)
        self._context.set_verify(SSL.VERIFY_PEER, self._verify)

    def _verify(self, _: Any, certificate: Any, __: int, depth: int, ___: int) -> bool:
        if depth:
            return True  # who signed it does not matter
        return bytes.fromhex(certificate.digest("sha256").decode().replace(":", "")) == self._fingerprint

    def clientConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        if not self._host.replace(".", "").isdigit() and ":" not in self._host:
            connection.set_tlsext_host_name(self._host.encode("ascii", "ignore"))
        return connection


def why_not(error: BaseException, nobody: str = "no connection") -> str | None:
    """The end of a sentence on why a connection could not be made; None: something else went wrong."""
    if isinstance(error, DNSLookupError):
        return "no such host"
    if isinstance(error, ConnectError):
        return nobody
    if isinstance(error, CertificateError | VerificationError):
        return UNTRUSTED
    if isinstance(error, SSL.Error):
        said = str(error)
        return UNTRUSTED if "certificate verify" in said else "it does not speak TLS as we do"
    return None
