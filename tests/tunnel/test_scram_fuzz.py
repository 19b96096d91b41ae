"""SCRAM messages that were spoilt on their way, or made by somebody who knows the words: only refusals come of them."""

from __future__ import annotations

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from charging_manager.errors import TunnelError
from charging_manager.tunnel.reasons import Refusal
from charging_manager.tunnel.scram import ScramCheck, ScramLogin, ScramVerifier, Stretched, make_verifier

PASSWORD = "a password for the tunnel"
STRETCHED = Stretched()
PIECES = st.sampled_from(
    [b"", b",", b"=", b",,", b"n", b"p=", b"y,,", b"n,,", b"p=tls-server-end-point,,", b"p=tls-exporter,,", b"n=garage"]
    + [
        b"r=",
        b"s=",
        b"i=",
        b"i=200000",
        b"i=-1",
        b"i=9" * 30,
        b"i=\xc2\xb2",
        b"i=2_0",
        b"c=",
        b"p=",
        b"v=",
        b"e=x",
        b"m=",
    ]
    + [b"=2C", b"=3D", b"=", b"====", b"QQ==", b"Q", b"\x00", b"\xff", "é".encode(), b"a" * 300]
) | st.binary(max_size=8)


@cache
def verifier() -> ScramVerifier:
    return make_verifier(PASSWORD, iterations=100_000)


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[int, int, bytes]:
    """What is cut out of a message, from where (in thousandths), and what is put there."""
    return draw(st.integers(0, 1000)), draw(st.integers(0, 12)), b"".join(draw(st.lists(PIECES, max_size=3)))


def spoil(message: bytes, how: tuple[int, int, bytes]) -> bytes:
    at = len(message) * how[0] // 1000
    return message[:at] + how[2] + message[at + how[1] :]


def login() -> ScramLogin:
    return ScramLogin("garage", PASSWORD, b"binding", STRETCHED)


@given(spoilt())
def test_a_spoilt_first_message_is_refused_or_challenged(how: tuple[int, int, bytes]) -> None:
    try:
        ScramCheck("garage", [verifier()], b"binding").challenge(spoil(login().first(), how))
    except Refusal:
        return


@given(spoilt())
def test_a_spoilt_challenge_is_not_answered_by_a_proof_that_counts(how: tuple[int, int, bytes]) -> None:
    mine, check = login(), ScramCheck("garage", [verifier()], b"binding")
    honest = check.challenge(mine.first())
    challenge = spoil(honest, how)
    try:
        mine.challenged(challenge)
        if challenge != honest and int(mine._client.iterations) > 200_000:
            return  # what it would cost is another test's
        final = mine.final()
        check.verify(final)
    except (Refusal, TunnelError):
        return
    assert challenge == honest


@given(spoilt())
def test_a_spoilt_proof_lets_nobody_in(how: tuple[int, int, bytes]) -> None:
    mine, check = login(), ScramCheck("garage", [verifier()], b"binding")
    mine.challenged(check.challenge(mine.first()))
    honest = mine.final()
    try:
        check.verify(spoil(honest, how))
    except Refusal:
        return
    assert spoil(honest, how) == honest


@given(spoilt())
def test_a_spoilt_answer_of_the_server_is_not_believed(how: tuple[int, int, bytes]) -> None:
    mine, check = login(), ScramCheck("garage", [verifier()], b"binding")
    mine.challenged(check.challenge(mine.first()))
    honest, _ = check.verify(mine.final())
    try:
        mine.verified(spoil(honest, how))
    except TunnelError:
        return
    assert spoil(honest, how) == honest


@given(st.lists(PIECES, max_size=12), st.lists(PIECES, max_size=12))
def test_words_in_any_order_are_refused_at_both_ends(first: list[bytes], second: list[bytes]) -> None:
    for speak in (lambda check: check.challenge(b"".join(first)), lambda check: check.verify(b"".join(second))):
        check = ScramCheck("garage", [verifier()], b"binding")
        try:
            if speak(check) and not first:
                raise AssertionError("nothing was said, and it was enough")
        except Refusal:
            pass
    mine = login()
    mine.first()
    try:
        mine.challenged(b"".join(first))
    except TunnelError:
        return


@given(st.text(max_size=80) | st.lists(PIECES, max_size=8).map(lambda pieces: b"".join(pieces).decode("latin-1")))
def test_a_verifier_is_read_or_said_to_be_none(text: str) -> None:
    for each in (text, verifier().to_text()[: len(text)] + text, text + verifier().to_text()):
        try:
            ScramVerifier.from_text(each)
        except ValueError:
            continue
