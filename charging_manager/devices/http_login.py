"""Who we are, for a device over HTTP: basic (RFC 7617), digest (RFC 7616, with qop=auth or none), or a token."""

from __future__ import annotations

import hashlib
import re
import secrets
from base64 import b64encode
from collections.abc import Mapping

from charging_manager.devices.access import Access
from charging_manager.devices.driver import Http, Login

_PAIR = re.compile(r'([a-zA-Z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


class HttpLogin:
    """What stands in the header of the next request, after what the device asked for."""

    def __init__(self, rules: Http, access: Access) -> None:
        self._rules, self._access = rules, access
        self._asked: Mapping[str, str] | None = None
        self._count = 0

    @property
    def known(self) -> bool:
        """There is something that we could say."""
        return bool(self._access.token if self._rules.login is Login.TOKEN else self._access.user)

    def headers(self, method: str, path: str) -> dict[str, str]:
        """For this request, as far as is known by now."""
        access, rules = self._access, self._rules
        if not self.known:
            return {}
        if rules.login is Login.TOKEN:
            bearer = "Bearer " if rules.token_header.lower() == "authorization" else ""
            return {rules.token_header: f"{bearer}{access.token}"}
        if rules.login is Login.BASIC or (self._asked is not None and not self._asked):
            both = b64encode(f"{access.user}:{access.password}".encode()).decode()
            return {"Authorization": f"Basic {both}"}
        return {} if self._asked is None else {"Authorization": self._digest(self._asked, method, path)}

    def asked(self, challenges: list[str]) -> bool:
        """The device refused us with these. Whether there is something new to say."""
        if not self.known or self._rules.login in (Login.TOKEN, Login.BASIC):
            return False
        digest = _best(challenges)
        if digest is not None:
            fresh = self._asked is None or not self._asked or digest.get("stale", "").lower() == "true"
            fresh = fresh or digest.get("nonce") != self._asked.get("nonce")  # type: ignore[union-attr]
            self._asked, self._count = digest, 0
            return fresh
        basic = any(one.lower().startswith("basic") for one in challenges)
        if basic and self._rules.login is Login.ASKED and self._asked is None:
            self._asked = {}
            return True
        return False

    def _digest(self, asked: Mapping[str, str], method: str, path: str) -> str:
        name = asked.get("algorithm", "MD5").upper()
        made = _HASHES[name]

        def hashed(*parts: str) -> str:
            return made(":".join(parts).encode()).hexdigest()

        realm, nonce, user = asked.get("realm", ""), asked.get("nonce", ""), self._access.user
        self._count += 1
        count, own = f"{self._count:08x}", secrets.token_hex(8)
        first, second = hashed(user, realm, self._access.password), hashed(method, path)
        said = [
            f'Digest username="{_quoted(user)}"',
            f'realm="{_quoted(realm)}"',
            f'nonce="{_quoted(nonce)}"',
            f'uri="{path}"',
            f"algorithm={name}",
        ]
        if "qop" in asked:
            response = hashed(first, nonce, count, own, "auth", second)
            said += ["qop=auth", f"nc={count}", f'cnonce="{own}"']
        else:
            response = hashed(first, nonce, second)
        said.append(f'response="{response}"')
        if "opaque" in asked:
            said.append(f'opaque="{_quoted(asked["opaque"])}"')
        return ", ".join(said)


def _best(challenges: list[str]) -> dict[str, str] | None:
    """The strongest digest challenge that we can answer."""
    found = []
    for one in challenges:
        if not one.lower().startswith("digest "):
            continue
        pairs = {key.lower(): quoted or plain for key, quoted, plain in _PAIR.findall(one[7:])}
        ways = [way.strip() for way in pairs.get("qop", "auth").split(",")]
        if pairs.get("algorithm", "MD5").upper() in _HASHES and "auth" in ways and "nonce" in pairs:
            found.append(pairs)
    return max(found, key=lambda pairs: pairs.get("algorithm", "MD5").upper() == "SHA-256", default=None)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
