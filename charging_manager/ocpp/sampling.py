"""Meter values of both versions to samples: units, phases, what is missing. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from charging_manager.model.units import MaybePhaseAmps
from charging_manager.ocpp.values import Sample

CURRENT, POWER, ENERGY = "Current.Import", "Power.Active.Import", "Energy.Active.Import.Register"
VOLTAGE, OFFERED, SOC = "Voltage", "Current.Offered", "SoC"
MEASURANDS = (ENERGY, POWER, CURRENT, VOLTAGE)
"""What we want to hear, the most important first."""

_SCALE = {"kWh": 1000.0, "kW": 1000.0, "kVA": 1000.0, "mA": 0.001, "mV": 0.001}
_PHASES = {"L1": 0, "L2": 1, "L3": 2, "L1-N": 0, "L2-N": 1, "L3-N": 2}
_NO_PHASE = ""
_ALMOST_W = 150.0
_NOMINAL_V = 230.0
MOST_SAMPLES = 100
"""Of one message: what a charge point gathered while it was alone may be long."""


def moment(text: object) -> datetime | None:
    """An instant of ISO 8601, in UTC; one without a zone is UTC by OCPP. None: it is none."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def samples(meter_values: Iterable[Mapping[str, Any]], unit_of: Any) -> tuple[Sample, ...]:
    """One for each time stamp, in order. ``unit_of`` gives the factor of a sampled value: that differs by version."""
    return tuple(_sample(one, unit_of) for one in list(meter_values)[-MOST_SAMPLES:])


def _sample(meter_value: Mapping[str, Any], factor_of: Any) -> Sample:
    said: dict[str, dict[str, float]] = {}
    for one in meter_value["sampledValue"]:
        if one.get("format") == "SignedData" or one.get("location", "Outlet") not in ("Outlet", "Cable", "Body"):
            continue
        value = _number(one.get("value")) * factor_of(one)
        if math.isfinite(value):
            phase = str(one.get("phase", _NO_PHASE))
            said.setdefault(str(one.get("measurand", ENERGY)), {})[phase] = value
    voltage_v = _by_phase(said.get(VOLTAGE, {}))
    power_w = _power(said.get(POWER, {}))
    return Sample(
        at=moment(meter_value.get("timestamp")),
        current_a=_currents(said.get(CURRENT, {}), voltage_v, power_w),
        voltage_v=voltage_v,
        power_w=power_w,
        energy_wh=_whole(said.get(ENERGY, {})),
        offered_a=_highest(said.get(OFFERED, {})),
        soc_pct=_highest(said.get(SOC, {})),
    )


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _by_phase(values: Mapping[str, float]) -> MaybePhaseAmps:
    found: list[float | None] = [None, None, None]
    for name, value in values.items():
        if name in _PHASES:
            found[_PHASES[name]] = value
    return found[0], found[1], found[2]


def _currents(values: Mapping[str, float], voltage_v: MaybePhaseAmps, power_w: float | None) -> MaybePhaseAmps:
    """Phases that it left out carry nothing if those that it named explain its power; else they are unknown.

    A current without a phase may flow on each of them: loads are rounded up.
    """
    found = list(_by_phase(values))
    if all(amps is None for amps in found):
        whole = values.get(_NO_PHASE)
        return (whole, whole, whole)
    if None in found and power_w is not None:
        watts = sum(
            amps * (volts if volts is not None else _NOMINAL_V)
            for amps, volts in zip(found, voltage_v, strict=True)
            if amps is not None
        )
        if power_w <= watts + max(_ALMOST_W, 0.1 * watts):
            found = [0.0 if amps is None else amps for amps in found]
    return found[0], found[1], found[2]


def _power(values: Mapping[str, float]) -> float | None:
    return _whole(values)


def _whole(values: Mapping[str, float]) -> float | None:
    """The value over all phases, or the sum of the phases."""
    if _NO_PHASE in values:
        return values[_NO_PHASE]
    parts = [value for name, value in values.items() if name in _PHASES]
    return sum(parts) if parts else None


def _highest(values: Mapping[str, float]) -> float | None:
    return max(values.values(), default=None)


def scale(unit: str) -> float:
    """From this unit to ours."""
    return _SCALE.get(unit, 1.0)


def last_energy_wh(found: Sequence[Sample]) -> float | None:
    """The newest total among samples."""
    return next((one.energy_wh for one in reversed(found) if one.energy_wh is not None), None)
