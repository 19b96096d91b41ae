"""A certificate authority for tests, and certificates of it that the strictest reader takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PEM = serialization.Encoding.PEM


class Authority:
    """Signs for localhost and 127.0.0.1."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Test CA")
        self.certificate = self._sign(self._name, self._key, True)

    def pair(self, *, by_rsa: bool = False) -> tuple[x509.Certificate, Key]:
        """A server's certificate, and its key."""
        key: Key = rsa.generate_private_key(65537, 2048) if by_rsa else ec.generate_private_key(ec.SECP256R1())
        return self._sign(_name("localhost"), key, False), key

    def write(self, folder: Path, name: str = "server", *, by_rsa: bool = False) -> str:
        """``NAME.pem`` and ``NAME.key``, with ``ca.pem`` beside them; gives the certificate's fingerprint."""
        shown, key = self.pair(by_rsa=by_rsa)
        (folder / "ca.pem").write_bytes(self.certificate.public_bytes(PEM))
        (folder / f"{name}.pem").write_bytes(shown.public_bytes(PEM))
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return shown.fingerprint(hashes.SHA256()).hex()

    def _sign(self, name: x509.Name, key: Key, ca: bool) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=90))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(_usage(ca), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if not ca:
            names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
            revoked = x509.DistributionPoint(
                [x509.UniformResourceIdentifier("http://localhost/test-ca.crl")], None, None, None
            )
            builder = (
                builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
                .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
                .add_extension(x509.CRLDistributionPoints([revoked]), critical=False)
            )
        return builder.sign(self._key, hashes.SHA256())


def make_certificates(folder: Path) -> str:
    """``ca.pem``, ``server.pem`` and ``server.key`` for localhost and 127.0.0.1; gives the server's fingerprint."""
    return Authority().write(folder)


def _usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
