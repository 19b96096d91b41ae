"""How many connections may be open at once, in all and from one source; the newest has room before the idlest."""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol


class Member(Protocol):
    """A connection that can be sent away."""

    def send_away(self) -> None: ...


class Crowd:
    """Counts members by source. At a limit the idle member that waits longest goes, from the source that has most.

    So a slow-loris attack displaces itself, and memory stays bounded, while others still get in.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._source_of: dict[Member, str] = {}
        self._count: dict[str, int] = {}
        self._idle: dict[str, OrderedDict[Member, None]] = {}

    def __len__(self) -> int:
        return len(self._source_of)

    def enter(self, member: Member, source: str) -> bool:
        """A newcomer, idle at first. False: no room, and nobody idle to make some."""
        if self._count.get(source, 0) >= self._most_of_one and not self._send_one_away(source):
            return False
        if len(self._source_of) >= self._most and not self._send_one_away(self._fattest()):
            return False
        self._source_of[member] = source
        self._count[source] = self._count.get(source, 0) + 1
        self.idle(member)
        return True

    def busy(self, member: Member) -> None:
        """This member is being served: it is not sent away."""
        source = self._source_of.get(member)
        if source is not None:
            self._idle.get(source, OrderedDict()).pop(member, None)

    def idle(self, member: Member) -> None:
        """This member waits, from now on."""
        source = self._source_of.get(member)
        if source is not None:
            waiting = self._idle.setdefault(source, OrderedDict())
            waiting[member] = None
            waiting.move_to_end(member)

    def waiting(self) -> list[Member]:
        """Those that are not being served."""
        return [member for members in self._idle.values() for member in members]

    def leave(self, member: Member) -> None:
        """Gone; leaving twice is nothing."""
        source = self._source_of.pop(member, None)
        if source is None:
            return
        self._idle.get(source, OrderedDict()).pop(member, None)
        self._count[source] -= 1
        if not self._count[source]:
            del self._count[source]
            self._idle.pop(source, None)

    def empty(self) -> None:
        """Send everybody away."""
        for member in list(self._source_of):
            self.leave(member)
            member.send_away()

    def _fattest(self) -> str:
        return max(self._idle, key=lambda source: len(self._idle[source]), default="")

    def _send_one_away(self, source: str) -> bool:
        waiting = self._idle.get(source)
        if not waiting:
            return False
        member = next(iter(waiting))
        self.leave(member)
        member.send_away()
        return True
