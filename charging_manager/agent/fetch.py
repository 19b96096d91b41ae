"""One question to a provider over HTTPS: bounded in time and size, verified, never redirected."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from OpenSSL.crypto import Error
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from charging_manager.devices.http_client import Body, leave
from charging_manager.errors import ChargingManagerError, ConfigError

LARGEST = 1024 * 1024
PATIENCE_S = 30.0


class FetchError(ChargingManagerError):
    """No answer that can be used. ``template`` is a constant sentence, ``status`` the HTTP status if there was one."""

    def __init__(self, template: str, status: int | None = None, **fields: object) -> None:
        super().__init__(template.format_map(fields) if fields else template)
        self.template, self.fields, self.status = template, fields, status


def trust_root(ca: str | None, where: str = "agent.tariff_ca") -> Any:
    """For ``Fetcher``: the authorities in a PEM file, or (empty, ``system``) the system's. Raises: ConfigError."""
    if not ca or ca == "system":
        return None
    try:
        return trustRootFromCertificates(
            [Certificate.loadPEM(b"-----BEGIN" + one) for one in Path(ca).read_bytes().split(b"-----BEGIN")[1:]]
        )
    except OSError as error:
        raise ConfigError(where, f"{ca} cannot be read ({error.strerror})") from error
    except (ValueError, Error) as error:
        raise ConfigError(where, "is no PEM file with certificates") from error


@frozen
class Asked:
    """A request. ``headers`` may carry a token, which is never logged."""

    url: str
    headers: Mapping[str, str]
    body: bytes | None = None


class Fetcher:
    """Asks one question at a time; ``trust`` is a trust root of Twisted (None: the system's authorities)."""

    def __init__(self, reactor: Any, trust: Any = None) -> None:
        self._clock: IReactorTime = reactor
        policy = BrowserLikePolicyForHTTPS(trust) if trust is not None else BrowserLikePolicyForHTTPS()
        self._agent = Agent(reactor, policy, connectTimeout=10.0)

    async def __call__(self, asked: Asked) -> bytes:
        """The body of a good answer. Raises: FetchError."""
        work: Deferred[bytes] = Deferred.fromCoroutine(self._ask(asked))
        late = self._clock.callLater(PATIENCE_S, work.cancel)
        try:
            return await work
        except FetchError:
            raise
        except Exception as error:
            if not late.active():
                raise FetchError("it has not answered for {seconds} s", seconds=int(PATIENCE_S)) from error
            raise FetchError("it cannot be reached: {reason}", reason=reason_of(error)) from error
        finally:
            if late.active():
                late.cancel()

    async def _ask(self, asked: Asked) -> bytes:
        headers = Headers({"User-Agent": ["charging-manager"], "Accept": ["application/json"]})
        for name, value in asked.headers.items():
            headers.setRawHeaders(name, [value])
        if asked.body is not None:
            headers.setRawHeaders("Content-Type", ["application/json"])
        method = b"GET" if asked.body is None else b"POST"
        producer = WholeBody(asked.body) if asked.body is not None else None
        response = await self._agent.request(method, asked.url.encode("ascii"), headers, producer)
        if response.code != 200:
            leave(response)
            if 300 <= response.code < 400:
                raise FetchError("it sends elsewhere, which is not followed: enter the final address", response.code)
            raise FetchError("it answers with HTTP status {code}", response.code, code=response.code)
        body = Body(LARGEST, FetchError("its answer is larger than 1 MiB"), FetchError("its answer broke off"))
        response.deliverBody(body)
        return await body.done


def reason_of(error: BaseException) -> str:
    """Why nobody was reached, in a few words."""
    if isinstance(error, ResponseFailed) and error.reasons:
        error = error.reasons[0].value
    if isinstance(error, DNSLookupError):
        return "no such host"
    if isinstance(error, ConnectError):
        return "no connection"
    return f"{type(error).__name__} {error}"[:120]


@implementer(IBodyProducer)
class WholeBody:
    """A small body, written at once."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        consumer.write(self._data)
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None: ...
