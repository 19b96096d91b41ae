"""AMP's boxes, cut from a byte stream and put into it: the same wire format as Twisted's, bounded and fast.

Theory of operation. Twisted's parser copies its tail for every read and bounds no box. This one walks whole buffers
by offset, keeps only an unfinished box (never more than the bound), and knows from what it has seen how many bytes the
box must still have, so that a box dripped byte by byte costs no rescans. Data boxes of streams are recognised by their
constant first bytes (AMP sorts keys: the stream's number comes before the data); their data is handed on as it comes,
without waiting for the rest of the box and mostly without a copy.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from twisted.protocols.amp import AmpBox

from charging_manager.tunnel import bounds
from charging_manager.tunnel.reasons import Violation

_DATA = b"\x00\x08_command\x00\x01d\x00\x01i\x00"
_PAYLOAD = b"\x00\x01p"
_LENGTH = struct.Struct(">H").pack
_LONGEST_ID = 10

END = b"\x00\x00"


def data_head(stream: int) -> bytes:
    """How every data box of this stream begins; then come the length, the data and ``END``."""
    name = b"%d" % stream
    return b"".join((_DATA, bytes((len(name),)), name, _PAYLOAD))


def data_length(size: int) -> bytes:
    """The length of a data box's data."""
    return _LENGTH(size)


def number_box(command: bytes, **numbers: int) -> bytes:
    """A box of a command without answer whose arguments are numbers, in alphabetical order."""
    parts = [b"\x00\x08_command", _LENGTH(len(command)), command]
    for name, number in numbers.items():
        value = b"%d" % number
        parts += (_LENGTH(len(name)), name.encode(), _LENGTH(len(value)), value)
    parts.append(END)
    return b"".join(parts)


class BoxReader:
    """Bytes in, boxes out; knows no socket. ``feed`` raises Violation, after which the reader is not fed again."""

    def __init__(self, on_box: Callable[[AmpBox], None], on_data: Callable[[int, bytes], None]) -> None:
        self._on_box = on_box
        self._on_data = on_data
        self._tail = bytearray()
        self._need = 0
        self._stream: int | None = None
        self._left = 0
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
            if self._stream is not None:
                end = self._go_on(data, offset, size)
            elif self.streams_allowed:
                end = self._cut_data_head(data, offset, size)
            if end == 0:
                end = self._cut_box(data, offset, size)
            if end < 0:  # so many bytes, at least, belong to this box
                self._need = -end
                break
            offset = end
        if offset < size and not self._stopped:
            self._tail += memoryview(data)[offset:]

    def _cut_data_head(self, data: bytes, start: int, size: int) -> int:
        """Offset of the data of the data box at ``start``; 0 when it is another kind of box, or not all there."""
        id_at = start + len(_DATA) + 1
        if not data.startswith(_DATA, start) or id_at > size:
            return 0
        id_end = id_at + data[id_at - 1]
        payload_at = id_end + len(_PAYLOAD) + 2
        if payload_at > size or not data.startswith(_PAYLOAD, id_end):
            return 0
        number = data[id_at:id_end]
        if not number.isdigit() or len(number) > _LONGEST_ID:
            raise Violation("stream number is no number")
        self._stream = int(number)
        self._left = data[payload_at - 2] << 8 | data[payload_at - 1]
        return payload_at

    def _go_on(self, data: bytes, start: int, size: int) -> int:
        """Inside a data box: hand on what there is of it, and check its end."""
        left = self._left
        if left:
            here = min(left, size - start)
            self._left = left - here
            self._on_data(self._stream or 0, data[start : start + here] if here < size else data)
            return start + here
        if size - start < len(END):
            return -len(END)
        if not data.startswith(END, start):
            raise Violation("data box with more than data")
        self._stream = None
        return start + len(END)

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
