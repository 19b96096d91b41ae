"""Where simulated devices listen: TCP, RTU over TCP, a pseudo-terminal of their own, or a serial device that exists."""

from __future__ import annotations

import errno
import os
import stat
import termios
import tty
from collections.abc import Awaitable, Container, Sequence
from pathlib import Path
from typing import Any

import serial
from twisted.internet import fdesc
from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.serialport import SerialPort
from twisted.python.failure import Failure

from charging_manager.errors import ConfigError
from charging_manager.modbus.address import Address, OcppAddress, RtuAddress, TcpAddress
from charging_manager.modbus.server import EVERYBODY, RtuServer, RtuTcpServerFactory, TcpServerFactory
from charging_manager.sim.simulator import ANYBODY, Simulator

LOOPBACK = "127.0.0.1"


class Together:
    """Several devices on one line or behind one gateway: a Slave made of slaves."""

    def __init__(self, simulators: Sequence[Simulator]) -> None:
        self.simulators = tuple(simulators)

    def _of(self, unit: int) -> Simulator | None:
        return next((simulator for simulator in self.simulators if unit in simulator.units()), None)

    def units(self) -> Container[int]:
        return {unit for simulator in self.simulators for unit in _listed(simulator)}

    def handle(
        self, unit: int, function: int, address: int, count: int, words: tuple[int, ...], client: object = ANYBODY
    ) -> Awaitable[list[int]] | list[int]:
        if unit == EVERYBODY and self._of(unit) is None:
            for each in self.simulators:
                each.handle(unit, function, address, count, words, client)
            return []
        simulator = self._of(unit)
        assert simulator is not None  # noqa: S101 - told to mypy: the server asks for units that are here
        return simulator.handle(unit, function, address, count, words, client)

    def welcome(self) -> _Client:
        """Each connection keeps its own pace: a second client does not make the first one's requests too early."""
        return _Client(self)

    def spoil_tcp(self, frame: bytes) -> list[bytes]:
        """What of a TCP answer is really sent."""
        simulator = self._of(frame[6])
        return [frame] if simulator is None else simulator.spoil(frame, serial=False)

    def spoil_rtu(self, frame: bytes) -> list[bytes]:
        """What of a serial answer is really sent."""
        simulator = self._of(frame[0])
        return [frame] if simulator is None else simulator.spoil(frame, serial=True)


class _Client:
    """The devices as one connection sees them."""

    def __init__(self, together: Together) -> None:
        self._together = together

    def units(self) -> Container[int]:
        return self._together.units()

    def handle(
        self, unit: int, function: int, address: int, count: int, words: tuple[int, ...]
    ) -> Awaitable[list[int]] | list[int]:
        return self._together.handle(unit, function, address, count, words, self)


def _listed(simulator: Simulator) -> set[int]:
    units = simulator.units()
    return set(units) if isinstance(units, set | frozenset | tuple | list) else set()


class PseudoTerminal(FileDescriptor):
    """The near end of a pseudo-terminal; the far end is a serial device for others, under a name of our choice."""

    connected = 1

    def __init__(self, protocol: RtuServer, link: Path, reactor: Any) -> None:
        super().__init__(reactor)
        self._near, self._far = os.openpty()
        # The far end stays open here, so that the near end does not end when a client closes its own.
        tty.setraw(self._far)
        fdesc.setNonBlocking(self._near)
        self.link = link
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.is_symlink():
            link.unlink()
        link.symlink_to(os.ttyname(self._far))
        self.protocol = protocol
        protocol.makeConnection(self)  # type: ignore[no-untyped-call]
        self.startReading()  # type: ignore[no-untyped-call]

    def fileno(self) -> int:
        return self._near

    def doRead(self) -> Any:
        return fdesc.readFromFD(self._near, self.protocol.dataReceived)

    def writeSomeData(self, data: bytes) -> Any:
        return fdesc.writeToFD(self._near, data)

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        os.close(self._near)
        os.close(self._far)
        if self.link.is_symlink():
            self.link.unlink()
        self.protocol.connectionLost(reason)


class Listening:
    """A line that is being listened on. ``address`` is what a client must use, without the unit."""

    def __init__(self, endpoint: str, stop: Any, factory: Any = None) -> None:
        self.endpoint = endpoint
        self.factory = factory
        """Of a TCP line: its counts of clients."""
        self._stop = stop

    def stop(self) -> Deferred[None]:
        """Listen no more."""
        if self.factory is not None:
            self.factory.drop_all()
        return maybeDeferred(self._stop)


def listen(address: Address, simulators: Sequence[Simulator], reactor: Any) -> Listening:
    """Listen at this address for these devices; port 0 takes a free one. Only ever on loopback.

    Raises: ConfigError if that is not possible.
    """
    slave = Together(simulators)
    if isinstance(address, RtuAddress):
        return _listen_serial(address, slave, reactor)
    if isinstance(address, OcppAddress):
        raise ConfigError("address", "a simulator speaks Modbus; write for example tcp://127.0.0.1:1502?unit=1")
    factory: TcpServerFactory | RtuTcpServerFactory
    if isinstance(address, TcpAddress):
        limits = [s.driver.bus.clients for s in simulators if s.driver.bus.clients is not None]
        factory = TcpServerFactory(slave, most_clients=min(limits, default=None), spoil=slave.spoil_tcp)
        scheme = "tcp"
    else:
        factory = RtuTcpServerFactory(slave, reactor, spoil=slave.spoil_rtu)
        scheme = "rtutcp"
    try:
        port = reactor.listenTCP(address.port, factory, interface=LOOPBACK)
    except CannotListenError as error:
        reason = os.strerror(error.socketError.errno or 0)
        raise ConfigError("address", f"port {address.port} cannot be listened on ({reason})") from error
    for simulator in simulators:
        simulator.restarted = factory.drop_all
    return Listening(f"{scheme}://{LOOPBACK}:{port.getHost().port}", port.stopListening, factory)


def _listen_serial(address: RtuAddress, slave: Together, reactor: Any) -> Listening:
    wire = RtuServer(slave, reactor, gap_s=3.5 * 11 / address.baud, spoil=slave.spoil_rtu)
    path = Path(address.device)
    try:
        if path.exists() and stat.S_ISCHR(path.stat().st_mode):  # also through a link, such as /dev/serial/by-id/…
            port: Any = open_serial(wire, address, reactor)
        else:
            port = PseudoTerminal(wire, path, reactor)
    except OSError as error:
        raise ConfigError("address", f"{path} cannot be used ({error.strerror or error})") from error

    def stop() -> None:
        port.loseConnection()

    return Listening(address.endpoint, stop)


def open_serial(wire: RtuServer, address: RtuAddress, reactor: Any) -> Any:
    """A serial device that exists, with its parity, or without where a pseudo-terminal knows none."""
    for parity in (address.parity, serial.PARITY_NONE):
        try:
            return SerialPort(
                wire, address.device, reactor, baudrate=address.baud, parity=parity, stopbits=address.stopbits
            )
        except (OSError, termios.error) as error:
            number = error.args[0] if error.args else None
            if errno.EINVAL not in (number, getattr(error, "errno", None)) or parity == serial.PARITY_NONE:
                raise OSError(getattr(error, "errno", None) or errno.EIO, str(error)) from error
    raise AssertionError("the loop above returns or raises")
