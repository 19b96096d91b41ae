"""What explaining costs at 500 charge points: one record, and all that is tried of « what would change it »."""

from __future__ import annotations

import statistics
import time
from itertools import islice

import bench.decide
from bench.decide import Garage
from charging_manager.control.chain import chain
from charging_manager.control.decide import Rules, decide
from charging_manager.control.whatif import MOST, try_out, variations
from charging_manager.model.mode import Mode
from charging_manager.model.plan import Plan, SiteImage

Figure = tuple[str, float, str, str, float]


def _full(points: int, circuits: int) -> tuple[SiteImage, Plan]:
    garage, seen = Garage(points, circuits), []

    def noted(image: SiteImage, rules: Rules) -> Plan:
        seen[:] = [image]
        return decide(image, rules)

    kept, bench.decide.decide = bench.decide.decide, noted  # type: ignore[attr-defined]
    try:
        for _ in range(20):
            garage.cycle()
    finally:
        bench.decide.decide = kept  # type: ignore[attr-defined]
    assert garage.plan is not None
    return seen[0], garage.plan


def why_time() -> list[Figure]:
    """CPU of explaining a charge point of a full garage; the one that takes longest of twenty counts."""
    image, plan = _full(500, 40)
    records, hints, longest = [], [], 0.0
    for name in list(plan.setpoints)[::25]:
        started = time.process_time()
        chain(image, plan, name)
        records.append(time.process_time() - started)
        total = 0.0
        for variation in islice(variations(image, plan, name, tuple(Mode)), MOST):
            started = time.process_time()
            try_out(variation, name, Rules())
            one = time.process_time() - started
            longest, total = max(longest, one), total + one
        hints.append(total)
    return [
        ("why-record-500", 1000.0 * statistics.median(records), "ms", "<=", 1.0),
        ("why-what-if-500", 1000.0 * max(hints), "ms", "<=", 50.0),
        ("why-what-if-500-one-turn", 1000.0 * longest, "ms", "<=", 50.0),
    ]


FIGURES = {"why": why_time}
