"""Domains of keepers' own that lead to their agents: whose a domain is, its DNS says.

A tenant must not get another one's connections, nor the cloud's own. So ``_charging-manager.<domain>`` has to hold a
TXT record made of the claim of that agent (``labels.proof_of``): only who rules the domain's DNS can put it there,
and only who has the claim can use it. Of two whose records are both there, the first keeps the domain while it is
connected. It is kept in memory, for as long as the agent is connected and asks again; each time the DNS is asked too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from charging_manager.dns.ask import DnsError
from charging_manager.dns.domain import is_within, normal_domain
from charging_manager.errors import ConfigError
from charging_manager.tunnel.labels import CLAIM_BYTES, PROOF, label_in, proof_of
from charging_manager.tunnel.reasons import Refusal, Violation

if TYPE_CHECKING:
    from charging_manager.tunnel.cloud_side import Link
    from charging_manager.tunnel.node_link import FarLink

LEASE_S = 6 * 3600.0
"""So long after the DNS said so last; agents ask every half hour."""
PER_HOUR = 60
LOOKS_AT_ONCE, MOST_WAITING = 16, 512
_MOST_KNOWN = 20_000
_HOUR_S = 3600.0

Look = Callable[[str], Awaitable[list[str]]]
"""The TXT records of a name. Raises: DnsError."""


@frozen
class _Held:
    link: Link
    claim: bytes
    proved_s: float
    ending: IDelayedCall


class Domains:
    """``own``: names that are the cloud's, with all that is under them; one that begins with ``=`` alone."""

    log = Logger()

    def __init__(self, look: Look, own: Callable[[], Iterable[str]], clock: IReactorTime) -> None:
        self._look, self._own, self._clock = look, own, clock
        self._held: dict[str, _Held] = {}
        self._names: dict[Link, str] = {}
        self._changed: Callable[[str, str | None], object] = lambda cloud_id, domain: None
        self._elsewhere: Callable[[str], FarLink | None] = lambda domain: None
        self._asked: dict[str, deque[float]] = {}
        self._places = DeferredSemaphore(LOOKS_AT_ONCE)

    def __len__(self) -> int:
        return len(self._held)

    def watch(self, changed: Callable[[str, str | None], object], elsewhere: Callable[[str], FarLink | None]) -> None:
        """``changed`` is told Cloud ID and domain (None: none any more); ``elsewhere`` finds those of other servers."""
        self._changed, self._elsewhere = changed, elsewhere

    def holder(self, name: str) -> Link | FarLink | None:
        """The agent that this name leads to; where two servers have one each, the one that is here."""
        held = self._held.get(name)
        return self._elsewhere(name) if held is None else held.link

    def stop(self) -> None:
        for link in list(self._names):
            self.release(link)

    def release(self, link: Link) -> None:
        """This agent has no domain any more."""
        name = self._names.pop(link, None)
        if name is not None:
            held = self._held.pop(name)
            if held.ending.active():
                held.ending.cancel()
            self._changed(link.cloud_id, None)

    def _end(self, link: Link) -> None:
        self.log.info("{name} has not proved its domain for too long", name=link.name())
        self.release(link)

    async def claim(self, link: Link, domain: str, claim: bytes) -> float:
        """This agent wants the domain's connections; how long it has them then. Raises: Refusal, Violation."""
        if not domain:
            self.release(link)
            return 0.0
        if len(claim) != CLAIM_BYTES:
            raise Violation("claim of another length")
        self._check_name(domain)
        self._count(link.cloud_id)
        if len(self._places.waiting) >= MOST_WAITING:
            raise Refusal("busy")
        try:
            found = await self._places.run(lambda: Deferred.fromCoroutine(_text(self._look(PROOF + domain))))
        except DnsError as error:
            self.log.warn("the DNS does not say whose {domain} is: {error}", domain=domain, error=str(error))
            held = self._held.get(domain)
            if held is not None and held.link is link:
                return held.proved_s + LEASE_S - self._clock.seconds()  # what was proved is still so for a while
            raise Refusal("domain-unknown") from error
        self._decide(link, domain, claim, found)
        return LEASE_S

    def _decide(self, link: Link, domain: str, claim: bytes, found: list[str]) -> None:
        if link.transport is None or link.closing is not None:
            raise Refusal("offline")
        held = self._held.get(domain)
        if proof_of(claim, domain) not in found:
            if held is not None and held.link is link:
                self.log.info("{domain} does not lead to {name} any more", domain=domain, name=link.name())
                self.release(link)
            raise Refusal("domain-unproven")
        if held is not None and held.link is not link:
            same = held.link.cloud_id.lower() == link.cloud_id.lower()
            if not same and proof_of(held.claim, domain) in found:
                raise Refusal("domain-taken")
            self.release(held.link)
        if held is None or held.link is not link:
            self.log.info("{domain} leads to {name}", domain=domain, name=link.name())
        self.release(link)
        ending = self._clock.callLater(LEASE_S, self._end, link)
        self._held[domain], self._names[link] = _Held(link, claim, self._clock.seconds(), ending), domain
        self._changed(link.cloud_id, domain)

    def _check_name(self, domain: str) -> None:
        try:
            whole = normal_domain(domain) == domain
        except ConfigError:
            whole = False
        forbidden = any(
            domain == own.removeprefix("=") or (not own.startswith("=") and is_within(domain, own))
            for own in self._own()
        )
        if not whole or forbidden or label_in(domain) is not None:
            raise Refusal("domain-forbidden")

    def _count(self, cloud_id: str) -> None:
        """Each look costs a question to a server that a stranger named."""
        now_s = self._clock.seconds()
        if len(self._asked) > _MOST_KNOWN:
            self._asked.clear()
        asked = self._asked.setdefault(cloud_id.lower(), deque())
        while asked and asked[0] < now_s - _HOUR_S:
            asked.popleft()
        if len(asked) >= PER_HOUR:
            raise Refusal("too-often")
        asked.append(now_s)


async def _text(look: Awaitable[list[str]]) -> list[str]:
    return await look


def names_of(zone: str, certificate: Iterable[str]) -> list[str]:
    """What is the cloud's own: its zone, and every name that its certificate was made for."""
    own: list[Any] = [zone] if zone else []
    for name in certificate:
        own.append(name[2:] if name.startswith("*.") else f"={name.lower()}")
    return own
