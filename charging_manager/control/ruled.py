"""Rules that people laid on top of modes: which hold now, and what that means for each charge point.

Rules are data (``model.rule``). They only narrow: of several limits the lowest counts, of several modes the one that
takes least, a pause is the least of all. A wish by hand holds before every rule until the car is unplugged.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import frozen

from charging_manager.model.mode import Mode
from charging_manager.model.plan import SiteImage
from charging_manager.model.rule import Condition, Rule
from charging_manager.model.wish import Wish

LEAST_FIRST = (Mode.OFF, Mode.SOLAR, Mode.MIN_SOLAR, Mode.PLAN, Mode.FAST)
NOBODY = Wish()


@frozen
class Ruling:
    """What the rules that hold say of one charge point; ``rule`` names the one that said the lowest."""

    rule: str
    limit_a: float | None = None
    mode: Mode | None = None
    pause: bool = False


def rulings(image: SiteImage) -> Mapping[str, Ruling]:
    """By charge point, where a rule holds."""
    if not image.site.rules:
        return {}
    holding = [rule for rule in image.site.rules if rule.enabled and _holds(rule.when, image)]
    found: dict[str, Ruling] = {}
    for rule in holding:
        for name in image.site.charge_points:
            wish = image.wishes.get(name, NOBODY)
            if not wish.by_hand and _meant(rule, name, wish):
                known = found.get(name)
                found[name] = _of(rule) if known is None else _lower(known, _of(rule))
    return found


def _meant(rule: Rule, charge_point: str, wish: Wish) -> bool:
    if not rule.charge_points and not rule.users:
        return True
    return charge_point in rule.charge_points or (wish.user is not None and wish.user in rule.users)


def _of(rule: Rule) -> Ruling:
    return Ruling(rule.name, rule.limit_a, rule.mode, rule.pause)


def _lower(one: Ruling, other: Ruling) -> Ruling:
    limits = [(each.limit_a, each.rule) for each in (one, other) if each.limit_a is not None]
    modes = [(LEAST_FIRST.index(each.mode), each.rule) for each in (one, other) if each.mode is not None]
    if one.pause or other.pause:
        name = one.rule if one.pause else other.rule
    else:
        name = min(limits)[1] if limits else min(modes)[1] if modes else one.rule
    return Ruling(
        name,
        min(limits)[0] if limits else None,
        LEAST_FIRST[min(modes)[0]] if modes else None,
        one.pause or other.pause,
    )


def _holds(when: Condition, image: SiteImage) -> bool:
    return _in_time(when, image.now_at)


def _in_time(when: Condition, now_at: datetime | None) -> bool:
    """A window of the day, and weekdays; the part after midnight belongs to the day on which the window began."""
    if when.time_from is None and when.time_to is None and not when.weekdays:
        return True
    if now_at is None:
        return False
    at, day = now_at.time(), now_at.weekday()
    begin, end = when.time_from, when.time_to
    if begin is not None and end is not None and end <= begin:
        if not (at >= begin or at < end):
            return False
        if at < end:
            day = (day - 1) % 7
    elif (begin is not None and at < begin) or (end is not None and at >= end):
        return False
    return not when.weekdays or day in when.weekdays
