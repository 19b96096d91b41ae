"""Framing under every split and much noise: never a wrong value, never more than 512 bytes kept."""

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charging_manager.errors import DeviceNonsense, DeviceRefused
from charging_manager.modbus.frames import (
    MOST_BUFFERED,
    OutOfSync,
    RtuAnswers,
    RtuRequests,
    TcpFrames,
    crc16,
    rtu_frame,
    tcp_frame,
)
from charging_manager.modbus.pdu import (
    Request,
    decode_answer,
    encode_answer,
    encode_exception,
    read_request,
    write_request,
)
from charging_manager.modbus.transaction import RtuConversation, TcpConversation

EXAMPLES = 50_000 if os.environ.get("CM_LONG") else 150
"""With CM_LONG set, the two properties below try 100,000 cases."""


def test_the_checksum_is_that_of_the_standard() -> None:
    assert rtu_frame(2, b"\x07").hex() == "02074112"  # Modbus over Serial Line 1.02, section 6.2.2
    assert rtu_frame(1, bytes.fromhex("0300000001")).hex() == "010300000001840a"
    assert crc16(bytes.fromhex("010300000001840a")) == 0


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The same bytes in pieces."""
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[a:b] for a, b in zip([0, *ends], ends, strict=False)]


@given(
    st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 255), st.binary(min_size=1, max_size=253)), max_size=5),
    st.data(),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_tcp_frames_come_out_whole_however_they_are_cut(
    frames: list[tuple[int, int, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(tcp_frame(*frame) for frame in frames)
    ear, heard = TcpFrames(), []
    for piece in cut(stream, data.draw(st.lists(st.integers(0, 2000), max_size=12))):
        heard += ear.feed(piece)
        assert ear.buffered <= 260
    assert heard == frames
    assert ear.buffered == 0


@given(st.integers(0, 255), st.lists(st.integers(0, 65535), min_size=1, max_size=125), st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_an_rtu_answer_is_found_in_noise_however_it_is_cut(unit: int, values: list[int], data: st.DataObject) -> None:
    request = read_request(3, 0, len(values))
    noise = data.draw(st.binary(max_size=40))
    stream = noise + rtu_frame(unit, encode_answer(request, values))
    ear = RtuAnswers()
    ear.expect(unit, 3, request.answer_length)
    pdu = None
    for piece in cut(stream, data.draw(st.lists(st.integers(0, 2000), max_size=12))):
        pdu = pdu or ear.feed(piece)
        assert ear.buffered <= MOST_BUFFERED
    # Noise can look like the beginning of the answer; then the answer is behind it in the buffer, or gets found.
    if pdu is not None:
        assert decode_answer(request, pdu) == values or crc16(noise[-2:]) == 0


@pytest.mark.parametrize(
    "header", ["0001000100060103", "000100000001", "0001000000000103", "000100000100", "00010000ffff01", "00010100"]
)
def test_a_header_that_lies_ends_the_connection(header: str) -> None:
    with pytest.raises(OutOfSync):
        TcpFrames().feed(bytes.fromhex(header) + b"\0" * 3 if len(header) > 12 else bytes.fromhex(header + "00"))


def test_a_wrong_protocol_is_seen_before_the_frame_is_complete() -> None:
    ear = TcpFrames()
    assert ear.feed(b"\x00\x01\x00") == []
    with pytest.raises(OutOfSync):
        ear.feed(b"\x01")


class Spoiler:
    """Makes a stream of good, damaged, late, foreign and random bytes. What it damages, no checksum can miss."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def request(self) -> Request:
        kind = self.random.random()
        address = self.random.randrange(60000)
        if kind < 0.6:
            return read_request(self.random.choice((3, 4)), address, self.random.choice((1, 2, 10, 30, 125)))
        if kind < 0.8:
            return read_request(self.random.choice((1, 2)), address, self.random.randrange(1, 200))
        return write_request(self.random.choice((6, 16)), address, [self.random.randrange(65536)])

    def values(self, request: Request) -> list[int]:
        if request.words:
            return []
        top = 2 if request.function < 3 else 65536
        return [self.random.randrange(top) for _ in range(request.count)]

    def pieces(self, data: bytes) -> list[bytes]:
        """The same bytes, cut at up to six places."""
        places = [self.random.randrange(len(data) + 1) for _ in range(self.random.randrange(7))] if data else []
        return cut(data, places)

    def damaged(self, frame: bytes) -> bytes:
        """A burst of up to 16 bits, which a CRC-16 always notices, or a piece of the frame."""
        if self.random.random() < 0.5:
            at = self.random.randrange(len(frame) - 1)
            burst = self.random.randrange(1, 65536).to_bytes(2, "big")
            return frame[:at] + bytes(a ^ b for a, b in zip(frame[at : at + 2], burst, strict=True)) + frame[at + 2 :]
        return frame[: self.random.randrange(len(frame))]


