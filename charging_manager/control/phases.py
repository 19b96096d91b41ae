"""One phase or three: what a box that can switch shall use, and how it is brought there.

It is never switched under current. The setpoint goes to 0 and is confirmed, the new number is told and stays told, and
nothing is given until the box says that it has switched. From its setpoint of 0 on it counts on all phases that it is
wired to, and on fewer only when its meter has shown that for a while (``seen``): nothing is counted too low meanwhile.

A box that does not obey within ``switch_within_s``, and a car that did not come back after a switch, are left as they
are until the car is unplugged.
"""

from __future__ import annotations

from attrs import evolve

from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen
from charging_manager.control.sunmemory import SunPast
from charging_manager.model.plan import Because
from charging_manager.model.reading import Obedience


def can_switch(seen: Seen, obedience: Obedience | None) -> bool:
    """Whether it makes sense to tell this box a number of phases."""
    return obedience is not None and obedience.switches_phases and seen.outlet.bits.bit_count() == 3


def used_phases(seen: Seen, past: SunPast, obedience: Obedience | None) -> int:
    """How many phases its car loads, or would: as learned, else as the box is switched, else all of its wires."""
    boxed = seen.outlet.bits.bit_count()
    if obedience is not None and obedience.switches_phases and obedience.phases in (1, 3):
        boxed = min(boxed, obedience.phases)
    return min(boxed, past.used) if past.used else boxed


def learn(seen: Seen, past: SunPast, obedience: Obedience | None) -> SunPast:
    """Note how many phases the car loads; one that uses a single one of three is never switched for nothing."""
    loaded = seen.past.phases.bit_count()
    if not loaded or past.switch_s is not None:
        return past
    fixed = past.fixed or (loaded < 3 and obedience is not None and obedience.phases == 3)
    return past if loaded == past.used and fixed == past.fixed else evolve(past, used=loaded, fixed=fixed)


def patience(seen: Seen, past: SunPast, now: float, rules: Rules) -> SunPast:
    """A car that was switched and takes nothing since is switched no more."""
    idle_s = seen.past.idle_s
    if past.fixed or past.switched_s < 0 or idle_s is None or seen.last_a <= 0.0:
        return past
    came = idle_s > past.switched_s + rules.try_s
    return past if came or now - idle_s < rules.try_s else evolve(past, fixed=True)


def bring(
    seen: Seen, past: SunPast, obedience: Obedience, want: int, now: float, rules: Rules
) -> tuple[SunPast, bool, bool]:
    """One step towards so many phases: what to remember, whether it must wait at 0, whether a switch was finished."""
    if obedience.phases == want:
        done = past.switch_s is not None
        if done:
            switched = past.phases is not None
            past = evolve(past, switch_s=None, switched_s=now if switched else past.switched_s, used=0)
        seen.phases_told = want
        return past if past.phases == want else evolve(past, phases=want), False, done
    if past.fixed:
        seen.phases_told = past.phases
        return past, False, False
    since_s = now if past.switch_s is None else past.switch_s
    if now - since_s > rules.switch_within_s:
        return evolve(past, switch_s=None, fixed=True, phases=None), False, False
    stopped = seen.last_a <= 0.0 and seen.told_a <= 0.0 and max(seen.measured_a) < 1.0
    told = want if stopped or past.phases == want else past.phases
    seen.phases_told = told
    seen.cap_a = 0.0
    seen.because = Because("phases-switching", {"phases": want})
    return evolve(past, switch_s=since_s, phases=told, used=0), True, False
