"""Tests of devices: one at a time for each, only where its current is free, and given back to control on every way out.

Theory of operation. While a test runs, steering leaves the device alone (``Fleet.alone``), and on every way out of that
the newest setpoint counts again: after the last step, a cancel, an exception, or when the device is left because the
configuration changed or the program ends. A test is broken off when what it draws is needed, which is looked at every
second. What it did and found becomes a report, also where it was broken off.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from charging_manager.agent.config import Configuration, DeviceSettings, Kind
from charging_manager.agent.reports import Reports, Who, document_of
from charging_manager.agent.store import Change
from charging_manager.devices.driver import Driver
from charging_manager.devices.trial import Note, TestStep
from charging_manager.http.routes import Problem
from charging_manager.model.reading import Status
from charging_manager.storage.database import StorageError

GIVEN_BACK_S = 12.0
FLOWS_A = 1.0
_LOOK_EVERY_S = 0.5

Try = Callable[[Any, Note], Awaitable[Sequence[TestStep]]]


@define
class Trial:
    """A test on its way, or over."""

    device: DeviceSettings
    driver: Driver
    who: Who
    began_at: datetime
    had_current: bool
    """Control let it have its least current when the test began."""
    steps: list[TestStep] = field(factory=list)
    work: Deferred[Any] | None = None
    over: Deferred[None] = field(factory=Deferred)
    broken_off: str = ""
    """Why it was ended before its time: cancelled, needed or left; empty: it was not."""
    report: int | None = None

    @property
    def verdict(self) -> str:
        if self.broken_off:
            return "cancelled"
        return "passed" if self.steps and all(step.ok for step in self.steps) else "failed"


END_SENTENCES = {
    "cancelled": "The test was cancelled",
    "needed": "The test was broken off, because its current was needed elsewhere",
    "left": "The test was broken off, because the device was changed or the program ended",
}


class Site(Protocol):
    """What we need of RunningSite."""

    clock: Any
    serial: str
    config: Any
    fleet: Any
    steering: Any
    readings: Any
    now: Callable[[], datetime]

    def may_try(self, charge_point: str) -> bool: ...

    def may_go_on(self, charge_point: str, had_current: bool) -> bool: ...


class Trials:
    """Every test that runs, and the reports of all."""

    log = Logger()

    def __init__(self, site: Site, try_device: Try, reports: Reports) -> None:
        self.reports = reports
        self._site, self._try_device = site, try_device
        self._running: dict[str, Trial] = {}
        site.fleet.leaving = self._leaving
        site.config.listen(self._configured)

    def running(self, device: str) -> Trial | None:
        """The test of this device, if one is on its way."""
        return self._running.get(device)

    async def run(self, device: DeviceSettings, driver: Driver, who: Who, *, while_charging: bool = False) -> Trial:
        """Test a running device and keep the report. Raises: Problem for what is not to be done now."""
        if device.id in self._running:
            raise Problem(409, "test-running", "A test of this device is under way already: wait for its end.")
        if device.kind is Kind.CHARGE_POINT and self._charges(device.id) and not while_charging:
            raise Problem(
                409,
                "car-charging",
                "A car is charging there, and the test would interrupt it: wait, or ask for it all the same.",
            )
        trial = Trial(device, driver, who, self._site.now(), self._has_current(device))
        self._running[device.id] = trial
        try:
            await self._run(trial)
        finally:
            del self._running[device.id]
            trial.over.callback(None)
        return trial

    def cancel(self, device: str, why: str = "cancelled") -> None:
        """End a test now. Raises: Problem if none runs."""
        trial = self._running.get(device)
        if trial is None or trial.broken_off:
            raise Problem(409, "no-test", "No test of this device is under way.")
        self._break_off(trial, why)

    async def stop(self) -> None:
        """End with the program, reports included."""
        for trial in tuple(self._running.values()):
            over: Deferred[None] = Deferred()
            trial.over.chainDeferred(over)
            self._break_off(trial, "left")
            await over

    def _break_off(self, trial: Trial, why: str) -> None:
        trial.broken_off = trial.broken_off or why
        if trial.work is not None:
            trial.work.cancel()

    def _leaving(self, device: str) -> None:
        """It is about to be left on its fallback: nobody else may write to it now."""
        if device in self._running:
            self._break_off(self._running[device], "left")

    def _configured(self, change: Change) -> None:
        gone = change.before.devices.keys() - change.after.devices.keys()
        if gone:
            self.reports.forget(gone).addErrback(
                lambda failure: self.log.warn("old reports stay: {reason}", reason=str(failure.value))
            )

    def _charges(self, device: str) -> bool:
        """A car is charging there, by what the box says or by what flows: some show their state seconds later."""
        last = self._site.readings.last(device)
        if last is None:
            return False
        flows = any(amps is not None and amps > FLOWS_A for amps in last.current_a)
        return last.status is Status.CHARGING or flows

    def _has_current(self, device: DeviceSettings) -> bool:
        cycle = self._site.steering.last
        setpoint = cycle.plan.setpoints.get(device.id) if cycle is not None else None
        return setpoint is not None and setpoint.current_a >= device.min_a

    async def _run(self, trial: Trial) -> None:
        name = trial.device.id
        running = self._site.fleet.device(name)
        watching = LoopingCall(self._watch, trial)
        watching.clock = self._site.clock
        trial.work = Deferred.fromCoroutine(
            self._site.fleet.alone(name, lambda device: self._try_device(device, trial.steps.append))
        )
        if trial.device.kind is Kind.CHARGE_POINT:
            watching.start(1.0, now=False)
        try:
            await trial.work
            trial.work = None
        except CancelledError:
            if not trial.broken_off:
                raise
        finally:
            if watching.running:
                watching.stop()
        if trial.broken_off:
            now_s = self._site.clock.seconds()
            trial.steps.append(TestStep("end", False, END_SENTENCES[trial.broken_off], {}, now_s, now_s))
        if trial.device.kind is Kind.CHARGE_POINT and trial.broken_off != "left":
            trial.steps += await self._given_back(trial)
        await self._keep(trial, running)

    def _watch(self, trial: Trial) -> None:
        with self.log.failuresHandled("a test could not be watched, and is ended"):
            if self._site.may_go_on(trial.device.id, trial.had_current):
                return
        self._break_off(trial, "needed")

    async def _given_back(self, trial: Trial) -> list[TestStep]:
        """Wait until the device obeys control again; nothing is said of one that is left meanwhile."""
        name = trial.device.id
        clock = self._site.clock
        began_s = clock.seconds()
        while trial.broken_off != "left":
            wanted = self._site.fleet.wanted_a(name)
            running = self._site.fleet.device(name)
            known = running.obedience(clock.seconds()).confirmed_a if running is not None else None
            now_s = clock.seconds()
            good = wanted is not None and known is not None and known <= wanted + 0.05
            if good or now_s - began_s >= GIVEN_BACK_S:
                sentence = "It is steered again and obeys {amps} A" if good else "It does not obey {amps} A again yet"
                return [TestStep("given-back", good, sentence, {"amps": wanted or 0.0}, began_s, now_s)]
            await deferLater(clock, _LOOK_EVERY_S)
        return []

    async def _keep(self, trial: Trial, running: Any) -> None:
        config: Configuration = self._site.config.current
        document = document_of(
            config,
            self._site.serial,
            trial.device,
            trial.driver,
            running.condition,
            trial.who,
            trial.began_at,
            self._site.now(),
            trial.verdict,
            trial.steps,
            self._site.fleet.fallback_a(trial.device.id),
        )
        try:
            trial.report = await self.reports.add(trial.device.id, str(trial.who), document)
        except StorageError as error:
            self.log.error("the report of a test could not be kept: {reason}", reason=error.sentence)
