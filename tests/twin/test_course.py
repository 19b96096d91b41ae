"""What a run says is what every second of it says: looked at from outside, and beside a run that skips nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from charging_manager.paths import shared
from charging_manager.twin.build import Run, build
from charging_manager.twin.course import Cycle
from charging_manager.twin.report import result_of
from charging_manager.twin.scenario import read_scenario
from tests.twin.small import small

Change = tuple[float, str, float, int | None]


def run_through(run: Run) -> None:
    for _ in run.course.run():
        pass


def told(path: Path | None, seconds: int, *, exact: bool) -> tuple[list[Change], Run]:
    """Every setpoint that went out, and when."""
    changes: list[Change] = []
    last: dict[str, tuple[float, int | None]] = {}

    def each(cycle: Cycle) -> None:
        for name, setpoint in cycle.plan.setpoints.items():
            now = setpoint.current_a, setpoint.phases
            if last.get(name) != now:
                last[name] = now
                changes.append((cycle.image.now_s, name, *now))

    scenario = small() if path is None else read_scenario(path)
    run = build(scenario, 1, 1, each=each, exact=exact, seconds=seconds)
    run_through(run)
    return changes, run


def test_where_nothing_happens_no_decision_is_missed() -> None:
    quick, quick_run = told(None, 4000, exact=False)
    exact, exact_run = told(None, 4000, exact=True)
    assert quick == exact
    assert len(exact) > 15
    assert quick_run.course.tried < exact_run.course.tried / 2
    assert result_of(quick_run).loads == result_of(exact_run).loads
    assert result_of(quick_run).cars == result_of(exact_run).cars


@pytest.mark.slow
@pytest.mark.parametrize("name", ["garage-12", "home-solar"])
def test_no_decision_of_a_shipped_scenario_is_missed(name: str) -> None:
    path = shared("scenarios") / f"{name}.toml"
    quick, run = told(path, 20 * 3600, exact=False)
    exact, _ = told(path, 20 * 3600, exact=True)
    assert [load for load in result_of(run).loads if load.over_s] == [], "an example keeps its limits"
    same = len(set(quick) & set(exact))
    assert same >= 0.98 * max(len(quick), len(exact)), (len(quick), len(exact), same)


def test_the_same_seed_gives_the_same_run_and_another_one_another() -> None:
    def energies(seed: int) -> list[float]:
        run = build(small(), 1, seed, seconds=2400)
        run_through(run)
        return [car.delivered_wh for car in result_of(run).cars]

    assert energies(1) == energies(1)
    assert energies(1) != energies(2)


def test_the_account_agrees_with_every_second_of_the_plant() -> None:
    run = build(small(), 1, 3, seconds=4000, exact=True)
    plant, account = run.plant, run.account
    highest, charged_ws = [0] * len(plant.line_ma), 0.0
    advance = plant.advance

    def watched(to_s: int) -> None:
        nonlocal charged_ws
        charged_ws += plant.flows.charging_w * (to_s - plant.now_s)
        advance(to_s)
        for line, milliamps in enumerate(plant.line_ma):
            highest[line] = max(highest[line], abs(milliamps))

    plant.advance = watched  # type: ignore[method-assign]
    run_through(run)
    sums = account.sums()
    assert [most.current_a for most in sums.highest] == [milliamps / 1000 for milliamps in highest]
    assert sums.charging_wh == pytest.approx(charged_ws / 3600)
    assert sums.charging_wh == pytest.approx(sum(stay.delivered_wh for stay in plant.stays), abs=0.01)
    assert sum(p.charging_w for p in sums.course[:-1]) * 300 / 3600 == pytest.approx(
        sum(sum(p.box_wh) for p in sums.course[:-1]), rel=1e-6
    )


def test_what_flows_on_a_line_is_the_sum_of_what_hangs_on_it() -> None:
    run = build(small(), 1, 5, seconds=3000)
    plant = run.plant
    advance = plant.advance
    seen = 0

    def watched(to_s: int) -> None:
        nonlocal seen
        advance(to_s)
        for phase in range(3):
            boxes = sum(box.flows_ma[phase] for box in plant.boxes.values())
            assert plant.line_ma[phase] == boxes + plant._houses["main"][phase]
            seen += boxes > 0

    plant.advance = watched  # type: ignore[method-assign]
    run_through(run)
    assert seen > 100
