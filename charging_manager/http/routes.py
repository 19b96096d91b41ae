"""Typed routes with declared rights: one table serves the listener and the tunnel.

A route's function knows nothing of cookies or sockets. It gets a ``Call`` (who asks, path parameters, query, typed
body) and returns an ``Answer``, an attrs value or plain data for JSON, or a ``Stream``; it raises ``Problem`` for a
person's mistake.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from enum import IntEnum, StrEnum
from typing import Any, Protocol

from attrs import field, frozen

from charging_manager.errors import ChargingManagerError


class Right(IntEnum):
    """What a route asks of its caller; a higher right includes the lower ones."""

    ANYBODY = 0
    USER = 1
    INSTALLER = 2
    ADMIN = 3


class Role(StrEnum):
    """Who somebody is after login."""

    NOBODY = "nobody"
    USER = "user"
    INSTALLER = "installer"
    ADMIN = "admin"

    @property
    def right(self) -> Right:
        return {"nobody": Right.ANYBODY, "user": Right.USER, "installer": Right.INSTALLER, "admin": Right.ADMIN}[
            self.value
        ]


@frozen
class Caller:
    """Who asks, as the agent (or cloud) itself established it. ``login`` names the login session, to end it."""

    role: Role
    user: str | None = None
    remote: bool = False
    """Came through the tunnel."""
    loopback: bool = False
    """CONTRACT, HTTP: un-mapped peer, Host and absence of forwarding headers all say so."""
    language: str = "en"
    login: str | None = None
    source: str = ""
    """Peer address, for the log and the throttles."""
    device: str | None = field(default=None, repr=False)
    """The raw device cookie, for the throttles; never through the tunnel."""
    scopes: frozenset[str] | None = None
    """What an API key may; None: a person."""
    browser: str = ""
    """What kind of browser it says it is, as in ``Firefox, Linux``."""


NOBODY = Caller(Role.NOBODY)


@frozen
class Call:
    """One request, already parsed, authorised and typed. ``body`` is an instance of the route's ``body`` class."""

    caller: Caller
    params: Mapping[str, str] = field(factory=dict)
    query: Mapping[str, str] = field(factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(factory=dict)
    """Only the few that a route may see: ``last-event-id``, ``authorization``, ``accept-language``; lower case."""

    def bears(self, token: str) -> bool:
        """Does it carry this token as ``Authorization: Bearer`` (RFC 6750, section 2.1)? An empty one opens nothing."""
        kind, _, given = self.headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode(), token.encode())
        return bool(token) and kind.lower() == "bearer" and same


@frozen
class Answer:
    """``body`` is bytes (sent as they are, of ``content_type``) or what JSON can say, attrs values included."""

    body: Any = None
    status: int = 200
    content_type: str = "application/json"
    filename: str | None = None
    """Offered as a download under this name."""
    login: str | None = None
    """A newly minted login token: the web side makes its cookie of it; it never crosses the tunnel."""
    logout: bool = False
    """The web side clears its cookies."""
    device: str | None = None
    """A fresh device cookie (guard.DeviceCookies), to be kept by the browser."""
    allow: str | None = None
    """The methods of a 405, for its ``Allow`` header."""


class Sink(Protocol):
    """Where a stream's bytes go. ``write`` says False when the reader is slow: then wait for ``resumed``."""

    def write(self, data: bytes) -> bool: ...

    def finish(self) -> None: ...


class Source(Protocol):
    """A running stream: told when its reader catches up, and when it has gone."""

    def resumed(self) -> None: ...

    def stopped(self) -> None: ...


@frozen
class Stream:
    """A long answer or an event stream; ``start`` is called once and may write at once."""

    start: Callable[[Sink], Source]
    content_type: str = "text/event-stream"
    filename: str | None = None
    status: int = 200


class Problem(ChargingManagerError):
    """A person's mistake or an unmet condition, as ``application/problem+json`` (RFC 9457).

    ``code`` is stable; ``sentence`` is English with ``{name}`` fields and is translated at the edge; ``where`` is the
    field of the body that is meant.
    """

    def __init__(self, status: int, code: str, sentence: str, where: str | None = None, **fields: object) -> None:
        super().__init__(sentence.format_map(fields) if fields else sentence)
        self.status = status
        self.code = code
        self.sentence = sentence
        self.where = where
        self.fields = fields


@frozen
class Route:
    """One way in. ``path`` has ``{name}`` parts; ``site_only`` routes are refused to remote callers.

    ``body`` and ``answer`` are attrs classes (or dict/list for free JSON): they check input and fill the OpenAPI file.
    ``body=bytes`` takes an upload as it comes. A function that returns None answers 204, a bare value ``statuses[0]``.
    """

    method: str
    path: str
    may: Right
    function: Callable[[Call], Awaitable[Any]]
    summary: str
    body: type | None = None
    answer: Any = None
    site_only: bool = False
    loopback_only: bool = False
    body_limit: int = 65_536
    query: tuple[str, ...] = ()
    """Names of the query parameters that it understands; others are refused."""
    statuses: tuple[int, ...] = (200,)
    scope: str | None = None
    """An API key needs this scope to come in here; None: keys never do."""
