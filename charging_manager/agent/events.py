"""The event stream: a snapshot, then what changed, each change under an increasing number.

Everybody who speaks the same language and may see the same is fed from one ``Feed``, which computes each delta once. A
reader that is slow keeps one merged delta, the newest value of every key, until it catches up; one that falls too far
behind is dropped and comes back for a new snapshot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import orjson
from attrs import frozen
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from charging_manager.agent.picture import Audience, Json, Picture, as_lists, difference, merged, visible
from charging_manager.http.routes import Caller, Sink, Stream

_REMEMBERED = 60
_FEED_KEPT_S = 60.0
_FURTHEST_BEHIND = 256 * 1024
_LONGEST_PAUSE_S = 55.0
_HEARTBEAT_S = 15.0


def event(number: int, name: str, data: Json) -> bytes:
    """One event as it stands on the wire (HTML, "Server-sent events")."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (number, name.encode(), orjson.dumps(data))


@frozen
class Told:
    """What one turn told a feed's readers; ``delta`` None: something was added or removed."""

    number: int
    delta: Json | None
    wire: bytes


class Feed:
    """One language and audience: the state as told last, the last deltas, and who listens."""

    def __init__(self, language: str, audience: Audience) -> None:
        self.language, self.audience = language, audience
        self.state: Json = {}
        self.number = 0
        self.told: deque[Told] = deque(maxlen=_REMEMBERED)
        self.readers: set[Reader] = set()
        self.idle_since_s: float | None = None

    def turn(self, picture: Picture, number: int) -> None:
        """Take the newest picture and tell everybody what is new in it."""
        new = visible(picture.said(self.language, self.audience), self.audience)
        delta = difference(self.state, new) if self.state else None
        if delta == {}:
            return
        self.state, self.number = new, number
        wire = self.snapshot() if delta is None else event(number, "delta", delta)
        told = Told(number, delta, wire)
        self.told.append(told)
        for reader in tuple(self.readers):
            reader.tell(told)

    def snapshot(self) -> bytes:
        """Everything, as it was told last."""
        return event(self.number, "snapshot", as_lists(self.state))

    def since(self, number: int) -> list[Told] | None:
        """What was told after ``number``; None if that is not known any more."""
        if number == self.number:
            return []
        known = [told.number for told in self.told]
        return [told for told in self.told if told.number > number] if number in known else None


class Reader:
    """One browser's stream: the Source that the web side, or the tunnel, tells how its reader gets on."""

    def __init__(self, hub: EventHub, feed: Feed, caller: Caller, sink: Sink) -> None:
        self._hub, self._feed, self._sink = hub, feed, sink
        self.caller = caller
        self._open = True
        self._flowing = True
        self._pending: Json | None = None
        self._needs_snapshot = False
        self._behind = 0
        self._paused_s = 0.0

    def begin(self, last_seen: int | None) -> None:
        """Write what this reader has missed, or a snapshot."""
        missed = self._feed.since(last_seen) if last_seen is not None else None
        if missed is None or any(told.delta is None for told in missed):
            self._write(self._feed.snapshot())
        else:
            self._write(b": resumed\n\n" + b"".join(told.wire for told in missed))

    def tell(self, told: Told) -> None:
        """Pass on a turn, now or as part of what waits."""
        if self._flowing:
            self._write(told.wire)
            return
        self._behind += len(told.wire)
        if self._behind > _FURTHEST_BEHIND:
            self.close()
        elif told.delta is None:
            self._needs_snapshot, self._pending = True, None
        elif not self._needs_snapshot:
            self._pending = merged(self._pending or {}, told.delta)

    def heartbeat(self, now_s: float) -> None:
        """A comment, so that everybody on the way knows that this is alive; who reads nothing for long is dropped."""
        if self._flowing:
            self._write(b": \n\n")
        elif now_s - self._paused_s > _LONGEST_PAUSE_S:
            self.close()

    def resumed(self) -> None:
        """The reader caught up."""
        if self._flowing or not self._open:
            return
        self._flowing, self._behind = True, 0
        pending, self._pending = self._pending, None
        if self._needs_snapshot:
            self._needs_snapshot = False
            self._write(self._feed.snapshot())
        elif pending is not None:
            self._write(event(self._feed.number, "delta", pending))

    def stopped(self) -> None:
        """The reader has gone."""
        self._open = False
        self._hub.forget(self._feed, self)

    def close(self) -> None:
        """End the stream from our side."""
        if self._open:
            self.stopped()
            self._sink.finish()

    def _write(self, data: bytes) -> None:
        if self._open and not self._sink.write(data):
            self._flowing = False
            self._paused_s = self._hub.now_s()


