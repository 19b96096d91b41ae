"""Which installation's tunnel is at which server of the cloud. In memory alone: each server tells it to each.

Of two tunnels of one installation the newer one counts, wherever it is. Each has a generation, higher than every one
heard of before it came; wall clocks of servers differ, so they only help where two servers had not met yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from attrs import evolve

from charging_manager.tunnel.node_link import Entry, FarLink, NodeAsker


class Directory:
    """``displace`` is called with the Cloud ID of a tunnel here when a newer one is elsewhere."""

    def __init__(self, me: str, now: Callable[[], datetime], displace: Callable[[str], None]) -> None:
        self._me, self._now, self._displace = me, now, displace
        self._newest = 0
        self._here: dict[str, Entry] = {}
        self._there: dict[NodeAsker, dict[str, FarLink]] = {}
        self._named: dict[NodeAsker, dict[str, FarLink]] = {}

    # -- our own tunnels

    def came(self, cloud_id: str, program: str) -> Entry:
        """A tunnel has come up here, perhaps in the place of another."""
        self._newest = max(self._newest + 1, int(self._now().timestamp() * 1000))
        entry = self._here[cloud_id.lower()] = Entry(cloud_id, self._newest, program)
        return entry

    def labelled(self, cloud_id: str, label: str | None) -> Entry | None:
        """A tunnel here has this label from now on; None: there is no such tunnel."""
        return self._change(cloud_id, label=label)

    def led_to(self, cloud_id: str, domain: str | None) -> Entry | None:
        """The same of a domain of its keeper's own."""
        return self._change(cloud_id, domain=domain)

    def _change(self, cloud_id: str, **what: str | None) -> Entry | None:
        before = self._here.get(cloud_id.lower())
        if before is None:
            return None
        after = evolve(before, label=what.get("label", before.label), domain=what.get("domain", before.domain))
        self._here[cloud_id.lower()] = after
        return None if after == before else after

    def went(self, cloud_id: str) -> Entry | None:
        """A tunnel is not here any more."""
        entry = self._here.pop(cloud_id.lower(), None)
        return None if entry is None else evolve(entry, here=False)

    def here(self) -> Iterable[Entry]:
        return list(self._here.values())

    # -- those of others

    def heard(self, asker: NodeAsker, entries: Iterable[Entry]) -> None:
        """Another server told what has changed there."""
        there, named = self._there.setdefault(asker, {}), self._named.setdefault(asker, {})
        for entry in entries:
            self._newest = max(self._newest, entry.generation)
            key = entry.cloud_id.lower()
            before = there.pop(key, None)
            for name in names_of(before.entry) if before is not None else ():
                if named.get(name) is before:
                    del named[name]
            if not entry.here:
                continue
            far = there[key] = FarLink(asker, entry)
            named.update(dict.fromkeys(names_of(entry), far))
            ours = self._here.get(key)
            if ours is not None and (entry.generation, asker.node) > (ours.generation, self._me):
                self._displace(ours.cloud_id)

    def lost(self, asker: NodeAsker) -> None:
        """That server cannot be asked any more."""
        self._there.pop(asker, None)
        self._named.pop(asker, None)

    def find(self, cloud_id: str) -> FarLink | None:
        """The newest tunnel elsewhere."""
        return _newest(there.get(cloud_id.lower()) for there in self._there.values())

    def named(self, name: str) -> FarLink | None:
        """The tunnel elsewhere that has this label, or that this domain leads to. Asked for each TLS connection."""
        return _newest(named.get(name) for named in self._named.values())

    def __len__(self) -> int:
        """How many tunnels are elsewhere."""
        return sum(map(len, self._there.values()))


def names_of(entry: Entry) -> list[str]:
    """Label and domain; they have different forms."""
    return [name for name in (entry.label, entry.domain) if name]


def _newest(found: Iterable[FarLink | None]) -> FarLink | None:
    return max((far for far in found if far is not None), key=lambda far: far.entry.generation, default=None)
