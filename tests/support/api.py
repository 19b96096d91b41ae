"""A browser's view of a daemon without a browser: cookies, JSON, self-signed certificates, no exceptions for 4xx."""

from __future__ import annotations

import http.client
import http.cookies
import json
import ssl
from typing import Any

from attrs import frozen

TRUSTING = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Takes any certificate. Made once: looking for this machine's authorities costs more than a connection."""
TRUSTING.check_hostname, TRUSTING.verify_mode = False, ssl.CERT_NONE


@frozen
class Reply:
    """``json`` is None where the body is none."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body and "json" in self.headers.get("content-type", "") else None


class Browser:
    """One cookie jar at one origin. Certificates are not checked: the tests that mean them use openssl."""

    def __init__(self, port: int, secure: bool = False, host: str = "127.0.0.1", timeout_s: float = 15) -> None:
        self.port, self.secure, self.host, self.timeout_s = port, secure, host, timeout_s
        self.cookies: dict[str, str] = {}

    def open(self) -> http.client.HTTPConnection:
        if not self.secure:
            return http.client.HTTPConnection(self.host, self.port, timeout=self.timeout_s)
        return http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout_s, context=TRUSTING)

    def headers(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())} if self.cookies else {}

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        connection = self.open()
        try:
            sent = {**self.headers(), **headers}
            if body is not None:
                sent.setdefault("Content-Type", "application/json")
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            reply = Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
            for line in answer.headers.get_all("Set-Cookie") or []:
                for name, morsel in http.cookies.SimpleCookie(line).items():
                    if morsel["max-age"] == "0" or not morsel.value:
                        self.cookies.pop(name, None)
                    else:
                        self.cookies[name] = morsel.value
            return reply
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The JSON of a successful GET."""
        reply = self.call("GET", path)
        assert reply.status == 200, (path, reply.status, reply.body[:500])
        return reply.json

    def put(self, path: str, body: object) -> Any:
        reply = self.call("PUT", path, body)
        assert reply.status in (200, 204), (path, reply.status, reply.body[:500])
        return reply.json

    def post(self, path: str, body: object) -> Any:
        reply = self.call("POST", path, body)
        assert reply.status in (200, 201, 202, 204), (path, reply.status, reply.body[:500])
        return reply.json
