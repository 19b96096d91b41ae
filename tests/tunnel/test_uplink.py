"""The agent's cloud service: its states, what it says, and how long it waits."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.test.iosim import connect as join
from twisted.test.iosim import makeFakeClient, makeFakeServer
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.agent import uplink as module
from charging_manager.agent.api_cloud import ShownUplink
from charging_manager.agent.uplink import MOVES, Uplink, UplinkSettings, UplinkState
from charging_manager.cloud.downlink import TunnelFactory
from charging_manager.errors import TunnelError
from charging_manager.tunnel.agent_side import AgentSide
from charging_manager.tunnel.link import RemoteAnswer, RemoteLogin, RemoteRequest
from charging_manager.tunnel.reasons import trouble
from charging_manager.tunnel.tls import Trust
from tests.tunnel.support import PASSWORD, FakeAgent, FakeChannel, FakeCloud, certificate, new_key

KEY = new_key()


class Network:
    """Names, connections and a cloud server, in memory; ``broken`` is why nothing can be reached."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.cloud = FakeCloud(garage=PASSWORD)
        self.factory = TunnelFactory(self.clock, self.cloud, salt_key=b"s" * 32, chance=random.Random(1))
        self.broken: str | None = None
        self.dialled: list[tuple[float, str]] = []
        self.pumps: list[Any] = []
        self.channel = FakeChannel()

    async def resolve(self, _reactor: Any, server: Any) -> list[str]:
        self.dialled.append((self.clock.seconds(), str(server)))
        if self.broken == "name-not-found":
            raise trouble("name-not-found")
        return ["address"]

    async def connect(self, _reactor: Any, _addresses: Any, _tls: Any, side: AgentSide) -> None:
        if self.broken is not None:
            raise trouble(self.broken)
        link = self.factory.buildProtocol(None)
        if link is None:
            raise trouble("unreachable")
        link.channel = FakeChannel()
        self.pumps.append(join(link, makeFakeServer(link), side, makeFakeClient(side), clock=self.clock))
        self.clock.callLater(0, side.begin, self.channel)

    def flush(self) -> None:
        while sum(pump.flush() for pump in list(self.pumps)):
            self.pumps = [p for p in self.pumps if not (p.clientIO.disconnected or p.serverIO.disconnected)]

    def after(self, seconds: float, step: float = 1.0) -> None:
        while seconds > 0:
            self.clock.advance(min(step, seconds))
            self.flush()
            seconds -= step


class Serving(SynchronousTestCase):
    def setUp(self) -> None:
        self.net = Network()
        self.patch(module, "resolve", self.net.resolve)
        self.patch(module, "connect", self.net.connect)
        self.agent = FakeAgent()

    def uplink(self, **changes: Any) -> Uplink:
        settings = UplinkSettings(
            **{
                "key": KEY,
                "enabled": True,
                "server": "cloud.example",
                "cloud_id": "garage",
                "password": PASSWORD,
                **changes,
            }
        )
        self.seen: list[str] = []
        uplink = Uplink(self.net.clock, settings, self.agent, chance=random.Random(7), in_thread=maybeDeferred)
        uplink.watch(lambda: self.seen.append(str(uplink.state)))
        uplink.startService()
        self.net.after(0.1)
        return uplink

    def changed(self, uplink: Uplink, **changes: Any) -> None:
        fields = {name: getattr(uplink.settings, name) for name in ("key", "enabled", "server", "cloud_id", "password")}
        done = Deferred.fromCoroutine(uplink.change(UplinkSettings(**{**fields, **changes})))
        self.net.after(0.1)
        self.successResultOf(done)


