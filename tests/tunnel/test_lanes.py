"""Lanes between a cloud and an agent, over socket pairs: what is needed to be one, how many wait, and every end."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.cloud.lanes import HOLD_OFF_S, KEPT_S, READY, Lanes, WaitingLane
from charging_manager.cloud.splice import UNRECOGNIZED_NAME
from charging_manager.tunnel import bounds, commands
from charging_manager.tunnel.lanes import GREETING, HELLO_BYTES, TICKET_BYTES, Ticket, number_in, pack, unpack
from charging_manager.tunnel.reasons import Violation
from tests.support.loop import Loop, Peer
from tests.tunnel.test_splice import NAME, Ear, Whole, _Producer


class Tickets(SynchronousTestCase):
    def test_a_hello_shows_the_number_and_not_the_secret(self) -> None:
        ticket = Ticket.new()
        hello = ticket.hello()
        self.assertEqual(len(hello), HELLO_BYTES)
        self.assertEqual(number_in(hello), ticket.number)
        self.assertNotIn(ticket.secret, hello)
        self.assertTrue(ticket.is_held_by(hello))
        self.assertNotIn(str(ticket.secret), repr(ticket))
        for other in (Ticket.new(), evolve(ticket, secret=b"?" * 32)):
            self.assertFalse(ticket.is_held_by(other.hello()))

    def test_what_is_no_hello_has_no_number(self) -> None:
        hello = Ticket.new().hello()
        for other in (b"", GREETING, hello[:-1], hello + b"x", b"\x16" + hello[1:], hello[1:] + b"x"):
            self.assertIsNone(number_in(other), other)

    def test_tickets_travel_together_up_to_a_bound(self) -> None:
        tickets = [Ticket.new() for _ in range(bounds.LANES)]
        self.assertEqual(unpack(pack(tickets)), tickets)
        for data in (b"", b"x" * (TICKET_BYTES + 1), pack([*tickets, Ticket.new()])):
            with self.assertRaises(Violation):
                unpack(data)


class _Arriving(Protocol):
    """A connection at the cloud's port that has greeted."""

    transport: Any

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._got = b""

    def dataReceived(self, data: bytes) -> None:
        self._got += data
        if len(self._got) < HELLO_BYTES:
            return
        protocol = self._lanes.admit(self._got)
        if protocol is None:
            self.transport.abortConnection()
            return
        self.transport.protocol = protocol
        protocol.makeConnection(self.transport)


