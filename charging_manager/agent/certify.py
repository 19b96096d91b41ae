"""Keeps the certificate of end-to-end mode fresh by ACME; its key, and the account's, never leave this machine.

Theory of operation. ``look`` compares what is shown with what is wanted, whenever something changes and at least once
an hour, by the wall clock: so a machine that slept, or whose clock was set, does the right thing at the next look. What
was got is shown until the next one is in. An attempt writes down each step before it relies on it (``AcmeState``); one
that fails is repeated after a pause that grows, and never before the authority wants. A certificate is made for the key
that is shown already, unless that one was brought: whoever wrote down its fingerprint goes on finding it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from attrs import frozen
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger

from charging_manager.acme.authority import Authority, Http
from charging_manager.acme.order import CHALLENGE, Account, carry_out, new_order, open_account
from charging_manager.acme.schedule import pause_s, renew_at
from charging_manager.acme.signing import AccountKey
from charging_manager.acme.trouble import AcmeError
from charging_manager.agent.acme_settings import AcmeSettings
from charging_manager.agent.acme_state import AcmeState, StateFile
from charging_manager.agent.end_to_end import EndToEnd
from charging_manager.clocks import UtcNow, utc_now
from charging_manager.dns.ask import DnsError
from charging_manager.errors import ConfigError, TunnelError
from charging_manager.http.certificates import check_pair
from charging_manager.tunnel import commands

LOOK_S, SOON_S = 3600.0, 0.2
NO_PUBLISHER_SENTENCE = (
    "This cloud server publishes no DNS entries: its operator has to set that up, or you use a domain of your own "
    "whose DNS server takes updates from here."
)
DISK_SENTENCE = "The state folder cannot be written: {reason}."
OUR_FAULT_SENTENCE = "Something went wrong here; the log says what."
_ORDER_IS_OVER: Final = frozenset({"not-proved", "caa", "refused", "name-refused", "no-dns", "wrong-certificate"})


class AcmeStand(StrEnum):
    """How it stands with the certificate."""

    OFF = "off"
    WAITING = "waiting"
    WORKING = "working"
    PAUSED = "paused"
    VALID = "valid"


ACME_SENTENCES: Final[dict[AcmeStand, str]] = {
    AcmeStand.OFF: "No certificate is asked for.",
    AcmeStand.WAITING: "A certificate is asked for as soon as end-to-end mode has an address.",
    AcmeStand.WORKING: "The authority is being asked for a certificate.",
    AcmeStand.PAUSED: "There is no new certificate yet; the one of before is shown meanwhile.",
    AcmeStand.VALID: "The certificate is of the authority, and is renewed by itself.",
}


class Certifier:
    """``settings`` gives what is configured now. ``http`` reaches the authority."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        door: EndToEnd,
        state: StateFile,
        settings: Callable[[], AcmeSettings],
        http: Http,
        *,
        now: UtcNow = utc_now,
        chance: random.Random | None = None,
    ) -> None:
        self._reactor, self._door, self._state, self._settings = reactor, door, state, settings
        self.http, self._now, self._chance = http, now, chance or random.SystemRandom()
        self._timer: IDelayedCall | None = None
        self._work: Deferred[None] | None = None
        self._working_for: object = None
        self._stopped = True
        door.watch(self.look)

    # -- what the page shows

    @property
    def state(self) -> AcmeState:
        return self._state.current

    @property
    def names(self) -> tuple[str, ...]:
        """What the certificate is to be for: the domain of one's own, or else the address at the cloud."""
        door = self._door
        if door.domain.name:
            return (door.domain.name,)
        return () if door.address is None else (door.address.host,)

    @property
    def is_good(self) -> bool:
        """What is shown came so, from this authority, for these names."""
        pair, state = self._door.tls.pair, self.state
        ours = (state.got, state.got_from) == (pair.certificate_fingerprint, self._settings().directory)
        return ours and bool(self.names) and all(map(pair.names, self.names))

    @property
    def renew_at(self) -> datetime | None:
        """When the next certificate is asked for; None: there is none to be renewed."""
        leaf = self._door.tls.pair.leaf
        if not self.is_good:
            return None
        return renew_at(leaf.not_valid_before_utc, leaf.not_valid_after_utc, self.state.got)

    @property
    def stand(self) -> AcmeStand:
        if not self._is_wanted():
            return AcmeStand.OFF
        if self._work is not None:
            return AcmeStand.WORKING
        due = self.renew_at
        if due is not None and (self._now() < due or not self.state.problem):
            return AcmeStand.VALID
        return AcmeStand.WAITING if not self.state.problem else AcmeStand.PAUSED

    # -- when

    def start(self) -> None:
        self._stopped = False
        self.look()

    def stop(self) -> None:
        self._stopped = True
        self._forget_timer()
        self._break_off()

    def changed(self) -> None:
        """Other settings, or a certificate that was brought: what failed before counts no more."""
        self._break_off()
        self._note(failures=0, not_before=self.state.ordered_until, problem="", fields={})
        self.look()

    def try_now(self) -> float:
        """Somebody does not want to wait. How long the authority itself wants to be left alone; then nothing is
        done."""
        until = self.state.ordered_until
        if until is not None and until > self._now():
            return (until - self._now()).total_seconds()
        if self._is_wanted() and self.names and self._work is None:
            self._begin()
        return 0.0

    def look(self) -> None:
        """Is there something to do, and when next?"""
        self._forget_timer()
        if self._stopped or not self._is_wanted():
            self._break_off()
            return
        if self._work is not None:
            if self._working_for == self._wish():
                return
            self._break_off()
        wait_s = self._wait_s()
        if wait_s <= 0:
            self._begin()
        else:
            self._timer = self._reactor.callLater(min(wait_s, LOOK_S), self.look)

    def _is_wanted(self) -> bool:
        return self._settings().enabled and self._door.enabled

    def _wish(self) -> object:
        return self._settings(), self.names

    def _wait_s(self) -> float:
        if not self.names or (self._by_cloud() and self._door.side is None):
            return LOOK_S  # whoever brings an address or a tunnel says so
        now, due = self._now(), self.renew_at
        wait = timedelta() if due is None else due - now
        if self.state.not_before is not None:
            # a clock that was far ahead once must not keep us waiting for ever
            wait = max(wait, min(self.state.not_before - now, timedelta(days=8)))
        return wait.total_seconds()

    def _by_cloud(self) -> bool:
        return not self._settings().updates.server

    # -- one attempt

    def _begin(self) -> None:
        self._forget_timer()
        self._working_for = self._wish()
        self._work = Deferred.fromCoroutine(self._attempt())
        self._work.addErrback(lambda failure: failure.trap(CancelledError) and None)

    def _break_off(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.cancel()

    async def _attempt(self) -> None:
        """Never raises but CancelledError."""
        try:
            await deferLater(self._reactor, SOON_S)  # what else changes in the same breath belongs to this attempt
            try:
                await self._obtain(self._settings(), self.names)
            except AcmeError as error:
                if error.code != "account":
                    raise
                await self._obtain(self._settings(), self.names)  # by another account, then
        except CancelledError:
            raise
        except (AcmeError, DnsError, ConfigError) as error:
            self._failed(error.template, error.fields, getattr(error, "wait_s", 0.0))
        except TunnelError as error:
            self._failed(str(error), {}, 0.0)
        except OSError as error:
            self._failed(DISK_SENTENCE, {"reason": error.strerror or error}, 0.0)
        except Exception:
            self.log.failure("getting a certificate failed by a mistake of ours")
            self._failed(OUR_FAULT_SENTENCE, {}, 0.0)
        self._work = None
        self.look()

    def _failed(self, sentence: str, fields: Any, wait_s: float) -> None:
        now, failures = self._now(), self.state.failures + 1
        pause = timedelta(seconds=pause_s(failures, wait_s, self._chance.random))
        said = {name: str(value) for name, value in fields.items()}
        self.log.warn(
            "no certificate of the authority (attempt {failures}): {why} The next try is at {at} UTC",
            failures=failures,
            why=sentence.format_map(said),
            at=f"{now + pause:%Y-%m-%d %H:%M}",
        )
        until = now + timedelta(seconds=wait_s) if wait_s else None
        self._note(failures=failures, not_before=now + pause, ordered_until=until, problem=sentence, fields=said)

    def _note(self, **what: Any) -> None:
        try:
            self._state.change(**what)
        except OSError as error:
            self.log.error("how it stands with the certificate cannot be written down: {why}", why=error.strerror)

    async def _obtain(self, settings: AcmeSettings, names: tuple[str, ...]) -> None:
        proofs = self._proofs(settings)
        authority = Authority(settings.directory, self.http, self._now)
        account = await self._account(authority, settings)
        try:
            if not self.state.order or self.state.order_names != names:
                await self._order(authority, account, names)
            state = self.state
            key = serialization.load_pem_private_key(state.order_key.encode(), None)
            chain = await carry_out(authority, account, state.order, names, key, proofs, self._sleep)
            self._take(chain, names)
        except AcmeError as error:
            if error.code in _ORDER_IS_OVER:
                self._state.change(order="", order_key="", order_names=())
            if error.kind == "accountDoesNotExist":
                self._state.change(account="", order="", order_key="", order_names=())
            raise

    async def _account(self, authority: Authority, settings: AcmeSettings) -> Account:
        state = self.state
        if state.directory != settings.directory or not state.account_key:
            fresh = AccountKey.make().to_pem()
            state = self._state.change(
                directory=settings.directory, account_key=fresh, account="", order="", order_key="", order_names=()
            )
        key = AccountKey.from_pem(state.account_key)
        if not state.account:
            customer = (settings.customer, settings.customer_key) if settings.customer else None
            try:
                account = await open_account(
                    authority, key, terms=settings.terms, contact=settings.contact, customer=customer
                )
            except AcmeError as error:
                raise self._without_account(error) from error
            state = self._state.change(account=account.url, caa=(await authority.directory()).caa)
            self.log.info("the authority has given this installation an account: {account}", account=account.url)
        return Account(key, state.account)

    def _without_account(self, error: AcmeError) -> AcmeError:
        """The same error; if it says that the account was closed, the next attempt makes another one."""
        if error.kind != "unauthorized" or error.code == "binding-wrong":
            return error
        self._state.change(account_key="", account="", order="", order_key="", order_names=())
        return AcmeError("account", kind=error.kind, wait_s=error.wait_s, detail=error.fields.get("detail", ""))

    async def _order(self, authority: Authority, account: Account, names: tuple[str, ...]) -> None:
        """A new order, written down together with the key that it is for."""
        try:
            order = await new_order(authority, account, names)
        except AcmeError as error:
            raise self._without_account(error) from error
        self._state.change(order=order, order_key=self._key(), order_names=names)

    def _key(self) -> str:
        """For the certificate, as PEM: the one that is shown, if it never was anywhere else."""
        pair = self._door.tls.pair
        ours = pair.is_ours or self.state.got == pair.certificate_fingerprint
        key = pair.key if ours else ec.generate_private_key(ec.SECP256R1())
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()

    def _take(self, chain: bytes, names: tuple[str, ...]) -> None:
        """Show the new certificate. Raises: AcmeError, ConfigError; then the old one is shown."""
        key = self.state.order_key.encode()
        try:
            pair = check_pair(chain, key, self._now())
        except ConfigError as error:
            raise AcmeError("wrong-certificate", detail=error.sentence + ".") from error
        if not all(map(pair.names, names)):
            raise AcmeError("wrong-certificate", detail="it is for other names.")
        self._door.bring_certificate(chain, key)
        self._state.change(
            order="",
            order_key="",
            order_names=(),
            got=pair.certificate_fingerprint,
            got_from=self.state.directory,
            failures=0,
            not_before=None,
            ordered_until=None,
            problem="",
            fields={},
        )
        self.log.info("a certificate for {names} came from the authority", names=", ".join(names))

    def _proofs(self, settings: AcmeSettings) -> _ByCloud | _ByUpdates:
        """Raises: ConfigError, TunnelError."""
        if settings.updates.server:
            return _ByUpdates(settings, self._reactor, self._sleep)
        side, server, domain = self._door.side, self._door.server, self._door.domain
        if side is None or server is None:
            raise TunnelError("offline", ACME_SENTENCES[AcmeStand.WAITING])
        if not side.can(commands.PUBLISH):
            raise ConfigError("", NO_PUBLISHER_SENTENCE)
        return _ByCloud(side, domain.claim_for(server) if domain.name else None, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        await deferLater(self._reactor, seconds)

    def _forget_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


@frozen
class _ByCloud:
    """The cloud publishes, in its zone: of our label, or where a domain's CNAME leads."""

    side: Any
    claim: bytes | None
    sleep: Any

    async def put(self, host: str, value: str) -> None:
        await self.sleep(await self.side.publish(value, self.claim))

    async def take(self, host: str, value: str) -> None:
        try:
            await self.side.publish(value, self.claim, take=True)
        except TunnelError:  # it goes by itself after a while
            return


@frozen
class _ByUpdates:
    """We publish, at the keeper's own DNS server."""

    settings: AcmeSettings
    reactor: Any
    sleep: Any

    async def put(self, host: str, value: str) -> None:
        updates = self.settings.updates
        await updates.zone_at(self.reactor).put_text(CHALLENGE + host, value, alone=False)
        await self.sleep(updates.settle_s)

    async def take(self, host: str, value: str) -> None:
        try:
            await self.settings.updates.zone_at(self.reactor).take_text(CHALLENGE + host, value)
        except DnsError:  # the next proof of this name does not mind
            return
