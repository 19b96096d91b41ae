"""What must hold in a simulated site, worked out independently of control, from what SAFETY.md says."""

from __future__ import annotations

import math
from collections.abc import Iterator

from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Status
from tests.control.world import STEP_S, World

TOLERANCE_A = 0.41
"""House load counts in tenths of an ampere, and up to 0.3 A are put down to the boxes' own measuring."""
TINY_A = 0.02
"""Where nothing is measured: only setpoints are added up."""
GRACE_S = 15.0
"""Worst time from a step of the house load to the car's reaction: readings, decision, 5 s between writes, ramp."""


class Broken(AssertionError):
    """A promise was broken."""


def no_violations(world: World, image: SiteImage, plan: Plan) -> None:
    """The monitor in control itself has nothing to say."""
    if plan.violations:
        raise Broken(f"{world.now_s}: {plan.violations}")


def steps_hold(world: World, image: SiteImage, plan: Plan) -> None:
    """I4: 0, or at least the minimum, at most the maximum, on a step."""
    for name, setpoint in plan.setpoints.items():
        point, amps = world.site.charge_points[name], setpoint.current_a
        steps = amps / point.step_a
        if amps and not (point.min_a - 1e-6 <= amps <= point.max_a + 1e-6 and abs(steps - round(steps)) < 1e-6):
            raise Broken(f"{world.now_s}: {name} got {amps}")
        readings = image.readings.get(name, ())
        if amps and image.obedience[name].answering and readings and readings[-1].status is Status.FREE:
            raise Broken(f"{world.now_s}: {name} got {amps} without a car")


def worst_case_a(world: World, image: SiteImage, name: str, setpoint_a: float) -> tuple[float, float, float]:
    """What SAFETY.md (I1) counts for a charge point, on the site's phases."""
    box = world.boxes[name]
    told = box.hardware_max_a if box.confirmed_a is None else box.confirmed_a
    told = max(told, box.commanded_a or 0.0)
    if box.silent_since_s is not None:
        gone_s = world.now_s - (box.answered_s or 0.0)
        if gone_s > 10.0 and box.fallback_a is None:
            told = box.hardware_max_a
        elif gone_s > max(10.0, box.fallback_after_s or 0.0) and box.fallback_a is not None:
            told = max(told, box.fallback_a)
    told = max(told, setpoint_a)
    flows = box.flows()
    used = used_phases(world, image, name)
    amps = [max(told if phase in used else 0.0, flows[phase]) for phase in range(3)]
    return amps[0], amps[1], amps[2]


def used_phases(world: World, image: SiteImage, name: str) -> set[int]:
    """The site's phases that count: a car that charges is counted on those it loads, any other on all."""
    readings = image.readings.get(name, ())
    if readings and readings[-1].status is Status.CHARGING:
        loaded = {phase for phase, amps in enumerate(readings[-1].current_a) if amps is not None and amps >= 1.0}
        if any((readings[-1].current_a[phase] or 0.0) >= 3.0 for phase in loaded):
            return loaded
    return set(world.boxes[name].point.phases)


