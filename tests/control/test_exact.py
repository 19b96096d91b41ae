"""Shares in real site trees against the exact optimum: lexicographic max-min by linear programming (scipy's HiGHS).

The program is written from the site itself, circuit by circuit, and knows nothing of lines and wiring. Who is served is
taken from the decision; what they get must be the optimum for them, to a hundredth of an ampere before rounding.
"""

from __future__ import annotations

import random

import numpy
import pytest
from attrs import evolve
from scipy.optimize import linprog

from charging_manager.control.decide import Rules, decide
from charging_manager.control.seen import Seen
from charging_manager.control.workings import Workings
from charging_manager.model.outside import Dimming, Outside
from charging_manager.model.plan import SiteImage
from charging_manager.model.reading import Obedience, Reading, Status
from charging_manager.model.site import ChargePoint, Circuit, Meter, MeterRole, Site, check_site
from charging_manager.model.wish import Wish
from tests.support.strategies import LONG, ROTATIONS

TREES = 20_000 if LONG else 2_000
QUICK = 60
WORST_A = 0.01

Row = tuple[dict[str, float], float]
"""Weights by charge point, and what they may come to."""


def random_site(chance: random.Random) -> Site:
    """A tree of one to eight circuits with up to sixteen boxes; a third of its circuits have more than a fuse."""
    circuits, meters, points = {}, {}, {}
    for number in range(chance.randint(1, 8)):
        name = f"c{number}"
        limit = tuple(chance.randint(60, 1600) / 10 for _ in range(3))
        more = {
            "reserve_a": chance.choice([0.0, 0.0, 1.5]),
            "charging_limit_a": tuple(chance.randint(0, 900) / 10 for _ in range(3)) if chance.random() < 0.2 else None,
            "limit_w": chance.randint(4, 90) * 1000.0 if chance.random() < 0.2 else None,
            "charging_limit_w": chance.randint(4, 60) * 1000.0 if chance.random() < 0.2 else None,
        }
        parent = f"c{chance.randrange(number)}" if number else None
        metered = not number or chance.random() < 0.4
        circuits[name] = Circuit(name, name, parent, limit, meter=f"m{number}" if metered else None, **more)  # type: ignore[arg-type]
        if metered:
            meters[f"m{number}"] = Meter(f"m{number}", name, name, MeterRole.CIRCUIT)
    for number in range(chance.randint(1, 16)):
        name = f"p{number}"
        points[name] = ChargePoint(
            name,
            name,
            chance.choice(list(circuits)),
            chance.choice(ROTATIONS),
            min_a=chance.choice([6.0, 6.0, 8.0]),
            max_a=chance.choice([13.0, 16.0, 20.0, 32.0]),
            step_a=chance.choice([0.1, 0.5, 1.0]),
            priority=chance.choice([0, 0, 0, 1]),
        )
    unbalance = chance.choice([None, None, 20.0, 7.5])
    with_house = chance.random() < 0.4
    return check_site(Site("any", "none", circuits, points, meters, unbalance, with_house))


def random_image(site: Site, chance: random.Random) -> SiteImage:
    """Everybody is plugged in and waits; what the house draws was measured once, in tenths of an ampere."""
    readings = {}
    for name in site.charge_points:
        readings[name] = (Reading(name, 100.0, (0.0, 0.0, 0.0), status=Status.PLUGGED),)
    for meter in site.meters.values():
        one, two, three = (chance.randint(-50, int(5 * limit)) / 10 for limit in site.circuits[meter.circuit].limit_a)
        readings[meter.id] = (Reading(meter.id, 100.0, (one, two, three)),)
    obedience = {name: Obedience(32.0, None, 0.0, 0.0, 30.0, True, 0.0) for name in site.charge_points}
    order = Dimming(chance.randint(5, 80) * 1000.0, "api") if chance.random() < 0.2 else None
    wishes = {name: Wish(priority=2) for name in site.charge_points if chance.random() < 0.15}
    return SiteImage(100.0, 1, site, readings, obedience, wishes=wishes, outside=evolve(Outside(), dimming=order))


def house_a(image: SiteImage, circuit: str) -> list[float]:
    """By its own meter, or the sum of what the circuits below it draw."""
    site = image.site
    meter = site.circuits[circuit].meter
    if meter is not None:
        return [max(0.0, amps or 0.0) for amps in image.readings[meter][-1].current_a]
    below = [house_a(image, low.id) for low in site.circuits.values() if low.parent == circuit]
    return [sum(amps) for amps in zip([0.0] * 3, *below, strict=False)] if below else [0.0] * 3


