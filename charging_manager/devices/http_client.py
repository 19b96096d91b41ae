"""One request to a device over HTTP: bounded in time and size, no redirects, no cookies, a connection each."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer, ResponseDone, ResponseFailed
from twisted.web.http_headers import Headers

from charging_manager.errors import DeviceError, DeviceNonsense, DeviceSilent

LARGEST = 64 * 1024


class PlainClient:
    """Asks the host at ``base``, for instance ``http://192.168.1.20:80``."""

    def __init__(self, base: str, reactor: Any) -> None:
        self._base, self._reactor = base, reactor
        self._agent = Agent(reactor, connectTimeout=10.0)

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
        headers = Headers({"User-Agent": ["charging-manager"], "Accept": ["application/json"]})
        producer = None
        if body is not None:
            headers.setRawHeaders("Content-Type", ["application/json"])
            producer = FileBodyProducer(BytesIO(body.encode()))
        response = await self._agent.request(method.encode(), f"{self._base}{path}".encode("ascii"), headers, producer)
        collected = Body(
            LARGEST,
            DeviceNonsense(f"its answer is longer than {LARGEST // 1024} KiB"),
            DeviceSilent("the answer broke off"),
        )
        response.deliverBody(collected)
        return response.code, await collected.done


def _reason(error: BaseException) -> str:
    if isinstance(error, ResponseFailed) and error.reasons:
        error = error.reasons[0].value
    if isinstance(error, DNSLookupError):
        return "no such host"
    if isinstance(error, ConnectError):
        return "no connection"
    if isinstance(error, CancelledError):
        return "no answer"
    return "the answer broke off or is no HTTP"


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
        if reason.check(ResponseDone):
            self.done.callback(bytes(self._data))
        else:
            self.done.errback(self._broke_off)

    def _hang_up(self) -> None:
        # What a response calls its transport is a proxy, which knows loseConnection but no abortConnection.
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()
