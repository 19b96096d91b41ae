"""The site's tree, laid out for quick sums: every circuit and phase is a numbered line.

Line ``3 * circuit + phase``; circuits are numbered parents first, so that a walk backwards adds children to parents.
After them come three lines for the unbalance limit, which bound the cars that do not load all three phases, and three
for every circuit where charging alone has a limit. ``line % 3`` is the phase of each of these. Last come power limits,
one line each: there a car weighs as many phase-amperes as it uses phases. A site without such limits has no such lines.
"""

from __future__ import annotations

import math
from enum import StrEnum

from attrs import frozen

from charging_manager.model.site import ChargePoint, Circuit, MeterRole, Site

ALL = 0b111
"""Bits of all three phases."""
NOMINAL_V = 230.0
"""Phase to neutral, EN 50160. Where nobody measures, watts are counted at it."""


class Of(StrEnum):
    """What a power limit is about."""

    ALL = "all"  # everything that flows through the circuit
    CHARGING = "charging"
    ORDER = "order"  # of the grid operator, for charging


@frozen
class Power:
    """A power limit; ``watts`` of an order come with each image."""

    circuit: int
    of: Of
    watts: float = 0.0


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
    too_low: str | None = None
    """The name of a circuit that can never give it its least, whatever else flows."""


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
    feeders: tuple[int, ...] = ()
    """Circuits where charging alone has a limit, in the order of their lines."""
    powers: tuple[Power, ...] = ()
    """Power limits, in the order of their lines."""
    heavy: tuple[tuple[int, ...], ...] = ()
    """By circuit: lines of the power limits that bound its cars, up to the root."""
    dimmed: bool = False
    """Its last power limit is an order of the grid operator."""
    held: frozenset[str] | None = None
    """The charge points that this order is for; None: all."""

    def heavy_of(self, outlet: Outlet) -> tuple[int, ...]:
        """Lines of the power limits that bound this charge point's car."""
        lines = self.heavy[outlet.circuit]
        return lines if self.held is None or outlet.point.id in self.held else lines[:-1]

    @property
    def unbalance_line(self) -> int:
        """The first of the three lines of the unbalance limit."""
        return 3 * len(self.circuits)

    @property
    def first_feeder(self) -> int:
        """The first line of limits for charging alone."""
        return 3 * len(self.circuits) + (0 if self.site.unbalance_a is None else 3)

    @property
    def first_power(self) -> int:
        """The first line of power limits."""
        return self.first_feeder + 3 * len(self.feeders)


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


def wire(site: Site, *, dimmed: bool = False, held: frozenset[str] | None = None) -> Wiring:
    """The site laid out, with or without an order of the grid operator. It must have passed ``check_site``."""
    circuits = _parents_first(site)
    number = {circuit.id: index for index, circuit in enumerate(circuits)}
    parents = tuple(-1 if c.parent is None else number[c.parent] for c in circuits)
    feeders = tuple(index for index, circuit in enumerate(circuits) if circuit.charging_limit_a is not None)
    powers = _powers(circuits, dimmed=dimmed)
    feeder_at = 3 * len(circuits) + (0 if site.unbalance_a is None else 3)
    power_at = feeder_at + 3 * len(feeders)
    paths, heavy, above, meters, loads = [], [], [], [], []
    for circuit in circuits:
        meter, direct = _meters_of(site, circuit)
        meters.append(meter)
        loads.append(direct)
    for index in range(len(circuits)):
        up = [index]
        while parents[up[-1]] >= 0:
            up.append(parents[up[-1]])
        firsts = [3 * at for at in up] + [feeder_at + 3 * nth for nth, at in enumerate(feeders) if at in up]
        paths.append(_paths(firsts, None if site.unbalance_a is None else 3 * len(circuits)))
        heavy.append(tuple(power_at + nth for nth, power in enumerate(powers) if power.circuit in up))
        above.append(tuple(at for at in up if meters[at] is not None))
    outlets = tuple(_outlet(index, point, site, number) for index, point in enumerate(site.charge_points.values()))
    return Wiring(
        site,
        tuple(circuits),
        parents,
        outlets,
        tuple(paths),
        tuple(meters),
        tuple(loads),
        tuple(above),
        feeders,
        powers,
        tuple(heavy),
        dimmed,
        held,
    )


def _paths(firsts: list[int], unbalance: int | None) -> tuple[tuple[int, ...], ...]:
    """For every set of phases the lines that begin with these."""
    by_bits = []
    for bits in range(8):
        phases = [phase for phase in range(3) if bits >> phase & 1]
        lines = [first + phase for first in firsts for phase in phases]
        if unbalance is not None and bits != ALL:
            lines += [unbalance + phase for phase in phases]
        by_bits.append(tuple(lines))
    return tuple(by_bits)


def _powers(circuits: list[Circuit], *, dimmed: bool) -> tuple[Power, ...]:
    powers = []
    for index, circuit in enumerate(circuits):
        if circuit.limit_w is not None:
            powers.append(Power(index, Of.ALL, circuit.limit_w))
        if circuit.charging_limit_w is not None:
            powers.append(Power(index, Of.CHARGING, circuit.charging_limit_w))
    if dimmed and circuits:
        powers.append(Power(0, Of.ORDER))
    return tuple(powers)


def _outlet(index: int, point: ChargePoint, site: Site, number: dict[str, int]) -> Outlet:
    lowest_a = ceil_step(point.min_a, point.step_a)
    return Outlet(
        index,
        point,
        number[point.circuit],
        bits_of(point.phases),
        lowest_a,
        floor_step(point.max_a, point.step_a),
        next((c.name or c.id for c in site.path_to_root(point.circuit) if most_a(c, point) < lowest_a), None),
    )


def most_a(circuit: Circuit, point: ChargePoint) -> float:
    """What a circuit could give this charge point on all its phases if nothing else flowed, at nominal voltage."""
    found = math.inf
    for phase in point.phases:
        found = min(found, circuit.limit_a[phase] - circuit.reserve_a)
        if circuit.charging_limit_a is not None:
            found = min(found, circuit.charging_limit_a[phase])
    for watts in (circuit.limit_w, circuit.charging_limit_w):
        if watts is not None:
            found = min(found, watts / (NOMINAL_V * len(point.phases)))
    return found


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
