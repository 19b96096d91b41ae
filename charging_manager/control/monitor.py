"""Whether a decision kept the invariants (SAFETY), worked out once more and simply: for the log, and for the tests.

I1: on every line, house load and what each charge point may draw once it has obeyed fit the limit less the reserve,
or every charge point below that answers is at 0; and no setpoint was raised on a line that is full by worst case. The
same holds of limits for charging alone, and of power limits.
I3: no waiting car that could have its minimum by worst case is left at 0 for more than three cycles.
I4: a setpoint is 0, or lies between the lowest and the highest of its box, on a step.
"""

from __future__ import annotations

from collections.abc import Mapping

from charging_manager.control.budget import Lines, up_the_tree
from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen
from charging_manager.control.turns import pause_left_s
from charging_manager.control.wiring import Of, Wiring, floor_step
from charging_manager.model.units import NO_AMPS

SLACK_A = 0.001
CYCLES = 3


def check(
    everyone: list[Seen],
    wiring: Wiring,
    lines: Lines,
    free_a: list[float],
    starving: Mapping[str, int],
    now: float,
    rules: Rules,
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Sentences for what is broken, and the cycles for which waiting cars could have been served."""
    violations: list[str] = []
    count = 3 * len(wiring.circuits)
    obeyed, worst, lit, raised = ([0.0] * count for _ in range(4))
    hungry: dict[str, int] = {}
    for seen in everyone:
        outlet, amps = seen.outlet, seen.setpoint_a
        if outlet.point.out_of_service:
            if amps:
                violations.append(f"I1: {seen.id} is out of service and got {amps:g} A")
            continue
        at = 3 * outlet.circuit
        if not amps:
            if seen.cap_a <= 0.0 and seen.worst_a == NO_AMPS:
                continue
            if (
                seen.cap_a > 0.0
                and not seen.barred
                and not seen.unsure
                and not pause_left_s(seen.past, now, rules)
                and all(free_a[line] >= outlet.lowest_a - seen.worst_a[line % 3] + SLACK_A for line in seen.lines)
                and (not seen.heavy or _watts_free(seen, free_a))
            ):
                hungry[seen.id] = starving.get(seen.id, 0) + 1
        elif not outlet.lowest_a <= amps <= outlet.highest_a + SLACK_A:
            violations.append(f"I4: {seen.id} got {amps:g} A, outside {outlet.lowest_a:g} to {outlet.highest_a:g} A")
        elif abs(floor_step(amps, outlet.point.step_a) - amps) > SLACK_A:
            violations.append(f"I4: {seen.id} got {amps:g} A, not a step of {outlet.point.step_a:g} A")
        _add(seen, at, obeyed, worst, lit, raised)
    for values in (obeyed, worst, lit, raised):
        up_the_tree(values, wiring)
    for line in range(count):
        if not lit[line]:
            continue
        name = f"{wiring.circuits[line // 3].id} L{line % 3 + 1}"
        allowed = lines.allowed[line]
        if lines.house[line] + obeyed[line] > allowed + SLACK_A:
            violations.append(f"I1: {name} would carry {lines.house[line] + obeyed[line]:.2f} A of {allowed:.2f} A")
        firm = lines.firm[line]
        if raised[line] and lines.house_high[line] + worst[line] > firm + SLACK_A:
            risk = lines.house_high[line] + worst[line]
            violations.append(f"I1: a setpoint on {name} was raised, at worst it carries {risk:.2f} A of {firm:.2f} A")
    if wiring.feeders or wiring.powers:
        violations += _further(wiring, everyone, lines, (obeyed, worst, lit, raised))
    served = any(seen.setpoint_a for seen in everyone)
    if not served:
        for name, cycles in hungry.items():
            if cycles > CYCLES:
                violations.append(f"I3: {name} could have its minimum for {cycles} cycles and nobody charges")
    return tuple(violations), hungry


def _watts_free(seen: Seen, free_a: list[float]) -> bool:
    more = sum(max(0.0, seen.outlet.lowest_a - seen.worst_a[p]) for p in (0, 1, 2) if seen.bits >> p & 1)
    return all(free_a[line] >= more + SLACK_A for line in seen.heavy)


def _add(seen: Seen, at: int, obeyed: list[float], worst: list[float], lit: list[float], raised: list[float]) -> None:
    amps, bits = seen.setpoint_a, seen.bits
    for phase, may in enumerate(seen.worst_a):
        line = at + phase
        if bits >> phase & 1:
            worst[line] += may if may > amps else amps
            if seen.silent:
                obeyed[line] += may
            else:
                obeyed[line] += amps
                if seen.excess_a:
                    obeyed[line] += min(seen.excess_a, max(0.0, may - seen.last_a))
            lit[line] += amps
            if amps > seen.last_a:
                raised[line] += amps
        elif may:
            worst[line] += may
            obeyed[line] += may


Sums = tuple[list[float], list[float], list[float], list[float]]
"""By line: what is drawn once all have obeyed, what at worst, setpoints, and setpoints that were raised."""


def _held(everyone: list[Seen], held: frozenset[str]) -> Sums:
    """The same of those alone that an order is for, as of one circuit."""
    sums: Sums = ([0.0] * 3, [0.0] * 3, [0.0] * 3, [0.0] * 3)
    for seen in everyone:
        if seen.id in held and not seen.outlet.point.out_of_service:
            _add(seen, 0, *sums)
    return sums


def _further(wiring: Wiring, everyone: list[Seen], lines: Lines, sums: Sums) -> list[str]:
    """Limits for charging alone, and power limits."""
    found = []
    obeyed, worst, lit, raised = sums
    for index in wiring.feeders:
        limit_a = wiring.circuits[index].charging_limit_a or (0.0, 0.0, 0.0)
        for phase in (0, 1, 2):
            line = 3 * index + phase
            name = f"charging on {wiring.circuits[index].id} L{phase + 1}"
            if lit[line] and obeyed[line] > limit_a[phase] + SLACK_A:
                found.append(f"I1: {name} would draw {obeyed[line]:.2f} A of {limit_a[phase]:.2f} A")
            if raised[line] and worst[line] > limit_a[phase] + SLACK_A:
                found.append(f"I1: {name} was raised, at worst it draws {worst[line]:.2f} A of {limit_a[phase]:.2f} A")
    for power, left, left_rise in zip(wiring.powers, lines.powers, lines.powers_rise, strict=True):
        at = 3 * power.circuit
        name = f"the power limit ({power.of}) of {wiring.circuits[power.circuit].id}"
        if power.of is Of.ORDER and wiring.held is not None:
            at, (obeyed, worst, lit, raised) = 0, _held(everyone, wiring.held)  # an order comes last
        if sum(lit[at : at + 3]) and sum(obeyed[at : at + 3]) > left + SLACK_A:
            found.append(f"I1: {name} leaves {left:.2f} A, charging would draw {sum(obeyed[at : at + 3]):.2f} A")
        if sum(raised[at : at + 3]) and sum(worst[at : at + 3]) > left_rise + SLACK_A:
            found.append(f"I1: a setpoint below {name} was raised, at worst {sum(worst[at : at + 3]):.2f} A")
    return found
