"""The other servers of this cloud: each is dialled by each, and what is asked for a tunnel elsewhere goes there.

Without a shared database there are none, and everything here is idle.
"""

from __future__ import annotations

import contextlib
import hmac
import random
from collections.abc import Callable
from datetime import datetime
from typing import Any

from attrs import evolve
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from charging_manager.cloud.directory import Directory
from charging_manager.cloud.downlink import Links
from charging_manager.cloud.node_table import BEAT_EVERY_S, DEAD_AFTER_S, Node, NodeTable
from charging_manager.errors import ConfigError, TunnelError
from charging_manager.storage.database import StorageError
from charging_manager.tunnel.cloud_side import Link
from charging_manager.tunnel.dial import connect_any, parse_server, resolve
from charging_manager.tunnel.labels import LABEL
from charging_manager.tunnel.node_link import NODE_ALPN, Entry, FarLink, LocalLink, NodeAnswerer, NodeAsker
from charging_manager.tunnel.reasons import trouble
from charging_manager.tunnel.tls import AnyServer

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
_chance = random.SystemRandom()

Dial = Callable[[Node, NodeAsker], Deferred[None]]


class Cluster(Service):
    """``me`` names this server; ``secret`` is that of the cloud; ``links`` are the tunnels that are here."""

    log = Logger()

    def __init__(
        self, me: str, secret: bytes, links: Links, reactor: Any, now: Callable[[], datetime], dial: Dial | None = None
    ) -> None:
        self.me = me
        self.node_key = hmac.digest(secret, b"servers of one cloud", "sha256")
        self._links, self._reactor, self._dial = links, reactor, dial or self._dial_tls
        self.directory = Directory(me, now, lambda cloud_id: links.close(cloud_id, "displaced"))
        self._table: NodeTable | None = None
        self._address = ""
        self._beaten_s = float("-inf")
        self._others: dict[str, _Other] = {}
        self._answerers: set[NodeAnswerer] = set()
        self._beating = LoopingCall(self._beat_guarded)
        self._beating.clock = reactor
        links.on_change(self._link_changed)

    # -- life

    def join(self, table: NodeTable, address: str) -> Deferred[None]:
        """From now on this server is one of several, and reached by the others at this address."""
        self._table, self._address = table, address
        return Deferred.fromCoroutine(self._joined(table))

    async def _joined(self, table: NodeTable) -> None:
        await self._beat()
        table.on_news(lambda: Deferred.fromCoroutine(self._beat_guarded()))
        self._beating.start(BEAT_EVERY_S, now=False)

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]
        if self._beating.running:
            self._beating.stop()
        for other in list(self._others.values()):
            other.stop()
        self._others.clear()
        for answerer in list(self._answerers):
            answerer.hang_up("restart")
        return Deferred.fromCoroutine(self._leave())

    async def _leave(self) -> None:
        if self._table is not None:
            try:
                await self._table.leave()
            except StorageError as error:
                self.log.info("the others could not be told that this server ends: {error}", error=error)

    @property
    def size(self) -> int:
        """How many servers live, as far as is known; while the database does not answer, as it was last."""
        return 1 + len(self._others)

    @property
    def linked(self) -> int:
        """How many of the others can be asked."""
        return sum(other.asker is not None for other in self._others.values())

    async def _beat_guarded(self) -> None:
        # The store says by itself that it does not answer; the others and the links to them stay as they are.
        said_again = self.log.failuresHandled("saying that this server lives failed; it is said again")
        with said_again, contextlib.suppress(StorageError):
            await self._beat()

    async def _beat(self) -> None:
        assert self._table is not None  # noqa: S101 - set before the loop began
        now_s = self._reactor.seconds()
        beat = await self._table.beat(self._address, judges=now_s - self._beaten_s < DEAD_AFTER_S / 2)
        self._beaten_s = now_s
        for died in beat.died:
            self.log.warn("server {node} was not heard of for too long", node=died)
        living = {node.id: node for node in beat.others}
        for gone in self._others.keys() - living.keys():
            self._others.pop(gone).stop()
        for node in living.values():
            other = self._others.get(node.id)
            if other is not None and other.node != node:
                self._others.pop(node.id).stop()
                other = None
            if other is None:
                self._others[node.id] = _Other(self, node, self._reactor, self._dial)

    async def _dial_now(self, node: Node, asker: NodeAsker) -> None:
        try:
            server = parse_server(node.address)
        except ConfigError:
            server = None
        if server is None:
            raise trouble("name-not-found")
        await connect_any(self._reactor, await resolve(self._reactor, server), AnyServer(server.host, NODE_ALPN), asker)

    def _dial_tls(self, node: Node, asker: NodeAsker) -> Deferred[None]:
        return Deferred.fromCoroutine(self._dial_now(node, asker))

    # -- tunnels, here and there

    def way_to(self, cloud_id: str) -> Link | FarLink | None:
        """The tunnel of this installation, wherever it is."""
        return self._links.get(cloud_id) or self.directory.find(cloud_id)

    def by_label(self, label: str) -> FarLink | None:
        """The tunnel at another server that has this label in end-to-end mode."""
        return self.directory.named(label)

    def by_domain(self, domain: str) -> FarLink | None:
        """The tunnel at another server that this domain leads to."""
        return self.directory.named(domain)

    def domain_changed(self, cloud_id: str, domain: str | None) -> None:
        """A domain of its keeper's own leads to a tunnel here from now on; None: it does not any more."""
        self._tell(self.directory.led_to(cloud_id, domain))

    def label_changed(self, cloud_id: str, label: str | None) -> None:
        """A tunnel here is reached by this label from now on."""
        self._tell(self.directory.labelled(cloud_id, label))

    def _link_changed(self, link: Link, here: bool) -> None:
        if here:
            self._tell(self.directory.came(link.cloud_id, link.program))
        else:
            self._tell(self.directory.went(link.cloud_id))

    def _tell(self, entry: Entry | None) -> None:
        if entry is not None:
            for answerer in self._answerers:
                answerer.tell(entry)

    def heard(self, asker: NodeAsker, entries: list[Entry]) -> None:
        """From another server; what does not look like a label is none."""
        fine = [e if e.label is None or LABEL.fullmatch(e.label) else evolve(e, label=None) for e in entries]
        self.directory.heard(asker, fine)

    # -- the end that answers (tunnel.node_link.NodeHouse)

    def local(self, cloud_id: str) -> LocalLink | None:
        return self._links.get(cloud_id)

    def met(self, answerer: NodeAnswerer) -> None:
        self._answerers.add(answerer)
        for entry in self.directory.here():
            answerer.tell(entry)

    def left(self, answerer: NodeAnswerer) -> None:
        self._answerers.discard(answerer)


