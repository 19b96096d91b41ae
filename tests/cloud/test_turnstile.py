"""Guessing installation passwords costs time, and no agent pays for somebody else's guesses."""

from __future__ import annotations

from charging_manager.cloud.turnstile import AT_ONCE, EVERY_S, Turnstile


def tries_in(turnstile: Turnstile, seconds: int, source: str, cloud_id: str, began_s: float = 0.0) -> int:
    """How many wrong passwords somebody gets judged who asks ten times a second."""
    tried = 0
    for tenth in range(seconds * 10):
        now_s = began_s + tenth / 10
        if turnstile.admits(now_s, source, cloud_id):
            turnstile.failed(now_s, source, cloud_id)
            tried += 1
    return tried


def test_one_source_tries_one_installation_a_few_times_an_hour() -> None:
    assert tries_in(Turnstile(), 3600, "192.0.2.1", "garage") < 30


def test_the_case_of_a_cloud_id_and_the_rest_of_a_network_are_no_way_around() -> None:
    turnstile = Turnstile()
    for number in range(20):
        turnstile.failed(0.0, f"2001:db8::{number}", "gaRAge"[:number] + "garage"[number:])
    assert not turnstile.admits(1.0, "2001:db8::ffff", "GARAGE")


def test_many_sources_together_are_slowed_down_too() -> None:
    turnstile = Turnstile()
    tried = sum(tries_in(turnstile, 1, f"10.{n // 250}.{n % 250}.1", "garage", float(n)) for n in range(3600))
    assert tried < 50 + 3600 / 30 + 10


def test_one_source_that_tries_many_installations_is_slowed_down() -> None:
    turnstile = Turnstile()
    tried = sum(tries_in(turnstile, 1, "192.0.2.1", f"site-{n}", float(n)) for n in range(600))
    assert tried < 80


def test_an_installation_that_came_in_before_is_not_kept_out_by_strangers() -> None:
    turnstile = Turnstile()
    turnstile.succeeded(0.0, "198.51.100.1", "garage")
    for number in range(1000):
        turnstile.failed(0.0, f"10.0.{number // 250}.{number % 250}", "garage")
    assert not turnstile.admits(1.0, "203.0.113.1", "garage")
    assert turnstile.admits(1.0, "198.51.100.1", "Garage")


def test_nobody_is_kept_out_for_longer_than_five_minutes() -> None:
    turnstile = Turnstile()
    for _ in range(100):
        turnstile.failed(0.0, "192.0.2.1", "garage")
    assert not turnstile.admits(299.0, "192.0.2.1", "garage")
    assert turnstile.admits(300.0, "192.0.2.1", "garage")


def test_success_forgets_what_was_tried_in_vain_before() -> None:
    turnstile = Turnstile()
    for _ in range(5):
        turnstile.failed(0.0, "192.0.2.1", "garage")
    assert not turnstile.admits(0.5, "192.0.2.1", "garage")
    turnstile.succeeded(0.0, "192.0.2.1", "garage")
    assert turnstile.admits(0.5, "192.0.2.1", "garage")


def test_a_thousand_agents_of_one_router_come_back_at_once() -> None:
    turnstile = Turnstile()
    assert all(turnstile.admits(0.0, "192.0.2.1", f"site-{number}") for number in range(1000))


def test_what_is_remembered_is_bounded() -> None:
    turnstile = Turnstile(most=10)
    for number in range(1000):
        turnstile.failed(0.0, f"10.0.{number // 250}.{number % 250}", f"site-{number}" * 1000)
        turnstile.succeeded(0.0, "192.0.2.1", f"site-{number}")
    assert len(turnstile._tallies) <= 10 and len(turnstile._homes) <= 10


def test_an_installation_that_comes_in_again_and_again_is_slowed_down_and_nobody_else() -> None:
    turnstile = Turnstile()
    came = 0
    for second in range(600):
        if turnstile.admits(float(second), "192.0.2.1", "garage"):
            turnstile.succeeded(float(second), "192.0.2.1", "Garage")
            came += 1
    assert came <= AT_ONCE + 600 / EVERY_S + 1
    assert turnstile.admits(600.0, "192.0.2.1", "house")
    assert turnstile.admits(600.0 + EVERY_S + 1, "192.0.2.1", "garage")
    assert not turnstile.admits(599.5, "198.51.100.1", "GARAGE")


def test_a_line_that_breaks_now_and_then_is_no_reason_to_wait() -> None:
    turnstile = Turnstile()
    for number in range(1000):
        now_s = number * (EVERY_S + 1)
        assert turnstile.admits(now_s, "192.0.2.1", "garage")
        turnstile.succeeded(now_s, "192.0.2.1", "garage")


def test_who_does_not_know_the_password_empties_no_bucket_of_those_who_do() -> None:
    turnstile = Turnstile()
    turnstile.succeeded(0.0, "192.0.2.1", "garage")
    for second in range(1000):
        turnstile.failed(float(second), f"198.51.{second % 250}.{second // 250}", "garage")
    assert turnstile.admits(1000.0, "192.0.2.1", "garage")
