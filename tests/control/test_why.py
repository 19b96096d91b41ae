"""Why, for every reason that there is: a staged situation, decided for real, and what a person is told.

A reason without a situation fails: whoever adds one to ``SENTENCES`` adds its story to ``STORIES``.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from datetime import time

import pytest
from attrs import evolve

from charging_manager.control.because import SENTENCES
from charging_manager.control.chain import BINDS, CHAIN_SENTENCES, binds, chain
from charging_manager.control.rules import Rules
from charging_manager.control.whatif import WHAT_IF_SENTENCES, try_out, variations
from charging_manager.model.goal import Goal
from charging_manager.model.mode import Mode
from charging_manager.model.plan import Because, Decision, SiteImage, Step
from charging_manager.model.reading import Reading, Status
from charging_manager.model.rule import Rule
from charging_manager.model.site import Breaker, BreakerCurve, Circuit
from charging_manager.model.wish import Wish
from charging_manager.words import LANGUAGES, say
from tests.control.stage import (
    CHEAP_LATER,
    CHEAP_NOW,
    GREEN,
    STORE,
    SUN_SLOTS,
    TWENTY,
    Stage,
    planned,
    sunny,
)

TEXTS = {**CHAIN_SENTENCES, **WHAT_IF_SENTENCES, **SENTENCES}
MODES = tuple(Mode)
GARAGE = Circuit("garage", "Garage", "main", (16.0, 16.0, 16.0))


def ruled(rule: Rule) -> Stage:
    return Stage(rules=None).plug().after(10.0).rule(rule)


def waiting() -> Stage:
    """« b » charges and « a » comes later: not both can have 6 A."""
    return Stage(2, main={"limit_a": (10.0, 10.0, 10.0)}).plug("b").after(20.0).plug("a").after(60.0)


def held() -> Stage:
    stage = Stage().plug()
    stage.world.overrides["a"] = 10.0
    return stage.after(15.0)


def gone() -> Stage:
    stage = Stage().plug().after(15.0)
    stage.world.silence("a")
    return stage.after(12.0)


def blind() -> Stage:
    stage = Stage().plug().after(15.0)
    stage.world.hide_meter("grid")
    return stage.after(12.0)


def hardware() -> Stage:
    stage = Stage()
    stage.box().hardware_max_a = 16.0
    return stage.plug().after(15.0)


def overdrawn() -> Stage:
    """The house alone draws more than the fuse for a while, and then little."""
    return Stage(rules=Rules(pause_s=0.0)).plug().after(15.0).house(34.0).after(25.0).house(10.0).after(40.0)


def unbalanced() -> Stage:
    return Stage(own={"phases": (0,)}, main={"limit_a": (63.0,) * 3}, unbalance_a=20.0).plug(phases=(0,)).after(30.0)


def dimmed() -> Stage:
    stage = Stage().plug().after(15.0)
    stage.world.order(4200.0)
    return stage.after(15.0)


def second_of_two(**main: object) -> Stage:
    """« b » came first; power or turns are not enough for « a »."""
    return Stage(2, main=dict(main)).plug("b").after(20.0).plug("a").after(40.0)


def urgent(**main: object) -> Stage:
    """« b » has the higher priority."""
    stage = Stage(2, main=dict(main), own={"priority": -1}).plug("b").after(20.0).plug("a")
    return stage.after(40.0)


def switching() -> Stage:
    stage = sunny(own={"max_a": 16.0})
    stage.box().switches = True
    return stage.house(-9.0).until("phases-switching", 900.0)


def of_no_meter() -> Stage:
    return Stage(meter=False, own={"mode": Mode.SOLAR}).plug().after(15.0)


def dark() -> Stage:
    stage = sunny().house(0.0).after(20.0)
    stage.world.hide_meter("grid")
    return stage.after(12.0)


def storing() -> Stage:
    """The battery for the house takes all that the roof gives."""
    stage = sunny(meters=(STORE,))

    def charging(image: SiteImage) -> SiteImage:
        readings = {**image.readings, "store": (Reading("store", image.now_s, (10.0,) * 3, power_w=6900.0),)}
        return evolve(image, readings=readings)

    stage.hook = charging
    return stage.house(0.0).until("storage-first", 200.0)


def clouds() -> Stage:
    """It comes and goes so often that a car on three phases would live of the grid."""
    stage = sunny()
    for _ in range(40):
        stage.house(-12.0).after(70.0).house(1.0).after(45.0)
        if stage.code == "sun-restless":
            break
        stage.house(-12.0)
        for _ in range(40):
            stage.after(1.0)
            if stage.code == "sun-restless":
                return stage
    return stage


def neighbour() -> Stage:
    """« b » does not answer and has no fallback: its hardware maximum is kept for it."""
    stage = Stage(2, main={"limit_a": (50.0,) * 3})
    stage.box("b").fallback_a = None
    stage.plug("a", "b").after(40.0)
    stage.world.silence("b")
    return stage.after(15.0)


def bearing() -> Stage:
    """The breaker was cool, and now a little more than the limit flows."""
    stage = Stage(main={"breaker": Breaker(BreakerCurve.B, 32.0)}, own={"max_a": 20.0}, rules=Rules(bear_s=60.0))
    return stage.plug().after(300.0).change(max_a=32.0).house(15.0).after(3.0)


def without_a_clock() -> Stage:
    stage = planned(TWENTY, *CHEAP_LATER)
    stage.world.start_at = None
    return stage.after(5.0)


def soon() -> Stage:
    """Many plans are asked for at once; « a » stands last in the row."""
    stage = Stage(8, main={"limit_a": (400.0,) * 3}, point={"mode": Mode.PLAN, "max_a": 16.0}).prices(*CHEAP_LATER)
    site = stage.world.site
    stage.world.site = evolve(site, charge_points={name: site.charge_points[name] for name in "hgfedcba"})
    for name in "abcdefgh":
        stage.plug(name)
        stage.world.wishes[name] = Wish(goal=Goal(time(7), energy_wh=12_000.0))
    return stage.until("plan-soon", 20.0)


STORIES: dict[str, Callable[[], Stage]] = {
    "maximum": lambda: Stage(main={"limit_a": (63.0,) * 3}).plug().after(30.0),
    "car-takes-less": lambda: Stage(main={"limit_a": (63.0,) * 3}).plug(max_a=10.0).after(60.0),
    "override": held,
    "hardware-maximum": hardware,
    "circuit-limit": lambda: Stage(2, main={"reserve_a": 3.0}).plug("a", "b").house((2.0, 8.0, 2.0)).after(40.0),
    "feeder-limit": lambda: Stage(2, main={"charging_limit_a": (20.0,) * 3}).plug("a", "b").after(40.0),
    "power-limit": lambda: Stage(main={"limit_w": 11_000.0}).plug().after(30.0),
    "charging-power": lambda: Stage(main={"charging_limit_w": 11_000.0}).plug().after(30.0),
    "own-power": lambda: Stage(own={"max_w": 11_000.0}).plug().after(30.0),
    "own-power-too-low": lambda: Stage(own={"max_w": 2_000.0}).plug().after(10.0),
    "dimmed": dimmed,
    "priority-power": lambda: urgent(charging_limit_w=6_000.0),
    "waiting-power": lambda: second_of_two(charging_limit_w=6_000.0),
    "first-come": lambda: (
        Stage(2, main={"limit_a": (10.0,) * 3}, first_come=True).plug("b").after(20.0).plug("a").after(40.0)
    ),
    "circuit-too-low": lambda: Stage(main={"limit_a": (5.0,) * 3}).plug().after(10.0),
    "priority": lambda: urgent(limit_a=(10.0,) * 3),
    "overdraft": overdrawn,
    "overload": lambda: (
        Stage(2, main={"limit_a": (20.0,) * 3}).plug("a", "b").after(30.0).house(32.0).until("overload")
    ),
    "unbalance": unbalanced,
    "meter-silent": blind,
    "waiting-turn": waiting,
    "no-room": lambda: Stage().house(30.0).plug().after(20.0),
    "pause": lambda: Stage().plug().after(20.0).house(30.0).after(15.0).house(10.0).after(15.0),
    "others-first": lambda: Stage(2).plug("b").after(30.0).plug("a").until("others-first"),
    "rising": lambda: Stage().plug().after(40.0).house(10.0).after(6.0).house(1.0).until("rising"),
    "mode-off": lambda: Stage(own={"mode": Mode.OFF}).plug().after(10.0),
    "rule-limit": lambda: ruled(Rule("r", "Quiet hours", limit_a=8.0)),
    "rule-off": lambda: ruled(Rule("r", "Quiet hours", mode=Mode.OFF)),
    "rule-pause": lambda: ruled(Rule("r", "Quiet hours", pause=True)),
    "rule-too-low": lambda: ruled(Rule("r", "Quiet hours", limit_a=4.0)),
    "sun-wait": lambda: sunny().house(1.0).after(90.0),
    "sun-lasting": lambda: sunny().house(-20.0).until("sun-lasting", 90.0),
    "sun-restless": clouds,
    "sun-follows": lambda: sunny().house(-16.0).until("sun-follows", 400.0),
    "sun-minimum": lambda: sunny(mode=Mode.MIN_SOLAR).house(1.0).after(40.0),
    "sun-grace": lambda: sunny().house(-12.0).after(270.0).house(1.0).until("sun-grace", 90.0),
    "sun-pause": lambda: sunny().house(-12.0).after(270.0).house(3.0).until("sun-pause", 500.0),
    "sun-others": lambda: sunny(2, own={"priority": -1}).house(-8.0).until("sun-others", 400.0),
    "sun-unknown": dark,
    "no-grid-meter": of_no_meter,
    "storage-first": storing,
    "phases-switching": switching,
    "plan-cheap": lambda: planned(TWENTY, *CHEAP_NOW).until("plan-cheap", 120.0),
    "plan-green": lambda: (
        planned(GREEN).prices(*CHEAP_LATER, co2=(50.0,) * 3 + (400.0,) * 8).until("plan-green", 120.0)
    ),
    "plan-waits": lambda: planned(TWENTY, *CHEAP_LATER).until("plan-waits", 200.0),
    "plan-waits-green": lambda: (
        planned(GREEN).prices(*CHEAP_LATER, co2=(400.0,) * 3 + (50.0,) * 8).until("plan-waits-green", 200.0)
    ),
    "plan-sun": lambda: planned(TWENTY, *CHEAP_LATER).sun(SUN_SLOTS).until("plan-sun", 300.0),
    "plan-measures": lambda: planned(Goal(time(7), energy_wh=6_000.0), 0.2, 0.05, *[0.4] * 9).until(
        "plan-measures", 60.0
    ),
    "plan-must": lambda: planned(Goal(time(21), energy_wh=9_500.0), *CHEAP_LATER).until("plan-must", 60.0),
    "plan-late": lambda: planned(Goal(time(20, 3), energy_wh=60_000.0), *CHEAP_LATER).until("plan-late", 400.0),
    "plan-reached": lambda: planned(TWENTY, *CHEAP_LATER, session_wh=21_000.0).until("plan-reached", 30.0),
    "plan-no-goal": lambda: planned(None, *CHEAP_LATER).after(5.0),
    "plan-no-prices": lambda: planned(TWENTY).until("plan-no-prices", 120.0),
    "plan-no-soc": lambda: planned(Goal(time(7), soc_pct=80.0), *CHEAP_LATER).until("plan-no-soc", 60.0),
    "plan-no-clock": without_a_clock,
    "plan-soon": soon,
    "goal-not-in-time": lambda: planned(Goal(time(7), energy_wh=300_000.0), *CHEAP_LATER).until("goal-not-in-time"),
    "no-car": lambda: Stage().after(5.0),
    "fault": lambda: Stage().plug().status(Status.FAULT).after(5.0),
    "status-unknown": lambda: Stage().plug().status(Status.UNKNOWN).after(5.0),
    "silent": gone,
    "out-of-service": lambda: Stage(own={"out_of_service": True}).after(5.0),
}
"""By reason: how it comes about."""

TOLD = {
    "circuit-limit": "The circuit Main is full on L2: what its 32 A leave beside reserve and other loads is"
    " shared fairly (cars: 2).",
    "waiting-turn": "Waiting: the circuit Main is full on L1; Box b has the turn until 20:16.",
    "pause": "Paused for want of current; it may start again at 20:06 at the earliest.",
    "overdraft": "The circuit Main was overloaded on L1 and is held lower until 20:06, to cool.",
    "hardware-maximum": "The charge point itself can do no more than 16 A, less than was entered for it.",
    "rule-limit": "Held to 8 A by the rule Quiet hours.",
    "priority": "Charge points of higher priority use what the circuit Main can give on L1.",
    "unbalance": "Charging may differ by no more than 20 A between phases; L1 is the bound.",
}

FURTHER: dict[str, tuple[Callable[[], Stage], str, Step]] = {
    "reserve": (STORIES["circuit-limit"], "line-reserve", Step.SHARE),
    "house load": (STORIES["circuit-limit"], "line-house", Step.SHARE),
    "overdraft in the line": (overdrawn, "line-held-back", Step.SHARE),
    "who shares": (STORIES["circuit-limit"], "sharer", Step.SHARE),
    "whose turn": (waiting, "sharer-turn", Step.SHARE),
    "own turn": (lambda: waiting().swap(), "own-turn", Step.SHARE),
    "a feeder's limit": (STORIES["feeder-limit"], "line-feeder", Step.SHARE),
    "a power limit": (STORIES["power-limit"], "line-power", Step.SHARE),
    "a breaker that bears more": (bearing, "line-borne", Step.SHARE),
    "a silent neighbour": (neighbour, "line-others", Step.SHARE),
    "a circuit below": (lambda: Stage(2, under=GARAGE).plug("a", "b").after(40.0), "line-limit", Step.SHARE),
    "rounded to a step": (
        lambda: Stage(2, main={"limit_a": (23.0,) * 3}).plug("a", "b").after(40.0),
        "rounded",
        Step.SETPOINT,
    ),
    "phases learned": (lambda: Stage().plug(phases=(0,)).after(60.0), "car-loads", Step.DEMAND),
    "hardware less than entered": (hardware, "box-hardware", Step.LIMIT),
    "power of its own": (STORIES["own-power"], "box-power", Step.LIMIT),
    "what it took": (STORIES["car-takes-less"], "car-took", Step.DEMAND),
    "by hand": (held, "by-hand", Step.RULE),
    "dimmed": (dimmed, "dimmed-site", Step.RULE),
    "nothing holds it": (STORIES["maximum"], "nothing-holds", Step.RULE),
    "a rule that is not what binds": (
        lambda: Stage(main={"limit_a": (8.0,) * 3}).plug().after(20.0).rule(Rule("r", "Quiet hours", limit_a=10.0)),
        "rule-limit",
        Step.RULE,
    ),
}
"""Facts that a chain tells beside the reason: a story, the code, and the link."""


def told(because: Because, language: str = "en") -> str:
    fields = {key: f"Box {value}" if key == "holder" else value for key, value in because.fields.items()}
    return say(language, TEXTS[because.code], **fields)


def decision(stage: Stage) -> Decision:
    assert stage.last is not None
    found = chain(*stage.last, "a")
    assert found is not None
    return found


def test_every_reason_has_a_situation() -> None:
    assert sorted(SENTENCES) == sorted(STORIES)
    assert set(BINDS) <= set(SENTENCES)


@pytest.mark.parametrize("code", sorted(STORIES))
def test_each_situation_names_its_true_cause_in_three_languages(code: str) -> None:
    stage = STORIES[code]()
    assert stage.last is not None
    setpoint = stage.last[1].setpoints["a"]
    assert setpoint.because.code == code, setpoint
    texts = [told(setpoint.because, language) for language in LANGUAGES]
    assert len(set(texts)) == 3
    assert not any("{" in text for text in texts)
    if code in TOLD:
        assert texts[0] == TOLD[code]
    found = decision(stage)
    assert [link.step for link in found.links if link.binds] == [binds(code)]
    assert [link.step for link in found.links] == list(Step)
    (binding,) = (link for link in found.links if link.binds)
    assert binding.facts[0].because == setpoint.because
    assert found.links[-1].allows_a == setpoint.current_a == found.setpoint_a
    for link in found.links:
        for fact in link.facts:
            assert fields_of(TEXTS[fact.because.code]) <= set(fact.because.fields), fact
            assert link.allows_a is None or 0.0 <= link.allows_a <= 1000.0


@pytest.mark.parametrize("name", sorted(FURTHER))
def test_what_counts_beside_the_cause_stands_in_its_link(name: str) -> None:
    story, code, step = FURTHER[name]
    found = decision(story())
    assert [link.step for link in found.links if code in {fact.because.code for fact in link.facts}] == [step], found


def test_a_rule_that_allows_more_than_the_circuit_is_not_named() -> None:
    stage = FURTHER["a rule that is not what binds"][0]()
    assert (stage.code, decision(stage).setpoint_a) == ("circuit-limit", 8.0)


def fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def outcomes(stage: Stage) -> dict[str, tuple[float | None, str | None]]:
    """What if: by code, what it would get and what would bound it then."""
    assert stage.last is not None
    image, plan = stage.last
    found = {}
    for variation in variations(image, plan, "a", MODES):
        assert fields_of(WHAT_IF_SENTENCES[variation.because.code]) <= set(variation.because.fields)
        outcome = try_out(variation, "a", stage.world.rules)
        found[outcome.because.code] = (outcome.setpoint_a, outcome.then.code if outcome.then else None)
    return found


@pytest.mark.parametrize(
    ("code", "hint", "amps", "then"),
    [
        ("override", "if-no-hand", 32.0, "maximum"),
        ("rule-limit", "if-no-rule", 32.0, "maximum"),
        ("rule-pause", "if-no-rule", 32.0, "maximum"),
        ("mode-off", "if-mode-fast", 32.0, "maximum"),
        ("sun-wait", "if-mode-fast", 31.0, "circuit-limit"),
        ("plan-waits", "if-mode-fast", 16.0, "maximum"),
        ("circuit-limit", "if-circuit", 32.0, "maximum"),
        ("feeder-limit", "if-circuit", 16.0, "circuit-limit"),
        ("power-limit", "if-power", 32.0, "maximum"),
        ("unbalance", "if-unbalance", 32.0, "maximum"),
        ("dimmed", "if-undimmed", 32.0, "maximum"),
        ("priority", "if-priority", 10.0, "circuit-limit"),
        ("waiting-turn", "if-turn-over", 10.0, "circuit-limit"),
        ("pause", "if-pause-over", 22.0, "circuit-limit"),
        ("car-takes-less", "if-car-asks", 32.0, "maximum"),
        ("no-car", "if-plugged", 32.0, "maximum"),
        ("silent", "if-answers", None, None),
        ("fault", "if-repaired", None, None),
        ("meter-silent", "if-meter-back", None, None),
        ("out-of-service", "if-in-service", None, None),
    ],
)
def test_what_would_change_it_is_decided_and_not_guessed(code: str, hint: str, amps: float | None, then: str) -> None:
    assert outcomes(STORIES[code]())[hint] == (amps, then)


def test_what_comes_by_itself_comes_as_foretold() -> None:
    """The hint says what it will have when others have followed; then they follow."""
    stage = STORIES["others-first"]()
    foretold, _ = outcomes(stage)["if-settled"]
    stage.after(40.0)
    assert decision(stage).setpoint_a == foretold
    stage = STORIES["pause"]()
    foretold, _ = outcomes(stage)["if-pause-over"]
    stage.after(320.0)
    assert decision(stage).setpoint_a == foretold


def test_asking_changes_nothing() -> None:
    stage = STORIES["waiting-turn"]()
    assert stage.last is not None
    _, plan = stage.last
    before = (dict(plan.setpoints), plan.memory, decision(stage))
    outcomes(stage)
    assert (dict(plan.setpoints), plan.memory, decision(stage)) == before
