"""Keys, names and servers as people write them; how answers are read is tested with a real server (tests/e2e)."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import dns.exception
import dns.message
import dns.rcode
import dns.rrset
import dns.tsig
import dns.update
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging_manager.dns.ask import DnsServer, _read, _Unsigned, parse_dns_server
from charging_manager.dns.domain import is_within, normal_domain
from charging_manager.dns.update import _quoted, make_key, read_key
from charging_manager.errors import ConfigError

SECRET = "cBMc/R0r/kH38tn/utglvEMJ2ZTeQv12+cmWBfjW9As="


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("ns.example", DnsServer("ns.example", 53)),
        (" NS.example:5353 ", DnsServer("ns.example", 5353)),
        ("192.0.2.1:53", DnsServer("192.0.2.1", 53)),
        ("2001:db8::1", DnsServer("2001:db8::1", 53)),
        ("[2001:db8::1]", DnsServer("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", DnsServer("2001:db8::1", 5353)),
    ],
)
def test_a_dns_server_is_a_name_or_an_address(text: str, server: DnsServer) -> None:
    assert parse_dns_server(text, "x") == server
    assert parse_dns_server(str(server), "x") == server


@pytest.mark.parametrize("text", ["", ":53", "ns.example:0", "ns.example:70000", "ns example", "ns.example:x"])
def test_what_is_no_dns_server_is_said(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_dns_server(text, "dns_server")


def test_a_key_is_read_as_bind_writes_it_or_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f'key "updates" {{\n\talgorithm hmac-sha512;\n\tsecret "{SECRET}";\n}};\n')
    path.chmod(0o640)
    key = read_key(path, "", "", "dns_key_file")
    assert (key.name, key.algorithm, len(key.secret)) == ("updates.", "hmac-sha512", 32)
    assert SECRET not in repr(key)
    path.write_text(SECRET + "\n")
    assert read_key(path, "other", "", "dns_key_file").name == "other."


@pytest.mark.parametrize(
    ("text", "name", "algorithm", "part"),
    [
        (SECRET, "", "", "name"),
        ("short", "k", "", "base64"),
        (SECRET, "k", "hmac-md5", "algorithm"),
        ('key "k" { algorithm x; }', "", "", "tsig-keygen"),
        ("", "k", "", "base64"),
    ],
)
def test_a_key_that_is_none_is_said(tmp_path: Path, text: str, name: str, algorithm: str, part: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=part) as caught:
        read_key(path, name, algorithm, "dns_key_file")
    assert SECRET not in str(caught.value)


def test_a_key_for_everybody_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(SECRET)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="everybody"):
        read_key(path, "k", "", "dns_key_file")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_key(tmp_path / "nowhere", "k", "", "dns_key_file")


def test_domains_are_whole_names() -> None:
    assert normal_domain(" Charge.Example.ORG. ") == "charge.example.org"
    assert normal_domain("https://charge.example.org/") == "charge.example.org"
    assert normal_domain("ladesäule.example") == "xn--ladesule-4za.example"
    for wrong in (
        "",
        "localhost",
        "a..b",
        "-a.b",
        "a_b.example",
        "192.0.2.1",
        "charge.example.org:443",
        "*.example",
        "a" * 64 + ".b",
    ):
        with pytest.raises(ConfigError):
            normal_domain(wrong)


@given(st.text(max_size=300))
def test_any_text_is_a_domain_or_an_error(text: str) -> None:
    try:
        name = normal_domain(text)
    except ConfigError:
        return
    assert normal_domain(name) == name
    assert name.isascii()


def test_within_is_by_whole_labels() -> None:
    assert is_within("a.cloud.example", "cloud.example")
    assert is_within("cloud.example", "cloud.example")
    assert not is_within("mycloud.example", "cloud.example")


@pytest.mark.parametrize("value", ['a"b', "", "a b", "a" * 256, "a\n"])
def test_records_hold_nothing_that_could_be_more_than_a_value(value: str) -> None:
    with pytest.raises(ValueError, match="not a value"):
        _quoted(value)


def test_names_and_algorithms_are_normal() -> None:
    assert make_key("Key.Name.", SECRET, "HMAC-SHA256.", "dns_key").algorithm == "hmac-sha256"


def _answers() -> list[tuple[bytes, dns.message.Message]]:
    """A plain answer and a signed one, each with its question."""
    plain = dns.message.make_query("_charging-manager.charge.example.org", "TXT", use_edns=True)
    said = dns.message.make_response(plain)
    said.answer.append(dns.rrset.from_text(plain.question[0].name, 60, "IN", "TXT", '"abc" "def"', '"x"'))
    key = dns.tsig.Key("key.", b"x" * 32, "hmac-sha256")
    update = dns.update.UpdateMessage("example.", keyring={key.name: key}, keyname=key.name, keyalgorithm=key.algorithm)
    update.add("a.example.", 30, "TXT", '"x"')
    update.to_wire()
    done = dns.message.make_response(update)
    done.use_tsig({key.name: key}, key.name)
    return [(said.to_wire(), plain), (done.to_wire(), update)]


ANSWERS = _answers()


@given(st.sampled_from(ANSWERS), st.binary(max_size=80), st.integers(0, 200), st.integers(0, 200))
def test_any_bytes_are_an_answer_or_none_and_never_a_crash(
    pair: tuple[bytes, dns.message.Message], noise: bytes, start: int, end: int
) -> None:
    wire, question = pair
    for data in (noise, wire[:start] + noise + wire[end:]):
        with suppress(dns.exception.DNSException, _Unsigned):
            _read(data, question)


def test_a_signed_question_takes_no_answer_that_is_not_signed_or_was_changed() -> None:
    _, (wire, question) = _answers()  # fresh: a signature is good for five minutes
    assert _read(wire, question).had_tsig
    lifetime_of_the_signature = wire.index(b"\x00\xfa\x00\xff") + 4  # always 0, and read by nobody
    for at in set(range(len(wire))) - set(range(lifetime_of_the_signature, lifetime_of_the_signature + 4)):
        changed = wire[:at] + bytes([wire[at] ^ 1]) + wire[at + 1 :]
        with pytest.raises((dns.exception.DNSException, _Unsigned)):
            _read(changed, question)
    bare = dns.message.make_response(question)
    bare.tsig = None
    with pytest.raises(dns.exception.FormError):
        _read(bare.to_wire(), question)
    bare.set_rcode(dns.rcode.REFUSED)
    with pytest.raises(_Unsigned, match="REFUSED"):
        _read(bare.to_wire(), question)
