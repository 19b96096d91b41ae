"""Requests to an authority over HTTPS: verified, bounded in time and size, never redirected."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS
from twisted.web.http_headers import Headers

from charging_manager.acme.authority import Reply
from charging_manager.acme.trouble import AcmeError
from charging_manager.agent.fetch import WholeBody, reason_of
from charging_manager.devices.http_client import Body

LARGEST = 256 * 1024
PATIENCE_S = 30.0


class AcmeHttp:
    """``acme.authority.Http``; ``trust`` is a trust root of Twisted (None: the system's authorities)."""

    def __init__(self, reactor: Any, trust: Any = None) -> None:
        self._clock = reactor
        policy = BrowserLikePolicyForHTTPS(trust) if trust is not None else BrowserLikePolicyForHTTPS()
        self._agent = Agent(reactor, policy, connectTimeout=10.0)

    async def __call__(self, method: str, url: str, body: bytes | None) -> Reply:
        """Raises: AcmeError ``unreachable``; CancelledError when it is cancelled."""
        asking: Deferred[Reply] = Deferred.fromCoroutine(self._ask(method, url, body))
        late = False

        def too_late() -> None:
            nonlocal late
            late = True
            asking.cancel()

        timer = self._clock.callLater(PATIENCE_S, too_late)
        try:
            return await asking
        except AcmeError:
            raise
        except CancelledError as error:
            if late:
                raise AcmeError("unreachable", reason="no answer in time") from error
            raise
        except Exception as error:
            raise AcmeError("unreachable", reason=reason_of(error)) from error
        finally:
            if timer.active():
                timer.cancel()

    async def _ask(self, method: str, url: str, body: bytes | None) -> Reply:
        headers = Headers({"User-Agent": ["charging-manager"]})
        if body is not None:
            headers.setRawHeaders("Content-Type", ["application/jose+json"])
        producer = WholeBody(body) if body is not None else None
        response = await self._agent.request(method.encode(), url.encode("ascii"), headers, producer)
        said = {
            name.decode("latin-1").lower(): values[-1].decode("latin-1")
            for name, values in response.headers.getAllRawHeaders()
        }
        whole = Body(LARGEST, AcmeError("nonsense", reason="too long"), AcmeError("unreachable", reason="it broke off"))
        response.deliverBody(whole)
        return Reply(response.code, said, await whole.done)
