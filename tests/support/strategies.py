"""Hypothesis strategies of the whole test suite: sites, claims and seeds for simulated adventures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from attrs import evolve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from charging_manager.control.share import Claim
from charging_manager.model.outside import PriceLevel
from charging_manager.model.rule import Condition, Match, Rule, Unknown
from charging_manager.model.site import (
    Breaker,
    BreakerCurve,
    ChargePoint,
    Circuit,
    Meter,
    MeterRole,
    Mode,
    Site,
    check_site,
)

LONG = bool(os.environ.get("CM_LONG"))
"""``CM_LONG=1`` looks much longer for counter-examples."""

ROTATIONS = ((0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1), (0,), (1,), (2,))


def examples(short: int, long: int) -> settings:
    """Settings for a property: few examples in every run, many with CM_LONG."""
    unhurried = [HealthCheck.too_slow]  # a busy machine is no fault of the program
    return settings(
        max_examples=long if LONG else short,
        deadline=None,
        derandomize=not LONG,
        suppress_health_check=unhurried,
    )


@st.composite
def sites(draw: st.DrawFn, max_circuits: int = 5, max_points: int = 6) -> Site:
    """A tree of any shape, some circuits with meters, boxes on any of them in any rotation."""
    circuits: dict[str, Circuit] = {}
    meters: dict[str, Meter] = {}
    for number in range(draw(st.integers(1, max_circuits))):
        name = f"c{number}"
        parent = f"c{draw(st.integers(0, number - 1))}" if number else None
        metered = number == 0 or draw(st.booleans())
        if draw(st.booleans()):
            limit = (draw(st.integers(6, 63)) * 1.0,) * 3
        else:
            limit = tuple(draw(st.integers(0, 63)) * 1.0 for _ in range(3))
        circuits[name] = Circuit(
            name,
            name,
            parent,
            limit,
            reserve_a=draw(st.sampled_from([0.0, 0.0, 1.0, 2.5])),
            fallback_a=draw(st.sampled_from([0.0, 0.0, 6.0, 10.0])),
            meter=f"m{number}" if metered else None,
            **_further(draw, limit),
        )
        if metered:
            role = MeterRole.CIRCUIT if number else MeterRole.GRID
            meters[f"m{number}"] = Meter(f"m{number}", f"m{number}", name, role)
    points = {}
    for number in range(draw(st.integers(1, max_points))):
        name = f"p{number}"
        points[name] = ChargePoint(
            name,
            name,
            f"c{draw(st.integers(0, len(circuits) - 1))}",
            phases=draw(st.sampled_from(ROTATIONS)),
            min_a=draw(st.sampled_from([6.0, 6.0, 6.0, 8.0])),
            max_a=draw(st.sampled_from([16.0, 20.0, 32.0])),
            step_a=draw(st.sampled_from([1.0, 1.0, 0.1, 0.5, 2.0])),
            priority=draw(st.sampled_from([0, 0, 0, 1])),
            max_w=draw(st.sampled_from([None, None, None, 4600.0, 11000.0])),
        )
    unbalance = draw(st.sampled_from([None, None, None, 20.0, 8.0]))
    return check_site(
        Site(
            "any",
            "none",
            circuits,
            points,
            meters,
            unbalance,
            unbalance_with_house=draw(st.sampled_from([False, False, True])),
            first_come=draw(st.sampled_from([False, False, False, True])),
        )
    )


def _further(draw: st.DrawFn, limit: tuple[float, ...]) -> dict[str, Any]:
    """Limits that only some circuits have: for charging alone, in watts, and what their breaker bears."""
    found: dict[str, Any] = {}
    if draw(st.integers(0, 4)) == 0:
        found["charging_limit_a"] = tuple(draw(st.integers(0, 40)) * 1.0 for _ in range(3))
    if draw(st.integers(0, 4)) == 0:
        found["limit_w"] = draw(st.sampled_from([0.0, 4200.0, 9000.0, 17000.0, 30000.0]))
    if draw(st.integers(0, 4)) == 0:
        found["charging_limit_w"] = draw(st.sampled_from([3700.0, 4200.0, 8000.0, 22000.0]))
    if draw(st.integers(0, 2)) == 0:
        rated = max(6.0, *limit) + draw(st.sampled_from([0.0, 0.0, 4.0]))
        found["breaker"] = Breaker(draw(st.sampled_from([*BreakerCurve])), rated)
    return found


@st.composite
def shares_problems(draw: st.DrawFn) -> tuple[list[float], list[Claim]]:
    """Lines with room, and claims on them whose minimums fit."""
    lines = draw(st.integers(1, 8))
    room = [draw(st.integers(0, 6000)) / 100 for _ in range(lines)]
    left = list(room)
    claims = []
    for _ in range(draw(st.integers(0, 7))):
        on = tuple(sorted(draw(st.sets(st.integers(0, lines - 1), min_size=1))))
        least = draw(st.sampled_from([6.0, 6.0, 8.0, 1.0]))
        if all(left[line] >= least for line in on):
            for line in on:
                left[line] -= least
            claims.append(Claim(on, least, least + draw(st.integers(0, 3200)) / 100))
    return room, claims


def seeds() -> st.SearchStrategy[int]:
    """For ``random.Random``, where a whole adventure is drawn from one number."""
    return st.integers(0, 2**32 - 1)


NOT_FINITE = (float("nan"), float("inf"), float("-inf"))
POWERS_W = st.sampled_from([-5000.0, -100.0, 0.0, 90.0, 1000.0, 11_000.0])
INPUTS = ("ripple", "tenant", "never heard of")


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    """One to three parts of a condition, whether they make sense together or not."""
    parts: dict[str, st.SearchStrategy[object]] = {
        "time_from": st.times(),
        "time_to": st.times(),
        "weekdays": st.frozensets(st.integers(0, 6), min_size=1),
        "price_below": st.sampled_from([-0.1, 0.0, 0.2]),
        "price_above": st.sampled_from([-0.1, 0.0, 0.2]),
        "levels": st.frozensets(st.sampled_from(PriceLevel), min_size=1),
        "surplus_below_w": POWERS_W,
        "surplus_above_w": POWERS_W,
        "soc_below_pct": st.sampled_from([20.0, 80.0]),
        "soc_above_pct": st.sampled_from([20.0, 80.0]),
        "charging_at_least": st.integers(1, 4),
        "charging_at_most": st.integers(0, 4),
        "input": st.sampled_from(INPUTS),
        "import_above_w": st.sampled_from([0.0, 90.0, 11_000.0]),
        "export_above_w": st.sampled_from([0.0, 90.0, 11_000.0]),
    }
    chosen = draw(st.lists(st.sampled_from(sorted(parts)), min_size=1, max_size=3, unique=True))
    given = {name: draw(parts[name]) for name in chosen}
    return Condition(**given, input_set=draw(st.booleans()))  # type: ignore[arg-type]


@st.composite
def rule_lists(draw: st.DrawFn, charge_points: Sequence[str], most: int = 5) -> tuple[Rule, ...]:
    """Rules as they come; not all of them would be taken by ``check_rules``."""
    found = []
    for number in range(draw(st.integers(0, most))):
        effect = draw(
            st.sampled_from(
                [
                    {"limit_a": 0.0},
                    {"limit_a": 5.9},
                    {"limit_a": 10.0},
                    {"limit_a": 16.5, "mode": Mode.PLAN},
                    {"limit_w": 4200.0},
                    {"limit_w": 11_000.0, "limit_a": 14.0},
                    {"mode": Mode.OFF},
                    {"mode": Mode.SOLAR},
                    {"mode": Mode.MIN_SOLAR},
                    {"pause": True},
                ]
            )
        )
        found.append(
            Rule(
                f"r{number}",
                f"Rule {number}",
                tuple(draw(st.lists(conditions(), max_size=3))),
                draw(st.sampled_from(Match)),
                tuple(draw(st.lists(st.sampled_from([*charge_points, "gone"]), max_size=2, unique=True))),
                tuple(draw(st.lists(st.sampled_from(["ann", "bea", "nobody"]), max_size=2, unique=True))),
                keep_s=draw(st.sampled_from([0.0, 0.0, 3.0, 600.0])),
                unknown=draw(st.sampled_from([None, None, *Unknown])),
                enabled=draw(st.integers(0, 5)) > 0,
                **effect,  # type: ignore[arg-type]
            )
        )
    return tuple(found)


@st.composite
def ruled_sites(draw: st.DrawFn) -> Site:
    """Sites, a third of them with rules on top."""
    site = draw(sites())
    if draw(st.integers(0, 2)):
        return site
    return evolve(site, rules=draw(rule_lists(tuple(site.charge_points))))
