"""Packets of MQTT 3.1.1 (OASIS standard, 29 October 2014) as a client reads and writes them. No I/O, no clock.

Only what a client of ours needs: QoS 0 and 1, a clean session. A message that is too long is told by its topic
and passed over piece by piece, so that nobody can fill our memory with one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from attrs import frozen

from charging_manager.errors import ChargingManagerError

LARGEST = 64 * 1024
"""A longer message is passed over."""
LONGEST_CONTROL = 64 * 1024

CONNACK, PUBLISH, PUBACK, SUBACK, UNSUBACK, PINGRESP = 2, 3, 4, 9, 11, 13
PING = b"\xc0\x00"
GOODBYE = b"\xe0\x00"
REFUSED = 0x80


class NoMqtt(ChargingManagerError):
    """What came is no MQTT; the connection is of no use any more."""


@frozen
class Greeting:
    """CONNACK: 0 welcomes us, 4 and 5 refuse the login (section 3.2.2.3)."""

    code: int


@frozen
class Message:
    """PUBLISH. ``payload`` is None for one that was too long; ``length`` is that of the payload."""

    topic: str
    payload: bytes | None
    retained: bool
    number: int | None = None
    """To be acknowledged, with QoS 1."""
    length: int = 0


@frozen
class Taken:
    """PUBACK: the broker has our message."""

    number: int


@frozen
class Subscribed:
    """SUBACK: for each topic asked for, what was granted, or ``REFUSED``."""

    number: int
    granted: tuple[int, ...]


@frozen
class Alive:
    """PINGRESP, or anything else that only says that the broker lives."""


Packet = Greeting | Message | Taken | Subscribed | Alive


class Packets:
    """Cuts a byte stream into packets."""

    def __init__(self) -> None:
        self._tail = bytearray()
        self._skip = 0

    def feed(self, data: bytes) -> list[Packet]:
        """What came whole by now. Raises: NoMqtt."""
        if self._skip:
            passed = min(self._skip, len(data))
            self._skip -= passed
            data = data[passed:]
        self._tail += data
        found: list[Packet] = []
        while (packet := self._next()) is not None:
            found.append(packet)
        return found

    def _next(self) -> Packet | None:
        head = self._head()
        if head is None:
            return None
        first, start, length = head
        kind = first >> 4
        if kind == PUBLISH and length > LARGEST:
            return self._too_long(first, start, length)
        if length > LONGEST_CONTROL:
            raise NoMqtt(f"a packet of kind {kind} is {length} bytes long")
        if len(self._tail) < start + length:
            return None
        body = bytes(self._tail[start : start + length])
        del self._tail[: start + length]
        return _packet(first, body)

    def _head(self) -> tuple[int, int, int] | None:
        """First byte, where the body begins, how long it is (section 2.2.3)."""
        length = 0
        for at in range(1, 5):
            if at >= len(self._tail):
                return None
            byte = self._tail[at]
            length |= (byte & 0x7F) << 7 * (at - 1)
            if not byte & 0x80:
                return self._tail[0], at + 1, length
        raise NoMqtt("a packet's length has no end")

    def _too_long(self, first: int, start: int, length: int) -> Packet | None:
        """Its topic and number are read, its payload is passed over."""
        tail = self._tail
        if len(tail) < start + 2:
            return None
        (of_topic,) = struct.unpack_from(">H", tail, start)
        before = 2 + of_topic + (2 if first & 0x06 else 0)
        if before > length:
            raise NoMqtt("a message ends within its topic")
        if len(tail) < start + before:
            return None
        made = _message(first, bytes(tail[start : start + before]), length - before, whole=False)
        end = start + length
        self._skip = max(0, end - len(tail))
        del tail[:end]
        return made


def _packet(first: int, body: bytes) -> Packet:
    kind = first >> 4
    if kind != PUBLISH and first & 0x0F:
        raise NoMqtt(f"no broker sends a packet that begins with {first:#x}")
    try:
        if kind == PUBLISH:
            return _message(first, body, len(body), whole=True)
        if kind == CONNACK:
            return Greeting(body[1])
        if kind == PUBACK:
            return Taken(*struct.unpack_from(">H", body))
        if kind == SUBACK:
            return Subscribed(struct.unpack_from(">H", body)[0], tuple(body[2:]))
        if kind in (UNSUBACK, PINGRESP):
            return Alive()
    except (struct.error, IndexError) as error:
        raise NoMqtt(f"a packet of kind {kind} is cut short") from error
    raise NoMqtt(f"no broker sends a packet of kind {kind}")


def _message(first: int, body: bytes, length: int, *, whole: bool) -> Message:
    (of_topic,) = struct.unpack_from(">H", body)
    at = 2 + of_topic
    quality = first >> 1 & 3
    if quality > 1:
        raise NoMqtt("a message came with more than QoS 1, which nobody asked for")
    if at > len(body):
        raise NoMqtt("a message ends within its topic")
    try:
        topic = body[2:at].decode()
    except UnicodeDecodeError as error:
        raise NoMqtt("a topic is no text") from error
    number = None
    if quality:
        (number,) = struct.unpack_from(">H", body, at)
        at += 2
    payload = body[at:] if whole else None
    return Message(topic, payload, bool(first & 1), number, len(payload) if payload is not None else length)


def connect(
    client: str, keep_alive_s: int, user: str = "", password: str = "", will: tuple[str, bytes] | None = None
) -> bytes:
    """CONNECT, with a clean session (section 3.1); ``will`` is a topic and what is retained there when we vanish."""
    flags = 0x02 | (0x80 if user else 0) | (0x40 if user and password else 0) | (0x24 if will else 0)
    body = _text("MQTT") + bytes((4, flags)) + struct.pack(">H", keep_alive_s) + _text(client)
    if will:
        body += _text(will[0]) + struct.pack(">H", len(will[1])) + will[1]
    if user:
        body += _text(user)
        if password:
            body += _text(password)
    return _framed(0x10, body)


def publish(topic: str, payload: bytes, *, retain: bool = False, number: int | None = None) -> bytes:
    """PUBLISH; with a ``number`` it is acknowledged (QoS 1)."""
    first = 0x30 | (0x01 if retain else 0) | (0x02 if number is not None else 0)
    middle = struct.pack(">H", number) if number is not None else b""
    return _framed(first, _text(topic) + middle + payload)


def puback(number: int) -> bytes:
    """PUBACK: we have that message."""
    return _framed(0x40, struct.pack(">H", number))


def subscribe(number: int, topics: Iterable[tuple[str, int]]) -> bytes:
    """SUBSCRIBE to topics, each with the highest QoS that is wanted."""
    return _framed(0x82, struct.pack(">H", number) + b"".join(_text(topic) + bytes((qos,)) for topic, qos in topics))


def unsubscribe(number: int, topics: Iterable[str]) -> bytes:
    """UNSUBSCRIBE."""
    return _framed(0xA2, struct.pack(">H", number) + b"".join(map(_text, topics)))


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _framed(first: int, body: bytes) -> bytes:
    length, head = len(body), bytearray((first,))
    while True:
        length, byte = divmod(length, 128)
        head.append(byte | (0x80 if length else 0))
        if not length:
            return bytes(head) + body
