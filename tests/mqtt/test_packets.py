"""Packets of MQTT: bytes in any pieces mean the same; what is too long is passed over; what is none is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging_manager.mqtt import packets
from charging_manager.mqtt.packets import Alive, Greeting, Message, NoMqtt, Packets, Subscribed, Taken

STREAM = (
    b"\x20\x02\x00\x05"  # CONNACK: refused
    + packets.publish("a/b", b"hello", retain=True)
    + packets.publish("a/b", b"x" * 70_000, number=7)
    + packets.publish("\u00fc", b"", number=65535)
    + packets.puback(3)
    + b"\x90\x04\x00\x01\x00\x80"  # SUBACK
    + b"\xd0\x00"
)
MEANS = [
    Greeting(5),
    Message("a/b", b"hello", True, None, 5),
    Message("a/b", None, False, 7, 70_000),
    Message("\u00fc", b"", False, 65535, 0),
    Taken(3),
    Subscribed(1, (0, 0x80)),
    Alive(),
]


def test_the_examples_of_the_standard() -> None:
    assert packets.connect("cm", 20) == b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x14\x00\x02cm"
    with_login = packets.connect("c", 60, "u", "p", ("w", b"gone"))
    assert with_login == b"\x10\x1c\x00\x04MQTT\x04\xe6\x00\x3c\x00\x01c\x00\x01w\x00\x04gone\x00\x01u\x00\x01p"
    assert packets.subscribe(10, [("a/b", 1), ("c/d", 0)]) == b"\x82\x0e\x00\x0a\x00\x03a/b\x01\x00\x03c/d\x00"
    assert packets.unsubscribe(1, ["a"]) == b"\xa2\x05\x00\x01\x00\x01a"
    assert packets.publish("a", b"x" * 125)[:2] == b"\x30\x80"  # section 2.2.3: 128 is 0x80 0x01


@given(st.lists(st.integers(1, 5000), max_size=60))
def test_pieces_mean_what_the_whole_means(sizes: list[int]) -> None:
    reader, found, at = Packets(), [], 0
    for size in [*sizes, len(STREAM)]:
        found += reader.feed(STREAM[at : at + size])
        at += size
    assert found == MEANS


def test_a_message_of_ten_megabytes_is_never_kept() -> None:
    reader = Packets()
    data = packets.publish("storm", b"x" * 10_000_000)
    found = []
    for at in range(0, len(data), 65536):
        found += reader.feed(data[at : at + 65536])
        assert len(reader._tail) <= 65536
    assert found == [Message("storm", None, False, None, 10_000_000)]
    assert reader.feed(packets.PING[:0] + b"\xd0\x00") == [Alive()]


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\xff\xff\xff\xff\x01",  # a length without end
        b"\x20\xff\xff\x7f",  # a greeting of 2 MB
        b"\x36\x05\x00\x01a\x00\x01",  # QoS 3
        b"\x30\x03\x00\x05a",  # ends within its topic
        b"\x30\x03\x00\x01\xff",  # a topic that is no text
        b"\x20\x01\x00",  # a short greeting
        b"\x40\x01\x00",
        b"HTTP/1.1 400 Bad Request\r\n\r\n" + b" " * 100,
        b"\x10\x00",  # a client's packet
        b"\x00\x00",
    ],
)
def test_what_is_no_mqtt_is_refused(data: bytes) -> None:
    with pytest.raises(NoMqtt):
        Packets().feed(data)


@given(st.binary(max_size=400))
def test_nothing_else_is_ever_raised(data: bytes) -> None:
    reader = Packets()
    try:
        reader.feed(data)
        reader.feed(data)
    except NoMqtt:
        pass
