"""One charge point that speaks OCPP: its connection while there is one, and what it said of its connectors.

It outlives its connections. What is asked of it goes over the newest one; what it says is taken down here, and for the
records in ``Ledger``. Each connector that is a device of the site has an ``OcppBox`` on top (ocpp_box.py).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Any, ClassVar, Protocol

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from charging_manager.clocks import UtcNow
from charging_manager.errors import DeviceSilent
from charging_manager.model.reading import Status
from charging_manager.ocpp.dialects import Dialect
from charging_manager.ocpp.line import Line
from charging_manager.ocpp.messages import BadFrame
from charging_manager.ocpp.sampling import last_energy_wh
from charging_manager.ocpp.values import (
    Alive,
    Asks,
    Boot,
    Measured,
    Moment,
    Outlet,
    Request,
    Sample,
    Told,
    Transaction,
)

HEARTBEAT_S = 60
SILENT_S = 10.0
"""A connection over which nothing came for so long, pings included, counts as lost."""

LATE_S = 60.0
"""Values that are older when they come were gathered while the charge point was alone."""

MOST_OUTLETS = 100


class Ledger(Protocol):
    """Who may charge, and what is remembered of transactions."""

    @property
    def charges_for_all(self) -> bool: ...

    @property
    def own_token(self) -> str: ...

    def may_charge(self, token: str, identity: str, connector: int | None) -> bool: ...

    def running(self, identity: str) -> dict[int, str]:
        """By connector, the number of the transaction that has begun and not ended."""
        ...

    async def take(self, identity: str, event: Transaction, late: bool) -> tuple[str, int, bool]:
        """Durable when it returns: the transaction's number, its connector, and whether its token may charge."""
        ...


@define(eq=False)
class OutletState:
    """What is known of one connector. ``*_s`` is monotonic."""

    status: Status = Status.UNKNOWN
    said: str = ""
    error: str = ""
    charging: Status | None = None
    """Of its transaction, where that says it (2.0.1)."""
    transaction: str | None = None
    plugged_s: float | None = None
    used: bool = False
    """There was a transaction since a car was plugged in."""
    sample: Sample | None = None
    sampled_s: float | None = None
    energy_wh: float | None = None

    @property
    def state(self) -> Status:
        """Free, plugged in or charging, by whatever says more."""
        if self.status in (Status.FAULT, Status.UNKNOWN):
            return self.status
        return self.charging if self.charging is not None and self.transaction is not None else self.status


