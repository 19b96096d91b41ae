"""What an authority may answer, and when a certificate is renewed: without a network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from charging_manager.acme.authority import Authority, Reply, address, read_directory
from charging_manager.acme.order import open_account
from charging_manager.acme.schedule import FIRST_PAUSE_S, LONGEST_PAUSE_S, pause_s, renew_at
from charging_manager.acme.signing import AccountKey, read_mac_key
from charging_manager.acme.trouble import SENTENCES, AcmeError, problem
from charging_manager.errors import ConfigError
from tests.agent.waiting import result_of
from tests.support.paper_authority import DIRECTORY, TERMS, PaperAuthority

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def now() -> datetime:
    return NOW


def run(work: Any) -> Any:
    return result_of(Deferred.fromCoroutine(work))


@given(st.integers(1, 400), st.integers(0, 2**256 - 1))
def test_a_certificate_is_renewed_near_two_thirds_of_its_life(days: int, number: int) -> None:
    ends = NOW + timedelta(days=days)
    due = renew_at(NOW, ends, f"{number:064x}")
    assert 0.645 < (due - NOW) / (ends - NOW) < 0.688
    assert due == renew_at(NOW, ends, f"{number:064x}")


def test_those_that_were_given_together_are_not_renewed_together() -> None:
    due = [renew_at(NOW, NOW + timedelta(days=90), f"{n * 0x01000000:08x}") for n in range(256)]
    assert max(due) - min(due) > timedelta(days=3)


@given(st.integers(0, 1000), st.floats(0, 1e6), st.floats(0, 1))
def test_pauses_grow_are_bounded_and_never_shorter_than_what_is_wanted(n: int, wanted: float, chance: float) -> None:
    pause = pause_s(n, wanted, lambda: chance)
    assert max(wanted, FIRST_PAUSE_S) <= pause <= 1.25 * max(wanted, LONGEST_PAUSE_S)
    assert pause <= pause_s(n + 1, wanted, lambda: chance)


def test_a_nonce_that_is_not_liked_is_replaced_and_not_for_ever() -> None:
    paper = PaperAuthority(now)
    paper.refuse("account", 400, "badNonce", "stale", times=3)
    account = run(open_account(Authority(DIRECTORY, paper, now), AccountKey.make(), terms=TERMS))
    assert account.url in paper.accounts
    paper.refuse("account", 400, "badNonce", "stale", times=100)
    with pytest.raises(AcmeError) as caught:
        run(open_account(Authority(DIRECTORY, paper, now), AccountKey.make(), terms=TERMS))
    assert caught.value.kind == "badNonce"
    assert len(paper.faults["account"]) == 92


def test_the_same_key_finds_its_account_again() -> None:
    paper, key = PaperAuthority(now), AccountKey.make()
    again = AccountKey.from_pem(key.to_pem())
    urls = {run(open_account(Authority(DIRECTORY, paper, now), one, terms=TERMS)).url for one in (key, again)}
    assert len(urls) == len(paper.accounts) == 1


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("120", 120.0),
        ("Sun, 01 Mar 2026 01:00:00 GMT", 3600.0),
        ("Sun, 01 Mar 2020 01:00:00 GMT", 0.0),
        ("", 0.0),
        ("soon", 0.0),
        ("-5", 0.0),
        ("99999999999999999999", 7 * 86_400.0),
    ],
)
def test_how_long_to_wait_is_seconds_or_a_date(text: str, wait_s: float) -> None:
    authority = Authority(DIRECTORY, PaperAuthority(now), now)
    assert authority.wait_s(Reply(429, {"retry-after": text}, b"")) == wait_s


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"<html>", b'{"newNonce": "http://plain.example/"}', b'{"newNonce": 7}']
)
def test_what_is_no_directory_is_named(body: bytes) -> None:
    with pytest.raises(AcmeError) as caught:
        read_directory(Reply(200, {}, body))
    assert caught.value.code == "nonsense"


@given(st.binary(max_size=300), st.integers(400, 599))
def test_any_refusal_becomes_a_sentence(body: bytes, status: int) -> None:
    error = problem(body, status)
    assert error.code in SENTENCES
    assert str(error).isprintable()
    assert len(str(error)) < 600


def test_the_reason_inside_is_the_reason_and_of_one_line() -> None:
    inner = {"type": "urn:ietf:params:acme:error:caa", "detail": "CAA\nforbids\x07 it", "identifier": {}}
    body = orjson.dumps({"type": "urn:ietf:params:acme:error:compound", "subproblems": [inner]})
    error = problem(body, 403)
    assert (error.code, error.fields["detail"]) == ("caa", "CAA forbids it.")


@pytest.mark.parametrize("url", ["http://a.example/", "https://a b/", 7, None, "ftp://a", "https://" + "a" * 2000])
def test_addresses_of_the_authority_are_https(url: object) -> None:
    with pytest.raises(AcmeError):
        address(url)


def test_a_customers_key_is_base64url_of_some_length() -> None:
    assert read_mac_key("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W") == read_mac_key(
        " zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W= "
    )
    for wrong in ("", "short", "ümlaut"):
        with pytest.raises(ConfigError):
            read_mac_key(wrong)
