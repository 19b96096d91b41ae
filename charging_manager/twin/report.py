"""What a run says to people, as a table, and to programs, as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import frozen

from charging_manager.twin.account import Sums
from charging_manager.twin.box import Stay
from charging_manager.twin.build import Run
from charging_manager.twin.weather import local

LINES = ("L1", "L2", "L3")


@frozen
class CarSum:
    """How one car fared over the whole run."""

    car: str
    equals: str
    visits: int
    wanted_wh: float
    """As much of it as its car can take in the time it was there."""
    delivered_wh: float
    waited_s: int
    longest_wait_s: int
    starts: int
    plugged_s: int

    @property
    def unmet_wh(self) -> float:
        return max(0.0, self.wanted_wh - self.delivered_wh)


@frozen
class Load:
    """The highest load of a circuit's phase in any second."""

    circuit: str
    phase: str
    limit_a: float
    """The last, where it was changed meanwhile."""
    highest_a: float
    at: datetime
    over_s: int
    """For how long in all it lay above the limit."""
    longest_over_s: int


@frozen
class Result:
    """A whole run, summed up."""

    name: str
    days: float
    cars: tuple[CarSum, ...]
    loads: tuple[Load, ...]
    sums: Sums
    fairness: Mapping[str, float]
    """Jain's index of delivered energy, by group of equal cars."""
    turned_away: int
    currency: str
    decisions: int
    violations: Mapping[str, int]


def jain(values: Iterable[float]) -> float:
    """Fairness of shares, from 1/n (one has all) to 1 (all have the same). Source: R. Jain, D. Chiu, W. Hawe, DEC
    TR-301, 1984."""
    shares = list(values)
    squares = sum(share * share for share in shares)
    return 1.0 if not shares or squares == 0.0 else sum(shares) ** 2 / (len(shares) * squares)


def result_of(run: Run) -> Result:
    """The sums of a run that is over."""
    cars = car_sums(run.plant.stays)
    groups: dict[str, list[float]] = {}
    for car in cars:
        groups.setdefault(car.equals, []).append(car.delivered_wh)
    sums = run.account.sums()
    loads = []
    for index, name in enumerate(run.plant.circuits):
        limits = run.plant.configured[name][-1].limit_a
        for phase in range(3):
            line = 3 * index + phase
            most = sums.highest[line]
            over = run.account.over(line)
            at = local(run.start, most.at_s)
            loads.append(Load(name, LINES[phase], limits[phase], most.current_a, at, *over))
    return Result(
        run.name,
        run.days,
        tuple(cars),
        tuple(loads),
        sums,
        {name: jain(energies) for name, energies in groups.items() if len(energies) > 1},
        len(run.plant.turned_away),
        run.currency,
        run.course.decisions,
        dict(run.course.violations),
    )


def car_sums(stays: Sequence[Stay]) -> list[CarSum]:
    """By car, in the order in which they first came."""
    found: dict[str, list[Stay]] = {}
    for stay in stays:
        found.setdefault(stay.visit.car, []).append(stay)
    sums = []
    for car, own in found.items():
        sums.append(
            CarSum(
                car,
                own[0].visit.equals,
                len(own),
                sum(stay.visit.needs_wh for stay in own),
                sum(stay.delivered_wh for stay in own),
                sum(stay.waited_s for stay in own),
                max(stay.longest_wait_s for stay in own),
                sum(stay.starts for stay in own),
                sum((stay.left_s or stay.since_s) - stay.since_s for stay in own),
            )
        )
    return sums


