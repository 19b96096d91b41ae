"""Serial numbers, keys, Cloud IDs, verifiers and server names."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from unittest.mock import patch

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from scramp import ScramClient

from charging_manager.errors import ConfigError, TunnelError
from charging_manager.tunnel.commands import SCRAM
from charging_manager.tunnel.dial import ServerName, parse_server
from charging_manager.tunnel.identity import (
    check_cloud_id,
    check_cloud_password,
    is_serial,
    load_or_make_key,
    proof_is_good,
    serial_of,
)
from charging_manager.tunnel.reasons import SENTENCES, Refusal, sentence
from charging_manager.tunnel.scram import ScramCheck, ScramLogin, ScramVerifier, Stretched, fake_verifier, make_verifier
from charging_manager.tunnel.tls import end_point_binding, pin_of
from tests.tunnel.support import PASSWORD, certificate, new_key, verifier_of

BOUND = ("tls-server-end-point", b"binding")


def test_a_serial_number_is_80_bits_of_the_keys_hash_in_crockford_base32() -> None:
    assert serial_of(bytes(32)) == "CSM7-NBFR-CAYQ-EV4F"  # SHA-256 of 32 zero bytes begins 66687aadf862bd776c8f


@given(st.binary(min_size=32, max_size=32))
def test_every_serial_number_has_its_form_and_no_cloud_id_may(public: bytes) -> None:
    serial = serial_of(public)
    assert is_serial(serial)
    assert is_serial(serial.lower().replace("-", ""))
    with pytest.raises(ConfigError):
        check_cloud_id(serial)


@pytest.mark.parametrize("good", ["abc", "Garage-7", "a" * 64, "dot.dash-under_score"])
def test_a_cloud_id_may_be(good: str) -> None:
    assert check_cloud_id(good) == good


@pytest.mark.parametrize("bad", ["", "ab", "a" * 65, "with space", "ümlaut", "a/b", "abc\n", "0123-4567-89AB-CDEF"])
def test_a_cloud_id_must_not_be(bad: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_cloud_id(bad)
    assert caught.value.where == "cloud_id"


@pytest.mark.parametrize("bad", ["", "x" * 11, "x" * 129, "twelve chars\n"])
def test_an_installation_password_must_not_be(bad: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_cloud_password(bad)
    assert caught.value.where == "password"
    assert "x" * 11 not in str(caught.value)


def test_the_agents_key_is_made_once_and_private(tmp_path: Path) -> None:
    key = load_or_make_key(tmp_path / "key.pem")
    assert load_or_make_key(tmp_path / "key.pem").serial == key.serial
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["key.pem"]


def test_a_broken_key_file_is_said_in_a_sentence_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("rubbish")
    with pytest.raises(ConfigError):
        load_or_make_key(tmp_path / "key.pem")
    assert (tmp_path / "key.pem").read_text() == "rubbish"


def test_a_proof_is_good_for_one_key_one_nonce_and_one_connection() -> None:
    key, other = new_key(), new_key()
    proof = key.prove(b"nonce", b"exporter")
    assert proof_is_good(key.public, proof, b"nonce", b"exporter")
    assert not proof_is_good(other.public, proof, b"nonce", b"exporter")
    assert not proof_is_good(key.public, proof, b"other", b"exporter")
    assert not proof_is_good(key.public, proof, b"nonce", b"other")
    assert not proof_is_good(b"short", proof, b"nonce", b"exporter")
    assert not proof_is_good(key.public, b"", b"nonce", b"exporter")


def test_a_verifier_goes_through_text_and_holds_no_password() -> None:
    verifier = make_verifier("canary password", iterations=100_000)
    assert ScramVerifier.from_text(verifier.to_text()) == verifier
    assert "canary" not in verifier.to_text() + repr(verifier)
    assert make_verifier("canary password", iterations=100_000).salt != verifier.salt


@pytest.mark.parametrize("text", ["", "x", "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA", "MD5$100000:AAAA$AAAA:AAAA", "$$"])
def test_other_text_is_no_verifier(text: str) -> None:
    with pytest.raises(ValueError, match="not a SCRAM"):
        ScramVerifier.from_text(text)


def challenge_with(iterations: int) -> str:
    login = ScramLogin("garage", PASSWORD, b"binding")
    nonce = login.first().decode().split("r=")[1]
    with pytest.raises(TunnelError) as caught:
        login.challenged(f"r={nonce}server,s=AAAAAAAAAAAAAAAAAAAAAA==,i={iterations}".encode())
    return caught.value.code


def test_iterations_outside_the_limits_are_refused_by_the_agent() -> None:
    assert challenge_with(99_999) == "weak-login"
    assert challenge_with(1_000_001) == "weak-login"


def test_a_challenge_for_another_nonce_is_not_answered() -> None:
    login = ScramLogin("garage", PASSWORD, b"binding")
    login.first()
    with pytest.raises(TunnelError) as caught:
        login.challenged(b"r=foreign,s=AAAAAAAAAAAAAAAAAAAAAA==,i=100000")
    assert caught.value.code == "server-not-genuine"


@given(st.from_regex(r"[A-Za-z0-9._-]{3,20}", fullmatch=True), st.text("abcåß,= XYZ", min_size=1, max_size=20))
@settings(max_examples=20)
def test_an_agent_says_what_any_client_of_the_standard_says(cloud_id: str, password: str) -> None:
    """Compared with scramp's own client, for the same nonces."""
    check = ScramCheck(cloud_id, [make_verifier(password, iterations=100_000)], b"binding")
    login = ScramLogin(cloud_id, password, b"binding")
    first = login.first()
    nonce = first.rpartition(b"r=")[2].decode()
    other = ScramClient([SCRAM], cloud_id, password, channel_binding=BOUND, c_nonce=nonce)
    assert other.get_client_first().encode() == first
    challenge = check.challenge(first)
    login.challenged(challenge)
    other.set_server_first(challenge.decode())
    final = login.final()
    assert other.get_client_final().encode() == final
    reply, _ = check.verify(final)
    login.verified(reply)
    other.set_server_final(reply.decode())


