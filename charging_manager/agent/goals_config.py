"""Do goals, and what is said of vehicles, make sense? Raises ConfigError with the key path and remedy."""

from __future__ import annotations

from collections.abc import Container, Mapping

from charging_manager.errors import ConfigError
from charging_manager.model.goal import Goal
from charging_manager.model.vehicle import Vehicle

MOST_WH = 500_000.0
"""No car's battery is larger; beyond it numbers come from mistakes."""
LEAST_WH = 100.0


def check_goals(goals: Mapping[str, Goal], charge_points: Container[str]) -> None:
    """Every goal belongs to a charge point, and wants one thing by a time that comes."""
    for name, goal in goals.items():
        where = f"goals.{name}"
        if name not in charge_points:
            raise ConfigError(where, "there is no charge point {name}; name one that exists", name=repr(name))
        if (goal.energy_wh is None) == (goal.soc_pct is None):
            raise ConfigError(f"{where}.energy_wh", "say how much energy, or which state of charge; one of both")
        if goal.energy_wh is not None and not LEAST_WH <= goal.energy_wh <= MOST_WH:  # NaN is neither
            raise ConfigError(f"{where}.energy_wh", "a number of watt-hours from 100 to 500000")
        if goal.soc_pct is not None and not 1.0 <= goal.soc_pct <= 100.0:
            raise ConfigError(f"{where}.soc_pct", "a number of percent from 1 to 100")
        if goal.capacity_wh is not None and not 1000.0 <= goal.capacity_wh <= MOST_WH:
            raise ConfigError(f"{where}.capacity_wh", "a number of watt-hours from 1000 to 500000, or empty")
        if goal.by.tzinfo is not None:
            raise ConfigError(f"{where}.by", "a time of the day like 07:00, in the site's own time")
        if goal.on is None and (not goal.days or not goal.days <= frozenset(range(7))):
            raise ConfigError(f"{where}.days", "one weekday at least, from 0 (Monday) to 6")


def check_vehicles(vehicles: Mapping[str, Vehicle]) -> None:
    """Raises: ConfigError with the key path and remedy."""
    for name, vehicle in vehicles.items():
        where = f"vehicles.{name}"
        if vehicle.soc_pct is not None and not 0.0 <= vehicle.soc_pct <= 100.0:  # NaN is neither
            raise ConfigError(f"{where}.soc_pct", "a number of percent from 0 to 100, or empty")
        if vehicle.capacity_wh is not None and not 1000.0 <= vehicle.capacity_wh <= MOST_WH:
            raise ConfigError(f"{where}.capacity_wh", "a number of watt-hours from 1000 to 500000, or empty")
