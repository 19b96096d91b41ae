"""The JSON of rules: bodies of the API, the exported file, and how they become rules and back."""

from __future__ import annotations

import re
from datetime import time
from typing import Any

from attrs import field, fields, frozen

from charging_manager.agent.config import id_from_name
from charging_manager.errors import ConfigError
from charging_manager.model.mode import Mode
from charging_manager.model.outside import PriceLevel
from charging_manager.model.rule import Condition, Match, Rule, Unknown

KIND, VERSION = "charging-manager-rules", 1
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?")


@frozen
class ConditionBody:
    """All that is given must hold. Times are local, as ``22:00``; weekdays are 0, Monday, to 6."""

    time_from: str | None = None
    time_to: str | None = None
    weekdays: list[int] = field(factory=list)
    price_below: float | None = None
    price_above: float | None = None
    levels: list[PriceLevel] = field(factory=list)
    surplus_below_w: float | None = None
    surplus_above_w: float | None = None
    soc_below_pct: float | None = None
    soc_above_pct: float | None = None
    charging_at_least: int | None = None
    charging_at_most: int | None = None
    input: str | None = None
    input_set: bool = True
    import_above_w: float | None = None
    export_above_w: float | None = None


@frozen
class RuleBody:
    """While ``when`` holds: a limit, a mode or a pause, for charge points and users; without any, for all."""

    name: str
    id: str | None = None
    """Left out: made from the name."""
    enabled: bool = True
    when: list[ConditionBody] = field(factory=list)
    """Empty: always."""
    match: Match = Match.ALL
    charge_points: list[str] = field(factory=list)
    users: list[str] = field(factory=list)
    limit_a: float | None = None
    limit_w: float | None = None
    mode: Mode | None = None
    pause: bool = False
    keep_s: float = 0.0
    unknown: Unknown | None = None


@frozen
class RulesBody:
    """The whole list, in its order. With ``revision`` it is taken only if nobody has changed the rules since."""

    rules: list[RuleBody]
    revision: str | None = None
    kind: str | None = None
    version: int | None = None
    site: str | None = None
    """Like ``kind`` and ``version`` in the exported file; where it came from changes nothing."""
    warnings: list[Any] | None = None
    """Accepted because ``GET`` shows it."""


@frozen
class TryBody:
    """What would hold. Rules that are left out are those that are stored; facts that are left out are as they are now.

    ``unknown`` names facts that shall count as unknown.
    """

    rules: list[RuleBody] | None = None
    at: str | None = None
    """A local time of the site, as ``2026-01-31T22:30``."""
    price: float | None = None
    level: PriceLevel | None = None
    surplus_w: float | None = None
    grid_w: float | None = None
    """Positive is taken from the grid."""
    charging: int | None = None
    inputs: dict[str, bool | None] = field(factory=dict)
    soc_pct: dict[str, float] = field(factory=dict)
    """By charge point."""
    users: dict[str, str] = field(factory=dict)
    """Who charges, by charge point."""
    unknown: list[str] = field(factory=list)


def rules_of(bodies: list[RuleBody]) -> tuple[Rule, ...]:
    """The rules of a body. Raises: ConfigError with the body's path."""
    taken = {body.id for body in bodies if body.id}
    rules = []
    for number, body in enumerate(bodies):
        name = body.id or id_from_name(body.name, taken, "rule")
        taken.add(name)
        rules.append(
            Rule(
                id=name,
                name=body.name.strip(),
                when=tuple(_condition(one, f"rules.{number}.when.{at}") for at, one in enumerate(body.when)),
                match=body.match,
                charge_points=tuple(dict.fromkeys(body.charge_points)),
                users=tuple(dict.fromkeys(body.users)),
                limit_a=body.limit_a,
                limit_w=body.limit_w,
                mode=body.mode,
                pause=body.pause,
                keep_s=body.keep_s,
                unknown=body.unknown,
                enabled=body.enabled,
            )
        )
    return tuple(rules)


def _condition(body: ConditionBody, where: str) -> Condition:
    given = {one.name: getattr(body, one.name) for one in fields(ConditionBody)}
    for key in ("time_from", "time_to"):
        given[key] = _time(given[key], f"{where}.{key}")
    if given["input"] is None:
        given["input_set"] = True
    return Condition(**given)


def _time(text: str | None, where: str) -> time | None:
    if not text:
        return None
    if not _TIME.fullmatch(text):
        raise ConfigError(where, "a time is written 22:00; leave it out for midnight at the end of a day")
    return time.fromisoformat(text)


def shown_rule(rule: Rule) -> dict[str, Any]:
    """A rule as JSON; ``rules_of`` makes the same rule of it."""
    return {
        "id": rule.id,
        "name": rule.name,
        "enabled": rule.enabled,
        "when": [shown_condition(condition) for condition in rule.when],
        "match": rule.match.value,
        "charge_points": list(rule.charge_points),
        "users": list(rule.users),
        "limit_a": rule.limit_a,
        "limit_w": rule.limit_w,
        "mode": rule.mode.value if rule.mode else None,
        "pause": rule.pause,
        "keep_s": rule.keep_s,
        "unknown": rule.unknown.value if rule.unknown else None,
    }


def shown_condition(condition: Condition) -> dict[str, Any]:
    """What is given of it."""
    said: dict[str, Any] = {}
    for one in fields(Condition):
        value = getattr(condition, one.name)
        if one.name == "input_set":
            if condition.input is not None:
                said[one.name] = value
        elif isinstance(value, time):
            said[one.name] = value.isoformat("seconds" if value.second else "minutes")
        elif isinstance(value, frozenset):
            if value:
                said[one.name] = sorted(value)
        elif value is not None:
            said[one.name] = value
    return said
