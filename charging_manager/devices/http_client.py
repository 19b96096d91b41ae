"""One request to a device over HTTP: bounded in time and size, no redirects, no cookies, a connection each."""

from __future__ import annotations

import math
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer, ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from charging_manager.devices.access import NO_ACCESS, Access, endpoint, why_not
from charging_manager.devices.driver import Http
from charging_manager.devices.http_login import HttpLogin
from charging_manager.errors import DeviceError, DeviceLocked, DeviceNonsense, DeviceSilent

LARGEST = 64 * 1024
PLAIN = Http()
REFUSED = 4
REFUSED_S = 60.0
"""Who refused our login is not asked again for so long: many lock out who tries too often."""
_REFUSED_SENTENCE = "it refuses the login; correct user, password or token"
_UNKNOWN_SENTENCE = "it asks for a login; enter user and password, or the token"


class PlainClient:
    """Asks the host at ``base``, for instance ``http://192.168.1.20:80``.

    Raises: ConfigError if ``access`` names a file of authorities that cannot be read.
    """

    def __init__(self, base: str, reactor: Any, rules: Http = PLAIN, access: Access = NO_ACCESS) -> None:
        self._base, self._reactor = base, reactor
        parts = urlsplit(base)
        usual = 443 if parts.scheme == "https" else 80
        to = endpoint(reactor, parts.hostname or "", parts.port or usual, parts.scheme == "https", access)
        self._agent = Agent.usingEndpointFactory(reactor, _OneDoor(to))
        self._login = HttpLogin(rules, access)
        self._refused_until_s = -math.inf

    def __call__(self, method: str, path: str, body: str | None, timeout_s: float) -> Deferred[tuple[int, bytes]]:
        """Status and body. Fails with DeviceSilent or DeviceNonsense."""
        return Deferred.fromCoroutine(self._ask(method, path, body, timeout_s))

    async def _ask(self, method: str, path: str, body: str | None, timeout_s: float) -> tuple[int, bytes]:
        work: Deferred[tuple[int, bytes]] = Deferred.fromCoroutine(self._exchange(method, path, body))
        late = self._reactor.callLater(timeout_s, work.cancel)
        try:
            return await work
        except DeviceError:
            raise
        except Exception as error:
            if not late.active():
                raise DeviceSilent(f"no answer (within {timeout_s:g} s)") from error
            raise DeviceSilent(_reason(error)) from error
        finally:
            if late.active():
                late.cancel()

    async def _exchange(self, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        if self._reactor.seconds() < self._refused_until_s:
            raise DeviceLocked(REFUSED, _REFUSED_SENTENCE)
        response = await self._request(method, path, body)
        if response.code == 401:
            challenges = response.headers.getRawHeaders("WWW-Authenticate", [])
            if self._login.asked(challenges):
                leave(response)
                response = await self._request(method, path, body)
        if response.code in (401, 403):
            leave(response)
            if self._login.known:
                self._refused_until_s = self._reactor.seconds() + REFUSED_S
            raise DeviceLocked(REFUSED, _REFUSED_SENTENCE if self._login.known else _UNKNOWN_SENTENCE)
        collected = Body(
            LARGEST,
            DeviceNonsense(f"its answer is longer than {LARGEST // 1024} KiB"),
            DeviceSilent("the answer broke off"),
        )
        response.deliverBody(collected)
        return response.code, await collected.done

    async def _request(self, method: str, path: str, body: str | None) -> Any:
        headers = Headers({"User-Agent": ["charging-manager"], "Accept": ["application/json"]})
        for name, value in self._login.headers(method, path).items():
            headers.setRawHeaders(name, [value])
        producer = None
        if body is not None:
            headers.setRawHeaders("Content-Type", ["application/json"])
            producer = FileBodyProducer(BytesIO(body.encode()))
        return await self._agent.request(method.encode(), f"{self._base}{path}".encode("ascii"), headers, producer)


def _reason(error: BaseException) -> str:
    if isinstance(error, ResponseFailed) and error.reasons:
        error = error.reasons[0].value
    why = why_not(error)
    if why is not None:
        return why
    if isinstance(error, CancelledError):
        return "no answer"
    return "the answer broke off or is no HTTP"


@implementer(IAgentEndpointFactory)
class _OneDoor:
    """Whatever is asked for, it is at this one place."""

    def __init__(self, to: IStreamClientEndpoint) -> None:
        self._to = to

    def endpointForURI(self, uri: Any) -> IStreamClientEndpoint:
        return self._to


def leave(response: Any) -> None:
    """Nobody wants the rest of this answer."""
    body = Body(LARGEST, DeviceNonsense("too long"), DeviceSilent("broke off"))
    body.done.addErrback(lambda failure: None)
    response.deliverBody(body)
    body.done.cancel()


class Body(Protocol):
    """Collects a body of at most ``largest`` bytes, and hangs up when it grows longer or nobody waits any more.

    ``done`` fires with the bytes, or fails with ``too_long`` or ``broke_off``.
    """

    def __init__(self, largest: int, too_long: Exception, broke_off: Exception) -> None:
        self.done: Deferred[bytes] = Deferred(lambda _: self._hang_up())
        self._largest, self._too_long, self._broke_off = largest, too_long, broke_off
        self._data = bytearray()

    def dataReceived(self, data: bytes) -> None:
        if self.done.called:
            return
        self._data += data
        if len(self._data) > self._largest:
            self._data.clear()
            self.done.errback(self._too_long)
            self._hang_up()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):  # small devices say no length: the end is the end
            self.done.callback(bytes(self._data))
        else:
            self.done.errback(self._broke_off)

    def _hang_up(self) -> None:
        # What a response calls its transport is a proxy, which knows loseConnection but no abortConnection.
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()
