"""Carries bytes from one connection to another and back, as they come and as cheaply as the system allows.

Theory of operation. A ``Pump`` joins a near connection (which asks) and a far one (which answers). Its two ends are
their protocols, but Twisted's transports only close them: waiting, reading and writing is ours. All sockets of all
pumps are in one epoll of their own, which the reactor sees as one file: a turn of it costs as much for fifty
connections as for one. What is small is read and written at once; where whole buffers come, ``splice(2)`` moves pages
through a pipe and never touches them. No more is read than one piece until the other connection has taken it, so a slow
reader stops the writer. When the near one has said all, that is passed on and the answer may go on; when the far one
has, both end. A connection that takes nothing for a minute is broken off.

A download that takes all it can get would make everybody else wait for a core and for their turn. While other
connections say little things, whoever says much is moved in short pieces with a pause after each, about 500 Mbit/s.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime, IReadDescriptor
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from charging_manager.tunnel import bounds

CAN_SPLICE = hasattr(os, "splice")
SMALL_BYTES = 16 * bounds.KIB
_NO_WAIT = getattr(os, "SPLICE_F_NONBLOCK", 0) | getattr(os, "SPLICE_F_MOVE", 0)
_LINGER_S = 5.0
_NOT_HERE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EACCES})
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_IDLE_PIPES = 32
_TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)

Pipe = tuple[int, int]


def prepare(plain: socket.socket) -> None:
    """Small pieces leave at once; and little lies in the kernel for a reader that does not read, at either end."""
    with suppress(OSError):  # another kind of socket
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, bounds.CARRIED_UNSENT_BYTES)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, bounds.CARRIED_BYTES)


def keep_open(transport: Any) -> None:
    """Ask the system to look after a connection on which nothing may pass for long: routers forget such."""
    transport.setTcpKeepAlive(True)
    plain = transport.getHandle()
    for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        with suppress(OSError):
            plain.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class Pipes:
    """Pipes between two uses; ``take`` gives an empty one, or None where the process may open no more files."""

    def __init__(self) -> None:
        self._idle: list[Pipe] = []

    def take(self) -> Pipe | None:
        if self._idle:
            return self._idle.pop()
        try:
            pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        with suppress(OSError):  # whoever has many pipes already gets small ones
            fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, bounds.PIPE_BYTES)
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """This pipe is empty again."""
        if len(self._idle) < _IDLE_PIPES:
            self._idle.append(pipe)
        else:
            self.destroy(pipe)

    @staticmethod
    def destroy(pipe: Pipe) -> None:
        """And what lies in it."""
        for end in pipe:
            os.close(end)

    def close(self) -> None:
        while self._idle:
            self.destroy(self._idle.pop())


@implementer(IReadDescriptor)
class Pumps:
    """All pumps of a process: knows which can go on, and looks after those where nothing moves."""

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.pipes = Pipes()
        self.can_splice = CAN_SPLICE
        """False from the moment at which the system says that it lets us not."""
        self._pumps: set[Pump] = set()
        self._ends: dict[int, PumpEnd] = {}
        self._epoll: select.epoll | None = None
        self._asker: Pump | None = None
        self._asked_s = 0.0
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def __len__(self) -> int:
        return len(self._pumps)

    def make(self, moved: Callable[[int, int], None], over: Callable[[], None] = lambda: None) -> Pump:
        """A new one. ``moved`` is told now and then how many bytes went to the far end and back; ``over`` once."""
        pump = Pump(self, moved, over)
        self._pumps.add(pump)
        if self._epoll is None:
            self._epoll = select.epoll()
            self.reactor.addReader(self)
            self._looking.start(bounds.STALL_LOOK_S, now=False)
        return pump

    def forget(self, pump: Pump) -> None:
        self._pumps.discard(pump)
        if self._asker is pump:
            self._asker = None
        if not self._pumps and self._epoll is not None:
            self._looking.stop()
            self.reactor.removeReader(self)
            self._epoll.close()
            self._epoll = None
            self.pipes.close()

    def _look(self) -> None:
        for pump in list(self._pumps):
            pump.look()

    # -- who comes first

    def said_little(self, pump: Pump) -> None:
        """This connection is not one that takes all it can get."""
        self._asker, self._asked_s = pump, self.reactor.seconds()

    def others_ask(self, pump: Pump) -> bool:
        """Another one has said something little just now."""
        return self._asker not in {None, pump} and self.reactor.seconds() - self._asked_s < bounds.ASKED_S

    # -- which can go on

    def watch(self, end: PumpEnd, before: int, mask: int) -> None:
        """Wait for other events of this end than before; 0: for none."""
        epoll = self._epoll
        if epoll is None:
            return
        if not mask:
            del self._ends[end.number]
            with suppress(OSError):  # closed by somebody else: it has left by itself
                epoll.unregister(end.number)
        elif not before:
            self._ends[end.number] = end
            epoll.register(end.number, mask)
        else:
            epoll.modify(end.number, mask)

    def fileno(self) -> int:
        return -1 if self._epoll is None else self._epoll.fileno()

    def logPrefix(self) -> str:
        return "pumps"

    def connectionLost(self, reason: Failure) -> None:
        """An epoll ends with its process."""

    def doRead(self) -> None:
        """Called by the reactor: some can go on."""
        for number, event in self._epoll.poll(0) if self._epoll is not None else ():
            end = self._ends.get(number)  # None: gone a moment ago
            if end is not None:
                self._go_on(end, event)

    def _go_on(self, end: PumpEnd, event: int) -> None:
        try:
            end.can_go_on(event)
        except Exception:
            self.log.failure("a carried connection failed")
            end.pump.break_off()


class Pump:
    """Two connections as one. Make ``near`` and ``far`` the protocols of their transports, in any order."""

    log = Logger()

    def __init__(self, pumps: Pumps, moved: Callable[[int, int], None], over: Callable[[], None]) -> None:
        self.pumps = pumps
        self._tell_moved, self._tell_over = moved, over
        self.near, self.far = PumpEnd(self), PumpEnd(self)
        self.near.other, self.far.other = self.far, self.near
        self.over = False
        self._still_s = 0.0

    def break_off(self) -> None:
        """Both connections end at once, whatever is under way."""
        if not self.over:
            self._end()
            for end in (self.near, self.far):
                if end.transport is not None:
                    end.transport.abortConnection()

    def all_said(self, end: PumpEnd) -> None:
        """And handed on."""
        other = end.other
        with suppress(OSError):
            other.socket.shutdown(socket.SHUT_WR)
        if end is self.far:  # TLS knows no half-closed connections worth keeping
            linger = not other.ended
            self._end()
            end.transport.loseConnection()
            other.finish(linger)

    def lost(self, end: PumpEnd) -> None:
        """This connection is gone, in whatever way."""
        end.transport = None
        self.break_off()

    def _end(self) -> None:
        self.over = True
        self._count()
        for end in (self.near, self.far):
            end.drop()
        self.pumps.forget(self)
        self._tell_over()

    def _count(self) -> bool:
        there, back = self.near.moved, self.far.moved
        self.near.moved = self.far.moved = 0
        if there or back:
            self._tell_moved(there, back)
        return bool(there or back)

    def look(self) -> None:
        """Called every few seconds."""
        if self._count() or not (self.near.waits or self.far.waits or self.near.ended):
            self._still_s = 0.0
            return
        self._still_s += bounds.STALL_LOOK_S
        if self._still_s >= bounds.STALLED_S:
            self.log.info("a carried connection was broken off: nothing is read at one end of it")
            self.break_off()


class PumpEnd(Protocol):
    """One connection of a pump, and what it has said that the other has not taken yet."""

    transport: Any = None
    other: PumpEnd
    socket: socket.socket
    number: int

    def __init__(self, pump: Pump) -> None:
        self.pump = pump
        self.moved = 0
        """Bytes from here that were taken since the last count."""
        self.ended = False
        self.waits = False
        self._mask = 0
        self._large = False
        self._rest: bytes | memoryview = b""
        self._pipe: Pipe | None = None
        self._piped = 0
        self._pausing: IDelayedCall | None = None

    def connectionMade(self) -> None:
        if self.pump.over:
            self.transport.abortConnection()
            return
        plain = self.socket = self.transport.getHandle()
        prepare(plain)
        self.number, self._receive, self._send = plain.fileno(), plain.recv, plain.send
        self.transport.stopReading()
        if self.other.transport is not None:
            self.watch(_IN, True)
            self.other.watch(_IN, True)

    def watch(self, event: int, wanted: bool) -> None:
        """Whether to be told of this."""
        before = self._mask
        self._mask = before | event if wanted else before & ~event
        if self._mask != before:
            self.pump.pumps.watch(self, before, self._mask)

    def can_go_on(self, event: int) -> None:
        """There are bytes of this connection, or room in it, or it is gone."""
        if event & _OUT:
            self.other.go_on()
        if event & ~_OUT:
            if self._mask & _IN:
                self._read()
            elif not event & _IN:  # gone, while nothing was to be read from it
                self.pump.break_off()

    @property
    def is_large(self) -> bool:
        """Whole buffers come from here."""
        return self._large

    # -- from here to the other

    def dataReceived(self, data: bytes) -> None:
        """Bytes that had been read before; both ends are connected."""
        self._hand_on(data)

    def _read(self) -> None:
        if self._large:
            self._read_spliced()
            return
        try:
            data = self._receive(SMALL_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.pump.break_off()
            return
        if data:
            self._large = self.pump.pumps.can_splice and len(data) == SMALL_BYTES
            if not self._large and not self.other.is_large:
                self.pump.pumps.said_little(self.pump)
            self._hand_on(data)
        else:
            self._all_read()

    def _all_read(self) -> None:
        self.ended = True
        self.watch(_IN, False)
        self.pump.all_said(self)

    def _hand_on(self, data: bytes | memoryview) -> None:
        try:
            sent = self.other._send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.pump.break_off()
            return
        self.moved += sent
        if sent < len(data):
            self._rest = memoryview(data)[sent:]
            self._wait()

    def _read_spliced(self) -> None:
        pipe = self._pipe = self.pump.pumps.pipes.take()
        if pipe is None:
            self._large = False
            return
        shared = self.pump.pumps.others_ask(self.pump)
        most = bounds.SHARED_PIPE_BYTES if shared else bounds.PIPE_BYTES
        try:
            size = self._piped = os.splice(self.number, pipe[1], most, flags=_NO_WAIT)
        except BlockingIOError:
            self._free_pipe()
            return
        except OSError as error:
            if error.errno not in _NOT_HERE:
                self.pump.break_off()
                return
            self.pump.pumps.can_splice = self._large = False
            self._free_pipe()
            return
        self._large = size >= SMALL_BYTES
        if size:
            self._empty_pipe()
            if shared and not self.waits and not self.pump.over:
                self._pause()
        else:
            self._free_pipe()
            self._all_read()

    def _empty_pipe(self) -> None:
        assert self._pipe is not None  # noqa: S101 - called with one
        try:
            while self._piped:
                sent = os.splice(self._pipe[0], self.other.number, self._piped, flags=_NO_WAIT)
                self._piped -= sent
                self.moved += sent
        except BlockingIOError:
            self._wait()
        except OSError:
            self.pump.break_off()
        else:
            self._free_pipe()

    def _pause(self) -> None:
        """Others first."""
        self.watch(_IN, False)
        self._pausing = self.pump.pumps.reactor.callLater(bounds.SHARED_PAUSE_S, self._read_on)

    def _read_on(self) -> None:
        self._pausing = None
        self.watch(_IN, True)

    def _free_pipe(self) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            self.pump.pumps.pipes.give_back(pipe)

    def _wait(self) -> None:
        if not self.waits:
            self.waits = True
            self.watch(_IN, False)
            self.other.watch(_OUT, True)

    def go_on(self) -> None:
        """The other takes bytes again: hand on what waits, and then read again."""
        if self._piped:
            self._empty_pipe()
        elif self._rest:
            rest, self._rest = self._rest, b""
            self._hand_on(rest)
        if self._piped or self._rest or self.pump.over:
            return
        self.waits = False
        self.other.watch(_OUT, False)
        if self._large and self.pump.pumps.others_ask(self.pump):
            self._pause()
        else:
            self.watch(_IN, True)

    # -- ends

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.pump.lost(self)

    def finish(self, linger: bool) -> None:
        """Close in order; ``linger``: what still comes is swallowed for a while, for a reset would destroy the last
        bytes on their way."""
        transport = self.transport
        if not linger:
            transport.loseConnection()
            return
        transport.protocol = last = _Swallowing(self.pump.pumps.reactor)
        last.makeConnection(transport)  # type: ignore[no-untyped-call]
        transport.startReading()

    def drop(self) -> None:
        """Nothing is handed on any more."""
        self.watch(_IN | _OUT, False)
        if self._pausing is not None:
            self._pausing.cancel()
            self._pausing = None
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            (Pipes.destroy if self._piped else self.pump.pumps.pipes.give_back)(pipe)
        self._rest, self._piped, self.waits = b"", 0, False


class _Swallowing(Protocol):
    """The rest of a connection to which all was said."""

    transport: Any

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock

    def connectionMade(self) -> None:
        self._deadline = self._clock.callLater(_LINGER_S, self.transport.abortConnection)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._deadline.active():
            self._deadline.cancel()
