"""The record of a decision for one charge point: limit, demand, share, rule, setpoint, each with what counted in it.

Made from the workings that stay beside a plan until the next one, on demand or when something has changed: deciding
itself pays nothing for it. The link that set the number is the one to which the setpoint's own reason belongs.
"""

from __future__ import annotations

from collections.abc import Mapping

from charging_manager.control.because import PHASE_NAMES
from charging_manager.control.explain import line_because, next_to_go, pause_until_s, tightest_line, turn_until_s
from charging_manager.control.seen import Seen
from charging_manager.control.turns import pause_left_s
from charging_manager.control.wiring import Of, floor_step
from charging_manager.control.workings import Workings
from charging_manager.model.mode import Mode
from charging_manager.model.plan import Because, Decision, Link, Note, Plan, SiteImage, Step
from charging_manager.model.reading import Status
from charging_manager.model.site import Circuit
from charging_manager.model.units import NO_AMPS

MOST_SHARERS = 6

CHAIN_SENTENCES: Mapping[str, str] = {
    "box-maximum": "The charge point is set to {amps} A at most.",
    "box-hardware": "The charge point itself can do {amps} A.",
    "box-power": "It may draw {watts} W in all.",
    "box-phases": "It is connected to {phases}.",
    "box-minimum": "It charges with {amps} A or more, or not at all.",
    "asks-off": "Mode Off: nothing is asked for.",
    "asks-solar": "Mode Solar only: what the sun leaves.",
    "asks-min-solar": "Mode Minimum + solar: the minimum always, more when the sun gives it.",
    "asks-fast": "Mode Fast: as much as there is.",
    "asks-plan": "Mode Plan: ready by the time that was set.",
    "car-loads": "The car loads {phases} alone, as its meter has shown.",
    "car-took": "The car took less than it was offered; it is offered {amps} A.",
    "car-asks": "The car may take what it is given.",
    "line-limit": "{circuit}, {phase}: {amps} A.",
    "line-reserve": "{amps} A of it are kept in reserve.",
    "line-house": "{amps} A of it are house load.",
    "line-held-back": "{amps} A of it are held back until {until}, so that the fuse cools.",
    "line-borne": "For a while, its breaker bears {amps} A more.",
    "line-feeder": "{circuit}, {phase}: {amps} A for charging alone.",
    "line-power": "{circuit}: {watts} W.",
    "line-others": "{amps} A of it are kept for charge points that do not answer or draw more than they were told.",
    "line-shared": "{amps} A of it go to charging (cars: {cars}).",
    "line-left": "{amps} A of it are left.",
    "sharer": "{amps} A of it: {holder}.",
    "sharer-turn": "{amps} A of it: {holder}, whose turn lasts until {until}.",
    "sharers-more": "Further cars on it: {count}.",
    "own-turn": "It has the turn itself until {until}; others wait.",
    "own-priority": "Its priority is {priority}.",
    "no-line": "No circuit bounds it: {amps} A.",
    "takes-no-part": "It takes no part in sharing now.",
    "nothing-holds": "Neither a rule nor a hand holds it lower.",
    "by-hand": "By hand: {amps} A at most until the car is unplugged.",
    "dimmed-site": "The grid operator dims: charging draws {watts} W at most from the grid.",
    "rounded": "{amps} A are rounded down to a step of {step} A.",
    "kept": "It stays as it is: its share moves by less than what is worth a change.",
    "phases-told": "Phases used: {count}.",
    "sent": "{amps} A are sent.",
    "sent-pause": "0 A are sent: paused.",
}
"""What facts in a chain say, beside the reasons of setpoints (``because.SENTENCES``); for fields the same holds."""

_ASKS = {mode: f"asks-{mode.value}" for mode in Mode}

