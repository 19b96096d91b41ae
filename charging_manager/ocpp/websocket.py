"""The server's end of a WebSocket (RFC 6455) as charge points use it: bytes in, events out, all of it bounded.

wsproto knows the protocol; this keeps its bounds. A message is text and at most ``most_bytes``; the head of the request
at most 16 KiB (h11's bound). Whoever breaks the protocol gets a close frame, and ``Over`` is the last event.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from urllib.parse import unquote

from attrs import define, field, frozen
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

MOST_BYTES = 64 * 1024
"""Of one message: the largest that OCPP needs is a tenth of it."""

GONE, PROTOCOL, NOT_TEXT, POLICY, TOO_BIG = 1001, 1002, 1003, 1008, 1009
"""Codes of a close frame (RFC 6455, 7.4.1) that we send."""

_LONGEST_PATH = 512


@frozen
class Opening:
    """Somebody asks to come in. ``password``: as of HTTP basic authentication, None where there was none."""

    path: str
    subprotocols: tuple[str, ...]
    user: str | None
    password: bytes | None = field(repr=False)


@frozen
class Text:
    """A whole message."""

    text: str


@frozen
class Beat:
    """A ping or a pong: it lives."""


@frozen
class Over:
    """Nothing more comes; close the connection once what waits is sent. ``sentence`` says why, for the log."""

    sentence: str


Event = Opening | Text | Beat | Over


@define
class ServerSocket:
    """One connection. ``feed`` what came, send what ``take`` gives."""

    most_bytes: int = MOST_BYTES
    _ws: WSConnection = field(factory=lambda: WSConnection(ConnectionType.SERVER))
    _out: bytearray = field(factory=bytearray)
    _parts: list[str] = field(factory=list)
    _size: int = 0
    _open: bool = False
    _asked: bool = False
    _over: bool = False

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events of these bytes. While a request waits for ``accept`` or ``refuse``, nothing else may come."""
        if self._over:
            return
        if self._asked and not self._open:
            yield self._end("spoke before it was let in")
            return
        try:
            self._ws.receive_data(data)
        except RemoteProtocolError as error:
            self._refuse_at_once(error)
            yield self._end(f"its request is no WebSocket request: {error}")
            return
        except (LocalProtocolError, UnicodeError) as error:
            yield self._end(f"its request makes no sense: {error}")
            return
        yield from self._events()

    def _events(self) -> Iterator[Event]:
        events = self._ws.events()
        while not self._over:
            try:
                event = next(events, None)
            except (LocalProtocolError, RemoteProtocolError, UnicodeError, AssertionError) as error:
                yield self._end(f"broke the WebSocket protocol: {error}", PROTOCOL)
                return
            if event is None:
                return
            if isinstance(event, Request):
                self._asked = True
                yield self._opening(event)
            elif isinstance(event, TextMessage):
                yield from self._text(event)
            elif isinstance(event, BytesMessage):
                yield self._end("sent bytes instead of text", NOT_TEXT)
            elif isinstance(event, Ping):
                self._out += self._ws.send(event.response())
                yield Beat()
            elif isinstance(event, Pong):
                yield Beat()
            elif isinstance(event, CloseConnection):
                if self._ws.state is ConnectionState.REMOTE_CLOSING:
                    self._out += self._ws.send(event.response())
                    yield self._end(f"closed the connection ({event.code})")
                else:
                    yield self._end(f"broke the WebSocket protocol: {event.reason}", PROTOCOL)

    def _text(self, event: TextMessage) -> Iterator[Event]:
        self._size += len(event.data.encode("utf-8", "replace")) + 1  # an empty fragment costs something too
        if self._size > self.most_bytes:
            yield self._end(f"sent a message of more than {self.most_bytes} bytes", TOO_BIG)
            return
        self._parts.append(event.data)
        if event.message_finished:
            text, self._parts, self._size = "".join(self._parts), [], 0
            yield Text(text)

    def _opening(self, request: Request) -> Opening:
        user, password = None, None
        for name, value in request.extra_headers:
            if name.lower() == b"authorization":
                user, password = _basic(value)
        path = request.target.partition("?")[0][:_LONGEST_PATH]
        return Opening(path, tuple(request.subprotocols), user, password)

    def accept(self, subprotocol: str) -> None:
        """Let it in."""
        self._out += self._ws.send(AcceptConnection(subprotocol=subprotocol))
        self._open = True

    def refuse(self, status: int, sentence: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        """An answer by HTTP in place of a WebSocket; the connection is over then."""
        body = (sentence + "\n").encode()
        told = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        reject = RejectConnection(
            status_code=status, headers=[*told, (b"connection", b"close"), *headers], has_body=True
        )
        self._out += self._ws.send(reject)
        self._out += self._ws.send(RejectData(data=body))
        self._over = True

    def text(self, text: str) -> None:
        """Send a message."""
        if self._open and not self._over and self._ws.state is ConnectionState.OPEN:
            self._out += self._ws.send(TextMessage(data=text))

    def ping(self) -> None:
        """Ask whether it lives."""
        if self._open and not self._over and self._ws.state is ConnectionState.OPEN:
            self._out += self._ws.send(Ping(payload=b"cm"))

    def close(self, code: int, reason: str) -> None:
        """Say why, and take nothing more."""
        self._end(reason, code)

    def take(self) -> bytes:
        """What is to be sent now."""
        data, self._out = bytes(self._out), bytearray()
        return data

    def _end(self, sentence: str, code: int | None = None) -> Over:
        if not self._over and code is not None and self._open and self._ws.state is ConnectionState.OPEN:
            self._out += self._ws.send(CloseConnection(code=code, reason=sentence[:100]))
        self._over = True
        self._parts = []
        return Over(sentence)

    def _refuse_at_once(self, error: RemoteProtocolError) -> None:
        hint = error.event_hint
        if self._open or not isinstance(hint, RejectConnection):
            return
        try:
            self._out += self._ws.send(hint)
        except (LocalProtocolError, RemoteProtocolError):
            return  # it sent something that cannot even be answered


def _basic(value: bytes) -> tuple[str | None, bytes | None]:
    kind, _, code = value.partition(b" ")
    if kind.lower() != b"basic" or len(code) > 1024:
        return None, None
    try:
        user, colon, password = base64.b64decode(code.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else (None, None)
    except (binascii.Error, UnicodeDecodeError):
        return None, None


def last_part(path: str) -> str:
    """What a charge point's address ends with: its identity, by OCPP-J."""
    return unquote(path.rstrip("/").rpartition("/")[2], errors="replace")
