"""Addresses that people type."""

import pytest

from charging_manager.errors import ConfigError
from charging_manager.modbus.address import RtuAddress, RtuTcpAddress, TcpAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp://192.168.1.20?unit=1", TcpAddress("192.168.1.20", 502, 1)),
        ("tcp://192.168.1.20", TcpAddress("192.168.1.20", 502, 1)),
        ("tcp://box.lan:5020/?unit=255", TcpAddress("box.lan", 5020, 255)),
        ("tcp://[::1]:5020?unit=0", TcpAddress("::1", 5020, 0)),
        ("tcp://box.lan?unit=1&connector=12", TcpAddress("box.lan", 502, 1, 12)),
        ("rtutcp://10.0.0.7:4001?connector=2", RtuTcpAddress("10.0.0.7", 4001, 1, False, 2)),
        (" tcp://127.0.0.1 ", TcpAddress("127.0.0.1", 502, 1)),
        ("rtutcp://[fe80::1]:4001?unit=3", RtuTcpAddress("fe80::1", 4001, 3)),
        ("rtutcp://127.0.0.1:4001?unit=3&echo=1", RtuTcpAddress("127.0.0.1", 4001, 3, True)),
        ("rtu:///dev/ttyUSB0?baud=19200&parity=E&stopbits=1&unit=3", RtuAddress("/dev/ttyUSB0", 19200, "E", 1, 3)),
        ("rtu:///dev/ttyUSB0", RtuAddress("/dev/ttyUSB0", 19200, "E", 1, 1)),
        ("rtu:///dev/serial/by-id/usb%20x?baud=9600&parity=none", RtuAddress("/dev/serial/by-id/usb x", 9600, "N", 1)),
    ],
)
def test_an_address_says_where_a_device_is(text: str, address: object) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "tcp://192.168.1.20:502?unit=1",
        "rtutcp://[fe80::1]:4001?unit=3",
        "rtu:///dev/ttyS1?baud=9600&parity=N&stopbits=2&unit=9",
        "tcp://box:502?unit=1&connector=48",
    ],
)
def test_an_address_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_address(text)) == text


def test_units_of_one_endpoint_share_a_bus() -> None:
    first, second = parse_address("tcp://box?unit=1"), parse_address("tcp://box:502?unit=2")
    other = parse_address("rtutcp://box:502?unit=2")
    assert first.endpoint == second.endpoint != other.endpoint
    assert parse_address("rtu:///dev/ttyS0?unit=1").endpoint == parse_address("rtu:///dev/ttyS0?unit=2").endpoint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "tcp://"),
        ("192.168.1.20", "tcp://"),
        ("coap://192.168.1.20", "rtutcp://"),
        ("mqtt://192.168.1.20", "topics begin with"),
        ("mqtt://192.168.1.20/a/+", "topics begin with"),
        ("push:Not a name", "tells us by itself"),
        ("http://192.168.1.20/status", "more than the host"),
        ("tcp://", "host"),
        ("tcp://?unit=1", "host"),
        ("tcp://host:70000", "address"),
        ("tcp://host:0", "65535"),
        ("tcp://host:port", "address"),
        ("tcp://[::1", "address"),
        ("tcp://host?unit=256", "unit"),
        ("tcp://host?unit=-1", "unit"),
        ("tcp://host?unit=", "unit"),
        ("tcp://host?unit=1&unit=2", "twice"),
        ("tcp://host?unit=1&speed=9", "speed"),
        ("tcp://host/path?unit=1", "path"),
        ("tcp://me:secret@host", "no address has"),
        ("rtutcp://host?unit=1", "port"),
        ("rtu://dev/ttyUSB0", "serial device"),
        ("rtu:///", "serial device"),
        ("rtu:///dev/ttyUSB0?baud=fast", "baud"),
        ("rtu:///dev/ttyUSB0?parity=X", "parity"),
        ("rtu:///dev/ttyUSB0?stopbits=3", "stopbits"),
        ("rtu:///dev/ttyUSB0?unit=1&echo=2", "echo"),
    ],
)
def test_a_bad_address_is_refused_in_one_sentence(text: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_address(text)
    assert caught.value.where == "address"
    assert hint in caught.value.sentence
    assert "\n" not in caught.value.sentence
