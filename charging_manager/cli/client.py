"""A small client of our own HTTP API, for commands that speak to a daemon on this machine."""

from __future__ import annotations

import http.client
import http.cookiejar
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from charging_manager.errors import ChargingManagerError


class ApiError(ChargingManagerError):
    """The daemon refused, in its own words."""


class Api:
    """One login session at an agent or cloud. ``trust`` is the PEM file of its certificate, for https."""

    def __init__(self, base: str, trust: Path | None = None) -> None:
        self._base = base
        openers: list[urllib.request.BaseHandler] = [
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
        ]
        if trust is not None:
            openers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(trust))))
        self._opener = urllib.request.build_opener(*openers)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The answer as JSON, None if empty. Raises: ApiError with the daemon's sentence, OSError if none answers."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(self._base + path, data, headers, method=method)  # noqa: S310
        try:
            with self._opener.open(request, timeout=10) as answer:
                text = answer.read()
        except urllib.error.HTTPError as refused:
            raise ApiError(f"{method} {path}: {_detail(refused)}") from refused
        except http.client.HTTPException as broken:
            raise OSError(str(broken)) from broken
        return json.loads(text) if text else None


def _detail(refused: urllib.error.HTTPError) -> str:
    try:
        problem = json.loads(refused.read())
        return f"{refused.code} {problem.get('code')}: {problem.get('detail')}"
    except ValueError:
        return str(refused.code)
