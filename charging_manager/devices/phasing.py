"""From one phase to three and back: in which order, how often, and what may be believed meanwhile. Pure.

Theory of operation. A contactor that opens or closes under load welds, and a car that sees phases come and go without
a break may take harm. So a change goes *stopping* (the box is told to pause; the pause is confirmed and the current has
gone) - *writing* (what the driver prepares, then the register) - *settling* (the driver's ``settle_s``, then what the
box shows is read). Only then the box gets its setpoint again. From the first write until the new state is shown nobody
knows how many phases there are. What goes wrong has a name, the box keeps what it shows, and it is not tried again for
an hour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum

from attrs import define, field

from charging_manager.devices.driver import Driver, Phases, Value, Write, all_hold
from charging_manager.model.reading import Status

GONE_A = 0.5
"""Less than this is no charging."""

STOPS_WITHIN_S = 60.0
"""A box that was told to pause, and a car that shall stop, get so long."""

WRITES_WITHIN_S = 60.0
SHOWS_WITHIN_S = 90.0
"""After it has settled; some are asked for one value at a time, half a second apart."""

AGAIN_S = 3600.0
"""After a change that failed."""

TROUBLE_SENTENCES: Mapping[str, str] = {
    "still-charging": "Connected; phases could not be switched, because it went on charging",
    "refused": "Connected; it refused to switch phases",
    "not-taken": "Connected; it did not take the order to switch phases",
    "not-shown": "Connected; it was told to switch phases and does not show it",
}
SWITCHING_SENTENCE = "Connected; it is switching phases"


class Step(StrEnum):
    """Where a change of phases stands."""

    IDLE = "idle"
    STOPPING = "stopping"
    WRITING = "writing"
    SETTLING = "settling"


@define
class Phasing:
    """The phases of one box."""

    wanted: int | None = None
    """1 or 3; None: as they are."""
    step: Step = Step.IDLE
    shown: int | None = None
    """What it shows, or took where it shows nothing."""
    able: bool = False
    """It can be told, by all that it says of itself."""
    trouble: str | None = None
    """One of TROUBLE_SENTENCES, until it is tried again."""
    switched: int = 0
    """How often, since we started."""
    _target: int = 3
    _since_s: float = 0.0
    _not_before_s: float = -math.inf
    _every_s: float = 0.0
    _written: int = 0
    _sequence: tuple[Write, ...] = field(factory=tuple)

    @property
    def holds(self) -> bool:
        """The box is kept paused."""
        return self.step is not Step.IDLE

    @property
    def phases(self) -> int | None:
        """What is certain now; None while it changes."""
        return self.shown if self.able and self.step in (Step.IDLE, Step.STOPPING) else None

    @property
    def may_switch(self) -> bool:
        """It is able to, and the last time it did."""
        return self.able and self.trouble is None

    def due(self) -> Write | None:
        """The next write of the change."""
        if self.step is not Step.WRITING or self._written >= len(self._sequence):
            return None
        return self._sequence[self._written]

    def looks_at(self, driver: Driver, now_s: float) -> str | None:
        """The value that is to be read now."""
        rule = driver.phases
        if rule is None or self.step is not Step.SETTLING or now_s - self._since_s < rule.settle_s:
            return None
        return shown_by(driver, rule)[0]

    def acknowledged(self, register: str, now_s: float) -> None:
        """The box took a write."""
        due = self.due()
        if due is None or due.register != register:
            return
        self._written += 1
        if self._written == len(self._sequence):
            self._not_before_s = now_s + self._every_s
            self._go(Step.SETTLING, now_s)

    def refused(self, register: str, now_s: float) -> None:
        """It will not take a write of the change."""
        due = self.due()
        if due is not None and due.register == register:
            self._fail("refused", now_s)

    def forget(self) -> None:
        """The box was away."""
        self.step, self.shown = Step.IDLE, None

    def turn(self, driver: Driver, values: Mapping[str, Value], taken: Mapping[str, float], facts: Facts) -> None:
        """Take the next step if all that it needs is so. ``taken``: when each value was asked for."""
        rule, now_s = driver.phases, facts.now_s
        if rule is None or facts.wired < 3:
            self.able, self.step = False, Step.IDLE
            return
        self.able = all_hold(rule.when, values) is True
        if self.step in (Step.IDLE, Step.STOPPING):
            self.shown = self._read(driver, rule, values, self.shown)
        if self.trouble is not None and now_s >= self._not_before_s:
            self.trouble = None
        if self.step is Step.IDLE:
            self._begin(driver, rule, now_s)
        if self.step is Step.STOPPING:
            self._stop(driver, rule, values, taken, facts)
        elif self.step is Step.WRITING and now_s - self._since_s > WRITES_WITHIN_S:
            self._fail("not-taken", now_s)
        elif self.step is Step.WRITING and not _stands_still(driver, values, taken, facts):
            self._go(Step.STOPPING, now_s)
        elif self.step is Step.SETTLING:
            self._settle(driver, rule, values, taken, now_s)

    def _begin(self, driver: Driver, rule: Phases, now_s: float) -> None:
        readable = shown_by(driver, rule)[0] is not None
        known = self.shown is not None or not readable
        if self.able and known and self.wanted not in (None, self.shown) and now_s >= self._not_before_s:
            self._target = 1 if self.wanted == 1 else 3
            self._go(Step.STOPPING, now_s)

    def _stop(
        self, driver: Driver, rule: Phases, values: Mapping[str, Value], taken: Mapping[str, float], facts: Facts
    ) -> None:
        if not self.able or self.wanted in (None, self.shown):
            self._go(Step.IDLE, facts.now_s)
        elif _stands_still(driver, values, taken, facts):
            code = rule.one if self._target == 1 else rule.three
            self._sequence = (*rule.prepare, Write(rule.register, code))
            self._written = 0
            self._every_s = rule.every_s
            self._not_before_s = facts.now_s + rule.every_s  # whether or not we hear that it arrived
            self._go(Step.WRITING, facts.now_s)
        elif facts.now_s - self._since_s > STOPS_WITHIN_S:
            self._fail("still-charging", facts.now_s)

    def _settle(
        self, driver: Driver, rule: Phases, values: Mapping[str, Value], taken: Mapping[str, float], now_s: float
    ) -> None:
        ready_s = self._since_s + rule.settle_s
        name = shown_by(driver, rule)[0]
        if now_s < ready_s:
            return
        seen = name is None or taken.get(name, -math.inf) >= ready_s
        if seen and self._read(driver, rule, values, self._target) == self._target:
            self._done(rule, self._target, now_s)
        elif now_s - ready_s > SHOWS_WITHIN_S:
            self.shown = self._read(driver, rule, values, None)
            self._fail("not-shown", now_s)

    def _read(self, driver: Driver, rule: Phases, values: Mapping[str, Value], otherwise: int | None) -> int | None:
        name, one, three = shown_by(driver, rule)
        if name is None:
            return otherwise
        value = values.get(name)
        return 1 if value == one else 3 if value == three else None

    def _done(self, rule: Phases, phases: int, now_s: float) -> None:
        self.shown, self.switched = phases, self.switched + 1
        self._not_before_s = now_s + rule.every_s
        self._go(Step.IDLE, now_s)

    def _fail(self, trouble: str, now_s: float) -> None:
        self.trouble = trouble
        self._not_before_s = now_s + AGAIN_S
        self._go(Step.IDLE, now_s)

    def _go(self, step: Step, now_s: float) -> None:
        self.step, self._since_s = step, now_s


@define
class Facts:
    """What else a change of phases depends on."""

    now_s: float
    wired: int
    """How many phases the box is connected to."""
    paused_s: float | None
    """Since when the box is known to be paused; None: it is not."""


def _stands_still(driver: Driver, values: Mapping[str, Value], taken: Mapping[str, float], facts: Facts) -> bool:
    return facts.paused_s is not None and current_gone(driver, values, taken, facts.paused_s)


def shown_by(driver: Driver, rule: Phases) -> tuple[str | None, int, int]:
    """The register that shows how many phases there are, and its codes for one and three; None: it cannot be read."""
    if rule.state is not None:
        return rule.state, rule.state_one, rule.state_three
    return (rule.register if driver.registers[rule.register].function is not None else None), rule.one, rule.three


def current_gone(driver: Driver, values: Mapping[str, Value], taken: Mapping[str, float], since_s: float) -> bool:
    """Whether nothing flows any more, by values that were read after ``since_s``.

    A box that measures no current says so by its state; both must be so where it has both.
    """
    amps = [name for name in (f"current_l{phase}_a" for phase in (1, 2, 3)) if name in driver.registers]
    states = driver.state.registers if driver.state is not None else frozenset()
    looked_at = [*(name for name in amps if values.get(name) is not None), *states]
    if not looked_at or any(taken.get(name, -math.inf) < since_s for name in looked_at):
        return False
    for name in amps:
        value = values.get(name)
        if isinstance(value, int | float) and abs(value) >= GONE_A:
            return False
    status = driver.state.status(values)[0] if driver.state is not None else Status.UNKNOWN
    return status in (Status.FREE, Status.PLUGGED)
