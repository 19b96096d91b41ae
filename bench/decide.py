"""How long one decision takes: 500 charge points in 40 circuits, and ten times as much for information."""

from __future__ import annotations

import gc
import random
import statistics
import time

from charging_manager.control.decide import Rules, decide
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Obedience, Reading, Status
from charging_manager.model.site import ChargePoint, Circuit, Meter, MeterRole, Site, check_site

Figure = tuple[str, float, str, str, float]
ROOMY = 200.0


def build_site(points: int, circuits: int) -> Site:
    """A garage: a root, sub-distributions of ten circuits, all with meters; a third of the boxes on one phase."""
    branches: dict[str, Circuit] = {
        "root": Circuit("root", "main", None, (4000.0, 4000.0, 4000.0), 10.0, 0.0, "m-root")
    }
    for number in range(circuits - 1):
        parent = "root" if number % 10 == 0 else f"c{number - number % 10}"
        limit = 800.0 if number % 10 == 0 else 160.0
        name = f"c{number}"
        branches[name] = Circuit(name, name, parent, (limit, limit, limit), 2.0, 0.0, f"m-{name}")
    meters = {f"m-{name}": Meter(f"m-{name}", name, name, MeterRole.CIRCUIT) for name in branches}
    names = [name for name in branches if name != "root"]
    boxes = {}
    for number in range(points):
        phases = ((0, 1, 2), (1, 2, 0), (2, 0, 1), (number % 3,))[number % 4]
        name = f"p{number}"
        boxes[name] = ChargePoint(name, name, names[number % len(names)], phases, priority=number % 3)
    return check_site(Site("bench", "none", branches, boxes, meters))


class Garage:
    """Obedient boxes and cars with a little noise, so that a run of decisions sees what a site sees."""

    def __init__(self, points: int, circuits: int, seed: int = 1) -> None:
        self.site, self.random = build_site(points, circuits), random.Random(seed)
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
        image = SiteImage(self.now_s, self.number, self.site, dict(self.readings), obedience, self.plan)
        started = time.process_time()
        self.plan = decide(image, Rules())
        took = (time.process_time() - started) * 1000.0
        self.told = {name: setpoint.current_a for name, setpoint in self.plan.setpoints.items()}
        return took

    def keep(self, reading: Reading) -> None:
        """The last 30 s."""
        self.readings[reading.device] = (*self.readings.get(reading.device, ())[-29:], reading)


def decide_time() -> list[Figure]:
    """The median of decisions in mid-operation, with garbage collection as it comes."""
    figures: list[Figure] = []
    for points, circuits, cycles, goal in ((500, 40, 60, 10.0), (5000, 400, 6, ROOMY)):
        garage = Garage(points, circuits)
        for _ in range(8):
            garage.cycle()
        gc.collect()
        took = [garage.cycle() for _ in range(cycles)]
        figures.append((f"decide-{points}-in-{circuits}", statistics.median(took), "ms", "<=", goal))
    return figures


FIGURES = {"decide": decide_time}
