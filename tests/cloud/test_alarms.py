"""Who is missing for too long is noted, told once, and told again when it is back; nothing of it is lost or endless."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed

from charging_manager.cloud import webhook
from charging_manager.cloud.accounts import Change, Sighting
from charging_manager.cloud.alarms import LOOK_EVERY_S, Alarms
from charging_manager.cloud.settings import SettingsStore
from charging_manager.cloud.webhook import MOST_TRIES, Webhook
from tests.cloud.house import VERIFIER, CloudTestCase

URL = "https://alarms.example/x"


class Receiver:
    """The other side of the webhook."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes, dict[str, str]]] = []
        self.answers: Callable[[], Deferred[int]] = lambda: succeed(204)

    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> Deferred[int]:
        self.heard.append((url, body, headers))
        return self.answers()

    @property
    def events(self) -> list[tuple[str, str]]:
        return [(e["event"], e["cloud_id"]) for _, body, _ in self.heard for e in json.loads(body)["events"]]


class AlarmTestCase(CloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.settings = SettingsStore(self.database)
        self.set(alarm_after_s=600)
        self.receiver = Receiver()
        self.numbers = {name: self.got(self.accounts.add(name, VERIFIER)).number for name in ("one", "two", "never")}
        self.seen("one", True)
        self.seen("two", True)
        self.begin()

    def begin(self) -> None:
        self.webhook = Webhook(self.database, self.settings, self.receiver, self.clock, lambda: 0.5)
        self.alarms = Alarms(self.database, self.settings, self.clock, self.now)
        for service in (self.webhook, self.alarms):
            service.startService()
            self.addCleanup(service.stopService)

    def set(self, **what: Any) -> None:
        self.got(self.settings.change(evolve(self.settings.current, **what)))

    def seen(self, name: str, online: bool) -> None:
        stamp = self.now().isoformat(timespec="seconds")
        self.got(self.accounts.seen([Sighting(self.numbers[name], stamp, "1.0", online)]))

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds / LOOK_EVERY_S) + 1):
            self.clock.advance(LOOK_EVERY_S)

    def alarmed(self) -> list[str]:
        return [one.cloud_id for one in self.got(self.accounts.listing()) if one.alarm_at]


class AlarmTests(AlarmTestCase):
    def test_whoever_is_missing_too_long_raises_an_alarm_that_ends_when_it_is_back(self) -> None:
        self.wait(700)
        self.seen("one", False)
        self.wait(500)
        self.assertEqual(self.alarmed(), [])
        self.wait(150)
        self.assertEqual(self.alarmed(), ["one"])
        self.seen("one", True)
        self.wait(LOOK_EVERY_S)
        self.assertEqual(self.alarmed(), [])

    def test_after_a_start_everybody_has_the_whole_time_to_come_back(self) -> None:
        self.seen("one", False)
        self.clock.advance(0)
        self.alarms.stopService()
        self.clock.rightNow += 5000  # the server was down
        self.got(self.accounts.nobody_is_here())
        self.alarms = Alarms(self.database, self.settings, self.clock, self.now)
        self.alarms.startService()
        self.wait(500)
        self.assertEqual(self.alarmed(), [])
        self.wait(150)
        self.assertEqual(self.alarmed(), ["one", "two"])

    def test_what_is_disabled_or_never_came_raises_none_and_off_is_off(self) -> None:
        self.seen("one", False)
        self.got(self.accounts.change("one", Change(disabled=True)))
        self.wait(700)
        self.assertEqual(self.alarmed(), [])
        self.seen("two", False)
        self.wait(700)
        self.assertEqual(self.alarmed(), ["two"])
        self.set(alarm_after_s=0)
        self.wait(LOOK_EVERY_S)
        self.assertEqual(self.alarmed(), [])


class WebhookTests(AlarmTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.set(webhook_url=URL, webhook_secret="secret")
        self.wait(700)

    def test_an_alarm_and_its_end_are_told_once_and_signed(self) -> None:
        self.seen("one", False)
        self.wait(800)
        self.seen("one", True)
        self.wait(60)
        self.assertEqual(self.receiver.events, [("offline", "one"), ("back", "one")])
        url, body, headers = self.receiver.heard[0]
        self.assertEqual(url, URL)
        self.assertEqual(headers["X-Signature"], "sha256=" + hmac.digest(b"secret", body, hashlib.sha256).hex())
        self.assertNotIn(b"secret", body)
        self.assertEqual(self.got(self.webhook.waiting()), 0)

    def test_what_is_not_taken_is_tried_again_ever_more_slowly_and_given_up_in_the_end(self) -> None:
        self.receiver.answers = lambda: fail(ConnectionError("nobody there"))
        self.seen("one", False)
        self.wait(640)
        tries = len(self.receiver.heard)
        self.assertGreaterEqual(tries, 1)
        self.assertEqual(self.webhook.last_error, "ConnectionError")
        self.wait(10)
        self.assertLessEqual(len(self.receiver.heard), tries + 2)
        self.wait(86_400)
        self.assertEqual((len(self.receiver.heard), self.webhook.given_up), (MOST_TRIES, 1))
        self.assertEqual(self.got(self.webhook.waiting()), 0)

    def test_a_receiver_that_comes_back_hears_everything_in_order_also_after_a_restart(self) -> None:
        self.receiver.answers = lambda: succeed(503)
        self.seen("one", False)
        self.wait(700)
        self.seen("two", False)
        self.wait(700)
        self.assertEqual(self.got(self.webhook.waiting()), 2)
        for service in (self.webhook, self.alarms):
            service.stopService()
        self.receiver.heard.clear()
        self.receiver.answers = lambda: succeed(200)
        again = Webhook(self.database, self.settings, self.receiver, self.clock)
        again.startService()
        self.clock.advance(1)
        again.stopService()
        for service in (self.webhook, self.alarms):
            service.startService()
        self.assertEqual(self.receiver.events, [("offline", "one"), ("offline", "two")])

    def test_a_town_that_fails_at_once_is_few_calls(self) -> None:
        def insert(db: Any) -> None:
            db.executemany(
                "INSERT INTO installations (cloud_id, source, verifier, created_at, last_seen_at)"
                " VALUES (?, 'added', 'v', 't', '2026-01-01T00:00:00+00:00')",
                [(f"site-{n}",) for n in range(1200)],
            )

        self.got(self.database.write(insert))
        self.wait(60)
        self.assertEqual(len(self.receiver.heard), 3)
        self.assertEqual(len(self.receiver.events), 1200)

    def test_what_waits_is_bounded_and_what_found_no_room_is_counted(self) -> None:
        self.patch(webhook, "MOST_WAITING", 2)
        self.receiver.answers = lambda: fail(ConnectionError("nobody there"))
        for name in ("one", "two", "one", "two"):
            self.seen(name, False)
            self.wait(640)
            self.seen(name, True)
            self.wait(30)
        self.assertLessEqual(self.got(self.webhook.waiting()), 2)
        self.assertGreater(self.alarms.dropped, 0)

    def test_no_address_means_nothing_is_kept_for_it(self) -> None:
        self.receiver.answers = lambda: succeed(500)
        self.seen("one", False)
        self.wait(700)
        self.set(webhook_url="")
        self.webhook.try_now()
        self.clock.advance(1)
        self.assertEqual(self.got(self.webhook.waiting()), 0)
