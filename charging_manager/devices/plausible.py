"""Values that no installation has: a reading that holds one is not believed at all (SAFETY, F-21)."""

from __future__ import annotations

from collections.abc import Mapping

from charging_manager.devices.driver import Driver, Value

MOST_V = 600.0
"""Phase to neutral, with room for measuring errors and for meters wired between phases."""

MOST_METERED_A = 6500.0
"""What the largest transformers of a low-voltage site carry, when nobody says how large this one is."""

PHASES = (1, 2, 3)


def most_amps(driver: Driver, most_a: float | None) -> float:
    """No phase of this device carries more: ten times what it may, or what the site says."""
    if driver.setpoint is not None:
        return 10 * driver.setpoint.highest_a
    return most_a if most_a is not None else MOST_METERED_A


def nonsense_in(driver: Driver, values: Mapping[str, Value], most_a: float | None = None) -> str | None:
    """The name of the first measured value that cannot be, or None.

    A factor of 1000 shows in the voltage where a meter has one, else in the current; a wrong sign in both.
    """
    most = most_amps(driver, most_a)
    for phase in PHASES:
        for name, low, high in (
            (f"voltage_l{phase}_v", 0.0, MOST_V),
            (f"current_l{phase}_a", -most, most),
            (f"power_l{phase}_w", -most * MOST_V, most * MOST_V),
        ):
            if _outside(values.get(name), low, high):
                return name
    if _outside(values.get("power_w"), -3 * most * MOST_V, 3 * most * MOST_V):
        return "power_w"
    for phase in PHASES:
        if _too_much_power(values, phase):
            return f"power_l{phase}_w"
    return None


def _outside(value: Value, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not low <= value <= high


def _too_much_power(values: Mapping[str, Value], phase: int) -> bool:
    """Active power is at most voltage x current; half as much again and 500 W for values of different moments."""
    volts, amps, watts = (
        values.get(f"{what}_l{phase}_{unit}") for what, unit in (("voltage", "v"), ("current", "a"), ("power", "w"))
    )
    if not (isinstance(volts, int | float) and isinstance(amps, int | float) and isinstance(watts, int | float)):
        return False
    return abs(watts) > 1.5 * abs(volts * amps) + 500


def within_limits(driver: Driver, values: Mapping[str, Value]) -> dict[str, Value]:
    """The same values, those unknown that lie outside what the driver says of their register (0 is always inside)."""
    kept: dict[str, Value] = {}
    for name, value in values.items():
        register = driver.registers[name]
        low = register.lowest if register.lowest is not None else float("-inf")
        high = register.highest if register.highest is not None else float("inf")
        kept[name] = None if value and _outside(value, low, high) else value
    return kept
