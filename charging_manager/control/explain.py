"""From what bound a charge point to its because: the true cause, not the first that comes to mind.

Work is done once for all that a line bounds, and only where something is bound: this is in the hot path.
"""

from __future__ import annotations

from charging_manager.control.because import PHASE_NAMES
from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen
from charging_manager.control.smooth import TINY
from charging_manager.control.turns import pause_left_s
from charging_manager.control.wiring import Of, Wiring, floor_step
from charging_manager.control.workings import Workings
from charging_manager.model.plan import Because
from charging_manager.model.units import NO_AMPS


def circuit_because(code: str, wiring: Wiring, line: int, **fields: str | float | int) -> Because:
    """A reason that names a circuit and a phase."""
    circuit = wiring.circuits[line // 3]
    return Because(code, {"circuit": circuit.name or circuit.id, "phase": PHASE_NAMES[line % 3], **fields})


def explain(seen: Seen, work: Workings) -> Because:
    """Why this charge point has its setpoint."""
    if seen.because is not None:
        return seen.because
    if seen.setpoint_a > 0.0:
        return _own(seen) if seen.limit_line < 0 else line_because(seen.limit_line, seen, work, waiting=False)
    tightest = tightest_line(seen, work)
    if (
        tightest < work.wiring.unbalance_line
        and work.lines.stale[tightest]
        and work.lines.room[tightest] < seen.outlet.lowest_a
    ):
        return line_because(tightest, seen, work, waiting=True)
    if seen.outlet.too_low is not None and seen.bits == seen.outlet.bits:
        return Because("circuit-too-low", {"circuit": seen.outlet.too_low, "amps": seen.outlet.lowest_a})
    if seen.last_a <= 0.0 and pause_left_s(seen.past, work.now_s, work.rules) > 0.0:
        return Because("pause", {"until": work.instants.at(pause_until_s(seen, work.rules))})
    return line_because(tightest, seen, work, waiting=True)


def pause_until_s(seen: Seen, rules: Rules) -> float:
    """When its pause is over."""
    return (seen.past.paused_s or 0.0) + rules.pause_s


def _own(seen: Seen) -> Because:
    """No line bounds it: what narrowed its own cap last."""
    amps = seen.setpoint_a
    wants = seen.past.wants_a
    if amps < floor_step(seen.cap_a, seen.outlet.point.step_a):
        return Because("rising")
    if seen.aimed is not None and seen.capped is None:
        return seen.aimed
    if wants is not None and seen.cap_a >= wants - TINY:
        return Because("car-takes-less", {"amps": amps})
    return seen.capped or Because("maximum", {"amps": amps})


def tightest_line(seen: Seen, work: Workings) -> int:
    """The line with the least room for a car that got nothing."""
    room = work.lines.room
    found = min(seen.lines, key=lambda line: (room[line], line))
    for line in seen.heavy:
        if room[line] / seen.weight < room[found] / (seen.weight if found in seen.heavy else 1):
            found = line
    return found


def line_because(line: int, seen: Seen, work: Workings, *, waiting: bool) -> Because:
    """What a line that is full says to a charge point; the same words for all of a priority."""
    key = (line, waiting, seen.priority)
    said = work.said.get(key)
    if said is None:
        said = work.said[key] = _make_because(line, seen, work, waiting=waiting)
    return said


def _make_because(line: int, seen: Seen, work: Workings, *, waiting: bool) -> Because:
    wiring, lines = work.wiring, work.lines
    if line >= wiring.first_power:
        return _power_because(line, seen, work, waiting=waiting)
    if line >= wiring.first_feeder:
        return _feeder_because(line, seen, work, waiting=waiting)
    if line >= wiring.unbalance_line:
        return Because("unbalance", {"amps": wiring.site.unbalance_a or 0.0, "phase": PHASE_NAMES[line % 3]})
    circuit = wiring.circuits[line // 3]
    if lines.stale[line]:
        return circuit_because("meter-silent", wiring, line, amps=circuit.fallback_a)
    over = lines.overdrafts.get((circuit.id, line % 3))
    if over is not None and over.current_a > 0.0:
        return circuit_because("overdraft", wiring, line, until=work.instants.at(over.until_s))
    riders = work.riders(line)
    if _outranked(line, seen, riders, work, waiting=waiting):
        return circuit_because("priority", wiring, line)
    if not waiting:
        return circuit_because("circuit-limit", wiring, line, limit=circuit.limit_a[line % 3], cars=len(riders))
    return _waiting(line, seen, riders, circuit.limit_a[line % 3], work)


def _outranked(line: int, seen: Seen, riders: list[Seen], work: Workings, *, waiting: bool) -> bool:
    """Whether what those of higher priority have on this line is what it lacks."""
    if work.lines.first.get(line, seen.priority) <= seen.priority:
        return False
    higher = sum(each.share_a for each in riders if each.priority > seen.priority)
    return higher + TINY >= (seen.outlet.lowest_a if waiting else seen.share_a)


def _waiting(line: int, seen: Seen, riders: list[Seen], limit_a: float, work: Workings) -> Because:
    """Why it has nothing on a circuit's line that its own priority fills."""
    if work.wiring.site.first_come and any(each.priority == seen.priority for each in riders):
        return circuit_because("first-come", work.wiring, line)
    holder = next_to_go(riders, seen.priority, work)
    if holder is None:
        return circuit_because("no-room", work.wiring, line, limit=limit_a)
    ends = work.instants.at(turn_until_s(holder, work.rules))
    return circuit_because("waiting-turn", work.wiring, line, holder=holder.id, until=ends)


def _feeder_because(line: int, seen: Seen, work: Workings, *, waiting: bool) -> Because:
    """Of a limit for charging alone; said with the circuit and phase that it is of."""
    wiring = work.wiring
    index = wiring.feeders[(line - wiring.first_feeder) // 3]
    of, limit_a = 3 * index + line % 3, (wiring.circuits[index].charging_limit_a or NO_AMPS)[line % 3]
    riders = work.riders(line)
    if _outranked(line, seen, riders, work, waiting=waiting):
        return circuit_because("priority", wiring, of)
    if waiting:
        return _waiting(of, seen, riders, limit_a, work)
    return circuit_because("feeder-limit", wiring, of, limit=limit_a)


def _power_because(line: int, seen: Seen, work: Workings, *, waiting: bool) -> Because:
    """Of a power limit."""
    power = work.wiring.powers[line - work.wiring.first_power]
    circuit = work.wiring.circuits[power.circuit]
    said: dict[str, str | float | int] = {"circuit": circuit.name or circuit.id, "watts": power.watts}
    if power.of is Of.ORDER:
        return Because("dimmed", {"watts": work.lines.order_w})
    if _outranked(line, seen, work.riders(line), work, waiting=waiting):
        return Because("priority-power", said)
    if waiting:
        return Because("waiting-power", said)
    return Because("power-limit" if power.of is Of.ALL else "charging-power", said)


def turn_until_s(seen: Seen, rules: Rules) -> float:
    """When the turn of one that charges is over at the latest; -inf if it has none."""
    past = seen.past
    if past.turn_s is None:
        return float("-inf")
    ends_s = past.turn_s + rules.turn_s
    return ends_s if past.idle_s is None else min(ends_s, past.idle_s + rules.try_s)


def next_to_go(riders: list[Seen], priority: int, work: Workings) -> Seen | None:
    """Of those that charge on a line in this priority: whose turn ends first. None: nobody has one."""
    first, at_s = None, float("inf")
    for each in riders:
        if each.priority == priority:
            ends_s = turn_until_s(each, work.rules)
            if work.now_s < ends_s < at_s:
                first, at_s = each, ends_s
    return first
