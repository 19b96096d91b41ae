"""End-to-end mode between a switchboard and an agent, in memory: labels, bytes both ways, limits, and every end."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.agent.spliced import SplicedTransport, peer_named
from charging_manager.cloud.downlink import TunnelFactory
from charging_manager.cloud.lanes import Lanes
from charging_manager.cloud.splice import UNRECOGNIZED_NAME, Spliced, Switchboard
from charging_manager.errors import TunnelError
from charging_manager.tunnel import bounds, commands
from charging_manager.tunnel.labels import label_in, label_of, make_claim, make_code, read_code
from charging_manager.tunnel.lane_ends import Lane
from charging_manager.tunnel.link import RemoteStream
from charging_manager.tunnel.pump import Pumps
from tests.tunnel.support import PASSWORD, FakeCloud, Tunnel

CLAIM = make_claim(b"s" * 32, "cloud.example:4443")
NAME = f"{label_of(CLAIM)}.cloud.example"


class Ear(Protocol):
    """The agent's end of a connection: remembers what it hears."""

    transport: Any

    def __init__(self) -> None:
        self.heard = b""
        self.lost: str | None = None

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason.type.__name__


class Here(Factory):
    """Where spliced connections end (``SpliceEnd``)."""

    noisy = False

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ears: list[Ear] = []
        self.open = True

    def buildProtocol(self, addr: Any) -> Ear:
        self.ears.append(Ear())
        return self.ears[-1]

    def is_open(self) -> bool:
        return self.open

    def splice(self, source: str, there: RemoteStream) -> RemoteStream:
        return SplicedTransport(self, source, there, self.clock).stream()

    def carry(self, source: str, lane: Lane) -> None:
        peer = peer_named(source)
        lane.become(self.buildProtocol(peer), peer)


class Browser(StringTransport):
    """A browser's socket at the cloud."""

    aborted = False
    paused = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.loseConnection()

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False


class Whole:
    """One cloud with a switchboard, and agents."""

    def __init__(self, case: SynchronousTestCase, clock: Clock | None = None, lanes: Lanes | None = None) -> None:
        self.clock = clock or Clock()
        self.case = case
        self.board = Switchboard("cloud.example:443", lanes, Pumps(self.clock))
        cloud = FakeCloud(garage=PASSWORD, depot=PASSWORD)
        self.factory = TunnelFactory(self.clock, cloud, salt_key=b"s" * 32, switchboard=self.board)
        self.here = Here(self.clock)

    def agent(self, cloud_id: str = "garage", splices: Here | None = None, dial: Any = None) -> Tunnel:
        here = splices or self.here
        return Tunnel(cloud_id=cloud_id, factory=self.factory, clock=self.clock, splices=here, dial=dial)

    def claim(self, tunnel: Tunnel, claim: bytes = CLAIM) -> Any:
        said: list[Any] = []
        tunnel.side.claim(claim).addBoth(said.append)
        tunnel.flush()
        (outcome,) = said
        return outcome.value if isinstance(outcome, Failure) else outcome

    def come(self, tunnel: Tunnel, data: bytes = b"hello", source: str = "192.0.2.7", name: str = NAME) -> Any:
        protocol = self.board.passed_on(name, source)
        browser = Browser(peerAddress=IPv4Address("TCP", source, 1))
        protocol.makeConnection(browser)
        protocol.dataReceived(data)
        tunnel.flush()
        return protocol, browser


class Labels(SynchronousTestCase):
    def test_a_label_is_a_hash_of_a_secret_and_another_at_each_cloud(self) -> None:
        other = make_claim(b"s" * 32, "other.example:4443")
        self.assertNotEqual(label_of(CLAIM), label_of(other))
        self.assertEqual(label_in(NAME), label_of(CLAIM))
        for name in ("cloud.example", "chargingmanagers.example", label_of(CLAIM), "cm-abc.cloud.example", ""):
            self.assertIsNone(label_in(name), name)

    def test_a_code_is_read_however_it_was_copied(self) -> None:
        key = "ab" * 32
        code = make_code(label_of(CLAIM), key)
        self.assertEqual(read_code(f"  {code[:30].upper()}\n{code[30:]} "), (label_of(CLAIM), key))
        for text in ("", code[:-1], code + "a", code.replace("cm-", "cx-"), NAME):
            self.assertIsNone(read_code(text), text)


