"""All charge points that speak OCPP: who may come in, those that are devices of the site, and those that wait to be.

A charge point that is no device yet is let in to wait (its boot is answered with Pending), whatever it brings as a
password: nothing that it says has any effect but a line in a list. Once it is a device, it must prove who it is.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from typing import Any

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from charging_manager.agent.config import Configuration
from charging_manager.agent.ocpp_config import OcppSettings
from charging_manager.agent.ocpp_ledger import TransactionLedger
from charging_manager.clocks import UtcNow
from charging_manager.devices.station import HEARTBEAT_S, Station
from charging_manager.http.guard import LoginGuard
from charging_manager.modbus.address import IDENTITY
from charging_manager.ocpp.dialects import DIALECTS, Dialect, choose
from charging_manager.ocpp.line import Line
from charging_manager.ocpp.messages import BadFrame
from charging_manager.ocpp.values import Alive, Boot, Outlet, Told
from charging_manager.ocpp.websocket import Opening, last_part

MOST_WAITING = 50
"""Charge points that are not configured: so many are remembered, and let in at once."""

PENDING_S = 15
_SAID_EVERY_S = 60.0


@define(eq=False)
class Waiting:
    """A charge point that is no device of the site yet."""

    identity: str
    version: str
    source: str
    since_at: datetime
    seen_at: datetime
    boot: Boot | None = None
    presented: str | None = field(default=None, repr=False)
    """Keyed hash of the password that it brought."""
    proven: bool = False
    """Its certificate says who it is."""
    hang_up: Callable[[str], None] | None = None
    """Set while it is connected."""

    async def answer(self, dialect: Dialect, now: UtcNow, action: str, said: dict[str, Any]) -> dict[str, Any]:
        """It is told to wait. Raises: BadFrame for what would have to be believed."""
        self.seen_at = now()
        event = dialect.event(action, said)
        match event:
            case Boot():
                self.boot = event
                return dialect.boot_answer("Pending", now(), PENDING_S)
            case Alive():
                return dialect.alive_answer(now())
            case Outlet():
                return {}
            case Told():
                return dialect.told_answer(event.what)
        raise BadFrame("SecurityError", "this charge point waits to be added to the site")


@frozen
class Refused:
    """By HTTP; ``why`` is for our log alone where it says more."""

    status: int
    sentence: str
    why: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()


@frozen
class Admitted:
    """It may come in, as a device or to wait."""

    dialect: Dialect
    party: Station | Waiting


class Central:
    """The central system, as OCPP calls it."""

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        now: UtcNow,
        config: Callable[[], Configuration],
        ledger: TransactionLedger,
        digest: Callable[[str, str], str],
    ) -> None:
        self.clock, self.now, self.ledger = clock, now, ledger
        self._config, self._digest = config, digest
        self.stations: dict[str, Station] = {}
        self.waiting: OrderedDict[str, Waiting] = OrderedDict()
        self.guard = LoginGuard()
        self.trouble: str | None = None
        """Why the listener does not listen, for people."""
        self.port: int | None = None
        """Where it does."""
        self.refused = 0
        self._said_s: dict[str, float] = {}

    @property
    def settings(self) -> OcppSettings:
        return self._config().ocpp

    # -- stations ----------------------------------------------------------------------------------------------------

    def open(self, identity: str) -> Station:
        """The charge point of that identity, from now on a device of the site; closed by ``Station.close``."""
        station = self.stations[identity] = Station(identity, self.clock, self.now, self.ledger)
        station.on_close = lambda: self._closed(station)
        waits = self.waiting.pop(identity, None)
        if waits is not None:
            station.boot = waits.boot
            if waits.hang_up is not None:
                waits.hang_up("it is added to the site; it may come back now")
        return station

    def _closed(self, station: Station) -> None:
        if self.stations.get(station.identity) is station:
            del self.stations[station.identity]

    def hang_up(self, identity: str, sentence: str) -> None:
        """End its connection: it must prove anew who it is."""
        station = self.stations.get(identity)
        if station is not None and station.line is not None:
            station.lost(station.line, sentence)

    # -- passwords ---------------------------------------------------------------------------------------------------

    def password_hash(self, identity: str, password: str) -> str:
        """What is stored of a charge point's password."""
        return self._digest(f"ocpp password of {identity}", password)

    # -- who comes in ------------------------------------------------------------------------------------------------

    def admit(self, opening: Opening, source: str, certified: str | None) -> Admitted | Refused:
        """Whoever asks at the door. ``certified``: the common name of the certificate that was checked (profile 3)."""
        dialect = choose(opening.subprotocols)
        identity = last_part(opening.path)
        if not IDENTITY.fullmatch(identity):
            return self._refused(Refused(404, "The address must end with the identity of the charge point."), source)
        if dialect is None:
            spoken = ", ".join(DIALECTS)
            offered = ", ".join(opening.subprotocols)[:80] or "none"
            return self._refused(
                Refused(
                    400,
                    f"Spoken here, as Sec-WebSocket-Protocol: {spoken}.",
                    f"charge point {identity} offers {offered} as subprotocol; {spoken} are spoken here",
                ),
                source,
            )
        wait_s = self.guard.admit(self.clock.seconds(), source=source)
        if wait_s > 0:
            retry = (b"retry-after", str(max(1, round(wait_s))).encode())
            return self._refused(Refused(429, "Too many attempts; try again later.", headers=(retry,)), source)
        station = self.stations.get(identity)
        if station is None:
            self.guard.succeeded(self.clock.seconds(), source=source)
            return self._to_wait(identity, dialect, opening, source, certified)
        why = self._doubt(identity, opening, certified)
        if why is not None:
            station.trouble = f"somebody at {source} was refused under its identity: {why}"
            challenge = (b"www-authenticate", b'Basic realm="charge point"')
            return self._refused(
                Refused(401, "This is not the identity and password of a charge point.", why, (challenge,)), source
            )
        self.guard.succeeded(self.clock.seconds(), source=source)
        return Admitted(dialect, station)

    def _doubt(self, identity: str, opening: Opening, certified: str | None) -> str | None:
        """Why this is not that charge point; None: it is."""
        if self.settings.profile == 3:
            same = certified is not None and hmac.compare_digest(certified.encode(), identity.encode())
            return None if same else f"its certificate is of {certified!r}, not of {identity!r}"
        wanted = self.settings.passwords.get(identity)
        if wanted is None:
            return f"no password is set for {identity}; set one under Devices"
        if opening.password is None:
            return f"{identity} sent no password"
        given = self.password_hash(identity, opening.password.decode("utf-8", "replace"))
        if not hmac.compare_digest(given, wanted):
            return f"the password of {identity} is not right"
        if opening.user != identity:
            return f"{identity} calls itself {opening.user!r} in its login"
        return None

    def _to_wait(
        self, identity: str, dialect: Dialect, opening: Opening, source: str, certified: str | None
    ) -> Admitted | Refused:
        proven = certified == identity
        if self.settings.profile == 3 and not proven:
            return self._refused(Refused(401, "The certificate is not of this identity."), source)
        known = self.waiting.get(identity)
        if known is None:
            if len(self.waiting) >= MOST_WAITING and not self._forget_one():
                return self._refused(Refused(503, "Too many charge points wait to be added to the site."), source)
            known = Waiting(identity, "", source, self.now(), self.now())
            self.waiting[identity] = known
            self.log.info(
                "charge point {identity} at {source} waits to be added to the site", identity=identity, source=source
            )
        elif known.hang_up is not None:
            known.hang_up("it has connected anew")
        known.version, known.source, known.seen_at = dialect.version.number, source, self.now()
        known.proven = proven
        if opening.password is not None and opening.user == identity:
            known.presented = self.password_hash(identity, opening.password.decode("utf-8", "replace"))
        return Admitted(dialect, known)

    def _forget_one(self) -> bool:
        """The one that was seen last the longest ago, of those that are not connected."""
        gone = [one for one in self.waiting.values() if one.hang_up is None]
        if not gone:
            return False
        del self.waiting[min(gone, key=lambda one: one.seen_at).identity]
        return True

    def _refused(self, refused: Refused, source: str) -> Refused:
        """Said in the log, but nobody fills it."""
        self.refused += 1
        now_s = self.clock.seconds()
        said = refused.why or refused.sentence
        if len(self._said_s) > 200:
            self._said_s.clear()
        if now_s - self._said_s.get(said, float("-inf")) >= _SAID_EVERY_S:
            self._said_s[said] = now_s
            self.log.warn("a charge point at {source} was refused: {why}", source=source, why=said)
        return refused

    # -- what they say -----------------------------------------------------------------------------------------------

    def connect(
        self, admitted: Admitted, send: Callable[[str], None], hang_up: Callable[[str], None]
    ) -> tuple[Line, Callable[[], None], Callable[[str], None]]:
        """The line of a connection that was let in; what to call when something came, and when it is over."""
        dialect, party = admitted.dialect, admitted.party

        async def answer(action: str, said: dict[str, Any]) -> dict[str, Any]:
            if isinstance(party, Station):
                return await party.answer(dialect, action, said)
            return await party.answer(dialect, self.now, action, said)

        if isinstance(party, Waiting):
            line = Line(dialect.version, self.clock, send, answer)
            party.hang_up = hang_up

            def gone(sentence: str) -> None:
                line.close(sentence)
                if party.hang_up is hang_up:
                    party.hang_up = None

            return line, lambda: None, gone
        line = Line(dialect.version, self.clock, send, answer, party.note_trouble)
        party.connected(dialect, line, hang_up)

        def heard() -> None:
            if party.line is line:
                party.heard()

        return line, heard, lambda sentence: party.lost(line, sentence)


assert HEARTBEAT_S > PENDING_S  # noqa: S101
