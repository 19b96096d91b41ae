"""What goes wrong at an authority, in words that say what to do."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from charging_manager.errors import ChargingManagerError

SENTENCES: Final[dict[str, str]] = {
    "unreachable": "The authority cannot be reached: {reason}.",
    "nonsense": "What answers at the authority's address does not speak ACME: {reason}.",
    "rate-limited": "The authority gives no more certificates for now: {detail}",
    "terms": "The authority's terms of service are other ones now, or were not agreed to; read and agree to them here.",
    "binding": "The authority wants to know its customer: enter the account's ID and key that it gave you.",
    "binding-wrong": "The authority does not accept the customer's ID and key: {detail}",
    "account": "The authority has closed this installation's account: {detail} A new one is made at the next try.",
    "name-refused": "The authority gives no certificate for this name: {detail}",
    "caa": "A CAA record of this name forbids the authority to give a certificate: {detail}",
    "not-proved": "The authority did not find the record that proves the name: {detail} Check the DNS entries below.",
    "no-dns": "The authority offers no proof by DNS for this name.",
    "refused": "The authority refused: {detail}",
    "broken": "The authority has a fault of its own: {detail}",
    "slow": "The authority has not finished in time; it is asked again.",
    "wrong-certificate": "The authority gave a certificate that cannot be used: {detail}",
}
"""Code to English sentence."""

_PREFIX = "urn:ietf:params:acme:error:"
_CODES: Final[dict[str, str]] = {
    "rateLimited": "rate-limited",
    "userActionRequired": "terms",
    "externalAccountRequired": "binding",
    "accountDoesNotExist": "account",
    "rejectedIdentifier": "name-refused",
    "unsupportedIdentifier": "name-refused",
    "caa": "caa",
    "dns": "not-proved",
    "connection": "not-proved",
    "incorrectResponse": "not-proved",
    "serverInternal": "broken",
}


class AcmeError(ChargingManagerError):
    """No certificate now. ``kind`` is the authority's own word, ``wait_s`` how long it wants to be left alone."""

    def __init__(self, code: str, *, kind: str = "", status: int = 0, wait_s: float = 0.0, **fields: object) -> None:
        self.code, self.template, self.fields = code, SENTENCES[code], fields
        self.kind, self.status, self.wait_s = kind, status, wait_s
        super().__init__(self.template.format_map(fields))


def problem(body: bytes, status: int, wait_s: float = 0.0) -> AcmeError:
    """The error that a problem document (RFC 7807) means."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    return problem_of(said if isinstance(said, dict) else {}, status, wait_s)


def problem_of(said: Any, status: int = 0, wait_s: float = 0.0) -> AcmeError:
    """The same of one that was read already; of several reasons the first counts."""
    said = said if isinstance(said, dict) else {}
    inner = said.get("subproblems")
    told = inner[0] if isinstance(inner, list) and inner and isinstance(inner[0], dict) else said
    kind = str(told.get("type", "")).removeprefix(_PREFIX)
    code = _CODES.get(kind) or ("rate-limited" if status == 429 else "broken" if status >= 500 else "refused")
    return AcmeError(code, kind=kind, status=status, wait_s=wait_s, detail=_plain(told.get("detail"), status))


def _plain(detail: object, status: int) -> str:
    """A stranger's words: of one line, and not too many."""
    text = re.sub(r"\s+", " ", str(detail or f"HTTP status {status}"))[:300].strip()
    text = "".join(c for c in text if c.isprintable())
    return text if text.endswith((".", "!", "?")) else text + "."
