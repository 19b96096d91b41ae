"""The agent's token in the cloud's database."""

import pytest

from charging_manager.cloud.sealing import SealBroken, seal, unseal


def test_the_cookie_opens_what_it_sealed() -> None:
    assert unseal(seal("the-agents-token", "cookie", 7), "cookie", 7) == "the-agents-token"


def test_neither_token_nor_cookie_stand_in_what_is_stored() -> None:
    sealed = seal("the-agents-token", "cookie", 7)
    assert b"token" not in sealed
    assert b"cookie" not in sealed
    assert sealed != seal("the-agents-token", "cookie", 7)


@pytest.mark.parametrize(("cookie", "installation"), [("another", 7), ("cookie", 8), ("", 7)])
def test_another_cookie_or_another_installation_opens_nothing(cookie: str, installation: int) -> None:
    sealed = seal("the-agents-token", "cookie", 7)
    with pytest.raises(SealBroken):
        unseal(sealed, cookie, installation)


@pytest.mark.parametrize("change", [b"", b"short", None])
def test_what_was_written_over_opens_nothing(change: bytes | None) -> None:
    sealed = seal("the-agents-token", "cookie", 7)
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1]) if change is None else change
    with pytest.raises(SealBroken):
        unseal(changed, "cookie", 7)
