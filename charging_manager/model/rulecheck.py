"""Whether rules make sense, each by itself and beside the others. What names things that may go is not asked here."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from charging_manager.errors import ConfigError
from charging_manager.model.mode import Mode
from charging_manager.model.rule import Condition, Match, Rule

MOST_RULES = 200
MOST_CONDITIONS = 10
MOST_NAMES = 1000
LONGEST_NAME = 80
LONGEST_KEEP_S = 86_400.0
MOST_LIMIT_A = 80.0
MOST_W = 10_000_000.0
MOST_PRICE = 1_000_000.0
_ID = re.compile(r"[a-z0-9-]{1,32}")
_PAIRS = (("price_above", "price_below"), ("surplus_above_w", "surplus_below_w"), ("soc_above_pct", "soc_below_pct"))
BOUNDS: Mapping[str, tuple[float, float]] = {
    "price_below": (-MOST_PRICE, MOST_PRICE),
    "price_above": (-MOST_PRICE, MOST_PRICE),
    "surplus_below_w": (-MOST_W, MOST_W),
    "surplus_above_w": (-MOST_W, MOST_W),
    "soc_below_pct": (0.0, 100.0),
    "soc_above_pct": (0.0, 100.0),
    "charging_at_least": (0, 10_000),
    "charging_at_most": (0, 10_000),
    "import_above_w": (0.0, MOST_W),
    "export_above_w": (0.0, MOST_W),
}


def check_rules(rules: Sequence[Rule]) -> None:
    """Raises: ConfigError with the key path, ``rules.2.when.0.price_below``, and what to do."""
    if len(rules) > MOST_RULES:
        raise ConfigError("rules", "there may be {count} rules at most; join some, or remove some", count=MOST_RULES)
    ids: set[str] = set()
    names: set[str] = set()
    for number, rule in enumerate(rules):
        where = f"rules.{number}"
        if not _ID.fullmatch(rule.id):
            raise ConfigError(f"{where}.id", "an ID is 1 to 32 of a-z, 0-9 and the hyphen")
        if rule.id in ids:
            raise ConfigError(f"{where}.id", "two rules have the ID {id}; give one of them another", id=rule.id)
        if not rule.name.strip() or len(rule.name) > LONGEST_NAME or not rule.name.isprintable():
            raise ConfigError(f"{where}.name", "a name has 1 to 80 printable characters")
        if rule.name.strip().casefold() in names:
            raise ConfigError(
                f"{where}.name",
                "two rules have the name {name}, so that nobody could tell which one holds; rename one",
                name=rule.name,
            )
        ids.add(rule.id)
        names.add(rule.name.strip().casefold())
        _check_effect(where, rule)
        _check_conditions(where, rule)
        for key, given in (("charge_points", rule.charge_points), ("users", rule.users)):
            if len(given) > MOST_NAMES:
                raise ConfigError(
                    f"{where}.{key}", "at most {count} names; a rule without any is for all", count=MOST_NAMES
                )


def _check_effect(where: str, rule: Rule) -> None:
    if not rule.pause and rule.limit_a is None and rule.limit_w is None and rule.mode is None:
        raise ConfigError(where, "the rule does nothing; give it a limit, a mode or a pause")
    if rule.pause and (rule.limit_a is not None or rule.limit_w is not None or rule.mode is not None):
        raise ConfigError(f"{where}.pause", "nothing is less than a pause; leave limit and mode out, or the pause")
    if rule.limit_a is not None and not 0 <= rule.limit_a <= MOST_LIMIT_A:
        raise ConfigError(f"{where}.limit_a", "a number of amperes from 0 to 80")
    if rule.limit_w is not None and not 0 <= rule.limit_w <= MOST_W:
        raise ConfigError(f"{where}.limit_w", "a number of watts from 0 to 10000000")
    if rule.mode is Mode.FAST:
        raise ConfigError(
            f"{where}.mode", "rules only lower, and no mode takes more than Fast: choose another, or none"
        )
    if rule.mode is Mode.OFF and (rule.limit_a is not None or rule.limit_w is not None):
        raise ConfigError(f"{where}.mode", "what is off needs no limit; leave out the limit or the mode")
    if not 0 <= rule.keep_s <= LONGEST_KEEP_S:
        raise ConfigError(f"{where}.keep_s", "a number of seconds from 0 to 86400")
    if rule.keep_s and not rule.when:
        raise ConfigError(
            f"{where}.keep_s", "without a condition the rule never ends; leave this out, or give it a condition"
        )


def _check_conditions(where: str, rule: Rule) -> None:
    if len(rule.when) > MOST_CONDITIONS:
        raise ConfigError(f"{where}.when", "at most {count} conditions in a rule", count=MOST_CONDITIONS)
    for number, condition in enumerate(rule.when):
        here = f"{where}.when.{number}"
        if condition == Condition(input_set=condition.input_set):
            if rule.match is Match.ANY and len(rule.when) > 1:
                raise ConfigError(
                    here, "a condition without content always holds, so that the others never matter; remove it or them"
                )
            raise ConfigError(here, "the condition says nothing; fill it in, or remove it: then the rule always holds")
        if condition in rule.when[:number]:
            raise ConfigError(here, "this condition stands there twice; remove one")
        _check_condition(here, condition)


def _check_condition(where: str, condition: Condition) -> None:
    if condition.time_from is not None and condition.time_from == condition.time_to:
        raise ConfigError(
            f"{where}.time_to", "the time window is empty: leave both times out for the whole day, or change one"
        )
    for key in ("time_from", "time_to"):
        at = getattr(condition, key)
        if at is not None and at.tzinfo is not None:
            raise ConfigError(f"{where}.{key}", "times are those of the site's time zone; leave the zone out")
    if not condition.weekdays <= set(range(7)):
        raise ConfigError(f"{where}.weekdays", "weekdays are numbers from 0, Monday, to 6, Sunday")
    for key, (least, most) in BOUNDS.items():
        value = getattr(condition, key)
        if value is not None and not (math.isfinite(value) and least <= value <= most):
            raise ConfigError(f"{where}.{key}", "a number from {least} to {most}", least=f"{least:g}", most=f"{most:g}")
    for above, below in _PAIRS:
        low, high = getattr(condition, above), getattr(condition, below)
        if low is not None and high is not None and low >= high:
            raise ConfigError(
                f"{where}.{below}",
                "nothing is above {low} and below {high} at once; exchange them, or make two conditions of it",
                low=f"{low:g}",
                high=f"{high:g}",
            )
    least_cars, most_cars = condition.charging_at_least, condition.charging_at_most
    if least_cars is not None and most_cars is not None and least_cars > most_cars:
        raise ConfigError(
            f"{where}.charging_at_most",
            "there are never at least {least} and at most {most} cars at once; exchange the numbers",
            least=least_cars,
            most=most_cars,
        )
    if condition.charging_at_least == 0:
        raise ConfigError(f"{where}.charging_at_least", "there are always 0 cars or more; leave this out")
    if condition.import_above_w is not None and condition.export_above_w is not None:
        raise ConfigError(
            f"{where}.export_above_w",
            "power is never taken and given at once; make two conditions of it, joined by any",
        )
    if condition.soc_below_pct == 0 or condition.soc_above_pct == 100:
        key = "soc_below_pct" if condition.soc_below_pct == 0 else "soc_above_pct"
        raise ConfigError(f"{where}.{key}", "no car's battery is ever below 0 or above 100 %; choose another number")
    if condition.input is not None and not 0 < len(condition.input) <= LONGEST_NAME:
        raise ConfigError(f"{where}.input", "a name has 1 to 80 printable characters")
