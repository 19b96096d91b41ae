"""Mode Plan in whole decisions: cars that wait, charge and share, and a look ahead for pages."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve

from charging_manager.control.decide import Rules, decide
from charging_manager.control.memory import Memory
from charging_manager.control.planning import ANEW_AT_A_TIME, AT_A_TIME, EVERY, foresee
from charging_manager.model.goal import Goal
from charging_manager.model.mode import Mode
from charging_manager.model.outside import Outside, Prices, PriceSlot
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Obedience, Reading, Status
from charging_manager.model.site import ChargePoint, Circuit, Site, check_site
from charging_manager.model.wish import Wish

PARIS = ZoneInfo("Europe/Paris")
EVENING = datetime(2026, 5, 6, 20, 0, tzinfo=PARIS)
HOUR = timedelta(hours=1)
GOAL = Goal(time(7), energy_wh=20_000.0)


def night_prices(*prices: float) -> Outside:
    begin = EVENING.astimezone(UTC)
    return Outside(Prices(tuple(PriceSlot(begin + n * HOUR, begin + (n + 1) * HOUR, p) for n, p in enumerate(prices))))


VALLEY = night_prices(0.30, 0.29, 0.28, 0.25, 0.10, 0.10, 0.12, 0.2, 0.25, 0.3, 0.35)


class Street:
    """Boxes of 11 kW on one circuit, cars that take what they get."""

    def __init__(self, count: int = 1, limit_a: float = 100.0, goal: Goal | None = GOAL) -> None:
        points = {f"p{n}": ChargePoint(f"p{n}", f"p{n}", "main", max_a=16.0, mode=Mode.PLAN) for n in range(count)}
        self.site = check_site(Site("street", "none", {"main": Circuit("main", "Main", None, (limit_a,) * 3)}, points))
        self.now_s, self.number, self.plan = 1000.0, 0, None
        self.plan: Plan | None
        self.now_at: datetime | None = EVENING
        self.outside = VALLEY
        self.done_wh = dict.fromkeys(points, 0.0)
        self.told = dict.fromkeys(points, 0.0)
        self.goals: dict[str, Goal | None] = dict.fromkeys(points, goal)
        self.starts = dict.fromkeys(points, 0)

    def image(self) -> SiteImage:
        readings, obedience = {}, {}
        for name, amps in self.told.items():
            status = Status.CHARGING if amps else Status.PLUGGED
            readings[name] = (Reading(name, self.now_s, (amps,) * 3, power_w=amps * 690.0, status=status),)
            obedience[name] = Obedience(16.0, None, amps, 0.0, 30.0, answering=True, silent_s=0.0)
        wishes = {name: Wish(goal=goal, session_wh=self.done_wh[name]) for name, goal in self.goals.items()}
        return SiteImage(
            self.now_s, self.number, self.site, readings, obedience, self.plan, {}, wishes, self.outside, self.now_at
        )

    def run(self, hours: float, step_s: float = 10.0) -> None:
        for _ in range(max(1, int(hours * 3600.0 / step_s))):
            self.number += 1
            self.plan = decide(self.image(), Rules())
            assert self.plan.violations == ()
            for name, setpoint in self.plan.setpoints.items():
                self.starts[name] += setpoint.current_a > 0.0 == self.told[name]
                self.told[name] = setpoint.current_a
                self.done_wh[name] += setpoint.current_a * 690.0 * step_s / 3600.0
            self.now_s += step_s
            if self.now_at is not None:
                self.now_at = (self.now_at.astimezone(UTC) + timedelta(seconds=step_s)).astimezone(PARIS)

    def why(self, name: str = "p0") -> str:
        assert self.plan is not None
        return self.plan.setpoints[name].because.code


def test_a_night_of_one_car() -> None:
    street = Street()
    street.run(0.006)
    assert (street.why(), street.told["p0"]) == ("plan-must", 16.0)
    street.run(0.05)
    assert (street.why(), street.told["p0"]) == ("plan-waits", 0.0), "it was measured, and there is time"
    street.run(11.0)
    assert 19_990.0 <= street.done_wh["p0"] <= 20_000.0 + 11_040.0 * EVERY * 10.0 / 3600.0, (
        "it is looked at each 50 s here"
    )
    assert street.why() == "plan-reached"
    assert street.starts["p0"] <= 3


def test_cars_that_share_a_circuit_are_all_ready_though_each_plans_for_itself() -> None:
    street = Street(4, limit_a=32.0, goal=Goal(time(7), energy_wh=35_000.0))
    street.run(11.0)
    assert [round(done) for done in street.done_wh.values() if done < 34_990.0] == []


def test_without_a_goal_or_a_clock() -> None:
    street = Street(goal=None)
    street.run(0.01)
    assert (street.why(), street.told["p0"]) == ("plan-no-goal", 0.0)
    street = Street()
    street.now_at = None
    street.run(0.01)
    assert (street.why(), street.told["p0"]) == ("plan-no-clock", 16.0)


def test_a_car_is_measured_beforehand_unless_the_site_says_no() -> None:
    for allowed in (True, False):
        street = Street(goal=evolve(GOAL, energy_wh=6_000.0))
        street.outside = night_prices(0.20, 0.05, *[0.40] * 9)
        street.site = evolve(street.site, measure_cars=allowed)
        street.run(0.0)
        assert street.why() == ("plan-measures" if allowed else "plan-cheap")
        ahead = foresee(street.image(), "p0", GOAL, Wish())
        assert ahead is not None and ahead.runs


def test_a_silent_box_and_a_mode_that_is_off_keep_their_own_reasons() -> None:
    street = Street()
    street.site = evolve(street.site, charge_points={"p0": evolve(street.site.charge_points["p0"], mode=Mode.OFF)})
    street.run(0.01)
    assert street.why() == "mode-off"


def test_many_plans_are_made_in_turn_so_that_no_decision_takes_long() -> None:
    street = Street(40, limit_a=3000.0, goal=evolve(GOAL, energy_wh=12_000.0))
    street.run(0.0)
    assert street.plan is not None
    memory = street.plan.memory
    assert isinstance(memory, Memory)
    assert sum(1 for one in memory.plans.values() if one.schedule.runs) == AT_A_TIME
    assert {street.why(name) for name in street.told} == {"plan-waits", "plan-soon"}
    street.run(0.03, step_s=1.0)
    assert {street.why(name) for name in street.told} == {"plan-waits"}


def test_cars_whose_schedules_are_made_again_and_again_starve_nobody() -> None:
    street = Street(60, limit_a=3000.0, goal=evolve(GOAL, energy_wh=12_000.0))
    for _ in range(30):
        street.outside = night_prices(0.30, 0.29, 0.28, 0.25, 0.10, 0.10, 0.12, 0.2, 0.25, 0.3, 0.35)  # news each time
        street.run(0.0, step_s=1.0)
    assert {street.why(name) for name in street.told} == {"plan-waits"}
    first = _made(street)
    for _ in range(60 // ANEW_AT_A_TIME + 5 * EVERY):
        street.outside = night_prices(0.30, 0.29, 0.28, 0.25, 0.10, 0.10, 0.12, 0.2, 0.25, 0.3, 0.35)
        street.run(0.0, step_s=1.0)
    now = _made(street)
    assert len(now) == 60
    assert [name for name, made_s in now.items() if made_s <= first[name]] == []


def _made(street: Street) -> dict[str, float]:
    assert street.plan is not None
    assert isinstance(street.plan.memory, Memory)
    return {name: one.made_s for name, one in street.plan.memory.plans.items()}


def test_the_look_ahead_says_at_once_whether_a_goal_can_be_reached() -> None:
    street = Street()
    street.run(0.01)
    image = street.image()
    easy = foresee(image, "p0", GOAL, Wish())
    assert easy is not None and easy.feasible is True and easy.runs
    hard = foresee(image, "p0", Goal(time(7), energy_wh=200_000.0), Wish())
    assert hard is not None and hard.feasible is False
    assert hard.because.code == "goal-not-in-time"
    assert 110_000.0 < hard.reach_wh() < 122_000.0
    assert foresee(evolve(image, now_at=None), "p0", GOAL, Wish()) is None
    assert foresee(evolve(image, last_plan=None), "p0", GOAL, Wish()) is None
    assert foresee(image, "nobody", GOAL, Wish()) is None
    free = evolve(image, readings={"p0": (Reading("p0", street.now_s, status=Status.FREE),)})
    empty = decide(free, Rules())
    ahead = foresee(evolve(free, last_plan=empty), "p0", GOAL, Wish())
    assert ahead is not None and ahead.feasible is True


def test_the_look_ahead_says_what_is_left_beside_others_with_goals() -> None:
    hard = Goal(time(7), energy_wh=60_000.0)
    street = Street(3, limit_a=24.0, goal=hard)
    street.goals["p2"] = None
    street.run(0.02)
    ahead = foresee(street.image(), "p2", hard, Wish())
    assert ahead is not None and ahead.feasible is True
    assert ahead.deadline_s is not None and ahead.runs[-1].end_s <= ahead.deadline_s, "alone it is in time"
    assert ahead.reach_wh() == pytest.approx(11_040.0 * 11.0, rel=0.01)
    assert ahead.shared_wh() == pytest.approx(8.0 * 690.0 * 11.0, rel=0.01), "a third of 24 A beside two others"
    street.goals["p1"] = None
    street.run(0.02)
    beside_one = foresee(street.image(), "p2", hard, Wish())
    assert beside_one is not None and beside_one.shared_wh() == pytest.approx(12.0 * 690.0 * 11.0, rel=0.01)
    alone = Street(1, limit_a=24.0, goal=hard)
    alone.run(0.02)
    only = foresee(alone.image(), "p0", hard, Wish())
    assert only is not None and only.shared_wh() == only.reach_wh()


def test_a_site_without_plans_pays_nothing_for_them() -> None:
    street = Street(60, limit_a=3000.0)
    points = {name: evolve(point, mode=Mode.FAST) for name, point in street.site.charge_points.items()}
    street.site = evolve(street.site, charge_points=points)
    street.run(0.05)
    assert street.plan is not None
    memory = street.plan.memory
    assert isinstance(memory, Memory)
    assert memory.plans == {}
