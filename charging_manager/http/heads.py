"""Is this the head of one honest request? Bytes in, a ``Head`` or a refusal out; knows no socket.

Stricter than RFC 9112 allows a server to be wherever two parsers could disagree: framing, folding, line ends, Host.
"""

from __future__ import annotations

import re

from attrs import frozen

MOST_HEADERS = 64
MOST_BYTES = 16_384
MOST_TARGET = 8_192

_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) (/[\x21-\x22\x24-\x7e]*) (HTTP/1\.[01])")
HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
_HOST = re.compile(rb"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
BARE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\x00")


class Refused(Exception):
    """This request is not read any further; the answer is ``status``, then the connection is closed."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


@frozen
class Head:
    """A checked head. ``length`` is the body's size, None while its chunks tell it."""

    method: str
    target: str
    host: str
    length: int | None
    headers: dict[str, str]
    """By lower-case name; a name that came twice is joined by a comma (``cookie``: by a semicolon)."""
    version: str = "HTTP/1.1"

    def framing(self) -> bytes:
        """The head again with only what a parser needs to find the request's end: nothing is left to disagree on."""
        lines = [f"{self.method} {self.target} {self.version}"]
        if self.length is None:
            lines.append("Transfer-Encoding: chunked")
        elif self.length:
            lines.append(f"Content-Length: {self.length}")
        if self.headers.get("expect") and self.length != 0:
            lines.append("Expect: 100-continue")
        if "close" in [token.strip() for token in self.headers.get("connection", "").lower().split(",")]:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("ascii")


def find_head(data: bytes | bytearray, known: int = 0) -> int:
    """Where the head ends: the number of its bytes with the empty line, 0 if that has not come yet.

    ``known`` bytes were looked at before. Raises: Refused as soon as what is there cannot become a good head.
    """
    start = max(0, known - 3)
    end = data.find(b"\r\n\r\n", start, MOST_BYTES + 4)
    if BARE.search(data, start, end + 2 if end >= 0 else len(data)):
        raise Refused(400, "a line of the request ends in a bare CR or LF")
    if end >= 0:
        return end + 4
    if len(data) > MOST_BYTES:
        raise Refused(431, "the request's headers are too large")
    return 0


def read_head(data: bytes) -> Head:
    """Check a whole head, empty line included. Raises: Refused."""
    lines = data[:-4].split(b"\r\n")
    start = _REQUEST_LINE.fullmatch(lines[0])
    if start is None:
        raise Refused(400, "the request line is malformed")
    if len(start[2]) > MOST_TARGET:
        raise Refused(414, "the address is too long")
    if len(lines) - 1 > MOST_HEADERS:
        raise Refused(431, "the request has too many headers")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        match = HEADER.fullmatch(line)
        if match is None:
            raise Refused(400, "a header of the request is malformed")
        name, value = match[1].decode("ascii").lower(), match[2].rstrip(b" \t").decode("latin-1")
        if name in headers:
            if name in ("host", "content-length", "transfer-encoding", "content-type", "origin", "authorization"):
                raise Refused(400, "a header of the request stands there twice")
            headers[name] += ("; " if name == "cookie" else ", ") + value
        else:
            headers[name] = value
    host = headers.get("host", "")
    if not _HOST.fullmatch(host.encode("latin-1")):
        raise Refused(400, "the request needs one valid Host header")
    if headers.get("expect", "100-continue").lower() != "100-continue":
        raise Refused(417, "this expectation cannot be met")
    length = _body_length(headers, start[3] == b"HTTP/1.1")
    method, target, version = (part.decode("ascii") for part in start.groups())
    return Head(method, target, host, length, headers, version)


def _body_length(headers: dict[str, str], chunks_possible: bool) -> int | None:
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if length is not None or coding.lower() != "chunked" or not chunks_possible:
            raise Refused(400, "the request's length is told in a way that is not understood")
        return None
    if length is None:
        return 0
    if not re.fullmatch(r"[0-9]{1,15}", length):
        raise Refused(400, "the request's length is told in a way that is not understood")
    return int(length)
