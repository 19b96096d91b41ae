"""Rules that people laid on top of modes: which hold now, and what that means for each charge point.

Rules are data (``model.rule``), compiled once for a Site object (``rulebook``). Each is judged once a decision by facts
of the whole site; those that ask for a state of charge once more for each car, when something of it has changed. They
only narrow: of several limits the lowest counts, of several modes the one that takes least, a pause is the least of
all. A wish by hand holds before every rule until the car is unplugged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from charging_manager.control.conditions import BREATHING, Part
from charging_manager.control.facts import Facts, gather
from charging_manager.control.memory import Memory
from charging_manager.control.rulebook import NOTHING_RULED, Book, Car, Laid, Ruled, Ruling, Spell, joined, lay
from charging_manager.control.rules import Rules
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.wish import Wish

Key = tuple[str, int, str]
NOTHING_ON: frozenset[Key] = frozenset()


def rulings(image: SiteImage, memory: Memory, rules: Rules) -> Ruled:
    """What rules say in this image, by charge point, and what they leave to the next."""
    if not image.site.rules:
        return NOTHING_RULED
    last = memory.ruled
    book = last.book
    if book is None or book.site is not image.site:
        book = lay(image.site)
        last = _carried(last, book)
    frozen_meters = {name for name, watch in memory.watches.items() if watch.frozen}
    facts = gather(image, book.facts, frozen_meters, rules)
    return judge(book, facts, image.wishes, last, image.now_s)


def judge(book: Book, facts: Facts, wishes: Mapping[str, Wish], last: Ruled, now_s: float) -> Ruled:
    """What the rules of this book say of these facts. Pure: also for « what if »."""
    on: set[Key] = set()
    spells: dict[str, Spell] = {}
    bits = 0
    for laid in book.site_rules:
        says = [_all(parts, facts, "", last.on, on) for parts in laid.conditions]
        if _holds(laid, joined(laid.rule, says), last.spells, spells, now_s):
            bits |= laid.bit
    cars = _cars(book, facts, last, on, now_s) if book.car_rules else {}
    by_point = {}
    for name in book.of_point:
        ruling = book.said(bits_of(name, book, bits, cars, wishes.get(name)))
        if ruling is not None:
            by_point[name] = ruling
    return Ruled(book, bits, frozenset(on), spells, cars, by_point)


def bits_of(name: str, book: Book, bits: int, cars: Mapping[str, Car], wish: Wish | None) -> int:
    """The rules that hold for one charge point."""
    mask = book.of_point[name]
    if wish is not None:
        if wish.by_hand:
            return 0
        if wish.user is not None and wish.user in book.of_user:
            mask |= book.of_user[wish.user]
    return mask & (bits | cars[name].bits) if cars else mask & bits


def holding(ruled: Ruled, wishes: Mapping[str, Wish]) -> Mapping[str, tuple[str, ...]]:
    """The rules that hold now, and for which charge points; without any: for nobody, as things are."""
    book = ruled.book
    if book is None:
        return {}
    anywhere = ruled.bits
    for car in ruled.cars.values():
        anywhere |= car.bits
    each = {name: bits_of(name, book, ruled.bits, ruled.cars, wishes.get(name)) for name in book.of_point}
    return {
        rule.id: tuple(name for name, bits in each.items() if bits & bit)
        for bit, rule in book.by_bit.items()
        if anywhere & bit
    }


def ruling_of(plan: Plan, charge_point: str) -> Ruling | None:
    """What rules said of a charge point in this decision."""
    memory = plan.memory
    return memory.ruled.by_point.get(charge_point) if isinstance(memory, Memory) else None


def unknown_parts(book: Book, facts: Facts) -> Mapping[str, tuple[str, ...]]:
    """By rule: the fields of its conditions of which nobody knows now whether they hold; a car's charge is left out."""
    found = {}
    for laid in (*book.site_rules, *book.car_rules):
        parts = [part for parts in laid.conditions for part in parts]
        unknown = tuple(dict.fromkeys(part.key[2] for part in parts if part.test(facts, "", False) is None))
        if unknown:
            found[laid.rule.id] = unknown
    return found