def text(result: Result, most_cars: int = 40) -> str:
    """The table that is printed."""
    sums = result.sums
    out = [f"{result.name}: {result.days:g} days, {len(result.cars)} cars", ""]
    rows: list[tuple[str, ...]] = [("car", "visits", "wanted", "charged", "unmet", "waited", "longest", "starts/day")]
    for car in result.cars[:most_cars]:
        rows.append(
            (
                car.car,
                str(car.visits),
                f"{car.wanted_wh / 1000:.1f} kWh",
                f"{car.delivered_wh / 1000:.1f} kWh",
                f"{car.unmet_wh / 1000:.1f} kWh",
                spell(car.waited_s),
                spell(car.longest_wait_s),
                f"{car.starts / result.days:.1f}",
            )
        )
    out += columns(rows)
    if len(result.cars) > most_cars:
        out.append(f"and {len(result.cars) - most_cars} more cars; --json has them all")
    out.append("")
    rows = [("circuit", "phase", "limit", "highest", "when", "above limit")]
    for load in result.loads:
        over = f"{spell(load.over_s)}, at most {spell(load.longest_over_s)} at a time" if load.over_s else "never"
        when = load.at.strftime("%a %H:%M:%S")
        rows.append((load.circuit, load.phase, f"{load.limit_a:g} A", f"{load.highest_a:.1f} A", when, over))
    out += columns(rows)
    out.append("")
    charged = sums.charging_wh
    wanted = sum(car.wanted_wh for car in result.cars)
    lines: list[tuple[str, ...]] = [
        ("charged", f"{charged / 1000:.1f} kWh of {wanted / 1000:.1f} kWh wanted"),
        ("unmet demand", f"{sum(car.unmet_wh for car in result.cars) / 1000:.1f} kWh"),
        ("house", f"{sums.house_wh / 1000:.1f} kWh"),
        ("from the grid", f"{sums.import_wh / 1000:.1f} kWh, back to it {sums.export_wh / 1000:.1f} kWh"),
    ]
    if sums.solar_wh:
        share = sums.solar_charged_wh / charged if charged else 0.0
        lines.append(("solar share", f"{share:.0%} of what was charged; the roof gave {sums.solar_wh / 1000:.1f} kWh"))
    for name, index in result.fairness.items():
        lines.append((f"fairness, {name}", f"{index:.3f} (Jain; 1 is equal)"))
    if sums.cost is not None:
        lines.append(("cost of charging", f"{sums.cost:.2f} {result.currency}"))
    if result.turned_away:
        lines.append(("no charge point free", f"for {result.turned_away} visits"))
    for violation, at_s in result.violations.items():
        lines.append(("invariant broken", f"{violation}, first at second {at_s}"))
    out += columns(lines)
    return "\n".join(out)


def as_json(result: Result) -> dict[str, Any]:
    """For programs: plain values, units in the names."""
    sums = result.sums
    return {
        "name": result.name,
        "days": result.days,
        "cars": [
            {
                "car": car.car,
                "group": car.equals,
                "visits": car.visits,
                "wanted_wh": round(car.wanted_wh, 1),
                "charged_wh": round(car.delivered_wh, 1),
                "unmet_wh": round(car.unmet_wh, 1),
                "waited_s": car.waited_s,
                "longest_wait_s": car.longest_wait_s,
                "starts": car.starts,
                "plugged_s": car.plugged_s,
            }
            for car in result.cars
        ],
        "circuits": [
            {
                "circuit": load.circuit,
                "phase": load.phase,
                "limit_a": load.limit_a,
                "highest_a": load.highest_a,
                "highest_at": load.at.isoformat(),
                "above_limit_s": load.over_s,
                "longest_above_limit_s": load.longest_over_s,
            }
            for load in result.loads
        ],
        "charged_wh": round(sums.charging_wh, 1),
        "house_wh": round(sums.house_wh, 1),
        "solar_wh": round(sums.solar_wh, 1),
        "solar_charged_wh": round(sums.solar_charged_wh, 1),
        "import_wh": round(sums.import_wh, 1),
        "export_wh": round(sums.export_wh, 1),
        "cost": None if sums.cost is None else round(sums.cost, 4),
        "currency": result.currency,
        "fairness": {name: round(index, 4) for name, index in result.fairness.items()},
        "turned_away": result.turned_away,
        "decisions": result.decisions,
        "violations": dict(result.violations),
    }


def spell(seconds: float) -> str:
    """A duration as people say it."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines, cells one below the other."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
