"""The cloud's end of all tunnels: who is connected, who displaces whom, and how all are sent home."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from charging_manager import VERSION
from charging_manager.cloud.publisher import Publisher
from charging_manager.cloud.splice import Switchboard
from charging_manager.cloud.turnstile import Turnstile
from charging_manager.errors import TunnelError
from charging_manager.http.facts import peer_of
from charging_manager.http.guard import source_network
from charging_manager.tunnel import bounds, commands
from charging_manager.tunnel.cloud_side import Link
from charging_manager.tunnel.labels import CLAIM_BYTES, delegate_of
from charging_manager.tunnel.link import CloudEnd
from charging_manager.tunnel.reasons import Refusal, Violation, trouble

_STRANGERS = 1024
"""Connections that have not logged in yet: more than a storm of agents needs, within 50 MiB."""
_COMING_BACK_PER_S = 200
_SHORTEST_SPREAD_S = 4.0


class Links:
    """Installation to live link; Cloud IDs are compared without case."""

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}
        self._changed: Callable[[Link, bool], object] = lambda link, here: None

    def on_change(self, changed: Callable[[Link, bool], object]) -> None:
        """``changed`` is called with each link that comes (True) and each live one that goes (False)."""
        self._changed = changed

    def get(self, cloud_id: str) -> Link | None:
        return self._links.get(cloud_id.lower())

    def need(self, cloud_id: str) -> Link:
        """Raises: TunnelError ``offline``."""
        link = self.get(cloud_id)
        if link is None:
            raise trouble("offline")
        return link

    def __iter__(self) -> Iterator[Link]:
        return iter(list(self._links.values()))

    def __len__(self) -> int:
        return len(self._links)

    def close(self, cloud_id: str, reason: str) -> None:
        """End an installation's tunnel within a second: it was ``deleted``, ``disabled``, its password changed."""
        link = self._links.get(cloud_id.lower())
        if link is not None:
            _close(link, reason)

    def put(self, link: Link) -> Link | None:
        """The newest wins; the one that it displaces is returned."""
        older = self._links.get(link.cloud_id.lower())
        self._links[link.cloud_id.lower()] = link
        self._changed(link, True)
        return older

    def remove(self, link: Link) -> bool:
        """Whether this link was the installation's live one."""
        if self._links.get(link.cloud_id.lower()) is not link:
            return False
        del self._links[link.cloud_id.lower()]
        self._changed(link, False)
        return True


