"""One connector of a charge point that speaks OCPP, as a device like any other: read, steered, tried out.

What it says comes by itself (station.py); ``read`` composes it, and begins what is due: preparing it after it has
connected or restarted, its profiles (ocpp_orders.py), a look at what it obeys, a remote start of a car that waits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from charging_manager.devices.condition import DeviceCondition
from charging_manager.devices.driver import Driver
from charging_manager.devices.ocpp_driver import LARGE, LARGE_A, LASTS_S, USUAL_A
from charging_manager.devices.ocpp_orders import LOOK_S, ProfileOrders
from charging_manager.devices.ocpp_trial import try_charge_point
from charging_manager.devices.station import SILENT_S, Station
from charging_manager.devices.trial import Note, TestStep
from charging_manager.errors import DeviceError, DeviceRefused, DeviceSilent
from charging_manager.model.reading import Obedience, Reading, Status
from charging_manager.model.units import MaybePhaseAmps
from charging_manager.ocpp.line import REFUSED, word
from charging_manager.ocpp.values import Abilities, Sample

SAMPLE_S = 5
"""So often it shall send meter values."""

FRESH_S = 12.0
"""Older values are unknown ones."""

RETRY_S = 15.0
START_AFTER_S, START_AGAIN_S, MOST_STARTS = 5.0, 60.0, 3
"""Where everybody may charge, a car that only stands there is started by us."""

BOOT_WITHIN_S = 3.0
"""So long a charge point may take to say who it is; a reconnecting one need not."""


class OcppBox:
    """A connector. Its calls raise DeviceError kinds only."""

    log = Logger()

    def __init__(
        self,
        id: str,
        driver: Driver,
        station: Station,
        connector: int,
        phases: tuple[int, ...],
        clock: IReactorTime,
        fallback_a: float = 0.0,
        *,
        settings: tuple[str, ...] = (),
        most_a: float | None = None,
    ) -> None:
        self.id, self.driver, self.clock, self.most_a = id, driver, clock, most_a
        self._station, self._connector, self._phases = station, connector, phases
        hardware_max_a = LARGE_A if LARGE in settings else USUAL_A
        self.orders = ProfileOrders(station, connector, driver, clock, hardware_max_a, len(phases), fallback_a)
        self._prepared_for = (0, 0)
        self._prepared = self._working = self._closed = False
        self._lock = DeferredLock()
        self._triggered_s = self._started_s = self._not_before_s = -math.inf
        self._starts = 0
        self._last_error: str | None = None
        station.changed[connector] = self._transaction_changed

    # -- the seam of agent.polling -----------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """See what it can do, arm the fallback. Raises: DeviceError."""
        self._prepared = False
        await self._guarded(self._prepare())

    async def read(self) -> Reading:
        """What is known now, if it is connected; what is due is done meanwhile. Raises: DeviceSilent."""
        try:
            self._station.need_line()
        except DeviceSilent as error:
            if self._prepared:
                self.log.warn("device {device} is silent: {why}", device=self.id, why=str(error))
            self._prepared = False
            self._last_error = str(error)
            raise
        due = self.clock.seconds() >= self._not_before_s or self._prepared_for != self._stage
        if due and not self._working and not self._closed:
            self._start(self._do_what_is_due)
        return self._compose()

    async def apply(self, setpoint_a: float, phases: int | None = None) -> None:
        """From now on at most so much per phase; 0, or less than 6 A, pauses. Raises: DeviceError."""
        self.orders.asked_a, self.orders.asked_phases = self.orders.legal(setpoint_a), phases
        if self._superseded:  # a newer device steers this connector: what we leave it at must not undo that
            self.orders.confirmed_a, self.orders.commanded_a = self.orders.asked_a, None
            return
        self._station.need_line()
        if self._prepared:
            await self._guarded(self._bring())

    async def _bring(self) -> None:
        sample = self._fresh_sample()
        known = [amps for amps in sample.current_a if amps is not None] if sample is not None else []
        await self.orders.bring(max(known) if known else None)
        if self.orders.trouble is None:
            self._last_error = None

    @property
    def _superseded(self) -> bool:
        """The device was changed, and made anew over the same connection."""
        return self._station.changed.get(self._connector) not in (None, self._transaction_changed)

    @property
    def _stage(self) -> tuple[int, int]:
        """Another one: it was away or has restarted."""
        return self._station.times_connected, self._station.times_booted

    async def lock_storage(self, locked: bool) -> None:
        raise DeviceRefused(REFUSED, "a charge point is no storage battery")

    @property
    def storage_locked(self) -> bool | None:
        return None

    def use_fallback(self, fallback_a: float) -> None:
        """Another fallback is planned; it is armed with what is due next."""
        self.orders.fallback_a = fallback_a

    def close(self) -> None:
        """Write no more."""
        self._closed = True
        if not self._superseded:
            self._station.changed.pop(self._connector, None)

    def obedience(self, now_s: float) -> Obedience:
        """What is known of its obedience; nothing is promised that it did not show."""
        silent_s = self._station.silent_s(now_s)
        fallback_a = self.orders.shown_fallback_a
        return Obedience(
            hardware_max_a=self.orders.hardware_max_a,
            commanded_a=self.orders.commanded_a,
            confirmed_a=self.orders.confirmed_a,
            fallback_a=fallback_a,
            fallback_after_s=None if fallback_a is None else float(LASTS_S),
            answering=self._station.line is not None and silent_s is not None and silent_s <= SILENT_S,
            silent_s=silent_s,
            switches_phases=self.orders.switches_phases,
            phases=self.orders.told_phases,
        )

    @property
    def condition(self) -> DeviceCondition:
        """For the pages."""
        station = self._station
        connected = station.line is not None
        outlet = station.outlets.get(self._connector)
        trouble = self._last_error or self.orders.trouble or station.trouble or (outlet and outlet.error) or None
        fallback = self.orders.fallback_word()
        boot = station.boot
        identity = (
            {}
            if boot is None
            else {"model": f"{boot.vendor} {boot.model}", "serial": boot.serial, "firmware": boot.firmware}
        )
        sentence, fields = self._sentence(connected, fallback, trouble)
        return DeviceCondition(
            connected=connected,
            prepared=self._prepared,
            variant=None if station.dialect is None else f"OCPP {station.dialect.version.number}",
            fallback=fallback,
            last_error=trouble,
            sentence=sentence,
            fields=fields,
            identity={name: value for name, value in identity.items() if value},
        )

    @property
    def model(self) -> str:
        """As it says itself."""
        boot = self._station.boot
        return self.driver.model if boot is None else f"{boot.vendor} {boot.model}"

    @property
    def lowest_a(self) -> float:
        """The least that it can be told but 0."""
        return self.driver.setpoint.lowest_a if self.driver.setpoint is not None else 6.0

    async def look(self) -> None:
        """Ask at once what it will obey by itself. Raises: DeviceError."""
        await self._guarded(self.orders.look())

    async def test(self, note: Note = lambda step: None) -> tuple[TestStep, ...]:
        """Try it out for the installer."""
        return await try_charge_point(self, note)

    async def start(self) -> bool:
        """Begin a transaction from afar; whether it said yes. Raises: DeviceError."""
        dialect, _ = self._station.need_line()
        request = dialect.start(self._connector, self._station.ledger.own_token, self._station.next_number())
        return word(await self._station.ask(request)) == "Accepted"

    async def stop(self) -> bool:
        """End the transaction that runs; whether it said yes. Raises: DeviceError."""
        dialect, _ = self._station.need_line()
        number = self._station.outlet(self._connector).transaction
        if number is None:
            raise DeviceRefused(REFUSED, "no transaction runs there")
        return word(await self._station.ask(dialect.stop(number))) == "Accepted"

    # -- what is due -------------------------------------------------------------------------------------------------

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._working = True
        done = Deferred.fromCoroutine(self._guarded(work()))

        def over(result: Any) -> None:
            self._working = False
            if result is not None:
                result.trap(DeviceError)
                self._not_before_s = self.clock.seconds() + RETRY_S

        done.addBoth(over)
        done.addErrback(lambda failure: self.log.failure("steering {device} failed", failure, device=self.id))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        await self._lock.acquire()
        try:
            await work
        except DeviceError as error:
            self._last_error = str(error)
            raise
        finally:
            self._lock.release()

    async def _do_what_is_due(self) -> None:
        station = self._station
        now_s = self.clock.seconds()
        if self._prepared_for != self._stage:
            self._prepared = False
        if not self._prepared:
            if station.boot is None and now_s - station.connected_s < BOOT_WITHIN_S:
                return
            await self._prepare()
        await self._bring()
        if now_s - self.orders.looked_s >= LOOK_S:
            await self.orders.look()
        await self._refresh()
        await self._start_if_it_waits()

    async def _prepare(self) -> None:
        station = self._station
        dialect, _ = station.need_line()
        self._prepared_for = self._stage
        self.orders.forget()
        if station.boot is None:
            await self._ask_quietly(dialect.trigger("BootNotification"))
        self.orders.abilities = await self._configure()
        if self.orders.abilities.profiles is False:
            raise DeviceRefused(REFUSED, "it knows no charging profiles (smart charging), so it cannot be steered")
        if not self.orders.abilities.in_amperes:
            raise DeviceRefused(REFUSED, "it takes limits in watts only, which is not supported")
        await self._ask_quietly(dialect.trigger("StatusNotification", self._connector))
        outlet = station.outlet(self._connector)
        if outlet.state is Status.FREE and outlet.transaction is None:
            await self._ask_quietly(dialect.clear_profiles(self._connector))  # of whoever steered it before us
        if self.orders.asked_a is None:
            self.orders.asked_a = self.orders.legal(self.orders.fallback_a)
        self._prepared = True
        await self._bring()
        await self._ask_quietly(dialect.trigger("MeterValues", self._connector))
        await self.orders.look()
        self._last_error = None
        self.log.info(
            "device {device} is ready: {abilities}", device=self.id, abilities=str(self.orders.abilities.said)
        )

    async def _configure(self) -> Abilities:
        """What it says of itself, once its meter values come as we want them, as far as it takes that."""
        dialect, _ = self._station.need_line()
        known = dialect.abilities([await self._ask_quietly(one) for one in dialect.ask_abilities()])
        done: set[str] = set()
        wanted = dialect.set_abilities(known, SAMPLE_S)
        for request in wanted:
            key = dialect.key_of(request)
            answer = await self._ask_quietly(request) if key not in done else {}
            if answer and dialect.was_set(answer):
                done.add(key)
        if not done:
            return known
        return dialect.abilities([await self._ask_quietly(one) for one in dialect.ask_abilities()])

    async def _ask_quietly(self, request: Any) -> dict[str, Any]:
        """The answer, or an empty one where it refuses. Raises: DeviceSilent."""
        try:
            return await self._station.ask(request)
        except DeviceSilent:
            raise
        except DeviceError as error:
            self.log.debug("{device}: {why}", device=self.id, why=str(error))
            return {}

    async def _refresh(self) -> None:
        """Ask for meter values where they do not come by themselves."""
        outlet, now_s = self._station.outlet(self._connector), self.clock.seconds()
        age_s = self._age_s()
        if outlet.state is not Status.CHARGING or (age_s is not None and age_s < 2 * SAMPLE_S):
            return
        if now_s - self._triggered_s >= 2 * SAMPLE_S:
            self._triggered_s = now_s
            dialect, _ = self._station.need_line()
            await self._ask_quietly(dialect.trigger("MeterValues", self._connector))

    async def _start_if_it_waits(self) -> None:
        outlet, now_s = self._station.outlet(self._connector), self.clock.seconds()
        if outlet.plugged_s is None or outlet.transaction is not None:
            self._starts = 0
            return
        waits = outlet.said in ("Preparing", "Occupied") and not outlet.used and self._station.ledger.charges_for_all
        if not waits or now_s - outlet.plugged_s < START_AFTER_S or self._starts >= MOST_STARTS:
            return
        if now_s - self._started_s >= START_AGAIN_S or self._starts == 0:
            self._started_s = now_s
            self._starts += 1
            dialect, _ = self._station.need_line()
            number = self._station.next_number()
            await self._ask_quietly(dialect.start(self._connector, self._station.ledger.own_token, number))

    def _transaction_changed(self) -> None:
        """Its profile went with it, or a new one is due: at once, not with the next turn."""
        if self._prepared and not self._closed and not self._working and self._station.line is not None:
            self._start(self._do_what_is_due)

    # -- what is known -----------------------------------------------------------------------------------------------

    def _sentence(
        self, connected: bool, fallback: str, trouble: str | None
    ) -> tuple[str, dict[str, str | float | int]]:
        if not connected:
            return "Not connected: {why}", {"why": self._station.why_lost}
        if trouble:
            return "Connected, with trouble: {why}", {"why": trouble}
        fallback_a = self.orders.shown_fallback_a
        if fallback_a == 0:
            return "Connected. If we fall silent for {seconds} s, it stops.", {"seconds": LASTS_S}
        if fallback_a is not None:
            return (
                "Connected. If we fall silent for {seconds} s, it charges with at most {amps} A.",
                {"amps": fallback_a, "seconds": LASTS_S},
            )
        return "Connected; no fallback is programmed", {}

    def _age_s(self) -> float | None:
        """Of the newest meter values, if they are fresh enough to mean something."""
        outlet = self._station.outlets.get(self._connector)
        if outlet is None or outlet.sampled_s is None:
            return None
        age_s = self.clock.seconds() - outlet.sampled_s
        return age_s if age_s <= FRESH_S else None

    def _fresh_sample(self) -> Sample | None:
        outlet = self._station.outlets.get(self._connector)
        return outlet.sample if outlet is not None and self._age_s() is not None else None

    def _compose(self) -> Reading:
        station, now_s = self._station, self.clock.seconds()
        outlet = station.outlet(self._connector)
        age_s = self._age_s()
        sample = self._fresh_sample() or Sample()
        status = outlet.state
        current_a = self._at_site(sample.current_a)
        most_a = self.most_a
        if most_a is not None and any(amps is not None and abs(amps) > most_a for amps in current_a):
            current_a = (None, None, None)
        if status is Status.FREE and age_s is None:
            current_a = (0.0, 0.0, 0.0)
        taken_s = station.heard_s if station.heard_s is not None else now_s
        if age_s is not None and status is Status.CHARGING:
            taken_s = min(taken_s, now_s - age_s)
        return Reading(
            device=self.id,
            taken_s=taken_s,
            current_a=current_a,
            voltage_v=self._at_site(sample.voltage_v),
            power_w=sample.power_w,
            energy_wh=outlet.energy_wh,
            status=status,
            setpoint_a=self.orders.confirmed_a,
            values={
                "state": outlet.said or None,
                "transaction": outlet.transaction,
                "offered_a": sample.offered_a,
                "soc_pct": sample.soc_pct,
            },
        )

    def _at_site(self, values: MaybePhaseAmps) -> MaybePhaseAmps:
        """From the device's phases to the site's; one that it has only once may be any of its own."""
        found: list[float | None] = [None, None, None]
        if len(self._phases) == 1:
            known = [value for value in values if value is not None]
            found[self._phases[0]] = max(known) if known else None
        else:
            for own, phase in enumerate(self._phases):
                found[phase] = values[own]
        return found[0], found[1], found[2]
