"""Mode Plan and the sun: a car that waits for its time, or whose goal is reached, charges with sun alone."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import Any

import pytest

from charging_manager.model.goal import Goal
from charging_manager.model.mode import Mode
from charging_manager.model.outside import Outside, Prices, PriceSlot
from charging_manager.model.wish import Wish
from tests.control.sunplant import Home, Vehicle

NOON = datetime(2026, 5, 6, 12, 0, tzinfo=UTC)
SUNNY_S, HOUSE_W = 1200, 400.0


class PlannedHome(Home):
    """Twenty minutes of sun at noon while current is dear; it is cheap from 12:25 to 12:50; the goal is for 12:55."""

    def __init__(self, goal: Goal | None, sun_w: float) -> None:
        self.goal = goal
        super().__init__([sun_w] * SUNNY_S + [0.0], [HOUSE_W] * (SUNNY_S + 1), {"car": Vehicle()}, mode=Mode.PLAN)
        edges = [NOON + timedelta(minutes=minute) for minute in (0, 25, 50, 120)]
        self.prices = Prices(
            tuple(PriceSlot(a, b, price) for (a, b), price in zip(pairwise(edges), (0.40, 0.10, 0.45), strict=True))
        )
        self.charging_because: set[str] = set()

    def beside(self) -> dict[str, Any]:
        return {
            "wishes": {"car": Wish(goal=self.goal, session_wh=self.vehicles["car"].energy_wh)},
            "outside": Outside(self.prices),
            "now_at": NOON + timedelta(seconds=self.now_s - self.start_s),
        }

    def _decide(self) -> None:
        super()._decide()
        assert self.plan is not None
        told = self.plan.setpoints["car"]
        if told.current_a > 0.0:
            self.charging_because.add(told.because.code)

    def bought_wh(self, minutes: float) -> float:
        """What the grid gave for the car in the next minutes."""
        before = self.caused_wh
        self.run(minutes * 60.0)
        return self.caused_wh - before


def test_sun_before_a_plan_is_not_bought_and_the_goal_is_reached_in_time() -> None:
    goal = Goal(time(12, 55), energy_wh=3500.0)
    dull, sunny = PlannedHome(goal, 0.0), PlannedHome(goal, 6000.0)
    dull_wh, sunny_wh = dull.bought_wh(55.0), sunny.bought_wh(55.0)
    for home in (dull, sunny):
        assert home.violations == []
        assert 3490.0 <= home.charged_wh <= 3600.0
    sun_wh = sunny.charged_wh - sunny_wh
    print(f"bought {dull_wh:.0f} Wh without sun, {sunny_wh:.0f} Wh with it ({sun_wh:.0f} Wh from the sun)")
    assert dull_wh >= 3450.0
    assert sun_wh >= 800.0, "nearly all of it, after the ten minutes that the sun must last"
    assert "plan-waits" in sunny.reasons["car"]
    assert "sun-follows" in sunny.charging_because
    assert not sunny.charging_because & {"plan-waits", "plan-sun", "plan-soon", "plan-reached"}, "it does not wait"
    assert "plan-waits" in dull.reasons["car"], "what the plan waits for stays the reason where the sun gives nothing"
    assert not {code for code in dull.reasons["car"] if code.startswith("sun-")}


def test_a_reached_goal_charges_on_with_sun_alone() -> None:
    home = PlannedHome(Goal(time(12, 55), energy_wh=500.0), 6000.0)
    home.run(SUNNY_S - 60.0)
    assert home.charged_wh > 800.0
    assert home.caused_wh <= 0.03 * home.charged_wh + 120.0, "to be measured it may charge for some seconds"
    home.run(1500.0)  # cheap times begin
    before_wh = home.charged_wh
    home.run(120.0)
    assert home.charged_wh == before_wh, "no sun, and nothing to reach"
    assert home.plan is not None
    assert home.plan.setpoints["car"].because.code == "plan-reached"


def test_without_a_goal_a_car_in_mode_plan_lives_of_the_sun() -> None:
    sun = [3000.0] * 300 + [0.0] * 900
    site = Home(sun, [300.0] * len(sun), {"car": Vehicle(switches=True, boxed=1)}, mode=Mode.PLAN)
    site.run(20)
    assert site.plan is not None
    assert (site.plan.setpoints["car"].current_a, site.plan.setpoints["car"].because.code) == (0.0, "plan-no-goal")
    site.run(260)
    assert site.plan.setpoints["car"].because.code == "sun-follows"
    assert site.vehicles["car"].current_a == pytest.approx(11.0, abs=1.0)
    site.run(900)
    assert (site.plan.setpoints["car"].current_a, site.plan.setpoints["car"].because.code) == (0.0, "plan-no-goal")
