"""Slows down whoever guesses installation passwords at the tunnel's door, and keeps no agent out that belongs there.

Only failures count, so a thousand agents that come back at once through one router are not slowed down. They count by
source and Cloud ID together, by source alone, and by Cloud ID for sources from which that installation never came in:
a stranger who guesses at its ID does not stand in its way. Nobody is locked out for good. Time is handed in, as
monotonic seconds.

An installation that comes in again and again (a line that breaks, a program that runs amok) has a bucket of its own,
which only right logins empty: ``AT_ONCE`` of them, then one every ``EVERY_S``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from attrs import define

from charging_manager.http.guard import Patience, source_network

BY_BOTH = Patience(free=5, longest_s=300.0)
BY_SOURCE = Patience(free=50, longest_s=60.0)
BY_CLOUD_ID = Patience(free=50, longest_s=30.0)
AT_ONCE = 10
EVERY_S = 6.0
_LONGEST_ID = 64

_Key = tuple[str, str]


@define
class _Tally:
    failures: int = 0
    last_s: float = 0.0
    blocked_until_s: float = 0.0


class Turnstile:
    """Remembers at most ``most`` of those who failed, and of the places that installations come from."""

    def __init__(self, most: int = 20_000) -> None:
        self._most = most
        self.servers: Callable[[], int] = lambda: 1
        """How many servers count for themselves what is tried at one cloud."""
        self._tallies: OrderedDict[_Key, _Tally] = OrderedDict()
        self._homes: OrderedDict[str, str] = OrderedDict()
        self._full_again_s: OrderedDict[str, float] = OrderedDict()

    def admits(self, now_s: float, source: str, cloud_id: str) -> bool:
        """Whether a login may be tried now."""
        if self._full_again_s.get(_name(cloud_id), 0.0) - now_s > (AT_ONCE - 1) * EVERY_S:
            return False
        tallies = [self._tallies.get(key) for key, _ in self._keys(source, cloud_id)]
        return all(tally is None or tally.blocked_until_s <= now_s for tally in tallies)

    def failed(self, now_s: float, source: str, cloud_id: str) -> None:
        """A login was tried in vain."""
        for key, patience in self._keys(source, cloud_id):
            tally = self._tallies.setdefault(key, _Tally(last_s=now_s))
            self._tallies.move_to_end(key)
            if now_s - tally.last_s > patience.forget_s:
                tally.failures = 0
            tally.failures += 1
            tally.last_s = now_s
            tally.blocked_until_s = now_s + patience.penalty_s(tally.failures, self.servers())
        while len(self._tallies) > self._most:
            self._tallies.popitem(last=False)

    def succeeded(self, now_s: float, source: str, cloud_id: str) -> None:
        """An installation came in: what it, or somebody beside it, did in vain before is forgotten."""
        network, name = source_network(source), _name(cloud_id)
        self._tallies.pop(("both", f"{network} {name}"), None)
        self._tallies.pop(("source", network), None)
        self._homes[name] = network
        self._full_again_s[name] = max(now_s, self._full_again_s.get(name, 0.0)) + EVERY_S
        for kept in (self._homes, self._full_again_s):
            kept.move_to_end(name)
            if len(kept) > self._most:
                kept.popitem(last=False)

    def _keys(self, source: str, cloud_id: str) -> list[tuple[_Key, Patience]]:
        network, name = source_network(source), _name(cloud_id)
        keys = [(("both", f"{network} {name}"), BY_BOTH), (("source", network), BY_SOURCE)]
        if self._homes.get(name) != network:
            keys.append((("cloud-id", name), BY_CLOUD_ID))
        return keys


def _name(cloud_id: str) -> str:
    return cloud_id[:_LONGEST_ID].lower()
