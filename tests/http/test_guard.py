"""Guessing gets slow; the owner stays in."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from charging_manager.http.guard import DeviceCookies, LoginGuard, source_network
from charging_manager.http.userids import UserIds, new_user_id, normal_user_id


def guesses(guard: LoginGuard, seconds: int, source: str = "192.0.2.1", installation: str | None = None) -> int:
    """How many attempts a guesser gets who tries ten times a second."""
    return sum(guard.admit(tick / 10, source=source, installation=installation) == 0.0 for tick in range(seconds * 10))


def test_a_guesser_gets_slower_and_slower_but_is_never_locked_out() -> None:
    assert guesses(LoginGuard(), 60) <= 11
    hour = guesses(LoginGuard(), 3600)
    assert 15 < hour < 30


def test_a_thousand_at_once_are_not_a_thousand_free_attempts() -> None:
    guard = LoginGuard()
    assert sum(guard.admit(0.0, source="192.0.2.1") == 0.0 for _ in range(1000)) == 5


def test_the_wait_is_told_and_holds() -> None:
    guard = LoginGuard()
    while (wait_s := guard.admit(100.0, source="192.0.2.1")) == 0.0:
        pass
    assert wait_s == guard.failed(100.0, source="192.0.2.1") == 1.0
    assert guard.admit(100.9, source="192.0.2.1") > 0
    assert guard.admit(101.0, source="192.0.2.1") == 0.0


def test_a_known_browser_that_comes_in_starts_anew() -> None:
    guard = LoginGuard()
    for now_s in range(0, 1000, 100):
        guard.admit(float(now_s), source="192.0.2.1", device="browser")
    guard.succeeded(1000.0, source="192.0.2.1", device="browser")
    assert [guard.admit(1000.0, source="192.0.2.1", device="browser") for _ in range(9)] == [0.0] * 9


def test_right_logins_cost_a_source_nothing() -> None:
    guard = LoginGuard()
    for _ in range(1000):
        assert guard.admit(0.0, source="192.0.2.1", installation="garage") == 0.0
        guard.succeeded(0.0, source="192.0.2.1", installation="garage")


def test_whoever_has_a_login_of_their_own_does_not_guess_somebody_elses_freely() -> None:
    guard, guessed = LoginGuard(), 0
    for second in range(3600):
        now_s = float(second)
        guessed += sum(guard.admit(now_s, source="192.0.2.1") == 0.0 for _ in range(4))
        if guard.admit(now_s, source="192.0.2.1") == 0.0:
            guard.succeeded(now_s, source="192.0.2.1")
    assert guessed < 50


def test_other_sources_do_not_suffer_and_one_64_is_one_source() -> None:
    guard = LoginGuard()
    guesses(guard, 10, source="2001:db8::1")
    assert guard.admit(10.0, source="2001:db8::ffff:2") > 0
    assert guard.admit(10.0, source="2001:db8:0:1::1") == 0.0
    assert guard.admit(10.0, source="192.0.2.1") == 0.0


def test_many_sources_together_are_slowed_by_installation_but_not_the_owner() -> None:
    guard = LoginGuard()
    admitted = sum(
        guard.admit(tick / 10, source=f"10.0.{tick // 200}.{tick % 200}", installation="home") == 0.0
        for tick in range(6000)
    )
    assert admitted < 50
    assert guard.admit(600.0, source="10.0.0.1", device="owner's", installation="home") == 0.0
    assert guard.admit(600.0, source="10.9.0.1", installation="other") == 0.0


def test_a_stranger_gets_in_again_within_half_a_minute_when_the_guessing_stops() -> None:
    guard = LoginGuard()
    for tick in range(6000):
        guard.admit(tick / 10, source=f"10.0.{tick // 200}.{tick % 200}", installation="home")
    assert guard.admit(631.0, source="192.0.2.7", installation="home") == 0.0


def test_old_failures_are_forgotten() -> None:
    guard = LoginGuard()
    guesses(guard, 600)
    assert [guard.admit(600 + 4000.0, source="192.0.2.1") for _ in range(5)] == [0.0] * 5


def test_memory_is_bounded() -> None:
    guard = LoginGuard(most=100)
    for number in range(5000):
        guard.admit(float(number), source=f"10.{number // 250}.{number % 250}.1")
    assert len(guard._tallies) == 100


def test_sources() -> None:
    assert source_network("192.0.2.1") == "192.0.2.1"
    assert source_network("::ffff:192.0.2.1") == "192.0.2.1"
    assert source_network("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64"
    assert source_network("fe80::1%eth0") == "fe80::/64"
    assert source_network("somewhere") == "somewhere"


def test_a_device_cookie_is_for_its_subject_only() -> None:
    cookies = DeviceCookies(b"k" * 32)
    cookie = cookies.mint("admin")
    assert cookies.known(cookie, "admin")
    assert cookies.known(cookie, "admin") == cookies.known(cookie, "admin")
    assert cookies.known(cookie, "u1") is None
    assert DeviceCookies(b"l" * 32).known(cookie, "admin") is None
    assert re.fullmatch(r"[A-Za-z0-9_.-]{20,100}", cookie)


@given(st.text(max_size=120) | st.binary(max_size=60).map(lambda data: data.decode("latin-1")))
def test_no_other_text_is_a_device_cookie(text: str) -> None:
    assert DeviceCookies(b"k" * 32).known(text, "admin") is None


def test_user_ids_have_fifty_bits_and_one_form() -> None:
    ids = {new_user_id() for _ in range(200)}
    assert len(ids) == 200
    assert all(re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}", each) for each in ids)
    assert all(normal_user_id(each) == each for each in ids)


def test_people_may_type_an_id_their_way() -> None:
    assert normal_user_id("ab1do-7kmnp") == "AB1D0-7KMNP"
    assert normal_user_id(" AB1D0 7KMNP\n") == "AB1D0-7KMNP"
    assert normal_user_id("abLdo7kmnp") == "AB1D0-7KMNP"
    for wrong in ("", "AB1D0", "AB1D0-7KMNPX", "AB1D0-7KMN!", "UUUUU-UUUUU", "x" * 10_000, "ÄB1D0-7KMNP"):
        assert normal_user_id(wrong) is None


@given(st.text(max_size=80))
def test_whatever_is_typed_becomes_a_normal_id_or_none(text: str) -> None:
    normal = normal_user_id(text)
    assert normal is None or normal_user_id(normal) == normal


def test_a_digest_depends_on_the_key() -> None:
    one, two = UserIds(b"1" * 32), UserIds(b"2" * 32)
    assert one.digest("AB1D0-7KMNP") == one.digest("AB1D0-7KMNP") != two.digest("AB1D0-7KMNP")
    assert len(one.digest("\udcff")) == 32


def test_thousands_of_addresses_do_not_make_it_forget_who_is_guessed_at() -> None:
    guard, guessed = LoginGuard(most=100), 0
    for burst in range(20):
        now_s = burst * 20.0
        for number in range(30):
            guessed += guard.admit(now_s, source=f"11.0.{burst}.{number}", installation="garage") == 0.0
        for number in range(500):  # each of them once, at an installation that nobody has
            guard.admit(now_s, source=f"10.{burst}.{number >> 8}.{number & 255}", installation=f"none-{number}")
    assert 20 < guessed <= 40
