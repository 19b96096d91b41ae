"""What a box was told, what it showed, and what must be written next. Pure: no bus, no clock, only instants.

Theory of operation. We want some registers to hold certain words: the setpoint with its pause or resume, the watchdog's
timeout and fallback, preparations. For every one we keep a *belief*: the words that we last wrote with success or saw.
What differs from the belief is written, the most urgent first, when the device allows its next write:

1. whatever lowers the current, or settles it for the first time, 2. preparation and watchdog, 3. whatever raises the
current, 4. food for the watchdog. A belief is dropped when a write fails, and replaced by what a later read shows: so
somebody else's change, or a restart of the box, is noticed and written over. The old setpoint counts as confirmed
until every write of the new one was acknowledged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import IntEnum
from functools import lru_cache

from attrs import define, field, frozen

from charging_manager.devices.codec import decode, encode
from charging_manager.devices.driver import Driver, FedBy, Register, Value, Write
from charging_manager.devices.locking import Locking
from charging_manager.devices.phasing import Facts, Phasing
from charging_manager.errors import DeviceError

Words = tuple[int, ...]

ALMOST = 1e-6
RETRY_S = 2.0
"""After a write failed, the next try waits so long."""

RETRY_REFUSED_S = 15.0
"""After the box refused it for another reason than being busy."""

BUSY = (5, 6)
LOW_PATIENCE_S = 60.0
"""A box that shows less than it was told, and whose registers cannot be read back, is told again after so long."""

LONGEST_LOW_PATIENCE_S = 3600.0
"""Each time twice as long, up to this: its cable or its heat may have their own opinion."""


@lru_cache(maxsize=4096)
def _encoded(register: Register, value: float, exponent: int) -> Words:
    return tuple(encode(register, value, exponent))


class Urgency(IntEnum):
    """What goes first."""

    LOWER = 0
    PREPARE = 1
    RAISE = 2
    FEED = 3


@frozen
class Order:
    """One write that is due."""

    register: Register
    words: Words
    urgency: Urgency


class NotAllowed(DeviceError):
    """The write guard stopped a write: a bug or a driver's mistake, never the box's fault."""


@define
class Orders:
    """The writing side of one box."""

    driver: Driver
    fallback_a: float = 0.0
    """What the box shall take by itself when it hears nothing; 0 stops it."""
    hardware_max_a: float = math.inf
    asked_a: float | None = None
    """What is wanted, rounded; None until somebody wanted something."""
    target_a: float | None = None
    """What the box is brought to now: that, or 0 while its phases are switched."""
    phasing: Phasing = field(factory=Phasing)
    locking: Locking = field(factory=Locking)
    confirmed_a: float | None = None
    commanded_a: float | None = None
    written: dict[str, int] = field(factory=dict)
    """Acknowledged writes by register: the wear of flash-backed ones is worth showing."""
    recovering: tuple[Write, ...] = ()
    encode_hook: Callable[[float], Sequence[Write]] | None = None
    """A plugin's own writes for a setpoint, in place of the driver's."""
    _belief: dict[str, Words] = field(factory=dict)
    _belief_s: dict[str, float] = field(factory=dict)
    _retry_s: dict[str, float] = field(factory=dict)
    _wrote_s: float = -math.inf
    _changed_s: float = -math.inf
    _fed_s: float = -math.inf
    _started: set[str] = field(factory=set)
    _paused_s: float | None = None
    _too_low_s: float | None = None
    _low_patience_s: float = LOW_PATIENCE_S
    _acknowledged_a: float | None = None
    _disobeyed_a: float | None = None

    # -- what is wanted ----------------------------------------------------------------------------------------------

    def want(self, setpoint_a: float, phases: int | None = None) -> None:
        """From now on the box shall draw at most so much per phase: rounded down to what it can be told."""
        rule = self.driver.setpoint
        if rule is None:
            raise NotAllowed(f"{self.driver.name} takes no setpoint")
        self.asked_a = self.legal(setpoint_a)
        self.target_a = 0.0 if self.phasing.holds else self.asked_a
        self.phasing.wanted = phases

    def turn_phases(self, values: Mapping[str, Value], taken: Mapping[str, float], wired: int, now_s: float) -> None:
        """Go on with a change of phases. ``taken``: when each value was asked for; ``wired``: to how many phases."""
        if self.asked_a is None or self.driver.phases is None:
            return
        paused = self.confirmed_a == 0 and not self.commanded_a
        if not paused:
            self._paused_s = None
        elif self._paused_s is None:
            self._paused_s = now_s
        self.phasing.turn(self.driver, values, taken, Facts(now_s, wired, self._paused_s))
        self.target_a = 0.0 if self.phasing.holds else self.asked_a

    def hold_storage(self, locked: bool) -> None:
        """From now on a storage battery shall give nothing, or do as it likes."""
        if self.driver.storage is None:
            raise NotAllowed(f"{self.driver.name} is no storage battery that can be told")
        self.locking.wanted = locked

    @property
    def storage_locked(self) -> bool | None:
        """What the storage battery took or shows; None: not known."""
        return self.locking.state(self.driver, self._belief)

    def legal(self, setpoint_a: float) -> float:
        """Rounded down to the box's step and to what it can do at most; 0, a pause, if that is below its minimum."""
        rule = self.driver.setpoint
        if rule is None or not math.isfinite(setpoint_a):
            return 0.0
        bounded = min(setpoint_a, rule.highest_a, self.hardware_max_a)
        steps = math.floor(bounded / rule.step_a + ALMOST)
        stepped = round(steps * rule.step_a, 6)
        return stepped if stepped >= rule.lowest_a - ALMOST else 0.0

    def legal_fallback(self) -> float | None:
        """The fallback current that is programmed: never more than was planned; None without a watchdog."""
        watchdog = self.driver.watchdog
        if watchdog is None or watchdog.timeout is None:
            return None
        if watchdog.fallback_write is None:
            return 0.0 if watchdog.fallback is None else self.fallback_a
        register = self.driver.registers[watchdog.fallback_write]
        highest = register.highest if register.highest is not None else math.inf
        steps = math.floor(min(self.fallback_a, highest, self.hardware_max_a) / register.scale + ALMOST)
        amps = round(steps * register.scale, 6)
        return amps if amps >= max(watchdog.lowest_a, register.lowest or 0.0) else 0.0

    # -- what is due -------------------------------------------------------------------------------------------------

    def due(self, now_s: float) -> tuple[Order | None, float | None]:
        """The write to make now, or how many seconds until there may be one; (None, None) when all is well."""
        legal_s = self._wrote_s + self.driver.bus.write_gap_s
        earliest: float | None = None
        held = False  # a lower setpoint waits for its legal moment: food, which would put that off, waits too
        for urgency, write in self._wanted(now_s):
            register = self.driver.registers[write.register]
            at_s = max(legal_s, self._retry_s.get(write.register, -math.inf))
            if urgency is Urgency.RAISE and self.driver.setpoint and write.register == self.driver.setpoint.register:
                at_s = max(at_s, self._changed_s + self.driver.setpoint.raise_every_s)
            elif urgency is Urgency.FEED and self.driver.watchdog is not None:
                every_s = self.driver.watchdog.every_s
                at_s = max(
                    at_s, self._fed_s + (min(2, self.driver.watchdog.timeout_s / every_s - 1) if held else 1) * every_s
                )
            held = held or urgency is Urgency.LOWER
            if at_s <= now_s + ALMOST:
                return Order(register, self._words(register, write.value), urgency), None
            earliest = at_s if earliest is None else min(earliest, at_s)
        return None, None if earliest is None else max(0.0, earliest - now_s)

    def _wanted(self, now_s: float) -> Iterator[tuple[Urgency, Write]]:
        """Everything that differs from what we believe, the most urgent first."""
        steps = [] if self.target_a is None else [w for w in self._steps(self.target_a) if self._differs(w, now_s)]
        lowering = self.confirmed_a is None or (self.target_a or 0.0) <= self._worst_a() + ALMOST
        if steps and self.target_a and self.driver.setpoint and steps[0] in self.driver.setpoint.resume:
            lowering = False  # only the permission is missing, the current is right
        if lowering:
            yield from ((Urgency.LOWER, write) for write in steps[:1])
        yield from ((Urgency.LOWER, write) for write in self.recovering[:1])
        yield from ((Urgency.PREPARE, write) for write in self._preparations() if self._differs(write, now_s))
        for change in (self.locking.due(self.driver, self._belief, now_s), self.phasing.due()):
            if change is not None:
                yield Urgency.PREPARE, change
        if not lowering:
            yield from ((Urgency.RAISE, write) for write in steps[:1])
        yield from ((Urgency.FEED, write) for write in self._food())

    @property
    def reduction_waits(self) -> bool:
        """The box may obey more than is wanted now; where nothing is known, more than its fallback.

        Our first question wakes a watchdog, and the box obeys again what it was told before we fell silent.
        """
        if self.target_a is None:
            return False
        if self.confirmed_a is None and not self.driver.variants and self.target_a <= self.fallback_a + ALMOST:
            return True
        return self.target_a < self._worst_a() - ALMOST

    def _worst_a(self) -> float:
        return max(self.confirmed_a or 0.0, self.commanded_a or 0.0)

    def _steps(self, target_a: float) -> tuple[Write, ...]:
        rule = self.driver.setpoint
        if rule is None:
            return ()
        if self.encode_hook is not None:
            return tuple(self.encode_hook(target_a))
        return rule.pause if target_a <= 0 else (Write(rule.register, target_a), *rule.resume)

    def _preparations(self) -> Iterator[Write]:
        for write in self.driver.start:
            if self.driver.registers[write.register].function is not None or write.register not in self._started:
                yield write
        watchdog, fallback_a = self.driver.watchdog, self.legal_fallback()
        if watchdog is None or fallback_a is None:
            return
        if watchdog.fallback is not None and watchdog.fallback_write is not None:
            yield Write(watchdog.fallback_write, fallback_a)
        if watchdog.timeout_write is not None:
            yield Write(watchdog.timeout_write, watchdog.timeout_s)

    def _food(self) -> Iterator[Write]:
        watchdog, rule = self.driver.watchdog, self.driver.setpoint
        if watchdog is None:
            return
        if watchdog.fed_by is FedBy.REGISTER_WRITE:
            yield from watchdog.feed
        elif watchdog.fed_by is FedBy.SETPOINT_WRITE and rule is not None and self.target_a is not None:
            yield from self._steps(self.target_a)[:1]

    def _differs(self, write: Write, now_s: float) -> bool:
        register = self.driver.registers[write.register]
        if self._belief.get(write.register) != self._words(register, write.value):
            return True
        rule = self.driver.setpoint
        if rule is None or rule.keep_every_s is None or write.register != rule.register:
            return False
        return now_s - self._belief_s.get(write.register, -math.inf) >= rule.keep_every_s

    def _words(self, register: Register, value: float) -> Words:
        return _encoded(register, value, self.locking.exponents.get(register.scale_from or "", 0))

    # -- what happened -----------------------------------------------------------------------------------------------

    def guard(self, order: Order) -> None:
        """The last look before the wire. Raises: NotAllowed."""
        register = order.register
        if register.write_function is None or register.name not in self.driver.written():
            raise NotAllowed(f"{register.name} is not among the registers that {self.driver.name} writes")
        for never in self.driver.never:
            if register.address < never.address + never.count and never.address < register.end:
                raise NotAllowed(f"{register.name} must never be written: {never.why}")
        value = decode(register, order.words, self.locking.exponents.get(register.scale_from or "", 0))
        if not isinstance(value, int | float):
            raise NotAllowed(f"{register.name} cannot be written with an unknown value")
        low = register.lowest if register.lowest is not None else -math.inf
        high = register.highest if register.highest is not None else math.inf
        if value and not low - ALMOST <= value <= high + ALMOST:
            raise NotAllowed(f"{value:g} is outside what {register.name} takes")

    def sending(self, order: Order, now_s: float) -> None:
        """The write goes on the wire; from here on the box may obey it, whatever we hear."""
        self._wrote_s = now_s
        self._belief.pop(order.register.name, None)
        if self.confirmed_a is None:
            return  # nothing is known: all that the hardware can do covers it, whether this write arrives or not
        if order.urgency in (Urgency.LOWER, Urgency.RAISE) and self._is_step(order):
            self.commanded_a = max(self.commanded_a or 0.0, self.target_a or 0.0)

    def acknowledged(self, order: Order, now_s: float) -> None:
        """The box took it."""
        name = order.register.name
        self._wrote_s = now_s
        self._retry_s.pop(name, None)
        self._belief[name] = order.words
        self._belief_s[name] = now_s
        self.written[name] = self.written.get(name, 0) + 1
        if self.recovering and self.recovering[0].register == name:
            self.recovering = self.recovering[1:]
        if any(write.register == name for write in self.driver.start):
            self._started.add(name)
        self._feeds(order, now_s)
        self.phasing.acknowledged(name, now_s)
        self.locking.acknowledged(name, now_s)
        if order.urgency in (Urgency.LOWER, Urgency.RAISE) and self._is_step(order):
            self._changed_s = now_s
            self._too_low_s = None
        self._settle()

    def failed(self, order: Order, now_s: float, code: int | None = None) -> None:
        """Nobody knows whether the box took it, or it refused (``code``)."""
        name = order.register.name
        self._belief.pop(name, None)
        wait_s = RETRY_S if code is None or code in BUSY else RETRY_REFUSED_S
        self._retry_s[name] = now_s + wait_s
        if code is not None and code not in BUSY:
            self.phasing.refused(name, now_s)

    def _feeds(self, order: Order, now_s: float) -> None:
        watchdog = self.driver.watchdog
        if watchdog is None:
            return
        by_setpoint = watchdog.fed_by is FedBy.SETPOINT_WRITE and self._is_step(order)
        if by_setpoint or any(write.register == order.register.name for write in watchdog.feed):
            if now_s - self._fed_s > watchdog.timeout_s and not by_setpoint:
                self._starved()
            self._fed_s = now_s

    def _starved(self) -> None:
        """It fell back before it was fed: what it does not show of its setpoint may have been written over."""
        for write in self._steps(self.target_a or 0.0):
            if self.driver.registers[write.register].function is None:
                self._belief.pop(write.register, None)

    def _is_step(self, order: Order) -> bool:
        rule = self.driver.setpoint
        if rule is None:
            return False
        return order.register.name in {rule.register, *(w.register for w in (*rule.pause, *rule.resume))}

    def _permission_a(self) -> float | None:
        """What the box lets the car draw, by all that we believe of its registers; None if that is not certain."""
        rule = self.driver.setpoint
        if rule is None:
            return None
        if self._holds(rule.pause):
            return 0.0
        told = self._belief.get(rule.register)
        if told is None or not (self._holds(rule.resume) if rule.resume else self._knows(rule.pause)):
            return None
        value = decode(self.driver.registers[rule.register], told)
        return float(value) if isinstance(value, int | float) else None

    def _settle(self) -> None:
        permission_a = self._permission_a()
        if permission_a is None:
            return
        self._acknowledged_a = permission_a
        self.confirmed_a = max(permission_a, self._disobeyed_a or 0.0)
        self.commanded_a = None

    def _knows(self, writes: tuple[Write, ...]) -> bool:
        return all(write.register in self._belief for write in writes)

    def _holds(self, writes: tuple[Write, ...]) -> bool:
        return all(
            self._belief.get(w.register) == self._words(self.driver.registers[w.register], w.value) for w in writes
        )

    def shown(self, words: Mapping[str, Words], values: Mapping[str, Value], asked_s: float) -> list[str]:
        """What a read showed that was asked at ``asked_s``. Gives the names of registers that somebody else changed."""
        foreign = []
        if self.driver.storage is not None:
            self.locking.note_scales(self.driver, values)
        for name, seen in words.items():
            register = self.driver.registers[name]
            known = self._belief.get(name)
            if register.write_function is None or asked_s < self._belief_s.get(name, -math.inf) or register.bits:
                continue
            if known is not None and known != seen:
                foreign.append(name)
            self._belief[name] = seen
            self._belief_s[name] = asked_s
        watchdog = self.driver.watchdog
        if watchdog is not None:  # values that are read at one place and written at another
            for at, to in ((watchdog.timeout, watchdog.timeout_write), (watchdog.fallback, watchdog.fallback_write)):
                if at is not None and to is not None and at != to and at in words:
                    foreign += self._shown_elsewhere(to, values.get(at), asked_s)
        foreign += self._shown_applied(words, values, asked_s)
        self._settle()
        wanted = {write.register for write in (*self._steps(self.target_a or 0.0), *self._preparations())}
        return [name for name in foreign if name in wanted]

    def _shown_elsewhere(self, to: str, value: Value, asked_s: float) -> list[str]:
        if asked_s < self._belief_s.get(to, -math.inf) or not isinstance(value, int | float):
            return []
        try:
            seen = self._words(self.driver.registers[to], value)
        except ValueError:
            seen = ()
        known = self._belief.get(to)
        self._belief[to] = seen
        return [to] if known is not None and known != seen else []

    def _shown_applied(self, words: Mapping[str, Words], values: Mapping[str, Value], asked_s: float) -> list[str]:
        rule = self.driver.setpoint
        if rule is None or rule.applied is None or rule.applied not in words:
            return []
        applied_a = values.get(rule.applied)
        if not isinstance(applied_a, int | float):
            return []
        if self.confirmed_a is None and self.commanded_a is None:
            self.confirmed_a = self._acknowledged_a = float(applied_a)
            return []
        if asked_s < self._changed_s or self.target_a is None:
            return []
        told_a = max(self._acknowledged_a or 0.0, self.commanded_a or 0.0)
        if applied_a > told_a + max(rule.step_a, 0.05):
            if asked_s < self._changed_s + rule.settle_s:
                return []
            self._disobeyed_a = float(applied_a)  # whatever we told it, this is what it obeys
            self.confirmed_a = max(self.confirmed_a or 0.0, self._disobeyed_a)
            return self._forget_steps(asked_s)
        self._disobeyed_a = None
        if applied_a < self.target_a - max(rule.step_a, 0.05) and self._blind():
            self._too_low_s = asked_s if self._too_low_s is None else self._too_low_s
            if asked_s - self._too_low_s >= self._low_patience_s:
                self._too_low_s = None
                self._low_patience_s = min(2 * self._low_patience_s, LONGEST_LOW_PATIENCE_S)
                self._forget_steps(asked_s)
        else:
            self._too_low_s, self._low_patience_s = None, LOW_PATIENCE_S
        return []

    def _blind(self) -> bool:
        return any(
            self.driver.registers[write.register].function is None for write in self._steps(self.target_a or 0.0)
        )

    def _forget_steps(self, asked_s: float) -> list[str]:
        names = [write.register for write in self._steps(self.target_a or 0.0)]
        gone = [name for name in names if self._belief.pop(name, None) is not None]
        self._changed_s = asked_s
        return gone

    def forget(self) -> None:
        """The box was away: nothing that we wrote is certain any more. What it must be reserved for stays."""
        self._belief.clear()
        self._belief_s.clear()
        self._retry_s.clear()
        self._started.clear()
        self._too_low_s = None
        self.recovering = ()
        self.locking.forget()
        self._paused_s = None
        self.phasing.forget()
        self.target_a = self.asked_a
