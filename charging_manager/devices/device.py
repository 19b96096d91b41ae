"""One box or meter: a driver at an address, read and steered, with what is known of its obedience.

Theory of operation. ``read`` asks what is due (planner.Rounds), and prepares the device first when it is new or was
silent: identify, choose the variant, look at what the watchdog and the setpoint are. ``apply`` changes what is wanted
(orders.Orders). Both then make the writes that are due, one after the other; a write that is not legal yet is made by
an alarm at its first legal moment. Before a device has been recognised, nothing is written to it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from charging_manager.devices.codec import decode_all
from charging_manager.devices.compose import compose
from charging_manager.devices.condition import DeviceCondition, condition_of, shown_fallback
from charging_manager.devices.driver import Driver, Group, Value, all_hold
from charging_manager.devices.hooks import Hooked
from charging_manager.devices.orders import Order, Orders, Urgency
from charging_manager.devices.phasing import Step
from charging_manager.devices.planner import Request, Rounds, moved, plan_reads, seen_first, split
from charging_manager.devices.recognise import DOES_NOT_EXIST, must_be
from charging_manager.devices.telling import Telling
from charging_manager.devices.trial import TestStep, try_device
from charging_manager.devices.wire import BusLike, Wire, find_block
from charging_manager.errors import DeviceError, DeviceLocked, DeviceNonsense, DeviceRefused, DeviceSilent
from charging_manager.modbus.units import Priority
from charging_manager.model.reading import Obedience, Reading

PATIENCE_S = 5.0
"""A device that was last heard so long ago is not answering."""

IDLE_S = 30.0
"""A box that nobody reads any more is not fed any more either: its watchdog shall see that we are stuck."""

LOOK_AGAIN_S = 30.0
"""After a new connection the device may be another, or have restarted: it is prepared again, but no more often."""

FOREIGN_EVERY_S = 60.0
"""Somebody who keeps changing what we write is named so often."""

MISSING_AGAIN_S = 600.0
"""What a device did not have is looked for again that often: it may only have been starting."""

MOST_WRITES = 20
"""In one go; more would be a driver that never comes to rest."""

URGENCIES: Mapping[Urgency, Priority] = {
    Urgency.LOWER: Priority.SAFETY,
    Urgency.PREPARE: Priority.SETPOINT,
    Urgency.RAISE: Priority.SETPOINT,
    Urgency.FEED: Priority.SETPOINT,
}


class Device:
    """A driver at an address. Its calls raise DeviceError kinds only; several may be under way at once."""

    log = Logger()

    def __init__(
        self,
        id: str,
        driver: Driver,
        bus: BusLike,
        unit: int,
        phases: tuple[int, ...],
        clock: IReactorTime,
        fallback_a: float = 0.0,
        *,
        settings: Collection[str] = (),
        channel: int = 1,
        most_a: float | None = None,
        bus_at: Callable[[int], BusLike] | None = None,
    ) -> None:
        """``settings``: the driver's yes-or-no settings that are on. ``most_a``: no phase here carries more, ever;
        it may be set anew at any time.

        ``bus_at`` gives the bus of another port of the same host, for the few devices that are split.
        """
        self.id = id
        self.family = driver.for_channel(channel)
        self._driver = self.family
        self._phases = phases
        self._settings = frozenset(settings)
        self.most_a = most_a
        self.clock = clock
        self.wire = Wire(bus, unit, driver.bus, bus_at)
        self._hook = Hooked(driver, clock)
        self.orders = Orders(self._driver, fallback_a, encode_hook=self._hook.encode)
        self._rounds = Rounds(self._driver)
        self._reading = DeferredLock()
        self._writing = DeferredLock()
        self._alarm: IDelayedCall | None = None
        self._values: dict[str, Value] = {}
        self._taken: dict[str, float] = {}
        self._once: dict[str, Value] = {}
        self._heard_s: float | None = None
        self._read_s: float | None = None
        self._identified = False
        self._prepared = False
        self._prepared_s = 0.0
        self._connection = 0
        self._closed = False
        self._variant: str | None = None
        self._last_error: str | None = None
        self._missing: dict[str, None] = {}
        self._look_again_s = 0.0
        self._foreign_s = -FOREIGN_EVERY_S
        self._recoveries: dict[int, int] = {}
        self._telling = Telling(self.log, id)

    # -- the seam ----------------------------------------------------------------------------------------------------

    @property
    def driver(self) -> Driver:
        """The driver in use: the variant that this device turned out to be, at the addresses where it was found."""
        return self._driver

    @property
    def needs_preparation(self) -> bool:
        """It is new or was silent; the next ``read`` prepares it by itself."""
        return not self._prepared

    async def prepare(self) -> None:
        """Identify, choose the variant, see the setpoint and the watchdog, and begin to put them right.

        Raises: DeviceError; DeviceNonsense if this is another device than the driver's, and then nothing is written.
        """
        await self._reading.acquire()
        try:
            await self._guarded(self._prepare())
        finally:
            self._reading.release()
        await self._flush_quietly()

    async def read(self) -> Reading:
        """What is due, as one reading together with what is known from before. Raises: DeviceError.

        ``taken_s`` is of the oldest live value in it: a device that gives one value at a time gets older readings.
        """
        self._read_s = self.clock.seconds()
        await self._reading.acquire()
        try:
            await self._guarded(self._turn())
        finally:
            self._reading.release()
        await self._flush_quietly()
        reading: Reading = await self._guarded(self._compose())
        return reading

    async def apply(self, setpoint_a: float, phases: int | None = None) -> None:
        """From now on at most so much per phase; 0, or less than the box's minimum, pauses. Raises: DeviceError.

        ``phases``: 1 or 3, where the box can switch; None: as they are. It is paused for that (phasing.Phasing).
        What cannot be written yet is written at the first legal moment; ``obedience`` says what is confirmed.
        """
        self.orders.want(setpoint_a, phases)
        await self._flush()

    async def lock_storage(self, locked: bool) -> None:
        """A storage battery shall give nothing, or do as it likes. Raises: DeviceError."""
        self.orders.hold_storage(locked)
        await self._flush()

    @property
    def storage_locked(self) -> bool | None:
        """Whether it gives nothing because we said so; None: not known."""
        return self.orders.storage_locked

    async def wake(self) -> None:
        """What wakes a sleeping car, if the box can do that. Raises: DeviceError."""
        for write in self._driver.wake:
            self.orders.recovering = (*self.orders.recovering, write)
        await self._flush()

    async def test(self) -> tuple[TestStep, ...]:
        """Try it out for the installer: identify, values, 6 A, pause, watchdog (trial.try_device)."""
        return await try_device(self)

    def look_at(self, names: Iterable[str]) -> None:
        """These values are read with the next turn."""
        self._rounds.wish(names)

    def use_fallback(self, fallback_a: float) -> None:
        """Another fallback is planned for this box; its watchdog is armed anew with the next read."""
        self.orders.fallback_a = fallback_a

    def obedience(self, now_s: float) -> Obedience:
        """What is known of the box's obedience; nothing is promised that it did not confirm."""
        fallback_a, after_s = shown_fallback(self._driver, self._values)
        silent_s = None if self._heard_s is None else max(0.0, now_s - self._heard_s)
        return Obedience(
            hardware_max_a=self.hardware_max_a,
            commanded_a=self.orders.commanded_a,
            confirmed_a=self.orders.confirmed_a,
            fallback_a=fallback_a,
            fallback_after_s=after_s,
            answering=self._identified and silent_s is not None and silent_s <= PATIENCE_S,
            silent_s=silent_s,
            switches_phases=self.orders.phasing.may_switch,
            phases=self.orders.phasing.phases,
        )

    @property
    def hardware_max_a(self) -> float:
        """What the box says that it can do at most, and no more than its driver says."""
        rule = self._driver.setpoint
        highest = rule.highest_a if rule else 0.0
        said = self._once.get("hardware_max_a")
        return min(highest, float(said)) if isinstance(said, int | float) and said > 0 else highest

    @property
    def condition(self) -> DeviceCondition:
        """For the pages."""
        return condition_of(
            self._driver,
            self._values,
            self._once,
            self.orders,
            connected=self._identified and self._heard_s is not None,
            prepared=self._prepared,
            variant=self._variant,
            trouble=self._last_error,
            missing=tuple(self._missing),
        )

    def close(self) -> None:
        """Write no more. The bus belongs to who opened it."""
        self._closed = True
        self._silence_alarm()

    # -- reading -----------------------------------------------------------------------------------------------------

    async def _guarded(self, work: Awaitable[Any]) -> Any:
        """Remember what went wrong; a device that went silent is prepared anew when it comes back."""
        try:
            return await work
        except DeviceSilent as error:
            self._lost(error)
            raise
        except DeviceError as error:
            self._last_error = str(error)
            raise

    async def _prepare(self) -> None:
        self._identified = self._prepared = False
        driver = self.family
        if driver.discover is not None:
            driver = moved(driver, await find_block(self.wire, driver.discover))
        self._use(driver, None)
        known = await self._ask_once([driver.registers[one.register] for one in driver.identify], needed=True)
        await must_be(driver, known, self.wire)
        self._identified = True
        self._connection = self.wire.connections
        self._heard_s = self._prepared_s = self.clock.seconds()
        await self._flush_quietly()  # a lower setpoint that waited for the device to come back goes first
        self._once = known | await self._ask_once(r for r in driver.grouped(Group.ONCE) if r.name not in known)
        self._choose_variant(driver)
        self.orders.hardware_max_a = self.hardware_max_a
        for request in plan_reads(self._driver, seen_first(self._driver)):
            await self._ask(request, Priority.SLOW)
        await self._hook.after_connect(self)
        self._prepared = True
        self._look_again_s = self.clock.seconds() + MISSING_AGAIN_S
        self._last_error = None
        self.log.info("device {device} is ready: {driver}", device=self.id, driver=self._driver.name)

    def _use(self, driver: Driver, variant: str | None) -> None:
        if driver != self._driver or variant != self._variant:
            self._driver = self.orders.driver = driver
            self._variant = variant
            self._values = {n: v for n, v in self._values.items() if n in driver.registers}
        self._rounds = Rounds(driver)
        self._taken.clear()

    def _choose_variant(self, driver: Driver) -> None:
        for variant in driver.variants:
            if all_hold(variant.when, self._once):
                self._use(variant.driver, variant.name)
                if self._telling.first(variant.name):
                    self.log.info("device {device} is a variant: {variant}", device=self.id, variant=variant.name)
                return

    async def _ask_once(self, registers: Iterable[Any], needed: bool = False) -> dict[str, Value]:
        """These values, unknown where the device refuses them; ``needed``: unless it refuses us or babbles."""
        known: dict[str, Value] = {}
        for request in plan_reads(self._driver, registers):
            bad = await self._ask(request, Priority.SLOW)
            if needed and isinstance(bad, DeviceLocked | DeviceNonsense):
                raise bad
            known.update({name: self._values.get(name) for name in request.names})
        return known

    async def _turn(self) -> None:
        now_s = self.clock.seconds()
        if self.wire.connections != self._connection and now_s - self._prepared_s >= LOOK_AGAIN_S:
            self._prepared = False
            self.orders.forget()
        if not self._prepared:
            await self._prepare()
        now_s = self.clock.seconds()
        if self._missing and now_s >= self._look_again_s:
            self._look_again_s = now_s + MISSING_AGAIN_S
            self._rounds = Rounds(self._driver)
        looked_at = self.orders.phasing.looks_at(self._driver, now_s)
        if looked_at is not None:
            self._rounds.wish((looked_at,))
        first = any(name not in self._taken for name in self._rounds.live_names)
        requests = self._rounds.live() if first else self._rounds.turn(now_s)
        answered, trouble = 0, None
        for request in requests:
            refused = await self._ask(request, Priority.LIVE if self._is_live(request) else Priority.SLOW)
            if refused is None:
                answered += 1
            else:
                trouble = refused
        if not self._rounds.live_names and self._missing:
            self._prepared = False  # it may only be starting
            raise trouble or DeviceNonsense("it shows none of its values")
        if trouble is not None and not answered:
            raise trouble
        self._last_error = str(trouble) if trouble else None
        self._recover()

    def _is_live(self, request: Request) -> bool:
        return any(register.group is Group.LIVE for register in request.registers)

    async def _ask(self, request: Request, priority: Priority) -> DeviceError | None:
        """One request; what it refused or garbled is given back, silence is raised."""
        asked_s = self.clock.seconds()
        try:
            words = await self.wire.read(request, priority)
        except DeviceSilent:
            raise
        except DeviceRefused as error:
            self._heard_s = self.clock.seconds()
            if error.code not in DOES_NOT_EXIST or self._rounds.answered(request):
                return error
            parts = split(self._driver, request) if len(request.registers) > 1 else ()
            if len(parts) > 1:
                self._rounds.replace(request, parts)
                key = "refuses-" + request.names[0]
                self._telling.once(key, "device {device} refuses to show {names} at once", request.names)
                answers = [await self._ask(part, priority) for part in parts]
                return error if all(answers) else None
            self._rounds.replace(request, ())
            for name in request.names:
                self._missing[name] = None
                self._values.pop(name, None)
            self._telling.once("missing-" + request.names[0], "device {device} does not have {names}", request.names)
            return error
        except DeviceError as error:
            return error
        self._heard_s = self.clock.seconds()
        self._rounds.taken(request, asked_s)
        self._note(request, words, self.wire.taken_s(request, asked_s))
        return None

    def _note(self, request: Request, words: list[int], asked_s: float) -> None:
        cut = request.cut(words)
        decoded = decode_all(self._driver, cut, self._values)
        self._values.update(decoded)
        for name in cut:
            self._taken[name] = asked_s
            self._missing.pop(name, None)
        foreign = self.orders.shown(cut, decoded, asked_s)
        if foreign and asked_s - self._foreign_s >= FOREIGN_EVERY_S:
            self._foreign_s = asked_s
            self.log.warn("device {device}: not by us: {names}; put back", device=self.id, names=", ".join(foreign))

    async def _compose(self) -> Reading:
        live = [self._taken[name] for name in self._rounds.live_names if name in self._taken]
        values = self._hook.decode(dict(self._values))
        made = compose(
            self.id,
            self._driver,
            values,
            min(live, default=self.clock.seconds()),
            self._phases,
            self._settings,
            self.most_a,
        )
        if made.nonsense is not None:
            self._last_error = f"{made.nonsense} is {values.get(made.nonsense)}, which cannot be"
        impossible = "device {device}: {what} cannot be; its measured values are unknown"
        self._telling.lasting("nonsense", made.nonsense, impossible)
        unknown = None
        if not made.known_state and self._driver.state is not None:
            unknown = ", ".join(f"{n} = {values.get(n)}" for n in sorted(self._driver.state.registers))
        strange = "device {device} is in a state that its driver does not know: {what}"
        self._telling.lasting("state", unknown, strange)
        return made.reading

    def _recover(self) -> None:
        for number, recovery in enumerate(self._driver.recover):
            if not all_hold(recovery.when, self._values):
                self._recoveries.pop(number, None)
            elif self._recoveries.get(number, 0) < recovery.at_most and not self.orders.recovering:
                self._recoveries[number] = self._recoveries.get(number, 0) + 1
                self.orders.recovering = recovery.writes

    # -- writing -----------------------------------------------------------------------------------------------------

    async def _flush(self) -> None:
        """Make the writes that are due, and set an alarm for the next. Raises: DeviceError of the last that failed."""
        await self._writing.acquire()
        try:
            await self._guarded(self._write_due())
        finally:
            self._writing.release()

    async def _flush_quietly(self) -> None:
        try:
            await self._flush()
        except DeviceError as error:
            self._last_error = str(error)

    async def _write_due(self) -> None:
        trouble: DeviceError | None = None
        self._silence_alarm()
        for _ in range(MOST_WRITES):
            if not self._identified or self._closed:
                return
            if not self._prepared and not self.orders.reduction_waits:
                return  # first see what the box has, then put right what differs
            self._turn_phases()
            order, wait_s = self.orders.due(self.clock.seconds())
            if order is not None and not self._prepared and order.urgency is not Urgency.LOWER:
                return
            if order is None:
                if wait_s is not None:
                    self._alarm = self.clock.callLater(wait_s, self._rung)
                break
            try:
                await self._write(order)
            except DeviceSilent:
                raise
            except DeviceError as error:
                trouble = error
        if trouble is not None:
            raise trouble

    def _turn_phases(self) -> None:
        before = self.orders.phasing.step
        self.orders.turn_phases(self._values, self._taken, len(self._phases), self.clock.seconds())
        phasing = self.orders.phasing
        if phasing.step is not before and phasing.step in (Step.WRITING, Step.IDLE):
            doing = "switches its phases" if phasing.step is Step.WRITING else f"uses {phasing.shown} phases"
            self.log.info("device {device} {doing}", device=self.id, doing=doing)
        self._telling.lasting("phases", phasing.trouble, "device {device} did not switch its phases: {what}")

    async def _write(self, order: Order) -> None:
        self.orders.guard(order)
        self.orders.sending(order, self.clock.seconds())
        try:
            await self.wire.write(order.register, order.words, URGENCIES[order.urgency])
        except DeviceRefused as error:
            self._heard_s = self.clock.seconds()
            self.orders.failed(order, self.clock.seconds(), error.code)
            self.log.warn(
                "device {device} refused {name}: {why}", device=self.id, name=order.register.name, why=str(error)
            )
            raise
        except DeviceError:
            self.orders.failed(order, self.clock.seconds())
            raise
        self._heard_s = self.clock.seconds()
        self.orders.acknowledged(order, self.clock.seconds())
        self.log.debug(
            "device {device} took {name} = {words}", device=self.id, name=order.register.name, words=order.words
        )
        if order.urgency is Urgency.PREPARE and self._driver.watchdog is not None:
            watchdog = self._driver.watchdog
            self._rounds.wish(n for n in (order.register.name, watchdog.timeout, watchdog.fallback) if n)

    def _rung(self) -> None:
        self._alarm = None
        now_s = self.clock.seconds()
        if self._closed or self._read_s is None or now_s - self._read_s > IDLE_S:
            return
        done = Deferred.fromCoroutine(self._flush_quietly())
        done.addErrback(lambda failure: self.log.failure("writing to {device} failed", failure, device=self.id))

    def _silence_alarm(self) -> None:
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
        self._alarm = None

    def _lost(self, error: DeviceSilent) -> None:
        if self._identified and not self._closed:
            self.log.warn("device {device} is silent: {why}", device=self.id, why=str(error))
        self._identified = self._prepared = False
        self._last_error = str(error)
        self.orders.forget()
        self._silence_alarm()
