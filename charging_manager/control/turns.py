"""Who is served when not everybody can have the minimum, and whose turn it is.

A car that charges holds its turn for at most ``turn_s``; one that was offered current for ``try_s`` and took none has
had it. After its turn a car stands at the back, and is only served if nobody before it needs the room. Waiting cars
stand in the order in which their last turns ended: a car that had none yet, newly plugged in, comes first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import evolve

from charging_manager.control.memory import Past
from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen

TINY = 1e-6


def pause_left_s(past: Past, now: float, rules: Rules) -> float:
    """How long a car that was paused for want of current must still wait."""
    return 0.0 if past.paused_s is None else max(0.0, past.paused_s + rules.pause_s - now)


def turn_over(past: Past, now: float, rules: Rules) -> bool:
    """Whether its turn is used up."""
    if past.turn_s is None:
        return False
    idle = past.idle_s is not None and now - past.idle_s >= rules.try_s
    return idle or now - past.turn_s >= rules.turn_s


def energy_wh(seen: Seen) -> float:
    """Energy counted by the box; 0 where it counts none, or what it says is no number."""
    newest = seen.readings[-1] if seen.readings else None
    if newest is None:
        return 0.0
    counted = newest.energy_wh or newest.session_wh or 0.0
    return counted if -math.inf < counted < math.inf else 0.0


def place(seen: Seen, now: float, rules: Rules) -> tuple[int, float, float, float, int]:
    """Where it stands in the queue of its priority; lowest first."""
    past = seen.past
    plugged_s = past.plugged_s or 0.0
    if seen.last_a > 0.0 and not turn_over(past, now, rules):
        return 0, 0.0, energy_wh(seen) - past.turn_start_wh, plugged_s, seen.outlet.index
    ended_s = now if seen.last_a > 0.0 else past.turn_ended_s
    return 1, -1.0 if ended_s is None else ended_s, past.turn_wh, plugged_s, seen.outlet.index


def choose(queue: list[Seen], room_a: list[float], jitter_a: Sequence[float]) -> list[Seen]:
    """Those whose minimum fits, first come first served; a later one may still fit on other phases.

    A car joins those that charge already only if the jitter of the house load fits too, so that it need not stop at
    the next tenth of an ampere.
    """
    served = []
    joining = any(seen.last_a > 0.0 for seen in queue)
    for seen in queue:
        least = seen.outlet.lowest_a
        lines = seen.lines
        careful = joining and seen.last_a <= 0.0
        for line in lines:
            if room_a[line] < least + (jitter_a[line] if careful else 0.0) - TINY:
                break
        else:
            if seen.heavy and not _bears(seen, room_a, jitter_a if careful else None):
                continue
            for line in lines:
                room_a[line] -= least
            for line in seen.heavy:
                room_a[line] -= least * seen.weight
            served.append(seen)
    return served


def _bears(seen: Seen, room_a: list[float], jitter_a: Sequence[float] | None) -> bool:
    """Whether its power limits leave it its minimum."""
    watts = seen.outlet.lowest_a * seen.weight
    return all(room_a[line] >= watts + (0.0 if jitter_a is None else jitter_a[line]) - TINY for line in seen.heavy)


def after(seen: Seen, now: float, rules: Rules, *, wanting: bool) -> Past:
    """What to remember of its turn, pause and steps, once its setpoint stands.

    ``wanting``: it could have used current; a car at 0 for another reason is not paused for want of it.
    """
    past, last, given = seen.past, seen.last_a, seen.setpoint_a
    if given == last:
        if given > 0.0 and past.turn_s is None and past.plugged_s is not None:
            return evolve(past, turn_s=now - past.turn_used_s, turn_start_wh=energy_wh(seen))
        return past
    if given <= 0.0:
        if past.plugged_s is None:
            return evolve(past, lowered_s=now)
        over = turn_over(past, now, rules)
        used = 0.0 if over or past.turn_s is None else now - past.turn_s
        return evolve(
            past,
            paused_s=now if wanting else None,
            lowered_s=now,
            turn_s=None,
            turn_used_s=used,
            turn_ended_s=now if over else past.turn_ended_s,
            turn_wh=energy_wh(seen) - past.turn_start_wh,
        )
    if last <= 0.0:
        return evolve(past, paused_s=None, raised_s=now, turn_s=now - past.turn_used_s, turn_start_wh=energy_wh(seen))
    if given < last:
        return evolve(past, lowered_s=now)
    return evolve(past, raised_s=now)
