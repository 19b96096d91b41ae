"""A thin, long line in user space: so many Mbit/s and so much delay each way, for all connections through it together.

``python -m bench.slow_line LISTEN_PORT TO_PORT MBIT_PER_S DELAY_MS``. Connections take turns of one packet. Nothing is
read that the line does not carry at once, so what waits, waits in the sender and its kernel, as before a real modem.
"""

from __future__ import annotations

import heapq
import selectors
import socket
import sys
import time
from collections import deque

PACKET = 1448
RECEIVE_BYTES = 24_576
MOST_ARRIVED = 64
_LOOK_AGAIN_S = 0.002
_LATE_S = 0.02
"""So much of the line's time that we slept over on a busy machine is made up for."""


class Way:
    """One direction of one connection."""

    def __init__(self, direction: int, source: socket.socket, sink: socket.socket) -> None:
        self.direction, self.source, self.sink = direction, source, sink
        self.arrived: deque[bytes] = deque()
        self.on_the_way = 0
        self.ended = self.closed = False

    def hand_over(self) -> bool:
        """Give the receiver what has arrived; False: it takes no more now."""
        try:
            while self.arrived:
                sent = self.sink.send(self.arrived[0])
                if sent < len(self.arrived[0]):
                    self.arrived[0] = self.arrived[0][sent:]
                    return False
                self.arrived.popleft()
            if self.ended and not self.on_the_way and not self.closed:
                self.closed = True
                self.sink.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return False
        except OSError:
            self.arrived.clear()
            self.closed = True
        return True


class Line:
    """The whole of it; ``run`` does not return."""

    def __init__(self, listen_port: int, to_port: int, mbit_per_s: float, delay_s: float) -> None:
        self._to = to_port
        self._byte_s = 8 / (mbit_per_s * 1e6)
        self._delay_s = delay_s
        self._ready = selectors.DefaultSelector()
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _make_small(self._listening)
        self._listening.bind(("127.0.0.1", listen_port))
        self._listening.listen(256)
        self._ready.register(self._listening, selectors.EVENT_READ, None)
        self._queues: tuple[deque[Way], deque[Way]] = (deque(), deque())
        self._free_s = [0.0, 0.0]
        self._under_way: list[tuple[float, int, Way, bytes]] = []
        self._stuck: set[Way] = set()
        self._count = 0

    def run(self) -> None:
        while True:
            now_s = time.monotonic()
            self._arrive(now_s)
            for direction in (0, 1):
                self._carry(direction, now_s)
            for key, _ in self._ready.select(self._rest_s()):
                if key.data is None:
                    self._accept()
                else:
                    self._ready.unregister(key.data.source)
                    self._queues[key.data.direction].append(key.data)

    def _arrive(self, now_s: float) -> None:
        while self._under_way and self._under_way[0][0] <= now_s:
            _, _, way, data = heapq.heappop(self._under_way)
            way.on_the_way -= 1
            way.arrived.append(data)
            self._stuck.add(way)
        self._stuck = {way for way in self._stuck if not way.hand_over()}

    def _carry(self, direction: int, now_s: float) -> None:
        queue = self._queues[direction]
        for _ in range(len(queue) * 8):
            if not queue or self._free_s[direction] > now_s:
                return
            way = queue.popleft()
            if len(way.arrived) + way.on_the_way > MOST_ARRIVED * 4:
                queue.append(way)
                continue
            try:
                data = way.source.recv(PACKET)
            except BlockingIOError:
                self._ready.register(way.source, selectors.EVENT_READ, way)
                continue
            except OSError:
                data = b""
            if not data:
                way.ended = True
                self._stuck.add(way)
                continue
            self._free_s[direction] = max(self._free_s[direction], now_s - _LATE_S) + self._byte_s * len(data)
            self._count += 1
            way.on_the_way += 1
            due_s = max(self._free_s[direction], now_s) + self._delay_s
            heapq.heappush(self._under_way, (due_s, self._count, way, data))
            queue.append(way)

    def _rest_s(self) -> float | None:
        due = [self._under_way[0][0]] if self._under_way else []
        due += [self._free_s[direction] for direction in (0, 1) if self._queues[direction]]
        now_s = time.monotonic()
        if self._stuck:
            due.append(now_s + _LOOK_AGAIN_S)
        return max(0.0, min(due) - now_s) if due else None

    def _accept(self) -> None:
        near, _ = self._listening.accept()
        far = socket.socket()
        _make_small(far)
        far.connect(("127.0.0.1", self._to))
        for one in (near, far):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.setblocking(False)
        for direction, (source, sink) in enumerate(((near, far), (far, near))):
            self._ready.register(source, selectors.EVENT_READ, Way(direction, source, sink))


def _make_small(one: socket.socket) -> None:
    """Segments as on Ethernet, and a queue of a few: loopback's own of 64 KiB would stall in so small a buffer."""
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, PACKET)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)


if __name__ == "__main__":
    listen_port, to_port, mbit_per_s, delay_ms = sys.argv[1:]
    line = Line(int(listen_port), int(to_port), float(mbit_per_s), float(delay_ms) / 1000)
    print("ready", flush=True)
    line.run()
