"""Rules over time: what they come to together, for whom, for how long, and what a charge point says of it."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve

from charging_manager.control.because import sentence
from charging_manager.control.decide import Rules, decide
from charging_manager.control.facts import Facts
from charging_manager.control.memory import Memory
from charging_manager.control.rulebook import NOTHING_RULED, Ruled, Ruling, lay, together
from charging_manager.control.ruled import holding, judge, unknown_parts
from charging_manager.model.outside import Outside, Prices, PriceSlot
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Obedience, Reading, Status
from charging_manager.model.rule import Condition, Match, Rule, Unknown
from charging_manager.model.site import ChargePoint, Circuit, Meter, MeterRole, Mode, Site, check_site
from charging_manager.model.wish import Wish

NOON = datetime(2026, 5, 4, 12, tzinfo=ZoneInfo("Europe/Paris"))
SITE = check_site(
    Site(
        "house",
        "none",
        {"main": Circuit("main", "Main", None, (63.0, 63.0, 63.0), meter="grid")},
        {"box": ChargePoint("box", "Box", "main"), "two": ChargePoint("two", "Two", "main")},
        {"grid": Meter("grid", "Grid", "main", MeterRole.GRID)},
    )
)


def ruled_site(*rules: Rule, **more: object) -> Site:
    return check_site(evolve(SITE, rules=rules, **more))


def rule(name: str = "Night", *when: Condition, **more: object) -> Rule:
    given = {"limit_a": 10.0} if not {"limit_a", "limit_w", "mode", "pause"} & more.keys() else {}
    return Rule(name.lower(), name, when, **{**given, **more})  # type: ignore[arg-type]


def once(site: Site, facts: Facts = Facts(), **wishes: Wish) -> Ruled:
    """What the rules say at one moment, without a past."""
    return judge(lay(site), facts, wishes, NOTHING_RULED, 100.0)


class Story:
    """Rules second by second, by facts alone."""

    def __init__(self, *rules: Rule) -> None:
        self.book, self.now_s, self.last = lay(ruled_site(*rules)), 100.0, NOTHING_RULED

    def second(self, facts: Facts, wishes: dict[str, Wish] | None = None) -> bool:
        self.now_s += 1.0
        self.last = judge(self.book, facts, wishes or {}, self.last, self.now_s)
        return "box" in self.last.by_point


def test_no_rules_cost_and_say_nothing() -> None:
    plan = decide(image(SITE), Rules())
    assert isinstance(plan.memory, Memory)
    assert plan.memory.ruled is NOTHING_RULED


def test_the_lowest_of_everything_counts_and_is_named() -> None:
    said = together(
        [
            rule("A", limit_a=16.0),
            rule("B", limit_a=8.0, mode=Mode.PLAN),
            rule("C", limit_w=4000.0),
            rule("D", mode=Mode.SOLAR),
        ]
    )
    assert said == Ruling(8.0, "B", 4000.0, "C", Mode.SOLAR, "D")
    assert said.most_a(3) == (4000 / 690, "C")
    assert said.most_a(1) == (8.0, "B")
    assert together([rule("A", limit_a=16.0), rule("P", pause=True)]).most_a(3) == (0.0, "P")
    assert Ruling(mode=Mode.OFF).most_a(3) == (float("inf"), "")


def test_a_rule_means_those_it_names_and_all_where_it_names_nobody() -> None:
    site = ruled_site(
        rule("All", limit_a=20.0),
        rule("Box", limit_a=12.0, charge_points=("box", "gone")),
        rule("Ann", limit_a=8.0, users=("ann",)),
        rule("Off", limit_a=6.0, enabled=False),
        rule("Ghost", pause=True, charge_points=("gone",), users=("nobody",)),
    )
    said = once(site, two=Wish(user="ann")).by_point
    assert {name: one.limit_a for name, one in said.items()} == {"box": 12.0, "two": 8.0}
    assert said["two"].limit_by == "Ann"


def test_a_wish_by_hand_holds_before_every_rule() -> None:
    site = ruled_site(rule("Pause", pause=True))
    assert set(once(site).by_point) == {"box", "two"}
    assert set(once(site, box=Wish(by_hand=True)).by_point) == {"two"}


def test_what_holds_is_told_with_whom_it_meets() -> None:
    site = ruled_site(
        rule("All", limit_a=20.0),
        rule("Ann", limit_a=8.0, users=("ann",)),
        rule("Dear", Condition(price_above=0.4, input="ripple"), limit_a=12.0),
    )
    facts = Facts(price=0.1)
    assert holding(once(site, facts), {}) == {"all": ("box", "two"), "ann": ()}
    wishes = {"two": Wish(user="ann"), "box": Wish(by_hand=True)}
    assert holding(once(site, evolve(facts, price=0.5)), wishes) == {"all": ("two",), "ann": ("two",), "dear": ("two",)}
    assert unknown_parts(lay(site), facts) == {"dear": ("input",)}
    assert holding(NOTHING_RULED, {}) == {}


def test_all_of_and_any_of() -> None:
    ripple, dear = Condition(input="ripple"), Condition(price_above=0.4)
    for match, expected in ((Match.ALL, False), (Match.ANY, True)):
        site = ruled_site(rule("Rule", ripple, dear, match=match))
        facts = Facts(inputs={"ripple": True}, price=0.1)
        assert bool(once(site, facts).by_point) is expected
        assert once(site, evolve(facts, price=0.5)).by_point
        assert not once(site, Facts(inputs={"ripple": False}, price=0.1)).by_point


@pytest.mark.parametrize("unknown", [None, *Unknown])
def test_an_input_nobody_knows_counts_as_set_unless_the_rule_says_otherwise(unknown: Unknown | None) -> None:
    site = ruled_site(rule("Ripple", Condition(input="ripple"), pause=True, unknown=unknown))
    assert bool(once(site).by_point) is (unknown is not Unknown.FAILS)
    tariff = ruled_site(rule("Dear", Condition(price_above=0.4), pause=True, unknown=unknown))
    assert bool(once(tariff).by_point) is (unknown is Unknown.HOLDS)


def test_keeping_alive_is_exact() -> None:
    story = Story(rule("Dear", Condition(price_above=0.4), keep_s=30.0))
    dear, cheap = Facts(price=0.5), Facts(price=0.1)
    assert not story.second(cheap)
    assert story.second(dear)
    assert [story.second(cheap) for _ in range(31)] == [True] * 30 + [False]
    assert story.second(dear)
    assert [story.second(cheap) for _ in range(20)] == [True] * 20
    assert story.second(dear)  # it begins anew
    assert [story.second(cheap) for _ in range(31)] == [True] * 30 + [False]


def test_a_threshold_that_breathes_does_not_flap() -> None:
    story = Story(rule("Peak", Condition(import_above_w=10_000.0)))
    held = [story.second(Facts(grid_w=10_000.0 + (300.0 if at % 2 else -300.0))) for at in range(200)]
    assert held == [False] + [True] * 199  # 300 W is less than the band of 5 %
    assert [story.second(Facts(grid_w=9_000.0)) for _ in range(3)] == [False] * 3


def test_what_began_holds_for_a_minute_and_longer_where_it_stops_cars() -> None:
    for effect, least in (
        ({"limit_a": 10.0}, 60),
        ({"limit_a": 3.0}, 300),
        ({"pause": True}, 300),
        ({"mode": Mode.OFF}, 300),
    ):
        story = Story(rule("Peak", Condition(import_above_w=10_000.0), **effect))
        assert story.second(Facts(grid_w=20_000.0))
        held = [story.second(Facts(grid_w=0.0)) for _ in range(least + 5)]
        assert held.index(False) == least - 1 and not any(held[least - 1 :])


def test_a_state_of_charge_is_each_cars_own() -> None:
    story = Story(rule("Full", Condition(soc_above_pct=80.0), pause=True))

    def second(**soc: float | None) -> set[str]:
        wishes = {name: Wish(soc_pct=one) for name, one in soc.items()}
        story.second(Facts(soc_pct=soc), wishes)
        return set(story.last.by_point)

    assert second(box=79.0, two=81.0) == {"two"}
    assert second(box=81.0, two=None) == {"box", "two"}  # it began to hold for two: for 5 min at least
    assert holding(story.last, {}) == {"full": ("box", "two")}
    assert holding(story.last, {"two": Wish(by_hand=True)}) == {"full": ("box",)}
    for _ in range(300):
        second(box=79.5, two=None)
    assert second(box=79.5, two=None) == {"box"}  # inside the band
    assert second(box=78.0, two=None) == set()
    assert second(box=81.0) == {"box"}
    assert second() == set()  # the car has gone, and with it all that was kept


def test_a_rule_that_was_not_touched_keeps_its_spell_when_others_change() -> None:
    kept = rule("Kept", Condition(price_above=0.4), keep_s=100.0)
    changed = rule("Changed", Condition(price_above=0.4), keep_s=100.0, limit_a=8.0)
    one, plan = ruled_site(kept, changed), None
    plan = decide(image(one, price=0.5), Rules())
    other = ruled_site(evolve(changed, keep_s=50.0), kept)
    plan = decide(image(other, 101.0, last=plan, price=0.1), Rules())
    assert isinstance(plan.memory, Memory)
    assert plan.memory.ruled.by_point["box"] == Ruling(10.0, "Kept")


def image(
    site: Site, now_s: float = 100.0, last: Plan | None = None, price: float | None = None, **more: object
) -> SiteImage:
    told = {name: last.setpoints[name].current_a if last else 0.0 for name in site.charge_points}
    readings = {
        name: (Reading(name, now_s, (told[name],) * 3, status=Status.CHARGING if told[name] else Status.PLUGGED),)
        for name in site.charge_points
    }
    flow = 10.0 + sum(told.values())
    readings["grid"] = (Reading("grid", now_s, (flow, flow, flow), power_w=flow * 690, energy_wh=now_s),)
    slots = () if price is None else (PriceSlot(NOON - timedelta(days=1), NOON + timedelta(days=1), price),)
    obedience = {
        name: Obedience(32.0, None, amps, 0.0, 30.0, answering=True, silent_s=0.0) for name, amps in told.items()
    }
    return evolve(
        SiteImage(now_s, 1, site, readings, obedience, last, now_at=NOON, outside=Outside(prices=Prices(slots))), **more
    )


def because(site: Site, name: str = "box", **more: object) -> tuple[float, str, dict[str, object]]:
    """Setpoint, code and fields after a minute."""
    plan: Plan | None = None
    for at in range(90):
        plan = decide(image(site, 100.0 + at, plan, **more), Rules())  # type: ignore[arg-type]
    assert plan is not None and plan.violations == ()
    setpoint = plan.setpoints[name]
    assert "{" not in sentence(setpoint.because)
    return setpoint.current_a, setpoint.because.code, dict(setpoint.because.fields)


def test_a_charge_point_says_which_rule_it_is() -> None:
    assert because(SITE)[1] == "circuit-limit"
    assert because(ruled_site(rule("Ten", limit_a=10.5))) == (10.0, "rule-limit", {"rule": "Ten", "amps": 10.0})
    assert because(ruled_site(rule("Six", limit_w=4200.0))) == (6.0, "rule-limit", {"rule": "Six", "amps": 6.0})
    assert because(ruled_site(rule("P", pause=True))) == (0.0, "rule-pause", {"rule": "P"})
    assert because(ruled_site(rule("O", mode=Mode.OFF))) == (0.0, "rule-off", {"rule": "O"})
    low = because(ruled_site(rule("Low", limit_a=5.0)))
    assert low == (0.0, "rule-too-low", {"rule": "Low", "amps": 5.0, "least": 6.0})


def test_where_the_circuit_gives_less_than_the_rule_the_circuit_is_the_reason() -> None:
    tight = {"circuits": {"main": evolve(SITE.circuits["main"], limit_a=(26.0, 26.0, 26.0))}}
    amps, code, _ = because(ruled_site(rule("Ten", limit_a=10.0), **tight))
    assert (amps, code) == (8.0, "circuit-limit")  # 16 A of 26 A for two
    only_one = ruled_site(rule("Six", limit_a=6.0, charge_points=("box",)), **tight)
    assert because(only_one) == (6.0, "rule-limit", {"rule": "Six", "amps": 6.0})
    assert because(only_one, "two")[:2] == (10.0, "circuit-limit")


def test_by_hand_the_rule_is_not_the_reason() -> None:
    site = ruled_site(rule("Ten", limit_a=10.0))
    by_hand = {"wishes": {"box": Wish(by_hand=True)}, "overrides": {"box": 14.0}}
    assert because(site, **by_hand) == (14.0, "override", {"amps": 14.0})


def test_a_mode_of_a_rule_replaces_only_one_that_takes_more() -> None:
    points = {"box": evolve(SITE.charge_points["box"], mode=Mode.OFF), "two": SITE.charge_points["two"]}
    site = ruled_site(rule("Sun", mode=Mode.SOLAR), charge_points=points)
    assert because(site)[1] == "mode-off"
    assert because(site, "two")[0] == 0.0  # nothing comes from a roof here


def test_a_rule_of_the_clock_begins_and_ends_on_the_minute() -> None:
    site = ruled_site(rule("Night", Condition(time_from=time(22), time_to=time(6)), pause=True))
    for minute, paused in ((21 * 60 + 59, False), (22 * 60, True), (24 * 60 + 359, True), (24 * 60 + 360, False)):
        plan = decide(image(site, now_at=NOON.replace(hour=0) + timedelta(minutes=minute)), Rules())
        assert (plan.setpoints["box"].because.code == "rule-pause") is paused


def test_a_silent_box_is_not_left_above_what_a_rule_allows() -> None:
    site = ruled_site(rule("Ripple", Condition(input="ripple"), limit_a=8.0))
    free = Outside(inputs={"ripple": False})
    plan: Plan | None = None
    for at in range(60):
        plan = decide(image(site, 100.0 + at, plan, outside=free), Rules())
    assert plan is not None and plan.setpoints["box"].current_a > 20.0
    silent = image(site, 175.0, plan, outside=free)
    gone = evolve(silent.obedience["box"], answering=False, silent_s=15.0)
    silent = evolve(silent, obedience={**silent.obedience, "box": gone})
    assert decide(silent, Rules()).setpoints["box"].current_a > 20.0
    ruled = evolve(silent, outside=Outside(inputs={"ripple": True}))
    assert decide(ruled, Rules()).setpoints["box"].current_a <= 8.0
