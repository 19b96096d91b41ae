"""The site as it runs: devices, decisions, records and the picture of it all, in line with the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from charging_manager.agent.config import Configuration
from charging_manager.agent.dimming import GridOperator
from charging_manager.agent.events import EventHub
from charging_manager.agent.evidence import Evidence
from charging_manager.agent.explanations import Explanations
from charging_manager.agent.fallbacks import fallback_currents
from charging_manager.agent.fleet import Fleet, MakeDevice, OpenBus
from charging_manager.agent.grid_words import grid_alarms, shown_dimming, shown_inputs
from charging_manager.agent.haste import meters_that_matter, needs_haste
from charging_manager.agent.inputs import Inputs
from charging_manager.agent.journal import Journal
from charging_manager.agent.ocpp_central import Central
from charging_manager.agent.outside import OutsideWorld
from charging_manager.agent.overload import OverloadLog
from charging_manager.agent.pace import Pace
from charging_manager.agent.picture import Facts, Picture, Sentence, draw
from charging_manager.agent.readings import Readings
from charging_manager.agent.recorder import Recorder
from charging_manager.agent.records import Records
from charging_manager.agent.searching import Searching
from charging_manager.agent.sessions import SessionBook, Step
from charging_manager.agent.status import FAILING, status_line
from charging_manager.agent.steering import Cycle, Situation, Steering
from charging_manager.agent.store import Change, ConfigStore
from charging_manager.agent.tariff import TariffWatch
from charging_manager.agent.trials import Trials
from charging_manager.agent.wishes import wishes
from charging_manager.clocks import UtcNow, zone
from charging_manager.control.advice import SENTENCES as ADVICE
from charging_manager.control.advice import advice
from charging_manager.control.rules import Rules
from charging_manager.daemon.lifesign import LifeSign
from charging_manager.devices.driver import Driver
from charging_manager.devices.loader import DriverShelf
from charging_manager.devices.ocpp_driver import OCPP
from charging_manager.errors import ChargingManagerError
from charging_manager.model.plan import Budget, Plan, SiteImage
from charging_manager.model.reading import Reading
from charging_manager.model.site import ChargePoint
from charging_manager.storage.keeper import Keeper

_SHELF_EVERY_S = 5.0
_RULES = Rules()


class CloudView(Protocol):
    """What is shown of the uplink."""

    @property
    def state(self) -> str: ...

    @property
    def next_try_s(self) -> float | None: ...

    @property
    def error(self) -> Sentence | None: ...

    @property
    def alarms(self) -> list[Sentence]: ...


class RunningSite:
    """Owns everything that moves; ``start`` and ``stop`` in an order that leaves every charger safe."""

    log = Logger()

    def __init__(
        self,
        *,
        clock: IReactorTime,
        now: UtcNow,
        serial: str,
        config: ConfigStore,
        records: Records,
        evidence: Evidence,
        shelf: DriverShelf,
        hub: EventHub,
        open_bus: OpenBus,
        make_device: MakeDevice,
        decide: Callable[[SiteImage], Plan],
        tariff: TariffWatch,
        every_s: float = 1.0,
        rules: Rules = _RULES,
        journal: Journal | None = None,
    ) -> None:
        self.clock, self.now, self.serial = clock, now, serial
        self.config, self.records, self.shelf, self.hub = config, records, shelf, hub
        self.life = LifeSign(None)
        self.password_set: Callable[[], bool] = lambda: True
        self.overloads = OverloadLog()
        self.pace = Pace()
        self.cloud: CloudView | None = None
        self.recorder: Recorder | None = None
        self.keeper: Keeper | None = None
        self.searching: Searching | None = None
        self.trials: Trials | None = None
        self.ocpp: Central | None = None
        self.readings = Readings()
        self.outside = OutsideWorld()
        self.inputs = Inputs(clock, lambda: config.current.inputs, self.readings.last)
        self.grid = GridOperator(
            clock=clock,
            now=now,
            settings=lambda: config.current.grid,
            site=lambda: self._site,
            inputs=self.inputs,
            last=self.readings.last,
            evidence=evidence,
        )
        self.outside.inputs, self.outside.dimming = self.inputs.view, self.grid.view
        self.tariff = tariff
        self.outside.prices, self.outside.sun = lambda: tariff.prices, lambda: tariff.sun
        self.book = SessionBook(self._owner)
        self.fleet = Fleet(clock, self._read, open_bus, make_device, every_s)
        self.steering = Steering(
            clock, decide, self._situation, self.readings.recent, self.fleet, self._publish, every_s
        )
        self._site = config.current.site(serial)
        self.explanations = Explanations(self, rules, journal)
        self._advice = tuple(advice(self._site))
        self._watched = meters_that_matter(self._site)
        self._shelf_loop = LoopingCall(self._look_around)
        self._shelf_loop.clock = clock

    async def start(self) -> None:
        """Take up open sessions, start the devices and decide for the first time."""
        self.book.resume(await self.records.open_sessions())
        self.grid.resume(await self.grid.evidence.start())
        self.config.listen(self._configured)
        self.shelf.scan()
        self.tariff.start()
        self._arrange(self.config.current)
        for charge_point in self.book.charge_points() - self._site.charge_points.keys():
            self._note(self.book.end(charge_point))
        self.records.start()
        self.hub.start()
        self.hub.publish(self.picture())
        self.steering.start()
        self._shelf_loop.start(_SHELF_EVERY_S, now=False)

    async def stop(self) -> None:
        """Decide no more, leave every charger on its fallback, write down what waits."""
        if self.searching is not None:
            await self.searching.stop()
        if self.trials is not None:
            await self.trials.stop()
        if self._shelf_loop.running:
            self._shelf_loop.stop()
        self.steering.stop()
        self.tariff.stop()
        self.hub.stop()
        await self.fleet.stop()
        await self.grid.evidence.stop()
        if self.recorder is not None:
            await self.recorder.stop()
        await self.records.stop()
        await self.explanations.stop()

    @property
    def drivers(self) -> Mapping[str, Driver]:
        return {**self.shelf.loaded.drivers, OCPP.name: OCPP}

    def _look_around(self) -> None:
        self.look_at_drivers()
        if self.steering.failing:
            self.life.status(FAILING, self.clock.seconds())

    def look_at_drivers(self) -> None:
        """Scan the driver folders; what is new may bring a device to life."""
        with self.log.failuresHandled("the driver folders could not be looked at"):
            before = dict(self.drivers)
            self.tariff.plugins.scan()
            self.shelf.scan()
            if self.drivers != before:
                self._arrange(self.config.current)

    def may_try(self, charge_point: str) -> bool:
        """Whether its least current may flow now without anybody else giving way."""

        def has_room(budget: Budget, box: ChargePoint) -> bool:
            return min(budget.free_a[phase] for phase in box.phases) >= box.min_a

        return self._may_draw(charge_point, has_room)

    def may_go_on(self, charge_point: str, had_current: bool) -> bool:
        """Whether a test that draws its least current may go on. ``had_current``: control let it, when it began."""

        def bears_it(budget: Budget, box: ChargePoint) -> bool:
            return all(budget.used_a[phase] <= budget.limit_a[phase] + 0.05 for phase in box.phases)

        return self._may_draw(charge_point, bears_it, unless=had_current)

    def _may_draw(
        self, charge_point: str, fits: Callable[[Budget, ChargePoint], bool], *, unless: bool = False
    ) -> bool:
        """Control lets it, or it fits every circuit above it and nobody dims; ``unless``: then control alone counts."""
        cycle = self.steering.last
        box = self._site.charge_points.get(charge_point)
        if cycle is None or box is None:
            return False
        if self._has_current(cycle, box):
            return True
        budgets = [cycle.plan.budgets.get(circuit.id) for circuit in self._site.path_to_root(box.circuit)]
        fit = all(budget is not None and fits(budget, box) for budget in budgets)
        return fit and not unless and self.outside.view().dimming is None

    def _has_current(self, cycle: Cycle, box: ChargePoint) -> bool:
        setpoint = cycle.plan.setpoints.get(box.id)
        return setpoint is not None and setpoint.current_a >= box.min_a

    def picture(self) -> Picture:
        """The whole site now."""
        cloud = self.cloud
        return draw(
            Facts(
                config=self.config.current,
                serial=self.serial,
                cycle=self.steering.last,
                last=self.readings.last,
                answering=self.fleet.answering,
                session_wh=self._session_wh,
                because=self.explanations.reason,
                cloud_state=cloud.state if cloud else "off",
                cloud_error=cloud.error if cloud else None,
                cloud_next_try_s=cloud.next_try_s if cloud else None,
                alarms=tuple(self._alarms()),
                inputs=shown_inputs(self.config.current, self.inputs),
                dimming=shown_dimming(self.config.current, self.grid),
                now_s=self.clock.seconds(),
                now_at=self.now(),
            )
        )

    def _situation(self) -> Situation:
        config = self.config.current
        return Situation(
            self._site,
            config.current_overrides(),
            wishes(config, self.book, self.readings.last),
            self.outside.view(),
            self.now().astimezone(zone(config.timezone)),
        )

    def _configured(self, change: Change) -> None:
        """The configuration has changed: only what differs is touched."""
        self._arrange(change.after)
        others = change.after.inputs
        self.inputs.forget({name for name, one in change.before.inputs.items() if others.get(name) != one})
        for charge_point in self.book.charge_points() - self._site.charge_points.keys():
            self._note(self.book.end(charge_point))
        before, after = change.before.users, change.after.users
        other = {
            name
            for name in before
            if name not in after or set(before[name].charge_points) != set(after[name].charge_points)
        }
        if other:
            self.hub.drop(lambda caller: caller.user in other)
        self.hub.publish(self.picture())

    def _arrange(self, config: Configuration) -> None:
        site = config.site(self.serial)
        if site != self._site:  # control keeps what it worked out for this very object
            self._site = site
            self._advice = tuple(advice(site))
            self._watched = meters_that_matter(site)
        fallbacks = fallback_currents(self._site)
        self.steering.fall_back_to(fallbacks)
        for name in self.fleet.update(config.devices, self.drivers, fallbacks, self._site, config.access):
            self.readings.forget(name)
        for name in self.readings.devices() - config.devices.keys():
            self.readings.forget(name)

    def _read(self, reading: Reading) -> None:
        """A device has answered."""
        self.readings.add(reading)
        if reading.device in self._watched and self.steering.last and needs_haste(reading, self.steering.last):
            self.steering.hurry()
        if reading.device in self._site.charge_points:
            self._note(self.book.see(reading, self.now()))

    def _note(self, steps: list[Step]) -> None:
        self.take_down(steps)

    def take_down(self, steps: list[Step]) -> None:
        """What happened to sessions goes to the records."""
        for step in steps:
            self.records.note(step)
            if step.opened:
                self.log.info("a car was plugged in at {charge_point}", charge_point=step.session.charge_point)
            if step.closed and not step.afterwards:
                self.log.info(
                    "the car at {charge_point} has gone, {energy_wh:.0f} Wh",
                    charge_point=step.session.charge_point,
                    energy_wh=step.session.energy_wh,
                )
                self._end_override(step.session.charge_point)

    def _end_override(self, charge_point: str) -> None:
        config = self.config.current
        if charge_point not in config.overrides and charge_point not in config.vehicles:
            return

        def without(config: Configuration) -> Configuration:
            overrides = {k: v for k, v in config.overrides.items() if k != charge_point}
            vehicles = {k: v for k, v in config.vehicles.items() if k != charge_point}
            return evolve(config, overrides=overrides, vehicles=vehicles)

        Deferred.fromCoroutine(self.config.change(without)).addErrback(
            lambda failure: (
                self.log.warn("an override could not be ended: {reason}", reason=str(failure.value))
                if failure.check(ChargingManagerError)
                else self.log.failure("an override could not be ended", failure=failure)
            )
        )

    def _owner(self, charge_point: str) -> str | None:
        """A charge point assigned to one user alone is that user's."""
        owners = self.config.current.owners(charge_point)
        return owners[0] if len(owners) == 1 else None

    def _session_wh(self, charge_point: str) -> float | None:
        running = self.book.running(charge_point)
        return running.energy_wh if running else None

    def _publish(self, cycle: Cycle) -> None:
        self.life.alive()
        with self.log.failuresHandled("what is measured could not be noted for the grid operator"):
            self.grid.note()
        self.pace.cycle(cycle.image.now_s, cycle.duration_s, self.fleet.brought_s)
        self.explanations.see(cycle)
        with self.log.failuresHandled("the circuits' use could not be compared with their limits"):
            self.overloads.see(cycle.image.now_s, cycle.image.site, cycle.plan.budgets)
        if self.recorder is not None:
            with self.log.failuresHandled("the cycle could not be recorded"):
                self.recorder.see(cycle.image, cycle.plan)
        picture = self.picture()
        self.hub.publish(picture)
        if self.life.wants_status(cycle.image.now_s):
            self.life.status(status_line(picture, self.password_set()), cycle.image.now_s)

    def _alarms(self) -> list[Sentence]:
        alarms = grid_alarms(self.config.current, self.grid)
        if self.records.trouble is not None:
            alarms.append(
                Sentence(
                    "records-waiting",
                    "The disk takes no records now ({code}); {count} wait in memory. Charging goes on.",
                    {"code": self.records.trouble, "count": self.records.waiting},
                )
            )
        if self.recorder is not None and self.recorder.trouble is not None:
            alarms.append(
                Sentence(
                    "recording-failed",
                    "Readings and decisions are not recorded now ({reason}). Charging goes on.",
                    {"reason": self.recorder.trouble},
                )
            )
        if self.keeper is not None and self.keeper.trouble is not None:
            reason = self.keeper.trouble.sentence
            alarms.append(Sentence("backup-failed", "The weekly backup failed: {reason}.", {"reason": reason}))
        if self.ocpp is not None and self.ocpp.trouble is not None:
            alarms.append(Sentence("ocpp-closed", "Charge points cannot call: {reason}", {"reason": self.ocpp.trouble}))
        devices = self.config.current.devices
        for name, reason in self.fleet.not_running.items():
            if name in devices:
                alarms.append(
                    Sentence(
                        "device-not-running",
                        "{name} cannot run: {reason}",
                        {"name": devices[name].name, "reason": reason},
                    )
                )
        alarms += self.cloud.alarms if self.cloud else []
        alarms += self.tariff.alarms(self.config.current)
        cycle = self.steering.last
        circuits = self.config.current.circuits
        for name, budget in (cycle.plan.budgets if cycle else {}).items():
            if budget.stale and name in circuits:
                alarms.append(
                    Sentence(
                        "meter-silent",
                        "The meter of the circuit {circuit} is silent; charging there is held to {amps} A.",
                        {"circuit": circuits[name].name, "amps": circuits[name].fallback_a},
                    )
                )
        alarms += [Sentence(one.code, ADVICE[one.code], one.fields) for one in self._advice]
        if self.steering.failing:
            alarms.append(
                Sentence("steering-failed", "Deciding fails; every charge point is held to its fallback. See the log.")
            )
        return alarms