class Claiming(SynchronousTestCase):
    def test_a_claim_is_answered_with_the_zone_and_given_back_with_nothing(self) -> None:
        whole = Whole(self)
        tunnel = whole.agent()
        self.assertEqual(whole.claim(tunnel), "cloud.example:443")
        self.assertIsInstance(whole.board.passed_on(NAME, "192.0.2.7"), Spliced)
        whole.claim(tunnel, b"")
        self.assertNotIsInstance(whole.board.passed_on(NAME, "192.0.2.7"), Spliced)

    def test_nobody_takes_the_label_of_another_installation_but_its_own_next_connection_does(self) -> None:
        whole = Whole(self)
        first = whole.agent()
        whole.claim(first)
        refused = whole.claim(whole.agent("depot"))
        self.assertIsInstance(refused, TunnelError)
        self.assertEqual(refused.code, "label-taken")
        again = whole.agent()
        self.assertEqual(whole.claim(again), "cloud.example:443")
        protocol, _ = whole.come(again)
        self.assertIs(protocol.link, again.link)

    def test_a_claim_of_another_length_ends_the_connection(self) -> None:
        whole = Whole(self)
        tunnel = whole.agent()
        whole.claim(tunnel, b"short")
        self.assertEqual(tunnel.link.closing, "protocol")

    def test_ends_without_the_capability_go_on_as_before(self) -> None:
        """An old agent at a new cloud, and a new agent at an old one."""
        whole = Whole(self)
        old = Tunnel(factory=whole.factory, clock=whole.clock)
        self.assertTrue(old.link.admitted)
        self.assertFalse(old.link.can_splice)
        new = Tunnel(splices=whole.here)
        self.assertTrue(new.side.admitted)
        self.assertFalse(new.side.can_splice)
        said: list[Any] = []
        new.side.claim(CLAIM).addBoth(said.append)
        new.flush()
        self.assertEqual(said[0].value.code, "failed")
        self.assertIsNone(new.side.closing)