def rows(image: SiteImage) -> list[Row]:
    """Everything that bounds charging, as inequalities over charge points."""
    site, found = image.site, []
    for circuit in site.circuits.values():
        below = [p for p in site.charge_points.values() if circuit in list(site.path_to_root(p.circuit))]
        weights = {point.id: float(len(point.phases)) for point in below}
        house = house_a(image, circuit.id)
        for phase in range(3):
            on = {point.id: 1.0 for point in below if phase in point.phases}
            found.append((on, circuit.limit_a[phase] - circuit.reserve_a - house[phase]))
            if circuit.charging_limit_a is not None:
                found.append((on, circuit.charging_limit_a[phase]))
        if circuit.limit_w is not None:
            found.append((weights, circuit.limit_w / 230.0 - sum(house)))
        if circuit.charging_limit_w is not None:
            found.append((weights, circuit.charging_limit_w / 230.0))
        if circuit.parent is None:
            if image.outside.dimming is not None:
                found.append((weights, image.outside.dimming.limit_w / 230.0))
            if site.unbalance_a is not None:
                base = house if site.unbalance_with_house else [0.0] * 3
                for phase in range(3):
                    single = {p.id: 1.0 for p in below if len(p.phases) == 1 and phase in p.phases}
                    found.append((single, site.unbalance_a + min(base) - base[phase]))
    return found


def optimum(bounds: list[Row], served: list[Seen]) -> dict[str, float]:
    """Max-min fair shares of these, for whom there is room: the common level as high as it goes, those whom a full row
    or their cap stops are fixed there, and on with the rest."""
    free = {seen.id: seen for seen in served}
    fixed: dict[str, float] = {}
    used = [row for row in bounds if row[0].keys() & free.keys()]
    while free:
        level = _level(used, free, fixed)
        at = {name: max(seen.outlet.lowest_a, min(level, seen.cap_a)) for name, seen in free.items()} | fixed
        full = [on for on, room in used if sum(on[name] * at[name] for name in on if name in at) >= room - 1e-5]
        stopped = {
            name for name, seen in free.items() if at[name] >= seen.cap_a - 1e-9 or any(name in on for on in full)
        }
        assert stopped
        fixed |= {name: at[name] for name in stopped}
        free = {name: seen for name, seen in free.items() if name not in stopped}
    return fixed


def _level(bounds: list[Row], free: dict[str, Seen], fixed: dict[str, float]) -> float:
    """The highest level that all of these reach, but for caps: the last unknown of the program."""
    names = list(free)
    count = len(names) + 1
    matrix, right = [], []
    for on, room in bounds:
        if not on.keys() & free.keys():
            continue
        row = numpy.zeros(count)
        for at, name in enumerate(names):
            row[at] = on.get(name, 0.0)
        matrix.append(row)
        right.append(max(room, 0.0) - sum(weight * fixed.get(name, 0.0) for name, weight in on.items()))
    for at in range(count - 1):
        row = numpy.zeros(count)
        row[-1], row[at] = 1.0, -1.0
        matrix.append(row)
        right.append(0.0)
    # Above the lowest cap the level says nothing of the one that has it: it is fixed there first.
    most = min(seen.cap_a for seen in free.values())
    lows = [(seen.outlet.lowest_a, seen.cap_a) for seen in free.values()]
    cost = numpy.zeros(count)
    cost[-1] = -1.0
    found = linprog(
        cost, A_ub=numpy.array(matrix), b_ub=numpy.array(right) + 1e-6, bounds=[*lows, (0.0, most)], method="highs"
    )
    assert found.status == 0, found.message
    return float(-found.fun)


def difference_a(seed: int) -> float:
    """The largest difference between a decision's shares and the optimum."""
    chance = random.Random(seed)
    site = random_site(chance)
    image = random_image(site, chance)
    plan = decide(image, Rules())
    assert plan.violations == ()
    work = plan.workings
    assert isinstance(work, Workings)
    bounds, worst = rows(image), 0.0
    for priority in sorted({seen.priority for seen in work.everyone}, reverse=True):
        served = [seen for seen in work.everyone if seen.share_a > 0.0 and seen.priority == priority]
        best = optimum(bounds, served)
        worst = max([worst, *(abs(best[seen.id] - seen.share_a) for seen in served)])
        bounds = [(on, room - sum(on.get(seen.id, 0.0) * seen.share_a for seen in served)) for on, room in bounds]
    return worst


def test_shares_in_a_tree_are_the_optimum() -> None:
    assert max(difference_a(seed) for seed in range(QUICK)) < WORST_A


@pytest.mark.slow
def test_shares_in_two_thousand_trees_are_the_optimum() -> None:
    assert max(difference_a(seed) for seed in range(QUICK, QUICK + TREES)) < WORST_A


def test_a_share_that_is_not_the_optimum_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(room: list[float], claims: list[object]) -> tuple[list[float], list[int]]:
        shares, bound = real(room, claims)  # type: ignore[arg-type]
        return [share * 0.99 for share in shares], bound

    from charging_manager.control import decide as module

    real = module.level
    monkeypatch.setattr(module, "level", greedy)
    assert max(difference_a(seed) for seed in range(5)) > WORST_A
