from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from charging_manager.agent.steering import Cycle, Situation, Steering
from charging_manager.control.decide import Rules, decide
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Obedience, Reading, Status
from charging_manager.model.site import Site
from tests.agent.values import box, house, meter
from tests.agent.whole import Make, WholeAgent

SITE = house(box()).site("S")


class Hands:
    """Takes setpoints and says that all is obeyed."""

    def __init__(self) -> None:
        self.wanted: list[tuple[str, float]] = []
        self.phases: int | None = None
        self.locked = False
        self.broken = ""

    def obedience(self, site: Site, now_s: float) -> dict[str, Obedience]:
        return {name: Obedience(32.0, 0.0, 0.0, answering=True, silent_s=0.0) for name in site.charge_points}

    def want(self, charge_point: str, setpoint_a: float, phases: int | None = None) -> None:
        if charge_point == self.broken:
            raise RuntimeError("a bug in its driver")
        self.wanted.append((charge_point, setpoint_a))
        self.phases = phases

    def lock_storage(self, locked: bool) -> None:
        self.locked = locked


class Judge:
    """Decides as control does, until it is told to fail."""

    def __init__(self) -> None:
        self.images: list[SiteImage] = []
        self.fails = self.knows_nothing = False
        self.violations: tuple[str, ...] = ()

    def __call__(self, image: SiteImage) -> Plan:
        self.images.append(image)
        if self.fails:
            raise RuntimeError("a bug in control")
        return evolve(decide(image, Rules()), violations=self.violations)


def steered(judge: Judge) -> tuple[Steering, Clock, Hands, list[Cycle]]:
    clock, hands, published = Clock(), Hands(), list[Cycle]()
    reading = Reading("garage", 0.0, status=Status.PLUGGED)

    def recent(now_s: float) -> dict[str, tuple[Reading, ...]]:
        return {"garage": (evolve(reading, taken_s=now_s),)}

    def situation() -> Situation:
        if judge.knows_nothing:
            raise RuntimeError("a bug in what is configured and known")
        return Situation(SITE, {})

    steering = Steering(clock, judge, situation, recent, hands, published.append)
    steering.fall_back_to({"garage": 7.0, "yard": 0.0})
    steering.start()
    return steering, clock, hands, published


def test_every_second_an_image_is_judged_and_the_plan_comes_back_in_the_next() -> None:
    judge = Judge()
    _, clock, hands, published = steered(judge)
    clock.pump([1.0] * 3)
    assert [image.number for image in judge.images] == [1, 2, 3, 4]
    assert judge.images[0].last_plan is None
    assert judge.images[3].last_plan is published[2].plan
    assert hands.wanted[-1][1] >= 6.0


def test_a_bug_in_control_is_survived() -> None:
    judge = Judge()
    steering, clock, _hands, published = steered(judge)
    judge.fails = True
    clock.advance(1)
    judge.fails = False
    clock.advance(1)
    assert not steering.failing and published[-1].number == 3


def test_when_deciding_fails_again_and_again_every_box_goes_to_its_fallback() -> None:
    judge = Judge()
    steering, clock, hands, _ = steered(judge)
    clock.advance(1)
    judge.fails = True
    hands.wanted.clear()
    clock.pump([1.0] * 2)
    assert hands.wanted == []
    clock.advance(1)
    assert hands.wanted == [("garage", 7.0), ("yard", 0.0)] and steering.failing


def test_the_way_to_the_fallback_asks_nothing_that_may_itself_have_failed() -> None:
    judge = Judge()
    steering, clock, hands, _ = steered(judge)
    clock.advance(1)
    judge.knows_nothing = True
    hands.wanted.clear()
    hands.locked = True
    clock.pump([1.0] * 3)
    assert hands.wanted == [("garage", 7.0), ("yard", 0.0)] and steering.failing
    assert not hands.locked
    judge.knows_nothing = False
    clock.advance(1)
    assert not steering.failing and hands.wanted[-1] != ("garage", 7.0)


def test_a_box_that_cannot_be_told_keeps_no_other_from_its_fallback() -> None:
    judge = Judge()
    steering, clock, hands, _ = steered(judge)
    steering.fall_back_to({"broken": 6.0, "garage": 7.0})
    hands.broken = "broken"
    judge.knows_nothing = True
    hands.wanted.clear()
    clock.pump([1.0] * 3)
    assert hands.wanted == [("garage", 7.0)] and steering.failing


def test_a_broken_invariant_is_an_error_said_once() -> None:
    judge = Judge()
    with capturedLogs() as events:
        _, clock, _, _ = steered(judge)
        judge.violations = ("I1: main L1",)
        clock.pump([1.0] * 3)
    said = [event for event in events if "broke an invariant" in str(event.get("log_format"))]
    assert len(said) == 1 and said[0]["violation"] == "I1: main L1"


def plugged(agent: WholeAgent) -> dict[str, Any]:
    return agent.json("GET", "state")["charge_points"][0]  # type: ignore[no-any-return]


def test_before_the_first_meter_reading_nothing_is_above_the_fallback(agents: Make) -> None:
    config = house(box(driver="keba-p30"), meter(driver="eastron-sdm630"))
    main = evolve(config.circuits["main"], meter="grid", fallback_a=7.0)
    idle = {"status": Status.PLUGGED, "current_a": (0.0, 0.0, 0.0)}
    values = {"garage": idle, "grid": {"status": None}}
    agent = agents(evolve(config, circuits={"main": main}), values=values)
    agent.devices["grid"].silent = True
    agent.run(20)
    assert max(agent.devices["garage"].applied, default=0.0) <= 7.0
    assert [alarm["code"] for alarm in agent.json("GET", "state")["alarms"]] == ["meter-silent"]
    agent.devices["grid"].silent = False
    agent.devices["grid"].values["current_a"] = (2.0, 2.0, 2.0)
    agent.run(5)
    assert agent.devices["garage"].setpoint_a == 30.0
    assert agent.json("GET", "state")["alarms"] == []


def test_a_device_whose_driver_is_missing_is_an_alarm_and_the_others_run(agents: Make) -> None:
    agent = agents(house(box(driver="keba-p30"), box("yard", driver="gone", address="tcp://192.0.2.1")))
    agent.run(2)
    [alarm] = agent.json("GET", "state")["alarms"]
    assert alarm["code"] == "device-not-running" and "gone" in alarm["text"]
    assert plugged(agent)["status"] == "free"
    assert "gone" in agent.json("GET", "devices/yard")["condition"]["text"]


def test_stopping_leaves_every_box_on_its_fallback(agents: Make) -> None:
    config = house(box(driver="keba-p30"))
    main = evolve(config.circuits["main"], fallback_a=10.0)
    agent = agents(evolve(config, circuits={"main": main}), values={"garage": {"status": Status.PLUGGED}})
    agent.run(10)
    assert agent.devices["garage"].setpoint_a == 32.0
    agent.close()
    assert agent.devices["garage"].setpoint_a == 10.0
