"""Who wants what of which charge point now: by the configuration, the open sessions, and what boxes say of vehicles."""

from __future__ import annotations

from collections.abc import Callable

from charging_manager.agent.config import Configuration
from charging_manager.agent.sessions import SessionBook
from charging_manager.control.goals import CHARGING_EFFICIENCY
from charging_manager.model.goal import Goal
from charging_manager.model.reading import Reading, Status
from charging_manager.model.vehicle import Vehicle
from charging_manager.model.wish import Wish

SOC = "soc_pct"
"""By this name a driver reads the state of charge of the vehicle."""


def wishes(
    config: Configuration, book: SessionBook, last: Callable[[str], Reading | None] = lambda name: None
) -> dict[str, Wish]:
    """By charge point, where a car is plugged in, something was set by hand or there is a goal."""
    found = {}
    for name in book.charge_points() | config.overrides.keys() | config.goals.keys():
        session = book.running(name)
        goal = config.goals.get(name)
        user = config.users.get(session.user or "") if session else None
        vehicle = config.vehicles.get(name, Vehicle()) if session else Vehicle()
        session_wh = session.energy_wh if session else 0.0
        said = said_by_box(last(name)) if session else None
        found[name] = Wish(
            user=session.user if session else None,
            priority=user.priority if user else None,
            by_hand=name in config.overrides,
            session_wh=session_wh,
            goal=goal,
            soc_pct=said if said is not None else said_by_hand(vehicle, session_wh, goal),
            capacity_wh=vehicle.capacity_wh,
        )
    return found


def said_by_box(reading: Reading | None) -> float | None:
    """The state of charge that a box reads from the vehicle, where it is a percentage and a car is there."""
    if reading is None or reading.status not in (Status.PLUGGED, Status.CHARGING):
        return None
    value = reading.values.get(SOC)
    return float(value) if isinstance(value, int | float) and 0 <= value <= 100 else None


def said_by_hand(vehicle: Vehicle, session_wh: float, goal: Goal | None = None) -> float | None:
    """What somebody entered, and what has come in since; without a capacity it stays what was entered."""
    if vehicle.soc_pct is None:
        return None
    capacity_wh = vehicle.capacity_wh or (goal.capacity_wh if goal else None)
    came_wh = max(0.0, session_wh - vehicle.session_wh) * CHARGING_EFFICIENCY
    return min(100.0, vehicle.soc_pct + (100.0 * came_wh / capacity_wh if capacity_wh else 0.0))