BINDS: Mapping[str, Step] = {
    "maximum": Step.LIMIT,
    "hardware-maximum": Step.LIMIT,
    "own-power": Step.LIMIT,
    "own-power-too-low": Step.LIMIT,
    "circuit-too-low": Step.LIMIT,
    "out-of-service": Step.LIMIT,
    "silent": Step.LIMIT,
    "fault": Step.LIMIT,
    "status-unknown": Step.LIMIT,
    "car-takes-less": Step.DEMAND,
    "no-car": Step.DEMAND,
    "mode-off": Step.DEMAND,
    "circuit-limit": Step.SHARE,
    "feeder-limit": Step.SHARE,
    "power-limit": Step.SHARE,
    "charging-power": Step.SHARE,
    "priority-power": Step.SHARE,
    "waiting-power": Step.SHARE,
    "first-come": Step.SHARE,
    "priority": Step.SHARE,
    "overdraft": Step.SHARE,
    "overload": Step.SHARE,
    "unbalance": Step.SHARE,
    "meter-silent": Step.SHARE,
    "waiting-turn": Step.SHARE,
    "no-room": Step.SHARE,
    "dimmed": Step.RULE,
    "override": Step.RULE,
    "rule-limit": Step.RULE,
    "rule-off": Step.RULE,
    "rule-pause": Step.RULE,
    "rule-too-low": Step.RULE,
    "phases-switching": Step.SETPOINT,
    "pause": Step.SETPOINT,
    "others-first": Step.SETPOINT,
    "rising": Step.SETPOINT,
}
"""By code of a reason: the link that it belongs to. What modes aim at is demand, and need not stand here."""


def binds(code: str) -> Step:
    """The link that a reason belongs to."""
    return BINDS.get(code, Step.DEMAND)


def chain(image: SiteImage, plan: Plan, charge_point: str) -> Decision | None:
    """The record of this plan, which was decided on this image. None: no such charge point, or nothing is known."""
    work, setpoint = plan.workings, plan.setpoints.get(charge_point)
    if not isinstance(work, Workings) or setpoint is None:
        return None
    seen = work.seen(charge_point)
    if seen is None:
        return None
    step = binds(setpoint.because.code)
    made = (
        _limit(seen),
        _demand(seen),
        _share(seen, work),
        _rule(seen, image),
        _setpoint(seen, work),
    )
    links = tuple(_with_reason(link, setpoint.because) if link.step is step else link for link in made)
    return Decision(charge_point, plan.number, setpoint.current_a, setpoint.phases, setpoint.because, links)


def _with_reason(link: Link, because: Because) -> Link:
    """The link that set the number says so first."""
    rest = tuple(fact for fact in link.facts if fact.because != because)
    return Link(link.step, link.allows_a, (Note(because, link.allows_a), *rest), binds=True)


def _fact(code: str, allows_a: float | None = None, **fields: str | float | int) -> Note:
    return Note(Because(code, fields), allows_a)


def phase_names(bits: int) -> str:
    """L1, L2, L3 as far as they are meant."""
    return ", ".join(PHASE_NAMES[phase] for phase in range(3) if bits >> phase & 1)


def _limit(seen: Seen) -> Link:
    point, hardware_a = seen.outlet.point, seen.hardware_a
    most = 0.0 if point.out_of_service else min(seen.outlet.highest_a, floor_step(hardware_a, point.step_a))
    facts = [_fact("box-maximum", seen.outlet.highest_a, amps=point.max_a)]
    if hardware_a < seen.outlet.highest_a:
        facts.insert(0, _fact("box-hardware", floor_step(hardware_a, point.step_a), amps=hardware_a))
    if point.max_w is not None:
        facts.append(_fact("box-power", watts=round(point.max_w)))
        if seen.capped is not None and seen.capped.code == "own-power":
            most = min(most, float(seen.capped.fields["amps"]))
        elif seen.because is not None and seen.because.code == "own-power-too-low":
            most = 0.0
    facts.append(_fact("box-minimum", amps=seen.outlet.lowest_a))
    facts.append(_fact("box-phases", phases=phase_names(seen.outlet.bits)))
    return Link(Step.LIMIT, most, tuple(facts))


