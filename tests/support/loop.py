"""A reactor for connections of socket pairs: real descriptors and Twisted's own transports, but time is ours."""

from __future__ import annotations

import select
import socket
import sys
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.posixbase import _DisconnectSelectableMixin
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection


class Loop(_DisconnectSelectableMixin, Clock):  # type: ignore[misc]
    """``settle`` lets happen all that can happen without time passing."""

    def __init__(self) -> None:
        Clock.__init__(self)
        self._readers: set[Any] = set()
        self._writers: set[Any] = set()

    def addReader(self, one: Any) -> None:
        self._readers.add(one)

    def removeReader(self, one: Any) -> None:
        self._readers.discard(one)

    def addWriter(self, one: Any) -> None:
        self._writers.add(one)

    def removeWriter(self, one: Any) -> None:
        self._writers.discard(one)

    def settle(self) -> None:
        for _ in range(10_000):
            self.advance(0)
            can_read, can_write, _ = select.select(list(self._readers), list(self._writers), [], 0)
            if not can_read and not can_write:
                return
            for one in can_read:
                self._do(one, "doRead", self._readers)
            for one in can_write:
                self._do(one, "doWrite", self._writers)
        raise AssertionError("it never comes to rest")

    def _do(self, one: Any, what: str, among: set[Any]) -> None:
        if one not in among:
            return
        try:
            why = getattr(one, what)()
        except Exception:
            why = sys.exc_info()[1]
        if why:
            self._disconnectSelectable(one, why, what == "doRead")

    def connect(self, protocol: Any, host: str = "192.0.2.7") -> Peer:
        """Give this protocol a connection; the other end of it is ours."""
        theirs, ours = socket.socketpair()
        transport = _Transport(theirs, protocol, self, host)
        protocol.makeConnection(transport)
        return Peer(self, ours, transport)

    def join(self, one: Any, other: Any) -> None:
        """Connect two protocols with each other."""
        ends = [
            _Transport(plain, protocol, self, "192.0.2.9")
            for plain, protocol in zip(socket.socketpair(), (one, other), strict=True)
        ]
        for transport in ends:
            transport.protocol.makeConnection(transport)


class _Transport(Connection):
    def __init__(self, plain: socket.socket, protocol: Any, loop: Loop, host: str) -> None:
        super().__init__(plain, protocol, loop)  # type: ignore[arg-type]
        self._host = host
        self.connected = 1
        self.startReading()

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", self._host, 1)


class Peer:
    """Our end of a connection, and whatever stands at the other."""

    def __init__(self, loop: Loop, plain: socket.socket, transport: Any) -> None:
        self._loop, self.socket, self.transport = loop, plain, transport
        plain.setblocking(False)
        self.ended = False
        """The other end has said all, or is gone."""

    def say(self, data: bytes) -> int:
        """As much as there is room for; how much that was."""
        said = 0
        while said < len(data):
            try:
                said += self.socket.send(data[said : said + 65_536])
            except BlockingIOError:
                self._loop.settle()
                try:
                    said += self.socket.send(data[said : said + 65_536])
                except BlockingIOError:
                    return said
        self._loop.settle()
        return said

    def hear(self, most: int = 1 << 30) -> bytes:
        """All that comes, or so much of it."""
        heard = bytearray()
        self._loop.settle()
        while len(heard) < most and not self.ended:
            try:
                data = self.socket.recv(min(65_536, most - len(heard)))
            except BlockingIOError:
                break
            except ConnectionError:
                self.ended = True
                break
            self.ended = not data
            heard += data
            self._loop.settle()
        return bytes(heard)

    def end(self) -> None:
        """We have said all, and still listen."""
        self.socket.shutdown(socket.SHUT_WR)
        self._loop.settle()

    def close(self) -> None:
        self.socket.close()
        self._loop.settle()
