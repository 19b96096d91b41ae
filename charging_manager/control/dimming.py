"""How far a grid operator may dim (§14a EnWG), and what a site draws from the grid meanwhile. Pure.

Source: Bundesnetzagentur, decision BK6-22-300 of 27 November 2023, annex 1 ("Festlegung zur Integration von steuerbaren
Verbrauchseinrichtungen"), number 4.5.1 (one device that is dimmed by itself) and 4.5.2 (several under one energy
management). docs/grid-operator.md says what was read out of it and where there was a choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from charging_manager.model.grid import GridSettings

ONE_W = 4200.0
"""What a controllable device may always draw from the grid."""

FACTORS = {2: 0.80, 3: 0.75, 4: 0.70, 5: 0.65, 6: 0.60, 7: 0.55, 8: 0.50}
"""Simultaneity factor (Gleichzeitigkeitsfaktor, GZF) by the number of devices; annex 1, number 4.5.2, table."""

FACTOR_OF_MANY = 0.45
"""Of nine devices and more; the same table."""

SCALED = 0.4
"""Heat pumps, or cooling, of more than 11 kW may always draw this part of their connected power; number 4.5.2."""


def minimum_w(devices: int, heat_pumps_w: float = 0.0, cooling_w: float = 0.0) -> float:
    """P_min,14a = max(4.2 kW; 0.4 × heat pumps; 0.4 × cooling) + (n - 1) × GZF × 4.2 kW; nothing for no device.

    ``devices`` counts all of them; all heat pumps together are one, all cooling too.
    """
    if devices <= 0:
        return 0.0
    first_w = max(ONE_W, SCALED * heat_pumps_w, SCALED * cooling_w)
    factor = FACTORS.get(devices, FACTOR_OF_MANY) if devices > 1 else 0.0
    return first_w + (devices - 1) * factor * ONE_W


def site_minimum_w(grid: GridSettings, charge_points: int) -> float:
    """The minimum of a site with so many charge points that are dimmed."""
    return minimum_w(charge_points + grid.other_devices, grid.heat_pumps_w, grid.cooling_w)


def limit_w(grid: GridSettings, charge_points: int, asked_w: float | None) -> float:
    """What the controllable devices may draw from the grid when ``asked_w`` is asked for; None: no number was given.

    Never less than the law leaves, unless the customer wants it so.
    """
    least_w = site_minimum_w(grid, charge_points)
    if asked_w is None:
        return max(least_w, grid.agreed_w or 0.0)
    return asked_w if grid.below_minimum else max(asked_w, least_w)


def charging_w(grid: GridSettings, charge_points: int, limit_w: float) -> float:
    """What of that limit is for charging: the rest of the devices has its part."""
    return max(0.0, limit_w - grid.others_w) if grid.other_devices else limit_w


def own_power_w(grid_w: Sequence[float | None], charging_w: float | None, stored_w: Sequence[float | None]) -> float:
    """What own generation leaves for the charge points that are dimmed, after everything else has had its part.

    ``grid_w`` is what each meter at the grid shows (import is positive), ``charging_w`` what those charge points draw,
    ``stored_w`` what each storage battery takes (negative: gives). Anything unknown, and there is none: what a battery
    gives is no generation, for it may have come from the grid.
    """
    if not grid_w or charging_w is None:
        return 0.0
    own_w = charging_w
    for watts in grid_w:
        if watts is None:
            return 0.0
        own_w -= watts
    for watts in stored_w:
        if watts is None:
            return 0.0
        own_w += min(watts, 0.0) if math.isfinite(watts) else math.nan
    return max(0.0, own_w) if math.isfinite(own_w) else 0.0


def from_grid_w(charging_w: float | None, own_w: float) -> float | None:
    """What the charge points take from the grid: what the law measures by. None: unknown."""
    return None if charging_w is None else max(0.0, charging_w - own_w)
