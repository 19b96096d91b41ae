"""Slows guessing down and locks nobody out.

A browser that has logged in before carries a device cookie and has a throttle of its own, so a stranger's guesses never
stand in the owner's way. All others share a throttle by source (/32 or /64) and one by installation. An attempt is
charged when it is admitted, so a thousand at once are not a thousand free ones; success gives it back.
Time is handed in, as monotonic seconds.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from itertools import islice

from attrs import define, frozen


@frozen
class Patience:
    """How one kind of throttle reacts: so many free attempts, then 1 s, 2 s, 4 s ... up to ``longest_s``."""

    free: int
    longest_s: float
    forget_s: float = 3600.0

    def penalty_s(self, failures: int, servers: int = 1) -> float:
        """``servers`` count for themselves: a failure weighs as many, so that together they allow what one does."""
        over = failures * servers - self.free
        return 0.0 if over < 0 else min(servers * self.longest_s, 2.0 ** min(over, 30))


BY_DEVICE = Patience(free=10, longest_s=300.0)
BY_SOURCE = Patience(free=5, longest_s=300.0)
BY_INSTALLATION = Patience(free=20, longest_s=30.0)


@define
class _Tally:
    failures: int = 0
    last_s: float = 0.0
    blocked_until_s: float = 0.0


_LOOKED_AT = 16


class LoginGuard:
    """Counts attempts by who makes them; remembers at most ``most`` of them, those seen last first."""

    def __init__(self, most: int = 20_000, servers: Callable[[], int] = lambda: 1) -> None:
        self._tallies: OrderedDict[tuple[str, str], _Tally] = OrderedDict()
        self._most = most
        self._servers = servers

    def admit(self, now_s: float, *, source: str, device: str | None = None, installation: str | None = None) -> float:
        """0.0: go on, this attempt now counts as failed until ``succeeded``. Else the seconds to wait.

        ``device`` is what ``DeviceCookies.known`` returned, None for a stranger.
        """
        keys = _keys(source, device, installation)
        wait_s = max(self._tally(key, patience, now_s).blocked_until_s - now_s for key, patience in keys)
        if wait_s > 0:
            return wait_s
        for key, patience in keys:
            tally = self._tally(key, patience, now_s)
            tally.failures += 1
            tally.last_s = now_s
            tally.blocked_until_s = now_s + patience.penalty_s(tally.failures, self._servers())
        return 0.0

    def failed(self, now_s: float, *, source: str, device: str | None = None, installation: str | None = None) -> float:
        """The attempt failed: how long the next one has to wait."""
        keys = _keys(source, device, installation)
        return max(0.0, *(self._tally(key, patience, now_s).blocked_until_s - now_s for key, patience in keys))

    def succeeded(
        self, now_s: float, *, source: str, device: str | None = None, installation: str | None = None
    ) -> None:
        """The attempt was right: the device starts anew; source and installation get this one charge back, no more,
        or else whoever has a login of their own could guess at another's for ever."""
        for key, patience in _keys(source, device, installation):
            tally = self._tally(key, patience, now_s)
            tally.failures = 0 if key[0] == "device" else max(0, tally.failures - 1)
            tally.blocked_until_s = min(
                tally.blocked_until_s, now_s + patience.penalty_s(tally.failures, self._servers())
            )

    def _tally(self, key: tuple[str, str], patience: Patience, now_s: float) -> _Tally:
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally(last_s=now_s)
            if len(self._tallies) > self._most:
                self._forget_one()
        else:
            self._tallies.move_to_end(key)
            if now_s - tally.last_s > patience.forget_s:
                tally.failures = 0
        return tally

    def _forget_one(self) -> None:
        """Of those not seen for longest the one that has failed least.

        Or else thousands of addresses would make it forget the penalties of the installation that is guessed at.
        """
        oldest = islice(self._tallies.items(), min(_LOOKED_AT, len(self._tallies) - 1))
        del self._tallies[min(oldest, key=lambda item: item[1].failures)[0]]


def source_network(source: str) -> str:
    """The /32 or /64 that a peer's address stands for."""
    try:
        address = ip_address(source.partition("%")[0])
    except ValueError:
        return source[:64]
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Address(int(address) >> 64 << 64)) + "/64"
    return str(address)


def _keys(source: str, device: str | None, installation: str | None) -> list[tuple[tuple[str, str], Patience]]:
    if device is not None:
        return [(("device", device), BY_DEVICE)]
    keys = [(("source", source_network(source)), BY_SOURCE)]
    if installation is not None:
        keys.append((("installation", installation[:64]), BY_INSTALLATION))
    return keys


class DeviceCookies:
    """Cookies that say "this browser has logged in here before", for one subject (a role, a user, an installation)."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"device cookie", hashlib.sha256)

    def mint(self, subject: str) -> str:
        """A fresh one, to be given at a successful login."""
        device = secrets.token_urlsafe(12)
        return f"{device}.{self._seal(device, subject)}"

    def known(self, cookie: str | None, subject: str) -> str | None:
        """The device's name if the cookie is ours and for this subject; else None, and the asker is a stranger."""
        if not cookie or len(cookie) > 100 or not cookie.isascii():
            return None
        device, _, seal = cookie.partition(".")
        return device if hmac.compare_digest(seal, self._seal(device, subject)) else None

    def _seal(self, device: str, subject: str) -> str:
        code = hmac.digest(self._key, f"{device}\0{subject}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(code[:18]).decode()