class States(Serving):
    def test_the_way_to_a_tunnel_is_told_step_by_step(self) -> None:
        uplink = self.uplink()
        self.assertEqual(self.seen, ["resolving", "connecting", "authenticating", "connected"])
        self.assertEqual((uplink.last_error, uplink.next_try_s), (None, None))
        self.assertEqual(uplink.cloud_program, "charging-manager 0.1.0")

    def test_switched_off_it_does_nothing(self) -> None:
        uplink = self.uplink(enabled=False)
        self.assertEqual((uplink.state, self.net.dialled), (UplinkState.OFF, []))

    def test_without_any_server_it_says_so(self) -> None:
        uplink = self.uplink(server="")
        self.assertEqual((uplink.state, uplink.last_error), (UplinkState.NO_SERVER, "no-server"))
        self.assertEqual(self.net.dialled, [])

    def test_the_default_server_is_entered_by_serial_number(self) -> None:
        self.net.factory.open_enrolment = True
        for server in ("", "https://default.example"):
            uplink = self.uplink(server=server, default_server="default.example:4443", cloud_id="ignored")
            self.assertEqual(uplink.state, UplinkState.CONNECTED)
            self.assertEqual(self.net.cloud.serials, {KEY.serial})

    def test_a_move_that_nobody_drew_is_an_error(self) -> None:
        uplink = self.uplink(enabled=False)
        with self.assertRaises(TunnelError):
            uplink._move(UplinkState.CONNECTED)
        self.assertEqual(set(MOVES), set(UplinkState))

    def test_a_watcher_that_raises_does_not_stop_the_service(self) -> None:
        uplink = self.uplink(enabled=False)
        uplink.watch(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
        self.changed(uplink, enabled=True)
        self.assertEqual(uplink.state, UplinkState.CONNECTED)
        self.assertGreater(len(self.flushLoggedErrors(ZeroDivisionError)), 0)

    def test_changed_settings_restart_it_and_equal_ones_do_not(self) -> None:
        uplink = self.uplink()
        link = self.net.factory.links.need("garage")
        self.changed(uplink)
        self.assertIs(self.net.factory.links.get("garage"), link)
        self.net.cloud.verifiers["house"] = self.net.cloud.verifiers["garage"]
        self.net.after(3)
        self.changed(uplink, cloud_id="house")
        self.assertEqual(uplink.state, UplinkState.CONNECTED)
        self.assertIsNone(self.net.factory.links.get("garage"))
        self.assertIsNotNone(self.net.factory.links.get("house"))

    def test_stopping_says_goodbye_and_leaves_nothing_behind(self) -> None:
        uplink = self.uplink()
        stopped = uplink.stopService()
        self.net.flush()
        self.successResultOf(stopped)
        self.net.after(3)
        self.assertEqual(uplink.state, UplinkState.OFF)
        self.assertEqual(self.net.cloud.events[-1], ("lost", "garage", "stopping"))
        self.assertEqual(self.net.clock.getDelayedCalls(), [])

    def test_stopping_while_it_waits_ends_the_waiting(self) -> None:
        self.net.broken = "unreachable"
        uplink = self.uplink()
        self.successResultOf(uplink.stopService())
        self.assertEqual((uplink.state, self.net.clock.getDelayedCalls()), (UplinkState.OFF, []))

    def test_somebody_who_presses_the_button_does_not_wait(self) -> None:
        self.net.broken = "unreachable"
        uplink = self.uplink()
        self.net.after(50)
        self.net.broken = None
        uplink.try_now()
        self.net.after(0.1)
        self.assertEqual(uplink.state, UplinkState.CONNECTED)


class Authorities(Serving):
    def test_a_file_that_cannot_be_read_is_no_fault_of_the_other_end_and_is_looked_at_again(self) -> None:
        file = Path(self.mktemp())
        with capturedLogs() as captured:
            uplink = self.uplink(trust=Trust(ca=str(file)))
            self.assertEqual((uplink.state, uplink.last_error), (UplinkState.WAITING, "authorities-unreadable"))
            error = ShownUplink(uplink, None).error  # type: ignore[arg-type]
            assert error is not None
            self.assertIn(f"No certificates of authorities can be read from {file}:", error.said("en")["text"])
            self.assertIn(f"Aus {file} können", error.said("de")["text"])
            file.write_bytes(certificate()[0])
            self.net.after(8)
        self.assertEqual((uplink.state, uplink.last_error), (UplinkState.CONNECTED, None))
        said = [formatEvent(e) for e in captured if e["log_level"] is LogLevel.warn]
        self.assertEqual(len(said), 1)
        self.assertIn(f"can be read from {file}: cloud_ca must name a PEM file", said[0])
        self.assertEqual(self.flushLoggedErrors(), [])


class Waiting(Serving):
    def gaps_s(self) -> list[float]:
        times = [at for at, _ in self.net.dialled]
        return [later - earlier for earlier, later in pairwise(times)]

    def test_an_unreachable_server_is_tried_after_2_s_and_at_most_90_s(self) -> None:
        for code in ("unreachable", "name-not-found", "timeout"):
            self.net.broken = code
            uplink = self.uplink()
            self.assertEqual((uplink.state, uplink.last_error), (UplinkState.WAITING, code))
            assert uplink.next_try_s is not None
            self.assertTrue(2 <= uplink.next_try_s <= 6.2)
            self.net.after(1800)
            gaps = self.gaps_s()
            self.assertTrue(all(2 <= gap <= 91 for gap in gaps), gaps)
            self.assertGreater(max(gaps), 20)
            self.successResultOf(uplink.stopService())
            self.net.dialled.clear()

    def test_no_two_tries_are_closer_than_two_seconds_whoever_asks(self) -> None:
        uplink = self.uplink()
        for turn in range(40):
            self.net.broken = (None, "unreachable")[turn % 2]
            uplink.try_now()
            self.changed(uplink, cloud_id=("garage", "house")[turn % 2])
            self.net.after(0.3)
        gaps = self.gaps_s()
        self.assertGreater(len(gaps), 5)
        self.assertGreaterEqual(min(gaps), 2.0)
        self.changed(uplink, server="other.example")  # another server has not been asked yet
        self.assertLess(self.gaps_s()[-1], 2.0)

    def test_a_cloud_that_is_busy_is_asked_again_when_it_said_and_a_little_later(self) -> None:
        async def busy(_reactor: Any, _addresses: Any, _tls: Any, side: AgentSide) -> None:
            side.put_off(said)

        self.patch(module, "connect", busy)
        waits, said = set(), 0
        for seconds, least, most in ((40, 40, 45), (1, 2, 2.2), (9999, 300, 331)):
            said = seconds
            uplink = self.uplink()
            self.assertEqual((uplink.state, uplink.last_error), (UplinkState.WAITING, "busy"))
            assert uplink.next_try_s is not None
            self.assertTrue(least - 0.1 <= uplink.next_try_s <= most, uplink.next_try_s)
            waits.add(uplink.next_try_s % 1)
            self.successResultOf(uplink.stopService())
        self.assertGreater(len(waits), 1)

    def test_a_cloud_that_was_killed_is_back_within_two_minutes(self) -> None:
        uplink = self.uplink()
        self.net.broken = "unreachable"
        self.net.factory.links.need("garage").transport.loseConnection()
        self.net.after(600)
        self.assertEqual(uplink.state, UplinkState.WAITING)
        self.net.broken = None
        self.net.after(95)
        self.assertEqual(uplink.state, UplinkState.CONNECTED)

    def test_a_wrong_password_is_tried_ever_more_slowly(self) -> None:
        uplink = self.uplink(password="not the password")
        self.assertEqual((uplink.state, uplink.last_error), (UplinkState.REFUSED, "refused"))
        self.net.after(4 * 3600, step=5)
        gaps = self.gaps_s()
        self.assertGreaterEqual(min(gaps), 60)
        self.assertGreater(gaps[3], gaps[1])
        self.assertLess(len(gaps), 12)

    def test_a_man_in_the_middle_is_named_and_not_tried_in_a_hurry(self) -> None:
        self.net.channel = FakeChannel(b"his certificate")
        uplink = self.uplink()
        self.assertEqual((uplink.state, uplink.last_error), (UplinkState.REFUSED, "man-in-the-middle"))
        assert uplink.next_try_s is not None
        self.assertGreaterEqual(uplink.next_try_s, 59)

    def test_a_displaced_agent_waits_five_minutes(self) -> None:
        uplink = self.uplink()
        other = Uplink(self.net.clock, uplink.settings, self.agent, in_thread=maybeDeferred)
        other.startService()
        self.net.after(1)
        self.assertEqual((uplink.state, uplink.last_error), (UplinkState.DISPLACED, "displaced"))
        self.assertEqual(other.state, UplinkState.CONNECTED)
        self.net.after(290)
        self.assertEqual(uplink.state, UplinkState.DISPLACED)
        self.net.after(80)
        self.assertEqual(uplink.state, UplinkState.CONNECTED)

    def test_a_deleted_installation_is_refused_and_slow(self) -> None:
        uplink = self.uplink()
        del self.net.cloud.verifiers["garage"]
        self.net.factory.links.close("garage", "deleted")
        self.net.after(1)
        self.assertEqual((uplink.state, uplink.last_error), (UplinkState.REFUSED, "deleted"))

    def test_after_a_restart_it_comes_back_when_it_was_told_to(self) -> None:
        uplink = self.uplink()
        self.successResultOf(self.drained())
        self.assertEqual((uplink.state, uplink.last_error), (UplinkState.WAITING, "restart"))
        assert uplink.next_try_s is not None
        self.assertTrue(1 <= uplink.next_try_s <= 10)
        self.net.factory = TunnelFactory(self.net.clock, self.net.cloud, salt_key=b"s" * 32)
        self.net.after(11)
        self.assertEqual(uplink.state, UplinkState.CONNECTED)

    def drained(self) -> Deferred[None]:
        drained = Deferred.fromCoroutine(self.net.factory.drain())
        self.net.flush()
        return drained

    def test_a_server_that_never_finishes_the_login_is_given_up(self) -> None:
        async def mute(_reactor: Any, _addresses: Any, _tls: Any, side: AgentSide) -> None:
            server = Protocol()
            self.net.pumps.append(join(server, makeFakeServer(server), side, makeFakeClient(side)))

        self.patch(module, "connect", mute)
        uplink = self.uplink()
        self.net.after(16)
        self.assertEqual((uplink.state, uplink.last_error), (UplinkState.WAITING, "timeout"))


class Saying(Serving):
    def test_a_lasting_condition_is_one_line_and_so_is_its_end(self) -> None:
        with capturedLogs() as captured:
            self.net.broken = "unreachable"
            self.uplink()
            self.net.after(1200)
            self.net.broken = None
            self.net.after(100)
        lines = [e["log_format"] for e in captured if e["log_level"] in (LogLevel.warn, LogLevel.info)]
        ours = [line for line in lines if line.startswith(("no tunnel", "tunnel to"))]
        self.assertEqual(ours, ["no tunnel ({code}): {sentence}", "tunnel to {server} is up"])

    def test_an_installation_that_is_removed_and_added_again_is_told_at_once_both_times(self) -> None:
        verifier = self.net.cloud.verifiers["garage"]
        with capturedLogs() as captured:
            uplink = self.uplink()
            for _ in range(3):
                self.net.after(5)
                del self.net.cloud.verifiers["garage"]
                self.net.factory.links.close("garage", "deleted")
                self.net.after(1)
                self.assertIn("no tunnel (deleted): The cloud server's operator has", self.told(captured)[-1])
                self.net.cloud.verifiers["garage"] = verifier
                self.net.after(80)
                self.assertEqual(uplink.state, UplinkState.CONNECTED)
                self.assertEqual(self.told(captured)[-1], "tunnel to cloud.example is up")
        self.assertEqual(len(self.told(captured)), 7)

    def test_what_changed_within_a_minute_is_told_when_it_is_over_if_it_lasts(self) -> None:
        with capturedLogs() as captured:
            self.uplink()
            self.net.broken = "unreachable"
            self.net.factory.links.close("garage", "lost")
            self.net.after(50)
            self.assertEqual(self.told(captured), ["tunnel to cloud.example is up"])
            self.net.after(11)
            self.assertEqual(len(self.told(captured)), 2)
            self.assertIn("no tunnel (unreachable)", self.told(captured)[1])
            self.net.after(3)
            self.net.broken = None
            self.net.after(100)
        self.assertEqual(self.told(captured)[2:], ["tunnel to cloud.example is up"])

    def test_a_service_that_stops_leaves_no_line_for_later(self) -> None:
        with capturedLogs() as captured:
            uplink = self.uplink()
            self.net.broken = "unreachable"
            self.net.factory.links.close("garage", "lost")
            self.net.after(20)
            self.successResultOf(uplink.stopService())
            self.assertEqual(self.net.clock.getDelayedCalls(), [])
            self.net.after(100)
        self.assertEqual(self.told(captured), ["tunnel to cloud.example is up"])

    @staticmethod
    def told(captured: Any) -> list[str]:
        said = [formatEvent(e) for e in captured if "log_format" in e]
        return [line for line in said if line.startswith(("no tunnel", "tunnel to"))]

    def test_conditions_that_alternate_make_no_more_than_a_line_a_minute(self) -> None:
        with capturedLogs() as captured:
            self.uplink()
            for turn in range(600):
                self.net.broken = ("unreachable", "timeout", "name-not-found")[turn % 3]
                self.net.after(1)
        lines = [e for e in captured if e.get("log_format", "").startswith("no tunnel")]
        self.assertLessEqual(len(lines), 11)

    def test_no_password_or_token_is_ever_logged(self) -> None:
        with capturedLogs() as captured:
            uplink = self.uplink(password="canary-password")
            self.net.after(100)
            self.changed(uplink, password=PASSWORD)
            link = self.net.factory.links.need("garage")
            asked = Deferred.fromCoroutine(link.login(RemoteLogin("canary-secret", True)))
            self.net.flush()
            self.failureResultOf(asked)
        text = repr(captured) + repr(uplink.settings)
        self.assertNotIn("canary", text)


class Hurry(Serving):
    def test_settings_changed_twice_at_once_end_with_the_last_ones(self) -> None:
        uplink = self.uplink()
        self.net.cloud.verifiers["house"] = self.net.cloud.verifiers["garage"]
        held: Deferred[Any] = Deferred()
        self.agent.answers["/slow"] = lambda _: held
        link = self.net.factory.links.need("garage")
        asked = Deferred.fromCoroutine(link.request("t", RemoteRequest("GET", "/slow")))
        self.net.flush()
        fields = {"key": KEY, "enabled": True, "server": "cloud.example", "password": PASSWORD}
        first = Deferred.fromCoroutine(uplink.change(UplinkSettings(**fields, cloud_id="other")))
        second = Deferred.fromCoroutine(uplink.change(UplinkSettings(**fields, cloud_id="house")))
        self.net.after(0.1)
        self.assertNoResult(first)  # a question under way is answered first
        self.net.after(3)
        held.callback(RemoteAnswer(204))
        self.net.after(1)
        self.successResultOf(first)
        self.successResultOf(second)
        self.assertEqual(self.successResultOf(asked).status, 204)
        self.assertEqual(uplink.state, UplinkState.CONNECTED)
        self.assertEqual([link.cloud_id for link in self.net.factory.links], ["house"])
        self.assertNotIn("waiting", self.seen)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_service_that_is_stopped_while_its_settings_change_stays_off(self) -> None:
        uplink = self.uplink()
        fields = {"key": KEY, "enabled": True, "server": "other.example", "cloud_id": "garage", "password": PASSWORD}
        changed = Deferred.fromCoroutine(uplink.change(UplinkSettings(**fields)))
        stopped = uplink.stopService()
        self.net.after(10)
        self.successResultOf(changed)
        self.successResultOf(stopped)
        self.assertEqual(uplink.state, UplinkState.OFF)
        self.assertEqual(len(self.net.factory.links), 0)
