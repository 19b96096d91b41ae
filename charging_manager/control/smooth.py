"""From fair shares to setpoints: down at once, up only into what is free if everybody draws their worst.

Lowering never waits. Raising waits for the confirmation of those who must give way (their worst case still counts),
rises at intervals, and needs a margin, so that a house load that breathes does not make setpoints swing.
"""

from __future__ import annotations

from charging_manager.control.budget import Lines
from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen
from charging_manager.control.wiring import floor_step
from charging_manager.model.plan import Because

TINY = 1e-6


def settle(everyone: list[Seen], lines: Lines, now: float, rules: Rules) -> None:
    """Give every charge point its setpoint. ``lines.rise`` is used up by what is raised."""
    raises = []
    for seen in everyone:
        share = seen.share_a
        outlet = seen.outlet
        step = outlet.point.step_a
        target = floor_step(share, step)
        if target < outlet.lowest_a:
            target = 0.0
        last = seen.last_a
        if target <= last or seen.unsure:
            seen.setpoint_a = min(target, last)
            continue
        seen.setpoint_a = last
        if last > 0.0:
            if share < seen.cap_a - TINY:
                target = floor_step(share - _jitter(seen, lines), step)
            if target <= last:
                continue
            if not _may_rise(seen, now, rules):
                seen.because = Because("rising")
                continue
        raises.append((-seen.priority, last, outlet.index, target, seen))
    raises.sort()
    for _, last, _, target, seen in raises:
        amps = floor_step(min(target, headroom(seen, lines)), seen.outlet.point.step_a)
        if amps < seen.outlet.lowest_a or amps <= last:
            seen.because = Because("others-first")
            continue
        seen.setpoint_a = amps
        _take(seen, lines, amps)


def _may_rise(seen: Seen, now: float, rules: Rules) -> bool:
    past = seen.past
    if past.lowered_s is not None and now - past.lowered_s < rules.raise_after_lowering_s:
        return False
    return past.raised_s is None or now - past.raised_s >= rules.raise_every_s


def headroom(seen: Seen, lines: Lines) -> float:
    """The highest setpoint that fits beside everybody's worst case; below 0 where a line is overdrawn as it is."""
    worst, rise = seen.worst_a, lines.rise
    most = float("inf")
    for line in seen.lines:  # its phase is line % 3
        left = rise[line]
        if left < -TINY:
            return -1.0
        most = min(most, left + worst[line % 3])
    if seen.heavy:
        least = min(worst[phase] for phase in (0, 1, 2) if seen.bits >> phase & 1)
        for line in seen.heavy:
            if rise[line] < -TINY:
                return -1.0
            most = min(most, least + rise[line] / seen.weight)
    return most


def _take(seen: Seen, lines: Lines, amps: float) -> None:
    worst = seen.worst_a
    for line in seen.lines:
        lines.rise[line] -= max(0.0, amps - worst[line % 3])
    if seen.heavy:
        more = sum(max(0.0, amps - worst[phase]) for phase in (0, 1, 2) if seen.bits >> phase & 1)
        for line in seen.heavy:
            lines.rise[line] -= more


def _jitter(seen: Seen, lines: Lines) -> float:
    most = max(lines.jitter[line] for line in seen.lines)
    for line in seen.heavy:
        most = max(most, lines.jitter[line] / seen.weight)
    return most