@define(eq=False)
class Station:
    """A charge point by its identity."""

    identity: str
    clock: IReactorTime
    now: UtcNow
    ledger: Ledger
    boot: Boot | None = None
    dialect: Dialect | None = None
    line: Line | None = None
    outlets: dict[int, OutletState] = field(factory=dict)
    trouble: str | None = None
    why_lost: str = "it has not connected yet"
    heard_s: float | None = None
    connected_s: float = 0.0
    times_connected: int = 0
    times_booted: int = 0
    """Each new connection and each boot notification: what it was told before may be forgotten."""
    hang_up: Callable[[str], None] = lambda sentence: None
    on_close: Callable[[], None] = lambda: None
    changed: dict[int, Callable[[], None]] = field(factory=dict)
    """By connector: called when its transaction begins or ends."""
    _log: ClassVar[Logger] = Logger()
    _numbers: Any = field(factory=lambda: count(1))
    _late_said: bool = False

    # -- its connection ----------------------------------------------------------------------------------------------

    def connected(self, dialect: Dialect, line: Line, hang_up: Callable[[str], None]) -> None:
        """It has come, and proved who it is. An older connection is closed: the newer one counts."""
        if self.line is not None:
            self.lost(self.line, "it has connected anew")
        self.dialect, self.line, self.hang_up = dialect, line, hang_up
        self.heard_s = self.connected_s = self.clock.seconds()
        self.times_connected += 1
        self.trouble = None
        for connector, number in self.ledger.running(self.identity).items():
            self.outlet(connector).transaction = number
        self._log.info(
            "charge point {identity} has connected, OCPP {version}",
            identity=self.identity,
            version=dialect.version.number,
        )

    def lost(self, line: Line, sentence: str) -> None:
        """That connection is over."""
        line.close(sentence)
        if line is not self.line:
            return
        self.line, hang_up = None, self.hang_up
        self.hang_up = lambda sentence: None
        self.why_lost = sentence
        self._log.warn("charge point {identity} is gone: {why}", identity=self.identity, why=sentence)
        hang_up(sentence)

    def note_trouble(self, sentence: str) -> None:
        """It sent what makes no sense: shown with the device, and said once."""
        if self.trouble != sentence:
            self.trouble = sentence
            self._log.warn("charge point {identity} {what}", identity=self.identity, what=sentence)

    def heard(self) -> None:
        """Something came over the newest connection."""
        self.heard_s = self.clock.seconds()

    def silent_s(self, now_s: float) -> float | None:
        """For how long nothing has come; None: never anything."""
        return None if self.heard_s is None else max(0.0, now_s - self.heard_s)

    def need_line(self) -> tuple[Dialect, Line]:
        """What to speak through. Raises: DeviceSilent."""
        silent_s = self.silent_s(self.clock.seconds())
        if self.line is None or self.dialect is None:
            raise DeviceSilent(f"charge point {self.identity} is not connected: {self.why_lost}")
        if silent_s is not None and silent_s > SILENT_S:
            raise DeviceSilent(f"charge point {self.identity} has said nothing for {silent_s:.0f} s")
        return self.dialect, self.line

    async def ask(self, request: Request, *, urgent: bool = False) -> dict[str, Any]:
        """The answer. Raises: DeviceError."""
        return await self.need_line()[1].ask(request, urgent=urgent)

    def close(self) -> Deferred[None]:
        """It is no device of the site any more."""
        if self.line is not None:
            self.lost(self.line, "it is no longer configured here")
        self.on_close()
        return succeed(None)

    # -- what it says ------------------------------------------------------------------------------------------------

    def outlet(self, connector: int) -> OutletState:
        """What is known of it. Raises: BadFrame for a number that no charge point has."""
        if connector not in self.outlets:
            if not 0 <= connector <= MOST_OUTLETS:
                raise BadFrame("PropertyConstraintViolation", f"there is no connector {connector}")
            self.outlets[connector] = OutletState()
        return self.outlets[connector]

    def next_number(self) -> int:
        """For a remote start."""
        return int(next(self._numbers))

    async def answer(self, dialect: Dialect, action: str, said: dict[str, Any]) -> dict[str, Any]:
        """The answer to a call of its. Raises: BadFrame."""
        self.heard()
        event = dialect.event(action, said)
        match event:
            case Boot():
                self.boot = event
                self.times_booted += 1
                self._log.info(
                    "charge point {identity} has started: {vendor} {model} {firmware}",
                    identity=self.identity,
                    vendor=event.vendor,
                    model=event.model,
                    firmware=event.firmware,
                )
                return dialect.boot_answer("Accepted", self.now(), HEARTBEAT_S)
            case Alive():
                return dialect.alive_answer(self.now())
            case Told():
                return dialect.told_answer(event.what)
            case Asks():
                return dialect.asks_answer(self.ledger.may_charge(event.token, self.identity, None))
            case Outlet():
                self._outlet_said(event)
                return {}
            case Measured():
                self._measured(event.connector, event.samples)
                if event.transaction is not None and event.connector > 0:
                    self._runs(event.connector, event.transaction)
                return {}
            case Transaction():
                return await self._transaction(dialect, event)
        raise BadFrame("NotSupported", f"{action} is not supported here")

    def _outlet_said(self, event: Outlet) -> None:
        outlet = self.outlet(event.connector)
        outlet.said, outlet.error = event.said, event.error
        before, outlet.status = outlet.status, event.status
        if event.status is Status.FREE:
            outlet.plugged_s, outlet.used = None, False
            if outlet.charging is None:  # 1.6: without a car there is no transaction, whatever is still to come of it
                self._set_transaction(event.connector, None)
        elif outlet.plugged_s is None:
            outlet.plugged_s = self.clock.seconds()
        if before is not event.status or event.error:
            self._log.debug(
                "{identity}, connector {connector}: {said} {error}",
                identity=self.identity,
                connector=event.connector,
                said=event.said,
                error=event.error,
            )

    def _measured(self, connector: int, samples: tuple[Sample, ...]) -> None:
        if not samples:
            return
        newest = samples[-1]
        late = self._is_late(newest.at)
        if late:
            self._say_late(newest.at)
            return
        self._late_said = False
        outlet = self.outlet(connector)
        outlet.sample, outlet.sampled_s = newest, self.clock.seconds()
        total_wh = last_energy_wh(samples)
        if total_wh is not None:
            outlet.energy_wh = total_wh

    def _is_late(self, at: datetime | None) -> bool:
        return at is not None and abs(self.now() - at) > timedelta(seconds=LATE_S)

    def _say_late(self, at: datetime | None) -> None:
        if not self._late_said and at is not None:
            self._late_said = True
            self._log.info(
                "charge point {identity} sends values of {at}: gathered while it was alone, or its clock is wrong",
                identity=self.identity,
                at=at.isoformat(),
            )

    async def _transaction(self, dialect: Dialect, event: Transaction) -> dict[str, Any]:
        late = self._is_late(event.at) or (event.at is not None and event.at < self._connected_at())
        number, connector, may = await self.ledger.take(self.identity, event, late)
        if connector > 0:
            self._measured(connector, event.samples)
            outlet = self.outlet(connector)
            if event.moment is Moment.ENDED:
                if outlet.transaction in (None, number):
                    outlet.charging = None
                    self._set_transaction(connector, None)
            else:
                outlet.used = True
                if event.status is not None:
                    outlet.charging = event.status
                self._set_transaction(connector, number)
                if event.meter_wh is not None and outlet.energy_wh is None and not late:
                    outlet.energy_wh = event.meter_wh
        return dialect.transaction_answer(event, number, may)

    def _connected_at(self) -> datetime:
        return self.now() - timedelta(seconds=self.clock.seconds() - self.connected_s + 2.0)

    def _runs(self, connector: int, number: str) -> None:
        """Meter values name a transaction that we may not know: it began with somebody else, or before we did."""
        outlet = self.outlet(connector)
        if outlet.transaction is None and outlet.status is not Status.FREE and number.isdigit() and number != "0":
            outlet.used = True
            self._set_transaction(connector, number)

    def _set_transaction(self, connector: int, number: str | None) -> None:
        outlet = self.outlet(connector)
        if outlet.transaction != number:
            outlet.transaction = number
            tell = self.changed.get(connector)
            if tell is not None:
                tell()
