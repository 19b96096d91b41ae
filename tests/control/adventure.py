"""Random adventures of a simulated site: cars come and go, house load jumps, meters and boxes fall silent."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime

from attrs import evolve

from charging_manager.control.decide import Rules
from charging_manager.model.site import Mode, Site, SolarSettings
from charging_manager.model.wish import Wish
from tests.control import judges
from tests.control.world import Car, World


def set_out(site: Site, seed: int, *, sunny: bool = False) -> World:
    """A world with all judges in it and boxes of every kind. ``sunny``: some follow the sun, and switch phases."""
    chance = random.Random(seed)
    site = evolve(site, solar=SolarSettings(start_after_s=5.0, grace_s=20.0, three_after_s=10.0, grid_pct=50.0))
    world = World(
        site,
        Rules(
            pause_s=20.0, turn_s=40.0, try_s=15.0, overdraft_s=60.0, bear_s=60.0, phases_every_s=20.0, one_after_s=10.0
        ),
    )
    world.chance, world.sunny = chance, sunny
    world.volts = chance.choice([230.0, 227.0, 236.5, 243.0])
    world.start_at = datetime(2026, 3, chance.randint(1, 28), chance.randint(0, 23), 58, tzinfo=UTC)
    for box in world.boxes.values():
        box.confirm_s = chance.choice([0.25, 0.5, 1.0, 2.0])
        box.gap_s = chance.choice([0.0, 0.0, 2.0, 5.0])
        box.poll_s = chance.choice([1.0, 1.0, 1.0, 2.0, 3.0])
        box.offset_s = chance.choice([0.0, 0.25, 0.5, 0.75])
        box.hardware_max_a = max(box.point.max_a, chance.choice([16.0, 32.0]))
        if chance.random() < 0.3:
            box.fallback_a = box.fallback_after_s = None
            box.goes_wild_s = chance.choice([None, 20.0, 40.0])
        else:
            box.fallback_a = chance.choice([0.0, 6.0, 10.0])
            box.fallback_after_s = chance.choice([20.0, 30.0])
        box.lag_s = chance.choice([0.0, 0.0, 0.0, 0.5, 1.0])
        box.resolution_a = chance.choice([0.0, 0.0, 0.1])
        box.measures = chance.random() > 0.08
        box.shows_volts = chance.random() < 0.5
        if sunny:
            world.set_mode(box.point.id, chance.choice([Mode.SOLAR, Mode.MIN_SOLAR, Mode.FAST]))
            box.switches = len(box.point.phases) == 3 and chance.random() < 0.4
    for meter in site.meters:
        world.meter_offset_s[meter] = chance.choice([0.0, 0.25, 0.5, 0.75])
    world.judges += [judges.no_violations, judges.steps_hold, judges.raises_fit_the_worst_case]
    world.watchers += [judges.nothing_overflows, judges.fallback_holds]
    return world


def happen(world: World) -> str:
    """One random event."""
    chance = world.chance
    name = chance.choice(list(world.boxes))
    box = world.boxes[name]
    what = chance.random()
    if what < 0.35:
        if box.car is None:
            own = range(len(box.point.phases))
            phases = tuple(own) if chance.random() < 0.6 else (chance.choice(list(own)),)
            box.car = Car(
                phases, chance.choice([10.0, 16.0, 32.0]), chance.choice([4.0, 8.0, 30.0]), chance.choice([0.5, 2.0])
            )
        elif chance.random() < 0.3:
            box.car, box.current_a = None, 0.0
        else:
            box.car.wants = not box.car.wants
        return f"car at {name}: {box.car}"
    if what < 0.65:
        metered = [circuit.id for circuit in world.site.circuits.values() if circuit.meter is not None]
        circuit = world.site.circuits[chance.choice(metered)]
        top = [1.3 * limit if chance.random() < 0.2 else 0.6 * limit for limit in circuit.limit_a]
        sun = -40.0 if world.sunny and chance.random() < 0.5 else -5.0
        amps = [round(chance.uniform(sun, max(1.0, high)), 2) for high in top]
        world.set_house(circuit.id, (amps[0], amps[1], amps[2]))
        return f"house of {circuit.id}: {amps}"
    if what < 0.69:
        return rare(world, name)
    if what < 0.8:
        meter = chance.choice(list(world.site.meters))
        if meter in world.meter_silent_s:
            world.show_meter(meter)
            return f"meter {meter} is back"
        world.hide_meter(meter)
        return f"meter {meter} is silent"
    if box.silent_since_s is None:
        world.silence(name)
        return f"{name} is silent"
    world.wake(name)
    return f"{name} is back"


def rare(world: World, name: str) -> str:
    """What happens less often: the grid operator orders, somebody of higher priority charges, a mode changes."""
    chance = world.chance
    what = chance.random()
    if what < 0.5:
        watts = chance.choice([None, None, 0.0, 4200.0, 9000.0, 15000.0, math.nan])
        names = frozenset(one for one in world.boxes if chance.random() < 0.6) if chance.random() < 0.5 else None
        world.order(watts, names)
        return f"the grid operator says {watts} W to {'all' if names is None else sorted(names)}"
    if what < 0.75:
        priority = chance.choice([None, 0, 3])
        world.wishes[name] = Wish(priority=priority)
        return f"at {name} somebody of priority {priority} charges"
    mode = chance.choice([Mode.FAST, Mode.FAST, *Mode])
    world.set_mode(name, mode)
    return f"{name} is {mode}"


def live(world: World, events: int) -> list[str]:
    """Run through so many events; what happened, for the report of a failure."""
    log = []
    world.run(5.0)
    for _ in range(events):
        log.append(f"{world.now_s}: {happen(world)}")
        try:
            world.run(world.chance.choice([0.5, 2.0, 5.0, 25.0, 60.0]))
        except AssertionError as broken:
            broken.add_note("\n".join(log[-12:]))
            raise
    return log