def raises_fit_the_worst_case(world: World, image: SiteImage, plan: Plan) -> None:
    """I1 with the true house load: where a setpoint was raised, everybody's worst case fits."""
    before = image.last_plan.setpoints if image.last_plan is not None else {}
    raised = {
        name
        for name, setpoint in plan.setpoints.items()
        if setpoint.current_a > (before[name].current_a if name in before else 0.0)
    }
    if not raised:
        return
    worst = {
        name: worst_case_a(world, image, name, setpoint.current_a)
        for name, setpoint in plan.setpoints.items()
        if not world.site.charge_points[name].out_of_service
    }
    for circuit in world.site.circuits.values():
        below = _below(world, circuit.id)
        if (
            not raised & set(below)
            or world.now_s - world.last_change_s(circuit.id) < 3.0
            or world.is_unseen(circuit.id)
        ):
            continue
        house = world.flow(circuit.id, house_only=True)
        for phase in range(3):
            if not any(phase in used_phases(world, image, name) for name in raised & set(below)):
                continue
            total = house[phase] + sum(worst[name][phase] for name in below if name in worst)
            if total > circuit.limit_a[phase] - circuit.reserve_a + TOLERANCE_A:
                raise Broken(f"{world.now_s}: {circuit.id} L{phase + 1} {total} of {circuit.limit_a}, raised {raised}")
    for circuit_id, limit_a in _feeders(world):
        below = [name for name in _below(world, circuit_id) if name in worst]
        for phase in range(3):
            total = sum(worst[name][phase] for name in below)
            if any(phase in used_phases(world, image, name) for name in raised & set(below)) and (
                total > limit_a[phase] + TINY_A
            ):
                raise Broken(f"{world.now_s}: charging on {circuit_id} L{phase + 1} {total} of {limit_a}")
    for circuit_id, watts, with_house, name in _powers(world):
        below = [point for point in _meant(world, circuit_id, name) if point in worst]
        if not raised & set(below):
            continue
        amps = sum(sum(worst[point]) for point in below)
        tolerance = TINY_A
        if with_house:
            if world.now_s - world.last_change_s(circuit_id) < 3.0 or world.is_unseen(circuit_id):
                continue
            amps += sum(max(0.0, one) for one in world.flow(circuit_id, house_only=True))
            tolerance = 3 * TOLERANCE_A
        if amps * _known_volts(world, circuit_id) > watts + tolerance * 230.0:
            raise Broken(f"{world.now_s}: {name} of {circuit_id}: {amps} A, {watts} W, raised {raised}")


def nothing_overflows(world: World) -> None:
    """What truly flows stays within the limit, once house load has been still and no box has just come back.

    A breaker bears more than the limit for as long as it is not hot by our own reckoning.
    """
    _warm(world)
    if world.now_s - world.start_s < GRACE_S or world.plan is None:
        return
    for circuit in world.site.circuits.values():
        last_s = max(world.last_change_s(circuit.id), world.woken_s[circuit.id])
        if world.now_s - last_s < GRACE_S or world.is_unseen(circuit.id):
            continue
        flow = world.flow(circuit.id)
        ours = [
            name
            for name in _below(world, circuit.id)
            if world.boxes[name].silent_since_s is None and world.boxes[name].current_a > 0.2
        ]
        for phase in range(3):
            limit = circuit.limit_a[phase]
            if (circuit.id, phase) in world.heats:
                hot_s = world.hot_since_s.get((circuit.id, phase), math.inf)
                limit *= 1.0 if world.now_s - hot_s >= GRACE_S else 1.13
            over = flow[phase] - (limit - circuit.reserve_a)
            if over > TOLERANCE_A and any(world.boxes[name].flows()[phase] > 0.2 for name in ours):
                raise Broken(f"{world.now_s}: {circuit.id} L{phase + 1} carries {flow}, limit {circuit.limit_a}")
    _further_limits(world)


def _warm(world: World) -> None:
    """Breakers, by small steps of the differential equation in ``control.breaker``, from what truly flows."""
    flows = {name: world.flow(name) for name in {name for name, _ in world.heats}}
    for (name, phase), heat in world.heats.items():
        breaker = world.site.circuits[name].breaker
        assert breaker is not None
        x = max(0.0, flows[name][phase]) / breaker.rated_a
        conventional_s = world.rules.bear_s * (2.0 if breaker.rated_a > 63.0 else 1.0)
        warmer = heat + (x * x - heat) * STEP_S * math.log(1.2769 / 0.2769) / conventional_s
        world.heats[name, phase] = warmer
        if warmer < 1.0:
            world.hot_since_s.pop((name, phase), None)
        else:
            world.hot_since_s.setdefault((name, phase), world.now_s)


