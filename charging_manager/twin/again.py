"""The cycles of a recording decided again: the same controller on the same images gives the same plans."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from attrs import evolve, frozen

from charging_manager.control.decide import decide
from charging_manager.control.rules import Rules
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.twin.recording import full_cycles


@frozen
class Difference:
    """The first decision that came out otherwise."""

    at: datetime | None
    now_s: float
    charge_point: str
    recorded: str
    decided: str


@frozen
class Comparison:
    """How many cycles were decided again, in how many stretches, and the first difference if there is one."""

    cycles: int
    stretches: int
    difference: Difference | None = None


def decide_again(path: Path, rules: Rules, choose: Callable[[SiteImage, Rules], Plan] = decide) -> Comparison:
    """Decide all full cycles of a recording anew; ends at the first difference. Raises: ConfigError."""
    cycles = stretches = 0
    plan: Plan | None = None
    for each in full_cycles(path):
        if each.begins:
            stretches += 1
        image = each.image if each.begins else evolve(each.image, last_plan=plan)
        before = image.last_plan.setpoints if image.last_plan is not None else {}
        plan = choose(image, rules)
        cycles += 1
        for name, setpoint in plan.setpoints.items():
            known = before.get(name)
            now = setpoint.current_a, setpoint.phases, setpoint.because.code
            told = each.setpoints.get(name)
            if told is None and known is not None:
                told = known.current_a, known.phases, known.because.code
            if told != now:
                return Comparison(cycles, stretches, _differs(image, name, told, now))
        if plan.storage_locked != each.storage_locked:
            return Comparison(
                cycles, stretches, _differs(image, "storage", (each.storage_locked,), (plan.storage_locked,))
            )
    return Comparison(cycles, stretches)


def _differs(image: SiteImage, name: str, recorded: object, decided: object) -> Difference:
    return Difference(image.now_at, image.now_s, name, _said(recorded), _said(decided))


def _said(what: object) -> str:
    if isinstance(what, tuple) and len(what) == 3:
        amps, phases, code = what
        return f"{amps:g} A{f' on {phases} phases' if phases else ''} ({code})"
    return "nothing" if what is None else str(what)