ROUNDS = 60_000


def test_a_hundred_thousand_spoilt_tcp_and_rtu_streams_never_give_a_wrong_value() -> None:
    spoiler = Spoiler(2024)
    good = sum(tcp_round(spoiler) for _ in range(ROUNDS))
    assert good > ROUNDS / 4
    good = sum(rtu_round(spoiler) for _ in range(ROUNDS))
    assert good > ROUNDS / 4


def settle(request: Request, answer: bytes, values: list[int]) -> bool:
    """Whether the values came through. Refused and nonsense are no values; wrong ones fail the test."""
    try:
        assert decode_answer(request, answer) == values
    except (DeviceRefused, DeviceNonsense):
        return False
    return True


def tcp_round(spoiler: Spoiler) -> bool:
    """One question, and a stream that may hold its answer."""
    talk = TcpConversation()
    request = spoiler.request()
    values = spoiler.values(request)
    unit = spoiler.random.randrange(256)
    number = int.from_bytes(talk.ask(unit, request)[:2], "big")
    frame = tcp_frame(number, unit, encode_answer(request, values))
    dice = spoiler.random.random()
    if dice < 0.2:  # late answers to older questions before it
        frame = tcp_frame(number - 1, unit, encode_answer(request, spoiler.values(request))) + frame
    elif dice < 0.3:
        frame = spoiler.random.randbytes(spoiler.random.randrange(300)) + frame
    elif dice < 0.4:  # a damaged header: TCP has no checksum of ours, so the data itself stays whole
        frame = spoiler.damaged(frame[:8]) + frame[8:]
    elif dice < 0.5:
        frame = frame[: spoiler.random.randrange(len(frame))]
    elif dice < 0.6:
        frame = tcp_frame(number, unit, encode_exception(request.function, spoiler.random.randrange(256)))
    elif dice < 0.7:  # another question's answer under this number
        other = spoiler.request()
        if (other.function, other.answer_length) == (request.function, request.answer_length):
            return False
        frame = tcp_frame(number, unit, encode_answer(other, spoiler.values(other)))
    spoilt = 0.3 <= dice < 0.4
    try:
        for piece in spoiler.pieces(frame):
            answer = talk.receive(piece)
            assert talk._frames.buffered <= MOST_BUFFERED
            if answer is not None:
                if spoilt and answer != encode_answer(request, values):
                    return False  # the damage hit the function or the byte count; decode_answer judges those below
                return settle(request, answer, values)
    except DeviceNonsense:
        return False
    return False


