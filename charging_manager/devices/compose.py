"""Decoded values of a device become one ``Reading`` in the site's words: its phases, its signs, nothing impossible."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from attrs import frozen

from charging_manager.devices.codec import meaningful
from charging_manager.devices.driver import Driver, Kind, Value
from charging_manager.devices.plausible import nonsense_in, within_limits
from charging_manager.model.reading import Reading, Status
from charging_manager.model.units import MaybePhaseAmps

MEASURED = ("a", "v", "w", "wh", "va", "var", "hz")
NOT_MEASURED = frozenset({"applied_a", "setpoint_a", "hardware_max_a", "hardware_min_a", "failsafe_a", "cable_a"})

FLOWS = (("current", "a"), ("power", "w"))
"""What has a direction."""


@frozen
class Composed:
    """A reading, and what was odd about it."""

    reading: Reading
    nonsense: str | None
    """The value that cannot be; because of it all measured ones are unknown."""
    known_state: bool
    """False: the device said something of its state that the driver does not know."""


def compose(
    device: str,
    driver: Driver,
    decoded: Mapping[str, Value],
    taken_s: float,
    phases: tuple[int, ...],
    settings: Collection[str] = (),
    most_a: float | None = None,
) -> Composed:
    """The reading of these values; ``phases[i]`` is the site's phase on the device's own L1, L2, L3."""
    values = within_limits(driver, meaningful(driver, decoded))
    nonsense = nonsense_in(driver, values, most_a)
    if nonsense is not None:
        values = {name: None if _is_measured(name) else value for name, value in values.items()}
    _apply_settings(driver, values, settings)
    if driver.unsigned_currents:
        _sign_currents(values, by_all=driver.kind is Kind.INVERTER)
    if driver.kind is Kind.INVERTER:
        _as_consumption(values)
    status, known_state = None, True
    if driver.kind is Kind.CHARGER and driver.state is not None:
        status, known_state = driver.state.status(values)
    rfid = values.get("rfid")
    reading = Reading(
        device=device,
        taken_s=taken_s,
        current_a=_per_phase(values, "current_l{}_a", phases, 0.0),
        voltage_v=_per_phase(values, "voltage_l{}_v", phases, None),
        power_w=_number(values.get("power_w")),
        energy_wh=_number(values.get("energy_wh")),
        energy_export_wh=_number(values.get("energy_export_wh")),
        session_wh=_number(values.get("session_wh")),
        status=status,
        setpoint_a=_number(values.get(driver.setpoint.applied))
        if driver.setpoint and driver.setpoint.applied
        else None,
        rfid=str(rfid).upper() if rfid else None,
        values=values,
    )
    return Composed(reading, nonsense, known_state or status is not Status.UNKNOWN)


def _is_measured(name: str) -> bool:
    return name.rpartition("_")[2] in MEASURED and name not in NOT_MEASURED


def _apply_settings(driver: Driver, values: dict[str, Value], chosen: Collection[str]) -> None:
    for setting in driver.settings:
        if setting.name not in chosen:
            continue
        for name in setting.negate:
            value = _number(values.get(name))
            if value is not None:
                values[name] = -value
        for one, other in setting.swap:
            values[one], values[other] = values.get(other), values.get(one)


def _as_consumption(values: dict[str, Value]) -> None:
    """An inverter counts what it gives as positive; a reading counts what is drawn so."""
    for name in ("power_w", *(f"{what}_l{phase}_{unit}" for what, unit in FLOWS for phase in (1, 2, 3))):
        value = _number(values.get(name))
        if value is not None:
            values[name] = 0.0 - value


def _sign_currents(values: dict[str, Value], by_all: bool) -> None:
    """A current flows the way that its phase's power does, ``by_all``: else as the power of all phases together.

    Without a power it counts as positive.
    """
    together = values.get("power_w") if by_all else None
    for phase in (1, 2, 3):
        amps = _number(values.get(f"current_l{phase}_a"))
        if amps is not None:
            watts = _number(values.get(f"power_l{phase}_w", together))
            values[f"current_l{phase}_a"] = math.copysign(amps, watts) if watts else abs(amps)


def _per_phase(
    values: Mapping[str, Value], name: str, phases: tuple[int, ...], elsewhere: float | None
) -> MaybePhaseAmps:
    """By the site's phases; ``elsewhere`` is what a device of one phase means for the two that it is not on."""
    found: list[float | None] = [elsewhere] * 3
    for own, site in enumerate(phases, 1):
        found[site] = _number(values.get(name.format(own)))
    return found[0], found[1], found[2]


def _number(value: Value) -> float | None:
    return float(value) if isinstance(value, int | float) else None
