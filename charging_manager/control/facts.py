"""What conditions of rules are judged by, gathered once for a decision, and only as far as some rule asks for it.

Unknown is None. A meter that is silent or frozen tells nothing; a box that does not answer may or may not be charging.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from datetime import datetime
from enum import StrEnum

from attrs import field, frozen

from charging_manager.control.prices import level_now, price_now
from charging_manager.control.rules import Rules
from charging_manager.control.wiring import NOMINAL_V
from charging_manager.model.outside import PriceLevel
from charging_manager.model.plan import SiteImage
from charging_manager.model.reading import Reading, Status
from charging_manager.model.site import MeterRole, Site, StorageRole

_MOST_W = 1e8


class Fact(StrEnum):
    """The kinds of facts that there are."""

    TIME = "time"
    PRICE = "price"
    LEVEL = "level"
    SURPLUS = "surplus"
    SOC = "soc"
    CHARGING = "charging"
    INPUT = "input"
    GRID = "grid"


@frozen
class Facts:
    """One moment of a site, as conditions see it."""

    now_at: datetime | None = None
    """Local time of the site, aware."""
    price: float | None = None
    level: PriceLevel | None = None
    surplus_w: float | None = None
    """What could be charged without taking from the grid."""
    grid_w: float | None = None
    """Positive: taken from the grid."""
    charging: tuple[int, int] = (0, 0)
    """So many cars charge for certain, and so many at most."""
    inputs: Mapping[str, bool | None] = field(factory=dict)
    soc_pct: Mapping[str, float | None] = field(factory=dict)
    """By charge point."""


def gather(image: SiteImage, needed: frozenset[Fact], frozen_meters: Container[str], rules: Rules) -> Facts:
    """What is known in this image of the facts that are needed."""
    outside = image.outside
    power = Fact.GRID in needed or Fact.SURPLUS in needed
    grid_w = _grid_w(image, frozen_meters, rules) if power else None
    return Facts(
        now_at=image.now_at,
        price=_finite(price_now(outside.prices, image.now_at)) if Fact.PRICE in needed else None,
        level=level_now(outside.prices, image.now_at) if Fact.LEVEL in needed else None,
        surplus_w=_surplus_w(image, grid_w, rules) if Fact.SURPLUS in needed else None,
        grid_w=grid_w,
        charging=_charging(image, rules) if Fact.CHARGING in needed else (0, 0),
        inputs=outside.inputs,
        soc_pct={name: _percent(wish.soc_pct) for name, wish in image.wishes.items()} if Fact.SOC in needed else {},
    )


def grid_meter(site: Site) -> str | None:
    """The meter that sees what the site takes from the grid."""
    root = next((circuit for circuit in site.circuits.values() if circuit.parent is None), None)
    if root is None:
        return None
    through = (MeterRole.GRID, MeterRole.CIRCUIT)
    named = site.meters.get(root.meter or "")
    if named is not None:
        return named.id if named.role in through else None
    return next((one.id for one in site.meters.values() if one.circuit == root.id and one.role in through), None)


def _grid_w(image: SiteImage, frozen_meters: Container[str], rules: Rules) -> float | None:
    meter = grid_meter(image.site)
    if meter is None or meter in frozen_meters:
        return None
    readings = image.readings.get(meter, ())
    if not readings:
        return None
    newest = readings[-1]
    if image.now_s - newest.taken_s >= rules.stale_after_s:
        return None
    return _plausible(newest.power_w)


def _surplus_w(image: SiteImage, grid_w: float | None, rules: Rules) -> float | None:
    """What flows back, and what cars take already: without them it would flow back too.

    What a storage battery gives is no sun; what it takes is left to it, unless it is there for cars too. A battery that
    is not known may be giving all of it.
    """
    if grid_w is None:
        return None
    taken_w = 0.0
    for meter in image.site.meters.values():
        if meter.role is MeterRole.STORAGE:
            newest = _fresh(image, meter.id, rules)
            storage_w = None if newest is None else _plausible(newest.power_w)
            if storage_w is None:
                return None
            if storage_w < 0.0 or meter.storage is StorageRole.ALL:
                taken_w += storage_w
    for name, point in image.site.charge_points.items():
        newest = _fresh(image, name, rules)
        if newest is not None and newest.status is Status.CHARGING and not point.out_of_service:
            taken_w += max(0.0, charging_w(newest) or 0.0)
    return taken_w - grid_w


def charging_w(reading: Reading) -> float | None:
    """What a box says that its car takes: its power, or else its currents at the nominal voltage."""
    if reading.power_w is not None:
        return _plausible(reading.power_w)
    known = [amps for amps in reading.current_a if amps is not None and math.isfinite(amps)]
    return _plausible(sum(known) * NOMINAL_V) if known else None


def _charging(image: SiteImage, rules: Rules) -> tuple[int, int]:
    """How many charge for certain, and how many may: a box that does not answer might."""
    surely = perhaps = 0
    for name, point in image.site.charge_points.items():
        if point.out_of_service:
            continue
        newest = _fresh(image, name, rules)
        if newest is None or newest.status in (None, Status.UNKNOWN):
            perhaps += 1
        elif newest.status is Status.CHARGING:
            surely += 1
    return surely, surely + perhaps


def _fresh(image: SiteImage, name: str, rules: Rules) -> Reading | None:
    readings = image.readings.get(name, ())
    newest = readings[-1] if readings else None
    return newest if newest is not None and image.now_s - newest.taken_s <= 2 * rules.box_silent_after_s else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _plausible(watts: float | None) -> float | None:
    return watts if watts is not None and -_MOST_W < watts < _MOST_W else None


def _percent(soc: float | None) -> float | None:
    return soc if soc is not None and 0.0 <= soc <= 100.0 else None
