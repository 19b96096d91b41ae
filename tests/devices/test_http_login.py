"""Who we are, for a device over HTTP: the examples of RFC 7616, basic, tokens, and what is never said."""

from __future__ import annotations

import pytest

from charging_manager.devices import http_login
from charging_manager.devices.access import Access, check_access
from charging_manager.devices.driver import Http, Login
from charging_manager.devices.http_login import HttpLogin
from charging_manager.errors import ConfigError

MUFASA = Access(user="Mufasa", password="Circle of Life")
NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


def challenge(algorithm: str, nonce: str = NONCE) -> str:
    return f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, nonce="{nonce}"'


@pytest.mark.parametrize(
    ("offered", "response"),
    [
        (["MD5"], "8ca523f5e9506fed4657c9700eebdbec"),
        (["MD5", "SHA-256"], "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_the_standard(
    offered: list[str], response: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # RFC 7616, section 3.9.1
    monkeypatch.setattr(http_login.secrets, "token_hex", lambda size: CNONCE)
    login = HttpLogin(Http(), MUFASA)
    assert login.headers("GET", "/dir/index.html") == {}, "nothing is said before it is asked for"
    assert login.asked([challenge(one) for one in offered])
    said = login.headers("GET", "/dir/index.html")["Authorization"]
    assert f'response="{response}"' in said
    assert "nc=00000001" in said
    assert "nc=00000002" in login.headers("GET", "/dir/index.html")["Authorization"]
    assert not login.asked([challenge(one) for one in offered]), "the same question again is a refusal"
    assert login.asked([challenge("MD5", "another")])


def test_digest_is_preferred_and_may_be_demanded() -> None:
    both = ['Basic realm="box"', challenge("MD5")]
    login = HttpLogin(Http(), MUFASA)
    assert login.asked(both)
    assert login.headers("GET", "/")["Authorization"].startswith("Digest")
    strict = HttpLogin(Http(login=Login.DIGEST), MUFASA)
    assert not strict.asked(['Basic realm="box"'])
    assert strict.headers("GET", "/") == {}
    lax = HttpLogin(Http(), MUFASA)
    assert lax.asked(['Basic realm="box"'])
    assert lax.headers("GET", "/") == {"Authorization": "Basic TXVmYXNhOkNpcmNsZSBvZiBMaWZl"}
    assert not lax.asked(['Basic realm="box"'])


def test_tokens_go_where_the_driver_says() -> None:
    access = Access(user="nobody", password="no", token="t0k")
    assert HttpLogin(Http(login=Login.TOKEN), access).headers("GET", "/") == {"Authorization": "Bearer t0k"}
    own = HttpLogin(Http(login=Login.TOKEN, token_header="X-Api-Key"), access)
    assert own.headers("PUT", "/x") == {"X-Api-Key": "t0k"}
    assert not own.asked([challenge("MD5")])
    assert HttpLogin(Http(login=Login.TOKEN), MUFASA).headers("GET", "/") == {}


@pytest.mark.parametrize(
    "strange",
    ["Digest", "Digest nonce", 'Digest algorithm=ROT13, nonce="x"', 'Digest qop="auth-int", nonce="x"', "Bearer", ""],
)
def test_what_cannot_be_answered_is_a_refusal(strange: str) -> None:
    login = HttpLogin(Http(), MUFASA)
    assert not login.asked([strange])
    assert login.headers("GET", "/") == {}


def test_secrets_are_not_shown_by_accident() -> None:
    assert "Circle" not in repr(MUFASA)
    assert "t0k" not in repr(Access(token="t0k"))


def test_what_is_entered_is_checked() -> None:
    plain = check_access(Access(fingerprint=":".join(["AB"] * 32))).fingerprint
    assert plain == "ab" * 32
    for wrong, where in (
        (Access(fingerprint="abc"), "access.fingerprint"),
        (Access(ca="ca.pem"), "access.ca"),
        (Access(user="a\nb"), "access.user"),
        (Access(token="x" * 201), "access.token"),
    ):
        with pytest.raises(ConfigError) as caught:
            check_access(wrong)
        assert caught.value.where == where
