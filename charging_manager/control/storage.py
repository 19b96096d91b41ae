"""Storage batteries: what of their power is for cars, and when they shall give nothing.

A battery that is there for the house (``StorageRole.HOUSE``) is filled before cars: what it takes is not for them, and
what it gives is taken off what the sun leaves. Because it takes whatever would flow to the grid as long as it can, the
cars leave ``house_storage_w`` over: while the battery goes on taking even that, nothing is left for them.

One that is there for all (``StorageRole.ALL``) lets cars have what it takes. What it gives is for them too while its
state of charge is known and at least ``storage_least_pct``; once it was below, not before ``storage_again_pct`` more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import frozen

from charging_manager.control.rules import Rules
from charging_manager.control.sunmemory import SunMemory
from charging_manager.model.plan import SiteImage
from charging_manager.model.reading import Reading
from charging_manager.model.site import Meter, MeterRole, StorageRole

SOC_NAMES = ("soc_pct", "soc_percent", "soc")
PLAUSIBLE_W = 1e6


@frozen
class Battery:
    """A storage battery now."""

    meter: Meter
    readings: Sequence[Reading]
    gives: bool
    """What it gives is for cars too."""

    def part_w(self, at_s: float, lag_s: float) -> tuple[float, float] | None:
        """Least and most that it adds to what the sun leaves, around that time; None: not known."""
        around: list[float] = []
        for reading in reversed(self.readings):
            power = power_w(reading)
            if power is not None:
                if reading.taken_s >= at_s + lag_s:
                    around.clear()
                around.append(self._counts(power))
            if reading.taken_s <= at_s - lag_s:
                break
        return (min(around), max(around)) if around else None

    @property
    def foreign_w(self) -> float:
        """What it gives now that is not for cars."""
        power = power_w(self.readings[-1]) if self.readings and not self.gives else None
        return 0.0 if power is None else max(0.0, -power)

    def _counts(self, power: float) -> float:
        if power >= 0.0:
            return power if self.meter.storage is StorageRole.ALL else 0.0
        return 0.0 if self.gives else power


def power_w(reading: Reading) -> float | None:
    """Signed power, positive into the battery; currents by the nominal voltage where it says no power."""
    power = reading.power_w
    if power is None:
        known = [amps for amps in reading.current_a if amps is not None]
        power = sum(known) * 230.0 if known else None
    return power if power is not None and math.isfinite(power) and abs(power) < PLAUSIBLE_W else None


def soc_pct(reading: Reading) -> float | None:
    """The state of charge, where the meter says it."""
    for name in SOC_NAMES:
        value = reading.values.get(name)
        if isinstance(value, int | float) and 0.0 <= value <= 100.0:
            return float(value)
    return None


def batteries(image: SiteImage, memory: SunMemory, rules: Rules) -> list[Battery]:
    """All of the site; one that was not read of late has no readings.

    Often a battery is two devices: an inverter that says its state of charge and no power, and a meter of its own. On
    one circuit they are one battery: what the first says is known of the second, and it has no power to add.
    """
    fresh: list[tuple[Meter, Sequence[Reading]]] = []
    for meter in image.site.meters.values():
        if meter.role is not MeterRole.STORAGE:
            continue
        readings: Sequence[Reading] = image.readings.get(meter.id, ())
        if not readings or image.now_s - readings[-1].taken_s > rules.storage_stale_s:
            readings = ()
        fresh.append((meter, readings))
    measured = {meter.circuit for meter, readings in fresh if not _only_tells(readings)}
    tellers = [(meter, readings) for meter, readings in fresh if _only_tells(readings) and meter.circuit in measured]
    told: dict[str, float] = {}
    for meter, known in tellers:
        soc = soc_pct(known[-1])
        if soc is not None:
            told[meter.circuit] = min(soc, told.get(meter.circuit, soc))
    found = []
    for meter, known in fresh:
        if (meter, known) in tellers:
            continue
        gives = False
        if known and meter.storage is StorageRole.ALL:
            least = rules.storage_least_pct + (0.0 if meter.id in memory.gives else rules.storage_again_pct)
            own = soc_pct(known[-1])
            soc = told.get(meter.circuit) if own is None else own
            gives = soc is not None and soc >= least
        found.append(Battery(meter, known, gives))
    return found


def _only_tells(readings: Sequence[Reading]) -> bool:
    """Whether it says nothing of power: neither that nor a current on a phase that it is on, in any reading."""
    return bool(readings) and all(
        reading.power_w is None and None in reading.current_a and not any(reading.current_a) for reading in readings
    )


def lock(
    found: Sequence[Battery], hungry: bool, memory: SunMemory, image: SiteImage, rules: Rules
) -> tuple[bool, float | None]:
    """Whether batteries shall give nothing now, and since when there is no more reason for it.

    ``hungry``: a car charges by more than the sun. A battery that takes anyway gives nothing; the lock ends when that
    has lasted for ``unlock_after_s``, so that it is not set and taken off with every cloud.
    """
    if not image.site.storage_lock or not found:
        return False, None
    reason = hungry and any(_could_give(battery, rules) for battery in found if not battery.gives)
    if reason:
        return True, None
    if not memory.locked:
        return False, None
    since_s = image.now_s if memory.unlock_s is None else memory.unlock_s
    return (False, None) if image.now_s - since_s >= rules.unlock_after_s else (True, since_s)


def _could_give(battery: Battery, rules: Rules) -> bool:
    power = power_w(battery.readings[-1]) if battery.readings else None
    return power is None or power < rules.storage_takes_w


def fills_first(found: Sequence[Battery], rules: Rules) -> bool:
    """Whether a battery for the house takes so much now that cars wait for it."""
    for battery in found:
        power = power_w(battery.readings[-1]) if battery.readings else None
        if battery.meter.storage is StorageRole.HOUSE and power is not None and power >= rules.storage_takes_w:
            return True
    return False
