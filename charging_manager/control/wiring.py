"""The site's tree, laid out for quick sums: every circuit and phase is a numbered line.

Line ``3 * circuit + phase``; circuits are numbered parents first, so that a walk backwards adds children to parents.
After them come three lines for the unbalance limit, which bound the cars that do not load all three phases.
"""

from __future__ import annotations

import math

from attrs import frozen

from charging_manager.model.site import ChargePoint, Circuit, MeterRole, Site

ALL = 0b111
"""Bits of all three phases."""


@frozen(eq=False)
class Outlet:
    """A charge point in the tree, with the lowest and highest setpoint that its steps allow."""

    index: int
    point: ChargePoint
    circuit: int
    bits: int
    """The site's phases that it is connected to."""
    lowest_a: float
    highest_a: float


@frozen(eq=False)
class Wiring:
    """One site, compiled. It belongs to this very Site object and is made anew for any other."""

    site: Site
    circuits: tuple[Circuit, ...]
    parents: tuple[int, ...]
    outlets: tuple[Outlet, ...]
    paths: tuple[tuple[tuple[int, ...], ...], ...]
    """``paths[circuit][bits]``: every line that bounds a car on these phases, up to the root."""
    meters: tuple[str | None, ...]
    """By circuit: the meter that sees all that flows through it."""
    loads: tuple[tuple[str, ...], ...]
    """By circuit without such a meter: meters of house load alone."""
    metered_above: tuple[tuple[int, ...], ...]
    """By circuit: itself and those above it that have a meter."""

    @property
    def unbalance_line(self) -> int:
        """The first of the three lines of the unbalance limit."""
        return 3 * len(self.circuits)


def floor_step(amps: float, step: float) -> float:
    """Rounded down to what the box can take; a hair below a step counts as that step."""
    if step <= 0:
        return amps
    steps = math.floor(amps / step + 1e-6)
    return round(steps * step, 6)


def ceil_step(amps: float, step: float) -> float:
    """Rounded up to what the box can take."""
    return -floor_step(-amps + 2e-6 * step, step) if step > 0 else amps


def bits_of(phases: tuple[int, ...]) -> int:
    """Phases as bits: L1 is 1, L2 is 2, L3 is 4."""
    return sum(1 << phase for phase in phases)


def wire(site: Site) -> Wiring:
    """The site laid out. It must have passed ``check_site``."""
    circuits = _parents_first(site)
    number = {circuit.id: index for index, circuit in enumerate(circuits)}
    parents = tuple(-1 if c.parent is None else number[c.parent] for c in circuits)
    unbalance = 3 * len(circuits)
    paths = []
    for index in range(len(circuits)):
        up = [index]
        while parents[up[-1]] >= 0:
            up.append(parents[up[-1]])
        by_bits = []
        for bits in range(8):
            phases = [phase for phase in range(3) if bits >> phase & 1]
            lines = [3 * at + phase for at in up for phase in phases]
            if site.unbalance_a is not None and bits != ALL:
                lines += [unbalance + phase for phase in phases]
            by_bits.append(tuple(lines))
        paths.append(tuple(by_bits))
    meters, loads = [], []
    for circuit in circuits:
        meter, direct = _meters_of(site, circuit)
        meters.append(meter)
        loads.append(direct)
    above = []
    for index in range(len(circuits)):
        found, at = [], index
        while at >= 0:
            if meters[at] is not None:
                found.append(at)
            at = parents[at]
        above.append(tuple(found))
    outlets = tuple(
        Outlet(
            index,
            point,
            number[point.circuit],
            bits_of(point.phases),
            ceil_step(point.min_a, point.step_a),
            floor_step(point.max_a, point.step_a),
        )
        for index, point in enumerate(site.charge_points.values())
    )
    return Wiring(site, tuple(circuits), parents, outlets, tuple(paths), tuple(meters), tuple(loads), tuple(above))


def _parents_first(site: Site) -> list[Circuit]:
    children: dict[str | None, list[Circuit]] = {}
    for circuit in site.circuits.values():
        children.setdefault(circuit.parent, []).append(circuit)
    order = list(children.get(None, ()))
    for circuit in order:  # grows while it is walked
        order.extend(children.get(circuit.id, ()))
    return order


def _meters_of(site: Site, circuit: Circuit) -> tuple[str | None, tuple[str, ...]]:
    """The meter that sees the whole circuit, or else those that see a part of its house load."""
    through = (MeterRole.GRID, MeterRole.CIRCUIT)
    here = [meter for meter in site.meters.values() if meter.circuit == circuit.id]
    named = site.meters.get(circuit.meter or "")
    if named is not None and named.role in through:
        return named.id, ()
    if named is None:
        for meter in here:
            if meter.role in through:
                return meter.id, ()
    direct = {meter.id: None for meter in here if meter.role in (MeterRole.LOAD, MeterRole.STORAGE)}
    if named is not None:
        direct[named.id] = None
    return None, tuple(direct)
