"""From what bound a charge point to its because."""

from __future__ import annotations

import math

from charging_manager.control.because import PHASE_NAMES
from charging_manager.control.budget import Lines
from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen
from charging_manager.control.smooth import TINY
from charging_manager.control.turns import pause_left_s
from charging_manager.control.wiring import Wiring, floor_step
from charging_manager.model.plan import Because


def circuit_because(code: str, wiring: Wiring, line: int, **fields: str | float | int) -> Because:
    """A reason that names a circuit and a phase."""
    circuit = wiring.circuits[line // 3]
    return Because(code, {"circuit": circuit.name or circuit.id, "phase": PHASE_NAMES[line % 3], **fields})


def explain(seen: Seen, wiring: Wiring, lines: Lines, now: float, rules: Rules) -> Because:
    """Why this charge point has its setpoint."""
    if seen.because is not None:
        return seen.because
    if seen.setpoint_a > 0.0 and seen.limit_line < 0:
        return _own(seen)
    if seen.setpoint_a <= 0.0:
        tightest = _tightest(seen, lines)
        if tightest < wiring.unbalance_line and lines.stale[tightest] and lines.room[tightest] < seen.outlet.lowest_a:
            return _bound(tightest, seen, wiring, lines, now, waiting=True)
        pause = pause_left_s(seen.past, now, rules)
        if seen.last_a <= 0.0 and pause > 0.0:
            return Because("pause", {"minutes": math.ceil(pause / 60)})
        return _bound(tightest, seen, wiring, lines, now, waiting=True)
    return _bound(seen.limit_line, seen, wiring, lines, now, waiting=False)


def _own(seen: Seen) -> Because:
    """Nothing but its own cap bounds it."""
    amps = seen.setpoint_a
    wants = seen.past.wants_a
    if amps < floor_step(seen.cap_a, seen.outlet.point.step_a):
        return Because("rising")
    if wants is not None and seen.cap_a >= wants - TINY:
        return Because("car-takes-less", {"amps": amps})
    return Because("override" if seen.held else "maximum", {"amps": amps})


def _tightest(seen: Seen, lines: Lines) -> int:
    """The line with the least room for a car that got nothing."""
    return min(seen.lines, key=lambda line: (lines.room[line], line))


def _bound(line: int, seen: Seen, wiring: Wiring, lines: Lines, now: float, *, waiting: bool) -> Because:
    """What a line that is full says to a charge point; the same words for all of a priority."""
    key = (line, waiting, seen.outlet.point.priority)
    said = lines.said.get(key)
    if said is None:
        said = lines.said[key] = _line_because(line, seen, wiring, lines, now, waiting=waiting)
    return said


def _line_because(line: int, seen: Seen, wiring: Wiring, lines: Lines, now: float, *, waiting: bool) -> Because:
    phase = PHASE_NAMES[line % 3]
    if line >= wiring.unbalance_line:
        return Because("unbalance", {"amps": wiring.site.unbalance_a or 0.0, "phase": phase})
    circuit = wiring.circuits[line // 3]
    if lines.stale[line]:
        return circuit_because("meter-silent", wiring, line, amps=circuit.fallback_a)
    over = lines.overdrafts.get((circuit.id, line % 3))
    if over is not None and over.current_a > 0.0:
        return circuit_because("overdraft", wiring, line, minutes=math.ceil((over.until_s - now) / 60))
    if lines.first.get(line, seen.outlet.point.priority) > seen.outlet.point.priority:
        return circuit_because("priority", wiring, line)
    if waiting:
        return circuit_because("waiting-turn", wiring, line)
    return circuit_because("circuit-limit", wiring, line, limit=circuit.limit_a[line % 3])
