"""A chunked body, read strictly and said again plainly: sans-io, bytes in, bytes out.

twisted.web takes any bytes for trailers and waits for a chunk of any size. Here every line is checked as the head's
lines are, a size over the limit is refused when it is told, and what is handed on has neither extensions nor trailers.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from charging_manager.http.heads import BARE, HEADER, Refused

MOST_LINE = 1024
MOST_BESIDE = 16_384
"""Bytes of extensions and trailers in one body."""

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})((?:;[\t\x20-\x7e\x80-\xff]*)?)")


class Chunks:
    """One body of at most ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self.over = False
        self._room = limit
        self._spare = MOST_BESIDE
        self._left = 0
        self._next: Callable[[bytearray, bytearray], bool] = self._size

    def feed(self, data: bytearray) -> bytes:
        """Takes from ``data`` what belongs to the body, and gives it back in plain chunks; what follows it stays.

        Raises: Refused.
        """
        plain = bytearray()
        while not self.over and self._next(data, plain):
            pass
        return bytes(plain)

    def _size(self, data: bytearray, plain: bytearray) -> bool:
        line = self._line(data)
        if line is None:
            return False
        match = _SIZE.fullmatch(line)
        if match is None:
            raise _malformed()
        self._beside(len(match[2]))
        self._left = int(match[1], 16)
        if self._left > self._room:
            raise Refused(413, "the request's body is too large")
        self._room -= self._left
        if self._left:
            plain += b"%x\r\n" % self._left
        self._next = self._data if self._left else self._trailer
        return True

    def _data(self, data: bytearray, plain: bytearray) -> bool:
        piece = data[: self._left]
        del data[: len(piece)]
        plain += piece
        self._left -= len(piece)
        if self._left:
            return False
        self._next = self._gap
        return True

    def _gap(self, data: bytearray, plain: bytearray) -> bool:
        if not b"\r\n".startswith(data[:2]):
            raise _malformed()
        if len(data) < 2:
            return False
        del data[:2]
        plain += b"\r\n"
        self._next = self._size
        return True

    def _trailer(self, data: bytearray, plain: bytearray) -> bool:
        line = self._line(data)
        if line is None:
            return False
        self._beside(len(line))
        if not line:
            plain += b"0\r\n\r\n"
            self.over = True
        elif not HEADER.fullmatch(line):
            raise _malformed()
        return True

    def _line(self, data: bytearray) -> bytes | None:
        end = data.find(b"\r\n", 0, MOST_LINE + 2)
        if BARE.search(data, 0, end + 2 if end >= 0 else MOST_LINE + 2):
            raise _malformed()
        if end < 0:
            if len(data) > MOST_LINE:
                raise _malformed()
            return None
        line = bytes(data[:end])
        del data[: end + 2]
        return line

    def _beside(self, size: int) -> None:
        self._spare -= size
        if self._spare < 0:
            raise _malformed()


def _malformed() -> Refused:
    return Refused(400, "the request's chunks are malformed")