def _demand(seen: Seen) -> Link:
    facts = [_fact(_ASKS[seen.mode])]
    asks_a: float | None = None
    wants = seen.past.wants_a
    if seen.because is not None and binds(seen.because.code) is Step.DEMAND:
        asks_a = 0.0
        facts.insert(0, Note(seen.because, 0.0))
    elif seen.status is Status.FREE:
        asks_a = 0.0
        facts.insert(0, _fact("no-car", 0.0))
    elif seen.mode is Mode.OFF:
        asks_a = 0.0
    else:
        if seen.aimed is not None:
            facts.append(Note(seen.aimed))
        if seen.capped is not None and binds(seen.capped.code) is Step.DEMAND:
            asks_a = seen.cap_a
            facts.insert(0, Note(seen.capped, seen.cap_a))
        if wants is not None:
            asks_a = wants if asks_a is None else min(asks_a, wants)
            facts.append(_fact("car-took", wants, amps=wants))
        else:
            facts.append(_fact("car-asks"))
    if seen.past.phases and seen.bits != seen.outlet.bits:
        facts.append(_fact("car-loads", phases=phase_names(seen.bits)))
    return Link(Step.DEMAND, asks_a, tuple(facts))


def _share(seen: Seen, work: Workings) -> Link:
    if seen.cap_a <= 0.0:
        return Link(Step.SHARE, None, (_fact("takes-no-part"),))
    resting = seen.last_a <= 0.0 and pause_left_s(seen.past, work.now_s, work.rules) > 0.0
    if seen.share_a > 0.0 and seen.limit_line < 0:
        return Link(Step.SHARE, seen.share_a, (_fact("no-line", amps=_two(seen.share_a)),))
    waiting = seen.share_a <= 0.0
    line = tightest_line(seen, work) if waiting else seen.limit_line
    facts = [Note(line_because(line, seen, work, waiting=waiting), None if resting else seen.share_a)]
    facts += _line(line, work)
    facts += _sharers(line, seen, work)
    facts.append(_fact("own-priority", priority=seen.priority))
    return Link(Step.SHARE, None if resting else seen.share_a, tuple(facts))


