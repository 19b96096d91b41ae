"""Where nothing happens, nothing changes: no ramp of another car, no late or coarse measuring stops anybody."""

from __future__ import annotations

import random

from hypothesis import given

from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.site import Site
from tests.control.world import Car, World
from tests.support.strategies import examples, seeds, sites


def settle_down(site: Site, seed: int) -> World:
    """Everybody plugged in, one after the other, under a house load that stays."""
    chance = random.Random(seed)
    world = World(site)
    for box in world.boxes.values():
        box.confirm_s = chance.choice([0.25, 1.0, 2.0])
        box.gap_s = chance.choice([0.0, 0.0, 5.0])
        box.poll_s = chance.choice([1.0, 1.0, 2.0, 3.0])
        box.offset_s = chance.choice([0.0, 0.25, 0.5, 0.75])
        box.lag_s = chance.choice([0.0, 0.5, 1.0])
        box.resolution_a = chance.choice([0.0, 0.1])
    for meter in site.meters:
        world.meter_offset_s[meter] = chance.choice([0.0, 0.25, 0.5])
    for circuit in site.circuits.values():
        if circuit.meter is not None:
            one, two, three = (round(chance.uniform(-3.0, 0.4 * limit), 2) for limit in circuit.limit_a)
            world.set_house(circuit.id, (one, two, three))
    world.run(5.0)
    for box in world.boxes.values():
        phases = tuple(range(len(box.point.phases)))
        box.car = Car(phases, chance.choice([16.0, 32.0]), chance.choice([2.0, 5.0, 30.0]), chance.choice([0.5, 2.0]))
        world.run(chance.choice([0.25, 1.0, 30.0]))
    return world


@given(sites(), seeds())
@examples(12, 600)
def test_a_calm_site_stays_as_it_is(site: Site, seed: int) -> None:
    world = settle_down(site, seed)
    stopped: list[str] = []

    def note(world: World, image: SiteImage, plan: Plan) -> None:
        assert plan.violations == ()
        for name, setpoint in plan.setpoints.items():
            before = image.last_plan.setpoints[name].current_a if image.last_plan is not None else 0.0
            if before and not setpoint.current_a:
                stopped.append(f"{world.now_s - world.start_s:g}: {name} from {before:g} A, {setpoint.because}")

    world.run(30.0)
    world.judges.append(note)
    world.run(300.0)
    assert stopped == []
