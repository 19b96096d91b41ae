"""Lines beside those of the fuses: what charging alone may draw on a feeder, and limits in watts.

A power limit is one line for all phases, in phase-amperes: a car weighs as many as it uses phases. House load counts
in a limit of all that flows, and not in one of charging alone, nor in an order of the grid operator.
"""

from __future__ import annotations

import math

from charging_manager.control.lines import Lines
from charging_manager.control.memory import Memory, Peak
from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen, keep
from charging_manager.control.volts import higher, highest_v
from charging_manager.control.wiring import ALL, NOMINAL_V, Of, Power, Wiring
from charging_manager.model.plan import SiteImage


def add_feeders(wiring: Wiring, lines: Lines, fixed: list[float]) -> None:
    """Three lines for every circuit where charging alone has a limit."""
    for index in wiring.feeders:
        limit_a = wiring.circuits[index].charging_limit_a
        assert limit_a is not None  # noqa: S101
        for phase in (0, 1, 2):
            lines.room.append(limit_a[phase] - fixed[3 * index + phase])
            lines.rise.append(limit_a[phase] - lines.worst[3 * index + phase])
            lines.jitter.append(0.0)


def add_powers(
    image: SiteImage,
    wiring: Wiring,
    everyone: list[Seen],
    memory: Memory,
    lines: Lines,
    fixed: list[float],
    rules: Rules,
) -> dict[str, Peak]:
    """One line for every power limit; the voltages to remember."""
    volts = _voltages(image, wiring, everyone)
    peaks: dict[str, Peak] = {}
    for power in wiring.powers:
        circuit = wiring.circuits[power.circuit]
        peak = peaks.get(circuit.id)
        if peak is None:
            peak = higher(memory.volts.get(circuit.id), volts[power.circuit], image.now_s, rules)
            peaks[circuit.id] = peak
        watts = watts_of(image, power)
        if power.of is Of.ORDER:
            lines.order_w = watts
        amps = watts / peak.volts
        at = 3 * power.circuit
        beside = high = 0.0
        if power.of is Of.ALL:
            beside, high = sum(lines.house[at : at + 3]), sum(lines.house_high[at : at + 3])
        exempt_fixed = exempt_worst = 0.0
        if power.of is Of.ORDER and wiring.held is not None:
            exempt_fixed, exempt_worst = _exempt(everyone, wiring.held)
        lines.powers.append(amps - beside)
        lines.powers_rise.append(amps - high)
        lines.room.append(amps - beside - sum(fixed[at : at + 3]) + exempt_fixed)
        lines.rise.append(amps - high - sum(lines.worst[at : at + 3]) + exempt_worst)
        lines.jitter.append(sum(lines.jitter[at : at + 3]) if power.of is Of.ALL else 0.0)
    return peaks


def _exempt(everyone: list[Seen], held: frozenset[str]) -> tuple[float, float]:
    """What charge points draw that an order does not hold: beside their setpoints, and at worst."""
    fixed, worst = [0.0, 0.0, 0.0], 0.0
    for seen in everyone:
        if seen.id in held or seen.outlet.point.out_of_service:
            continue
        worst += sum(seen.worst_a)
        if seen.silent:
            for phase in (0, 1, 2):
                fixed[phase] += seen.worst_a[phase]
        elif seen.bits != ALL or seen.excess_a:
            keep(seen, fixed, 0)
    return sum(fixed), worst


def watts_of(image: SiteImage, power: Power) -> float:
    """The limit as it is now; an order that is no number, or below nothing, is one for nothing."""
    if power.of is not Of.ORDER:
        return power.watts
    order = image.outside.dimming
    return order.limit_w if order is not None and 0.0 <= order.limit_w < math.inf else 0.0


def _voltages(image: SiteImage, wiring: Wiring, everyone: list[Seen]) -> list[float]:
    """By circuit: the highest that its meter shows, or a charge point at or below it."""
    found = [NOMINAL_V] * len(wiring.circuits)
    for index, meter in enumerate(wiring.meters):
        if meter is not None:
            found[index] = highest_v(image.readings.get(meter, ()))
    for seen in everyone:
        volts = highest_v(seen.readings)
        if volts > found[seen.outlet.circuit]:
            found[seen.outlet.circuit] = volts
    for index in range(len(found) - 1, 0, -1):
        parent = wiring.parents[index]
        found[parent] = max(found[parent], found[index])
    return found
