"""Certificates: made, renewed with the same key, brought, refused in one sentence, and kept over restarts."""

from __future__ import annotations

import contextlib
import os
import stat
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from charging_manager.errors import ConfigError
from charging_manager.http.certificates import check_pair, self_signed
from charging_manager.http.tls import TlsDoor

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def pem(key: Any, password: bytes | None = None) -> bytes:
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    data: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    return data


@cache
def rsa_key(size: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, size)


@cache
def ca_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(
    key: Any,
    name: str = "box.example",
    issuer: str = "A CA",
    signer: Any = None,
    start: datetime = NOW - timedelta(days=1),
    end: datetime = NOW + timedelta(days=90),
) -> bytes:
    signer = signer or ca_key()
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
        .sign(signer, algorithm)
    )
    return made.public_bytes(serialization.Encoding.PEM)


def ca() -> bytes:
    return certificate(ca_key(), name="A CA")


class Door(TlsDoor):
    """With a clock of the test's."""

    at = NOW

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, now=lambda: self.at, host="box")


def test_the_first_certificate_is_our_own() -> None:
    pair = self_signed("Box-7.example", NOW)
    names = pair.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "box-7.example"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert pair.leaf.not_valid_after_utc == NOW + timedelta(days=824)
    assert isinstance(pair.key, ec.EllipticCurvePrivateKey)
    assert pair.key.curve.name == "secp256r1"
    assert pair.is_ours
    assert not pair.is_ca_signed


@pytest.mark.parametrize("host", ["", "localhost", "bad host", "-x", "x" * 300, "ümlaut"])
def test_an_odd_host_name_is_no_obstacle(host: str) -> None:
    names = self_signed(host, NOW).leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]


def test_it_is_kept_over_a_restart_privately(tmp_path: Path) -> None:
    first = Door(tmp_path / "tls")
    assert stat.S_IMODE((tmp_path / "tls/pair.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700
    assert Door(tmp_path / "tls").certificate_fingerprint == first.certificate_fingerprint


def test_it_is_renewed_with_the_same_key_before_its_end(tmp_path: Path) -> None:
    door = Door(tmp_path)
    key, shown = door.fingerprint, door.certificate_fingerprint
    door.at = NOW + timedelta(days=790)
    assert not door.renew()
    door.at = NOW + timedelta(days=800)
    assert door.renew()
    assert door.fingerprint == key
    assert door.certificate_fingerprint != shown
    assert door.not_after == NOW + timedelta(days=1624)
    assert Door(tmp_path).certificate_fingerprint == door.certificate_fingerprint


def test_one_that_has_expired_while_we_were_off_is_renewed_at_start(tmp_path: Path) -> None:
    key = Door(tmp_path).fingerprint

    class Later(Door):
        at = NOW + timedelta(days=2000)

    door = Later(tmp_path)
    assert door.fingerprint == key
    assert door.not_after > door.at


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_a_pair_with_its_chain_is_shown_and_kept_over_a_restart(kind: str, tmp_path: Path) -> None:
    key = rsa_key() if kind == "rsa" else ec.generate_private_key(ec.SECP384R1())
    door = Door(tmp_path)
    old = (tmp_path / "pair.pem").read_bytes()
    door.load(certificate(key) + ca(), pem(key))
    assert door.is_ca_signed
    assert door.subject == "CN=box.example"
    assert (tmp_path / "previous.pem").read_bytes() == old
    again = Door(tmp_path)
    assert again.certificate_fingerprint == door.certificate_fingerprint
    assert len(again._pair.chain) == 2
    assert sorted(os.listdir(tmp_path)) == ["pair.pem", "previous.pem"]


def test_one_in_pkcs1_or_sec1_form_is_taken_too(tmp_path: Path) -> None:
    for key in (rsa_key(), ec.generate_private_key(ec.SECP256R1())):
        old_form = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        assert check_pair(certificate(key), old_form, NOW).is_ca_signed


def test_a_brought_certificate_is_never_replaced_by_us(tmp_path: Path) -> None:
    door = Door(tmp_path)
    door.load(certificate(rsa_key()), pem(rsa_key()))
    shown = door.certificate_fingerprint
    door.at = NOW + timedelta(days=200)
    assert not door.renew()
    assert Door(tmp_path).certificate_fingerprint == shown


def bad_pairs() -> dict[str, tuple[str, str, bytes, bytes]]:
    key, other, edwards = rsa_key(), ca_key(), ed25519.Ed25519PrivateKey.generate()
    good = certificate(key)
    return {
        "another key": ("key", "does not belong", good, pem(other)),
        "encrypted": ("key", "is encrypted", good, pem(key, b"secret")),
        "Ed25519": ("key", "Ed25519", certificate(edwards), pem(edwards)),
        "signed by Ed25519": ("cert", "Ed25519", certificate(key, signer=edwards), pem(key)),
        "expired": ("cert", "expired on 2026-05-31", certificate(key, end=NOW - timedelta(hours=13)), pem(key)),
        "not yet valid": ("cert", "not valid before", certificate(key, start=NOW + timedelta(hours=1)), pem(key)),
        "small RSA": ("key", "less than 2048", certificate(rsa_key(1024)), pem(rsa_key(1024))),
        "odd curve": ("key", "unusual curve", good, pem(ec.generate_private_key(ec.SECP256K1()))),
        "no certificate": ("cert", "not a certificate", b"hello", pem(key)),
        "empty certificate": ("cert", "not a certificate", b"", pem(key)),
        "no key": ("key", "not a private key", good, b"hello"),
        "swapped": ("key", "not a private key", pem(key), good),
        "chain out of order": ("cert", "not in order", good + certificate(other, name="Other"), pem(key)),
        "chain upside down": ("key", "does not belong", ca() + good, pem(key)),
        "endless chain": ("cert", "more than 10 certificates", good + ca() * 10, pem(key)),
        "huge certificate": ("cert", "too large", good + b"#" * 300_000, pem(key)),
        "huge key": ("key", "too large", good, pem(key) + b"#" * 300_000),
        "cut off": ("cert", "not a certificate", good[:-200], pem(key)),
    }


@pytest.mark.parametrize("name", bad_pairs())
def test_a_bad_pair_is_refused_in_one_sentence_and_the_old_one_stays(name: str, tmp_path: Path) -> None:
    where, sentence, cert, key = bad_pairs()[name]
    door = Door(tmp_path)
    shown, stored = door.certificate_fingerprint, (tmp_path / "pair.pem").read_bytes()
    with pytest.raises(ConfigError, match=sentence) as caught:
        door.load(cert, key)
    assert caught.value.where == where
    assert "\n" not in str(caught.value)
    assert door.certificate_fingerprint == shown
    assert (tmp_path / "pair.pem").read_bytes() == stored


def test_a_pair_that_cannot_be_stored_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(tmp_path)
    shown = door.certificate_fingerprint

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("charging_manager.http.tls.write_private", full)
    with pytest.raises(ConfigError, match="No space left"):
        door.load(certificate(rsa_key()), pem(rsa_key()))
    assert door.certificate_fingerprint == shown


def test_a_damaged_store_is_named(tmp_path: Path) -> None:
    Door(tmp_path)
    (tmp_path / "pair.pem").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"pair\.pem.*restore it from a backup, or remove it"):
        Door(tmp_path)


def handshake(door: TlsDoor, offered: list[bytes], version: int = 0) -> tuple[bytes, SSL.Connection]:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if version:
        context.set_max_proto_version(version)
    if offered:
        context.set_alpn_protos(offered)
    client = SSL.Connection(context, None)
    server = door.serverConnectionForTLS(None)
    client.set_connect_state()
    server.set_accept_state()
    for _ in range(6):
        for mine, other in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError):
                mine.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(mine.bio_read(65_536))
    return client.get_alpn_proto_negotiated(), client


