"""Requests and answers as boxes: what does not fit goes along as a stream. Both ends of a tunnel, and servers among
themselves, pack and unpack in the same way."""

from __future__ import annotations

from typing import Any

from charging_manager.tunnel import bounds
from charging_manager.tunnel.bodies import body_stream, whole_body
from charging_manager.tunnel.link import RemoteAnswer, RemoteRequest, RemoteStream
from charging_manager.tunnel.reasons import Violation, trouble
from charging_manager.tunnel.wire import Wire


def pack_headers(headers: Any) -> str:
    """``name: value`` lines; a value with a line break cannot be sent."""
    lines = [f"{name.lower()}: {value}" for name, value in headers.items()]
    if len(lines) > bounds.HEADERS or any(line.splitlines() != [line] for line in lines):
        raise trouble("protocol")
    return "\n".join(lines)


def unpack_headers(lines: str | None) -> dict[str, str]:
    """The other way. Raises: Violation."""
    headers: dict[str, str] = {}
    for line in (lines or "").splitlines():
        name, colon, value = line.partition(": ")
        if not colon or len(headers) == bounds.HEADERS:
            raise Violation("malformed headers")
        headers[name] = value
    return headers


def request_fields(wire: Wire, token: str, request: RemoteRequest) -> dict[str, Any]:
    """What ``commands.Request`` carries. Raises: TunnelError ``busy``."""
    if len(request.body) > bounds.REQUEST_BODY or wire.queued_bytes > wire.most_queued - 4 * bounds.INLINE_BODY:
        raise trouble("busy")
    fields: dict[str, Any] = {"token": token, "method": request.method, "path": request.path}
    if request.query:
        fields["query"] = request.query
    if request.content_type:
        fields["content_type"] = request.content_type
    if request.headers:
        fields["headers"] = pack_headers(request.headers)
    if len(request.body) > bounds.INLINE_BODY:
        fields["body_stream"] = wire.streams.send(body_stream(request.body))
        fields["body_bytes"] = len(request.body)
    elif request.body:
        fields["body"] = request.body
    return fields


async def request_of(
    wire: Wire,
    method: str,
    path: str,
    query: str | None,
    content_type: str | None,
    headers: str | None,
    body: bytes | None,
    body_stream: int | None,
    body_bytes: int | None,
) -> RemoteRequest:
    """The request of these fields, whole. Raises: Violation, TunnelError."""
    if body_stream is not None:
        stream = wire.streams.incoming(body_stream)
        if stream is None or stream.sink is not None or body_bytes is None:
            raise Violation("body of no stream")
        body = await whole_body(stream, body_bytes)
    return RemoteRequest(method, path, query or "", content_type or "", body or b"", unpack_headers(headers))


def answer_fields(wire: Wire, answer: RemoteAnswer | RemoteStream) -> dict[str, Any]:
    """What answers ``commands.Request``. Raises: TunnelError ``busy`` if there are too many streams."""
    fields: dict[str, Any] = {"status": answer.status, "content_type": answer.content_type}
    if answer.filename is not None:
        fields["filename"] = answer.filename
    # Into the answer itself; when much waits unsent already, only small ones go there.
    most = bounds.INLINE_BODY if wire.queued_bytes < bounds.WINDOW_BYTES else bounds.KIB
    if isinstance(answer, RemoteStream):
        fields["stream"] = wire.streams.send(answer)
    elif len(answer.body) <= most:
        fields["body"] = answer.body
    else:
        fields["stream"] = wire.streams.send(body_stream(answer.body))
    return fields


def answer_of(wire: Wire, answer: dict[str, Any]) -> RemoteAnswer | RemoteStream:
    """The answer of these fields. Raises: TunnelError if its stream is over already."""
    status, content_type, filename = answer["status"], answer["content_type"], answer.get("filename")
    if answer.get("stream") is None:
        return RemoteAnswer(status, content_type, answer.get("body") or b"", filename)
    incoming = wire.streams.incoming(answer["stream"])
    if incoming is None or incoming.sink is not None:  # already broken off, or somebody else's
        raise trouble("failed")
    return RemoteStream(incoming.start, content_type, filename, status)
