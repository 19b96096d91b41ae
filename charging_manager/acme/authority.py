"""Requests to an authority: its directory, fresh nonces, signed questions (RFC 8555, sections 6 and 7)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
from attrs import field, frozen

from charging_manager.acme.signing import AccountKey
from charging_manager.acme.trouble import AcmeError, problem

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
MOST_NONCES = 8
LONGEST_WAIT_S = 7 * 86_400.0


@frozen
class Reply:
    """An answer over HTTPS; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> dict[str, Any]:
        """Raises: AcmeError."""
        try:
            said = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            said = None
        if not isinstance(said, dict):
            raise AcmeError("nonsense", reason="no JSON object")
        return said


Http = Callable[[str, str, bytes | None], Awaitable[Reply]]
"""Method, URL, body of JOSE+JSON. Raises: AcmeError ``unreachable``."""


@frozen
class Directory:
    """What an authority says of itself."""

    new_nonce: str
    new_account: str
    new_order: str
    terms: str = ""
    wants_binding: bool = False
    caa: tuple[str, ...] = ()
    """Names by which CAA records name it."""


def read_directory(reply: Reply) -> Directory:
    """Raises: AcmeError."""
    if reply.status != 200:
        raise AcmeError("nonsense", reason=f"HTTP status {reply.status}")
    said = reply.json()
    meta = said.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    terms = meta.get("termsOfService")
    names = meta.get("caaIdentities")
    return Directory(
        address(said.get("newNonce")),
        address(said.get("newAccount")),
        address(said.get("newOrder")),
        terms=terms if isinstance(terms, str) and len(terms) <= 1000 else "",
        wants_binding=meta.get("externalAccountRequired") is True,
        caa=tuple(str(name)[:253] for name in names[:8]) if isinstance(names, list) else (),
    )


def address(url: object) -> str:
    """Of the authority, over HTTPS. Raises: AcmeError."""
    if isinstance(url, str) and url.startswith("https://") and len(url) <= 2000 and url.isascii() and " " not in url:
        return url
    raise AcmeError("nonsense", reason="an address that is none")


class Authority:
    """One authority, with the nonces that it has given us. ``now`` is for dates of ``Retry-After``."""

    def __init__(self, url: str, http: Http, now: Callable[[], datetime]) -> None:
        self._url, self._http, self._now = url, http, now
        self._directory: Directory | None = None
        self._nonces: list[str] = []

    async def directory(self) -> Directory:
        """Asked for once. Raises: AcmeError."""
        if self._directory is None:
            self._directory = read_directory(await self._http("GET", self._url, None))
        return self._directory

    async def ask(self, url: str, key: AccountKey, account: str | None, payload: Any = None) -> Reply:
        """A signed question; a nonce that the authority does not like is replaced. Raises: AcmeError."""
        for _ in range(MOST_NONCES):
            reply = await self._http("POST", url, key.sign(url, await self._nonce(), account, payload))
            self._keep_nonce(reply)
            if reply.status < 400:
                return reply
            error = problem(reply.body, reply.status, self.wait_s(reply))
            if error.kind != "badNonce":
                break
        raise error

    async def _nonce(self) -> str:
        if not self._nonces:
            reply = await self._http("HEAD", (await self.directory()).new_nonce, None)
            self._keep_nonce(reply)
        if not self._nonces:
            raise AcmeError("nonsense", reason="no nonce")
        return self._nonces.pop()

    def _keep_nonce(self, reply: Reply) -> None:
        nonce = reply.headers.get("replay-nonce", "")
        if nonce and len(nonce) <= 1000:
            self._nonces = [*self._nonces[-4:], nonce]

    def wait_s(self, reply: Reply) -> float:
        """How long it wants us to wait: seconds, or until a date."""
        text = reply.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            return min(float(text[:9]), LONGEST_WAIT_S)
        try:
            until = parsedate_to_datetime(text)
        except (ValueError, TypeError):
            return 0.0
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return min(max((until - self._now()).total_seconds(), 0.0), LONGEST_WAIT_S)