def rtu_round(spoiler: Spoiler) -> bool:
    """The same over a serial line."""
    talk = RtuConversation(echo=spoiler.random.random() < 0.1)
    request = spoiler.request()
    values = spoiler.values(request)
    unit = spoiler.random.randrange(1, 248)
    sent = talk.ask(unit, request)
    frame = rtu_frame(unit, encode_answer(request, values))
    dice = spoiler.random.random()
    if dice < 0.2:
        frame = spoiler.random.randbytes(spoiler.random.randrange(40)) + frame
    elif dice < 0.45:
        frame = spoiler.damaged(frame)
    elif dice < 0.55:
        frame = spoiler.damaged(frame) + frame
    elif dice < 0.65:  # a neighbour's answer
        frame = rtu_frame(unit % 247 + 1, encode_answer(request, spoiler.values(request))) + frame
    elif dice < 0.7:
        frame = rtu_frame(unit, encode_exception(request.function, spoiler.random.randrange(256)))
    elif dice < 0.75:  # an endless stream that never makes sense
        frame = spoiler.random.randbytes(1500)
    stream = (sent if talk._answers._echo else b"") + frame
    for piece in spoiler.pieces(stream):
        answer = talk.receive(piece)
        assert talk._answers.buffered <= MOST_BUFFERED
        if answer is not None:
            return settle(request, answer, values)
    return False


def test_a_slave_finds_the_next_good_request_after_anything() -> None:
    spoiler = Spoiler(7)
    for _ in range(5_000):
        ear = RtuRequests()
        junk = spoiler.random.randbytes(spoiler.random.randrange(60))
        if spoiler.random.random() < 0.5:
            other = spoiler.request()
            junk = rtu_frame(9, encode_answer(other, spoiler.values(other)))
        heard = ear.feed(junk) + ear.silence()
        assert [unit for unit, _ in heard if unit != 9] == []  # a neighbour's answer may look like a request to it
        heard.clear()
        request = spoiler.request()
        for piece in spoiler.pieces(rtu_frame(3, request.pdu)):
            heard += ear.feed(piece)
            assert ear.buffered <= MOST_BUFFERED
        assert heard == [(3, request.pdu)]


def test_a_request_right_behind_noise_is_found_when_the_line_falls_silent() -> None:
    ear = RtuRequests()
    request = read_request(3, 0, 2).pdu
    start_of_a_long_write = bytes.fromhex("0310000000780f")
    heard = ear.feed(start_of_a_long_write + rtu_frame(3, request))
    assert (heard or ear.silence()) == [(3, request)]


def test_a_whole_request_with_an_unknown_function_is_told_when_the_line_falls_silent() -> None:
    ear = RtuRequests()
    assert ear.feed(rtu_frame(3, bytes.fromhex("2b0e0100"))) == []
    assert ear.silence() == [(3, bytes.fromhex("2b0e0100"))]


def test_an_echo_of_a_write_does_not_confirm_it() -> None:
    talk = RtuConversation(echo=True)
    request = write_request(6, 1, [3])
    sent = talk.ask(5, request)
    assert talk.receive(sent[:3]) is None
    assert talk.receive(sent[3:]) is None
    assert talk.receive(sent) == request.pdu


def test_junk_on_the_line_is_counted() -> None:
    talk = RtuConversation()
    talk.ask(5, read_request(3, 0, 1))
    talk.receive(b"\xff" * 20)
    assert talk.receive(rtu_frame(5, bytes.fromhex("03020007"))) == bytes.fromhex("03020007")
    assert talk.strays == 20


def test_a_late_tcp_answer_is_counted_and_dropped() -> None:
    talk = TcpConversation()
    first = talk.ask(5, read_request(3, 0, 1))
    talk.give_up()
    second = talk.ask(5, read_request(3, 9, 1))
    assert talk.receive(first[:5] + b"\x05" + first[6:7] + bytes.fromhex("03020001")) is None
    assert talk.heard_late() == 5
    assert talk.receive(second[:5] + b"\x05" + second[6:7] + bytes.fromhex("03020002")) == bytes.fromhex("03020002")
    assert talk.strays == 1


def test_an_answer_from_another_unit_is_nonsense() -> None:
    talk = TcpConversation()
    frame = talk.ask(5, read_request(3, 0, 1))
    with pytest.raises(DeviceNonsense, match="unit 6"):
        talk.receive(frame[:5] + b"\x05\x06" + bytes.fromhex("03020001"))
