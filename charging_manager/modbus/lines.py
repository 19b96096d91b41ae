"""The lines under a bus: a TCP connection or a serial device, opened on demand and again after they are lost."""

from __future__ import annotations

import errno
import fcntl
import termios
from typing import Any, Protocol

import serial
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as Wire
from twisted.internet.serialport import SerialPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from charging_manager.modbus.address import RtuAddress, is_ip

REOPEN_S = (1.0, 2.0, 3.0)
"""After a failed try, the next one comes no sooner than that. A device that restarts shall not wait for us for long."""

CONNECT_TIMEOUT_S = 5

BITS_PER_CHAR = 11
"""A start bit, eight data bits, parity or a second stop bit, a stop bit."""


class Listener(Protocol):
    """Who hears what happens on a line: the bus."""

    def line_up(self) -> None: ...
    def line_down(self, why: str) -> None: ...
    def line_failed(self, why: str) -> None: ...
    def line_received(self, data: bytes) -> None: ...


class Line(Protocol):
    """What a bus needs of a line."""

    listener: Listener
    name: str
    up: bool
    gap_s: float
    """Silence that the line needs between two frames."""
    reopens: bool
    """Whether opening it anew may help against silence."""

    def ensure(self) -> None:
        """Open it if that is due; ``line_up`` or ``line_failed`` follows, maybe at once."""

    def transmit_s(self, length: int) -> float:
        """How long so many bytes are on the way."""

    def send(self, frame: bytes) -> None: ...

    def worked(self) -> None:
        """A device answered on it, so the next loss is a new one."""

    def abort(self, why: str, *, blame: bool = False) -> None:
        """Drop it now; ``blame``: not to be opened again at once."""

    def close(self) -> Deferred[None]: ...


class _Reopening:
    """When to try again: at once after a line that worked, later and later after failures."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._failures = 0
        self._next_s = 0.0
        self.why = ""

    def due(self) -> bool:
        return self._failures == 0 or self._clock.seconds() >= self._next_s

    def failed(self, why: str) -> None:
        self.why = why
        self._next_s = self._clock.seconds() + REOPEN_S[min(self._failures, len(REOPEN_S) - 1)]
        self._failures += 1

    def worked(self) -> None:
        if self._failures:
            self._failures = 0


class _BusWire(Wire):
    """The transport's end of a line."""

    def __init__(self, line: TcpLine | SerialLine) -> None:
        self._line = line

    def dataReceived(self, data: bytes) -> None:
        self._line.received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._line.lost(self, reason)