class TunnelFactory(Factory):
    """Makes a ``Link`` for each connection that chose ``cm-tunnel/1``; TLS is the listener's.

    ``salt_key`` makes the fake salts of unknown IDs: 32 secret bytes that stay the same over restarts. Without a
    ``switchboard`` there is no end-to-end mode. ``most`` is how many tunnels there is room for.
    """

    noisy = False
    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        end: CloudEnd,
        *,
        salt_key: bytes,
        open_enrolment: bool = False,
        links: Links | None = None,
        switchboard: Switchboard | None = None,
        publisher: Publisher | None = None,
        chance: random.Random | None = None,
        program: str = f"charging-manager {VERSION}",
        most: int = 1_000_000,
    ) -> None:
        self._clock = clock
        self._chance = chance or random.SystemRandom()
        self.end = end
        self._most = most
        self._told_full = False
        self.program = program
        self.open_enrolment = open_enrolment
        self.salt_key = salt_key
        self.links = links if links is not None else Links()
        self._switchboard, self._publisher = switchboard, publisher
        self._strangers: dict[Link, str] = {}  # to the network that each came from, oldest first
        self._draining = False
        self.turnstile = Turnstile()

    def buildProtocol(self, addr: Any) -> Link | None:
        peer = peer_of(addr)
        network = source_network(peer.source)
        if self._draining or not self._has_room_for(network):
            return None
        link = Link(self._clock, self, peer.source)
        self._strangers[link] = network
        return link

    def _has_room_for(self, source: str) -> bool:
        """Where all places are taken, a source that has fewer than another gets one of the other's, its oldest."""
        if len(self._strangers) < _STRANGERS:
            return True
        fattest, most = Counter(self._strangers.values()).most_common(1)[0]
        if sum(one == source for one in self._strangers.values()) + 1 >= most:
            return False
        oldest = next(link for link, one in self._strangers.items() if one == fattest)
        del self._strangers[oldest]
        oldest.hang_up("busy", now=True)
        return True

    def may_try(self, source: str, cloud_id: str) -> bool:
        """Asked by a link before it judges a login."""
        if len(self.links) >= self._most and self.links.get(cloud_id) is None:
            if not self._told_full:
                self.log.error("no more than {most} tunnels fit; allow more open files (LimitNOFILE)", most=self._most)
            self._told_full = True
            return False
        self._told_full = False
        return self.turnstile.admits(self._clock.seconds(), source, cloud_id)

    def failed(self, source: str, cloud_id: str) -> None:
        """Told by a link whose login was wrong."""
        self.turnstile.failed(self._clock.seconds(), source, cloud_id)

    def can(self) -> str:
        """Told to agents at their login."""
        if self._switchboard is None:
            return ""
        more = [] if self._switchboard.lanes is None else [commands.LANES]
        more += [commands.DOMAIN] if self._switchboard.domains is not None else []
        more += [commands.PUBLISH] if self._publisher is not None else []
        return " ".join([commands.SPLICE, *more])

    def claimed(self, link: Link, claim: bytes) -> str:
        """Asked by a link whose agent claims a label; one that has been displaced claims nothing any more."""
        if self._switchboard is None or self.links.get(link.cloud_id) is not link:
            raise Refusal("refused")
        return self._switchboard.claim(link, claim)

    async def domain_claimed(self, link: Link, domain: str, claim: bytes) -> float:
        """Asked by a link whose agent claims a domain of its own; it needs a label first."""
        board = self._switchboard
        if board is None or board.domains is None or board.label_of(link) is None:
            raise Refusal("refused")
        return await board.domains.claim(link, domain, claim)

    async def publish(self, link: Link, value: str, claim: bytes | None, take: bool) -> tuple[str, float]:
        """Asked by a link whose agent proves a name to an authority: its own label, or what its claim stands for."""
        publisher, board = self._publisher, self._switchboard
        if publisher is None or board is None or self.links.get(link.cloud_id) is not link:
            raise Refusal("refused")
        if claim is not None and len(claim) != CLAIM_BYTES:
            raise Violation("claim of another length")
        label = board.label_of(link) if claim is None else delegate_of(claim)
        if label is None:
            raise Refusal("refused")
        change = publisher.take if take else publisher.put
        return await change(link.cloud_id, label, value), publisher.settle_s

    def admitted(self, link: Link) -> None:
        """Called by a link whose login is complete."""
        self._strangers.pop(link, None)
        if self._draining:
            _close(link, "restart")
            return
        self.turnstile.succeeded(self._clock.seconds(), link.source, link.cloud_id)
        older = self.links.put(link)
        if older is not None:
            self.log.warn("{name} logged in again; its older tunnel is closed", name=link.name())
            _close(older, "displaced")
        else:
            self.log.info("tunnel of {name} is up", name=link.name())
        self._tell("connected", lambda: self.end.connected(link))

    def gone(self, link: Link, reason: str) -> None:
        """Called by a link whose connection has ended."""
        self._strangers.pop(link, None)
        if not link.admitted:
            return
        if self._switchboard is not None:
            self._switchboard.release(link)
        if self.links.remove(link):
            self.log.info("tunnel of {name} is down: {reason}", name=link.name(), reason=reason)
        self._tell("lost", lambda: self.end.lost(link, reason))

    def _tell(self, what: str, call: Any) -> None:
        try:
            call()
        except Exception:
            self.log.failure("the cloud could not take in that a tunnel was {what}", what=what)

    async def drain(self) -> None:
        """Before shutdown: finish what is asked (5 s at most), tell every agent when to come back, close."""
        self._draining = True
        for stranger in list(self._strangers):
            stranger.hang_up("restart", now=True)
        spread_s = max(_SHORTEST_SPREAD_S, len(self.links) / _COMING_BACK_PER_S)
        closings = [
            Deferred.fromCoroutine(link.close("restart", 2.0 + self._chance.uniform(0, spread_s), bounds.DRAIN_S))
            for link in self.links
        ]
        if closings:
            await DeferredList(closings, consumeErrors=True)


def _close(link: Link, reason: str) -> None:
    closing = Deferred.fromCoroutine(link.close(reason, drain_s=0.0))
    closing.addErrback(lambda f: f.trap(TunnelError))
