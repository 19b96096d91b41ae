"""What the site draws now, as its devices say: the numbers that an order of the grid operator is judged by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from attrs import frozen

from charging_manager.control.dimming import own_power_w
from charging_manager.model.reading import Reading, Status
from charging_manager.model.site import MeterRole, Site

FRESH_S = 10.0
NOMINAL_V = 230.0


@frozen
class Measured:
    """Sums over what was read of late; None: nobody measures it."""

    charging_w: float | None
    """All charge points that could be read."""
    counted_w: float | None
    """Those that are dimmed; None if one of them could not be read."""
    grid_w: float | None
    own_w: float
    """Own generation that is left for the charge points that are dimmed."""
    silent: int
    """Charge points that are not in the sum."""


def measured(
    site: Site, last: Callable[[str], Reading | None], now_s: float, counted: Collection[str] | None
) -> Measured:
    """Now, by the newest readings; one older than 10 s says nothing."""

    def fresh(name: str) -> Reading | None:
        reading = last(name)
        return reading if reading is not None and now_s - reading.taken_s <= FRESH_S else None

    total_w, counted_w, silent = 0.0, 0.0, 0
    counted_known = True
    for point in site.charge_points.values():
        if point.out_of_service:
            continue
        watts = drawn_w(fresh(point.id))
        counts = counted is None or point.id in counted
        if watts is None:
            silent += 1
            counted_known = counted_known and not counts
            continue
        total_w += watts
        counted_w += watts if counts else 0.0

    def metered(role: MeterRole) -> list[float | None]:
        return [flow_w(fresh(meter.id)) for meter in site.meters.values() if meter.role is role]

    grid = metered(MeterRole.GRID)
    counted_if_known = counted_w if counted_known else None
    return Measured(
        charging_w=total_w if silent < len(site.charge_points) or not site.charge_points else None,
        counted_w=counted_if_known,
        grid_w=_sum(grid),
        own_w=own_power_w(grid, counted_if_known, metered(MeterRole.STORAGE)),
        silent=silent,
    )


def drawn_w(reading: Reading | None) -> float | None:
    """What a charge point draws; a free one draws nothing."""
    watts = flow_w(reading)
    if watts is None and reading is not None and reading.status is Status.FREE:
        return 0.0
    return watts if watts is None else max(0.0, watts)


def flow_w(reading: Reading | None) -> float | None:
    """Power as it was measured, or else by currents and voltages (230 V where none is measured)."""
    if reading is None:
        return None
    if reading.power_w is not None:
        return reading.power_w
    watts = 0.0
    for amps, volts in zip(reading.current_a, reading.voltage_v, strict=True):
        if amps is None:
            return None
        watts += amps * (volts if volts is not None else NOMINAL_V)
    return watts


def _sum(several: Iterable[float | None]) -> float | None:
    known = list(several)
    found = [watts for watts in known if watts is not None]
    return sum(found) if known and len(found) == len(known) else None
