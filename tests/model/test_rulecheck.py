"""Rules that cannot work are refused, each with its key path and what to do."""

from __future__ import annotations

from datetime import UTC, time
from typing import Any

import pytest
from attrs import evolve

from charging_manager.errors import ConfigError
from charging_manager.model.mode import Mode
from charging_manager.model.rule import LEAST_FIRST, Condition, Match, Rule, lower_mode
from charging_manager.model.rulecheck import MOST_RULES, check_rules
from charging_manager.model.site import Site, check_site

NIGHT = Condition(time_from=time(22), time_to=time(6))
NAN = float("nan")


def rule(name: str = "Night", *when: Condition, **more: Any) -> Rule:
    effect = {"limit_a": 10.0} if not {"limit_a", "limit_w", "mode", "pause"} & more.keys() else {}
    return Rule(name.lower(), name, when, **{**effect, **more})


@pytest.mark.parametrize(
    "good",
    [
        rule(),
        rule("Night", NIGHT, keep_s=60.0),
        rule("Night", NIGHT, Condition(price_above=0.3, price_below=0.4), match=Match.ANY),
        rule("Solar", mode=Mode.SOLAR, limit_a=10.0, limit_w=4000.0),
        rule("Zero", limit_a=0.0),
        rule("Cars", Condition(charging_at_least=2, charging_at_most=2)),
        rule("Since", Condition(time_from=time(22))),
    ],
)
def test_sensible_rules_are_taken(good: Rule) -> None:
    check_rules([good])


BAD: list[tuple[Rule, str]] = [
    (rule(""), "rules.1.id"),
    (evolve(rule(), id="Not An Id"), "rules.1.id"),
    (evolve(rule(), name=" "), "rules.1.name"),
    (evolve(rule(), name="x" * 81), "rules.1.name"),
    (evolve(rule(), name="a\nb"), "rules.1.name"),
    (evolve(rule(), id="first"), "rules.1.id"),
    (evolve(rule(), name="  FIRST "), "rules.1.name"),
    (evolve(rule(), limit_a=None), "rules.1"),
    (rule("P", pause=True, limit_a=6.0), "rules.1.pause"),
    (rule("P", pause=True, mode=Mode.SOLAR), "rules.1.pause"),
    (rule("L", limit_a=-1.0), "rules.1.limit_a"),
    (rule("L", limit_a=81.0), "rules.1.limit_a"),
    (rule("L", limit_a=NAN), "rules.1.limit_a"),
    (rule("L", limit_w=NAN), "rules.1.limit_w"),
    (rule("L", limit_w=-1.0), "rules.1.limit_w"),
    (rule("F", mode=Mode.FAST), "rules.1.mode"),
    (rule("O", mode=Mode.OFF, limit_a=6.0), "rules.1.mode"),
    (rule("K", NIGHT, keep_s=NAN), "rules.1.keep_s"),
    (rule("K", NIGHT, keep_s=90_000.0), "rules.1.keep_s"),
    (rule("K", keep_s=60.0), "rules.1.keep_s"),
    (rule("C", Condition()), "rules.1.when.0"),
    (rule("C", Condition(input_set=False)), "rules.1.when.0"),
    (rule("C", NIGHT, Condition(), match=Match.ANY), "rules.1.when.1"),
    (rule("C", NIGHT, NIGHT), "rules.1.when.1"),
    (rule("C", *(Condition(price_above=float(at)) for at in range(11))), "rules.1.when"),
    (rule("C", Condition(time_from=time(6), time_to=time(6))), "rules.1.when.0.time_to"),
    (rule("C", Condition(time_from=time(6, tzinfo=UTC))), "rules.1.when.0.time_from"),
    (rule("C", Condition(weekdays={7})), "rules.1.when.0.weekdays"),
    (rule("C", Condition(price_below=NAN)), "rules.1.when.0.price_below"),
    (rule("C", Condition(price_above=0.3, price_below=0.3)), "rules.1.when.0.price_below"),
    (rule("C", Condition(surplus_above_w=2.0, surplus_below_w=1.0)), "rules.1.when.0.surplus_below_w"),
    (rule("C", Condition(soc_above_pct=80.0, soc_below_pct=20.0)), "rules.1.when.0.soc_below_pct"),
    (rule("C", Condition(soc_below_pct=0.0)), "rules.1.when.0.soc_below_pct"),
    (rule("C", Condition(soc_above_pct=100.0)), "rules.1.when.0.soc_above_pct"),
    (rule("C", Condition(soc_above_pct=101.0)), "rules.1.when.0.soc_above_pct"),
    (rule("C", Condition(charging_at_least=3, charging_at_most=2)), "rules.1.when.0.charging_at_most"),
    (rule("C", Condition(charging_at_least=0)), "rules.1.when.0.charging_at_least"),
    (rule("C", Condition(charging_at_most=-1)), "rules.1.when.0.charging_at_most"),
    (rule("C", Condition(import_above_w=1.0, export_above_w=1.0)), "rules.1.when.0.export_above_w"),
    (rule("C", Condition(import_above_w=-1.0)), "rules.1.when.0.import_above_w"),
    (rule("C", Condition(input="")), "rules.1.when.0.input"),
    (rule("C", charge_points=tuple(map(str, range(1001)))), "rules.1.charge_points"),
]


@pytest.mark.parametrize(("bad", "where"), BAD, ids=lambda each: each if isinstance(each, str) else "")
def test_what_cannot_work_is_refused_where_it_stands(bad: Rule, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_rules([rule("First"), bad])
    assert caught.value.where == where
    assert "{" not in caught.value.sentence


def test_there_is_a_most() -> None:
    many = [rule(f"r{number}") for number in range(MOST_RULES + 1)]
    check_rules(many[:-1])
    with pytest.raises(ConfigError, match="200"):
        check_rules(many)


def test_a_site_with_rules_that_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        check_site(Site("any", "none", rules=(rule("L", limit_a=NAN),)))
    assert caught.value.where == "rules.0.limit_a"


def test_a_mode_gives_way_only_to_one_that_takes_less() -> None:
    for low, one in enumerate(LEAST_FIRST):
        for high, other in enumerate(LEAST_FIRST):
            assert lower_mode(one, other) is LEAST_FIRST[min(low, high)]
        assert lower_mode(one, None) is one
    assert set(LEAST_FIRST) == set(Mode)
