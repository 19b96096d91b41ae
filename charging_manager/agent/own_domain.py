"""A domain of the keeper's own that leads here: claimed at the cloud, which asks the DNS whose it is."""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from charging_manager.errors import TunnelError
from charging_manager.http.userids import load_key
from charging_manager.storage.files import write_private
from charging_manager.tunnel import commands
from charging_manager.tunnel.agent_side import AgentSide
from charging_manager.tunnel.dial import ServerName
from charging_manager.tunnel.labels import delegate_of, make_domain_claim, proof_of

HELD_S, UNPROVEN_S, BUSY_S, TAKEN_S = 1800.0, 90.0, 300.0, 900.0
"""When it is claimed again; the cloud takes sixty claims an hour."""


class DomainStand(StrEnum):
    """How it stands with the domain."""

    NONE = "none"
    WAITING = "waiting"
    NOT_OFFERED = "not-offered"
    FORBIDDEN = "forbidden"
    UNPROVEN = "unproven"
    TAKEN = "taken"
    UNKNOWN = "unknown"
    HELD = "held"


DOMAIN_SENTENCES: Final[dict[DomainStand, str]] = {
    DomainStand.NONE: "There is no domain of your own.",
    DomainStand.WAITING: "The cloud server is asked as soon as end-to-end mode stands.",
    DomainStand.NOT_OFFERED: "This cloud server carries no domains of your own; its operator has to update it.",
    DomainStand.FORBIDDEN: "The cloud server does not carry this name: it is its own, or no name for an installation.",
    DomainStand.UNPROVEN: "The DNS does not say yet that the domain is this installation's: make the entries below.",
    DomainStand.TAKEN: "Another installation has this domain at the cloud server, and its DNS entry is there as well; "
    "remove that one.",
    DomainStand.UNKNOWN: "The cloud server could not find out whose the domain is; it is asked again.",
    DomainStand.HELD: "The installation is reached at your own domain.",
}
_AFTER: Final[dict[str, tuple[DomainStand, float]]] = {
    "domain-forbidden": (DomainStand.FORBIDDEN, 0.0),
    "domain-unproven": (DomainStand.UNPROVEN, UNPROVEN_S),
    "domain-taken": (DomainStand.TAKEN, TAKEN_S),
}


class OwnDomain:
    """``moved`` is called when it comes to be held, or ceases to be."""

    log = Logger()

    def __init__(
        self, reactor: Any, folder: Path, name: str, moved: Callable[[], None], chance: random.Random | None = None
    ) -> None:
        """Raises: ConfigError."""
        self._reactor, self._moved, self._chance = reactor, moved, chance or random.SystemRandom()
        self._secret = load_key(folder / "domain.key")
        self._side: AgentSide | None = None
        self._target: ServerName | None = None
        self._timer: IDelayedCall | None = None
        self.name = name
        self.stand = DomainStand.WAITING if name else DomainStand.NONE
        self.is_held = False
        """Browsers that ask for the domain come to us; kept while the tunnel is down."""
        self._seen = folder / "domain.seen"

    @property
    def was_seen(self) -> bool:
        """Our key has answered at this domain once: from then on another one there is no mistake in its entries."""
        try:
            return self._seen.read_text("utf-8") == self.name
        except (OSError, UnicodeDecodeError):
            return False

    def see(self) -> None:
        """Our key answers at the domain."""
        if not self.was_seen:
            try:
                write_private(self._seen, self.name.encode())
            except OSError as error:
                self.log.error("{path} cannot be written: {why}", path=str(self._seen), why=error.strerror)

    def claim_for(self, server: ServerName) -> bytes:
        """What the domain is claimed with there."""
        return make_domain_claim(self._secret, f"{server.host}:{server.port}")

    def proof(self, server: ServerName) -> str:
        """What the DNS has to say."""
        return proof_of(self.claim_for(server), self.name)

    def delegate(self, server: ServerName) -> str:
        """The label in the cloud's zone that challenges may be delegated to."""
        return delegate_of(self.claim_for(server))

    def use(self, name: str) -> None:
        """Another domain, or none, from now on."""
        if name == self.name:
            return
        side = self._side
        if side is not None and not name and side.can(commands.DOMAIN):
            Deferred.fromCoroutine(side.claim_domain("", b"")).addErrback(lambda failure: failure.trap(TunnelError))
        self.name = name
        self._be(DomainStand.NONE)
        self._be(DomainStand.WAITING if name else DomainStand.NONE)
        self.claim_now()

    def tunnel(self, side: AgentSide | None, target: ServerName | None) -> None:
        """The connection on which end-to-end mode stands now; None: it does not."""
        self._side, self._target = side, target
        if side is None:
            self._forget_timer()
            self._be(DomainStand.WAITING if self.name else DomainStand.NONE)
        else:
            self.claim_now()

    def claim_now(self) -> None:
        """Ask the cloud, without waiting for the next time."""
        claiming = Deferred.fromCoroutine(self.check())
        claiming.addErrback(lambda failure: self.log.failure("claiming a domain failed", failure=failure))

    async def check(self) -> None:
        """Claim the domain; when this returns, ``stand`` says what came of it."""
        side, target, name = self._side, self._target, self.name
        self._forget_timer()
        if side is None or target is None or not name:
            return
        if not side.can(commands.DOMAIN):
            self._be(DomainStand.NOT_OFFERED)
            return
        try:
            lease_s = await side.claim_domain(name, self.claim_for(target))
            stand, wait_s = DomainStand.HELD, min(HELD_S, lease_s / 2)
        except TunnelError as error:
            stand, wait_s = _AFTER.get(error.code, (DomainStand.UNKNOWN, BUSY_S))
        if (side, name) == (self._side, self.name):
            self._be(stand)
            self._forget_timer()
            if wait_s:
                self._timer = self._reactor.callLater(wait_s * self._chance.uniform(1, 1.2), self.claim_now)

    def stop(self) -> None:
        self._forget_timer()

    def _be(self, stand: DomainStand) -> None:
        if stand is self.stand:
            return
        was_held, self.stand = self.is_held, stand
        self.is_held = stand is DomainStand.HELD or (was_held and stand is DomainStand.WAITING)
        if stand is DomainStand.HELD:
            self.log.info("{domain} leads to this installation", domain=self.name)
        elif stand not in (DomainStand.NONE, DomainStand.WAITING):
            self.log.warn("{domain}: {sentence}", domain=self.name, sentence=DOMAIN_SENTENCES[stand])
        if was_held is not self.is_held:
            self._moved()

    def _forget_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
