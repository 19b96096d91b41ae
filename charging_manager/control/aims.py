"""What each charge point shall aim at by its mode, before current is shared: the optimising pass.

Here a cap is only ever lowered: what circuits allow is looked at afterwards, and holds whatever is aimed at.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen

from charging_manager.control.instants import Instants
from charging_manager.control.memory import Memory
from charging_manager.control.phases import bring, can_switch, patience
from charging_manager.control.planned import Planned
from charging_manager.control.planning import plan_all
from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen
from charging_manager.control.storage import batteries, fills_first, lock
from charging_manager.control.sun import ANEW, follow_the_sun
from charging_manager.control.sunmemory import NOTHING_SUNNY, SunMemory, SunPast
from charging_manager.control.surplus import observe
from charging_manager.control.wiring import Wiring
from charging_manager.model.mode import Mode
from charging_manager.model.plan import SiteImage
from charging_manager.model.site import MeterRole

PLAN_WAITS = frozenset({"plan-waits", "plan-waits-green", "plan-sun", "plan-soon", "plan-reached", "plan-no-goal"})
"""Outside the times that its plan chose, without a goal, and when it is reached, a car follows the sun."""
OF_THE_SUN = (MeterRole.SOLAR, MeterRole.STORAGE)


@frozen
class Aimed:
    """What is remembered, and what is told beside setpoints."""

    plans: Mapping[str, Planned]
    sun: SunMemory


def aim(
    image: SiteImage, wiring: Wiring, everyone: list[Seen], memory: Memory, instants: Instants, rules: Rules
) -> Aimed:
    """Narrow ``cap_a`` where the mode is neither Off nor Fast; what is planned and followed goes into the memory."""
    free_a = {seen.id: seen.cap_a for seen in everyone if seen.mode is Mode.PLAN}
    plans = plan_all(image, wiring, everyone, memory)
    followers = []
    for seen in everyone:
        mode = seen.mode
        if mode is Mode.SOLAR or mode is Mode.MIN_SOLAR:
            followers.append(seen)
        elif mode is Mode.PLAN and seen.because is not None and seen.because.code in PLAN_WAITS:
            seen.cap_a = free_a[seen.id]
            followers.append(seen)
    return Aimed(plans, _sun(image, wiring, everyone, followers, memory, instants, rules))


def _sun(
    image: SiteImage,
    wiring: Wiring,
    everyone: list[Seen],
    followers: list[Seen],
    memory: Memory,
    instants: Instants,
    rules: Rules,
) -> SunMemory:
    """Everything that has to do with the sun, batteries and phases; next to nothing where there is none of it."""
    last = memory.sun
    switchers = any(each.switches_phases for each in image.obedience.values())
    shines = any(meter.role in OF_THE_SUN for meter in image.site.meters.values())
    if not followers and not switchers and not shines:
        return SunMemory(switches=last.switches) if last.switches else NOTHING_SUNNY
    found = batteries(image, last, rules)
    meter = wiring.meters[0]
    watch = memory.watches.get(meter) if meter is not None else None
    surplus = observe(last.surplus, image, wiring, followers, found, watch, rules)
    followed = follow_the_sun(
        image,
        followers,
        last,
        surplus,
        instants,
        rules,
        has_meter=meter is not None,
        storage_first=fills_first(found, rules),
    )
    pasts, switches = dict(followed.pasts), dict(followed.switches)
    if switchers:
        _fast_on_three(image, everyone, followers, last, pasts, switches, rules)
    hungry = followed.beyond or (bool(found) and _beyond_the_sun(everyone, followers))
    locked, unlock_s = lock(found, hungry, last, image, rules)
    return SunMemory(
        surplus,
        pasts,
        switches,
        frozenset(battery.meter.id for battery in found if battery.gives),
        locked,
        unlock_s,
        image.now_s,
    )


def _beyond_the_sun(everyone: list[Seen], followers: list[Seen]) -> bool:
    """Whether a car charges that does not follow the sun."""
    ours = {seen.id for seen in followers}
    return any(max(seen.measured_a) >= 1.0 and seen.last_a > 0.0 for seen in everyone if seen.id not in ours)


def _fast_on_three(
    image: SiteImage,
    everyone: list[Seen],
    followers: list[Seen],
    last: SunMemory,
    pasts: dict[str, SunPast],
    switches: dict[str, int],
    rules: Rules,
) -> None:
    """Who does not follow the sun charges on three phases, where its box can switch."""
    ours = {seen.id for seen in followers}
    for seen in everyone:
        obedience = image.obedience.get(seen.id)
        if seen.id in ours or obedience is None or not can_switch(seen, obedience):
            continue
        if seen.past.plugged_s is None and not seen.silent:
            continue
        past = last.pasts.get(seen.id, ANEW)
        if past.on or past.short_s is not None:
            past = evolve(past, on=False, short_s=None)
        seen.phases_told = past.phases
        if seen.cap_a > 0.0 and not seen.unsure:
            past, _, done = bring(seen, patience(seen, past, image.now_s, rules), obedience, 3, image.now_s, rules)
            if done:
                switches[seen.id] = switches.get(seen.id, 0) + 1
        pasts[seen.id] = past
