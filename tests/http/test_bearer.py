"""The token of the runtime file opens what it is for, and nothing that only looks like it does."""

from __future__ import annotations

import pytest

from charging_manager.http.routes import NOBODY, Call


def call(authorization: str | None) -> Call:
    return Call(NOBODY, headers={} if authorization is None else {"authorization": authorization})


@pytest.mark.parametrize("given", ["Bearer secret", "bearer secret", "Bearer  secret "])
def test_the_right_token_is_borne(given: str) -> None:
    assert call(given).bears("secret")


@pytest.mark.parametrize("given", [None, "", "secret", "Bearer", "Bearer secre", "Basic secret", "Bearer sécret"])
def test_anything_else_is_not(given: str | None) -> None:
    assert not call(given).bears("secret")


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer "])
def test_an_empty_token_opens_nothing(given: str | None) -> None:
    assert not call(given).bears("")
