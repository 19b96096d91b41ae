"""How long one decision takes: 500 charge points in 40 circuits, plain and with every kind of limit, and ten times as
much: how it grows."""

from __future__ import annotations

import gc
import random
import statistics
import time
from datetime import UTC, datetime
from datetime import time as dtime
from typing import Any

from attrs import evolve

from charging_manager.control.decide import Rules, decide
from charging_manager.model.outside import Dimming, Outside
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Obedience, Reading, Status
from charging_manager.model.rule import Condition, Rule
from charging_manager.model.site import (
    Breaker,
    BreakerCurve,
    ChargePoint,
    Circuit,
    Meter,
    MeterRole,
    Site,
    check_site,
)
from charging_manager.model.wish import Wish

Figure = tuple[str, float, str, str, float]


def build_site(points: int, circuits: int, *, rich: bool = False) -> Site:
    """A garage: a root, sub-distributions of ten circuits, all with meters; a quarter of the boxes on one phase.

    A rich one has breakers, feeders, limits in watts, an unbalance limit with house load and rules on top.
    """
    branches: dict[str, Circuit] = {
        "root": Circuit("root", "main", None, (4000.0, 4000.0, 4000.0), 10.0, 0.0, "m-root")
    }
    for number in range(circuits - 1):
        parent = "root" if number % 10 == 0 else f"c{number - number % 10}"
        limit = 800.0 if number % 10 == 0 else 160.0
        name = f"c{number}"
        branches[name] = Circuit(name, name, parent, (limit, limit, limit), 2.0, 0.0, f"m-{name}")
        if rich and number % 10:
            low = (125.0, 125.0, 125.0)
            branches[name] = evolve(branches[name], limit_a=low, breaker=Breaker(BreakerCurve.C, 125.0), limit_w=80e3)
        elif rich:
            branches[name] = evolve(branches[name], charging_limit_a=(600.0, 600.0, 600.0), charging_limit_w=400e3)
    meters = {f"m-{name}": Meter(f"m-{name}", name, name, MeterRole.CIRCUIT) for name in branches}
    names = [name for name in branches if name != "root"]
    boxes = {}
    for number in range(points):
        phases = ((0, 1, 2), (1, 2, 0), (2, 0, 1), (number % 3,))[number % 4]
        name = f"p{number}"
        boxes[name] = ChargePoint(name, name, names[number % len(names)], phases, priority=number % 3)
    site = Site("bench", "none", branches, boxes, meters)
    if rich:
        night = Condition(time_from=dtime(22), time_to=dtime(6))
        rules = (Rule("night", "Night", night, limit_a=16.0), Rule("all", "All", limit_a=30.0))
        site = evolve(site, unbalance_a=200.0, unbalance_with_house=True, rules=rules)
    return check_site(site)


class Garage:
    """Obedient boxes and cars with a little noise, so that a run of decisions sees what a site sees."""

    def __init__(self, points: int, circuits: int, seed: int = 1, *, rich: bool = False) -> None:
        self.site, self.random = build_site(points, circuits, rich=rich), random.Random(seed)
        self.rich: dict[str, Any] = {}
        if rich:
            self.rich = {
                "wishes": {name: Wish(priority=5) for name in list(self.site.charge_points)[::7]},
                "outside": Outside(dimming=Dimming(2_000.0 * points, "api")),
                "now_at": datetime(2026, 1, 15, 12, tzinfo=UTC),
            }
        self.readings: dict[str, tuple[Reading, ...]] = {}
        self.told = dict.fromkeys(self.site.charge_points, 0.0)
        self.now_s, self.number, self.plan = 1000.0, 0, None
        self.plan: Plan | None

    def cycle(self) -> float:
        """One second of the site; how long the decision took, in milliseconds of CPU."""
        self.now_s += 1.0
        self.number += 1
        flow = {name: [20.0 + self.random.random() * 2 for _ in range(3)] for name in self.site.circuits}
        for name, point in self.site.charge_points.items():
            amps = [0.0, 0.0, 0.0]
            for phase in point.phases:
                amps[phase] = max(0.0, self.told[name] - self.random.random() * 0.2) if self.told[name] else 0.0
            for circuit in self.site.path_to_root(point.circuit):
                for phase in range(3):
                    flow[circuit.id][phase] += amps[phase]
            status = Status.CHARGING if self.told[name] else Status.PLUGGED
            self.keep(Reading(name, self.now_s, (amps[0], amps[1], amps[2]), status=status, session_wh=self.now_s))
        for meter in self.site.meters.values():
            one, two, three = flow[meter.circuit]
            self.keep(Reading(meter.id, self.now_s, (one, two, three)))
        obedience = {name: Obedience(32.0, amps, amps, 6.0, 60.0, True, 0.0) for name, amps in self.told.items()}
        image = SiteImage(self.now_s, self.number, self.site, dict(self.readings), obedience, self.plan, **self.rich)
        started = time.process_time()
        self.plan = decide(image, Rules())
        took = (time.process_time() - started) * 1000.0
        self.told = {name: setpoint.current_a for name, setpoint in self.plan.setpoints.items()}
        return took

    def keep(self, reading: Reading) -> None:
        """The last 30 s."""
        self.readings[reading.device] = (*self.readings.get(reading.device, ())[-29:], reading)


def decide_time() -> list[Figure]:
    """The median of decisions in mid-operation, with garbage collection as it comes; and how it grows."""
    plain, rich, large = _median(500, 40, 60), _median(500, 40, 60, rich=True), _median(5000, 400, 8)
    return [
        ("decide-500-in-40", plain, "ms", "<=", 10.0),
        ("decide-500-in-40-all-limits", rich, "ms", "<=", 10.0),
        ("decide-5000-in-400", large, "ms", "<=", 120.0),
        ("decide-growth", large / plain / 10.0, "x", "<=", 1.3),
    ]


def _median(points: int, circuits: int, cycles: int, *, rich: bool = False) -> float:
    garage = Garage(points, circuits, rich=rich)
    for _ in range(8):
        garage.cycle()
    gc.collect()
    return statistics.median(garage.cycle() for _ in range(cycles))


FIGURES = {"decide": decide_time}
