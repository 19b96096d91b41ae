"""Lanes: connections of their own for browsers' bytes, without TLS of the tunnel's, for what they carry is TLS already.

The cloud tells tickets through the tunnel. For each the agent dials once and says with its first bytes that it holds
that ticket, without showing it. After that nothing but one browser's TLS ever stands on the lane; whose it is comes
through the tunnel. No I/O here.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable

from attrs import field, frozen

from charging_manager.tunnel import bounds
from charging_manager.tunnel.reasons import Violation

GREETING = b"\x00cm-lane/1\n"
"""Begins like no TLS, no HTTP and no PROXY header."""
_NUMBER_BYTES, _SECRET_BYTES, _PROOF_BYTES = 16, 32, 32
TICKET_BYTES = _NUMBER_BYTES + _SECRET_BYTES
HELLO_BYTES = len(GREETING) + _NUMBER_BYTES + _PROOF_BYTES
_PROOF = b"cm-lane/1 agent"


@frozen
class Ticket:
    """Good for one connection, once."""

    number: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Ticket:
        return cls(secrets.token_bytes(_NUMBER_BYTES), secrets.token_bytes(_SECRET_BYTES))

    def hello(self) -> bytes:
        """The first bytes of the connection."""
        return GREETING + self.number + hmac.digest(self.secret, _PROOF, "sha256")

    def is_held_by(self, hello: bytes) -> bool:
        return hmac.compare_digest(self.hello(), hello)


def number_in(hello: bytes) -> bytes | None:
    """Which ticket a hello is about; None: it is none."""
    if len(hello) != HELLO_BYTES or not hello.startswith(GREETING):
        return None
    return hello[len(GREETING) : len(GREETING) + _NUMBER_BYTES]


def pack(tickets: Iterable[Ticket]) -> bytes:
    return b"".join(ticket.number + ticket.secret for ticket in tickets)


def unpack(data: bytes) -> list[Ticket]:
    """Raises: Violation."""
    if len(data) % TICKET_BYTES or not 0 < len(data) <= bounds.LANES * TICKET_BYTES:
        raise Violation("malformed tickets")
    starts = range(0, len(data), TICKET_BYTES)
    return [Ticket(data[at : at + _NUMBER_BYTES], data[at + _NUMBER_BYTES : at + TICKET_BYTES]) for at in starts]
