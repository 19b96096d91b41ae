"""A meter that still answers and no longer measures."""

from __future__ import annotations

import pytest

from tests.control.stage import Stage
from tests.control.world import Car


def stage_of_two() -> Stage:
    stage = Stage(2, main={"limit_a": (40.0, 40.0, 40.0)})
    stage.world.set_house("main", 5.0)
    for box in stage.world.boxes.values():
        box.car = Car(max_a=16.0)
    stage.world.run(90)
    assert stage.world.boxes["a"].current_a == stage.world.boxes["b"].current_a == 16.0
    return stage


def test_currents_that_stand_still_while_charging_changes_stop_charging_though_counters_run() -> None:
    world = stage_of_two().world
    world.freeze_meter("grid")
    world.run(60)
    assert world.boxes["a"].current_a == 16.0, "while all stands still, that is no trouble"
    world.boxes["b"].car = None
    world.run(10)
    assert world.boxes["a"].limit_a == 0.0
    assert world.plan is not None
    assert world.plan.setpoints["a"].because.code == "meter-silent"
    assert world.plan.budgets["main"].stale


@pytest.mark.parametrize("lag_s", [0.0, 1.0, 2.0])
def test_a_meter_that_follows_is_believed_though_the_house_never_stirs(lag_s: float) -> None:
    world = stage_of_two().world
    for box in world.boxes.values():
        box.lag_s = lag_s
    for wants in (False, True, False, True):
        car = world.boxes["b"].car
        assert car is not None
        car.wants = wants
        world.run(45)
        assert world.plan is not None
        assert not world.plan.budgets["main"].stale
        assert world.boxes["a"].current_a == 16.0
