"""What a device shows for what is really so: measured values by name, and the codes of a charge point's state."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice, product

from attrs import evolve, frozen

from charging_manager.devices.driver import Condition, Driver, Value
from charging_manager.model.reading import Status
from charging_manager.model.units import PhaseAmps
from charging_manager.sim.power import VOLTAGES, Flow, Outlet

_PHASE = re.compile(r"_l([123])_")
_MOST_TRIES = 20_000

MEASURED = re.compile(r"^(current|voltage|power|energy|session|apparent|reactive|frequency|applied)")
"""Names of what is measured: what a broken sensor shows as unknown."""


@frozen
class Measured:
    """What flows through a device, on its own phases."""

    current_a: PhaseAmps
    power_w: PhaseAmps
    energy_l_wh: PhaseAmps
    export_l_wh: PhaseAmps
    session_wh: float | None = None


def of_outlet(outlet: Outlet) -> Measured:
    """A charge point's own meter."""
    third = outlet.energy_wh / 3
    return Measured(outlet.current_a, outlet.power_w, (third,) * 3, (0.0, 0.0, 0.0), outlet.session_wh)


def of_flow(flow: Flow) -> Measured:
    """A meter on a line."""
    imported, exported = flow.energy_l_wh, flow.export_l_wh
    return Measured(
        flow.current_a,
        flow.power_w,
        (imported[0], imported[1], imported[2]),
        (exported[0], exported[1], exported[2]),
    )


def reversed_flow(seen: Measured) -> Measured:
    """The same as an inverter shows it: what it gives is positive."""
    amps, watts = seen.current_a, seen.power_w
    return evolve(seen, current_a=(-amps[0], -amps[1], -amps[2]), power_w=(-watts[0], -watts[1], -watts[2]))


def measured_value(name: str, seen: Measured, unsigned_currents: bool) -> Value:
    """The value that the register of this name shows; None if it is nothing that is measured."""
    found = _PHASE.search(name)
    phase = int(found[1]) - 1 if found else None
    kind = _PHASE.sub("_", name) if found else name
    amps = tuple(abs(a) for a in seen.current_a) if unsigned_currents else seen.current_a
    per_phase: Mapping[str, tuple[float, ...]] = {
        "current_a": amps,
        "voltage_v": VOLTAGES,
        "power_w": seen.power_w,
        "apparent_va": tuple(abs(w) for w in seen.power_w),
        "reactive_var": (0.0, 0.0, 0.0),
        "energy_wh": seen.energy_l_wh,
        "energy_export_wh": seen.export_l_wh,
    }
    if phase is not None:
        return per_phase[kind][phase] if kind in per_phase else None
    totals: Mapping[str, float | None] = {
        "current_sum_a": sum(amps),
        "voltage_mean_v": sum(VOLTAGES) / 3,
        "power_w": sum(seen.power_w),
        "apparent_va": sum(abs(w) for w in seen.power_w),
        "reactive_var": 0.0,
        "frequency_hz": 50.0,
        "energy_wh": sum(seen.energy_l_wh),
        "energy_export_wh": sum(seen.export_l_wh),
        "energy_both_ways_wh": sum(seen.energy_l_wh) + sum(seen.export_l_wh),
        "session_wh": seen.session_wh,
    }
    if kind.startswith("power_factor"):
        return 100.0 if kind.endswith("_percent") else 1.0
    return totals.get(kind)


def state_codes(driver: Driver) -> dict[Status, dict[str, Value]]:
    """For each state that the driver can tell, register values that it reads as just that state."""
    if driver.state is None:
        return {}
    rules = driver.state.rules
    conditions = [condition for rule in rules for condition in rule.when]
    names = sorted({condition.register for condition in conditions})
    candidates = {
        name: [
            value
            for value in dict.fromkeys(v for c in conditions if c.register == name for v in _candidates(c))
            if all(c.holds({name: value}) for c in driver.identify if c.register == name)
        ]
        for name in names
    }
    found: dict[Status, dict[str, Value]] = {}
    for rule in rules:
        if rule.status in found:
            continue
        # What the rule leaves open looks like this state by other rules, or like a car that waits.
        alike = [[c for r in rules if r.status is status for c in r.when] for status in (rule.status, Status.PLUGGED)]
        choices = []
        for name in names:
            fit = [v for v in candidates[name] if all(c.holds({name: v}) for c in rule.when if c.register == name)]
            choices.append(sorted(fit, key=partial(_unlike, name, alike)))
        for values in islice(product(*choices), _MOST_TRIES):
            known = dict(zip(names, values, strict=True))
            if driver.state.status(known) == (rule.status, True):
                found[rule.status] = known
                break
    return found


def _unlike(name: str, alike: list[list[Condition]], value: Value) -> tuple[bool, ...]:
    return tuple(not any(c.register == name and c.holds({name: value}) for c in conditions) for conditions in alike)


def _candidates(condition: Condition) -> Iterator[Value]:
    yield from condition.values
    for bound, beyond in ((condition.lowest, -1), (condition.highest, 1)):
        if bound is not None:
            yield bound
            if isinstance(bound, int | float):
                yield max(0, bound + beyond)
    # A value that no rule names, so that a rule which must not hold can be avoided.
    yield from (0, 1)


def identifying(driver: Driver) -> dict[str, Value]:
    """Values that this driver recognises its own device by, where no example says one."""
    known: dict[str, Value] = {}
    for condition in driver.identify:
        for value in (*condition.values, condition.lowest, condition.highest):
            if value is not None and condition.holds({condition.register: value}):
                known.setdefault(condition.register, value)
    return known