class TcpLine:
    """A TCP connection to a device, a gateway or a converter."""

    listener: Listener
    gap_s = 0.0
    reopens = True

    _log = Logger()

    def __init__(
        self, host: str, port: int, name: str, reactor: Any, endpoint: IStreamClientEndpoint | None = None
    ) -> None:
        self.name = name
        self.up = False
        self._endpoint = endpoint or _endpoint(host, port, reactor)
        self._wire: _BusWire | None = None
        self._transport: Any = None
        self._connecting: Deferred[Any] | None = None
        self._reopening = _Reopening(reactor)
        self._aborted: tuple[str, bool] | None = None
        self._answered = False
        self._closed: Deferred[None] | None = None

    def ensure(self) -> None:
        if self.up or self._connecting is not None or self._aborted is not None or self._closed is not None:
            return
        if not self._reopening.due():
            self.listener.line_failed(self._reopening.why)
            return
        wire = _BusWire(self)
        self._connecting = connecting = self._endpoint.connect(Factory.forProtocol(lambda: wire))
        connecting.addCallbacks(self._connected, self._not_connected)

    def _connected(self, wire: _BusWire) -> None:
        self._connecting = None
        self._wire, self._transport = wire, wire.transport
        self._answered = False
        set_no_delay = getattr(wire.transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            set_no_delay(True)
        self.up = True
        self.listener.line_up()

    def _not_connected(self, failure: Failure) -> None:
        self._connecting = None
        if self._closed is not None:
            return
        why = f"no connection ({_reason(failure)})"
        self._reopening.failed(why)
        self.listener.line_failed(why)

    def transmit_s(self, length: int) -> float:
        return 0.0

    def send(self, frame: bytes) -> None:
        self._transport.write(frame)

    def worked(self) -> None:
        if not self._answered:
            self._answered = True
            self._reopening.worked()

    def received(self, data: bytes) -> None:
        """Bytes from the connection."""
        if self.up:
            self.listener.line_received(data)

    def abort(self, why: str, *, blame: bool = False) -> None:
        if self.up:
            self.up = False
            self._aborted = (why, blame)
            self._transport.abortConnection()

    def lost(self, wire: _BusWire, reason: Failure) -> None:
        """The connection is gone."""
        if wire is not self._wire:
            return
        self._wire = self._transport = None
        self.up = False
        lost_early = (f"the connection was lost ({_reason(reason)})", not self._answered)
        (why, blame), self._aborted = self._aborted or lost_early, None
        if self._closed is not None:
            if not self._closed.called:
                self._closed.callback(None)
            return
        if blame:
            self._reopening.failed(why)
        self.listener.line_down(why)

    def close(self) -> Deferred[None]:
        if self._closed is None:
            self._closed = Deferred()
            if self._connecting is not None:
                self._connecting.cancel()
            if self._transport is None:
                self._closed.callback(None)
            else:
                self._transport.abortConnection()
        return self._closed


class SerialLine:
    """A serial device of this machine."""

    listener: Listener
    reopens = False

    _log = Logger()

    def __init__(self, address: RtuAddress, reactor: Any, port: Any = SerialPort) -> None:
        self.name = address.endpoint
        self.up = False
        self._address = address
        self._reactor = reactor
        self._open_port = port
        self._char_s = BITS_PER_CHAR / address.baud
        self.gap_s = max(3.5 * self._char_s, 0.00175)
        self._port: Any = None
        self._wire: _BusWire | None = None
        self._parity = address.parity
        self._reopening = _Reopening(reactor)
        self._told = ""
        self._aborted = ""
        self._closed: Deferred[None] | None = None

    def ensure(self) -> None:
        if self.up or self._closed is not None or self._aborted:
            return
        if not self._reopening.due():
            self.listener.line_failed(self._reopening.why)
            return
        try:
            self._open()
        except (OSError, ValueError, termios.error) as error:  # serial.SerialException is an OSError
            why = f"the serial device cannot be opened ({_sentence(error)})"
            if why != self._told:
                self._told = why
                self._log.warn("{line}: {why}", line=self.name, why=why)
            self._reopening.failed(why)
            self.listener.line_failed(why)
            return
        if self._told:
            self._told = ""
            self._log.info("{line} is open again", line=self.name)
        self.up = True
        self.listener.line_up()

    def _open(self) -> None:
        address = self._address
        wire = _BusWire(self)
        while True:
            try:
                port = self._open_port(
                    wire,
                    address.device,
                    self._reactor,
                    baudrate=address.baud,
                    parity=self._parity,
                    stopbits=serial.STOPBITS_TWO if address.stopbits == 2 else serial.STOPBITS_ONE,
                )
            except (OSError, termios.error) as error:
                if self._parity == serial.PARITY_NONE or not _is_invalid_argument(error):
                    raise
                self._log.info("{line} knows no parity {parity}; opened without", line=self.name, parity=self._parity)
                self._parity = serial.PARITY_NONE
                continue
            _lock(port)
            self._wire, self._port = wire, port
            return

    def transmit_s(self, length: int) -> float:
        return length * self._char_s

    def send(self, frame: bytes) -> None:
        self._port.write(frame)

    def worked(self) -> None:
        self._reopening.worked()

    def received(self, data: bytes) -> None:
        """Bytes from the line."""
        if self.up:
            self.listener.line_received(data)

    def abort(self, why: str, *, blame: bool = False) -> None:
        if self.up:
            self.up = False
            self._aborted = why
            self._port.loseConnection()

    def lost(self, wire: _BusWire, reason: Failure) -> None:
        """The device is gone (unplugged, or the other end of a pseudo-terminal closed)."""
        if wire is not self._wire:
            return
        self._wire = self._port = None
        self.up = False
        why, self._aborted = self._aborted or f"the serial device was lost ({_reason(reason)})", ""
        if self._closed is not None:
            if not self._closed.called:
                self._closed.callback(None)
            return
        self._told = why
        self._log.warn("{line}: {why}", line=self.name, why=why)
        self._reopening.failed(why)
        self.listener.line_down(why)

    def close(self) -> Deferred[None]:
        if self._closed is None:
            self._closed = Deferred()
            if self._port is None:
                self._closed.callback(None)
            else:
                self._port.loseConnection()
        return self._closed


def _endpoint(host: str, port: int, reactor: Any) -> IStreamClientEndpoint:
    version = is_ip(host)
    if version == 4:
        return TCP4ClientEndpoint(reactor, host, port, timeout=CONNECT_TIMEOUT_S)
    if version == 6:
        return TCP6ClientEndpoint(reactor, host, port, timeout=CONNECT_TIMEOUT_S)
    return HostnameEndpoint(reactor, host, port, timeout=CONNECT_TIMEOUT_S)


def _lock(port: Any) -> None:
    """Two programs that speak on one line hear each other's answers. Raises: OSError if another one of ours does."""
    try:
        fcntl.flock(port.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        port.loseConnection()
        raise OSError("another program is using it") from error


def _is_invalid_argument(error: BaseException) -> bool:
    number = getattr(error, "errno", None) or (error.args[0] if error.args else None)
    return number == errno.EINVAL


def _reason(failure: Failure) -> str:
    return _sentence(failure.value)


def _sentence(error: BaseException | None) -> str:
    text = str(error).strip().rstrip(".")
    return text or type(error).__name__
