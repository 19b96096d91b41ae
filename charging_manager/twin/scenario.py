"""A scenario file: a site, what surrounds it, and who comes. docs/twin.md has every key."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from datetime import datetime, time
from pathlib import Path

from attrs import evolve, field, frozen

from charging_manager.clocks import zone
from charging_manager.errors import ConfigError
from charging_manager.model.goal import Goal
from charging_manager.model.site import (
    ChargePoint,
    Circuit,
    Meter,
    MeterRole,
    Mode,
    Site,
    StorageRole,
    check_site,
)
from charging_manager.twin.arrivals import DAYS, HABITS, Group
from charging_manager.twin.cars import CarKind
from charging_manager.twin.house import PROFILES, HouseKind
from charging_manager.twin.keys import Keys
from charging_manager.twin.weather import Sky

MOST_BYTES = 1_000_000
MOST_POINTS = 2_000


@frozen
class SolarKind:
    """A roof."""

    circuit: str
    peak_w: float
    latitude: float
    longitude: float
    skies: tuple[Sky, ...]
    """Day by day, again and again."""


@frozen
class StorageKind:
    """A battery that keeps the flow at the grid near 0."""

    circuit: str
    capacity_wh: float
    power_w: float
    role: StorageRole = StorageRole.HOUSE
    start_pct: float = 50.0


@frozen
class BoxKind:
    """How a charge point obeys: so long from the setpoint to the confirmation, and whether it can use one phase."""

    confirm_s: int = 1
    switches_phases: bool = False


@frozen
class TariffSlot:
    """A price from this time of the day on."""

    begin: time
    price: float


@frozen
class Scenario:
    """Everything about a run but its length and its seed."""

    name: str
    start: datetime
    site: Site
    houses: tuple[HouseKind, ...] = ()
    solar: SolarKind | None = None
    storage: StorageKind | None = None
    boxes: Mapping[str, BoxKind] = field(factory=dict)
    """By charge point."""
    groups: tuple[Group, ...] = ()
    tariff: tuple[TariffSlot, ...] = ()
    currency: str = "EUR"
    pause_s: float = 300.0


def read_scenario(path: Path) -> Scenario:
    """The scenario of that file. Raises: ConfigError with file, key path and remedy."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({error.strerror}); name a scenario file") from error
    if len(data) > MOST_BYTES:
        raise ConfigError(str(path), "is larger than 1 MB; a scenario is a short TOML file")
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"is no TOML file: {error}") from error
    try:
        return make_scenario(Keys(table))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.where}", error.sentence) from error


def make_scenario(keys: Keys) -> Scenario:
    """The scenario of a parsed file. Raises: ConfigError with the key path."""
    day = keys.day("start")
    place = zone(keys.text("timezone", "Europe/Paris"))
    meters: dict[str, Meter] = {}
    circuits = _circuits(keys, meters)
    points, boxes = _charge_points(keys, circuits)
    houses = tuple(_house(row, circuits) for row in keys.rows("house"))
    _once("house", [house.circuit for house in houses], "a circuit has one [[house]]; add them up")
    solar = _solar(keys.table("solar"), circuits, meters)
    storage = _storage(keys.table("storage"), circuits, meters)
    groups = tuple(_group(row, points) for row in keys.rows("cars"))
    names = [name for group in groups for name in group.names()]
    _once("cars", names, "give every group a name of its own")
    _once("cars", [place for group in groups for place in group.places], "a charge point is one car's own")
    site = Site(
        name=keys.text("name"),
        serial="twin",
        circuits=circuits,
        charge_points=points,
        meters=meters,
        unbalance_a=keys.maybe("unbalance_a", most=100_000),
        first_come=keys.yes("first_come"),
    )
    tariff, currency = _tariff(keys.table("tariff"))
    pause_s = keys.number("pause_s", 300.0, most=86_400.0)
    keys.done()
    if not points:
        raise ConfigError("charge_point", "there is none; write at least one [[charge_point]]")
    if not groups:
        raise ConfigError("cars", "there are none; write at least one [[cars]]")
    start = datetime.combine(day, time(), place)
    return Scenario(
        site.name, start, check_site(site), houses, solar, storage, boxes, groups, tariff, currency, pause_s
    )