def test_a_cloud_that_proves_nothing_is_not_genuine() -> None:
    for false in (b"", b"v=", b"e=other-error", b"v=" + b"A" * 43 + b"=", b"\xff"):
        login = ScramLogin("garage", PASSWORD, b"binding")
        login.challenged(ScramCheck("garage", [verifier_of()], b"binding").challenge(login.first()))
        login.final()
        with pytest.raises(TunnelError) as caught:
            login.verified(false)
        assert caught.value.code == "server-not-genuine"
    with pytest.raises(TunnelError):
        ScramLogin("garage", PASSWORD, b"binding").verified(b"v=")


def test_a_password_is_stretched_once_for_one_salt_and_cost() -> None:
    kept, plain = Stretched(), hashlib.pbkdf2_hmac
    with patch.object(hashlib, "pbkdf2_hmac", wraps=plain) as stretching:
        keys = [kept.key(b"a", b"salt", 1000), kept.key(b"a", b"salt", 1000)]
        assert stretching.call_count == 1 and keys[0] == keys[1] == plain("sha256", b"a", b"salt", 1000)
        for asked in ((b"b", b"salt", 1000), (b"b", b"tlas", 1000), (b"b", b"tlas", 1001)):
            assert kept.key(*asked) == plain("sha256", *asked)
        assert stretching.call_count == 4
    assert b"a" not in repr(kept).encode() or "object at" in repr(kept)


def test_no_password_fits_a_fake_verifier() -> None:
    login = ScramLogin("nobody", PASSWORD, b"binding")
    check = ScramCheck("nobody", [fake_verifier("nobody", b"k" * 32)], b"binding")
    login.challenged(check.challenge(login.first()))
    with pytest.raises(Refusal) as caught:
        check.verify(login.final())
    assert caught.value.code == "refused"


def test_a_login_without_channel_binding_is_refused() -> None:
    for first in (b"n,,n=garage,r=abc", b"y,,n=garage,r=abc", b"p=tls-unique,,n=garage,r=abc"):
        with pytest.raises(Refusal):
            ScramCheck("garage", [verifier_of()], b"binding").challenge(first)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_scram_message_raises_anything_but_a_refusal(first: bytes, final: bytes) -> None:
    check = ScramCheck("garage", [verifier_of()], b"binding")
    with pytest.raises(Refusal):
        check.challenge(first)
    check = ScramCheck("garage", [verifier_of()], b"binding")
    login = ScramLogin("garage", PASSWORD, b"binding")
    check.challenge(login.first())
    with pytest.raises(Refusal):
        check.verify(final)


def test_the_binding_is_the_certificates_hash() -> None:
    pem, _ = certificate()
    read = x509.load_pem_x509_certificate(pem)
    assert len(end_point_binding(read)) == 32
    assert end_point_binding(read) != end_point_binding(x509.load_pem_x509_certificate(certificate("other")[0]))
    assert len(pin_of(read)) == 44


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("", None),
        ("  ", None),
        ("cloud.example", ServerName("cloud.example")),
        ("https://Cloud.Example:8443/", ServerName("cloud.example", 8443)),
        ("192.0.2.1:443", ServerName("192.0.2.1", 443)),
        ("[2001:db8::1]:443", ServerName("2001:db8::1", 443)),
        ("localhost", ServerName("localhost")),
        ("bücher.example", ServerName("xn--bcher-kva.example")),
    ],
)
def test_a_server_is_read_as_people_type_it(text: str, server: ServerName | None) -> None:
    assert parse_server(text) == server


@pytest.mark.parametrize(
    "text",
    ["http://x.example", "a b", "x:0", "x:65536", "x:99999999", "x/y", "user@x", "-x", "x..y", ":443", "x" * 300],
)
def test_what_is_no_server_is_named_with_its_field(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_server(text)
    assert caught.value.where == "server"


@given(st.text(max_size=80))
def test_no_text_makes_the_server_field_fail_otherwise(text: str) -> None:
    try:
        server = parse_server(text)
    except ConfigError:
        return
    assert server is None or 0 < server.port < 65536


def test_every_code_has_its_sentence() -> None:
    assert all(text.endswith(".") and text[0].isupper() for text in SENTENCES.values())
    assert sentence("restart") == SENTENCES["restart"]
    assert sentence("of-a-newer-peer") == "of-a-newer-peer"
