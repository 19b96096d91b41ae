"""What is carried between agent and cloud, as frozen values, and what each end must be able to do.

A ``RemoteStream`` has the shape of a route's stream: ``start`` takes a sink and returns the source that is told when
the reader is slow, catches up or has gone. At the agent the tunnel is the sink; at the cloud the browser is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from attrs import asdict, field, frozen

from charging_manager.tunnel.scram import ScramVerifier

if TYPE_CHECKING:
    from charging_manager.tunnel.cloud_side import Link
    from charging_manager.tunnel.lane_ends import Lane


@frozen
class RemoteLogin:
    """What somebody typed at the cloud's login page, and from where."""

    secret: str = field(repr=False)
    admin: bool
    language: str = "en"
    source: str = ""
    trusted_device: bool = False
    """The cloud knows this browser from an earlier successful login (a device cookie)."""
    code: str = field(default="", repr=False)
    """Of the admin's second factor, if one was typed."""
    browser: str = ""
    """What kind of browser it says it is, as in ``Firefox, Linux``; for the list of logins."""

    def as_arguments(self) -> dict[str, Any]:
        """Of a command; what is empty is left out, for an older end does not know it."""
        return {name: value for name, value in asdict(self).items() if value or name not in {"code", "browser"}}


@frozen
class RemoteGrant:
    """The agent let somebody in: the token that the agent minted, and what the cloud may show of it."""

    token: str = field(repr=False)
    role: str
    language: str = "en"


@frozen
class RemoteRequest:
    """One request of a browser, as fields."""

    method: str
    path: str
    query: str = ""
    """As in the URL, without the question mark."""
    content_type: str = ""
    body: bytes = field(default=b"", repr=False)
    """Up to 1 MiB."""
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    """Lower-case names; only the few that a route may see (at most 8)."""


@frozen
class RemoteAnswer:
    """An answer of known length. The tunnel itself decides when it is long enough for a stream."""

    status: int
    content_type: str = "application/json"
    body: bytes = field(default=b"", repr=False)
    filename: str | None = None


class RemoteSink(Protocol):
    """Where a stream's bytes go. ``write`` says False when the reader is slow: then wait for ``resumed``.

    A sink may also have ``fail()``: the stream broke before its end. Without it, ``finish()`` is called.
    """

    def write(self, data: bytes) -> bool: ...

    def finish(self) -> None: ...


class RemoteSource(Protocol):
    """A running stream: told when its reader catches up, and when it has gone."""

    def resumed(self) -> None: ...

    def stopped(self) -> None: ...


@frozen
class RemoteStream:
    """A long answer or an event stream; ``start`` is called once and may write at once."""

    start: Callable[[RemoteSink], RemoteSource]
    content_type: str = "text/event-stream"
    filename: str | None = None
    status: int = 200


class AgentEnd(Protocol):
    """What the agent does for its cloud.

    ``login`` refuses with ``Refusal("refused")`` and logs the true reason; ``request`` refuses an unknown or ended
    token with ``Refusal("token-refused")``, and answers everything else, problems included.
    """

    async def login(self, login: RemoteLogin) -> RemoteGrant: ...

    async def request(self, token: str, request: RemoteRequest) -> RemoteAnswer | RemoteStream: ...

    async def logout(self, token: str) -> None: ...


class SpliceEnd(Protocol):
    """Where connections in end-to-end mode end at the agent. Without one, or while not open, they are refused."""

    def is_open(self) -> bool: ...

    def splice(self, source: str, there: RemoteStream) -> RemoteStream:
        """The way back to the browser whose bytes come ``there``; ``source`` is its address, if the cloud is honest."""

    def carry(self, source: str, lane: Lane) -> None:
        """The same, for a browser whose bytes come and go on a connection of their own."""


class CloudEnd(Protocol):
    """What the cloud knows about installations."""

    def ready(self) -> bool:
        """Whether tunnels are admitted at all: an admin password was set once."""

    async def verifiers_of(self, cloud_id: str) -> Sequence[ScramVerifier]:
        """Of every password that counts now; of an unknown installation there is none."""

    async def proved(self, cloud_id: str, verifier: ScramVerifier) -> bool:
        """An agent is about to come in with this password; False if that does not count any more."""

    async def admits(self, serial: str) -> bool:
        """Whether an agent that proved this serial number may come in (with ``open_enrolment`` only)."""

    def connected(self, link: Link) -> None:
        """A login is complete; an older link of the same installation is being closed."""

    def lost(self, link: Link, reason: str) -> None:
        """A link that was connected is gone, for this reason code."""