def _line(line: int, work: Workings) -> list[Note]:
    """Where the amperes of a circuit's phase go."""
    lines, wiring = work.lines, work.wiring
    if line >= wiring.first_power:
        power = wiring.powers[line - wiring.first_power]
        watts = lines.order_w if power.of is Of.ORDER else power.watts
        return [_fact("line-power", circuit=_name(wiring.circuits[power.circuit]), watts=round(watts))]
    riders = work.riders(line)
    charging_a = sum(seen.share_a for seen in riders)
    shared = _fact("line-shared", amps=_two(charging_a), cars=len(riders))
    if line >= wiring.first_feeder:
        feeder = wiring.circuits[wiring.feeders[(line - wiring.first_feeder) // 3]]
        amps = (feeder.charging_limit_a or NO_AMPS)[line % 3]
        return [_fact("line-feeder", circuit=_name(feeder), phase=PHASE_NAMES[line % 3], amps=_two(amps)), shared]
    if line >= wiring.unbalance_line:
        return [shared]
    circuit = wiring.circuits[line // 3]
    facts = [_fact("line-limit", circuit=_name(circuit), phase=PHASE_NAMES[line % 3], amps=_two(lines.limit[line]))]
    if circuit.reserve_a > 0.0:
        facts.append(_fact("line-reserve", amps=_two(circuit.reserve_a)))
    over = lines.overdrafts.get((circuit.id, line % 3))
    if over is not None and over.current_a > 0.0:
        facts.append(_fact("line-held-back", amps=_two(over.current_a), until=work.instants.at(over.until_s)))
    if not lines.stale[line] and lines.house[line] > 0.0:
        facts.append(_fact("line-house", amps=_two(lines.house[line])))
    borne = lines.allowed[line] - lines.firm[line]
    if borne > 0.05:
        facts.append(_fact("line-borne", amps=_two(borne)))
    left = lines.room[line]
    kept = lines.allowed[line] - lines.house[line] - charging_a - left
    if kept > 0.05:
        facts.append(_fact("line-others", amps=_two(kept)))
    facts.append(shared)
    if left > 0.05:
        facts.append(_fact("line-left", amps=_two(left)))
    return facts


def _sharers(line: int, seen: Seen, work: Workings) -> list[Note]:
    """Who else has a part of the line, the next to give it up first; and whether this one has the turn itself."""
    riders = work.riders(line)
    priority = seen.priority
    next_one = next_to_go([each for each in riders if each is not seen], priority, work)
    others = sorted(
        (each for each in riders if each is not seen), key=lambda each: (each is not next_one, -each.share_a)
    )
    waits = any(
        each.cap_a > 0.0 and each.share_a <= 0.0 and (line in each.lines or line in each.heavy)
        for each in work.everyone
    )
    facts = []
    if waits and seen.share_a > 0.0 and turn_until_s(seen, work.rules) > work.now_s:
        facts.append(_fact("own-turn", until=work.instants.at(turn_until_s(seen, work.rules))))
    for each in others[:MOST_SHARERS]:
        amps, ends_s = _two(each.share_a), turn_until_s(each, work.rules)
        if waits and ends_s > work.now_s:
            facts.append(_fact("sharer-turn", holder=each.id, amps=amps, until=work.instants.at(ends_s)))
        else:
            facts.append(_fact("sharer", holder=each.id, amps=amps))
    if len(others) > MOST_SHARERS:
        facts.append(_fact("sharers-more", count=len(others) - MOST_SHARERS))
    return facts


def _rule(seen: Seen, image: SiteImage) -> Link:
    facts, most = [], float("inf")
    if seen.ruling is not None:
        limit_a, rule = seen.ruling.most_a(seen.bits.bit_count())
        if seen.ruling.pause_by:
            facts.append(_fact("rule-pause", 0.0, rule=rule))
        elif limit_a < float("inf"):
            facts.append(_fact("rule-limit", limit_a, rule=rule, amps=_two(limit_a)))
        most = min(most, limit_a)
        if seen.mode is Mode.OFF and seen.outlet.point.mode is not Mode.OFF:
            facts.append(_fact("rule-off", 0.0, rule=seen.ruling.mode_by))
            most = 0.0
    held_a = image.overrides.get(seen.id)
    if held_a is not None:
        facts.append(_fact("by-hand", held_a, amps=_two(held_a)))
        most = min(most, held_a)
    if image.outside.dimming is not None:
        facts.append(_fact("dimmed-site", watts=round(image.outside.dimming.limit_w)))
    if not facts:
        facts.append(_fact("nothing-holds"))
    return Link(Step.RULE, most if most < float("inf") else None, tuple(facts))


def _setpoint(seen: Seen, work: Workings) -> Link:
    amps, facts = seen.setpoint_a, []
    target = floor_step(seen.share_a, seen.outlet.point.step_a)
    if seen.share_a > 0.0 and seen.share_a - target > 0.005:
        facts.append(_fact("rounded", target, amps=_two(seen.share_a), step=seen.outlet.point.step_a))
    if seen.last_a <= 0.0 and seen.cap_a > 0.0 and pause_left_s(seen.past, work.now_s, work.rules) > 0.0:
        facts.append(_fact("pause", 0.0, until=work.instants.at(pause_until_s(seen, work.rules))))
    if 0.0 < amps == seen.last_a < target and seen.because is None:
        facts.append(_fact("kept", amps))
    if seen.phases_told is not None:
        facts.append(_fact("phases-told", count=seen.phases_told))
    facts.append(_fact("sent", amps, amps=_two(amps)) if amps > 0.0 else _fact("sent-pause", 0.0))
    return Link(Step.SETPOINT, amps, tuple(facts))


def _name(circuit: Circuit) -> str:
    return circuit.name or circuit.id


def _two(amps: float) -> float:
    """What people read; a whole number stays one in every language."""
    return round(amps, 2) + 0.0
