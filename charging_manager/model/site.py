"""A site: circuits in a tree, charge points and meters on them. Checked once by ``check_site``, then trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from attrs import field, frozen

from charging_manager.errors import ConfigError
from charging_manager.model.mode import Mode
from charging_manager.model.rule import Rule
from charging_manager.model.rulecheck import check_rules
from charging_manager.model.units import PhaseAmps

__all__ = [
    "Breaker",
    "BreakerCurve",
    "ChargePoint",
    "Circuit",
    "Meter",
    "MeterRole",
    "Mode",
    "Site",
    "SolarSettings",
    "StorageRole",
    "check_site",
]

MOST_A = 100_000.0
"""No fuse is larger; beyond it numbers come from mistakes, or from somebody who wants sums to overflow."""


MOST_W = 3 * 400 * MOST_A
LEAST_RATED_A, MOST_RATED_A = 6.0, 125.0
"""Of miniature circuit breakers, IEC 60898-1."""


class MeterRole(StrEnum):
    """What a meter measures. GRID and CIRCUIT see everything that flows through their circuit, charging included."""

    GRID = "grid"
    CIRCUIT = "circuit"
    LOAD = "load"  # the circuit's house load alone, without charging
    SOLAR = "solar"
    STORAGE = "storage"


class StorageRole(StrEnum):
    """For whom a storage battery is there."""

    HOUSE = "house"  # cars get nothing of what it gives, and it is filled before them
    ALL = "all"  # what it could take, and what it gives, is for cars too


class BreakerCurve(StrEnum):
    """Of a miniature circuit breaker, IEC 60898-1."""

    B = "B"
    C = "C"


@frozen
class Breaker:
    """What protects a circuit, for its thermal model; without one a limit is a limit at every instant."""

    curve: BreakerCurve
    rated_a: float


@frozen
class SolarSettings:
    """How cars follow the sun; currents are per phase that the car uses."""

    start_a: float = 6.5
    """From so much surplus on a car starts,"""
    start_after_s: float = 60.0
    """after so long of it."""
    grace_s: float = 300.0
    """So long does it go on at its minimum when there is less."""
    import_w: float = 0.0
    """Aimed at where the site meets the grid: positive takes from the grid, negative leaves something to it."""
    three_after_s: float = 180.0
    """From one to three phases after so long of enough for three."""
    phases: int | None = None
    """1 or 3: never another; None: as the sun is."""
    grid_pct: float = 1.6
    """Of what a car charges by the sun alone, so much may come from the grid while clouds pass; more ends its grace."""


@frozen
class Circuit:
    """A fused part of the site's wiring; circuits form a tree under one root (``parent`` is None)."""

    id: str
    name: str
    parent: str | None
    limit_a: PhaseAmps
    reserve_a: float = 0.0
    fallback_a: float = 0.0
    """What charging below may draw, per phase, while this circuit's meter is silent."""
    meter: str | None = None
    charging_limit_a: PhaseAmps | None = None
    """What charging alone may draw here, per phase, whatever else flows; None: no such limit."""
    limit_w: float | None = None
    """What may flow in all, over all phases; None: no such limit."""
    charging_limit_w: float | None = None
    """What charging alone may draw, over all phases; None: no such limit."""
    breaker: Breaker | None = None
    """Lets short peaks pass that it bears; never where the grid operator set the limit."""


@frozen
class ChargePoint:
    """A box that we steer. ``phases[i]`` is the site's phase (0..2) on the box's own L1, L2, L3: one or three."""

    id: str
    name: str
    circuit: str
    phases: tuple[int, ...] = (0, 1, 2)
    min_a: float = 6.0
    max_a: float = 32.0
    step_a: float = 1.0
    priority: int = 0
    """Higher is served first."""
    mode: Mode = Mode.FAST
    out_of_service: bool = False
    max_w: float | None = None
    """The most over all phases; None: as ``max_a`` has it."""
    solar: SolarSettings | None = None
    """None: as the site has it."""


@frozen
class Meter:
    """A thing that measures; ``circuit`` is where it sits. ``phases`` as for a charge point."""

    id: str
    name: str
    circuit: str
    role: MeterRole
    phases: tuple[int, ...] = (0, 1, 2)
    storage: StorageRole = StorageRole.HOUSE
    """Of a storage battery's meter."""


@frozen
class Site:
    """Everything behind one grid connection, by id. Raises (from check_site): ConfigError naming the key path."""

    name: str
    serial: str
    circuits: Mapping[str, Circuit] = field(factory=dict)
    charge_points: Mapping[str, ChargePoint] = field(factory=dict)
    meters: Mapping[str, Meter] = field(factory=dict)
    unbalance_a: float | None = None
    """Most that charging may differ between two phases; None: no such limit."""
    unbalance_with_house: bool = False
    """The unbalance limit counts house load too."""
    first_come: bool = False
    """Inside a priority, who was plugged in first is served first, before turns rotate."""
    solar: SolarSettings = SolarSettings()
    storage_lock: bool = False
    """Storage batteries for the house give nothing while a car charges by more than the sun."""
    measure_cars: bool = True
    """A car with a goal may charge for some seconds before its times, to see how much it takes."""
    rules: tuple[Rule, ...] = ()

    def path_to_root(self, circuit: str) -> Iterator[Circuit]:
        """The circuit and all above it, lowest first."""
        at: str | None = circuit
        while at is not None:
            found = self.circuits[at]
            yield found
            at = found.parent


