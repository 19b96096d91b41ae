"""Which rules hold now, and which would: control's own judgement, asked aside from its decisions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import evolve

from charging_manager.agent.api_shapes_rules import TryBody
from charging_manager.agent.config import Configuration
from charging_manager.agent.steering import Cycle
from charging_manager.clocks import zone
from charging_manager.control.facts import Fact, Facts, gather
from charging_manager.control.memory import Memory
from charging_manager.control.rulebook import NOTHING_RULED, Ruled, Ruling, lay
from charging_manager.control.ruled import holding, judge, unknown_parts
from charging_manager.control.rules import Rules
from charging_manager.http.routes import Problem
from charging_manager.model.plan import SiteImage
from charging_manager.model.wish import Wish

_ANY = 10_000
_UNKNOWN: Mapping[Fact, Mapping[str, Any]] = {
    Fact.TIME: {"now_at": None},
    Fact.PRICE: {"price": None},
    Fact.LEVEL: {"level": None},
    Fact.SURPLUS: {"surplus_w": None},
    Fact.GRID: {"grid_w": None},
    Fact.CHARGING: {"charging": (0, _ANY)},
    Fact.INPUT: {"inputs": {}},
    Fact.SOC: {"soc_pct": {}},
}


def holding_now(cycle: Cycle | None) -> dict[str, Any]:
    """By the last decision, with what is kept."""
    memory = cycle.plan.memory if cycle is not None else None
    if cycle is None or not isinstance(memory, Memory):
        return {"rules": {}, "charge_points": {}}
    return _said(memory.ruled, cycle.image.wishes)


def tried(body: TryBody, config: Configuration, image: SiteImage) -> dict[str, Any]:
    """What the rules of the image's site would say of the facts of the body, and of the image where it says nothing.

    Nothing is kept from before, and nothing comes of it.
    """
    known = gather(image, frozenset(Fact), (), Rules())
    facts = _facts(body, known, config)
    wishes = _wishes(body, config, image.wishes)
    book = lay(image.site)
    ruled = judge(book, facts, wishes, NOTHING_RULED, image.now_s)
    return {
        "at": facts.now_at.isoformat(timespec="seconds") if facts.now_at else None,
        "facts": _shown_facts(facts),
        **_said(ruled, wishes),
        "unknown": {name: list(parts) for name, parts in unknown_parts(book, facts).items()},
    }


def _facts(body: TryBody, known: Facts, config: Configuration) -> Facts:
    given: dict[str, Any] = {
        key: value for key in ("price", "level", "surplus_w", "grid_w") if (value := getattr(body, key)) is not None
    }
    if body.at is not None:
        given["now_at"] = _moment(body.at, config)
    if body.charging is not None:
        if body.charging < 0:
            raise Problem(422, "invalid-field", "must be a whole number", "charging")
        given["charging"] = (body.charging, body.charging)
    for name, soc in body.soc_pct.items():
        if not 0 <= soc <= 100:
            raise Problem(422, "invalid-field", "a number from {least} to {most}", f"soc_pct.{name}", least=0, most=100)
    given["inputs"] = {**known.inputs, **body.inputs}
    given["soc_pct"] = {**known.soc_pct, **body.soc_pct}
    for at, name in enumerate(body.unknown):
        if name not in set(Fact):
            names = ", ".join(Fact)
            raise Problem(422, "invalid-field", "must be one of: {names}", f"unknown.{at}", names=names)
        given |= _UNKNOWN[Fact(name)]
    return evolve(known, **given)


def _moment(text: str, config: Configuration) -> datetime:
    """A moment in the site's own time; one with a zone is brought into it."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        sentence = "a time is written 2026-01-31T22:30"
        raise Problem(422, "bad-time", sentence, "at") from error
    local = zone(config.timezone)
    return at.replace(tzinfo=local) if at.tzinfo is None else at.astimezone(local)


def _wishes(body: TryBody, config: Configuration, known: Mapping[str, Wish]) -> dict[str, Wish]:
    wishes = dict(known)
    for key, names in (("users", body.users), ("soc_pct", body.soc_pct)):
        for name in names:
            if name not in config.devices:
                raise Problem(422, "invalid-field", "There is no charge point {id}.", f"{key}.{name}", id=repr(name))
    for name, user in body.users.items():
        wishes[name] = evolve(wishes.get(name, Wish()), user=user)
    for name, soc in body.soc_pct.items():
        wishes[name] = evolve(wishes.get(name, Wish()), soc_pct=soc)
    return wishes


def _said(ruled: Ruled, wishes: Mapping[str, Wish]) -> dict[str, Any]:
    return {
        "rules": {name: list(points) for name, points in holding(ruled, wishes).items()},
        "charge_points": {name: shown_ruling(ruling) for name, ruling in ruled.by_point.items()},
    }


def shown_ruling(ruling: Ruling) -> dict[str, Any]:
    """What rules say of a charge point, each with the rule that says it."""
    return {
        "limit_a": ruling.limit_a,
        "limit_by": ruling.limit_by or None,
        "limit_w": ruling.limit_w,
        "power_by": ruling.power_by or None,
        "mode": ruling.mode.value if ruling.mode else None,
        "mode_by": ruling.mode_by or None,
        "pause_by": ruling.pause_by or None,
    }


def _shown_facts(facts: Facts) -> dict[str, Any]:
    least, most = facts.charging
    return {
        "price": facts.price,
        "level": facts.level.value if facts.level else None,
        "surplus_w": _whole(facts.surplus_w),
        "grid_w": _whole(facts.grid_w),
        "charging": least,
        "charging_perhaps": most - least,
        "inputs": dict(facts.inputs),
        "soc_pct": {name: soc for name, soc in facts.soc_pct.items() if soc is not None},
    }


def _whole(watts: float | None) -> float | None:
    return None if watts is None else round(watts)
