"""What holds for any rules and any facts: they only lower, their order is nothing, and no decision falls over them."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from charging_manager.control.because import sentence
from charging_manager.control.decide import Rules, decide
from charging_manager.control.facts import Facts
from charging_manager.control.memory import Memory
from charging_manager.control.rulebook import NOTHING_RULED, Book, Car, Ruled, lay, together
from charging_manager.control.ruled import judge
from charging_manager.model.outside import Outside, PriceLevel, Prices, PriceSlot
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Obedience, Reading, Status
from charging_manager.model.rule import LEAST_FIRST, Condition, Rule
from charging_manager.model.site import ChargePoint, Circuit, Meter, MeterRole, Mode, Site
from charging_manager.model.wish import Wish
from tests.control.test_strange_images import strange_obedience, strange_reading
from tests.support.strategies import INPUTS, NOT_FINITE, conditions, examples, rule_lists, seeds, sites

NOON = datetime(2026, 5, 4, 12, tzinfo=ZoneInfo("Europe/Paris"))
STRANGE = (None, *NOT_FINITE, -1e300, -0.1, 0.0, 0.2, 79.9, 80.5, 1e4, 1e300)


def strange_facts(chance: random.Random) -> Facts:
    def number() -> float | None:
        return chance.choice(STRANGE)

    surely = chance.randint(0, 4)
    return Facts(
        now_at=chance.choice([None, NOON + timedelta(minutes=chance.randint(0, 20_000))]),
        price=number(),
        level=chance.choice([None, *PriceLevel]),
        surplus_w=number(),
        grid_w=number(),
        charging=(surely, surely + chance.randint(0, 3)),
        inputs={name: chance.choice([None, True, False]) for name in INPUTS[:2]},
        soc_pct={name: number() for name in ("p0", "p1", "p2") if chance.random() < 0.7},
    )


@given(rule_lists(("p0", "p1")), st.randoms(use_true_random=False))
@examples(150, 5000)
def test_the_lower_wins_whatever_the_order(rules: tuple[Rule, ...], chance: random.Random) -> None:
    shuffled = list(rules)
    chance.shuffle(shuffled)
    one, other = together(rules), together(shuffled)
    assert (one.limit_a, one.limit_w, one.mode, bool(one.pause_by)) == (
        other.limit_a,
        other.limit_w,
        other.mode,
        bool(other.pause_by),
    )
    assert one.limit_a == min((each.limit_a for each in rules if each.limit_a is not None), default=None)
    assert one.limit_w == min((each.limit_w for each in rules if each.limit_w is not None), default=None)
    assert bool(one.pause_by) is any(each.pause for each in rules)
    modes = [LEAST_FIRST.index(each.mode) for each in rules if each.mode is not None]
    assert one.mode is (LEAST_FIRST[min(modes)] if modes else None)


@given(rule_lists(("p0", "p1")), rule_lists(("p0", "p1"), 2), seeds())
@examples(100, 3000)
def test_more_rules_allow_no_more(rules: tuple[Rule, ...], more: tuple[Rule, ...], seed: int) -> None:
    """At every moment of any story, with more rules no charge point may have more, in current or mode."""
    chance = random.Random(seed)
    points = {name: ChargePoint(name, name, "main") for name in ("p0", "p1", "p2")}
    more = tuple(evolve(each, id=f"more-{each.id}") for each in more)
    few, many = (lay(Site("any", "none", charge_points=points, rules=each)) for each in (rules, (*rules, *more)))
    last_few = last_many = NOTHING_RULED
    for at in range(12):
        facts = strange_facts(chance)
        wishes = {
            name: Wish(chance.choice([None, "ann", "bea"]), by_hand=chance.random() < 0.2, soc_pct=soc)
            for name, soc in facts.soc_pct.items()
        }
        last_few = judge(few, facts, wishes, last_few, float(at))
        last_many = judge(many, facts, wishes, last_many, float(at))
        for name in points:
            fewer, with_more = last_few.by_point.get(name), last_many.by_point.get(name)
            if fewer is None:
                continue
            assert with_more is not None
            for phases in (1, 3):
                assert with_more.most_a(phases)[0] <= fewer.most_a(phases)[0]
            if fewer.mode is not None:
                assert with_more.mode is not None
                assert LEAST_FIRST.index(with_more.mode) <= LEAST_FIRST.index(fewer.mode)


@given(conditions(), st.floats(0.0, 400.0), seeds())
@examples(100, 3000)
def test_a_kept_rule_holds_exactly_so_long(condition: Condition, keep_s: float, seed: int) -> None:
    """By an account of its own: what the condition says by itself, when it began and when it ended."""
    rule = Rule("kept", "Kept", (condition,), limit_a=10.0, keep_s=keep_s)
    site = Site("any", "none", charge_points={"p0": ChargePoint("p0", "p0", "main")}, rules=(rule,))
    book, chance, last = lay(site), random.Random(seed), NOTHING_RULED
    [laid] = (*book.site_rules, *book.car_rules)
    now_s, ended_s, began_s = 0.0, -math.inf, -math.inf
    was = False
    for _ in range(40):
        now_s += chance.choice([1.0, 1.0, 20.0, 200.0])
        facts = evolve(strange_facts(chance), soc_pct={"p0": chance.choice([10.0, 90.0])})
        true = true_now(book, facts, last, now_s)
        last = judge(book, facts, {}, last, now_s)
        holds = bool(last.by_point)
        if true and not was and not holds_until(began_s, ended_s, keep_s, laid.least_s, now_s):
            began_s = now_s
        if not true and was:
            ended_s = now_s
        was = true
        assert holds is (true or holds_until(began_s, ended_s, keep_s, laid.least_s, now_s))


def holds_until(began_s: float, ended_s: float, keep_s: float, least_s: float, now_s: float) -> bool:
    return now_s < max(ended_s + keep_s, began_s + least_s)


def true_now(book: Book, facts: Facts, last: Ruled, now_s: float) -> bool:
    """What the condition says now, with its bands as they are, but without what is kept."""
    cars = {name: Car(None, (), 0, car.on, {}, -math.inf) for name, car in last.cars.items()}
    return bool(judge(book, facts, {}, Ruled(book, on=last.on, cars=cars), now_s).by_point)


@st.composite
def ruled_sites(draw: st.DrawFn) -> Site:
    site = draw(sites())
    return evolve(site, rules=draw(rule_lists(tuple(site.charge_points), 6)))


def strange_outside(chance: random.Random, now_at: datetime) -> Outside:
    prices = tuple(
        PriceSlot(
            now_at + timedelta(hours=at), now_at + timedelta(hours=at + 1), chance.choice([*NOT_FINITE, 0.0, 0.3])
        )
        for at in range(-30, 10)
        if chance.random() < 0.9
    )
    return Outside(Prices(prices), inputs={name: chance.choice([None, True, False]) for name in INPUTS[:2]})


@given(ruled_sites(), seeds())
@examples(40, 2000)
def test_no_rules_and_no_facts_make_a_decision_fall_over(site: Site, seed: int) -> None:
    chance = random.Random(seed)
    last: Plan | None = None
    now_s = 0.0
    for number in range(15):
        now_s += chance.choice([0.5, 1.0, 40.0])
        now_at = NOON + timedelta(seconds=now_s)
        readings = {}
        for name in (*site.charge_points, *site.meters):
            if chance.random() < 0.8:
                reading = strange_reading(
                    name, now_s - chance.choice([0.0, 3.0]), chance, box=name in site.charge_points
                )
                readings[name] = (evolve(reading, power_w=chance.choice(STRANGE)),)
        wishes = {
            name: Wish(chance.choice([None, "ann"]), by_hand=chance.random() < 0.1, soc_pct=chance.choice(STRANGE))
            for name in site.charge_points
            if chance.random() < 0.7
        }
        last = decide(
            SiteImage(
                now_s,
                number,
                site,
                readings,
                {name: strange_obedience(chance) for name in site.charge_points},
                last,
                wishes=wishes,
                outside=strange_outside(chance, now_at),
                now_at=chance.choice([None, now_at, now_at]),
            ),
            Rules(),
        )
        assert [violation for violation in last.violations if not violation.startswith("I3")] == []
        assert isinstance(last.memory, Memory)
        for name, setpoint in last.setpoints.items():
            assert "{" not in sentence(setpoint.because)
            ruling = last.memory.ruled.by_point.get(name)
            if ruling is not None:
                assert setpoint.current_a <= ruling.most_a(1)[0] + 1e-6
                assert ruling.mode is not Mode.OFF or setpoint.current_a == 0.0


GRID = Meter("grid", "Grid", "main", MeterRole.GRID)


@given(rule_lists(("p0",)), st.sampled_from([20.0, 40.0]), st.integers(0, 40), seeds())
@examples(60, 2000)
def test_a_rule_never_raises_what_a_charge_point_alone_gets(
    rules: tuple[Rule, ...], limit_a: float, house_a: int, seed: int
) -> None:
    """The same image, with the same past, with and without rules. With several charge points others may gain by it."""
    chance = random.Random(seed)
    site = Site(
        "any",
        "none",
        {"main": Circuit("main", "Main", None, (limit_a,) * 3, meter="grid")},
        {"p0": ChargePoint("p0", "p0", "main")},
        {"grid": GRID},
    )
    ruled = evolve(site, rules=rules)
    plan: Plan | None = None
    for at in range(40):
        now_s, told = 100.0 + at, plan.setpoints["p0"].current_a if plan else 0.0
        flow = house_a + told
        image = SiteImage(
            now_s,
            at,
            ruled,
            {
                "p0": (Reading("p0", now_s, (told,) * 3, status=Status.CHARGING if told else Status.PLUGGED),),
                "grid": (Reading("grid", now_s, (flow,) * 3, power_w=chance.choice(STRANGE), energy_wh=now_s),),
            },
            {"p0": Obedience(32.0, None, told, 0.0, 30.0, answering=True, silent_s=0.0)},
            plan,
            wishes={"p0": Wish("ann", soc_pct=chance.choice([None, 10.0, 90.0]))},
            outside=strange_outside(chance, NOON) if at % 10 == 0 else Outside(),
            now_at=NOON + timedelta(minutes=13 * at),
        )
        without = decide(evolve(image, site=site), Rules())
        plan = decide(image, Rules())
        assert plan.setpoints["p0"].current_a <= without.setpoints["p0"].current_a
