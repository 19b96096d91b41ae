"""The answering side of Modbus: over TCP, on a serial line, and RTU frames over TCP. What is answered, a Slave says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container
from typing import Any, Protocol

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as Wire
from twisted.logger import Logger
from twisted.python.failure import Failure

from charging_manager.errors import DeviceRefused
from charging_manager.modbus.frames import OutOfSync, RtuRequests, TcpFrames, rtu_frame, tcp_frame
from charging_manager.modbus.pdu import (
    DEVICE_FAILURE,
    NO_TARGET,
    WRITES,
    BadRequest,
    Request,
    decode_request,
    encode_answer,
    encode_exception,
)

MOST_QUEUED = 16
"""So many requests of one client may wait; more are dropped, as a device's receive buffer would."""

SILENCE_S = 0.02
"""After so long a pause the beginning of a serial request is given up. Never under 3.5 characters, but ports and
networks hand over bytes in lumps, with pauses that were not on the wire."""

SERIAL_GAP_S = 0.002
"""3.5 characters at 19200 baud, the silence before an answer."""

EVERYBODY = 0
"""On a serial line a write to this unit is for all, and nobody answers; the slave is asked for it as unit 0."""

Spoil = Callable[[bytes], list[bytes]]
"""Turns a good frame into the pieces that are really sent: for simulated faults."""


class Mute(Exception):
    """Raised by a Slave: this request gets no answer."""


class Slave(Protocol):
    """What a Modbus server asks: which units it has, and what to answer for them."""

    def units(self) -> Container[int]:
        """The units that live here. Others are absent: silence on a line, exception 11 over TCP."""

    def handle(
        self, unit: int, function: int, address: int, count: int, words: tuple[int, ...]
    ) -> Awaitable[list[int]] | list[int]:
        """The values asked for; what is returned for a write does not matter.

        Raises: DeviceRefused with the exception code to answer; Mute for silence.
        """


class Welcoming(Protocol):
    """A Slave may have this too: an own view of it for each connection, if it treats its clients apart."""

    def welcome(self) -> Slave:
        """The Slave that a new connection speaks to."""


class _Answering:
    """Asks the slave for one request after another, in the order they came."""

    _log = Logger()

    def __init__(self, slave: Slave, send: Callable[[int, int, bytes], None], absent: int | None) -> None:
        self._slave = slave
        self._send = send
        self._absent = absent
        self._queue: list[tuple[int, int, bytes]] = []
        self._busy = False
        self.gone = False

    def take(self, tag: int, unit: int, pdu: bytes) -> None:
        """A request came; ``tag`` is given back with the answer."""
        if len(self._queue) < MOST_QUEUED:
            self._queue.append((tag, unit, pdu))
        if not self._busy:
            self._work()

    def _work(self) -> None:
        while self._queue and not self.gone:
            tag, unit, pdu = self._queue.pop(0)
            try:
                request = decode_request(pdu)
                if unit == EVERYBODY and self._absent is None:
                    if request.function not in WRITES:
                        continue
                elif unit not in self._slave.units():
                    if self._absent is not None:
                        self._send(tag, unit, encode_exception(pdu[0], self._absent))
                    continue
                values = self._slave.handle(unit, request.function, request.address, request.count, request.words)
                if isinstance(values, list):
                    self._send(tag, unit, encode_answer(request, values))
                    continue
            except Exception:  # the guard of this loop: _refuse tells what is expected from what is a bug
                self._refuse(Failure(), tag, unit, pdu[0])
                continue
            self._busy = True
            later: Deferred[list[int]] = ensureDeferred(_as_coroutine(values))
            later.addCallback(self._later, tag, unit, request)
            later.addErrback(self._refuse, tag, unit, pdu[0])
            later.addBoth(self._done)
            return

    def _later(self, values: list[int], tag: int, unit: int, request: Request) -> None:
        if not self.gone:
            self._send(tag, unit, encode_answer(request, values))

    def _done(self, _: object) -> None:
        self._busy = False
        self._work()

    def _refuse(self, failure: Failure, tag: int, unit: int, function: int) -> None:
        error = failure.value
        if isinstance(error, Mute) or self.gone:
            return
        if isinstance(error, BadRequest | DeviceRefused):
            if unit in self._slave.units():
                self._send(tag, unit, encode_exception(function, error.code))
            elif self._absent is not None:
                self._send(tag, unit, encode_exception(function, self._absent))
            return
        self._log.failure("answering function {function} for unit {unit} failed", failure, function=function, unit=unit)
        self._send(tag, unit, encode_exception(function, DEVICE_FAILURE))


async def _as_coroutine(values: Awaitable[list[int]]) -> list[int]:
    return await values


