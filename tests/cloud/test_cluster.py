"""Servers of one cloud find each other, stay linked, and agree on which tunnel counts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.test.iosim import FakeTransport, IOPump, connect
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.cloud.cluster import LONGEST_PAUSE_S, Cluster
from charging_manager.cloud.downlink import Links
from charging_manager.cloud.node_table import BEAT_EVERY_S, Beat, Node, NodeTable
from charging_manager.storage.database import DatabaseGone
from charging_manager.tunnel.cloud_side import Link
from charging_manager.tunnel.node_link import FarLink, NodeAnswerer, NodeAsker
from charging_manager.tunnel.reasons import trouble
from tests.tunnel.test_node_link import Line

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Tunnel:
    """One of a server's own."""

    def __init__(self, cloud_id: str, end: Callable[[Any], object]) -> None:
        self.cloud_id, self.program, self._end = cloud_id, "charging-manager 1", end
        self.closed = ""

    async def close(self, reason: str, drain_s: float) -> None:
        self.closed = reason
        self._end(self)


class Table:
    """Who lives; each beat may be refused."""

    def __init__(self, town: Town, me: str) -> None:
        self._town, self._me = town, me
        self.changed: Callable[[], object] = lambda: None

    async def beat(self, address: str, judges: bool) -> Beat:
        if self._town.database_gone:
            raise DatabaseGone
        others = tuple(Node(name, f"{name}:4443") for name in sorted(self._town.living) if name != self._me)
        return Beat(others, ())

    def on_news(self, changed: Callable[[], object]) -> None:
        self.changed = changed

    async def leave(self) -> None:
        self._town.living.discard(self._me)


class Town:
    """Servers in memory, and the network between them."""

    def __init__(self, *names: str) -> None:
        self.clock = Clock()
        self.living = set(names)
        self.database_gone = False
        self.unreachable: set[str] = set()
        self.pumps: list[tuple[str, str, IOPump, FakeTransport]] = []
        self.links = {name: Links() for name in names}
        self.clusters = {
            name: Cluster(name, b"secret", self.links[name], self.clock, lambda: NOON, self._dialler(name))
            for name in names
        }
        for name, cluster in self.clusters.items():
            cluster.join(cast(NodeTable, Table(self, name)), f"{name}:4443")
        self.flush()

    def _dialler(self, me: str) -> Callable[[Node, NodeAsker], Deferred[None]]:
        def dial(node: Node, asker: NodeAsker) -> Deferred[None]:
            if node.id in self.unreachable:
                failed: Deferred[None] = Deferred()
                failed.errback(trouble("unreachable"))
                return failed
            answerer = NodeAnswerer(self.clock, self.clusters[node.id])
            answerer.channel = Line(b"same")
            client = FakeTransport(asker, isServer=False)
            server = FakeTransport(answerer, isServer=True)
            self.pumps.append((me, node.id, connect(answerer, server, asker, client, debug=False), client))
            asker.begin(Line(b"same"))
            return succeed(None)

        return dial

    def flush(self, seconds: float = 0.0) -> None:
        self.clock.advance(seconds)
        for _ in range(3):
            for _, _, pump, _ in self.pumps:
                pump.flush()
            self.clock.advance(0)

    def cut(self, name: str) -> None:
        """This server is dead: nothing reaches it, and its connections are gone."""
        self.unreachable.add(name)
        for one, other, _, client in self.pumps:
            if name in (one, other):
                client.abortConnection()
        self.flush()

    def up(self, name: str, cloud_id: str) -> Tunnel:
        links = self.links[name]
        tunnel = Tunnel(cloud_id, links.remove)
        links.put(cast(Link, tunnel))
        self.flush()
        return tunnel


class ClusterTests(SynchronousTestCase):
    def test_each_is_linked_to_each_and_finds_the_tunnels_of_all(self) -> None:
        town = Town("a", "b", "c")
        self.assertEqual([cluster.linked for cluster in town.clusters.values()], [2, 2, 2])
        tunnel = town.up("b", "garage")
        self.assertIs(town.clusters["b"].way_to("Garage"), tunnel)
        for name in ("a", "c"):
            self.assertIsInstance(town.clusters[name].way_to("Garage"), FarLink)
        town.clusters["b"].label_changed("garage", "cm-abcdefghijklmnop")
        town.flush()
        self.assertIsNotNone(town.clusters["a"].by_label("cm-abcdefghijklmnop"))
        town.links["b"].remove(cast(Link, tunnel))
        town.flush()
        self.assertIsNone(town.clusters["a"].way_to("garage"))

    def test_a_second_agent_with_the_same_id_displaces_the_first_wherever_that_is(self) -> None:
        town = Town("a", "b")
        first = town.up("a", "garage")
        second = town.up("b", "Garage")
        self.assertEqual((first.closed, second.closed), ("displaced", ""))
        third = town.up("a", "garage")
        self.assertEqual((second.closed, third.closed), ("displaced", ""))
        self.assertIs(town.clusters["a"].way_to("garage"), third)

    def test_the_tunnels_of_a_dead_server_are_offline_at_once_and_back_when_it_is(self) -> None:
        town = Town("a", "b")
        town.up("b", "garage")
        town.cut("b")
        self.assertIsNone(town.clusters["a"].way_to("garage"))
        self.assertEqual(town.clusters["a"].linked, 0)
        for _ in range(5):
            town.flush(LONGEST_PAUSE_S * 1.25)
        town.unreachable.clear()
        town.flush(LONGEST_PAUSE_S * 1.25)
        self.assertEqual(town.clusters["a"].linked, 1)
        self.assertIsNotNone(town.clusters["a"].way_to("garage"))

    def test_while_the_database_is_away_the_links_stay(self) -> None:
        town = Town("a", "b")
        town.up("b", "garage")
        town.database_gone = True
        for _ in range(20):
            town.flush(BEAT_EVERY_S)
        self.assertEqual((town.clusters["a"].size, town.clusters["a"].linked), (2, 1))
        self.assertIsNotNone(town.clusters["a"].way_to("garage"))

    def test_a_server_that_has_left_the_table_is_dialled_no_more(self) -> None:
        town = Town("a", "b")
        town.clusters["b"].stopService()
        town.flush()
        town.flush(BEAT_EVERY_S)
        self.assertEqual((town.clusters["a"].size, town.clusters["a"].linked), (1, 0))
        before = len(town.pumps)
        town.flush(LONGEST_PAUSE_S * 2)
        self.assertEqual(len(town.pumps), before)

    def test_what_another_server_calls_a_label_is_one_or_nothing(self) -> None:
        town = Town("a", "b")
        town.up("b", "garage")
        town.clusters["b"].label_changed("garage", "login.example")
        town.flush()
        self.assertIsNone(town.clusters["a"].by_label("login.example"))
        self.assertIsNotNone(town.clusters["a"].way_to("garage"))