def _all(parts: Sequence[Part], facts: Facts, charge_point: str, was_on: frozenset[Key], on: set[Key]) -> bool:
    """Whether every part holds. All are asked, so that each keeps its own band."""
    every = True
    for part in parts:
        held = part.fact in BREATHING and part.key in was_on
        said = part.test(facts, charge_point, held)
        if said is None:
            said = part.unknown
        elif said and part.fact in BREATHING:
            on.add(part.key)
        every = every and said
    return every


def _holds(laid: Laid, true: bool, known: Mapping[str, Spell], spells: dict[str, Spell], now_s: float) -> bool:
    """Whether it holds: its condition is true, has not ended for long, or it has not held for long."""
    if not laid.lasts:
        return true
    name = laid.rule.id
    spell = known.get(name)
    if true:
        if spell is None or now_s >= until_s(laid, spell):
            spell = Spell(now_s)
        elif spell.ended_s is not None:
            spell = Spell(spell.since_s)
        spells[name] = spell
        return True
    if spell is None:
        return False
    if spell.ended_s is None:
        spell = Spell(spell.since_s, now_s)
    if now_s < until_s(laid, spell):
        spells[name] = spell
        return True
    return False


def until_s(laid: Laid, spell: Spell) -> float:
    """Until when it holds by itself; for ever while its condition is true."""
    if spell.ended_s is None:
        return inf
    return max(spell.ended_s + laid.rule.keep_s, spell.since_s + laid.least_s)


def _cars(book: Book, facts: Facts, last: Ruled, on: set[Key], now_s: float) -> dict[str, Car]:
    """Rules that ask for a state of charge, for every charge point; what is as it was is not asked again."""
    site_says = tuple(
        tuple([_all(parts, facts, "", last.on, on) for parts in laid.conditions]) for laid in book.car_rules
    )
    nobody: dict[int, Car] = {}
    cars = {}
    for name in book.of_point:
        soc_pct = facts.soc_pct.get(name)
        was = last.cars.get(name) if name in facts.soc_pct else None  # no car: nothing is kept for the next one
        if was is not None and was.soc_pct == soc_pct and was.site_says == site_says and now_s < was.until_s:
            cars[name] = was
        elif soc_pct is None and (was is None or not was.spells):  # all of whom nothing is known are alike
            if 0 not in nobody:
                nobody[0] = _car(book, facts, name, None, site_says, None, now_s)
            cars[name] = nobody[0]
        else:
            cars[name] = _car(book, facts, name, soc_pct, site_says, was, now_s)
    return cars


def _car(
    book: Book,
    facts: Facts,
    name: str,
    soc_pct: float | None,
    site_says: tuple[tuple[bool, ...], ...],
    was: Car | None,
    now_s: float,
) -> Car:
    on: set[Key] = set()
    spells: dict[str, Spell] = {}
    bits, until = 0, inf
    known, was_on = (was.spells, was.on) if was is not None else ({}, NOTHING_ON)
    for laid, says in zip(book.car_rules, site_says, strict=True):
        both = [said and _all(parts, facts, name, was_on, on) for said, parts in zip(says, laid.of_car, strict=True)]
        if _holds(laid, joined(laid.rule, both), known, spells, now_s):
            bits |= laid.bit
            if laid.rule.id in spells:
                until = min(until, until_s(laid, spells[laid.rule.id]))
    return Car(soc_pct, site_says, bits, frozenset(on), spells, until)


def _carried(last: Ruled, book: Book) -> Ruled:
    """What is remembered of rules that are as they were."""
    if last.book is None:
        return Ruled(book)
    new = set(book.by_bit.values())
    same = {rule.id for rule in last.book.by_bit.values() if rule in new}
    return Ruled(
        book,
        on=frozenset(key for key in last.on if key[0] in same),
        spells={name: spell for name, spell in last.spells.items() if name in same},
        cars={
            name: Car(
                car.soc_pct,
                (),
                0,
                frozenset(key for key in car.on if key[0] in same),
                {rule: spell for rule, spell in car.spells.items() if rule in same},
                -inf,
            )
            for name, car in last.cars.items()
        },
    )
