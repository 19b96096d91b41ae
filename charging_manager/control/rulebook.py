"""The rules of one site, compiled: what each asks, whom it means, and what several of them come to together.

Rules are bits: rule ``n`` of the book is ``1 << n``. Which rules mean a charge point, or a user, is a mask; what holds
now is one number, and what that comes to for a charge point is worked out once for each number that occurs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from math import inf
from operator import or_

from attrs import field, frozen

from charging_manager.control.conditions import BREATHING, Part, parts_of
from charging_manager.control.facts import Fact
from charging_manager.control.wiring import NOMINAL_V
from charging_manager.model.mode import Mode
from charging_manager.model.plan import Because
from charging_manager.model.rule import LEAST_FIRST, Match, Rule
from charging_manager.model.site import Site

LEAST_S = 60.0
"""A rule with a breathing threshold holds for so long at least,"""
LEAST_STOPPING_S = 300.0
"""and one that stops cars for so long, for the sake of their contactors."""
_STOPS_BELOW_A = 6.0
_MOST_SAID = 4096


@frozen
class Ruling:
    """What the rules that hold say of one charge point; ``*_by`` names the rule that said the lowest."""

    limit_a: float | None = None
    limit_by: str = ""
    limit_w: float | None = None
    power_by: str = ""
    mode: Mode | None = None
    mode_by: str = ""
    pause_by: str = ""
    """Empty: no rule pauses it."""
    _said: dict[tuple[str, float], Because] = field(factory=dict, eq=False, repr=False)
    """Said before: the same words for all whom it holds to the same current."""

    def holds_to(self, amps: float, rule: str) -> Because:
        """The reason of one that is held to so much."""
        said = self._said.get((rule, amps))
        if said is None:
            if len(self._said) >= _MOST_SAID:
                self._said.clear()
            said = self._said[rule, amps] = Because("rule-limit", {"rule": rule, "amps": amps})
        return said

    def most_a(self, phases: int) -> tuple[float, str]:
        """The most per phase for a car on so many phases, and the rule that says so; inf where none does."""
        if self.pause_by:
            return 0.0, self.pause_by
        most, by = inf if self.limit_a is None else self.limit_a, self.limit_by
        if self.limit_w is not None:
            amps = self.limit_w / (NOMINAL_V * max(1, phases))
            if amps < most:
                most, by = amps, self.power_by
        return most, by


@frozen(eq=False)
class Laid:
    """One enabled rule. ``conditions`` are those parts that the whole site answers, ``of_car`` those of each car."""

    rule: Rule
    bit: int
    conditions: tuple[tuple[Part, ...], ...]
    of_car: tuple[tuple[Part, ...], ...]
    least_s: float

    @property
    def by_car(self) -> bool:
        """Whether it must be judged for each car by itself."""
        return any(self.of_car)

    @property
    def lasts(self) -> bool:
        """Whether it may go on to hold after its condition."""
        return self.rule.keep_s > 0.0 or self.least_s > 0.0


@frozen(eq=False)
class Book:
    """It belongs to this very Site object and is made anew for any other."""

    site: Site
    site_rules: tuple[Laid, ...]
    car_rules: tuple[Laid, ...]
    facts: frozenset[Fact]
    of_point: Mapping[str, int]
    """By charge point: the rules that mean it, whoever charges."""
    of_user: Mapping[str, int]
    by_bit: Mapping[int, Rule]
    _said: dict[int, Ruling | None] = field(factory=dict)
    """Worked out before; the same number always says the same."""

    def said(self, bits: int) -> Ruling | None:
        """What these rules together say."""
        if not bits:
            return None
        if bits not in self._said:
            if len(self._said) >= _MOST_SAID:
                self._said.clear()
            self._said[bits] = together(rule for bit, rule in self.by_bit.items() if bits & bit)
        return self._said[bits]


@frozen
class Spell:
    """A time for which a rule holds: since when, and since when its condition has ended."""

    since_s: float
    ended_s: float | None = None


@frozen
class Car:
    """What rules that ask for a car's state of charge said of it last, and for what they said that."""

    soc_pct: float | None
    site_says: tuple[tuple[bool, ...], ...]
    bits: int
    on: frozenset[tuple[str, int, str]] = frozenset()
    spells: Mapping[str, Spell] = field(factory=dict)
    until_s: float = inf
    """When a spell ends by itself."""


