"""Carries a logged-in browser's request to its installation, and what may pass of the answer back.

The installation comes from the login session alone. Of the browser's headers only ``CARRIED`` go along; cookies, the
browser's address and everything else stay here.
"""

from __future__ import annotations

from typing import Protocol

from twisted.logger import Logger

from charging_manager.cloud.sieve import sift
from charging_manager.errors import TunnelError
from charging_manager.http.routes import Answer, Problem, Stream
from charging_manager.http.streams import drop
from charging_manager.http.table import RawRequest
from charging_manager.tunnel.link import RemoteAnswer, RemoteRequest, RemoteStream

log = Logger()

CARRIED = ("accept-language", "last-event-id")
_LONGEST_VALUE = 200


class Way(Protocol):
    """The tunnel of one installation, as far as the relay uses it."""

    async def request(self, token: str, request: RemoteRequest) -> RemoteAnswer | RemoteStream: ...


class TokenRefused(TunnelError):
    """The agent does not know this token any more."""

    def __init__(self) -> None:
        super().__init__("token-refused")


async def carry(way: Way | None, token: str, asked: RawRequest) -> Answer | Stream:
    """Ask the installation. Raises: TokenRefused; Problem for everything that the browser should be told."""
    if way is None:
        raise _problem("offline")
    headers = {
        name: asked.headers[name]
        for name in CARRIED
        if name in asked.headers and len(asked.headers[name]) <= _LONGEST_VALUE and asked.headers[name].isprintable()
    }
    request = RemoteRequest(asked.method, asked.path, asked.query, asked.content_type, asked.body, headers)
    try:
        answer = await way.request(token, request)
    except TunnelError as error:
        if error.code == "token-refused":
            raise TokenRefused from error
        log.debug("{method} {path} was not answered: {code}", method=asked.method, path=asked.path, code=error.code)
        raise _problem(error.code) from error
    ours = _ours(answer)
    try:
        if answer.status == 401:
            raise TokenRefused
        return sift(ours)
    except (TokenRefused, Problem):
        if isinstance(ours, Stream):
            drop(ours)
        raise


def _ours(answer: RemoteAnswer | RemoteStream) -> Answer | Stream:
    if isinstance(answer, RemoteStream):
        return Stream(answer.start, answer.content_type, answer.filename, answer.status)
    return Answer(answer.body, answer.status, answer.content_type, answer.filename)


def _problem(code: str) -> Problem:
    """What the browser is told for trouble with the tunnel."""
    if code == "busy":
        return Problem(503, "agent-busy", "The installation has too much to do right now. Try again in a moment.")
    if code == "timeout":
        return Problem(504, "agent-timeout", "The installation did not answer in time.")
    if code in ("failed", "protocol"):
        return Problem(502, "agent-failed", "The installation could not answer this request; its log says why.")
    return Problem(503, "agent-offline", "The installation is not connected to this cloud server right now.")
