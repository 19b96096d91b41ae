"""Streams under credits: a reader that does not read stops its own stream and no other. Knows no socket.

Theory of operation. A stream goes one way; the sender opens it. A new stream may send ``SHARE_BYTES``; everything
else the reader grants, so that what is under way and unread never exceeds its window. The window is
min(256 KiB, 1 MiB / open streams), at most 128 KiB while requests pass, never under 16 KiB. Senders with data and
credit take turns, one box a turn, as long as the transport wants bytes. After the sender's end the stream still counts
until the reader has read it and closes it; so both ends agree on how many there are. Stream numbers only grow: a box
for a lower unknown number is a late one and ignored, for a higher one it is a violation.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from attrs import frozen
from twisted.logger import Logger

from charging_manager.tunnel import bounds
from charging_manager.tunnel.boxes import END, data_head, data_length, number_box
from charging_manager.tunnel.link import RemoteSink, RemoteSource, RemoteStream
from charging_manager.tunnel.reasons import Violation, trouble

_LOW_BYTES = bounds.SHARE_BYTES
_HIGH_BYTES = 4 * bounds.SHARE_BYTES
_QUICK_S = 0.01


@frozen
class StreamOut:
    """What streams need of their connection."""

    open: Callable[[int], None]
    data: Callable[[bytes], None]
    credit: Callable[[int, int], None]
    close: Callable[[int], None]
    alone: Callable[[], bool]
    """Nothing else is going on: long boxes delay nobody."""


class Outgoing:
    """A stream that we send; the sink of a route's stream."""

    def __init__(self, streams: Streams, number: int) -> None:
        self._streams = streams
        self.number = number
        self.head = data_head(number)
        self.overhead = len(self.head) + 2 + len(END)
        self.pending: deque[memoryview] = deque()
        self.pending_bytes = 0
        self.credit = bounds.SHARE_BYTES
        self.source: RemoteSource | None = None
        self.finished = False
        self.end_sent = False
        self.closed = False
        self.told_slow = False
        self.dry_since_s: float | None = None

    def write(self, data: bytes) -> bool:
        if self.closed or self.finished:
            return False
        if data:
            self.pending.append(memoryview(data))
            self.pending_bytes += len(data)
            self._streams.sender_ready(self)
        if self.pending_bytes > _HIGH_BYTES:
            self.told_slow = True
        return not self.told_slow

    def finish(self) -> None:
        if not self.closed and not self.finished:
            self.finished = True
            self._streams.sender_ready(self)

    def fail(self) -> None:
        """Break the stream off; its reader learns that this was not the end."""
        self._streams.break_off(self)

    def take(self, most: int, into: list[bytes | memoryview]) -> int:
        """Put up to so many pending bytes there, in pieces that are not copied."""
        taken = 0
        while self.pending and taken < most:
            piece = self.pending.popleft()
            room = most - taken
            if len(piece) > room:
                self.pending.appendleft(piece[room:])
                piece = piece[:room]
            into.append(piece)
            taken += len(piece)
        self.pending_bytes -= taken
        return taken


class Incoming:
    """A stream that we read; the source of what a browser is sent."""

    def __init__(self, streams: Streams, number: int) -> None:
        self._streams = streams
        self.number = number
        self.queue: deque[bytes] = deque()
        self.queued_bytes = 0
        self.credit = bounds.SHARE_BYTES
        self.sink: RemoteSink | None = None
        self.slow = False
        self.ended = False
        self.closed = False
        self.grant_at = bounds.SHARE_BYTES
        """More credit is given when no more than this is left of it."""
        self.granted_s = 0.0
        self.steps = 2
        self.stuck_since_s: float | None = None

    @property
    def held_bytes(self) -> int:
        """What is unread or may still come without asking."""
        return self.queued_bytes + self.credit

    def start(self, sink: RemoteSink) -> RemoteSource:
        """Begin to read; to be called once."""
        self.sink = sink
        self._streams.deliver(self)
        return self

    def resumed(self) -> None:
        if not self.closed:
            self.slow = False
            self._streams.deliver(self)

    def stopped(self) -> None:
        self._streams.refuse(self)


