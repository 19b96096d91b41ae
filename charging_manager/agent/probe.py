"""Looks at our own public address as a browser would: whose key is it that answers there?"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from charging_manager.errors import TunnelError
from charging_manager.tunnel.dial import ServerName, connect_to_label
from charging_manager.tunnel.reasons import trouble
from charging_manager.tunnel.tls import key_shown

_ANSWER_WITHIN_S = 10.0


async def key_at(reactor: Any, server: ServerName) -> str:
    """Hex SHA-256 of the public key that is held at this address. Raises: TunnelError saying why there is none."""
    look = _Look()
    await connect_to_label(reactor, server, look, b"h2", b"http/1.1")
    too_late = reactor.callLater(_ANSWER_WITHIN_S, look.end, "timeout")
    try:
        return await look.key
    finally:
        if too_late.active():
            too_late.cancel()


@implementer(IHandshakeListener)
class _Look(Protocol):
    """Nothing is sent once the handshake is done."""

    transport: Any

    def __init__(self) -> None:
        self.key: Deferred[str] = Deferred()

    def handshakeCompleted(self) -> None:
        try:
            key = key_shown(self.transport)
        except TunnelError as error:
            self.end(error.code)
            return
        if not self.key.called:
            self.key.callback(key)
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        unknown = "unrecognized name" in str(reason.value).lower().replace("_", " ")
        self.end("address-unknown" if unknown else "tls-failed")

    def end(self, code: str) -> None:
        if not self.key.called:
            self.key.errback(Failure(trouble(code)))
            self.transport.abortConnection()
