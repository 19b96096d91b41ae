"""A storage battery that shall give nothing, and does as it likes again: what must be written next. Pure.

Who never locked it leaves it alone: other settings of the same registers are somebody's own. Only a lock that is in
force is undone, also one that an earlier run of ours left behind.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from attrs import define, field

from charging_manager.devices.codec import decode, encode
from charging_manager.devices.driver import Driver, Write

Words = tuple[int, ...]
Known = Mapping[str, Words]
"""By register: the words that it was last seen to hold, or took."""


@define
class Locking:
    """The lock of one battery."""

    wanted: bool | None = None
    """None until somebody said so."""
    exponents: dict[str, int] = field(factory=dict)
    """Scale factors by name, as shown last."""
    _ours: bool = False
    _kept_s: dict[str, float] = field(factory=dict)

    def due(self, driver: Driver, known: Known, now_s: float) -> Write | None:
        """The next write; None when all is as it shall be."""
        rule = driver.storage
        if rule is None or self.wanted is None:
            return None
        if not self.wanted and not self._ours and not self._in_force(driver, rule.lock, known):
            return None
        every_s = rule.keep_every_s if self.wanted and rule.keep_every_s is not None else math.inf
        for write in self._possible(driver, rule.lock if self.wanted else rule.unlock, known):
            kept_s = now_s - self._kept_s.get(write.register, now_s)
            if known.get(write.register) != self._words(driver, write) or kept_s >= every_s:
                self._ours = self._ours or self.wanted
                return write
        self._ours = self.wanted
        return None

    def state(self, driver: Driver, known: Known) -> bool | None:
        """Whether it is locked, by what it took or shows; None: on the way."""
        rule = driver.storage
        if rule is None:
            return None
        if self._in_force(driver, rule.lock, known):
            return True
        return None if self._ours and not self._in_force(driver, rule.unlock, known) else False

    def acknowledged(self, register: str, now_s: float) -> None:
        """The device took a write."""
        self._kept_s[register] = now_s

    def forget(self) -> None:
        """The device was away."""
        self._kept_s.clear()

    def note_scales(self, driver: Driver, values: Mapping[str, object]) -> None:
        """Scale factors among these values."""
        scales = {register.scale_from for register in driver.registers.values()}
        self.exponents |= {n: v for n, v in values.items() if n in scales and isinstance(v, int) and -10 <= v <= 10}

    def _possible(self, driver: Driver, writes: tuple[Write, ...], known: Known) -> Iterator[Write]:
        """Those to registers that the device has: what it shows as unknown it does not have."""
        for write in writes:
            register = driver.registers[write.register]
            if register.scale_from is not None and register.scale_from not in self.exponents:
                continue
            words = known.get(write.register)
            if register.function is None or (words is not None and decode(register, words) is not None):
                yield write

    def _in_force(self, driver: Driver, writes: tuple[Write, ...], known: Known) -> bool:
        possible = tuple(self._possible(driver, writes, known))
        return bool(possible) and all(known.get(w.register) == self._words(driver, w) for w in possible)

    def _words(self, driver: Driver, write: Write) -> Words:
        register = driver.registers[write.register]
        return tuple(encode(register, write.value, self.exponents.get(register.scale_from or "", 0)))