class Streams:
    """All streams of one connection, both ways."""

    log = Logger()

    def __init__(self, out: StreamOut, *, first: int, most_out: int, most_in: int, now_s: Callable[[], float]) -> None:
        self._out = out
        self._now_s = now_s
        self._next = first
        self._last_in = 1 - first  # theirs have the other parity; the first number is above this
        self._most_out = most_out
        self._most_in = most_in
        self._outgoing: dict[int, Outgoing] = {}
        self._incoming: dict[int, Incoming] = {}
        self._ready: OrderedDict[int, Outgoing] = OrderedDict()
        self.most_queued = bounds.QUEUED_BYTES
        """What may lie unread here."""
        self._queued_bytes = 0
        self._held_bytes = 0
        self._paused = False
        self._pumping = False
        self.pace_bytes = bounds.ALONE_BATCH_BYTES
        """The most that is written at once, as the line allows."""

    def allow_more(self, pairs: int) -> None:
        """So many streams more, each way: both ends know of the capability that needs them."""
        self._most_out += pairs
        self._most_in += pairs

    @property
    def open_count(self) -> int:
        return len(self._outgoing) + len(self._incoming)

    @property
    def queued_bytes(self) -> int:
        """Unread bytes of all incoming streams."""
        return self._queued_bytes

    # -- sending

    def send(self, stream: RemoteStream) -> int:
        """Open a stream and start it; its number goes into the answer. Raises: TunnelError when too many are open."""
        if len(self._outgoing) >= self._most_out:
            raise trouble("busy")
        number, self._next = self._next, self._next + 2
        outgoing = self._outgoing[number] = Outgoing(self, number)
        try:
            self._out.open(number)
            outgoing.source = stream.start(outgoing)
        except Exception:
            self.break_off(outgoing)
            raise
        if outgoing.closed:
            self._tell(outgoing.source.stopped, number)
        return number

    def sender_ready(self, stream: Outgoing) -> None:
        """There is something to send on this one."""
        if stream.credit > 0 or (stream.finished and not stream.pending):
            self._ready[stream.number] = stream
            self.pump()
        elif stream.dry_since_s is None:
            stream.dry_since_s = self._now_s()

    def pump(self) -> None:
        """Send as long as the transport wants bytes; whoever was served goes to the end of the queue."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._ready and not self._paused:
                self._send_batch()
        finally:
            self._pumping = False

    def _send_batch(self) -> None:
        """One box of each in turn, written together: TLS and the kernel cost by the call."""
        batch: list[bytes | memoryview] = []
        batch_bytes = 0
        alone = len(self._outgoing) == 1 and len(self._incoming) <= 1 and self._out.alone()
        chunk = bounds.ALONE_CHUNK if alone and self.pace_bytes > bounds.BATCH_BYTES else bounds.SHARED_CHUNK
        enough = bounds.ALONE_BATCH_BYTES if alone else bounds.BATCH_BYTES
        while self._ready and batch_bytes < min(enough, self.pace_bytes):
            number, stream = next(iter(self._ready.items()))
            if stream.pending and stream.credit > 0:
                batch_bytes += self._put_box(stream, chunk, batch)
            if stream.pending and stream.credit > 0:
                self._ready.move_to_end(number)
                continue
            self._ready.pop(number, None)
            if stream.finished and not stream.pending and not stream.closed:
                stream.end_sent = True
                batch.append(number_box(b"f", i=number))
        if batch:
            self._out.data(b"".join(batch))

    def _put_box(self, stream: Outgoing, chunk: int, batch: list[bytes | memoryview]) -> int:
        """The stream's next data box, and its bytes on the wire."""
        room = chunk - stream.overhead
        batch += (stream.head, b"")
        at = len(batch) - 1
        size = stream.take(min(room, stream.credit), batch)
        batch[at] = data_length(size)
        batch.append(END)
        stream.credit -= size
        if stream.told_slow and stream.pending_bytes <= _LOW_BYTES and stream.source is not None:
            stream.told_slow = False
            self._tell(stream.source.resumed, stream.number)
        stream.dry_since_s = self._now_s() if stream.pending and stream.credit == 0 else None
        return size + stream.overhead

    @staticmethod
    def _can_send(stream: Outgoing) -> bool:
        return (bool(stream.pending) and stream.credit > 0) or (stream.finished and not stream.pending)

    def give_up(self, number: int) -> None:
        """Break the stream of this number off, if it is still there."""
        stream = self._outgoing.get(number)
        if stream is not None:
            self.break_off(stream)

    def break_off(self, stream: Outgoing) -> None:
        """Our own side ends a stream before its end."""
        if not stream.closed:
            self._out.close(stream.number)
            self._forget_outgoing(stream)

    def _forget_outgoing(self, stream: Outgoing) -> None:
        stream.closed = True
        stream.pending.clear()
        stream.pending_bytes = 0
        self._outgoing.pop(stream.number, None)
        self._ready.pop(stream.number, None)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self.pump()

    # -- reading

    def incoming(self, number: int) -> Incoming | None:
        """The stream of that number, if the other end has it open."""
        return self._incoming.get(number)

    def deliver(self, stream: Incoming) -> None:
        """Hand on what lies there, as long as the reader takes it."""
        sink = stream.sink
        if sink is None:
            return
        while stream.queue and not stream.slow and not stream.closed:
            data = stream.queue.popleft()
            stream.queued_bytes -= len(data)
            self._queued_bytes -= len(data)
            self._held_bytes -= len(data)
            self._hand_on(stream, sink, data)
        if stream.closed:
            return
        if not stream.queue:
            stream.stuck_since_s = None
            if stream.ended:
                self.refuse(stream)
                self._tell(sink.finish, stream.number)
                return
        elif stream.stuck_since_s is None:
            stream.stuck_since_s = self._now_s()
        self._grant(stream)

    def _hand_on(self, stream: Incoming, sink: RemoteSink, data: bytes) -> None:
        try:
            stream.slow = not sink.write(data)
        except Exception:
            self.log.failure("the reader of stream {number} failed", number=stream.number)
            self.refuse(stream)

    def _grant(self, stream: Incoming) -> None:
        """Bring the stream's credit up to its window.

        Half a window ahead, so that a long line never runs dry. Where half a window passes in milliseconds, an eighth:
        each step costs both ends a wake-up, and at halves a megabyte would cost a fifth more CPU.
        """
        if stream.ended or stream.sink is None:
            return
        window = min(bounds.WINDOW_BYTES, self.most_queued // max(1, self.open_count))
        if not self._out.alone():  # what is under way already is in the way of answers
            window = min(window, bounds.WINDOW_BYTES // 2)
        window = max(bounds.SHARE_BYTES, window)
        held = stream.held_bytes
        if held * stream.steps > window:
            return
        free = self.most_queued - bounds.SHARE_BYTES - self._held_bytes
        more = min(window - held, max(free, bounds.SHARE_BYTES - held))
        if more > 0:
            stream.credit += more
            self._held_bytes += more
            now_s = self._now_s()
            stream.steps = 8 if now_s - stream.granted_s < _QUICK_S else 2
            stream.granted_s = now_s
            stream.grant_at = window // stream.steps
            self._out.credit(stream.number, more)

    def refuse(self, stream: Incoming) -> None:
        """We read no more of this, be it at its end or before."""
        if not stream.closed:
            self._forget_incoming(stream)
            self._out.close(stream.number)

    def _forget_incoming(self, stream: Incoming) -> None:
        stream.closed = True
        self._incoming.pop(stream.number, None)
        self._queued_bytes -= stream.queued_bytes
        self._held_bytes -= stream.held_bytes
        stream.queue.clear()
        stream.queued_bytes = 0
        stream.credit = 0

    # -- what the other end says

    def on_open(self, number: int) -> None:
        if number <= self._last_in or (number - self._next) % 2 == 0:
            raise Violation("stream number used again")
        if len(self._incoming) >= self._most_in:
            raise Violation("too many streams")
        self._last_in = number
        stream = self._incoming[number] = Incoming(self, number)
        stream.stuck_since_s = self._now_s()
        self._held_bytes += stream.held_bytes

    def on_data(self, number: int, data: bytes) -> None:
        stream = self._incoming.get(number)
        if stream is None:
            self._check_late(number)
            return
        size = len(data)
        if stream.ended or size > stream.credit:
            raise Violation("more stream data than was asked for")
        stream.credit -= size
        if stream.sink is not None and not stream.queue and not stream.slow:
            self._held_bytes -= size
            self._hand_on(stream, stream.sink, data)
            if stream.credit <= stream.grant_at and not stream.closed:
                self._grant(stream)
            return
        stream.queue.append(data)
        stream.queued_bytes += size
        self._queued_bytes += size
        if stream.stuck_since_s is None:
            stream.stuck_since_s = self._now_s()
        if self._queued_bytes > self.most_queued:
            self._fail(max(self._incoming.values(), key=lambda s: s.queued_bytes), "too much lies unread")

    def on_credit(self, number: int, size: int) -> None:
        stream = self._outgoing.get(number)
        if stream is None:
            return
        if size <= 0 or stream.credit + size > self.most_queued:
            raise Violation("impossible credit")
        stream.credit += size
        stream.dry_since_s = None
        if self._can_send(stream):
            self._ready[number] = stream
            self.pump()

    def on_end(self, number: int) -> None:
        stream = self._incoming.get(number)
        if stream is None:
            self._check_late(number)
            return
        stream.ended = True
        self._held_bytes -= stream.credit
        stream.credit = 0
        self.deliver(stream)

    def on_close(self, number: int) -> None:
        outgoing = self._outgoing.get(number)
        if outgoing is not None:
            done = outgoing.end_sent
            self._forget_outgoing(outgoing)
            if not done and outgoing.source is not None:
                self._tell(outgoing.source.stopped, number)
            return
        incoming = self._incoming.get(number)
        if incoming is not None:
            self._forget_incoming(incoming)
            self._tell_broken(incoming)

    def _check_late(self, number: int) -> None:
        if number > self._last_in or (number - self._next) % 2 == 0:
            raise Violation("unknown stream")

    # -- time and the end

    def look_for_stalled(self) -> None:
        """To be called every few seconds while streams are open."""
        before_s = self._now_s() - bounds.STALLED_S
        for incoming in list(self._incoming.values()):
            if incoming.stuck_since_s is not None and incoming.stuck_since_s <= before_s:
                self._fail(incoming, "its reader does not read")
        for outgoing in list(self._outgoing.values()):
            if outgoing.dry_since_s is not None and outgoing.dry_since_s <= before_s and not outgoing.closed:
                self.log.info("stream {number} broken off: the other end does not read", number=outgoing.number)
                self.break_off(outgoing)
                if outgoing.source is not None:
                    self._tell(outgoing.source.stopped, outgoing.number)

    def _fail(self, stream: Incoming, why: str) -> None:
        self.log.info("stream {number} broken off: {why}", number=stream.number, why=why)
        self.refuse(stream)
        self._tell_broken(stream)

    def lost(self) -> None:
        """The connection is gone, and every stream with it."""
        for outgoing in list(self._outgoing.values()):
            done = outgoing.end_sent
            self._forget_outgoing(outgoing)
            if not done and outgoing.source is not None:
                self._tell(outgoing.source.stopped, outgoing.number)
        for incoming in list(self._incoming.values()):
            self._forget_incoming(incoming)
            self._tell_broken(incoming)

    def _tell_broken(self, stream: Incoming) -> None:
        if stream.sink is not None:
            self._tell(getattr(stream.sink, "fail", stream.sink.finish), stream.number)

    def _tell(self, what: Callable[[], None], number: int) -> None:
        try:
            what()
        except Exception:
            self.log.failure("an end of stream {number} failed; the tunnel goes on", number=number)