def _further_limits(world: World) -> None:
    """What charging alone may draw, and limits in watts, hold for what truly flows."""
    for circuit_id, limit_a in _feeders(world):
        if world.now_s - world.woken_s[circuit_id] < GRACE_S:
            continue
        flows = {name: world.boxes[name].flows() for name in _below(world, circuit_id)}
        for phase in range(3):
            total = sum(amps[phase] for amps in flows.values())
            if total > limit_a[phase] + TINY_A and any(
                amps[phase] > 0.2 and world.boxes[name].silent_since_s is None for name, amps in flows.items()
            ):
                raise Broken(f"{world.now_s}: charging on {circuit_id} L{phase + 1} draws {total} of {limit_a}")
    for circuit_id, watts, with_house, name in _powers(world):
        last_s = world.woken_s[circuit_id]
        last_s = max(last_s, world.last_change_s(circuit_id)) if with_house else max(last_s, world.ordered_s)
        if world.now_s - last_s < GRACE_S or (with_house and world.is_unseen(circuit_id)):
            continue
        flows = {point: world.boxes[point].flows() for point in _meant(world, circuit_id, name)}
        ours = any(sum(amps) > 0.2 and world.boxes[point].silent_since_s is None for point, amps in flows.items())
        amps = sum(sum(three) for three in flows.values())
        if with_house:
            amps = sum(max(0.0, one) for one in world.flow(circuit_id))
        tolerance = 3 * TOLERANCE_A if with_house else TINY_A
        if ours and amps * _known_volts(world, circuit_id) > watts + tolerance * 230.0:
            raise Broken(f"{world.now_s}: {name} of {circuit_id}: {amps} A flow, {watts} W")


def _feeders(world: World) -> Iterator[tuple[str, tuple[float, float, float]]]:
    for circuit in world.site.circuits.values():
        if circuit.charging_limit_a is not None:
            yield circuit.id, circuit.charging_limit_a


def _powers(world: World) -> Iterator[tuple[str, float, bool, str]]:
    """Circuit, watts, whether house load counts, and a name."""
    for circuit in world.site.circuits.values():
        if circuit.limit_w is not None:
            yield circuit.id, circuit.limit_w, True, "limit_w"
        if circuit.charging_limit_w is not None:
            yield circuit.id, circuit.charging_limit_w, False, "charging_limit_w"
        if circuit.parent is None and world.dimming is not None:
            watts = world.dimming.limit_w  # one that is no number is for nothing
            yield circuit.id, watts if watts > 0.0 else 0.0, False, "the order"


def _meant(world: World, circuit: str, name: str) -> list[str]:
    """The charge points that a power limit is for: an order may name some."""
    names = world.dimming.charge_points if name == "the order" and world.dimming is not None else None
    return [point for point in _below(world, circuit) if names is None or point in names]


def _known_volts(world: World, circuit: str) -> float:
    """The voltage, where anybody at or below the circuit measures it."""
    boxes = [world.boxes[name] for name in world.below[circuit]]
    seen = any(box.shows_volts for box in boxes) or any(
        meter.circuit == circuit and meter.id not in world.meter_silent_s for meter in world.site.meters.values()
    )
    return max(world.volts, 230.0) if seen else 230.0


def fallback_holds(world: World) -> None:
    """Ten seconds after a meter fell silent, and the time to obey, charging below is within the fallback."""
    for circuit in world.site.circuits.values():
        silent_s = world.meter_silent_s.get(circuit.meter or "")
        if silent_s is None or world.now_s - max(silent_s, world.woken_s[circuit.id]) < 10.0 + 10.0:
            continue
        charging = [0.0, 0.0, 0.0]
        ours = [0.0, 0.0, 0.0]
        for name in _below(world, circuit.id):
            box = world.boxes[name]
            for phase, amps in enumerate(box.flows()):
                charging[phase] += amps
                ours[phase] += amps if box.silent_since_s is None else 0.0
        for phase in range(3):
            if ours[phase] > 0.2 and charging[phase] > circuit.fallback_a + TOLERANCE_A:
                raise Broken(f"{world.now_s}: {circuit.id} has a silent meter and draws {charging}")


def _below(world: World, circuit: str) -> list[str]:
    return world.below[circuit]
