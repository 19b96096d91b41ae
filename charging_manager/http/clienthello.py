"""The server name and the protocols that a TLS client asks for, read from its first message. No I/O.

Sources: RFC 8446, 4.1.2; RFC 6066, 3 (server name); RFC 7301, 3.1 (ALPN).

Theory of operation. A ClientHello comes in one or more records, cut anywhere; records and message are put together as
they come, never more than ``LARGEST`` bytes, and nothing is scanned twice. Whatever stands not exactly as the standard
has it is ``Malformed``: then no name was read, and the bytes are left to OpenSSL, which answers as it sees fit.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

LARGEST = 16_384
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_LARGEST_RECORD = 16_384
_SERVER_NAME, _HOST_NAME = 0, 0
_ALPN = 16
_LONGEST_NAME = 255


class Malformed(Exception):
    """This is no ClientHello of TLS."""


class TooLong(Malformed):
    """It has not ended after ``LARGEST`` bytes."""


@frozen
class Hello:
    """A whole ClientHello. ``name`` is in lower case; None: the client named no server.

    ``protocols`` are the ALPN names that it offers, the one it likes best first.
    """

    name: str | None
    protocols: tuple[bytes, ...] = ()


class HelloReader:
    """Bytes in, the hello out once it is whole. ``taken`` is everything that came, to be handed on."""

    def __init__(self) -> None:
        self._taken = bytearray()
        self._record_at = 0
        self._message = bytearray()
        self._wanted = 0

    @property
    def taken(self) -> bytes:
        return bytes(self._taken)

    def feed(self, data: bytes) -> Hello | None:
        """None: more must come. Raises: Malformed, TooLong; nothing may be fed after that, nor after the hello."""
        self._taken += data
        taken, at = self._taken, self._record_at
        while not self._wanted or len(self._message) < self._wanted:
            if at + 5 > len(taken):
                break
            kind, major, size = taken[at], taken[at + 1], taken[at + 3] << 8 | taken[at + 4]
            if kind != _HANDSHAKE or major != 3 or not 0 < size <= _LARGEST_RECORD:
                raise Malformed
            if at + 5 + size > LARGEST:
                raise TooLong
            if at + 5 + size > len(taken):
                break
            self._message += taken[at + 5 : at + 5 + size]
            at += 5 + size
            if not self._wanted and len(self._message) >= 4:
                if self._message[0] != _CLIENT_HELLO:
                    raise Malformed
                self._wanted = 4 + int.from_bytes(self._message[1:4], "big")
                if self._wanted > LARGEST:
                    raise TooLong
        self._record_at = at
        if not self._wanted or len(self._message) < self._wanted:
            return None
        return _read(_Reader(bytes(self._message[4 : self._wanted])))


class _Reader:
    """Takes fields off a message; what is cut off is ``Malformed``."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise Malformed
        piece, self._at = self._data[self._at : end], end
        return piece

    def vector(self, length_bytes: int, least: int = 0) -> bytes:
        """A field behind its own length."""
        piece = self.take(int.from_bytes(self.take(length_bytes), "big"))
        if len(piece) < least:
            raise Malformed
        return piece


def _read(hello: _Reader) -> Hello:
    hello.take(2 + 32)  # version, random
    if len(hello.vector(1)) > 32:  # session
        raise Malformed
    if len(hello.vector(2, 2)) % 2:  # cipher suites
        raise Malformed
    hello.vector(1, 1)  # compression
    if not hello:
        return Hello(None)
    extensions = _Reader(hello.vector(2))
    if hello:
        raise Malformed
    seen: set[int] = set()
    name: str | None = None
    protocols: tuple[bytes, ...] = ()
    while extensions:
        kind, content = int.from_bytes(extensions.take(2), "big"), extensions.vector(2)
        if kind in seen:
            raise Malformed
        seen.add(kind)
        if kind == _SERVER_NAME:
            name = _host_name(_Reader(content))
        elif kind == _ALPN:
            protocols = tuple(_protocols(_Reader(content)))
    return Hello(name, protocols)


def _host_name(content: _Reader) -> str:
    names = _Reader(content.vector(2, 1))
    if content or names.take(1) != bytes((_HOST_NAME,)):
        raise Malformed
    name = names.vector(2, 1)
    if names or len(name) > _LONGEST_NAME or not all(0x20 < byte < 0x7F for byte in name):
        raise Malformed
    return name.decode("ascii").lower()


def _protocols(content: _Reader) -> Iterator[bytes]:
    names = _Reader(content.vector(2, 2))
    if content:
        raise Malformed
    while names:
        yield names.vector(1, 1)
