"""Changing TXT records of a zone by dynamic updates (RFC 2136), signed with a TSIG key (RFC 8945)."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import Any

import dns.exception
import dns.name
import dns.rcode
import dns.tsig
import dns.update
from attrs import field, frozen

from charging_manager.dns.ask import DnsError, DnsServer, ask
from charging_manager.errors import ConfigError

ALGORITHMS = ("hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha224")
TTL_S = 30
_NAMED_KEY = re.compile(
    r"key\s+\"?(?P<name>[^\s\"{]+)\"?\s*\{\s*algorithm\s+\"?(?P<algorithm>[\w.-]+)\"?\s*;\s*"
    r"secret\s+\"?(?P<secret>[A-Za-z0-9+/=]+)\"?\s*;\s*\}\s*;?",
    re.IGNORECASE,
)
_REFUSALS = (dns.rcode.REFUSED, dns.rcode.NOTAUTH, dns.rcode.NOTZONE)


@frozen
class TsigKey:
    """What updates are signed with."""

    name: str
    secret: bytes = field(repr=False)
    algorithm: str = ALGORITHMS[0]


def make_key(name: str, secret: str, algorithm: str, where: str) -> TsigKey:
    """A key from its parts, the secret in base64. Raises: ConfigError at ``where`` and one word more."""
    algorithm = algorithm.strip().lower().rstrip(".") or ALGORITHMS[0]
    if algorithm not in ALGORITHMS:
        raise ConfigError(f"{where}_algorithm", "The algorithm is one of these: {names}.", names=", ".join(ALGORITHMS))
    try:
        named = dns.name.from_text(name.strip())
    except dns.exception.DNSException:
        named = dns.name.root
    if named == dns.name.root:
        raise ConfigError(f"{where}_name", "Enter the TSIG key's name as the DNS server has it.")
    try:
        data = base64.b64decode("".join(secret.split()), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) < 16:
        raise ConfigError(f"{where}_secret", "The TSIG key's secret is in base64, of 16 bytes or more.")
    return TsigKey(named.to_text(), data, algorithm)


def read_key(path: Path, name: str, algorithm: str, where: str) -> TsigKey:
    """A key from its file: as ``tsig-keygen`` writes it, or the secret alone in base64. Raises: ConfigError."""
    try:
        if path.stat().st_mode & 0o007:
            raise ConfigError(where, f"{path} can be read by everybody; chmod 640 it, it is a secret")
        text = path.read_text("ascii").strip()
    except OSError as error:
        raise ConfigError(where, f"{path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        text = ""
    whole = _NAMED_KEY.fullmatch(text)
    if whole is not None:
        return make_key(name or whole["name"], whole["secret"], whole["algorithm"], where)
    try:
        return make_key(name, text, algorithm, where)
    except ConfigError as error:
        raise ConfigError(
            where,
            f"{path}: {error.sentence} The file holds what tsig-keygen writes, or the secret alone beside a key name",
        ) from error


@frozen
class Zone:
    """A zone at its primary server. All methods raise DnsError, and have changed nothing then as far as is known."""

    reactor: Any
    server: DnsServer
    name: str
    key: TsigKey = field(repr=False)

    async def put_text(self, name: str, value: str, *, alone: bool) -> None:
        """Add a TXT record; ``alone``: in place of all that the name had."""
        update = self._update()
        at = dns.name.from_text(name)
        if alone:
            update.delete(at, "TXT")
        update.add(at, TTL_S, "TXT", _quoted(value))
        await self._send(update)

    async def take_text(self, name: str, value: str) -> None:
        """Remove a TXT record; that it is not there is as well."""
        update = self._update()
        update.delete(dns.name.from_text(name), "TXT", _quoted(value))
        await self._send(update)

    def _update(self) -> dns.update.UpdateMessage:
        named = dns.name.from_text(self.key.name)
        key = dns.tsig.Key(named, self.key.secret, dns.name.from_text(self.key.algorithm))
        return dns.update.UpdateMessage(
            dns.name.from_text(self.name), keyring={named: key}, keyname=named, keyalgorithm=key.algorithm
        )

    async def _send(self, update: dns.update.UpdateMessage) -> None:
        answer = await ask(self.reactor, self.server, update)
        code = answer.rcode()
        if code != dns.rcode.NOERROR:
            kind = "dns-refused" if code in _REFUSALS else "dns-failed"
            raise DnsError(kind, server=self.server, answer=dns.rcode.to_text(code))


def _quoted(value: str) -> str:
    """As in a zone file. Raises: ValueError for what no record of ours holds."""
    if not re.fullmatch(r"[A-Za-z0-9_=.:-]{1,255}", value):
        raise ValueError("not a value for a TXT record of ours")
    return f'"{value}"'