def check_site(site: Site) -> Site:
    """The same site, if it makes sense. Raises: ConfigError with the key path and what to do."""
    for circuit in site.circuits.values():
        where = f"circuits.{circuit.id}"
        for amps in (*circuit.limit_a, circuit.reserve_a, circuit.fallback_a):
            if not 0 <= amps <= MOST_A:
                raise ConfigError(where, "limits are numbers of amperes from 0 to 100000")
        _check_further_limits(circuit)
        if circuit.parent is not None and circuit.parent not in site.circuits:
            raise ConfigError(
                f"{where}.parent", "there is no circuit {name}; name one that exists", name=repr(circuit.parent)
            )
        if circuit.meter is not None and circuit.meter not in site.meters:
            raise ConfigError(
                f"{where}.meter", "there is no meter {name}; add the meter first", name=repr(circuit.meter)
            )
        if circuit.meter is not None and site.meters[circuit.meter].role in (MeterRole.SOLAR, MeterRole.STORAGE):
            raise ConfigError(
                f"{where}.meter",
                "the meter {name} does not see what the circuit draws; name one that does",
                name=repr(circuit.meter),
            )
        _climb(site, circuit)
    roots = [circuit.id for circuit in site.circuits.values() if circuit.parent is None]
    if site.circuits and len(roots) != 1:
        raise ConfigError(
            "circuits",
            "one circuit must be the root, without a parent; here: {names}",
            names=", ".join(roots) or "–",
        )
    things: list[ChargePoint | Meter] = [*site.charge_points.values(), *site.meters.values()]
    for thing in things:
        where = f"devices.{thing.id}"
        if thing.circuit not in site.circuits:
            raise ConfigError(
                f"{where}.circuit", "there is no circuit {name}; name one that exists", name=repr(thing.circuit)
            )
        if not thing.phases or len(thing.phases) not in (1, 3) or len(set(thing.phases)) != len(thing.phases):
            raise ConfigError(f"{where}.phases", "one phase, or all three, each once")
        if not set(thing.phases) <= {0, 1, 2}:
            raise ConfigError(f"{where}.phases", "phases are L1, L2 and L3")
    for point in site.charge_points.values():
        where = f"devices.{point.id}"
        for key, amps in (("min_a", point.min_a), ("max_a", point.max_a), ("step_a", point.step_a)):
            if not 0 < amps <= MOST_A:
                raise ConfigError(f"{where}.{key}", "a number of amperes above 0")
        if point.max_w is not None and not 0 < point.max_w <= MOST_W:
            raise ConfigError(f"{where}.max_w", "a number of watts above 0, or empty for no such limit")
    if site.unbalance_a is not None and not 0 <= site.unbalance_a <= MOST_A:
        raise ConfigError("unbalance_a", "a number of amperes from 0 to 100000, or empty for no limit")
    check_rules(site.rules)
    return site


def _check_further_limits(circuit: Circuit) -> None:
    where = f"circuits.{circuit.id}"
    for amps in circuit.charging_limit_a or ():
        if not 0 <= amps <= MOST_A:
            raise ConfigError(f"{where}.charging_limit_a", "limits are numbers of amperes from 0 to 100000")
    for key, watts in (("limit_w", circuit.limit_w), ("charging_limit_w", circuit.charging_limit_w)):
        if watts is not None and not 0 <= watts <= MOST_W:
            raise ConfigError(f"{where}.{key}", "a number of watts from 0, or empty for no such limit")
    if circuit.breaker is None:
        return
    rated_a = circuit.breaker.rated_a
    if not LEAST_RATED_A <= rated_a <= MOST_RATED_A:
        raise ConfigError(f"{where}.breaker.rated_a", "the rated current of a breaker is 6 to 125 A")
    if rated_a < max(circuit.limit_a):
        raise ConfigError(
            f"{where}.breaker.rated_a",
            "the breaker of {rated} A does not bear the limit of {amps} A; lower the limit, or correct the breaker",
            rated=f"{rated_a:g}",
            amps=f"{max(circuit.limit_a):g}",
        )


def _climb(site: Site, circuit: Circuit) -> None:
    seen = {circuit.id}
    at = circuit.parent
    while at is not None and at in site.circuits:
        if at in seen:
            raise ConfigError(
                f"circuits.{circuit.id}.parent", "the circuits form a loop; give one of them another parent"
            )
        seen.add(at)
        at = site.circuits[at].parent
