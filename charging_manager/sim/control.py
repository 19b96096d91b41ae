"""A small HTTP door to a simulated site, on loopback only: ``GET /state`` is the truth, ``POST /state`` changes it."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from charging_manager.errors import ConfigError
from charging_manager.sim.site import SimulatedSite

LOOPBACK = "127.0.0.1"
MOST_BYTES = 100_000


class _State(Resource):
    isLeaf = True

    def __init__(self, site: SimulatedSite) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._site = site

    def render_GET(self, request: Request) -> bytes:
        return _json(request, 200, self._site.truth())

    def render_POST(self, request: Request) -> bytes:
        try:
            assert request.content is not None  # noqa: S101 - told to mypy: twisted.web has read the body
            what = json.loads(request.content.read(MOST_BYTES))
            if not isinstance(what, dict):
                raise ConfigError("", "a JSON object is needed")
            self._site.change(what)
        except (ConfigError, ValueError) as error:
            return _json(request, 400, {"error": str(error)})
        return _json(request, 200, self._site.truth())


def _json(request: Request, code: int, body: Any) -> bytes:
    request.setResponseCode(code)
    request.setHeader(b"content-type", b"application/json")
    return json.dumps(body).encode() + b"\n"


def open_control(site: SimulatedSite, reactor: Any, port: int = 0) -> Any:
    """Listen for the door; the listening port, whose ``getHost().port`` says where. Raises: ConfigError."""
    root = Resource()
    root.putChild(b"state", _State(site))
    web = Site(root)
    web.noisy = False
    web.acceptableProtocols = lambda: [b"http/1.1"]  # type: ignore[method-assign]
    try:
        return reactor.listenTCP(port, web, interface=LOOPBACK)
    except CannotListenError as error:
        raise ConfigError("control", f"port {port} cannot be listened on ({error.socketError})") from error
