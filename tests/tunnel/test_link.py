"""A link from its first box to its last: logins, guards, time limits, displacement, draining."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols import amp
from twisted.test.iosim import connect, makeFakeClient, makeFakeServer
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.cloud.downlink import TunnelFactory
from charging_manager.errors import TunnelError
from charging_manager.tunnel import bounds, commands
from charging_manager.tunnel.cloud_side import Link
from charging_manager.tunnel.link import RemoteAnswer, RemoteGrant, RemoteLogin, RemoteRequest
from charging_manager.tunnel.reasons import Refusal
from charging_manager.tunnel.scram import ScramLogin, ScramVerifier, make_verifier
from tests.tunnel.support import (
    PASSWORD,
    Bulk,
    Collected,
    FakeAgent,
    FakeChannel,
    FakeCloud,
    Tunnel,
    new_key,
    verifier_of,
)

MANY = 5000 if os.environ.get("CM_LONG") else 40


class Linked(SynchronousTestCase):
    def ask(self, tunnel: Tunnel, question: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        asked = Deferred.fromCoroutine(question)
        tunnel.flush()
        return asked

    def code(self, asked: Deferred[Any]) -> str:
        return str(self.failureResultOf(asked, TunnelError).value.code)

    def entered(self, tunnel: Tunnel) -> str:
        """The cloud's program, or the code of the failure."""
        result = tunnel.entered[0]
        return result if isinstance(result, str) else result.value.code


class TwoPasswords(FakeCloud):
    """The installation "garage" is about to change its password."""

    def __init__(self, *verifiers: ScramVerifier) -> None:
        super().__init__()
        self.both, self.proofs = list(verifiers), list[ScramVerifier]()

    async def verifiers_of(self, cloud_id: str) -> list[ScramVerifier]:
        return self.both

    async def proved(self, cloud_id: str, verifier: ScramVerifier) -> bool:
        self.proofs.append(verifier)
        return True


