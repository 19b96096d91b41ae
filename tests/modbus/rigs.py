"""A bus with units behind it, in memory, on a clock that the test moves: once over iosim, once on a line of ours."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock, deferLater
from twisted.test import iosim
from zope.interface import implementer

from charging_manager.errors import DeviceRefused
from charging_manager.modbus.bus import Bus
from charging_manager.modbus.frames import RtuRequests, rtu_frame
from charging_manager.modbus.lines import Listener, TcpLine
from charging_manager.modbus.pdu import decode_request, encode_answer, encode_exception
from charging_manager.modbus.server import Mute, TcpServerFactory
from charging_manager.modbus.transaction import RtuConversation, TcpConversation

STEP_S = 0.005


class ScriptedSlave:
    """Units whose registers hold their own address; some are mute, some slow, some refuse."""

    def __init__(self, clock: Clock, *units: int) -> None:
        self.clock = clock
        self.present = set(units)
        self.mute: set[int] = set()
        self.slow_s: dict[int, float] = {}
        self.refuses: dict[int, int] = {}
        self.heard: list[tuple[float, int, int, int]] = []
        """When, unit, function, address."""

    def units(self) -> Container[int]:
        return self.present

    def handle(
        self, unit: int, function: int, address: int, count: int, words: tuple[int, ...]
    ) -> Deferred[list[int]] | list[int]:
        self.heard.append((round(self.clock.seconds(), 3), unit, function, address))
        if unit in self.mute:
            raise Mute
        if unit in self.refuses:
            raise DeviceRefused(self.refuses[unit], "as scripted")
        values = list(range(address, address + count))
        if unit in self.slow_s:
            return deferLater(self.clock, self.slow_s[unit], lambda: values)
        return values

    def asked(self, unit: int) -> list[float]:
        """When this unit was asked."""
        return [at_s for at_s, number, _, _ in self.heard if number == unit]


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """Connects to a server factory in memory; refuses on demand, and counts."""

    def __init__(self, factory: TcpServerFactory) -> None:
        self.factory = factory
        self.refusing = False
        self.tries: int = 0
        self.pumps: list[iosim.IOPump] = []
        self.servers: list[Any] = []

    def connect(self, protocolFactory: Factory[Any]) -> Deferred[Any]:
        self.tries += 1
        if self.refusing:
            return fail(ConnectionRefusedError())
        client, server = protocolFactory.buildProtocol(None), self.factory.buildProtocol(None)
        ends = iosim.FakeTransport(server, True), iosim.FakeTransport(client, False)
        self.pumps.append(iosim.connect(server, ends[0], client, ends[1], greet=False))
        self.servers.append(server)
        return succeed(client)


class TcpRig:
    """The real client and the real server over iosim."""

    absent: int | None = None

    def __init__(self, *units: int) -> None:
        self.clock = Clock()
        self.slave = ScriptedSlave(self.clock, *units)
        self.factory = TcpServerFactory(self.slave, absent=self.absent)
        self.endpoint = MemoryEndpoint(self.factory)
        line = TcpLine("box", 502, "tcp://box:502", self.clock, self.endpoint)
        self.bus = Bus(line, TcpConversation(), self.clock)

    def run(self, seconds: float) -> None:
        """Let that much time pass."""
        for _ in range(round(seconds / STEP_S)):
            self.flush()
            self.clock.advance(STEP_S)
        self.flush()

    def flush(self) -> None:
        """Deliver all that was sent."""
        while any(pump.pump() for pump in list(self.endpoint.pumps)):
            pass

    def cut(self) -> None:
        """The connection breaks."""
        self.endpoint.servers[-1].transport.abortConnection()
        self.flush()


class LoopLine:
    """A serial line that knows the time of every byte, without a device file: an RTU slave sits on its end."""

    listener: Listener
    name = "rtu:///dev/loop"
    reopens = False
    char_s = 11 / 19200
    gap_s = 3.5 * char_s

    def __init__(self, clock: Clock, slave: ScriptedSlave) -> None:
        self.up = False
        self.clock = clock
        self.slave = slave
        self.sent: list[tuple[float, bytes]] = []
        self.ear = RtuRequests()
        self.damage = False

    def ensure(self) -> None:
        self.up = True
        self.listener.line_up()

    def transmit_s(self, length: int) -> float:
        return length * self.char_s

    def send(self, frame: bytes) -> None:
        self.sent.append((self.clock.seconds(), frame))
        self.clock.callLater(self.transmit_s(len(frame)) + self.gap_s, self.arrived, frame)

    def arrived(self, frame: bytes) -> None:
        for unit, pdu in self.ear.feed(frame):
            if unit not in self.slave.units() and unit != 0:
                continue
            request = decode_request(pdu)
            try:
                values = self.slave.handle(unit, request.function, request.address, request.count, request.words)
            except Mute:
                continue
            except DeviceRefused as refused:
                self.speak(rtu_frame(unit, encode_exception(request.function, refused.code)))
                continue
            if isinstance(values, Deferred):
                values.addCallback(lambda v, u=unit, r=request: self.speak(rtu_frame(u, encode_answer(r, v))))
            elif unit != 0:
                self.speak(rtu_frame(unit, encode_answer(request, values)))

    def speak(self, data: bytes) -> None:
        """Bytes to the master, each when it has travelled; on a bad line one of them is another."""
        if self.damage:
            data = data[:4] + bytes((data[4] ^ 0x10,)) + data[5:]
        for index in range(len(data)):
            byte = data[index : index + 1]
            self.clock.callLater(self.transmit_s(index + 1), lambda byte=byte: self.listener.line_received(byte))

    def worked(self) -> None:
        pass

    def abort(self, why: str, *, blame: bool = False) -> None:
        raise AssertionError("a serial line is not opened anew against silence")

    def close(self) -> Deferred[None]:
        self.up = False
        return succeed(None)


class RtuRig:
    """The bus on a simulated serial line."""

    def __init__(self, *units: int) -> None:
        self.clock = Clock()
        self.slave = ScriptedSlave(self.clock, *units)
        self.line = LoopLine(self.clock, self.slave)
        self.bus = Bus(self.line, RtuConversation(), self.clock)

    def run(self, seconds: float) -> None:
        """Let that much time pass, finely: characters take half a millisecond."""
        for _ in range(round(seconds / (STEP_S / 10))):
            self.clock.advance(STEP_S / 10)
