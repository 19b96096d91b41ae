"""What would change a setpoint: the same decision once more, on an image in which one thing is different.

Nothing is guessed: each variation is decided by ``decide`` itself. What counts is the share that the charge point would
have once everybody has followed, not the first step on the way there; a pause of its own is taken to be over. Where
nobody can know (a silent meter, a fault) the answer is that: None.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from charging_manager.control.decide import decide
from charging_manager.control.explain import explain, next_to_go, pause_until_s, tightest_line, turn_until_s
from charging_manager.control.memory import Memory
from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen
from charging_manager.control.turns import pause_left_s
from charging_manager.control.wiring import Of, Power, Wiring, floor_step
from charging_manager.control.workings import Workings
from charging_manager.model.mode import Mode
from charging_manager.model.plan import Because, Plan, SiteImage
from charging_manager.model.reading import Status
from charging_manager.model.rule import lower_mode
from charging_manager.model.site import ChargePoint, Circuit

PLENTY_A = 1000.0
MOST = 4
"""So many variations are decided at most."""
NOT_YET = frozenset({"plan-soon"})
"""Reasons of a decision that is still being made: what comes of it is not known."""

WHAT_IF_SENTENCES: Mapping[str, str] = {
    "if-settled": "In a moment, when all have followed.",
    "if-pause-over": "From {until} on, when its pause is over.",
    "if-cooled": "From {until} on, when the circuit {circuit} has cooled.",
    "if-turn-over": "At {until}, when {holder} has had its turn.",
    "if-plugged": "When a car is plugged in.",
    "if-car-asks": "If the car asks for more.",
    "if-mode-solar": "In mode Solar only.",
    "if-mode-min-solar": "In mode Minimum + solar.",
    "if-mode-fast": "In mode Fast.",
    "if-mode-plan": "In mode Plan.",
    "if-no-hand": "Without the hold by hand.",
    "if-no-rule": "Without the rule {rule}.",
    "if-priority": "With a higher priority than all others.",
    "if-circuit": "If the circuit {circuit} could give more.",
    "if-power": "If the circuit {circuit} could give more power.",
    "if-unbalance": "If phases could differ by more.",
    "if-maximum": "With the maximum that the box itself can do, {amps} A.",
    "if-meter-back": "When the meter of the circuit {circuit} answers again.",
    "if-answers": "When the charge point answers again.",
    "if-repaired": "When the fault of the charge point is gone.",
    "if-in-service": "When it is put into service again.",
    "if-undimmed": "When the grid operator no longer dims.",
}

_MODES = {mode: f"if-mode-{mode.value}" for mode in Mode}


@frozen
class Variation:
    """One thing that could be different. ``image`` None: what would come of it is not known."""

    because: Because
    image: SiteImage | None = None
    admin: bool = False
    """It changes the site: a hint for those alone who may."""


@frozen
class Outcome:
    """What the charge point would get then, and what would bound it."""

    because: Because
    setpoint_a: float | None = None
    then: Because | None = None


def variations(image: SiteImage, plan: Plan, charge_point: str, modes: Sequence[Mode]) -> Iterator[Variation]:
    """What could be different for this charge point, the likeliest first; of modes, those that may take more."""
    work = plan.workings
    seen = work.seen(charge_point) if isinstance(work, Workings) else None
    if seen is None or not isinstance(work, Workings) or not isinstance(plan.memory, Memory):
        return
    base = _rested(image, plan, plan.memory, charge_point)
    code = plan.setpoints[charge_point].because.code
    yield from _of_its_state(base, seen, code)
    yield from _of_time(base, plan.memory, seen, work, code)
    yield from _of_hands(base, seen)
    if seen.past.wants_a is not None:
        yield Variation(Because("if-car-asks"), _past(base, charge_point, wants_a=None, less_s=None))
    yield from _of_the_site(base, seen, work)
    point = seen.outlet.point
    for mode in modes:
        if lower_mode(point.mode, mode) is not mode:
            yield Variation(Because(_MODES[mode]), _point(base, evolve(point, mode=mode)))


def try_out(variation: Variation, charge_point: str, rules: Rules) -> Outcome:
    """Decide it: what the charge point would have once all have followed."""
    if variation.image is None:
        return Outcome(variation.because)
    plan = decide(variation.image, rules)
    work = plan.workings
    seen = work.seen(charge_point) if isinstance(work, Workings) else None
    if seen is None or not isinstance(work, Workings):
        return Outcome(variation.because)
    amps = floor_step(seen.share_a, seen.outlet.point.step_a)
    seen.setpoint_a = amps if amps >= seen.outlet.lowest_a else 0.0
    if seen.because is not None and seen.because.code in ("rising", "others-first"):
        seen.because = None
    then = explain(seen, work)
    if then.code in NOT_YET:
        return Outcome(variation.because, None, then)
    return Outcome(variation.because, seen.setpoint_a, then)


def _rested(image: SiteImage, plan: Plan, memory: Memory, name: str) -> SiteImage:
    """The image that comes next, were nothing different: this plan is the last one, and its own pause is over."""
    return _past(evolve(image, last_plan=evolve(plan, memory=memory, workings=None)), name, paused_s=None)


def _past(image: SiteImage, name: str, **changes: Any) -> SiteImage:
    last = image.last_plan
    if last is None or not isinstance(last.memory, Memory) or name not in last.memory.pasts:
        return image
    pasts = {**last.memory.pasts, name: evolve(last.memory.pasts[name], **changes)}
    return evolve(image, last_plan=evolve(last, memory=evolve(last.memory, pasts=pasts)))


def _point(image: SiteImage, point: ChargePoint) -> SiteImage:
    return evolve(image, site=evolve(image.site, charge_points={**image.site.charge_points, point.id: point}))


def _of_its_state(base: SiteImage, seen: Seen, code: str) -> Iterator[Variation]:
    if code == "out-of-service":
        yield Variation(Because("if-in-service"), admin=True)
    elif code in ("silent", "status-unknown"):
        yield Variation(Because("if-answers"))
    elif code == "fault":
        yield Variation(Because("if-repaired"))
    elif seen.status is Status.FREE and seen.readings:
        newest = evolve(seen.readings[-1], status=Status.PLUGGED)
        readings = {**base.readings, seen.id: (*seen.readings[:-1], newest)}
        yield Variation(Because("if-plugged"), evolve(base, readings=readings))


def _of_time(base: SiteImage, memory: Memory, seen: Seen, work: Workings, code: str) -> Iterator[Variation]:
    """What comes by itself."""
    if code in ("rising", "others-first"):
        yield Variation(Because("if-settled"), base)
    if code == "pause" and pause_left_s(seen.past, work.now_s, work.rules) > 0.0:
        until = work.instants.at(pause_until_s(seen, work.rules))
        yield Variation(Because("if-pause-over", {"until": until}), base)
    line = _line(seen, work)
    if line is None or line >= 3 * len(work.wiring.circuits):
        return
    circuit = work.wiring.circuits[line // 3]
    if work.lines.stale[line]:
        yield Variation(Because("if-meter-back", {"circuit": circuit.name or circuit.id}))
    over = work.lines.overdrafts.get((circuit.id, line % 3))
    if over is not None and over.current_a > 0.0:
        kept = {key: value for key, value in memory.overdrafts.items() if key != (circuit.id, line % 3)}
        last = base.last_plan
        if last is not None and isinstance(last.memory, Memory):
            cooled = evolve(base, last_plan=evolve(last, memory=evolve(last.memory, overdrafts=kept)))
            fields = {"circuit": circuit.name or circuit.id, "until": work.instants.at(over.until_s)}
            yield Variation(Because("if-cooled", fields), cooled)
    if seen.share_a <= 0.0:
        holder = next_to_go(work.riders(line), seen.priority, work)
        if holder is not None:
            ends_s = turn_until_s(holder, work.rules)
            over_now = _past(base, holder.id, turn_s=work.now_s - work.rules.turn_s)
            yield Variation(Because("if-turn-over", {"holder": holder.id, "until": work.instants.at(ends_s)}), over_now)


def _of_hands(base: SiteImage, seen: Seen) -> Iterator[Variation]:
    """What people laid on top."""
    if seen.id in base.overrides:
        without = {key: value for key, value in base.overrides.items() if key != seen.id}
        yield Variation(Because("if-no-hand"), evolve(base, overrides=without))
    if seen.ruling is not None and seen.because is not None and "rule" in seen.because.fields:
        name = str(seen.because.fields["rule"])
    elif seen.capped is not None and "rule" in seen.capped.fields:
        name = str(seen.capped.fields["rule"])
    else:
        return
    rest = tuple(rule for rule in base.site.rules if rule.name != name)
    yield Variation(Because("if-no-rule", {"rule": name}), evolve(base, site=evolve(base.site, rules=rest)), admin=True)


def _of_the_site(base: SiteImage, seen: Seen, work: Workings) -> Iterator[Variation]:
    """What an admin could change."""
    point = seen.outlet.point
    line = _line(seen, work)
    if line is not None:
        lines, wiring = work.lines, work.wiring
        if line >= wiring.first_power:
            yield from _of_power(base, wiring.powers[line - wiring.first_power], wiring)
        elif line >= wiring.first_feeder:
            circuit = wiring.circuits[wiring.feeders[(line - wiring.first_feeder) // 3]]
            yield _more(base, circuit, charging=True)
        elif line >= wiring.unbalance_line:
            if wiring.site.unbalance_a is not None:
                wider = evolve(base, site=evolve(base.site, unbalance_a=PLENTY_A))
                yield Variation(Because("if-unbalance"), wider, admin=True)
        elif not lines.stale[line]:
            yield _more(base, wiring.circuits[line // 3], charging=False)
        highest = max(each.priority for each in base.site.charge_points.values())
        first = _point(base, evolve(point, priority=highest + 1))
        yield Variation(Because("if-priority"), first, admin=True)
    if point.max_a < seen.hardware_a and seen.cap_a >= seen.outlet.highest_a:
        fields_a = {"amps": seen.hardware_a}
        yield Variation(Because("if-maximum", fields_a), _point(base, evolve(point, max_a=seen.hardware_a)), admin=True)


def _more(base: SiteImage, circuit: Circuit, *, charging: bool) -> Variation:
    """A circuit gives plenty, for everything or for charging; on all phases, since few cars use one alone."""
    plenty = (PLENTY_A, PLENTY_A, PLENTY_A)
    more = evolve(circuit, charging_limit_a=plenty) if charging else evolve(circuit, limit_a=plenty)
    fields = {"circuit": circuit.name or circuit.id}
    return Variation(Because("if-circuit", fields), _circuit(base, more), admin=True)


def _of_power(base: SiteImage, power: Power, wiring: Wiring) -> Iterator[Variation]:
    if power.of is Of.ORDER:
        yield Variation(Because("if-undimmed"), evolve(base, outside=evolve(base.outside, dimming=None)))
        return
    circuit = wiring.circuits[power.circuit]
    more = evolve(circuit, limit_w=None) if power.of is Of.ALL else evolve(circuit, charging_limit_w=None)
    yield Variation(Because("if-power", {"circuit": circuit.name or circuit.id}), _circuit(base, more), admin=True)


def _circuit(base: SiteImage, circuit: Circuit) -> SiteImage:
    return evolve(base, site=evolve(base.site, circuits={**base.site.circuits, circuit.id: circuit}))


def _line(seen: Seen, work: Workings) -> int | None:
    """The line that bounds it, where one does."""
    if seen.cap_a <= 0.0:
        return None
    if seen.share_a > 0.0:
        return None if seen.limit_line < 0 else seen.limit_line
    return tightest_line(seen, work)
