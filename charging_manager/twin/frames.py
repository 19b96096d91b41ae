"""A recording as bytes: a line that says what it is, then frames; each is a length, a checksum and deflated JSON lines.

A program that was killed leaves at most one frame torn, the last; a reader drops it. Several recordings one after the
other are one recording.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from charging_manager.errors import ConfigError

VERSION = 1
TITLE = b"charging-manager recording "
FIRST_LINE = TITLE + b"%d\n" % VERSION
HEAD = struct.Struct("<II")
MOST_FRAME = 64 << 20
"""Inflated; ours are a few hundred KiB."""
MOST_FILE = 2 << 30


def frame(lines: list[bytes], level: int = 6) -> bytes:
    """One frame of these JSON lines."""
    body = zlib.compress(b"\n".join(lines), level)
    return HEAD.pack(len(body), zlib.crc32(body)) + body


class Reader:
    """All records of a file, in order; ``trouble`` says afterwards what was left out."""

    def __init__(self, path: Path) -> None:
        """Raises: ConfigError where the file is no recording or of a newer version."""
        self.path = path
        self.trouble: str | None = None
        try:
            if not path.is_file():
                raise ConfigError(str(path), "there is no such file; name a recording")
            self.size = path.stat().st_size
            if self.size > MOST_FILE:
                raise ConfigError(str(path), "is larger than 2 GiB; no recording of ours is")
            self._data = path.read_bytes()
        except OSError as error:
            raise ConfigError(str(path), f"cannot be read ({error.strerror})") from error
        self._title(0)

    def _title(self, at: int) -> int:
        """Where the frames after this first line begin."""
        end = self._data.find(b"\n", at, at + 64)
        line = self._data[at:end] if end >= 0 else b""
        if not line.startswith(TITLE) or not line[len(TITLE) :].isdigit():
            raise ConfigError(str(self.path), "is no recording; download one from the agent's system page")
        if int(line[len(TITLE) :]) > VERSION:
            raise ConfigError(
                str(self.path), "was written by a newer version of Charging Manager; update this program to read it"
            )
        return end + 1

    def __iter__(self) -> Iterator[list[Any]]:
        data, at = self._data, 0
        while at < len(data):
            if data.startswith(TITLE, at):
                at = self._title(at)
                continue
            head = data[at : at + HEAD.size]
            size, checksum = HEAD.unpack(head) if len(head) == HEAD.size else (0, 0)
            body = data[at + HEAD.size : at + HEAD.size + size]
            if not size or len(body) < size or zlib.crc32(body) != checksum:
                at = data.find(TITLE, at + 1)  # a program was killed here; the next one began anew
                if at < 0:
                    self.trouble = "its end is torn; what came before is used"
                    return
                self.trouble = "a part of it is torn and was left out"
                continue
            yield from self._lines(body, at)
            at += HEAD.size + size

    def _lines(self, body: bytes, at: int) -> list[list[Any]]:
        try:
            inflate = zlib.decompressobj()
            text = inflate.decompress(body, MOST_FRAME)
            if inflate.unconsumed_tail:
                raise ValueError("too large")
            lines = [orjson.loads(line) for line in text.split(b"\n") if line]
            if not all(isinstance(line, list) and line and isinstance(line[0], str) for line in lines):
                raise ValueError("no records")
        except (zlib.error, ValueError) as error:
            raise ConfigError(str(self.path), f"is damaged at byte {at} ({error})") from error
        return lines
