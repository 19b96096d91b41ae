"""Start reading here: one decision, from the frozen image of a site to a plan. Pure; docs/control.md tells the story.

1. ``look``: what each charge point may draw at worst, what its car uses and wants (seen), and what rules leave (ruled);
   ``aim``: what its mode leaves of that (aims).
2. ``weigh``: what each line of the tree can still give (budget, house, meters).
3. ``divide``: who is served, and fair shares among them, priority by priority (turns, share).
4. ``settle``: shares become setpoints; down at once, up only when it is free by worst case (smooth).
5. ``explain`` and ``check``: the reason of each, and whether the invariants hold (because, monitor).
"""

from __future__ import annotations

from charging_manager.control.aims import aim
from charging_manager.control.budget import Lines, weigh
from charging_manager.control.explain import circuit_because, explain
from charging_manager.control.instants import compare
from charging_manager.control.memory import Memory, Past
from charging_manager.control.monitor import check
from charging_manager.control.rulebook import Ruled
from charging_manager.control.ruled import rulings
from charging_manager.control.rules import Rules
from charging_manager.control.seen import NEW, Seen, look
from charging_manager.control.share import Claim, level
from charging_manager.control.smooth import TINY, settle
from charging_manager.control.turns import after, choose, pause_left_s, place
from charging_manager.control.wiring import Wiring, wire
from charging_manager.control.workings import Workings
from charging_manager.model.plan import Budget, Plan, Setpoint, SiteImage

__all__ = ["Rules", "decide"]


def decide(image: SiteImage, rules: Rules) -> Plan:
    """The most that each charge point may draw now, and why. Never raises for a site that passed ``check_site``."""
    last = image.last_plan
    memory = last.memory if last is not None and isinstance(last.memory, Memory) else None
    if memory is None:
        memory = Memory(wire(image.site))
    wiring, tree_s = memory.wiring, memory.tree_s
    order = image.outside.dimming
    dimmed, held = order is not None, order.charge_points if order is not None else None
    if wiring.site is not image.site or wiring.dimmed is not dimmed or wiring.held != held:
        wiring = wire(image.site, dimmed=dimmed, held=held)
        tree_s = image.now_s if wiring.circuits != memory.wiring.circuits else tree_s

    instants = compare(memory.instants, image.now_s, image.now_at)
    ruled = rulings(image, memory, rules)
    everyone = _look_at_all(image, wiring, memory, ruled, rules)
    aimed = aim(image, wiring, everyone, memory, instants, rules)
    lines, watches, houses = weigh(image, wiring, everyone, memory, rules)
    if image.now_s - tree_s >= rules.settle_s:  # a limit that a person lowers is no overload
        _stop_the_overloaded(everyone, wiring, lines, rules)
    divide(everyone, wiring, lines, image.now_s, rules)
    _keep_the_silent(everyone, lines, image)
    free = list(lines.rise)
    settle(everyone, lines, image.now_s, rules)

    work = Workings(wiring, everyone, lines, instants, rules, image.now_s)
    setpoints: dict[str, Setpoint] = {}
    pasts: dict[str, Past] = {}
    before = last.setpoints if last is not None else {}
    for seen in everyone:
        because = explain(seen, work)
        known = before.get(seen.id)
        if (
            known is None
            or known.current_a != seen.setpoint_a
            or known.because != because
            or known.phases != seen.phases_told
        ):
            known = Setpoint(seen.id, seen.setpoint_a, because, seen.phases_told)
        setpoints[seen.id] = known
        past = after(seen, image.now_s, rules, wanting=seen.cap_a > 0.0 or seen.unsure)
        if past is not NEW:
            pasts[seen.id] = past
    violations, starving = check(everyone, wiring, lines, free, memory.starving, image.now_s, rules)
    return Plan(
        number=image.number,
        decided_s=image.now_s,
        setpoints=setpoints,
        budgets=_budgets(wiring, lines),
        memory=Memory(
            wiring,
            pasts,
            watches,
            houses,
            lines.overdrafts,
            tree_s,
            starving,
            instants,
            ruled,
            aimed.plans,
            lines.heats,
            lines.volts,
            aimed.sun,
        ),
        storage_locked=aimed.sun.locked,
        surplus_w=aimed.sun.surplus.power_w,
        phase_switches=aimed.sun.switches,
        violations=violations,
        workings=work,
    )


