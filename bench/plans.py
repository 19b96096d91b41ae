"""How long one decision takes while 500 cars in 40 circuits are in mode Plan, each with a goal of its own, by two days
of prices for quarters of an hour: after the first schedules, and while a new quarter makes all of them due again."""

from __future__ import annotations

import gc
import statistics
from datetime import UTC, datetime, time, timedelta

from attrs import evolve

from bench.decide import Figure, Garage
from charging_manager.control.planning import AT_A_TIME
from charging_manager.model.goal import Goal
from charging_manager.model.mode import Mode
from charging_manager.model.outside import Outside, Prices, PriceSlot
from charging_manager.model.wish import Wish

POINTS, CIRCUITS = 500, 40
BEGIN = datetime(2026, 1, 15, 17, 5, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
FIRST = POINTS // AT_A_TIME + 40
"""After so many cycles every car has its first schedule."""


class PlanGarage(Garage):
    """Goals between 5 and 60 kWh, for times between 5 and 12 o'clock."""

    def __init__(self) -> None:
        super().__init__(POINTS, CIRCUITS)
        points = {name: evolve(point, mode=Mode.PLAN) for name, point in self.site.charge_points.items()}
        self.site = evolve(self.site, charge_points=points)
        start = BEGIN.replace(hour=0, minute=0)
        slots = []
        for number in range(192):
            price = 0.22 + 0.08 * ((number % 96) / 48.0 - 1.0) ** 2 + self.random.gauss(0.0, 0.02)
            at = start + number * QUARTER
            slots.append(PriceSlot(at, at + QUARTER, round(price, 4)))
        self.goals = {
            name: Goal(time(5 + number % 8, number % 4 * 15), energy_wh=5_000.0 + 110.0 * number)
            for number, name in enumerate(points)
        }
        self.got_wh = dict.fromkeys(points, 0.0)
        self.rich = {"outside": Outside(Prices(tuple(slots)))}

    def cycle(self) -> float:
        for name, point in self.site.charge_points.items():
            self.got_wh[name] += self.told[name] * 230.0 * len(point.phases) / 3600.0
        self.rich["wishes"] = {name: Wish(goal=goal, session_wh=self.got_wh[name]) for name, goal in self.goals.items()}
        self.rich["now_at"] = BEGIN + timedelta(seconds=self.now_s + 1.0 - 1000.0)
        return super().cycle()


def plan_time() -> list[Figure]:
    """The median of a minute, and of the minutes in which a quarter of an hour begins; the longest of all."""
    garage = PlanGarage()
    first = [garage.cycle() for _ in range(FIRST)]
    if garage.plan is None or any(one.because.code == "plan-soon" for one in garage.plan.setpoints.values()):
        raise AssertionError("not every car has a schedule by now")
    gc.collect()
    steady = [garage.cycle() for _ in range(60)]
    while garage.now_s - 1000.0 < 595.0:  # five seconds before the quarter
        garage.cycle()
    renewed = [garage.cycle() for _ in range(FIRST)]
    return [
        ("decide-500-plans", statistics.median(steady), "ms", "<=", 10.0),
        ("decide-500-plans-new-quarter", statistics.median(renewed), "ms", "<=", 20.0),
        ("decide-500-plans-peak", max(*first, *steady, *renewed), "ms", "<=", 100.0),
    ]


FIGURES = {"plans": plan_time}