class TcpServer(Wire):
    """One Modbus TCP client, served."""

    factory: Any

    def connectionMade(self) -> None:
        self._frames = TcpFrames()
        self._answering = _Answering(self.factory.slave_for_one(), self._answer, self.factory.absent)
        self._answering.gone = not self.factory.admit(self)

    def dataReceived(self, data: bytes) -> None:
        if self._answering.gone:
            return
        try:
            frames = self._frames.feed(data)
        except OutOfSync:
            self.transport.abortConnection()  # type: ignore[union-attr]
            return
        for transaction, unit, pdu in frames:
            self._answering.take(transaction, unit, pdu)

    def _answer(self, transaction: int, unit: int, pdu: bytes) -> None:
        frame = tcp_frame(transaction, unit, pdu)
        spoil = self.factory.spoil
        for piece in (frame,) if spoil is None else spoil(frame):
            self.transport.write(piece)  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.factory.left(self):
            self._answering.gone = True


class _Clients(Factory):
    """Counts clients and refuses more than a device would take."""

    noisy = False

    def __init__(self, slave: Slave, most_clients: int | None, spoil: Spoil | None) -> None:
        self.slave = slave
        self.most_clients = most_clients
        self.spoil = spoil
        self.refused_clients = 0
        self.clients: list[Wire] = []

    def slave_for_one(self) -> Slave:
        """What a new connection speaks to."""
        welcome = getattr(self.slave, "welcome", None)
        return self.slave if welcome is None else welcome()

    def admit(self, client: Wire) -> bool:
        """Whether this one may stay; if not, its connection ends."""
        if self.most_clients is not None and len(self.clients) >= self.most_clients:
            self.refused_clients += 1
            client.transport.abortConnection()  # type: ignore[union-attr]
            return False
        self.clients.append(client)
        set_no_delay = getattr(client.transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            set_no_delay(True)
        return True

    def left(self, client: Wire) -> bool:
        """It went; whether it had been let in."""
        if client not in self.clients:
            return False
        self.clients.remove(client)
        return True

    def drop_all(self) -> None:
        """End all connections, as a restarted device does."""
        for client in list(self.clients):
            client.transport.abortConnection()  # type: ignore[union-attr]


class TcpServerFactory(_Clients):
    """A Modbus TCP server. ``absent``: the exception for units that are not here, None for silence."""

    protocol = TcpServer

    def __init__(
        self,
        slave: Slave,
        *,
        absent: int | None = NO_TARGET,
        most_clients: int | None = None,
        spoil: Spoil | None = None,
    ) -> None:
        super().__init__(slave, most_clients, spoil)
        self.absent = absent


class RtuServer(Wire):
    """One serial line with a slave on it: give it to a SerialPort. Other slaves may share the line."""

    def __init__(
        self, slave: Slave, clock: IReactorTime, *, gap_s: float = SERIAL_GAP_S, spoil: Spoil | None = None
    ) -> None:
        self._requests = RtuRequests()
        self._clock = clock
        self._gap_s = gap_s
        self._spoil = spoil
        self._silence: IDelayedCall | None = None
        self._waiting: list[IDelayedCall] = []
        self._answering = _Answering(slave, self._answer, None)

    @property
    def junk(self) -> int:
        """Bytes that belonged to no request."""
        return self._requests.junk

    def dataReceived(self, data: bytes) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        self._take(self._requests.feed(data))
        if self._requests.buffered:
            self._silence = self._clock.callLater(SILENCE_S, self._fell_silent)

    def _fell_silent(self) -> None:
        self._silence = None
        self._take(self._requests.silence())

    def _take(self, frames: list[tuple[int, bytes]]) -> None:
        for unit, pdu in frames:
            self._answering.take(0, unit, pdu)

    def _answer(self, _: int, unit: int, pdu: bytes) -> None:
        if unit == EVERYBODY:
            return
        frame = rtu_frame(unit, pdu)
        pieces = [frame] if self._spoil is None else self._spoil(frame)
        if self._gap_s:
            self._waiting = [call for call in self._waiting if call.active()]
            self._waiting.append(self._clock.callLater(self._gap_s, self._write, pieces))
        else:
            self._write(pieces)

    def _write(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self.transport.write(piece)  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._answering.gone = True
        for call in (self._silence, *self._waiting):
            if call is not None and call.active():
                call.cancel()


class RtuTcpServer(RtuServer):
    """RTU frames from one TCP client."""

    factory: Any

    def connectionMade(self) -> None:
        self._answering.gone = not self.factory.admit(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.factory.left(self)


class RtuTcpServerFactory(_Clients):
    """A serial line with slaves, behind a converter that passes bytes on over TCP."""

    def __init__(
        self, slave: Slave, clock: IReactorTime, *, most_clients: int | None = None, spoil: Spoil | None = None
    ) -> None:
        super().__init__(slave, most_clients, spoil)
        self._clock = clock

    def buildProtocol(self, addr: Any) -> RtuTcpServer:
        """A fresh line for every client."""
        wire = RtuTcpServer(self.slave_for_one(), self._clock, gap_s=0.0, spoil=self.spoil)
        wire.factory = self
        return wire