class _Other:
    """One other server: dialled until it is linked, and again when the link breaks."""

    log = Logger()

    def __init__(self, cluster: Cluster, node: Node, clock: Any, dial: Dial) -> None:
        self._cluster, self.node, self._clock, self._dial = cluster, node, clock, dial
        self.asker: NodeAsker | None = None
        self._trying: NodeAsker | None = None
        self._pause_s = FIRST_PAUSE_S
        self._timer: IDelayedCall | None = None
        self._stopped = False
        self._told = False
        self._try()

    def _try(self) -> None:
        self._timer = None
        asker = self._trying = NodeAsker(
            self._clock, self._cluster.node_key, self._cluster.me, self.node.id, self._cluster.heard
        )
        asker.gone.addCallback(self._gone, asker)
        asker.met.addCallbacks(lambda _: self._met(asker), self._failed)
        self._dial(self.node, asker).addErrback(self._not_connected, asker)

    def _not_connected(self, failure: Any, asker: NodeAsker) -> None:
        failure.trap(TunnelError)
        if not asker.met.called:
            asker.met.errback(failure)
        if not asker.gone.called:
            asker.gone.callback(failure.value.code)

    def _met(self, asker: NodeAsker) -> None:
        self.asker, self._pause_s, self._told = asker, FIRST_PAUSE_S, False
        self.log.info("linked to server {node} at {address}", node=self.node.id, address=self.node.address)

    def _failed(self, failure: Any) -> None:
        failure.trap(TunnelError)
        if not self._told and not self._stopped:
            self._told = True
            self.log.warn(
                "server {node} at {address} cannot be reached ({code}); it is tried again",
                node=self.node.id,
                address=self.node.address,
                code=failure.value.code,
            )

    def _gone(self, reason: str, asker: NodeAsker) -> None:
        self._cluster.directory.lost(asker)
        if self.asker is asker:
            self.log.info("the link to server {node} is down: {reason}", node=self.node.id, reason=reason)
        self.asker = self._trying = None
        if not self._stopped:
            self._timer = self._clock.callLater(self._pause_s * (0.75 + 0.5 * _chance.random()), self._try)
            self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)

    def stop(self) -> None:
        self._stopped = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._trying is not None:
            self._trying.hang_up("stopping", now=True)


class NodeFactory(Factory):
    """Makes the answering end for each connection that chose ``cm-node/1``."""

    noisy = False

    def __init__(self, cluster: Cluster, clock: Any) -> None:
        self._cluster, self._clock = cluster, clock

    def buildProtocol(self, addr: Any) -> NodeAnswerer:
        return NodeAnswerer(self._clock, self._cluster)