def test_names_are_agreed_on_and_unknown_ones_are_no_error(tmp_path: Path) -> None:
    door = Door(tmp_path)
    assert handshake(door, [b"h2", b"http/1.1"])[0] == b"http/1.1"
    assert handshake(door, [b"cm-tunnel/1", b"http/1.1"])[0] == b"http/1.1"
    assert handshake(door, [b"h2"])[0] == b""
    assert handshake(door, [])[0] == b""
    door.protocols = (b"cm-tunnel/1", b"http/1.1")
    assert handshake(door, [b"http/1.1", b"cm-tunnel/1"])[0] == b"cm-tunnel/1"


def test_old_tls_is_refused(tmp_path: Path) -> None:
    door = Door(tmp_path)
    with pytest.raises(SSL.Error):
        handshake(door, [], SSL.TLS1_1_VERSION)
    assert handshake(door, [], SSL.TLS1_2_VERSION)[1].get_protocol_version_name() == "TLSv1.2"
    assert handshake(door, [])[1].get_protocol_version_name() == "TLSv1.3"


def test_a_live_connection_keeps_its_certificate_and_a_new_one_gets_the_new(tmp_path: Path) -> None:
    door = Door(tmp_path)
    _, before = handshake(door, [])
    old = before.get_peer_certificate(as_cryptography=True)
    door.load(certificate(rsa_key()), pem(rsa_key()))
    _, after = handshake(door, [])
    new = after.get_peer_certificate(as_cryptography=True)
    assert old is not None
    assert new is not None
    assert new.fingerprint(hashes.SHA256()).hex() == door.certificate_fingerprint
    assert before.get_peer_certificate(as_cryptography=True) == old != new


def test_a_pair_that_was_put_into_the_file_is_shown_when_asked_to_look(tmp_path: Path) -> None:
    door = Door(tmp_path / "here")
    assert not door.look_again()
    other = Door(tmp_path / "there")
    (tmp_path / "here/pair.pem").write_bytes((tmp_path / "there/pair.pem").read_bytes())
    assert door.look_again()
    assert (door.fingerprint, door.certificate_fingerprint) == (other.fingerprint, other.certificate_fingerprint)
    assert not door.look_again()


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_a_file_that_was_damaged_meanwhile_leaves_the_pair_as_it_was(content: bytes, tmp_path: Path) -> None:
    door = Door(tmp_path)
    shown = door.certificate_fingerprint
    (tmp_path / "pair.pem").write_bytes(content)
    with pytest.raises(ConfigError, match=r"pair\.pem"):
        door.look_again()
    assert door.certificate_fingerprint == shown
    (tmp_path / "pair.pem").unlink()
    assert not door.look_again()
