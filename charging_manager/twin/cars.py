"""What kinds of cars there are, and one visit of a car to a charge point."""

from __future__ import annotations

from attrs import frozen

from charging_manager.model.goal import Goal
from charging_manager.model.units import MaybePhaseAmps

VOLTS = 230.0


@frozen
class CarKind:
    """How a car behaves. Currents are per phase; all phases that it uses carry the same."""

    phases: int = 3
    max_a: float = 16.0
    min_a: float = 6.0
    battery_wh: float = 60_000.0
    taper_wh: float = 1_500.0
    """From so little left on it draws less and less, in steps of 2 A."""
    onset_s: int = 2
    """So long after it is offered enough it begins to draw."""
    follow_s: int = 4
    """It has followed a new offer after so long; IEC 61851-1 allows 5 s."""
    tells_soc: bool = False


@frozen
class Visit:
    """One car from plug-in to plug-out; instants are seconds from the start of the run.

    ``charge_point``: its own; None: any free one. ``equals`` names cars that ought to fare alike.
    """

    car: str
    equals: str
    kind: CarKind
    arrive_s: int
    leave_s: int
    needs_wh: float
    charge_point: str | None = None
    goal: Goal | None = None
    priority: int | None = None
    user: str | None = None
    """Who charges, where that is not the car's own name."""


def level_a(kind: CarKind, left_wh: float) -> float:
    """What a car draws at most with so much left to charge: full current, then steps of 2 A down."""
    if left_wh <= 0.0:
        return 0.0
    if left_wh >= kind.taper_wh:
        return kind.max_a
    steps = int(kind.max_a * max(0.15, left_wh / kind.taper_wh) / 2.0) + 1
    return min(kind.max_a, 2.0 * steps)


def next_level_wh(kind: CarKind, left_wh: float) -> float:
    """With so much left, ``level_a`` stays the same until this much is left."""
    if left_wh > kind.taper_wh:
        return kind.taper_wh * 0.999999
    level = level_a(kind, left_wh)
    below = (level - 2.0) / kind.max_a
    if below < 0.15 or level <= 2.0:
        return 0.0
    return min(below * kind.taper_wh, left_wh) * 0.999999


def measured(milliamps: list[int]) -> MaybePhaseAmps:
    """Three phases in amperes."""
    return milliamps[0] / 1000.0, milliamps[1] / 1000.0, milliamps[2] / 1000.0