class ComingIn(Linked):
    def test_the_right_password_connects_without_regard_to_case(self) -> None:
        tunnel = Tunnel(cloud_id="GaRaGe")
        self.assertEqual(self.entered(tunnel), "charging-manager 0.1.0")
        self.assertEqual(tunnel.cloud.events, [("connected", "garage", "")])
        self.assertIs(tunnel.factory.links.get("GARAGE"), tunnel.link)
        self.assertEqual(tunnel.link.program, "test agent 1")

    def test_guessing_an_installations_password_is_slowed_down_whether_it_exists_or_not(self) -> None:
        for cloud_id in ("garage", "nobody"):
            clock, cloud = Clock(), FakeCloud(garage=PASSWORD)
            factory = TunnelFactory(clock, cloud, salt_key=b"s" * 32)
            codes = [
                Tunnel(cloud=cloud, clock=clock, factory=factory, cloud_id=cloud_id, password=f"guess {n}").entered[0]
                for n in range(8)
            ]
            self.assertEqual([failure.value.code for failure in codes], ["refused"] * 5 + ["busy"] * 3)
            right = Tunnel(cloud=cloud, clock=clock, factory=factory, cloud_id=cloud_id)
            self.assertEqual(right.entered[0].value.code, "busy")
            clock.advance(2)
            late = Tunnel(cloud=cloud, clock=clock, factory=factory, cloud_id=cloud_id)
            self.assertEqual(late.link.admitted, cloud_id == "garage")

    def test_a_wrong_password_and_an_unknown_id_look_the_same(self) -> None:
        for tunnel in (Tunnel(password="wrong password"), Tunnel(cloud_id="nobody")):
            self.assertEqual(self.entered(tunnel), "refused")
            self.assertEqual(tunnel.gone, ["refused"])
            self.assertEqual(tunnel.cloud.events, [])

    def test_an_unknown_id_gets_the_same_salt_each_time_and_another_id_another(self) -> None:
        def salt(name: str, key: bytes = b"salt" * 8) -> str:
            clock = Clock()
            link = TunnelFactory(clock, FakeCloud(), salt_key=key).buildProtocol(None)
            assert link is not None
            link.channel = FakeChannel()
            transport = StringTransport()
            link.makeConnection(transport)
            first = ScramLogin(name, PASSWORD, b"certificate").first()
            fields = {"versions": [1], "program": "x", "cloud_id": name, "method": commands.SCRAM, "message": first}
            box = commands.Enter.makeArguments(fields, link)
            box.update({b"_command": b"Enter", b"_ask": b"1"})
            link.dataReceived(box.serialize())
            message = amp.parseString(transport.value())[0][b"message"].decode()
            return message.split(",")[1] + message.split(",")[2]

        self.assertEqual(salt("nobody"), salt("Nobody"))
        self.assertNotEqual(salt("nobody"), salt("somebody"))
        self.assertNotEqual(salt("nobody"), salt("nobody", b"else" * 8))

    def test_another_certificate_in_between_gets_no_login_and_is_named(self) -> None:
        tunnel = Tunnel(agent_channel=FakeChannel(b"the man's own certificate"))
        self.assertEqual(self.entered(tunnel), "man-in-the-middle")
        self.assertEqual(tunnel.cloud.events, [])

    def test_a_cloud_that_knows_no_verifier_cannot_pretend(self) -> None:
        tunnel = Tunnel(enter=False)
        tunnel.side.begin(FakeChannel())
        forged = tunnel.link._step

        async def pretend(*step: Any) -> bytes:
            await forged(*step)
            return b"v=" + b"A" * 43 + b"="

        async def challenge_then_pretend(program: str, cloud_id: str, method: str, message: bytes) -> bytes:
            if tunnel.link._proof is None:
                return await forged(program, cloud_id, method, message)
            return await pretend(program, cloud_id, method, message)

        tunnel.link._step = challenge_then_pretend  # type: ignore[method-assign]
        tunnel.flush()
        self.assertEqual(self.entered(tunnel), "server-not-genuine")
        self.assertEqual(tunnel.agent.logins, [])

    def test_a_deleted_installation_is_out_even_between_the_steps(self) -> None:
        tunnel = Tunnel(enter=False)

        async def known_until_now(_name: str) -> Any:
            return [tunnel.cloud.verifiers.pop("garage")] if "garage" in tunnel.cloud.verifiers else []

        tunnel.cloud.verifiers_of = known_until_now  # type: ignore[method-assign]
        tunnel.side.begin(FakeChannel())
        tunnel.flush()
        self.assertEqual(self.entered(tunnel), "refused")

    def test_an_old_and_a_new_password_both_count_and_it_is_told_which(self) -> None:
        old = verifier_of()
        new = make_verifier("the new password", beside=old)
        for password, proved in ((PASSWORD, old), ("the new password", new), ("neither of them", None)):
            cloud = TwoPasswords(old, new)
            tunnel = Tunnel(cloud=cloud, password=password)
            self.assertEqual(tunnel.link.admitted, proved is not None)
            self.assertEqual(cloud.proofs, [proved] if proved else [])

    def test_a_cloud_without_admin_password_says_so(self) -> None:
        cloud = FakeCloud(garage=PASSWORD)
        cloud.is_ready = False
        self.assertEqual(self.entered(Tunnel(cloud=cloud)), "not-ready")

    def test_an_own_key_enters_only_where_enrolment_is_open(self) -> None:
        key = new_key()
        self.assertEqual(self.entered(Tunnel(cloud_id="", key=key)), "enrolment-closed")
        clock, cloud = Clock(), FakeCloud()
        factory = TunnelFactory(clock, cloud, salt_key=b"s" * 32, open_enrolment=True)
        tunnel = Tunnel(cloud=cloud, factory=factory, clock=clock, cloud_id="", key=key)
        self.assertEqual(cloud.events, [("connected", key.serial, "")])
        self.assertTrue(tunnel.link.own_key)

    def test_a_signature_for_another_connection_is_worth_nothing(self) -> None:
        clock, cloud = Clock(), FakeCloud()
        factory = TunnelFactory(clock, cloud, salt_key=b"s" * 32, open_enrolment=True)
        channel = FakeChannel(exporter=b"of another connection")
        tunnel = Tunnel(cloud=cloud, factory=factory, clock=clock, cloud_id="", agent_channel=channel)
        self.assertEqual((self.entered(tunnel), cloud.events), ("refused", []))

    def test_versions_without_a_common_one_are_refused(self) -> None:
        self.patch(commands, "VERSIONS", (2,))
        tunnel = Tunnel(enter=False)
        asked = tunnel.side.ask(
            commands.Enter, 10, versions=[7], program="x", cloud_id="garage", method=commands.SCRAM, message=b""
        )
        tunnel.flush()
        self.assertEqual(self.code(asked), "versions")

    def test_whoever_says_nothing_is_gone_after_ten_seconds(self) -> None:
        tunnel = Tunnel(enter=False)
        tunnel.after(9)
        self.assertIsNotNone(tunnel.link.transport)
        tunnel.after(1.5)
        self.assertIsNone(tunnel.link.transport)

    def test_before_login_the_cloud_answers_nothing_but_enter(self) -> None:
        for command in (b"Ping", b"Goodbye", b"o", b"StartTLS", b"_switch"):
            tunnel = Tunnel(enter=False)
            tunnel.agent_io.write(amp.AmpBox(_command=command, _ask=b"1", i=b"1").serialize())
            tunnel.flush()
            self.assertEqual(tunnel.link.closing, "protocol", command)

    def test_before_login_the_agent_answers_nothing_at_all(self) -> None:
        for command in (b"Login", b"Request", b"Ping", b"Enter"):
            tunnel = Tunnel(enter=False)
            tunnel.cloud_io.write(amp.AmpBox(_command=command, _ask=b"1").serialize())
            tunnel.flush()
            self.assertEqual(tunnel.side.closing, "protocol", command)
            self.assertEqual((tunnel.agent.logins, tunnel.agent.seen), ([], []))

    def test_before_login_a_large_box_closes_the_connection(self) -> None:
        tunnel = Tunnel(enter=False)
        tunnel.agent_io.write(amp.AmpBox(_command=b"Enter", _ask=b"1", message=b"x" * 5000).serialize())
        tunnel.flush()
        self.assertEqual(tunnel.link.closing, "protocol")

    def test_two_steps_at_once_close_the_connection(self) -> None:
        tunnel = Tunnel(enter=False)
        waiting: Deferred[None] = Deferred()

        async def slow(_name: str) -> None:
            await waiting

        tunnel.cloud.verifiers_of = slow  # type: ignore[assignment, method-assign]
        tunnel.side.begin(FakeChannel())
        tunnel.flush()
        tunnel.side.ask(
            commands.Enter, 10, versions=[1], program="", cloud_id="garage", method=commands.SCRAM, message=b"x"
        ).addErrback(lambda _: None)
        tunnel.flush()
        self.assertEqual(tunnel.link.closing, "protocol")