class Carrying(SynchronousTestCase):
    def setUp(self) -> None:
        self.loop = Loop()
        self.lanes = Lanes(self.loop)
        self.whole = Whole(self, self.loop, self.lanes)
        self.dialled = 0
        self.dead_end: Deferred[Any] | None = None
        self.lose_one = False
        self.tunnel = self.whole.agent(dial=self.dial)
        self.whole.claim(self.tunnel)
        self.peers: list[Peer] = []
        self.addCleanup(self.end)

    def dial(self, address: Any, lane: Protocol) -> Deferred[Any]:
        self.dialled += 1
        if self.dead_end is not None:
            return self.dead_end
        if self.lose_one:
            self.lose_one = False
            return Deferred()
        self.loop.join(_Arriving(self.lanes), lane)
        return succeed(lane)

    def end(self) -> None:
        self.tunnel.side.hang_up("stopping", now=True)
        self.settle()
        self.assertEqual((len(self.whole.board), len(self.lanes), len(self.lanes.tickets)), (0, 0, 0))
        for peer in self.peers:
            peer.socket.close()
        self.loop.advance(10)
        self.settle()
        self.assertEqual(self.loop.getDelayedCalls(), [])
        self.assertEqual((self.loop._readers, self.loop._writers), (set(), set()))

    def settle(self) -> None:
        for _ in range(4):
            self.loop.settle()
            self.tunnel.flush()

    def after(self, seconds: float) -> None:
        while seconds > 0:
            self.loop.advance(min(seconds, 1.0))
            self.settle()
            seconds -= 1.0

    def come(self, data: bytes = b"hello", source: str = "192.0.2.7") -> Peer:
        protocol: Any = self.whole.board.passed_on(NAME, source)
        peer = self.loop.connect(protocol, source)
        self.peers.append(peer)
        protocol.dataReceived(data)
        self.settle()
        return peer

    def warm(self) -> Peer:
        """The first browser, which comes in a stream."""
        peer = self.come(b"first")
        self.assertEqual(self.streams, 2)
        return peer

    @property
    def streams(self) -> int:
        return self.tunnel.link.streams.open_count

    @property
    def ear(self) -> Ear:
        return self.whole.here.ears[-1]

    def test_at_rest_there_are_none_and_with_the_first_browser_a_few(self) -> None:
        self.assertEqual((self.dialled, len(self.lanes)), (0, 0))
        self.warm()
        self.assertEqual((self.dialled, len(self.lanes)), (READY, READY))
        self.after(KEPT_S + 1)
        self.assertEqual(len(self.lanes), 0)
        self.come()
        self.assertEqual(self.streams, 4)
        self.assertEqual(len(self.lanes), READY)

    def test_the_next_browser_has_a_lane_and_bytes_go_both_ways(self) -> None:
        self.warm()
        browser = self.come(b"client hello")
        self.assertEqual(self.streams, 2)
        self.assertEqual(self.ear.heard, b"client hello")
        self.assertEqual(self.ear.transport.getPeer().host, "cloud 192.0.2.7")
        self.ear.transport.write(b"server hello" * 100_000)
        self.assertEqual(browser.hear(), b"server hello" * 100_000)
        browser.say(b"more" * 50_000)
        self.settle()
        self.assertEqual(len(self.ear.heard), 12 + 200_000)
        self.assertEqual(len(self.lanes), READY)
        self.assertEqual(self.dialled, READY + 1)

    def test_what_is_carried_beside_the_tunnel_is_counted_with_it(self) -> None:
        self.warm()
        browser = self.come()
        there, back = self.tunnel.link.bytes_out, self.tunnel.link.bytes_in
        browser.say(b"x" * 70_000)
        self.settle()
        self.ear.transport.write(b"y" * 90_000)
        browser.hear()
        self.after(bounds.STALL_LOOK_S)
        self.assertEqual((self.tunnel.link.bytes_out - there, self.tunnel.link.bytes_in - back), (70_000, 90_000))

    def test_a_source_is_a_word_and_never_this_machine(self) -> None:
        self.warm()
        for source in ("127.0.0.1", "::1"):
            self.come(source=source)
            self.assertEqual(self.streams, 2)
            self.assertTrue(self.ear.transport.getPeer().host.startswith("cloud "))

    def test_a_ticket_is_good_once(self) -> None:
        ticket, pool = Ticket.new(), _Pool()
        self.lanes.tickets[ticket.number] = ticket, pool  # type: ignore[assignment]
        self.assertIsInstance(self.lanes.admit(ticket.hello()), WaitingLane)
        self.assertIsNone(self.lanes.admit(ticket.hello()))

    def test_without_the_secret_a_ticket_is_nothing_and_stays_good_for_its_holder(self) -> None:
        ticket, pool = Ticket.new(), _Pool()
        self.lanes.tickets[ticket.number] = ticket, pool  # type: ignore[assignment]
        forged = evolve(ticket, secret=b"?" * 32)
        self.assertIsNone(self.lanes.admit(forged.hello()))
        self.assertIsNone(self.lanes.admit(Ticket.new().hello()))
        self.assertIsInstance(self.lanes.admit(ticket.hello()), WaitingLane)

    def test_one_that_comes_too_late_is_nobodys(self) -> None:
        self.dead_end = Deferred()
        self.warm()
        (number, (ticket, _)), *_ = self.lanes.tickets.items()
        self.assertEqual(number, ticket.number)
        self.after(bounds.LANE_WITHIN_S + 1)
        self.assertIsNone(self.lanes.admit(ticket.hello()))

    def test_where_a_firewall_stands_streams_do_and_we_ask_ever_more_seldom(self) -> None:
        self.dead_end = Deferred()
        self.dead_end.errback(Failure(ConnectionRefusedError()))
        self.dead_end.addErrback(lambda _: None)
        self.warm()
        self.after(bounds.LANE_WITHIN_S)
        asked = self.dialled
        for _ in range(5):
            self.come(b"hello")
            self.assertEqual(self.ear.heard, b"hello")
        self.assertEqual(self.dialled, asked)
        self.after(HOLD_OFF_S + 1)
        self.come()
        self.assertGreater(self.dialled, asked)
        self.after(bounds.LANE_WITHIN_S)
        asked = self.dialled
        self.after(HOLD_OFF_S + 1)
        self.come()
        self.assertEqual(self.dialled, asked)
        self.after(HOLD_OFF_S)
        self.come()
        self.assertGreater(self.dialled, asked)

    def test_one_that_is_lost_on_the_way_is_asked_for_again_at_once(self) -> None:
        self.lose_one = True
        self.warm()
        self.assertEqual(len(self.lanes), READY - 1)
        self.after(bounds.LANE_WITHIN_S)
        self.come()
        self.assertEqual((self.streams, len(self.lanes)), (2, READY))

    def test_more_are_kept_where_there_were_too_few_but_not_endlessly(self) -> None:
        for _ in range(20):
            self.whole.board.passed_on(NAME, "192.0.2.7")
        self.warm()
        for _ in range(20):
            protocol: Any = self.whole.board.passed_on(NAME, "192.0.2.7")
            self.peers.append(self.loop.connect(protocol))
            protocol.dataReceived(b"at once")
        self.settle()
        self.assertEqual(len(self.lanes), bounds.LANES)
        self.assertEqual([ear.heard for ear in self.whole.here.ears[1:]], [b"at once"] * 20)

    def test_a_lane_that_died_unnoticed_costs_a_moment_and_no_connection(self) -> None:
        self.warm()
        self.tunnel.side._lanes._waiting.clear()  # the agent knows of none any more
        browser = self.come(b"client hello")
        self.assertEqual(self.ear.heard, b"client hello")
        self.assertEqual(self.streams, 4)
        self.ear.transport.write(b"server hello")
        self.settle()
        self.assertEqual(browser.hear(), b"server hello")

    def test_a_lane_whose_bytes_never_arrive_is_given_up_for_a_stream(self) -> None:
        self.warm()
        lane = self.lanes.take(self.tunnel.link)
        assert lane is not None
        answer: list[Any] = []
        Deferred.fromCoroutine(self.tunnel.link.carry(lane.number, "x")).addBoth(answer.append)
        self.settle()
        self.assertEqual(answer, [])
        self.after(bounds.LANE_BYTES_WITHIN_S + 1)
        self.assertEqual(answer[0].value.code, "timeout")
        lane.send_away()

    def test_the_browsers_end_ends_both(self) -> None:
        self.warm()
        browser = self.come()
        browser.end()
        self.settle()
        self.assertEqual(self.ear.lost, "ConnectionDone")
        browser.hear()
        self.assertTrue(browser.ended)
        self.assertEqual(len(self.whole.board), 1)

    def test_the_agents_end_comes_behind_its_last_bytes(self) -> None:
        self.warm()
        browser = self.come()
        self.ear.transport.write(b"z" * 3_000_000)
        self.ear.transport.loseConnection()
        self.assertEqual(len(browser.hear()), 3_000_000)
        self.assertTrue(browser.ended)

    def test_a_browser_that_does_not_read_stops_what_the_agent_produces(self) -> None:
        self.warm()
        browser = self.come()
        producer, said = _Producer(), 0
        self.ear.transport.registerProducer(producer, True)
        while not producer.paused and said < 64 << 20:
            self.ear.transport.write(b"x" * 65_536)
            said += 65_536
            self.settle()
        self.assertLess(said, 8 << 20)
        self.assertEqual(len(browser.hear()), said)
        self.assertFalse(producer.paused)
        self.ear.transport.unregisterProducer()

    def test_an_agent_that_does_not_read_stops_the_browser(self) -> None:
        self.warm()
        browser = self.come()
        self.ear.transport.pauseProducing()
        data = b"x" * (32 << 20)
        said = browser.say(data)
        self.assertLess(said, 8 << 20)
        self.ear.transport.resumeProducing()
        self.settle()
        self.assertEqual(len(self.ear.heard), len(b"hello") + said)

    def test_a_cloud_that_tells_of_a_lane_which_is_being_dialled_still_leaves_none_behind(self) -> None:
        self.dead_end = Deferred()
        self.warm()
        lane = next(iter(self.tunnel.side._lanes._waiting.values()))
        refused: list[Any] = []
        Deferred.fromCoroutine(self.tunnel.link.carry(lane.ticket.number, "x")).addErrback(refused.append)
        self.settle()
        self.assertEqual(refused[0].value.code, "lost")
        peer = self.loop.connect(lane)  # now it is there
        self.assertEqual((peer.hear(), peer.ended), (b"", True))
        peer.socket.close()

    def test_with_the_tunnel_all_ends(self) -> None:
        self.warm()
        browser = self.come()
        self.tunnel.side.hang_up("stopping", now=True)
        self.settle()
        browser.hear()
        self.assertTrue(browser.ended)
        self.assertIsNotNone(self.ear.lost)
        self.assertEqual((len(self.whole.board), len(self.lanes)), (0, 0))
        self.assertEqual(self.come().hear(), UNRECOGNIZED_NAME)

    def test_when_the_mode_is_switched_off_all_ends(self) -> None:
        self.warm()
        browser = self.come()
        self.whole.claim(self.tunnel, b"")
        self.settle()
        browser.hear()
        self.assertTrue(browser.ended)
        self.assertIsNotNone(self.ear.lost)
        self.assertEqual((len(self.whole.board), len(self.lanes)), (0, 0))

    def test_an_agent_whose_mode_is_off_takes_nobody(self) -> None:
        self.warm()
        self.whole.here.open = False
        self.assertEqual(self.come().hear(), UNRECOGNIZED_NAME)
        self.assertIsNone(self.tunnel.link.closing)

    def test_an_agent_that_speaks_before_a_browser_does_loses_its_lane(self) -> None:
        self.warm()
        lane = next(iter(self.tunnel.side._lanes._waiting.values()))
        lane.transport.write(b"unasked")
        self.settle()
        self.assertEqual(len(self.lanes), READY - 1)

    def test_a_cloud_that_wants_too_many_is_refused_and_one_that_sends_nonsense_cut_off(self) -> None:
        self.warm()
        refused: list[Any] = []
        tickets = pack(Ticket.new() for _ in range(bounds.LANES))
        self.tunnel.link.ask(commands.Dial, 1.0, tickets=tickets).addErrback(refused.append)
        self.settle()
        self.assertEqual(refused[0].value.code, "busy")
        self.tunnel.link.ask(commands.Dial, 1.0, tickets=b"short").addErrback(refused.append)
        self.settle()
        self.assertEqual(self.tunnel.side.closing, "protocol")

    def test_old_ends_know_no_lanes_and_miss_nothing(self) -> None:
        """An old agent at a new cloud, and a new agent at an old one."""
        displaced, old = self.tunnel, self.whole.agent()
        self.whole.claim(old)
        displaced.flush()
        self.tunnel = old
        self.come()
        self.come(b"second")
        self.assertEqual(self.ear.heard, b"second")
        self.assertEqual((self.dialled, old.link.can_use_lanes), (0, False))
        old_cloud = Whole(self)
        new = old_cloud.agent(dial=self.dial)
        old_cloud.claim(new)
        old_cloud.come(new)
        self.assertEqual(old_cloud.here.ears[-1].heard, b"hello")
        self.assertEqual((self.dialled, new.link.can_use_lanes), (0, False))


class _Pool:
    """Whose ticket it is."""
