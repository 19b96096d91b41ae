"""Certificates as values: our own self-signed one, and a foreign pair checked before anybody relies on it."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from charging_manager.errors import ConfigError

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

LIFETIME = timedelta(days=824)
RENEW_BEFORE = timedelta(days=30)
LARGEST = 262_144
_OURS = "Charging Manager, self-signed"
_LONGEST_CHAIN = 10
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_CERTIFICATE, _KEY = b"-----BEGIN CERTIFICATE-----", b"PRIVATE KEY-----"
_CURVES = ("secp256r1", "secp384r1", "secp521r1")


@frozen
class Pair:
    """A server certificate with its chain, leaf first, and the leaf's private key."""

    chain: tuple[x509.Certificate, ...]
    key: PrivateKey = field(repr=False)

    @property
    def leaf(self) -> x509.Certificate:
        return self.chain[0]

    @property
    def is_ours(self) -> bool:
        """Made by ``self_signed``, so that we may renew it."""
        names = self.leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        return not self.is_ca_signed and [name.value for name in names] == [_OURS]

    @property
    def is_ca_signed(self) -> bool:
        return self.leaf.issuer != self.leaf.subject

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names that the certificate was made for, perhaps with a star in front."""
        try:
            names = self.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return ()
        return tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))

    def names(self, host: str) -> bool:
        """Whether the certificate was made for this host."""
        return host.lower() in self.hosts

    @property
    def key_fingerprint(self) -> str:
        """Hex SHA-256 of the public key (SubjectPublicKeyInfo); it survives a renewal with the same key."""
        return hashlib.sha256(_public_bytes(self.leaf.public_key())).hexdigest()

    @property
    def certificate_fingerprint(self) -> str:
        """Hex SHA-256 of the certificate, as browsers show it."""
        return self.leaf.fingerprint(hashes.SHA256()).hex()

    def to_pem(self) -> bytes:
        """Key and chain in one text, so that one file holds a pair whole."""
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return key + b"".join(each.public_bytes(serialization.Encoding.PEM) for each in self.chain)


def self_signed(host: str, now: datetime, key: PrivateKey | None = None) -> Pair:
    """A certificate of our own: ECDSA P-256, for localhost, this host's name and the loopback addresses.

    It is valid for less than 825 days, the most that Apple takes of a server.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    if _HOST.fullmatch(host) and host != "localhost":
        names.append(x509.DNSName(host.lower()))
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _OURS),
            x509.NameAttribute(NameOID.COMMON_NAME, (host if _HOST.fullmatch(host) else "localhost")[:64]),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Pair((builder.sign(key, hashes.SHA256()),), key)


def check_pair(cert: bytes, key: bytes, now: datetime | None) -> Pair:
    """A pair that a server can show. ``now`` None: whatever its dates.

    Raises: ConfigError at ``cert`` or ``key``, in one sentence.
    """
    private = _read_key(key)
    chain = _read_chain(cert)
    leaf = chain[0]
    if _public_bytes(leaf.public_key()) != _public_bytes(private.public_key()):
        raise ConfigError("key", "does not belong to the certificate; give the key that the certificate was made for")
    if leaf.signature_hash_algorithm is None:
        raise ConfigError(
            "cert", "is signed with Ed25519 or Ed448, for which channel binding is undefined; use RSA or ECDSA"
        )
    if now is not None and now < leaf.not_valid_before_utc:
        raise ConfigError("cert", f"is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC")
    if now is not None and now > leaf.not_valid_after_utc:
        raise ConfigError("cert", f"expired on {leaf.not_valid_after_utc:%Y-%m-%d}; get a new one")
    _check_chain(chain)
    return Pair(chain, private)


def _read_key(key: bytes) -> PrivateKey:
    if len(key) > LARGEST:
        raise ConfigError("key", "is too large to be a private key")
    try:
        private = serialization.load_pem_private_key(key, None)
    except TypeError as error:
        raise ConfigError(
            "key", "is encrypted; decrypt it first with 'openssl pkey -in key.pem -out plain.pem'"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if _CERTIFICATE in key and _KEY not in key:
            raise ConfigError(
                "key", "holds a certificate, not a private key; name the certificate first, then the key"
            ) from error
        raise ConfigError("key", "is not a private key in PEM form") from error
    if isinstance(private, rsa.RSAPrivateKey):
        if private.key_size < 2048:
            raise ConfigError("key", "is an RSA key of less than 2048 bits; make a longer one")
        return private
    if isinstance(private, ec.EllipticCurvePrivateKey):
        if private.curve.name not in _CURVES:
            raise ConfigError("key", "is on an unusual curve; use P-256, P-384 or P-521")
        return private
    raise ConfigError("key", "is neither RSA nor ECDSA; for Ed25519 channel binding is undefined, so it cannot be used")


def _read_chain(cert: bytes) -> tuple[x509.Certificate, ...]:
    if len(cert) > LARGEST:
        raise ConfigError("cert", "is too large to be a certificate with its chain")
    try:
        chain = tuple(x509.load_pem_x509_certificates(cert))
    except ValueError as error:
        if _KEY in cert and _CERTIFICATE not in cert:
            raise ConfigError(
                "cert", "holds a private key, not a certificate; name the certificate first, then the key"
            ) from error
        raise ConfigError("cert", "is not a certificate in PEM form") from error
    if len(chain) > _LONGEST_CHAIN:
        raise ConfigError(
            "cert", f"holds more than {_LONGEST_CHAIN} certificates; give the server's and its chain only"
        )
    return chain


def _check_chain(chain: Sequence[x509.Certificate]) -> None:
    for lower, upper in pairwise(chain):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise ConfigError(
                "cert", "the chain is not in order; the server's certificate comes first, then each one's issuer"
            ) from error


def _public_bytes(key: object) -> bytes:
    public: bytes = key.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public