class Carrying(SynchronousTestCase):
    def setUp(self) -> None:
        self.whole = Whole(self)
        self.tunnel = self.whole.agent()
        self.whole.claim(self.tunnel)
        self.here = self.whole.here

    def come(self, data: bytes = b"hello", **more: str) -> tuple[Spliced, Browser, Ear]:
        protocol, browser = self.whole.come(self.tunnel, data, **more)
        return protocol, browser, self.here.ears[-1]

    def test_bytes_go_both_ways_as_they_come(self) -> None:
        protocol, browser, ear = self.come(b"client hello")
        self.assertEqual(ear.heard, b"client hello")
        ear.transport.write(b"server hello")
        self.tunnel.flush()
        self.assertEqual(browser.value(), b"server hello")
        protocol.dataReceived(b"more" * 50_000)
        self.tunnel.flush()
        self.assertEqual(len(ear.heard), 12 + 200_000)

    def test_a_source_is_a_word_and_never_this_machine(self) -> None:
        for source in ("127.0.0.1", "::1"):
            *_, ear = self.come(source=source)
            self.assertTrue(ear.transport.getPeer().host.startswith("cloud "))

    def test_the_browsers_end_ends_both_and_leaves_nothing(self) -> None:
        protocol, browser, ear = self.come()
        protocol.readConnectionLost()
        self.tunnel.flush()
        self.assertEqual(ear.lost, "ConnectionDone")
        self.assertTrue(browser.disconnecting)
        self.assertEqual((len(self.whole.board), self.tunnel.link.streams.open_count), (0, 0))
        self.assertEqual(self.tunnel.side.streams.open_count, 0)

    def test_the_agents_end_comes_behind_its_last_bytes(self) -> None:
        _, browser, ear = self.come()
        ear.transport.write(b"z" * 100_000)
        ear.transport.loseConnection()
        self.tunnel.after(1)
        self.assertEqual(len(browser.value()), 100_000)
        self.assertTrue(browser.disconnecting)
        self.assertFalse(browser.aborted)
        self.assertEqual(ear.lost, "ConnectionDone")
        self.assertEqual((len(self.whole.board), self.tunnel.side.streams.open_count), (0, 0))

    def test_whoever_breaks_off_breaks_the_other_side_off_too(self) -> None:
        protocol, _, ear = self.come()
        protocol.connectionLost(Failure(ConnectionResetError()))
        self.tunnel.after(1)
        self.assertIsNotNone(ear.lost)
        _, browser, ear = self.come()
        ear.transport.abortConnection()
        self.tunnel.after(1)
        self.assertTrue(browser.aborted)
        self.assertEqual((len(self.whole.board), self.tunnel.link.streams.open_count), (0, 0))

    def test_an_agent_that_goes_in_the_middle_ends_its_connections(self) -> None:
        _, browser, ear = self.come()
        self.tunnel.side.hang_up("stopping", now=True)
        self.tunnel.after(1)
        self.assertTrue(browser.aborted)
        self.assertEqual(len(self.whole.board), 0)
        self.assertIsNotNone(ear.lost)
        protocol, browser = self.whole.come(self.tunnel)
        self.assertEqual(browser.value(), UNRECOGNIZED_NAME)
        self.assertNotIsInstance(protocol, Spliced)

    def test_unknown_offline_and_refused_look_the_same(self) -> None:
        self.here.open = False
        answers = []
        for name in (NAME, "cm-aaaaaaaaaaaaaaaa.cloud.example"):
            _, browser = self.whole.come(self.tunnel, name=name)
            answers.append((browser.value(), browser.disconnecting))
        self.assertEqual(answers, [(UNRECOGNIZED_NAME, True)] * 2)
        self.assertIsNone(self.tunnel.link.closing)
        self.assertEqual(self.tunnel.link.streams.open_count, 0)

    def test_a_slow_browser_holds_the_agent_back_and_nobody_else(self) -> None:
        _, slow, ear = self.come()
        slow.producer.pauseProducing()
        total = 0
        producer = _Producer()
        ear.transport.registerProducer(producer, True)
        while not producer.paused and total < 10_000_000:
            ear.transport.write(b"x" * 16_384)
            total += 16_384
            self.tunnel.flush()
        self.assertLess(total, 600_000)
        _, quick, other = self.come()
        other.transport.write(b"y" * 300_000)
        self.tunnel.flush()
        self.assertEqual(len(quick.value()), 300_000)
        slow.producer.resumeProducing()
        self.tunnel.flush()
        self.assertFalse(producer.paused)
        self.assertEqual(len(slow.value()), total)

    def test_a_slow_agent_holds_the_browser_back(self) -> None:
        protocol, browser, ear = self.come()
        ear.transport.pauseProducing()
        for _ in range(100):
            if not browser.paused:
                protocol.dataReceived(b"x" * 16_384)
                self.tunnel.flush()
        self.assertTrue(browser.paused)
        ear.transport.resumeProducing()
        self.tunnel.flush()
        self.assertFalse(browser.paused)

    def test_where_it_is_full_the_quietest_of_the_source_with_most_goes(self) -> None:
        greedy = [self.come(source="192.0.2.1") for _ in range(bounds.SPLICES)]
        greedy[0][0].dataReceived(b"not so quiet")
        _, _, ear = self.come(b"owner", source="198.51.100.5")
        self.assertEqual(ear.heard, b"owner")
        self.assertEqual([browser.aborted for _, browser, _ in greedy[:3]], [False, True, False])
        self.assertEqual(len(self.whole.board), bounds.SPLICES)
        self.assertIsNone(self.tunnel.link.closing)

    def test_a_cloud_that_splices_a_stream_twice_is_cut_off(self) -> None:
        protocol, _, _ = self.come()
        number = protocol._out.number  # type: ignore[union-attr]
        self.tunnel.link.ask(commands.Splice, 1.0, i=number, source="x").addErrback(lambda _: None)
        self.tunnel.flush()
        self.assertEqual(self.tunnel.side.closing, "protocol")


class _Producer:
    def __init__(self) -> None:
        self.paused = False

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def stopProducing(self) -> None:
        self.paused = True
