"""The box receiver: AMP's wire format exactly, in any pieces, and never more in memory than the bounds."""

from __future__ import annotations

import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.protocols.amp import AmpBox, parseString

from charging_manager.tunnel import bounds
from charging_manager.tunnel.boxes import END, BoxReader, data_head, data_length, number_box
from charging_manager.tunnel.reasons import Violation

MANY = 5000 if os.environ.get("CM_LONG") else 150

keys = st.binary(min_size=1, max_size=255)
boxes = st.dictionaries(keys, st.binary(max_size=2000), min_size=1, max_size=bounds.KEYS)


def data_box(stream: int, data: bytes) -> bytes:
    return data_head(stream) + data_length(len(data)) + data + END


class Heard:
    def __init__(self, *, admitted: bool = True) -> None:
        self.boxes: list[dict[bytes, bytes]] = []
        self.data: dict[int, bytes] = {}
        self.reader = BoxReader(lambda box: self.boxes.append(dict(box)), self.on_data)
        if admitted:
            self.reader.box_bytes = bounds.BOX_BYTES
            self.reader.streams_allowed = True

    def on_data(self, stream: int, data: bytes) -> None:
        self.data[stream] = self.data.get(stream, b"") + data

    def feed_in(self, wire: bytes, sizes: list[int]) -> None:
        at = 0
        for size in sizes:
            self.reader.feed(wire[at : at + size])
            at += size
        self.reader.feed(wire[at:])


@settings(max_examples=MANY, deadline=None)
@given(st.lists(boxes, max_size=6), st.lists(st.integers(1, 3000), max_size=30))
def test_what_stock_amp_writes_is_read_in_any_pieces(sent: list[dict[bytes, bytes]], sizes: list[int]) -> None:
    heard = Heard()
    sent = [box for box in sent if box.get(b"_command") != b"d"]
    heard.feed_in(b"".join(AmpBox(box).serialize() for box in sent), sizes)
    assert heard.boxes == sent
    assert heard.reader.held_bytes == 0


@settings(max_examples=MANY, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9_999_999_999), st.binary(max_size=70 * 30)), max_size=6),
    st.lists(st.integers(1, 3000), max_size=30),
)
def test_stream_data_between_other_boxes_arrives_whole(sent: list[tuple[int, bytes]], sizes: list[int]) -> None:
    heard = Heard()
    other = AmpBox({b"_command": b"Ping", b"_ask": b"1"})
    heard.feed_in(b"".join(data_box(number, data) + other.serialize() for number, data in sent), sizes)
    wanted: dict[int, bytes] = {}
    for number, data in sent:
        if data:
            wanted[number] = wanted.get(number, b"") + data
    assert heard.data == wanted
    assert heard.boxes == [dict(other)] * len(sent)


@settings(max_examples=MANY, deadline=None)
@given(st.integers(0, 9_999_999_999), st.binary(max_size=65535))
def test_stock_amp_reads_what_we_write(number: int, data: bytes) -> None:
    credit = number_box(b"c", i=number, n=len(data))
    end = number_box(b"f", i=number)
    name = b"%d" % number
    assert [dict(box) for box in parseString(data_box(number, data) + credit + end)] == [
        {b"_command": b"d", b"i": name, b"p": data},
        {b"_command": b"c", b"i": name, b"n": b"%d" % len(data)},
        {b"_command": b"f", b"i": name},
    ]


@settings(max_examples=MANY * 4, deadline=None)
@given(st.lists(st.binary(max_size=6000), max_size=12), st.booleans())
def test_no_garbage_makes_it_hold_more_than_the_bounds(pieces: list[bytes], admitted: bool) -> None:
    heard = Heard(admitted=admitted)
    try:
        for piece in pieces:
            heard.reader.feed(piece)
            assert heard.reader.held_bytes <= heard.reader.box_bytes
    except Violation:
        heard.reader.stop()
    assert heard.reader.held_bytes <= heard.reader.box_bytes


fragments = st.sampled_from(
    [
        b"\x00\x08_command\x00\x01d\x00\x01i\x00\x011\x00\x01p",
        b"\x00\x08_command",
        b"\x00\x01d",
        b"\x00\x01p\xff\xff",
        b"\xff\xff" + b"z" * 65535,
        b"\x00\x00",
        b"\x00\xff" + b"k" * 255,
        b"\x01\x00",
        data_box(1, b"q" * 40000),
        AmpBox(_command=b"c", i=b"1", n=b"5").serialize(),
    ]
)


@settings(max_examples=MANY * 4, deadline=None)
@given(st.lists(st.one_of(fragments, st.binary(max_size=40)), max_size=12), st.booleans(), st.integers(1, 70000))
def test_nor_do_broken_boxes_of_our_own(parts: list[bytes], admitted: bool, size: int) -> None:
    wire = b"".join(parts)
    heard = Heard(admitted=admitted)
    try:
        for at in range(0, len(wire), size):
            heard.reader.feed(wire[at : at + size])
            assert heard.reader.held_bytes <= heard.reader.box_bytes
    except Violation:
        heard.reader.stop()


def refused(wire: bytes, *, admitted: bool = True) -> str:
    with pytest.raises(Violation) as caught:
        Heard(admitted=admitted).reader.feed(wire)
    return caught.value.what


def test_each_bound_is_enforced() -> None:
    seventeen = AmpBox({b"k%d" % n: b"" for n in range(17)}).serialize()
    value = struct.pack(">H", 60000) + b"v" * 60000
    endless = b"\x00\x01a" + value + b"\x00\x01b" + value + b"\x00\x01c" + value
    assert refused(seventeen) == "too many keys in a box"
    assert refused(b"\x01\x00" + b"k" * 256) == "key too long"
    assert refused(endless) == "box too large"
    assert refused(b"\x00\x01a\x20\x00", admitted=False) == "box too large"
    assert refused(b"\x00\x00") == "empty box"
    assert refused(b"\x00\x01a\x00\x00" * 2) == "key twice in a box"
    assert refused(b"\x00\x08_command\x00\x01d\x00\x01i\x00\x03abc\x00\x01p\x00\x01x\x00\x00") == (
        "stream number is no number"
    )
    assert refused(data_head(1) + b"\x00\x01x" + b"\x00\x01") == "data box with more than data"


def test_a_box_of_exactly_the_bound_passes() -> None:
    key_bytes, value = 3, bounds.BOX_BYTES // 2 - 10
    wire = AmpBox({b"a" * key_bytes: b"x" * value, b"b" * key_bytes: b"y" * value}).serialize()
    heard = Heard()
    heard.reader.feed(wire)
    assert len(heard.boxes) == 1


def test_before_login_stream_data_is_a_box_like_others() -> None:
    heard = Heard(admitted=False)
    heard.reader.feed(data_box(1, b"x"))
    assert heard.data == {}
    assert heard.boxes == [{b"_command": b"d", b"i": b"1", b"p": b"x"}]


def test_a_stopped_reader_cuts_nothing_more() -> None:
    heard = Heard()
    one = AmpBox(_command=b"Ping").serialize()
    heard.reader._on_box = lambda _: heard.reader.stop()
    heard.reader.feed(one * 3)
    heard.reader.feed(one)
    assert heard.boxes == []
    assert heard.reader.held_bytes == 0
