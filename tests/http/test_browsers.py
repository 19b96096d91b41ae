"""Two words of a browser, whatever it sends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging_manager.http.browsers import LONGEST, clean, kind_of

LINUX = "Mozilla/5.0 (X11; Linux x86_64"
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (f"{LINUX}; rv:143.0) Gecko/20100101 Firefox/143.0", "Firefox, Linux"),
        (f"{LINUX}) {WEBKIT} Safari/537.36", "Chrome, Linux"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Safari/537.36 Edg/141.0", "Edge, Windows"),
        (f"Mozilla/5.0 (Linux; Android 14; K) {WEBKIT} Mobile Safari/537.36", "Chrome, Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari, iPhone"),
        ("curl/8.5.0", "curl"),
        ("", ""),
        ("something of its own", ""),
    ],
)
def test_kinds(said: str, kind: str) -> None:
    assert kind_of(said) == kind


@given(st.text())
def test_whatever_is_said_the_kind_is_short_and_print(said: str) -> None:
    for kind in (kind_of(said), clean(said)):
        assert len(kind) <= LONGEST
        assert kind.isprintable()
