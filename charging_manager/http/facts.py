"""What is known of a request beyond its fields: from where, over what, with which of our cookies."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Any

from attrs import field, frozen
from twisted.internet.interfaces import IAddress
from zope.interface import implementer

from charging_manager.http.browsers import kind_of
from charging_manager.http.cookies import CookieNames, read_cookie
from charging_manager.http.heads import Head
from charging_manager.http.table import RawRequest
from charging_manager.words import best_language

_FORWARDING = frozenset({"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"})
"""Beside ``X-Forwarded-…``: what programs in between put on, each in its own way."""
_PASSED_ON = ("last-event-id", "authorization", "accept-language")
_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_SAFE_METHODS = ("GET", "HEAD")


@implementer(IAddress)
@frozen
class Forwarded:
    """The address of a client whom a proxy forwards (``proxy_header``)."""

    host: str
    port: int


@frozen
class Peer:
    """Who is at the other end of a connection."""

    source: str
    """Its address, un-mapped."""
    forwarded: bool = False
    """A proxy says so. Then it is never this machine itself, wherever the proxy runs and whatever it says."""

    @property
    def loopback(self) -> bool:
        return not self.forwarded and is_loopback(self.source)


def peer_of(address: Any) -> Peer:
    """Of the address that a factory is given."""
    return Peer(unmapped(getattr(address, "host", "")), isinstance(address, Forwarded))


@frozen
class RequestFacts:
    """``login`` and ``device`` are the raw values of our two cookies, the ones that count on this connection."""

    source: str
    """Peer's address, un-mapped."""
    secure: bool
    loopback: bool
    """By CONTRACT: the peer is loopback, Host says so, and nobody forwarded it, no proxy either."""
    host: str
    accept_language: str = ""
    login: str | None = field(default=None, repr=False)
    device: str | None = field(default=None, repr=False)
    browser: str = ""
    """What kind of browser it says it is."""

    @property
    def language(self) -> str:
        """The language of ours that the browser prefers."""
        return best_language(self.accept_language)


def unmapped(address: str) -> str:
    """``::ffff:127.0.0.1`` is 127.0.0.1."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)


def is_loopback(source: str) -> bool:
    """Whether an un-mapped address is of this machine itself."""
    try:
        return ip_address(source).is_loopback
    except ValueError:
        return False


def read_facts(head: Head, peer: Peer, secure: bool, cookies: CookieNames) -> RequestFacts:
    """Facts of a checked head."""
    forwarded = any(name in _FORWARDING or name.startswith("x-forwarded-") for name in head.headers)
    cookie = head.headers.get("cookie", "")
    return RequestFacts(
        source=peer.source,
        secure=secure,
        loopback=peer.loopback and _host_name(head.host) in _LOOPBACK_HOSTS and not forwarded,
        host=head.host,
        accept_language=head.headers.get("accept-language", "")[:200],
        login=read_cookie(cookie, cookies.login(secure)),
        device=read_cookie(cookie, cookies.device(secure)),
        browser=kind_of(head.headers.get("user-agent", "")),
    )


def raw_request(head: Head, body: bytes) -> RawRequest:
    """The fields that routes and tunnel see: nothing of cookies, and only the headers that a route may see."""
    path, _, query = head.target.partition("?")
    passed_on = {name: head.headers[name] for name in _PASSED_ON if name in head.headers}
    return RawRequest(head.method, path, query, body, head.headers.get("content-type", ""), passed_on)


def changes_something(head: Head) -> bool:
    """Whether this method may change anything."""
    return head.method not in _SAFE_METHODS


def is_foreign(head: Head, secure: bool) -> bool:
    """Whether another site's page sent this, as far as the browser says; a request that says nothing is not foreign."""
    if head.headers.get("sec-fetch-site", "none").lower() not in ("same-origin", "none"):
        return True
    origin = head.headers.get("origin")
    # Behind somebody's own TLS proxy the page is https and we see plain HTTP; never the other way round.
    own = {f"https://{head.host.lower()}"} | (set() if secure else {f"http://{head.host.lower()}"})
    return origin is not None and origin.lower() not in own


def _host_name(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()
