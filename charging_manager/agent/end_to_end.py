"""End-to-end mode: browsers' TLS ends here, with a key that never leaves this machine; the cloud carries ciphertext.

Theory of operation. While the mode is on and a tunnel stands, a label is claimed at the cloud; connections to
``<label>.<zone>`` then come as streams and end in our own TLS and pages. Every quarter of an hour, and once at first,
we look at that address from outside: another key there means that somebody on the way ends the encryption, and nobody
is let in until it has gone. That finds a cloud which reads everybody along; one which spares our own visits it cannot.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory

from charging_manager.agent.own_domain import OwnDomain
from charging_manager.agent.probe import key_at
from charging_manager.agent.spliced import SplicedTransport, peer_named
from charging_manager.agent.uplink import Uplink, UplinkState
from charging_manager.clocks import UtcNow, utc_now
from charging_manager.errors import ConfigError, TunnelError
from charging_manager.http.crowd import Crowd
from charging_manager.http.facts import is_loopback
from charging_manager.http.listener import ByProtocol
from charging_manager.http.tls import HTTP, TlsDoor
from charging_manager.http.userids import load_key
from charging_manager.storage.files import write_private
from charging_manager.tunnel import bounds
from charging_manager.tunnel.agent_side import AgentSide
from charging_manager.tunnel.dial import ServerName, parse_server
from charging_manager.tunnel.labels import label_of, make_claim, make_code
from charging_manager.tunnel.lane_ends import Lane
from charging_manager.tunnel.link import RemoteStream

OPEN = b"cm-open/1"
"""ALPN of ``charging_manager open``: HTTP of a browser that speaks plainly to a program on its own machine."""
FIRST_LOOK_S, LOOK_S, LOOK_AGAIN_S = 1.0, 900.0, 60.0
CLAIM_AGAIN_S = 30.0


class Stand(StrEnum):
    """How the mode stands."""

    OFF = "off"
    NO_TUNNEL = "no-tunnel"
    NOT_OFFERED = "not-offered"
    NO_NAME = "no-name"
    WAITING = "waiting"
    LABEL_TAKEN = "label-taken"
    OPEN = "open"


STAND_SENTENCES: Final[dict[Stand, str]] = {
    Stand.OFF: "End-to-end mode is off: the cloud server's operator can read along.",
    Stand.NO_TUNNEL: "There is no connection to the cloud server now.",
    Stand.NOT_OFFERED: "This cloud server does not offer end-to-end mode; its operator has to update it.",
    Stand.NO_NAME: "The cloud server is entered by its number; end-to-end mode needs its name.",
    Stand.WAITING: "The cloud server is being asked for an address.",
    Stand.LABEL_TAKEN: "Another installation has this address at the cloud server; make a new one.",
    Stand.OPEN: "The installation is reached at its own address.",
}

LOOK_SENTENCES: Final[dict[str, str]] = {
    "unknown": "The address has not been checked yet.",
    "ok": "The check from outside found this installation's own key.",
    "other-key": "Somebody else's key answers at this address: whoever runs the cloud server, or sits on the way, "
    "reads along. Nobody can log in through the cloud until that ends.",
    "name-not-found": "The address has no entry in the DNS; the operator of the cloud server has to make one for all "
    "names under it.",
    "domain-not-found": "Your domain has no A or AAAA entry in the DNS.",
    "domain-other-key": "Another key than this installation's answers at your domain. Check that its A and AAAA "
    "entries lead to the cloud server; if they do, somebody on the way ends the encryption: type no password there.",
    "address-unknown": "The cloud server does not know this address.",
    "unreachable": "Nothing answers at this address from here.",
    "timeout": "The address did not answer in time.",
    "tls-failed": "No encrypted connection to the address could be made.",
}


class EndToEnd:
    """``tunnel.link.SpliceEnd``, and all that the page shows of it. ``enabled`` is what the configuration says."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        enabled: bool,
        *,
        domain: str = "",
        now: UtcNow = utc_now,
        look: Callable[[Any, ServerName], Awaitable[str]] = key_at,
    ) -> None:
        """``domain`` is one of the keeper's own. Raises: ConfigError."""
        self._reactor, self._folder, self._now, self._key_at = reactor, folder, now, look
        self.enabled = enabled
        self.tls = TlsDoor(folder, now, "end-to-end.localhost")
        self.tls.protocols = (OPEN, HTTP)
        self._secret = load_key(folder / "label.key")
        self.domain = OwnDomain(reactor, folder, domain, self._domain_moved)
        self._watchers: list[Callable[[], None]] = []
        self._uplink: Uplink | None = None
        self._factory: Factory | None = None
        self._claimed: AgentSide | None = None
        self._timer: IDelayedCall | None = None
        self.stand = Stand.NO_TUNNEL if enabled else Stand.OFF
        self.address: ServerName | None = None
        """``<label>.<zone>`` and port; kept while the tunnel is down."""
        self.label = ""
        self.look = "unknown"
        self.looked_at: datetime | None = None
        self.seen_key: str | None = None

    # -- being put together

    def serve(self, site: Factory, local: Factory) -> None:
        """What answers browsers, and those that come by ``charging_manager open``."""
        strangers = Crowd(2 * bounds.SPLICES, 2 * bounds.SPLICES)
        inner = ByProtocol({OPEN: local}, site, strangers, self._reactor)
        factory: Any = TLSMemoryBIOFactory(self.tls, False, inner, self._reactor)
        factory.noisy = False
        self._factory = factory

    def follow(self, uplink: Uplink) -> None:
        """Claim the label whenever this tunnel comes up."""
        self._uplink = uplink
        uplink.watch(self._tunnel_moved)

    def watch(self, callback: Callable[[], None]) -> None:
        """Call this when an address comes, goes or changes, and when the mode is switched."""
        self._watchers.append(callback)

    def stop(self) -> None:
        self._forget_timer()
        self.domain.stop()

    # -- what the page shows

    @property
    def addresses(self) -> list[ServerName]:
        """Where browsers reach us; the one that people are to use comes first."""
        if self.address is None:
            return []
        own = [ServerName(self.domain.name, self.address.port)] if self.domain.is_held else []
        return [*own, self.address]

    @property
    def url(self) -> str | None:
        """The address that people are to use."""
        return next((f"https://{one.host}:{one.port}/" for one in self.addresses), None)

    @property
    def server(self) -> ServerName | None:
        """The cloud server that is dialled; None: none is entered."""
        try:
            return None if self._uplink is None else self._uplink.settings.target()
        except ConfigError:
            return None

    @property
    def side(self) -> AgentSide | None:
        """The connection on which the mode stands."""
        return self._claimed if self.stand is Stand.OPEN else None

    @property
    def code(self) -> str | None:
        """For ``charging_manager open``: the label, and the key that must answer there."""
        if not self.label:
            return None
        return make_code(self.label, self.tls.fingerprint)

    @property
    def ends_at(self) -> datetime | None:
        """When the certificate that is not of our making ends, if that is soon: in the last sixth of its life."""
        leaf = self.tls.pair.leaf
        life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
        if not self.enabled or self.tls.is_ours or self._now() < leaf.not_valid_after_utc - life / 6:
            return None
        return leaf.not_valid_after_utc

    @property
    def read_along(self) -> bool:
        """Our own check found somebody else's key."""
        return self.enabled and self.look == "other-key"

    # -- what the page changes

    def use(self, enabled: bool) -> None:
        """Switch the mode."""
        if enabled != self.enabled:
            self.enabled = enabled
            self._anew()
            self._tell()

    def use_domain(self, name: str) -> None:
        """Another domain of the keeper's own, or none."""
        self.domain.use(name)
        self._go_by_name()
        self._tell()

    def new_address(self) -> None:
        """Another label from now on; the old one leads nowhere. Raises: ConfigError."""
        secret = secrets.token_bytes(len(self._secret))
        try:
            write_private(self._folder / "label.key", secret)
        except OSError as error:
            raise ConfigError(
                str(self._folder), f"cannot be written ({error.strerror}); nothing was changed"
            ) from error
        self._secret = secret
        self._anew()

    def bring_certificate(self, cert: bytes, key: bytes) -> None:
        """Show this pair. Raises: ConfigError, and then the old one stays."""
        self.tls.load(cert, key)
        self._look_soon()

    def own_certificate(self) -> None:
        """Show one of our own again, with a new key. Raises: ConfigError."""
        self.tls.make_own()
        self._look_soon()

    # -- claiming

    def _anew(self) -> None:
        claimed, self._claimed = self._claimed, None
        self._forget_timer()
        self._see("unknown", None)
        self.looked_at = None
        if claimed is not None and not self.enabled:
            claimed.claim(b"").addErrback(lambda _: None)
        self._tunnel_moved()

    def _tunnel_moved(self) -> None:
        uplink = self._uplink
        side = uplink.side if uplink is not None and uplink.state is UplinkState.CONNECTED else None
        if side is None or not self.enabled:
            self._claimed = None
            self._forget_timer()
            self.stand = Stand.NO_TUNNEL if self.enabled else Stand.OFF
            self.domain.tunnel(None, None)
            return
        if side is self._claimed:
            return
        if not side.can_splice:
            self.stand = Stand.NOT_OFFERED
            return
        self.stand = Stand.WAITING
        target = uplink.settings.target() if uplink is not None else None
        if target is not None:
            self._claimed = side
            claiming = Deferred.fromCoroutine(self._claim(side, target))
            claiming.addErrback(lambda failure: self.log.failure("claiming an address failed", failure=failure))

    async def _claim(self, side: AgentSide, target: ServerName) -> None:
        claim = make_claim(self._secret, f"{target.host}:{target.port}")
        try:
            zone = parse_server(await side.claim(claim))
        except (TunnelError, ConfigError) as error:
            code = error.code if isinstance(error, TunnelError) else "protocol"
            if self._claimed is side:
                self.stand = Stand.LABEL_TAKEN if code == "label-taken" else Stand.WAITING
                self.log.warn("no address for end-to-end mode: {code}", code=code)
                self._after(CLAIM_AGAIN_S, self._claim_again)
            return
        if self._claimed is not side:
            return
        parent = zone or target
        if is_loopback(parent.host):  # a cloud on this machine, as in the demo: browsers know the names under localhost
            parent = ServerName("localhost", parent.port)
        if isIPAddress(parent.host) or isIPv6Address(parent.host):
            self.stand = Stand.NO_NAME
            return
        self.label = label_of(claim)
        self.address = ServerName(f"{self.label}.{parent.host}", parent.port if zone else target.port)
        self._go_by_name()
        self.stand = Stand.OPEN
        self._after(FIRST_LOOK_S, self._look)
        self.domain.tunnel(side, target)
        self._tell()

    def _go_by_name(self) -> None:
        host = self.domain.name or (self.address.host if self.address is not None else "")
        if host:
            self.tls.go_by(host)

    def _domain_moved(self) -> None:
        self._look_soon()
        self._tell()

    def _tell(self) -> None:
        for watcher in self._watchers:
            watcher()

    def _claim_again(self) -> None:
        self._claimed = None
        self._tunnel_moved()

    # -- connections

    def is_open(self) -> bool:
        return self.enabled and self._factory is not None

    def splice(self, source: str, there: RemoteStream) -> RemoteStream:
        """The way back to a browser whose bytes come ``there``."""
        assert self._factory is not None  # noqa: S101 - asked only while open
        return SplicedTransport(self._factory, source, there, self._reactor).stream()

    def carry(self, source: str, lane: Lane) -> None:
        """The same on a connection of its own."""
        assert self._factory is not None  # noqa: S101 - asked only while open
        peer = peer_named(source)
        lane.become(self._factory.buildProtocol(peer), peer)

    # -- looking from outside

    def _look(self) -> None:
        looking = Deferred.fromCoroutine(self.check())
        looking.addErrback(lambda failure: self.log.failure("the check from outside failed", failure=failure))

    def _look_soon(self) -> None:
        if self.stand is Stand.OPEN:
            self._after(FIRST_LOOK_S, self._look)

    async def check(self) -> str:
        """Look now; the outcome is one of ``LOOK_SENTENCES``."""
        addresses = self.addresses
        if self.tls.is_ours:
            with self.log.failuresHandled("our own certificate could not be renewed; the next try comes soon"):
                self.tls.renew()
        if self.stand is not Stand.OPEN or not addresses:
            return self.look
        found = [await self._look_at(address) for address in addresses]
        outcome, seen = next((one for one in found if one[0] == "other-key"), None) or next(
            (one for one in found if one[0] != "ok"), found[0]
        )
        if self.stand is Stand.OPEN and addresses == self.addresses:
            self._see(outcome, seen)
            self._after(LOOK_S if outcome == "ok" else LOOK_AGAIN_S, self._look)
        return self.look

    async def _look_at(self, address: ServerName) -> tuple[str, str | None]:
        """The outcome, and the key that was seen."""
        try:
            seen = await self._key_at(self._reactor, address)
        except TunnelError as error:
            if error.code == "name-not-found" and address.host == self.domain.name:
                return "domain-not-found", None
            return (error.code if error.code in LOOK_SENTENCES else "tls-failed"), None
        at_domain = address.host == self.domain.name
        if seen == self.tls.fingerprint:
            if at_domain:
                self.domain.see()
            return "ok", seen
        return ("domain-other-key" if at_domain and not self.domain.was_seen else "other-key"), seen

    def _see(self, outcome: str, seen: str | None) -> None:
        if outcome == "other-key":
            if self.look != outcome:
                self.log.error("end-to-end mode: the key {seen} answers at our address, it is not ours", seen=seen)
        elif self.look == "other-key" and outcome != "ok" and self.enabled and outcome != "unknown":
            return  # only our own key takes the suspicion away
        elif outcome != self.look and outcome != "unknown":
            self.log.info("end-to-end mode: {sentence}", sentence=LOOK_SENTENCES[outcome])
        self.look, self.seen_key, self.looked_at = outcome, seen, self._now()

    def _after(self, seconds: float, then: Callable[[], None]) -> None:
        self._forget_timer()
        self._timer = self._reactor.callLater(seconds, then)

    def _forget_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