@frozen
class Ruled:
    """What rules leave to the next decision, and what they said in this one."""

    book: Book | None = None
    bits: int = 0
    """Rules that hold for the whole site."""
    on: frozenset[tuple[str, int, str]] = frozenset()
    """Parts with a breathing threshold that hold."""
    spells: Mapping[str, Spell] = field(factory=dict)
    """By rule: only of those that may hold longer than their condition."""
    cars: Mapping[str, Car] = field(factory=dict)
    by_point: Mapping[str, Ruling] = field(factory=dict)
    """By charge point, where a rule holds."""


NOTHING_RULED = Ruled()


def together(rules: Iterable[Rule]) -> Ruling:
    """The lowest of everything that they say; of equal ones the first is named."""
    limits, powers, modes, pauses = [], [], [], []
    for place, rule in enumerate(rules):
        if rule.limit_a is not None:
            limits.append((_amount(rule.limit_a), place, rule.name))
        if rule.limit_w is not None:
            powers.append((_amount(rule.limit_w), place, rule.name))
        if rule.mode is not None:
            modes.append((LEAST_FIRST.index(rule.mode), place, rule.name))
        if rule.pause:
            pauses.append(rule.name)
    limit_a, _, limit_by = min(limits, default=(None, 0, ""))
    limit_w, _, power_by = min(powers, default=(None, 0, ""))
    rank, _, mode_by = min(modes, default=(None, 0, ""))
    mode = None if rank is None else LEAST_FIRST[rank]
    return Ruling(limit_a, limit_by, limit_w, power_by, mode, mode_by, pauses[0] if pauses else "")


def _amount(number: float) -> float:
    """What is no number allows nothing."""
    return number if number >= 0.0 else 0.0


def lay(site: Site) -> Book:
    """The site's rules, compiled."""
    laid = [_laid(rule, 1 << number) for number, rule in enumerate(rule for rule in site.rules if rule.enabled)]
    of_all = reduce(or_, (one.bit for one in laid if not one.rule.charge_points and not one.rule.users), 0)
    of_point = dict.fromkeys(site.charge_points, of_all)
    of_user: dict[str, int] = {}
    for one in laid:
        for name in one.rule.charge_points:
            if name in of_point:
                of_point[name] |= one.bit
        for user in one.rule.users:
            of_user[user] = of_user.get(user, 0) | one.bit
    parts = [part for one in laid for group in (*one.conditions, *one.of_car) for part in group]
    return Book(
        site,
        tuple(one for one in laid if not one.by_car),
        tuple(one for one in laid if one.by_car),
        frozenset(part.fact for part in parts),
        of_point,
        of_user,
        {one.bit: one.rule for one in laid},
    )


def _laid(rule: Rule, bit: int) -> Laid:
    conditions = [parts_of(rule.id, number, when, rule.unknown) for number, when in enumerate(rule.when)]
    breathes = any(part.fact in BREATHING for parts in conditions for part in parts)
    stops = rule.pause or rule.mode is Mode.OFF or (rule.limit_a is not None and rule.limit_a < _STOPS_BELOW_A)
    return Laid(
        rule,
        bit,
        tuple(tuple(part for part in parts if part.fact is not Fact.SOC) for parts in conditions),
        tuple(tuple(part for part in parts if part.fact is Fact.SOC) for parts in conditions),
        0.0 if not breathes else LEAST_STOPPING_S if stops else LEAST_S,
    )


def joined(rule: Rule, says: Iterable[bool]) -> bool:
    """What its conditions come to; without any it always holds."""
    if not rule.when:
        return True
    return any(says) if rule.match is Match.ANY else all(says)