def _look_at_all(image: SiteImage, wiring: Wiring, memory: Memory, ruled: Ruled, rules: Rules) -> list[Seen]:
    last = image.last_plan
    setpoints = last.setpoints if last is not None else {}
    everyone = []
    for outlet in wiring.outlets:
        name = outlet.point.id
        known = setpoints.get(name)
        everyone.append(
            look(
                image,
                outlet,
                wiring.paths[outlet.circuit],
                memory.pasts.get(name, NEW),
                None if known is None else known.current_a,
                rules,
                ruled.by_point.get(name),
                wiring.heavy_of(outlet),
            )
        )
    return everyone


def _stop_the_overloaded(everyone: list[Seen], wiring: Wiring, lines: Lines, rules: Rules) -> None:
    """Where a line carries far more than its limit, the lowest priority below it stops at once."""
    for line, limit in enumerate(lines.limit):
        if limit <= 0.0 or not rules.overload * limit <= lines.flow[line] < float("inf"):
            continue
        below = [seen for seen in everyone if seen.last_a > 0.0 and seen.cap_a > 0.0 and line in seen.lines]
        lowest = min((seen.priority for seen in below), default=0)
        for seen in below:
            if seen.priority == lowest:
                seen.barred = True
                seen.because = circuit_because("overload", wiring, line)


def divide(everyone: list[Seen], wiring: Wiring, lines: Lines, now: float, rules: Rules) -> None:
    """Shares of what the lines can give, higher priorities first. ``lines.room`` keeps what is left."""
    by_priority: dict[int, list[Seen]] = {}
    for seen in everyone:
        if seen.cap_a <= 0.0 or seen.barred:
            continue
        if seen.last_a <= 0.0 and pause_left_s(seen.past, now, rules) > 0.0:
            continue
        by_priority.setdefault(seen.priority, []).append(seen)
    room = lines.room
    for priority in sorted(by_priority, reverse=True):
        queue = sorted(by_priority[priority], key=lambda seen: place(seen, now, rules))
        if wiring.site.first_come:
            queue.sort(key=lambda seen: seen.past.plugged_s or 0.0)
        served = choose(queue, list(room), lines.jitter)
        claims = [Claim(seen.lines, seen.outlet.lowest_a, seen.cap_a, seen.heavy, seen.weight) for seen in served]
        shares, bound = level(room, claims)
        for seen, share, line in zip(served, shares, bound, strict=True):
            seen.share_a, seen.limit_line = share, line
            for each in seen.lines:
                room[each] -= share
                lines.first.setdefault(each, priority)
            for each in seen.heavy:
                room[each] -= share * seen.weight
                lines.first.setdefault(each, priority)
    for line, left in enumerate(room):
        if -TINY < left < 0.0:
            room[line] = 0.0


def _keep_the_silent(everyone: list[Seen], lines: Lines, image: SiteImage) -> None:
    """A silent charge point keeps its setpoint as long as its worst case fits: it shall find it when it is back."""
    for seen in everyone:
        if seen.silent and seen.last_a > 0.0 and seen.because is not None and seen.because.code == "silent":
            override = image.overrides.get(seen.id, seen.last_a)
            if seen.ruling is not None:
                override = min(override, seen.ruling.most_a(seen.bits.bit_count())[0])
            if override >= seen.last_a and all(lines.room[line] >= -TINY for line in (*seen.lines, *seen.heavy)):
                seen.share_a = seen.last_a


def _budgets(wiring: Wiring, lines: Lines) -> dict[str, Budget]:
    budgets = {}
    for index, circuit in enumerate(wiring.circuits):
        at = 3 * index
        one, two, three = (lines.limit[line] - circuit.reserve_a for line in range(at, at + 3))
        used = (lines.flow[at], lines.flow[at + 1], lines.flow[at + 2])
        free = (
            max(0.0, min(one, lines.allowed[at]) - used[0]),
            max(0.0, min(two, lines.allowed[at + 1]) - used[1]),
            max(0.0, min(three, lines.allowed[at + 2]) - used[2]),
        )
        budgets[circuit.id] = Budget(circuit.id, (one, two, three), used, free, any(lines.stale[at : at + 3]))
    return budgets
