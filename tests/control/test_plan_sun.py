"""What a car in mode Plan does with the sun when it has no goal."""

from __future__ import annotations

import pytest

from charging_manager.model.site import Mode
from tests.control.sunplant import Home, Vehicle


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
