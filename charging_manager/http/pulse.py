"""A listener calls itself: only when the whole way works, from accept over TLS to an answer, is it alive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

PATIENCE_S = 20.0
_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_ANSWER = b"HTTP/1.1 "


class Pulse:
    """Calls ``address`` every ``every_s`` and says ``alive`` when an answer came.

    Where no call ever succeeded, because the machine does not let us reach ourselves, the turning reactor must do.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        address: Callable[[], tuple[str, int]],
        alive: Callable[[], None],
        every_s: float,
        preface: Callable[[], bytes] = bytes,
    ) -> None:
        """``preface`` is what the listener expects ahead of TLS."""
        self._reactor, self._address, self._alive, self._preface = reactor, address, alive, preface
        self._every_s = every_s
        self._loop = LoopingCall(self._beat)
        self._loop.clock = reactor
        self._calling: Deferred[None] | None = None
        self._ever = self._told = False

    def start(self) -> None:
        """The first call is made at once."""
        self._loop.start(self._every_s).addErrback(lambda failure: self.log.failure("the pulse ended", failure=failure))

    def stop(self) -> None:
        """No more calls; one that waits is given up."""
        if self._loop.running:
            self._loop.stop()
        calling, self._calling = self._calling, None
        if calling is not None:
            calling.cancel()

    def _beat(self) -> None:
        if self._calling is not None:
            return
        self._calling = call = ask(self._reactor, self._address(), self._preface())
        call.addCallbacks(lambda _: self._answered(), self._silent)

    def _answered(self) -> None:
        if self._told:
            self.log.info("this server answers itself again")
        self._ever, self._told, self._calling = True, False, None
        self._alive()

    def _silent(self, failure: Failure) -> None:
        if self._calling is None:  # we have been stopped
            return
        self._calling = None
        if not self._told:
            self._told = True
            self.log.warn("this server does not answer itself: {reason}", reason=failure.getErrorMessage())
        if not self._ever:
            self._alive()


def ask(reactor: Any, address: tuple[str, int], preface: bytes, within_s: float = PATIENCE_S) -> Deferred[None]:
    """Call that listener over TLS, whatever certificate it shows; fires when it begins to answer, or fails."""
    asking = _Asking(reactor, preface, within_s)
    asking.connector = reactor.connectTCP(*address, asking, timeout=within_s)
    return asking.done


class _Asking(ClientFactory):
    noisy = False
    connector: Any = None

    def __init__(self, reactor: Any, preface: bytes, within_s: float) -> None:
        self.preface = preface
        self.done: Deferred[None] = Deferred(lambda _: self.give_up())
        self._late: IDelayedCall = reactor.callLater(within_s, lambda: self.done.cancel())
        self._over = False

    def buildProtocol(self, addr: Any) -> Protocol:
        return _Question(self)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.end(reason)

    def end(self, reason: Failure | None = None) -> None:
        """Once."""
        if self._late.active():
            self._late.cancel()
        if not self._over:
            self._over = True
            self.done.callback(None) if reason is None else self.done.errback(reason)

    def give_up(self) -> None:
        """The Deferred is cancelled: it fails by itself, and the connection goes."""
        self._over = True
        if self._late.active():
            self._late.cancel()
        if self.connector is not None:
            self.connector.disconnect()


class _Question(Protocol):
    transport: Any

    def __init__(self, asking: _Asking) -> None:
        self._asking = asking
        self._heard = b""

    def connectionMade(self) -> None:
        self.transport.write(self._asking.preface)
        self.transport.startTLS(CertificateOptions())
        self.transport.write(_REQUEST)

    def dataReceived(self, data: bytes) -> None:
        self._heard = (self._heard + data)[: len(_ANSWER)]
        if len(self._heard) == len(_ANSWER):
            self._asking.end(None if self._heard == _ANSWER else Failure(ConnectionDone("no HTTP")))
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._asking.end(reason)
