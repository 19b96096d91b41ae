"""AMP's boxes, cut from a byte stream and put into it: the same wire format as Twisted's, bounded and fast.

Theory of operation. Twisted's parser copies its tail for every read and bounds no box. This one walks whole buffers
by offset, keeps only an unfinished box (never more than the bound), and knows from what it has seen how many bytes the
box must still have, so that a box dripped byte by byte costs no rescans. Data boxes of streams, recognised by their
constant first bytes (AMP sorts keys), skip the dictionary.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

from twisted.protocols.amp import AmpBox

from charging_manager.tunnel import bounds
from charging_manager.tunnel.reasons import Violation

_DATA = b"\x00\x08_command\x00\x01d\x00\x01p"
_STREAM = b"\x00\x01s"
_END = b"\x00\x00"
_LENGTH = struct.Struct(">H").pack
_LONGEST_ID = 10


def data_box(stream: bytes, size: int, parts: Iterable[bytes | memoryview]) -> bytes:
    """A ``StreamData`` box of ``parts``, together ``size`` bytes, for the stream of this (ASCII decimal) id."""
    return b"".join((_DATA, _LENGTH(size), *parts, _STREAM, _LENGTH(len(stream)), stream, _END))


def data_room(stream: bytes, chunk: int) -> int:
    """How many bytes of data make a data box of ``chunk`` bytes on the wire."""
    return chunk - len(_DATA) - 2 - len(_STREAM) - 2 - len(stream) - len(_END)


class BoxReader:
    """Bytes in, boxes out; knows no socket. ``feed`` raises Violation, after which the reader is not fed again."""

    def __init__(self, on_box: Callable[[AmpBox], None], on_data: Callable[[int, bytes], None]) -> None:
        self._on_box = on_box
        self._on_data = on_data
        self._tail = bytearray()
        self._need = 0
        self._stopped = False
        self.box_bytes = bounds.BOX_BYTES_BEFORE_LOGIN
        self.streams_allowed = False
        """Before login a data box is a box like others: nobody answers to its name."""

    @property
    def held_bytes(self) -> int:
        """What lies here of a box whose rest has not come."""
        return len(self._tail)

    def stop(self) -> None:
        """Cut no more boxes, also not from what has come already."""
        self._stopped = True
        self._tail.clear()

    def feed(self, data: bytes) -> None:
        """More bytes, in any pieces."""
        if self._stopped:
            return
        if self._tail:
            self._tail += data
            if len(self._tail) < self._need:
                return
            data = bytes(self._tail)
            self._tail.clear()
        offset, size = 0, len(data)
        while offset < size and not self._stopped:
            end = 0
            if self.streams_allowed:
                end = self._cut_data(data, offset, size)
            if end == 0:
                end = self._cut_box(data, offset, size)
            if end < 0:  # so many bytes, at least, belong to this box
                self._need = -end
                break
            offset = end
        if offset < size and not self._stopped:
            self._tail += memoryview(data)[offset:]

    def _cut_data(self, data: bytes, start: int, size: int) -> int:
        """Offset behind the data box at ``start``; minus the bytes it needs; 0 when it is another kind of box."""
        length_at = start + len(_DATA)
        if not data.startswith(_DATA, start) or length_at + 2 > size:
            return 0
        payload_at = length_at + 2
        payload_end = payload_at + (data[length_at] << 8 | data[length_at + 1])
        if payload_end - start > self.box_bytes:
            raise Violation("box too large")
        id_at = payload_end + len(_STREAM) + 2
        if id_at > size:
            return start - id_at
        id_bytes = data[id_at - 2] << 8 | data[id_at - 1]
        if not data.startswith(_STREAM, payload_end) or id_bytes > _LONGEST_ID:
            return 0
        id_end = id_at + id_bytes
        if id_end + 2 > size:
            return start - id_end - 2
        if not data.startswith(_END, id_end):
            return 0
        number = data[id_at:id_end]
        if not number.isdigit():
            raise Violation("stream number is no number")
        self._on_data(int(number), data[payload_at:payload_end])
        return id_end + 2

    def _cut_box(self, data: bytes, start: int, size: int) -> int:
        """Offset behind the box at ``start``, or minus the bytes that it needs."""
        box = AmpBox()
        at = start
        while True:
            if at + 2 > size:
                return start - at - 2
            key_bytes = data[at] << 8 | data[at + 1]
            at += 2
            if key_bytes == 0:
                break
            if key_bytes > bounds.KEY_BYTES:
                raise Violation("key too long")
            if len(box) == bounds.KEYS:
                raise Violation("too many keys in a box")
            key_end = at + key_bytes
            if key_end + 4 - start > self.box_bytes:
                raise Violation("box too large")
            if key_end + 2 > size:
                return start - key_end - 2
            value_at = key_end + 2
            value_end = value_at + (data[key_end] << 8 | data[key_end + 1])
            if value_end + 2 - start > self.box_bytes:
                raise Violation("box too large")
            if value_end > size:
                return start - value_end - 2
            key = data[at:key_end]
            if key in box:
                raise Violation("key twice in a box")
            box[key] = data[value_at:value_end]
            at = value_end
        if not box:
            raise Violation("empty box")
        self._on_box(box)
        return at
