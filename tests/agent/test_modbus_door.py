"""Who may come to our Modbus server, how many, and what becomes of those who say nothing or do not listen."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs

from charging_manager.agent.modbus_door import IDLE_S, MOST_CLIENTS, Door, DoorSettings, read_door
from charging_manager.errors import ConfigError
from charging_manager.modbus.frames import tcp_frame

READ = bytes.fromhex("0300000001")


class Echo:
    """Every register holds 7."""

    def units(self) -> range:
        return range(256)

    def handle(self, unit: int, function: int, address: int, count: int, words: tuple[int, ...]) -> list[int]:
        return [7] * count


class Transport(StringTransport):
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = self.disconnecting = True

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.kept_alive = enabled


def address(host: str) -> Any:
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, 40_000)


def door(*networks: str) -> tuple[Door, Clock]:
    settings = read_door(1502, None, networks)
    assert settings is not None
    clock = Clock()
    return Door(Echo(), settings.allowed, clock), clock


def come(door: Door, host: str = "127.0.0.1") -> tuple[Any, Transport]:
    client, transport = door.buildProtocol(address(host)), Transport()
    assert client is not None
    client.makeConnection(transport)
    return client, transport


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "192.168.7.9", "fe80::1%eth0"])
def test_this_machine_and_listed_networks_come_in(host: str) -> None:
    client, transport = come(door("192.168.7.0/24", "fe80::/64")[0], host)
    client.dataReceived(tcp_frame(1, 3, READ))
    assert transport.value() == tcp_frame(1, 3, bytes.fromhex("03020007"))


@pytest.mark.parametrize("host", ["192.168.8.9", "10.0.0.1", "::ffff:192.168.8.9", "2001:db8::1", "", "nonsense"])
def test_nobody_else_does_and_the_log_says_so_once_a_minute(host: str) -> None:
    made, clock = door("192.168.7.0/24")
    with capturedLogs() as logs:
        for _ in range(30):
            assert made.buildProtocol(address(host) if host not in ("", "nonsense") else _Named(host)) is None
        clock.advance(61)
        assert made.buildProtocol(_Named(host)) is None
    assert len(logs) == 2 and made.refused == 31


class _Named:
    def __init__(self, host: str) -> None:
        self.host = host


def test_clients_are_bounded_and_make_room_when_they_say_nothing() -> None:
    made, clock = door()
    for _ in range(MOST_CLIENTS):
        come(made)
    _, late = come(made)
    assert late.aborted
    clock.advance(IDLE_S)
    assert all(client.transport.aborted for client in list(made.clients))  # type: ignore[attr-defined]


def test_a_client_that_talks_stays_and_one_that_is_silent_goes() -> None:
    made, clock = door()
    client, transport = come(made)
    for number in range(10):
        clock.advance(IDLE_S - 1)
        client.dataReceived(tcp_frame(number, 1, READ))
    assert not transport.aborted
    clock.advance(IDLE_S)
    assert transport.aborted
    client.connectionLost()
    assert made.clients == [] and clock.getDelayedCalls() == []


def test_a_client_that_does_not_read_its_answers_is_not_heard() -> None:
    _, transport = come(door()[0])
    transport.producer.pauseProducing()  # type: ignore[union-attr]
    assert transport.producerState == "paused"
    transport.producer.resumeProducing()  # type: ignore[union-attr]
    assert transport.producerState == "producing"


def test_garbage_ends_the_connection() -> None:
    client, transport = come(door()[0])
    client.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert transport.aborted


def test_settings_are_read_and_refused_by_name() -> None:
    assert read_door(None, None, ()) is None
    assert read_door(502, "::1", ()) == DoorSettings(502, "::1", ())
    for bind, allow, where in (
        (None, ["192.168.1.1/24"], "agent.modbus_allow"),
        (None, ["all"], "agent.modbus_allow"),
        (None, ["0.0.0.0/0"], "agent.modbus_allow"),
        (None, ["::/0"], "agent.modbus_allow"),
        ("localhost", [], "agent.modbus_bind"),
    ):
        with pytest.raises(ConfigError) as caught:
            read_door(502, bind, allow)
        assert caught.value.where == where