def _once(where: str, names: list[str], remedy: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(where, f"{name!r} is there {names.count(name)} times; {remedy}")


def _id(keys: Keys, taken: Mapping[str, object]) -> str:
    name = keys.text("id")
    if "." in name or "=" in name or not name.isprintable() or len(name) > 40:
        raise ConfigError(keys.where("id"), "has at most 40 printable characters, without dots and equals signs")
    if name in taken:
        raise ConfigError(keys.where("id"), f"is {name!r}, which is taken; give each an id of its own")
    return name


def _circuit_of(keys: Keys, circuits: Mapping[str, Circuit]) -> str:
    root = next(iter(circuits))
    return keys.text("circuit", root, among=list(circuits))


def _circuits(keys: Keys, meters: dict[str, Meter]) -> dict[str, Circuit]:
    circuits: dict[str, Circuit] = {}
    for row in keys.rows("circuit"):
        name = _id(row, circuits)
        if circuits and not row.has("parent"):
            raise ConfigError(row.where("parent"), "is missing; only the first circuit is the root of all")
        parent = row.text("parent", among=list(circuits)) if circuits else None
        limit_a = row.three("limit_a")
        meter = f"meter-{name}" if row.yes("metered", parent is None) else None
        if meter is not None:
            role = MeterRole.GRID if parent is None else MeterRole.CIRCUIT
            meters[meter] = Meter(meter, f"Meter of {name}", name, role)
        circuits[name] = Circuit(
            name,
            row.text("name", name),
            parent,
            limit_a,
            reserve_a=row.number("reserve_a", 0.0, most=max(limit_a)),
            fallback_a=row.number("fallback_a", 0.0, most=max(limit_a)),
            meter=meter,
            charging_limit_a=row.three("charging_limit_a") if row.has("charging_limit_a") else None,
            limit_w=row.maybe("limit_w"),
            charging_limit_w=row.maybe("charging_limit_w"),
        )
        row.done()
    if not circuits:
        raise ConfigError("circuit", "there is none; write at least one [[circuit]] with its limit_a")
    return circuits


def _charge_points(keys: Keys, circuits: Mapping[str, Circuit]) -> tuple[dict[str, ChargePoint], dict[str, BoxKind]]:
    points: dict[str, ChargePoint] = {}
    boxes: dict[str, BoxKind] = {}
    for row in keys.rows("charge_point"):
        first = _id(row, {**circuits, **points})
        count = row.whole("count", 1, least=1, most=MOST_POINTS)
        phases = row.phases("phases")
        turned = row.yes("rotate")
        least = row.number("min_a", 6.0, least=6.0, most=80.0)
        point = ChargePoint(
            first,
            row.text("name", first),
            _circuit_of(row, circuits),
            phases,
            least,
            row.number("max_a", 32.0, least=least, most=80.0),
            row.number("step_a", 1.0, least=0.1, most=10.0),
            row.whole("priority", 0, least=-1000),
            Mode(row.text("mode", "fast", among=[mode.value for mode in Mode])),
            max_w=row.maybe("max_w"),
        )
        kind = BoxKind(row.whole("confirm_s", 1, least=1, most=5), row.yes("switches_phases"))
        row.done()
        for number in range(count):
            name = first if count == 1 else f"{first}-{number + 1}"
            if name in points or name in circuits:
                raise ConfigError(row.where("id"), f"makes {name!r}, which is taken; give each an id of its own")
            own = tuple((phase + number) % 3 for phase in phases) if turned else phases
            said = point.name if count == 1 else f"{point.name} {number + 1}"
            points[name] = evolve(point, id=name, name=said, phases=own)
            boxes[name] = kind
        if len(points) > MOST_POINTS:
            raise ConfigError(row.where("count"), f"there are more than {MOST_POINTS} charge points in all")
    return points, boxes


def _house(row: Keys, circuits: Mapping[str, Circuit]) -> HouseKind:
    kind = HouseKind(
        _circuit_of(row, circuits),
        1000.0 * row.number("day_kwh", most=100_000.0),
        row.text("profile", "home", among=list(PROFILES)),
        row.number("noise", 0.3, most=2.0),
        row.number("every_s", 60.0, least=1.0, most=3600.0),
        row.maybe("most_a", most=100_000.0),
        row.whole("peaks", 4, most=500),
        row.number("peak_a", 8.0, most=1000.0),
    )
    row.done()
    return kind


def _solar(keys: Keys | None, circuits: Mapping[str, Circuit], meters: dict[str, Meter]) -> SolarKind | None:
    if keys is None:
        return None
    possible = [sky.value for sky in Sky]
    skies = keys.words("weather", tuple(possible), among=possible)
    kind = SolarKind(
        _circuit_of(keys, circuits),
        1000.0 * keys.number("peak_kw", most=100_000.0),
        keys.number("latitude", 48.0, least=-70.0, most=70.0),
        keys.number("longitude", 8.0, least=-180.0, most=180.0),
        tuple(Sky(sky) for sky in skies),
    )
    keys.done()
    meters["meter-solar"] = Meter("meter-solar", "Roof", kind.circuit, MeterRole.SOLAR)
    return kind


def _storage(keys: Keys | None, circuits: Mapping[str, Circuit], meters: dict[str, Meter]) -> StorageKind | None:
    if keys is None:
        return None
    kind = StorageKind(
        _circuit_of(keys, circuits),
        1000.0 * keys.number("capacity_kwh", least=0.1, most=100_000.0),
        1000.0 * keys.number("power_kw", least=0.1, most=100_000.0),
        StorageRole(keys.text("role", "house", among=[role.value for role in StorageRole])),
        keys.number("start_pct", 50.0, most=100.0),
    )
    keys.done()
    meters["meter-storage"] = Meter(
        "meter-storage", "Storage battery", kind.circuit, MeterRole.STORAGE, storage=kind.role
    )
    return kind


def _group(row: Keys, points: Mapping[str, ChargePoint]) -> Group:
    habit = HABITS[row.text("habit", "home", among=list(HABITS))]
    name = row.text("name")
    places = row.texts("charge_points", (), among=list(points))
    count = row.whole("count", max(1, len(places)), least=1, most=2000)
    if len(places) > count:
        raise ConfigError(
            row.where("charge_points"), f"names {len(places)} for {count} cars; name at most one for each"
        )
    most = row.number("max_a", 16.0, least=6.0, most=80.0)
    needs = row.number("needs_kwh", habit.needs_kwh, least=0.1, most=2000.0)
    battery = row.number("battery_kwh", max(60.0, needs), least=1.0, most=2000.0)
    kind = CarKind(
        row.whole("phases", 3, least=1, most=3),
        most,
        row.number("min_a", 6.0, least=6.0, most=most),
        1000.0 * battery,
        1000.0 * row.number("taper_kwh", 1.5, most=battery),
        row.whole("onset_s", 2, least=1, most=30),
        row.whole("follow_s", 4, least=1, most=30),
        row.yes("tells_soc"),
    )
    spread = row.number("spread_min", habit.spread_min, most=720.0)
    days = row.texts("days", habit.days, among=DAYS)
    group = Group(
        name,
        count,
        kind,
        row.clock("arrive", habit.arrive),
        row.clock("leave", habit.leave),
        60.0 * row.number("arrive_spread_min", spread, most=720.0),
        60.0 * row.number("leave_spread_min", spread, most=720.0),
        frozenset(DAYS.index(day) for day in days),
        row.number("chance", habit.chance, most=1.0),
        1000.0 * needs,
        row.number("needs_spread", 0.3, most=2.0),
        places,
        _goal(row.table("goal")),
        row.whole("priority", least=-1000) if row.has("priority") else None,
    )
    row.done()
    return group


def _goal(keys: Keys | None) -> Goal | None:
    if keys is None:
        return None
    energy, soc = keys.maybe("energy_kwh", most=2000.0), keys.maybe("soc_pct", most=100.0)
    if (energy is None) == (soc is None):
        raise ConfigError(keys.where("energy_kwh"), "give energy_kwh or soc_pct, one of both")
    goal = Goal(keys.clock("by"), None if energy is None else 1000.0 * energy, soc)
    keys.done()
    return goal


def _tariff(keys: Keys | None) -> tuple[tuple[TariffSlot, ...], str]:
    if keys is None:
        return (), "EUR"
    currency = keys.text("currency", "EUR")
    slots = [_slot(row) for row in keys.rows("slot")]
    if keys.has("price"):
        if slots:
            raise ConfigError(keys.where("price"), "give one price, or [[tariff.slot]] by time of the day")
        slots = [TariffSlot(time(), keys.number("price", least=-100.0, most=100.0))]
    keys.done()
    _once("tariff.slot", [slot.begin.isoformat("minutes") for slot in slots], "each slot begins at its own time")
    if not slots:
        raise ConfigError("tariff", "has no price; give price, or [[tariff.slot]] with from and price")
    return tuple(sorted(slots, key=lambda slot: slot.begin)), currency


def _slot(row: Keys) -> TariffSlot:
    slot = TariffSlot(row.clock("from"), row.number("price", least=-100.0, most=100.0))
    row.done()
    return slot


def price_at(slots: tuple[TariffSlot, ...], clock: time) -> float:
    """What a kWh costs at that time of the day; nan without a tariff."""
    if not slots:
        return math.nan
    found = slots[-1]
    for slot in slots:
        if slot.begin <= clock:
            found = slot
    return found.price
