"""Our cookies: their names, how they are read, and the lines that set and clear them.

Over TLS only the ``__Host-`` ones count, over allowed plain HTTP only the plain ones: a cookie that somebody planted
over plain HTTP opens nothing over TLS.
"""

from __future__ import annotations

import re

from attrs import frozen

_VALUE = re.compile(r"[A-Za-z0-9_.~+/=-]{1,200}")
_LOGIN_AGE_S = 90 * 86_400
_DEVICE_AGE_S = 365 * 86_400


@frozen
class CookieNames:
    """The cookies of one daemon: ``CookieNames("agent")``, ``CookieNames("cloud")``."""

    daemon: str

    def login(self, secure: bool) -> str:
        return f"__Host-cm_{self.daemon}" if secure else f"cm_plain_{self.daemon}"

    def device(self, secure: bool) -> str:
        return self.login(secure) + "_device"

    def set_login(self, token: str, secure: bool) -> bytes:
        """The Set-Cookie line of a fresh login."""
        return _line(self.login(secure), token, _LOGIN_AGE_S, secure)

    def set_device(self, cookie: str, secure: bool) -> bytes:
        """The Set-Cookie line that makes a browser a known one."""
        return _line(self.device(secure), cookie, _DEVICE_AGE_S, secure)

    def clear_login(self, secure: bool) -> bytes:
        """The Set-Cookie line of a logout; the device stays known."""
        return _line(self.login(secure), "", 0, secure)

    def clear_all(self, secure: bool) -> list[bytes]:
        """For a browser whose cookies have grown too large."""
        return [self.clear_login(secure), _line(self.device(secure), "", 0, secure)]


def read_cookie(header: str, name: str) -> str | None:
    """The value of one cookie; None if it is missing, stands there twice, or is nothing that we would have set."""
    found = [
        value
        for part in header.split(";")
        for key, equals, value in [part.strip(" \t").partition("=")]
        if key == name and equals
    ]
    return found[0] if len(found) == 1 and _VALUE.fullmatch(found[0]) else None


def _line(name: str, value: str, age_s: int, secure: bool) -> bytes:
    if value and not _VALUE.fullmatch(value):
        raise ValueError("this is no value for a cookie")
    rest = f"Path=/; Max-Age={age_s}; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}"
    return f"{name}={value}; {rest}".encode("ascii")
