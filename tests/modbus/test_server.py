"""The answering side: TCP, RTU, RTU over TCP."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, capturedLogs

from charging_manager.errors import DeviceRefused
from charging_manager.modbus.frames import crc16, rtu_frame, tcp_frame
from charging_manager.modbus.server import (
    SERIAL_GAP_S,
    SILENCE_S,
    Mute,
    RtuServer,
    RtuTcpServerFactory,
    TcpServerFactory,
)
from tests.modbus.test_frames import Spoiler

READ_TWO = bytes.fromhex("0300640002")
TWO = bytes.fromhex("030400640065")


class Registers:
    """Two units whose registers hold their own address, and whatever a test wants instead."""

    def __init__(self) -> None:
        self.instead: Any = None
        self.heard: list[tuple[int, int, int, int, tuple[int, ...]]] = []

    def units(self) -> tuple[int, ...]:
        return (1, 2)

    def handle(self, unit: int, function: int, address: int, count: int, words: tuple[int, ...]) -> Any:
        self.heard.append((unit, function, address, count, words))
        if isinstance(self.instead, Exception):
            raise self.instead
        if self.instead is not None:
            return self.instead
        return list(range(address, address + count))


class Transport(StringTransport):
    aborting = False

    def abortConnection(self) -> None:
        self.aborting = self.disconnecting = True


def tcp(slave: Registers, **options: Any) -> tuple[Any, Transport]:
    wire, transport = TcpServerFactory(slave, **options).buildProtocol(None), Transport()
    wire.makeConnection(transport)
    return wire, transport


def rtu(slave: Registers) -> tuple[RtuServer, Transport, Clock]:
    clock, transport = Clock(), Transport()
    wire = RtuServer(slave, clock)
    wire.makeConnection(transport)
    return wire, transport, clock


def test_requests_in_any_pieces_are_answered_in_their_order() -> None:
    wire, transport = tcp(Registers())
    stream = b"".join(tcp_frame(number, 1, READ_TWO) for number in range(5))
    for index in range(0, len(stream), 7):
        wire.dataReceived(stream[index : index + 7])
    assert transport.value() == b"".join(tcp_frame(number, 1, TWO) for number in range(5))


def test_refusals_and_bad_requests_get_their_exception() -> None:
    slave = Registers()
    wire, transport = tcp(slave)
    wire.dataReceived(tcp_frame(1, 1, bytes.fromhex("2b0e0100")) + tcp_frame(2, 1, bytes.fromhex("03ffff0002")))
    slave.instead = DeviceRefused(6, "busy")
    wire.dataReceived(tcp_frame(3, 1, READ_TWO))
    answers = (b"\xab\x01", b"\x83\x02", b"\x83\x06")
    assert transport.value() == b"".join(tcp_frame(number, 1, pdu) for number, pdu in enumerate(answers, 1))


def test_an_absent_unit_is_a_gateways_business() -> None:
    wire, transport = tcp(Registers())
    wire.dataReceived(tcp_frame(1, 9, READ_TWO))
    assert transport.value() == tcp_frame(1, 9, b"\x83\x0b")
    wire, transport = tcp(Registers(), absent=None)
    wire.dataReceived(tcp_frame(1, 9, READ_TWO) + tcp_frame(2, 1, READ_TWO))
    assert transport.value() == tcp_frame(2, 1, TWO)


def test_a_slave_may_be_mute_or_slow_and_the_order_stays() -> None:
    slave = Registers()
    wire, transport = tcp(slave)
    slave.instead = Mute()
    wire.dataReceived(tcp_frame(1, 1, READ_TWO))
    later: Deferred[list[int]] = Deferred()
    slave.instead = later
    wire.dataReceived(tcp_frame(2, 1, READ_TWO))
    slave.instead = None
    wire.dataReceived(tcp_frame(3, 1, READ_TWO))
    assert transport.value() == b""
    later.callback([7, 8])
    assert transport.value() == tcp_frame(2, 1, bytes.fromhex("030400070008")) + tcp_frame(3, 1, TWO)


def test_a_bug_in_a_slave_is_logged_and_answered_and_the_next_request_too() -> None:
    slave = Registers()
    wire, transport = tcp(slave)
    for instead in (ZeroDivisionError(), [1], [1, 2, 3]):
        slave.instead = instead
        with capturedLogs() as logs:
            wire.dataReceived(tcp_frame(1, 1, READ_TWO))
        assert [event["log_level"] for event in logs] == [LogLevel.critical]
        assert transport.value() == tcp_frame(1, 1, b"\x83\x04")
        transport.clear()
    slave.instead = None
    wire.dataReceived(tcp_frame(2, 1, READ_TWO))
    assert transport.value() == tcp_frame(2, 1, TWO)


def test_a_slow_answer_to_a_client_that_has_gone_is_nobodys() -> None:
    slave = Registers()
    wire, transport = tcp(slave)
    slave.instead = later = Deferred()
    wire.dataReceived(tcp_frame(1, 1, READ_TWO))
    wire.connectionLost()
    later.callback([7, 8])
    assert transport.value() == b""


def test_what_is_no_modbus_ends_the_connection() -> None:
    wire, transport = tcp(Registers())
    wire.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
    assert transport.aborting


def test_a_client_that_asks_without_end_fills_no_memory() -> None:
    slave = Registers()
    slave.instead = Deferred()
    wire, _ = tcp(slave)
    wire.dataReceived(tcp_frame(1, 1, READ_TWO) * 1000)
    assert len(slave.heard) == 1
    assert len(wire._answering._queue) <= 16


def test_a_slave_answers_after_the_silence_that_the_line_needs() -> None:
    wire, transport, clock = rtu(Registers())
    wire.dataReceived(rtu_frame(1, READ_TWO))
    assert transport.value() == b""
    clock.advance(SERIAL_GAP_S)
    assert transport.value() == rtu_frame(1, TWO)


def test_an_absent_unit_is_silence_and_the_next_good_frame_is_heard() -> None:
    wire, transport, clock = rtu(Registers())
    for _ in range(3):
        wire.dataReceived(rtu_frame(9, READ_TWO))
        clock.advance(1)
        assert transport.value() == b""
        wire.dataReceived(rtu_frame(2, READ_TWO))
        clock.advance(1)
        assert transport.value() == rtu_frame(2, TWO)
        transport.clear()


def test_after_any_noise_and_a_silence_the_next_request_is_answered() -> None:
    spoiler = Spoiler(11)
    wire, transport, clock = rtu(Registers())
    for _ in range(2000):
        noise = spoiler.random.randbytes(spoiler.random.randrange(300))
        if spoiler.random.random() < 0.3:
            noise = spoiler.damaged(rtu_frame(1, READ_TWO))
        wire.dataReceived(noise)
        clock.advance(SILENCE_S)
        clock.advance(SERIAL_GAP_S)
        transport.clear()
        for piece in spoiler.pieces(rtu_frame(2, READ_TWO)):
            wire.dataReceived(piece)
            clock.advance(0.0005)
        clock.advance(SERIAL_GAP_S)
        assert transport.value() == rtu_frame(2, TWO)
        assert wire._requests.buffered <= 512


def test_noise_right_before_a_request_delays_it_by_no_more_than_the_silence() -> None:
    wire, transport, clock = rtu(Registers())
    wire.dataReceived(bytes.fromhex("0110000000780f") + rtu_frame(1, READ_TWO))
    clock.advance(SILENCE_S)
    clock.advance(SERIAL_GAP_S)
    assert transport.value() == rtu_frame(1, TWO)
    assert wire.junk == 7


def test_a_broadcast_write_reaches_the_slave_and_nobody_answers() -> None:
    slave = Registers()
    wire, transport, clock = rtu(slave)
    wire.dataReceived(rtu_frame(0, bytes.fromhex("0600640007")))
    wire.dataReceived(rtu_frame(0, READ_TWO))
    clock.advance(1)
    assert slave.heard == [(0, 6, 100, 1, (7,))]
    assert transport.value() == b""


def test_an_unknown_function_gets_exception_1_on_a_line_too() -> None:
    wire, transport, clock = rtu(Registers())
    wire.dataReceived(rtu_frame(1, bytes.fromhex("2b0e0100")))
    clock.advance(SILENCE_S)
    clock.advance(SERIAL_GAP_S)
    assert transport.value() == rtu_frame(1, b"\xab\x01")


def test_rtu_over_tcp_answers_at_once_and_counts_its_clients() -> None:
    factory = RtuTcpServerFactory(Registers(), Clock(), most_clients=1)
    first, second = factory.buildProtocol(None), factory.buildProtocol(None)
    transports = Transport(), Transport()
    first.makeConnection(transports[0])
    second.makeConnection(transports[1])
    assert (transports[0].aborting, transports[1].aborting) == (False, True)
    first.dataReceived(rtu_frame(1, READ_TWO))
    assert transports[0].value() == rtu_frame(1, TWO)
    first.connectionLost()
    third = factory.buildProtocol(None)
    third.makeConnection(Transport())
    assert factory.clients == [third]
    assert factory.refused_clients == 1


def test_answers_can_be_spoilt_for_simulated_faults() -> None:
    def halves(frame: bytes) -> list[bytes]:
        return [frame[:3], frame[3:5]]

    wire, transport = tcp(Registers(), spoil=halves)
    wire.dataReceived(tcp_frame(1, 1, READ_TWO))
    assert transport.value() == tcp_frame(1, 1, TWO)[:5]


def test_a_line_that_closes_leaves_no_alarm_behind() -> None:
    wire, _, clock = rtu(Registers())
    wire.dataReceived(rtu_frame(1, READ_TWO) + b"\x01\x03")
    assert clock.getDelayedCalls()
    wire.connectionLost()
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize("unit", [1, 2])
def test_a_write_is_confirmed_by_its_echo(unit: int) -> None:
    slave = Registers()
    wire, transport, clock = rtu(slave)
    wire.dataReceived(rtu_frame(unit, bytes.fromhex("1000010002040001ffff")))
    clock.advance(1)
    assert transport.value() == rtu_frame(unit, bytes.fromhex("1000010002"))
    assert crc16(transport.value()) == 0
    assert slave.heard == [(unit, 16, 1, 2, (1, 65535))]
