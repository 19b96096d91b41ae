"""Cuts byte streams into Modbus frames; knows no socket, no clock and no device.

Theory of operation. TCP frames carry their length, so one that lies ends the connection: nothing after it can be
trusted. RTU frames carry none; the master knows what it waits for, so its side hunts byte by byte for that unit, that
function (or its refusal) and that length, and believes it only with its checksum. A slave cannot know what comes; it
hunts for any request with a good checksum, and silence on the line lets it give up on the beginning of one.
"""

from __future__ import annotations

import struct

from charging_manager.errors import DeviceNonsense
from charging_manager.modbus.pdu import request_length

TCP_LENGTHS = range(2, 255)
"""What a TCP header may say: the unit and 1 to 253 bytes of PDU."""

LONGEST_RTU = 256
MOST_BUFFERED = 512

TcpFrame = tuple[int, int, bytes]
"""Transaction, unit, PDU."""

_HEADER = struct.Struct(">HHHB")


class OutOfSync(DeviceNonsense):
    """The stream cannot be cut into frames any more; the connection must go."""


def tcp_frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    """A PDU as it travels over TCP."""
    return _HEADER.pack(transaction, 0, len(pdu) + 1, unit) + pdu


class TcpFrames:
    """Cuts a Modbus TCP stream, in whatever pieces it comes."""

    def __init__(self) -> None:
        self._tail = b""

    @property
    def buffered(self) -> int:
        """How many bytes wait for the rest of their frame: never more than one frame."""
        return len(self._tail)

    def feed(self, data: bytes) -> list[TcpFrame]:
        """All frames that are complete now. Raises: OutOfSync, and is of no use from then on."""
        if self._tail:
            data = self._tail + data
        frames: list[TcpFrame] = []
        at, end = 0, len(data)
        while end - at >= 7:
            transaction, protocol, length, unit = _HEADER.unpack_from(data, at)
            if protocol != 0 or length not in TCP_LENGTHS:
                self._tail = b""
                raise OutOfSync(f"no Modbus TCP header: {data[at : at + 8].hex()}")
            if end - at < 6 + length:
                break
            frames.append((transaction, unit, data[at + 7 : at + 6 + length]))
            at += 6 + length
        self._tail = data[at:]
        self._check_beginning()
        return frames

    def _check_beginning(self) -> None:
        """A header that is wrong already needs no seventh byte."""
        tail = self._tail
        if not tail:
            return
        lies = any(tail[2:5]) or (len(tail) >= 6 and tail[5] not in TCP_LENGTHS)
        if lies:
            self._tail = b""
            raise OutOfSync(f"no Modbus TCP header: {tail[:8].hex()}")


def _make_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC_TABLE = _make_table()


def crc16(data: bytes) -> int:
    """The checksum of serial frames (Modbus over Serial Line 1.02, section 6.2.2)."""
    crc = 0xFFFF
    table = _CRC_TABLE
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """A PDU as it travels over a serial line."""
    body = bytes((unit,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


class RtuAnswers:
    """The master's ear: finds the answer to the one request that is open, and counts all else as junk."""

    def __init__(self, echo: bool = False) -> None:
        self._tail = b""
        self._echo = echo
        self._heard = b""  # our own request, while its echo is due
        self._unit = self._function = self._length = -1
        self.junk = 0
        """Bytes that were no answer, since the beginning."""
        self.garbled = False
        """Something came that began like the awaited answer, and was damaged."""

    @property
    def buffered(self) -> int:
        """How many bytes wait for more: never over 512."""
        return len(self._tail)

    def expect(self, unit: int, function: int, pdu_length: int, sent: bytes = b"") -> None:
        """From now on the answer to this request is looked for; what came before it is junk."""
        self.forget()
        self._unit, self._function, self._length = unit, function, pdu_length + 3
        self._heard = sent if self._echo else b""
        self.garbled = False

    def forget(self) -> None:
        """No answer is awaited any more."""
        self.junk += len(self._tail)
        self._tail = b""
        self._unit = -1

    def feed(self, data: bytes) -> bytes | None:
        """The PDU of the answer, if it is complete now."""
        if self._unit < 0:
            self.junk += len(data)
            return None
        data = self._tail + data
        if self._heard:
            if len(data) < len(self._heard) and self._heard.startswith(data):
                self._tail = data
                return None
            if data.startswith(self._heard):
                data = data[len(self._heard) :]
            self._heard = b""
        at, end = 0, len(data)
        while at < end:
            needs = self._frame_at(data, at)
            if needs == 0:
                at += 1
            elif at + needs > end:
                break
            elif crc16(data[at : at + needs]) == 0:  # over a frame with its own checksum it comes out as 0
                self.junk += at + end - (at + needs)
                self._tail = b""
                self._unit = -1
                return data[at + 1 : at + needs - 2]
            else:
                self.garbled = True
                at += 1
        self.junk += at
        self._tail = data[at:]
        return None

    def _frame_at(self, data: bytes, at: int) -> int:
        """How long the awaited frame would be if it began here; 0 if it does not."""
        if data[at] != self._unit:
            return 0
        if at + 1 >= len(data):
            return 5
        function = data[at + 1]
        if function == self._function | 0x80:
            return 5
        if function != self._function:
            return 0
        if function <= 4 and at + 2 < len(data) and data[at + 2] != self._length - 5:
            return 0
        return self._length


class RtuRequests:
    """The slave's ear: finds requests on a line that also carries other slaves' answers, and noise."""

    def __init__(self) -> None:
        self._tail = b""
        self._fresh = True  # the tail began after silence, so a frame with a function unknown to us may begin there
        self.junk = 0

    @property
    def buffered(self) -> int:
        """How many bytes wait for more: never over 512."""
        return len(self._tail)

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """(unit, PDU) of every request that is complete now; the beginning of one is kept."""
        data = self._tail + data
        frames: list[tuple[int, bytes]] = []
        at, end = 0, len(data)
        while at < end:
            length = self._length_at(data, at)
            if length > end - at or (length == 0 and self._fresh and end - at <= LONGEST_RTU):
                break
            if length and crc16(data[at : at + length]) == 0:
                frames.append((data[at], data[at + 1 : at + length - 2]))
                at += length
                self._fresh = True
            else:
                at += 1
                self.junk += 1
                self._fresh = False
        self._tail = data[at:]
        return frames

    def silence(self) -> list[tuple[int, bytes]]:
        """The line has been silent: what looked like the beginning of a request was none. Requests behind it, if any.

        A whole frame with a function that we do not know is one too: it ends where the silence begins.
        """
        tail, self._tail = self._tail, b""
        frames: list[tuple[int, bytes]] = []
        if self._fresh and 4 <= len(tail) <= LONGEST_RTU and crc16(tail) == 0:
            frames, tail = [(tail[0], tail[1:-2])], b""
        while tail:
            self._fresh = False
            self.junk += 1
            frames += self.feed(tail[1:])
            tail, self._tail = self._tail, b""
        self._fresh = True
        return frames

    @staticmethod
    def _length_at(data: bytes, at: int) -> int:
        """How long a request that begins here would be, at least; 0 if none does."""
        head = data[at + 1 : at + 8]
        if not head:
            return 4
        length = request_length(head)
        if length is None:
            return 9
        return length + 3 if 0 < length <= 253 else 0
