"""What cannot wait for the next cycle: a meter that suddenly shows much more than what the last decision knew.

A decision is made every second, and a meter is read every second: without this, a load that steps up would be met up to
a second after the reading that shows it. Only more load makes haste; less can wait.
"""

from __future__ import annotations

import math

from charging_manager.agent.steering import Cycle
from charging_manager.control.wiring import wire
from charging_manager.model.reading import Reading
from charging_manager.model.site import Site

STEP_A = 3.0
"""Less than this more is what cars and houses do all the time; the next cycle is soon enough."""


def meters_that_matter(site: Site) -> frozenset[str]:
    """The meters that budgets rest on."""
    wiring = wire(site)
    watched = {meter for meter in wiring.meters if meter is not None}
    return frozenset(watched.union(*wiring.loads))


def needs_haste(reading: Reading, cycle: Cycle) -> bool:
    """Whether this reading of a meter calls for a decision now: much more flows, and somebody may give way."""
    known = cycle.image.readings.get(reading.device)
    if not known:
        return False
    before = known[-1].current_a
    stepped = any(_step_a(new, old) >= STEP_A for new, old in zip(reading.current_a, before, strict=True))
    return stepped and any(setpoint.current_a > 0 for setpoint in cycle.plan.setpoints.values())


def _step_a(new: float | None, old: float | None) -> float:
    """How much more it shows. What is no number is not news: control judges it in its own time."""
    if new is None or old is None or not math.isfinite(new) or not math.isfinite(old):
        return 0.0
    return new - old
