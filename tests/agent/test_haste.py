"""What cannot wait for the next cycle: a meter that suddenly shows much more."""

from __future__ import annotations

from attrs import evolve

from charging_manager.agent.haste import meters_that_matter, needs_haste
from charging_manager.agent.steering import HASTE_EVERY_S, Cycle
from charging_manager.model.plan import Because, Plan, Setpoint, SiteImage
from charging_manager.model.reading import Reading, Status
from charging_manager.model.site import MeterRole
from tests.agent.test_steering import Judge, steered
from tests.agent.values import box, house, meter
from tests.agent.whole import Make

BEFORE = Reading("grid", 10.0, current_a=(20.0, 20.0, None))


def cycle(charging_a: float = 16.0) -> Cycle:
    site = house(box(), meter()).site("S")
    image = SiteImage(10.5, 1, site, {"grid": (BEFORE,)}, {})
    plan = Plan(1, 10.5, {"garage": Setpoint("garage", charging_a, Because("maximum"))}, {})
    return Cycle(1, 0.01, image, plan)


def test_only_much_more_than_before_makes_haste() -> None:
    def shows(one: float | None, two: float | None, three: float | None) -> bool:
        return needs_haste(Reading("grid", 11.0, current_a=(one, two, three)), cycle())

    assert shows(60.0, 20.0, 0.0) and shows(0.0, 23.0, None)
    assert not shows(22.9, 20.0, 5.0), "a little more waits, and what was unknown before is no step"
    assert not shows(0.0, 0.0, 0.0) and not shows(None, None, None)
    assert not shows(float("nan"), float("inf"), 0.0), "nonsense is judged in its own time"


def test_nobody_hurries_when_nobody_charges_or_nothing_was_known() -> None:
    more = Reading("grid", 11.0, current_a=(60.0, 60.0, 60.0))
    assert not needs_haste(more, cycle(charging_a=0.0))
    assert not needs_haste(evolve(more, device="other"), cycle())


def test_meters_that_no_budget_rests_on_never_hurry_anybody() -> None:
    roof = meter("roof", role=MeterRole.SOLAR)
    cellar = meter("cellar", role=MeterRole.LOAD)
    assert meters_that_matter(house(box(), meter(), roof).site("S")) == {"grid"}
    assert meters_that_matter(house(box(), cellar, roof).site("S")) == {"cellar"}


def test_haste_is_at_once_and_several_calls_are_one() -> None:
    judge = Judge()
    steering, clock, _, _ = steered(judge)
    clock.advance(0.6)
    for _ in range(5):
        steering.hurry()
    clock.advance(0)
    assert [image.now_s for image in judge.images] == [0.0, 0.6]
    clock.advance(0.4)
    assert judge.images[-1].now_s == 1.0, "the regular cycles keep their beat"


def test_haste_has_its_bounds() -> None:
    judge = Judge()
    steering, clock, _, _ = steered(judge)
    for _ in range(1000):
        steering.hurry()
        clock.advance(0.01)
    assert len(judge.images) <= 10.0 / HASTE_EVERY_S + 10 + 1
    apart = [b.now_s - a.now_s for a, b in zip(judge.images, judge.images[1:], strict=False)]
    assert min(apart) > 0.0


def test_a_slow_machine_is_not_hurried_off_its_feet() -> None:
    judge = Judge()
    steering, clock, _, _ = steered(judge)
    assert steering.last is not None
    steering.last = evolve(steering.last, duration_s=0.2)
    steering.hurry()
    clock.advance(0.7)
    assert len(judge.images) == 1
    clock.advance(0.15)
    assert len(judge.images) == 2


def test_who_stopped_hurries_no_more() -> None:
    judge = Judge()
    steering, clock, _, _ = steered(judge)
    steering.hurry()
    steering.stop()
    steering.hurry()
    clock.advance(5)
    assert len(judge.images) == 1 and not clock.getDelayedCalls()


def test_a_step_of_the_house_lowers_the_setpoint_with_the_reading_that_shows_it(agents: Make) -> None:
    config = house(box(driver="keba-p30"), meter(driver="eastron-sdm630"))
    main = evolve(config.circuits["main"], meter="grid")
    values = {
        "garage": {"status": Status.CHARGING, "current_a": (30.0, 30.0, 30.0)},
        "grid": {"status": None, "current_a": (32.0, 32.0, 32.0)},
    }
    agent = agents(evolve(config, circuits={"main": main}), values=values)
    agent.run(30)
    garage = agent.devices["garage"]
    before_a = garage.setpoint_a
    assert before_a is not None and before_a == 30.0
    agent.clock.advance(0.5)  # between two cycles
    number = agent.site.steering.number
    agent.site._read(Reading("grid", agent.clock.seconds(), current_a=(40.0, 40.0, 40.0)))
    agent.clock.advance(0.0)
    assert agent.site.steering.number == number + 1
    assert garage.setpoint_a is not None and garage.setpoint_a < before_a