class EventHub:
    """All feeds. ``first_number`` is larger than any of an earlier run: an old id is never taken for a new one."""

    log = Logger()

    def __init__(self, clock: IReactorTime, first_number: int) -> None:
        self._clock = clock
        self._number = first_number
        self._picture: Picture | None = None
        self._feeds: dict[tuple[str, Audience], Feed] = {}
        self._states: dict[tuple[str, Audience], bytes] = {}
        self._heart = LoopingCall(self._beat)
        self._heart.clock = clock

    def start(self) -> None:
        """Begin to send heartbeats."""
        self._heart.start(_HEARTBEAT_S, now=False)

    def stop(self) -> None:
        """End all streams."""
        if self._heart.running:
            self._heart.stop()
        self.drop(lambda caller: True)

    def now_s(self) -> float:
        return self._clock.seconds()

    @property
    def picture(self) -> Picture | None:
        """The newest one."""
        return self._picture

    @property
    def readers(self) -> int:
        """How many streams are open."""
        return sum(len(feed.readers) for feed in self._feeds.values())

    def publish(self, picture: Picture) -> None:
        """Tell all readers what is new."""
        self._picture = picture
        self._states.clear()
        self._number += 1
        for key, feed in tuple(self._feeds.items()):
            if feed.idle_since_s is not None and self.now_s() - feed.idle_since_s > _FEED_KEPT_S:
                del self._feeds[key]
                continue
            with self.log.failuresHandled("events could not be told"):
                feed.turn(picture, self._number)

    def state(self, language: str, audience: Audience) -> bytes:
        """The newest picture as JSON, made once for all who see and speak the same."""
        found = self._states.get((language, audience))
        if found is None:
            said = self._picture.said(language, audience) if self._picture is not None else {}
            found = self._states[language, audience] = orjson.dumps(as_lists(visible(said, audience)))
        return found

    def stream(self, caller: Caller, audience: Audience, last_seen: int | None) -> Stream:
        """The answer to ``GET /events``."""

        def start(sink: Sink) -> Reader:
            feed = self._feed(caller.language, audience)
            reader = Reader(self, feed, caller, sink)
            feed.readers.add(reader)
            feed.idle_since_s = None
            reader.begin(last_seen)
            return reader

        return Stream(start)

    def drop(self, whose: Callable[[Caller], bool]) -> None:
        """End the streams of these callers: their login ended, or what they may see changed."""
        for feed in self._feeds.values():
            for reader in tuple(feed.readers):
                if whose(reader.caller):
                    reader.close()

    def forget(self, feed: Feed, reader: Reader) -> None:
        """The reader is gone."""
        feed.readers.discard(reader)
        if not feed.readers:
            feed.idle_since_s = self.now_s()

    def _feed(self, language: str, audience: Audience) -> Feed:
        feed = self._feeds.get((language, audience))
        if feed is None:
            feed = self._feeds[language, audience] = Feed(language, audience)
            if self._picture is not None:
                feed.turn(self._picture, self._number)
        return feed

    def _beat(self) -> None:
        for feed in self._feeds.values():
            for reader in tuple(feed.readers):
                with self.log.failuresHandled("a heartbeat could not be sent"):
                    reader.heartbeat(self.now_s())
