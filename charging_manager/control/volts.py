"""How many watts an ampere is: at the highest voltage of the last minutes, and never less than the nominal one.

A limit in watts is kept as one in amperes, because amperes are what a charge point can be told. Where a circuit's own
meter or a charge point below it measures voltage, the highest phase counts; else 230 V, at which everybody reckons who
does not measure. Power factors are taken for 1. So the watts that flow are never more than the amperes say.
"""

from __future__ import annotations

from collections.abc import Sequence

from charging_manager.control.memory import Peak
from charging_manager.control.rules import Rules
from charging_manager.control.wiring import NOMINAL_V
from charging_manager.model.reading import Reading

HIGHEST_V = 276.0
"""A fifth above nominal: no supply is so high for long (EN 50160 allows a tenth), and what says so does not measure."""


def highest_v(readings: Sequence[Reading]) -> float:
    """The highest plausible phase of the newest reading; nominal where there is none."""
    found = NOMINAL_V
    if readings:
        for volts in readings[-1].voltage_v:
            if volts is not None and found < volts <= HIGHEST_V:  # NaN is never between
                found = volts
    return found


def higher(peak: Peak | None, volts: float, now: float, rules: Rules) -> Peak:
    """The peak after this; a lower one takes its place when it is old."""
    if peak is not None and volts == peak.volts == NOMINAL_V:
        return peak
    if peak is not None and volts < peak.volts and now - peak.at_s < rules.volts_s:
        return peak
    return Peak(volts, now)


def volts_of(peak: Peak | None) -> float:
    """The voltage to reckon with."""
    return NOMINAL_V if peak is None else peak.volts
