"""Conditions of rules, compiled to parts that are each judged by one fact: it holds, it does not, or nobody knows.

Numbers that breathe (powers, state of charge) have a band: a part that holds goes on to hold until the number has left
the threshold by that much, so that a number at the threshold does not switch anything twice a second.

What counts when a fact is unknown. Every rule lowers, so that *holds* is always the reading with less current; it is
taken for what protects (inputs, powers of the grid connection, number of cars). What only saves money or is only
comfort (time, price, level, state of charge) does not hold: a tariff server that is gone shall not leave cars empty.
A rule may say otherwise for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, time

from attrs import frozen

from charging_manager.control.facts import Fact, Facts
from charging_manager.model.rule import Condition, Unknown

PROTECTING = frozenset({Fact.INPUT, Fact.GRID, Fact.SURPLUS, Fact.CHARGING})
"""Parts on these hold while the fact is unknown, unless the rule says otherwise."""
BREATHING = frozenset({Fact.GRID, Fact.SURPLUS, Fact.SOC})
BAND_W, BAND_PART, BAND_PCT = 100.0, 0.05, 1.0

Test = Callable[[Facts, str, bool], bool | None]
"""Facts, charge point, whether it held just before; None: not known."""


@frozen(eq=False)
class Part:
    """One part of a condition. ``key`` says where it stands: rule, condition, field."""

    key: tuple[str, int, str]
    fact: Fact
    test: Test
    unknown: bool
    """What counts while its fact is not known."""


def parts_of(rule: str, number: int, condition: Condition, unknown: Unknown | None) -> tuple[Part, ...]:
    """The parts of one condition of a rule."""
    return tuple(
        Part((rule, number, name), fact, test, fact in PROTECTING if unknown is None else unknown is Unknown.HOLDS)
        for name, fact, test in _tests(condition)
    )


def _tests(when: Condition) -> Iterator[tuple[str, Fact, Test]]:
    if when.time_from is not None or when.time_to is not None:
        yield "time_from" if when.time_from is not None else "time_to", Fact.TIME, _in_time(when)
    elif when.weekdays:
        yield "weekdays", Fact.TIME, _in_time(when)
    for name, fact in (("price_below", Fact.PRICE), ("surplus_below_w", Fact.SURPLUS), ("soc_below_pct", Fact.SOC)):
        least = getattr(when, name)
        if least is not None:
            yield name, fact, _below(least, fact)
    for name, fact in (("price_above", Fact.PRICE), ("surplus_above_w", Fact.SURPLUS), ("soc_above_pct", Fact.SOC)):
        most = getattr(when, name)
        if most is not None:
            yield name, fact, _above(most, fact)
    if when.levels:
        yield "levels", Fact.LEVEL, _level(when)
    if when.charging_at_least is not None:
        yield "charging_at_least", Fact.CHARGING, _at_least(when.charging_at_least)
    if when.charging_at_most is not None:
        yield "charging_at_most", Fact.CHARGING, _at_most(when.charging_at_most)
    if when.input is not None:
        yield "input", Fact.INPUT, _input(when.input, when.input_set)
    if when.import_above_w is not None:
        yield "import_above_w", Fact.GRID, _above(when.import_above_w, Fact.GRID)
    if when.export_above_w is not None:
        yield "export_above_w", Fact.GRID, _exports(when.export_above_w)


def number_of(fact: Fact, facts: Facts, charge_point: str) -> float | None:
    """The number that a threshold is compared with."""
    if fact is Fact.PRICE:
        return facts.price
    if fact is Fact.SURPLUS:
        return facts.surplus_w
    if fact is Fact.SOC:
        return facts.soc_pct.get(charge_point)
    return facts.grid_w


def _band(fact: Fact, threshold: float) -> float:
    if fact is Fact.SOC:
        return BAND_PCT
    return max(BAND_W, BAND_PART * abs(threshold)) if fact in BREATHING else 0.0


def _below(threshold: float, fact: Fact) -> Test:
    band = _band(fact, threshold)

    def test(facts: Facts, charge_point: str, held: bool) -> bool | None:
        number = number_of(fact, facts, charge_point)
        return None if number is None else number < threshold + (band if held else 0.0)

    return test


def _above(threshold: float, fact: Fact) -> Test:
    band = _band(fact, threshold)

    def test(facts: Facts, charge_point: str, held: bool) -> bool | None:
        number = number_of(fact, facts, charge_point)
        return None if number is None else number > threshold - (band if held else 0.0)

    return test


def _exports(threshold: float) -> Test:
    band = _band(Fact.GRID, threshold)

    def test(facts: Facts, charge_point: str, held: bool) -> bool | None:
        return None if facts.grid_w is None else -facts.grid_w > threshold - (band if held else 0.0)

    return test


def _level(when: Condition) -> Test:
    return lambda facts, charge_point, held: None if facts.level is None else facts.level in when.levels


def _at_least(count: int) -> Test:
    def test(facts: Facts, charge_point: str, held: bool) -> bool | None:
        surely, perhaps = facts.charging
        return True if surely >= count else None if perhaps >= count else False

    return test


def _at_most(count: int) -> Test:
    def test(facts: Facts, charge_point: str, held: bool) -> bool | None:
        surely, perhaps = facts.charging
        return True if perhaps <= count else None if surely <= count else False

    return test


def _input(name: str, wanted: bool) -> Test:
    def test(facts: Facts, charge_point: str, held: bool) -> bool | None:
        known = facts.inputs.get(name)
        return None if known is None else bool(known) == wanted

    return test


def _in_time(when: Condition) -> Test:
    begin, end, weekdays = when.time_from, when.time_to, when.weekdays

    def test(facts: Facts, charge_point: str, held: bool) -> bool | None:
        return None if facts.now_at is None else in_window(facts.now_at, begin, end, weekdays)

    return test


def in_window(now_at: datetime, begin: time | None, end: time | None, weekdays: frozenset[int]) -> bool:
    """A window of the day, and weekdays; the part after midnight belongs to the day on which the window began."""
    at, day = now_at.time(), now_at.weekday()
    if begin is not None and end is not None and end <= begin:
        if not (at >= begin or at < end):
            return False
        if at < end:
            day = (day - 1) % 7
    elif (begin is not None and at < begin) or (end is not None and at >= end):
        return False
    return not weekdays or day in weekdays
