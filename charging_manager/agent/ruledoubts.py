"""What is allowed in rules and yet looks like a mistake: said beside the rule, with a remedy, and never refused.

A name that does not exist is one of these, so that a charge point, a user or an input can go although rules name it:
the rule then simply does not meet it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from attrs import frozen

from charging_manager.agent.config import Configuration, DeviceSettings, Kind
from charging_manager.agent.picture import Json, Sentence
from charging_manager.control.wiring import NOMINAL_V
from charging_manager.model.mode import Mode
from charging_manager.model.outside import PriceLevel
from charging_manager.model.rule import LEAST_FIRST, Rule
from charging_manager.tariffs.settings import Source


@frozen
class Doubt:
    """``where`` is the key path, as in a refusal."""

    where: str
    sentence: Sentence

    def said(self, language: str) -> Json:
        """As JSON, beside what it is about."""
        return {"where": self.where, **self.sentence.said(language)}


def doubts(config: Configuration) -> Iterator[Doubt]:
    """All of them, in the order of the rules."""
    for number, rule in enumerate(config.rules):
        where = f"rules.{number}"
        yield from _names(where, rule, config)
        yield from _too_low(where, rule, config)
        yield from _facts(where, rule, config)
        yield from _covered(where, number, config.rules)


def _names(where: str, rule: Rule, config: Configuration) -> Iterator[Doubt]:
    boxes = _boxes(config)
    for at, name in enumerate(rule.charge_points):
        if name not in boxes:
            yield Doubt(
                f"{where}.charge_points.{at}",
                Sentence(
                    "rule-unknown-charge-point",
                    "There is no charge point {name}; remove it from the rule, or name one that exists.",
                    {"name": repr(name)},
                ),
            )
    for at, name in enumerate(rule.users):
        if name not in config.users:
            yield Doubt(
                f"{where}.users.{at}",
                Sentence(
                    "rule-unknown-user",
                    "There is no user {name}; remove it from the rule, or name one that exists.",
                    {"name": repr(name)},
                ),
            )
    for at, condition in enumerate(rule.when):
        if condition.input is not None and condition.input not in config.inputs:
            yield Doubt(
                f"{where}.when.{at}.input",
                Sentence(
                    "rule-unknown-input",
                    "There is no input {name}: it counts as unknown. Name one that exists, or set it up first.",
                    {"name": repr(condition.input)},
                ),
            )


def _too_low(where: str, rule: Rule, config: Configuration) -> Iterator[Doubt]:
    boxes = _boxes(config)
    meant = rule.charge_points if rule.charge_points else () if rule.users else tuple(boxes)
    if rule.limit_a is not None:
        low = [boxes[name].name for name in meant if name in boxes and rule.limit_a < boxes[name].min_a]
        if low:
            yield Doubt(
                f"{where}.limit_a",
                Sentence(
                    "rule-too-low",
                    "{amps} A is less than the least current of {names}: they pause. If that is meant, choose a pause.",
                    {"amps": rule.limit_a, "names": _some(low)},
                ),
            )
    if rule.limit_w is not None:
        low = [
            boxes[name].name
            for name in meant
            if name in boxes and rule.limit_w < boxes[name].min_a * NOMINAL_V * len(boxes[name].phases)
        ]
        if low:
            yield Doubt(
                f"{where}.limit_w",
                Sentence(
                    "rule-too-low",
                    "{watts} W is less than {names} can give on all phases: cars that use all of them pause.",
                    {"watts": rule.limit_w, "names": _some(low)},
                ),
            )


def _facts(where: str, rule: Rule, config: Configuration) -> Iterator[Doubt]:
    for at, condition in enumerate(rule.when):
        for key in ("price_below", "price_above", "levels"):
            if config.tariff.source is Source.NONE and getattr(condition, key) not in (None, frozenset()):
                yield Doubt(
                    f"{where}.when.{at}.{key}",
                    Sentence("rule-no-tariff", "No price is known: set up a tariff first, or leave this part out."),
                )
        if condition.levels == frozenset(PriceLevel):
            yield Doubt(
                f"{where}.when.{at}.levels",
                Sentence("rule-every-level", "Every price level is chosen, so that any price will do; leave some out."),
            )


def _covered(where: str, number: int, rules: tuple[Rule, ...]) -> Iterator[Doubt]:
    """One that changes nothing because another one that holds whenever it does says as little or less."""
    rule = rules[number]
    if not rule.enabled:
        return
    for at, other in enumerate(rules):
        if at != number and other.enabled and covers(other, rule) and (at < number or not covers(rule, other)):
            yield Doubt(
                where,
                Sentence(
                    "rule-never-matters",
                    "Whenever this rule holds, the rule {rule} holds too and allows no more; remove one of them.",
                    {"rule": other.name},
                ),
            )
            return


def covers(other: Rule, rule: Rule) -> bool:
    """Whether ``rule`` can never matter beside ``other``."""
    holds = not other.when or (
        (other.when, other.match, other.unknown) == (rule.when, rule.match, rule.unknown)
        and other.keep_s >= rule.keep_s
    )
    for_all = not other.charge_points and not other.users
    means = for_all or (
        bool(rule.charge_points or rule.users)
        and set(rule.charge_points) <= set(other.charge_points)
        and set(rule.users) <= set(other.users)
    )
    return holds and means and _takes_no_more(other, rule)


def _takes_no_more(other: Rule, rule: Rule) -> bool:
    if other.pause or other.mode is Mode.OFF:
        return True
    if rule.pause:
        return False
    for mine, theirs in ((rule.limit_a, other.limit_a), (rule.limit_w, other.limit_w)):
        if mine is not None and (theirs is None or theirs > mine):
            return False
    if rule.mode is None:
        return True
    return other.mode is not None and LEAST_FIRST.index(other.mode) <= LEAST_FIRST.index(rule.mode)


def _boxes(config: Configuration) -> dict[str, DeviceSettings]:
    return {key: one for key, one in config.devices.items() if one.kind is Kind.CHARGE_POINT}


def _some(names: Collection[str]) -> str:
    """Some names, and dots for more."""
    shown = list(names)[:5]
    return ", ".join([*shown, "…"] if len(names) > len(shown) else shown)