class Asking(Linked):
    def setUp(self) -> None:
        self.tunnel = Tunnel()
        self.link, self.agent = self.tunnel.link, self.tunnel.agent

    def test_a_login_carries_what_was_typed_and_brings_a_token(self) -> None:
        login = RemoteLogin("open sesame", True, "fr", "192.0.2.7", trusted_device=True)
        grant = self.successResultOf(self.ask(self.tunnel, self.link.login(login)))
        self.assertEqual(grant, RemoteGrant("token-0", "admin", "fr"))
        self.assertEqual(self.agent.logins, [login])

    def test_a_refused_login_says_only_that(self) -> None:
        async def true_reason(_login: RemoteLogin) -> RemoteGrant:
            raise Refusal("the admin password is empty")

        self.agent.login = true_reason  # type: ignore[method-assign]
        self.assertEqual(self.code(self.ask(self.tunnel, self.link.login(RemoteLogin("x", False)))), "refused")

    def test_a_login_is_given_up_after_two_and_a_half_seconds_and_a_late_token_is_ended(self) -> None:
        late: Deferred[RemoteGrant] = Deferred()

        async def slow(_login: RemoteLogin) -> RemoteGrant:
            return await late

        self.agent.login = slow  # type: ignore[method-assign]
        self.agent.tokens.add("late")
        asked = self.ask(self.tunnel, self.link.login(RemoteLogin("open sesame", True)))
        self.tunnel.after(2.4)
        self.assertNoResult(asked)
        self.tunnel.after(0.2)
        self.assertEqual(self.code(asked), "timeout")
        late.callback(RemoteGrant("late", "admin"))
        self.tunnel.flush()
        self.assertEqual(self.agent.tokens, set())

    def test_a_request_carries_its_fields_and_brings_the_answer(self) -> None:
        self.agent.answers["/api/v1/x"] = lambda _: RemoteAnswer(422, "application/problem+json", b"{}", "x.json")
        request = RemoteRequest(
            "PUT", "/api/v1/x", "a=1&b=%20", "application/json", b'{"mode": "fast"}', {"last-event-id": "é 7"}
        )
        answer = self.successResultOf(self.ask(self.tunnel, self.link.request("secret token", request)))
        self.assertEqual(answer, RemoteAnswer(422, "application/problem+json", b"{}", "x.json"))
        self.assertEqual(self.agent.seen, [("secret token", request)])

    def test_headers_that_could_smuggle_lines_are_not_sent(self) -> None:
        for headers in ({"a": "b\nc: d"}, {"a": "b\r"}, {f"h{n}": "x" for n in range(9)}):
            asked = self.ask(self.tunnel, self.link.request("t", RemoteRequest("GET", "/", headers=headers)))
            self.assertEqual(self.code(asked), "protocol")

    def test_an_unknown_token_is_told_apart(self) -> None:
        def refuse(_request: RemoteRequest) -> RemoteAnswer:
            raise Refusal("token-refused")

        self.agent.answers["/"] = refuse
        asked = self.ask(self.tunnel, self.link.request("invented", RemoteRequest("GET", "/")))
        self.assertEqual(self.code(asked), "token-refused")

    def test_a_mistake_of_ours_in_an_answer_does_not_close_the_tunnel(self) -> None:
        def mistake(_request: RemoteRequest) -> RemoteAnswer:
            raise ZeroDivisionError

        self.agent.answers["/"] = mistake
        asked = self.ask(self.tunnel, self.link.request("t", RemoteRequest("GET", "/")))
        self.assertEqual(self.code(asked), "failed")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.tunnel.gone, [])

    def test_an_error_that_nobody_awaits_does_not_close_the_tunnel(self) -> None:
        def refuse(_request: RemoteRequest) -> RemoteAnswer:
            raise Refusal("token-refused")

        self.agent.answers["/"] = refuse
        asked = self.link.ask(commands.Request, 30, token="t", method="GET", path="/")
        self.tunnel.flush()
        self.assertEqual(self.tunnel.gone, [])
        self.assertEqual(self.code(asked), "token-refused")

    def test_an_answer_after_the_time_limit_is_dropped_its_stream_included(self) -> None:
        late: Deferred[RemoteAnswer] = Deferred()
        self.agent.answers["/"] = lambda _: late
        asked = self.ask(self.tunnel, self.link.request("t", RemoteRequest("GET", "/"), timeout_s=3))
        self.tunnel.after(3.1)
        self.assertEqual(self.code(asked), "timeout")
        late.callback(RemoteAnswer(200, "text/csv", b"x" * 100_000))
        self.tunnel.flush()
        self.assertEqual((self.link.streams.open_count, self.tunnel.side.streams.open_count), (0, 0))

    def test_sixty_four_questions_may_wait_and_no_more(self) -> None:
        held: list[Deferred[RemoteAnswer]] = []
        self.agent.answers["/"] = lambda _: held.append(Deferred()) or held[-1]
        waiting = [self.ask(self.tunnel, self.link.request("t", RemoteRequest("GET", "/"))) for _ in range(64)]
        self.assertEqual(self.code(self.ask(self.tunnel, self.link.request("t", RemoteRequest("GET", "/")))), "busy")
        self.assertEqual(self.tunnel.gone, [])
        for answer in held:
            answer.callback(RemoteAnswer(200))
        self.tunnel.flush()
        self.assertEqual({self.successResultOf(w).status for w in waiting}, {200})

    def test_a_peer_with_more_than_sixty_four_questions_is_cut_off(self) -> None:
        self.agent.answers["/"] = lambda _: Deferred()
        fields = {"token": "t", "method": "GET", "path": "/"}
        for number in range(65):
            box = commands.Request.makeArguments(fields, self.link)
            box.update({b"_command": b"Request", b"_ask": b"%d" % number})
            self.tunnel.cloud_io.write(box.serialize())
        self.tunnel.flush()
        self.assertEqual(self.tunnel.side.closing, "protocol")

    def test_a_command_of_a_newer_version_is_answered_with_unknown(self) -> None:
        class Newer(amp.Command):
            commandName = b"Newer"

        self.assertEqual(self.code(self.ask_raw(Newer)), "failed")
        self.assertEqual(self.tunnel.gone, [])

    def ask_raw(self, command: type[amp.Command]) -> Deferred[Any]:
        asked = self.link.ask(command, 5)
        self.tunnel.flush()
        return asked

    def test_a_peer_that_does_not_read_is_cut_off_at_a_mebibyte(self) -> None:
        self.link.pauseProducing()
        for _ in range(bounds.QUEUED_BYTES // 1000 + 10):
            self.link.sendBox(amp.AmpBox(_command=b"x", i=b"1", filler=b"y" * 1000))
        self.assertEqual(self.link.closing, "overloaded")

    def test_what_is_asked_when_the_tunnel_breaks_fails_at_once(self) -> None:
        never: Deferred[RemoteAnswer] = Deferred()
        self.agent.answers["/"] = lambda _: never
        asked = self.ask(self.tunnel, self.link.request("t", RemoteRequest("GET", "/")))
        self.tunnel.side.transport.loseConnection()
        self.tunnel.flush()
        self.assertEqual(self.code(asked), "lost")
        self.assertEqual(self.code(self.ask(self.tunnel, self.link.logout("t"))), "offline")


class StayingAlive(Linked):
    def test_a_quiet_tunnel_stays_up_by_pings(self) -> None:
        tunnel = Tunnel()
        tunnel.after(600)
        self.assertEqual(tunnel.gone, [])
        self.assertLess(tunnel.link.quiet_s, 16)

    def test_a_half_open_connection_is_noticed_within_45_s_at_both_ends(self) -> None:
        tunnel = Tunnel()
        tunnel.after(7)
        tunnel.clock.advance(0)
        for _ in range(45):
            tunnel.clock.advance(1)  # and nothing is carried
        self.assertEqual((tunnel.side.closing, tunnel.link.closing), ("silent", "silent"))

    def test_nothing_is_left_on_the_clock_when_it_is_gone(self) -> None:
        tunnel = Tunnel()
        tunnel.link.hang_up("restart")
        tunnel.flush()
        self.assertEqual(tunnel.clock.getDelayedCalls(), [])


class Several(Linked):
    def second(self, first: Tunnel, **changes: Any) -> Tunnel:
        return Tunnel(cloud=first.cloud, factory=first.factory, clock=first.clock, **changes)

    def test_the_newest_login_wins_and_the_older_agent_is_told(self) -> None:
        first = Tunnel()
        second = self.second(first)
        first.flush()
        self.assertEqual(first.gone, ["displaced"])
        self.assertEqual(second.gone, [])
        self.assertIs(first.factory.links.get("garage"), second.link)
        self.assertEqual(first.cloud.events[-1], ("lost", "garage", "displaced"))

    def test_a_wrong_password_does_not_disturb_the_live_one(self) -> None:
        first = Tunnel()
        second = self.second(first, password="a wrong password")
        first.flush()
        self.assertEqual((self.entered(second), first.gone), ("refused", []))
        self.assertIs(first.factory.links.get("garage"), first.link)

    def test_a_deleted_installation_is_cut_off_within_a_second_even_if_it_says_nothing(self) -> None:
        tunnel = Tunnel()
        tunnel.factory.links.close("Garage", "deleted")
        self.assertEqual(self.code(Deferred.fromCoroutine(tunnel.link.login(RemoteLogin("x", True)))), "draining")
        for _ in range(10):
            tunnel.clock.advance(0.1)
        self.assertTrue(tunnel.cloud_io.disconnecting)

    def test_a_deleted_installations_agent_is_told_why(self) -> None:
        tunnel = Tunnel()
        tunnel.factory.links.close("garage", "deleted")
        tunnel.flush()
        self.assertEqual(tunnel.gone, ["deleted"])
        self.assertIsNone(tunnel.factory.links.get("garage"))

    def test_draining_answers_what_is_asked_and_tells_agents_when_to_come_back(self) -> None:
        tunnel = Tunnel()
        slow: Deferred[RemoteAnswer] = Deferred()
        tunnel.agent.answers["/"] = lambda _: slow
        asked = self.ask(tunnel, tunnel.link.request("t", RemoteRequest("GET", "/")))
        drained = self.ask(tunnel, tunnel.factory.drain())
        self.assertEqual(self.code(self.ask(tunnel, tunnel.link.request("t", RemoteRequest("GET", "/")))), "draining")
        self.assertIsNone(tunnel.factory.buildProtocol(None))
        tunnel.after(2)
        slow.callback(RemoteAnswer(204))
        tunnel.flush()
        self.assertEqual(self.successResultOf(asked).status, 204)
        self.successResultOf(drained)
        assert tunnel.side.farewell is not None
        reason, come_back_s = tunnel.side.farewell
        self.assertEqual((reason, tunnel.gone), ("restart", ["restart"]))
        self.assertTrue(2 <= come_back_s <= 10)

    def test_draining_waits_five_seconds_and_no_more(self) -> None:
        tunnel = Tunnel()
        tunnel.agent.answers["/"] = lambda _: Deferred()
        asked = self.ask(tunnel, tunnel.link.request("t", RemoteRequest("GET", "/")))
        drained = self.ask(tunnel, tunnel.factory.drain())
        tunnel.after(4.5, step=0.5)
        self.assertNoResult(drained)
        tunnel.after(1, step=0.5)
        self.successResultOf(drained)
        self.assertEqual(self.code(asked), "restart")

    def test_an_agent_that_leaves_answers_first_and_says_goodbye(self) -> None:
        tunnel = Tunnel()
        slow: Deferred[RemoteAnswer] = Deferred()
        tunnel.agent.answers["/"] = lambda _: slow
        asked = self.ask(tunnel, tunnel.link.request("t", RemoteRequest("GET", "/")))
        left = self.ask(tunnel, tunnel.side.leave("stopping"))
        slow.callback(RemoteAnswer(204))
        tunnel.flush()
        self.assertEqual(self.successResultOf(asked).status, 204)
        self.successResultOf(left)
        self.assertEqual(tunnel.cloud.events[-1], ("lost", "garage", "stopping"))

    def test_strangers_are_limited(self) -> None:
        factory = TunnelFactory(Clock(), FakeCloud(), salt_key=b"s" * 32)
        came = [factory.buildProtocol(None) for _ in range(1100)]
        self.assertEqual(sum(link is not None for link in came), 1024)

    def test_a_source_that_fills_the_waiting_room_makes_way_for_others(self) -> None:
        clock = Clock()
        factory = TunnelFactory(clock, FakeCloud(), salt_key=b"s" * 32)

        def come(host: str) -> Link | None:
            link = factory.buildProtocol(IPv4Address("TCP", host, 1))
            if link is not None:
                link.makeConnection(StringTransport(hostAddress=None, peerAddress=IPv4Address("TCP", host, 1)))
            return link

        flood = [come("192.0.2.66") for _ in range(1024)]
        self.assertIsNone(come("192.0.2.66"))
        honest = come("198.51.100.1")
        assert honest is not None and flood[0] is not None and flood[1] is not None
        self.assertEqual((flood[0].closing, flood[1].closing, honest.closing), ("busy", None, None))
        # The place is another's now: the flood does not get it back.
        self.assertIsNone(come("192.0.2.66"))
        self.assertIsNone(honest.closing)


class StockAmp(Linked):
    """Another implementation: Twisted's own AMP with the command table and nothing else of ours."""

    def test_an_agent_that_gives_one_stream_to_two_readers_leaves_the_first_alone(self) -> None:
        tunnel = Tunnel()
        tunnel.agent.answers["/"] = lambda _: Bulk().stream()
        first = self.successResultOf(self.ask(tunnel, tunnel.link.request("t", RemoteRequest("GET", "/"))))
        reader = Collected(slow=True)
        first.start(reader)
        tunnel.flush()
        packed = tunnel.side._packed
        tunnel.side._packed = lambda answer: {**packed(RemoteAnswer(200)), "stream": 1}  # type: ignore[method-assign]
        second = self.ask(tunnel, tunnel.link.request("t", RemoteRequest("GET", "/")))
        self.assertEqual(self.code(second), "failed")
        self.assertFalse(reader.ended or reader.failed)
        self.assertTrue(reader.data)

    def test_a_stock_agent_logs_in_and_answers(self) -> None:
        clock, cloud = Clock(), FakeCloud(garage=PASSWORD)
        link = TunnelFactory(clock, cloud, salt_key=b"s" * 32).buildProtocol(None)
        assert link is not None
        link.channel = FakeChannel()

        class Stock(amp.AMP):
            @commands.Request.responder
            def request(self, **fields: Any) -> dict[str, Any]:
                self.callRemote(commands.StreamOpen, i=1)
                self.callRemote(commands.StreamData, i=1, p=fields["path"].encode())
                self.callRemote(commands.StreamEnd, i=1)
                return {"status": 200, "content_type": "text/csv", "stream": 1}

            @commands.StreamCredit.responder
            def credit(self, i: int, n: int) -> dict[str, Any]:
                return {}

            @commands.StreamClose.responder
            def close(self, i: int) -> dict[str, Any]:
                self.closed = i
                return {}

        stock = Stock()
        pump = connect(link, makeFakeServer(link), stock, makeFakeClient(stock), clock=clock)
        login = ScramLogin("garage", PASSWORD, b"certificate")
        common = {"versions": [1], "program": "stock", "cloud_id": "garage", "method": commands.SCRAM}
        first = stock.callRemote(commands.Enter, message=login.first(), **common)
        pump.flush()
        login.challenged(self.successResultOf(first)["message"])
        final = stock.callRemote(commands.Enter, message=login.final(), **common)
        pump.flush()
        login.verified(self.successResultOf(final)["message"])
        asked = Deferred.fromCoroutine(link.request("t", RemoteRequest("GET", "/stock")))
        pump.flush()
        sink = Collected()
        self.successResultOf(asked).start(sink)
        pump.flush()
        self.assertEqual((bytes(sink.data), sink.ended, stock.closed), (b"/stock", True, 1))


hostile_boxes = st.dictionaries(
    st.sampled_from(
        [b"_command", b"_ask", b"_answer", b"_error", b"_error_code", b"i", b"n", b"p", b"message", b"token", b"path"]
    ),
    st.sampled_from(
        [b"o", b"d", b"c", b"f", b"x", b"Enter", b"Login", b"Request", b"Goodbye", b"Ping", b"1", b"2", b"3", b"-1"]
        + [b"", b"99999999999999999999", b"x" * 3000, b"\xff\xfe"]
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=MANY, deadline=None)
@given(st.lists(hostile_boxes, max_size=25), st.booleans(), st.booleans())
def test_hostile_boxes_close_at_most_their_own_connection(
    sent: list[dict[bytes, bytes]], admitted: bool, to_agent: bool
) -> None:
    neighbour = Tunnel()
    tunnel = Tunnel(
        agent=FakeAgent(), cloud=neighbour.cloud, factory=neighbour.factory, clock=neighbour.clock, enter=False
    )
    if admitted:
        tunnel.cloud.verifiers["other"] = tunnel.cloud.verifiers["garage"]
        tunnel.side._credentials = type(tunnel.side._credentials)(new_key(), "other", PASSWORD)
        tunnel.side.begin(FakeChannel())
        tunnel.flush()
    transport = tunnel.cloud_io if to_agent else tunnel.agent_io
    for box in sent:
        transport.write(amp.AmpBox(box).serialize())
        tunnel.flush()
    for end in (tunnel.link, tunnel.side):
        assert end.streams.queued_bytes <= bounds.QUEUED_BYTES
        assert end._boxes.held_bytes <= end._boxes.box_bytes
    answers: list[Any] = []
    Deferred.fromCoroutine(neighbour.link.request("t", RemoteRequest("GET", "/"))).addBoth(answers.append)
    neighbour.flush()
    assert answers[0].status == 200
    if not admitted:
        assert tunnel.agent.seen == []
        assert tunnel.agent.logins == []
