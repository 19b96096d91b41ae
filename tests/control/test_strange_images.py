"""Whatever the image holds, a decision comes out of it, and it keeps what can be promised of numbers."""

from __future__ import annotations

import math
import random

from attrs import evolve
from hypothesis import given

from charging_manager.control.because import sentence
from charging_manager.control.decide import Rules, decide
from charging_manager.model.outside import Dimming, Outside
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Obedience, Reading, Status
from charging_manager.model.site import Meter, MeterRole, Mode, Site
from charging_manager.model.wish import Wish
from tests.support.strategies import examples, seeds, sites

AMPS = (0.0, -0.1, 3.0, 6.0, 16.04, 32.0, 40.0, None, math.nan, math.inf, -math.inf, 65535.0)

VOLTS = (None, 0.0, 229.0, 241.5, 65535.0, math.nan, math.inf)


def strange_site(site: Site, chance: random.Random) -> Site:
    points = {
        name: evolve(
            point,
            mode=chance.choice([Mode.FAST, Mode.FAST, *Mode]),
            out_of_service=chance.random() < 0.1,
            priority=chance.randint(-2, 2),
        )
        for name, point in site.charge_points.items()
    }
    meters = dict(site.meters)
    for number, circuit in enumerate(site.circuits):
        if chance.random() < 0.3:
            role = chance.choice([MeterRole.LOAD, MeterRole.SOLAR, MeterRole.STORAGE])
            meters[f"extra{number}"] = Meter(f"extra{number}", "extra", circuit, role, chance.choice([(0, 1, 2), (1,)]))
    return evolve(site, charge_points=points, meters=meters)


def strange_reading(name: str, at_s: float, chance: random.Random, *, box: bool) -> Reading:
    one, two, three = (chance.choice(AMPS) for _ in range(3))
    status = chance.choice([None, *Status]) if box else None
    volts = (chance.choice(VOLTS), chance.choice(VOLTS), chance.choice(VOLTS))
    energy, watts = chance.choice([None, 0.0, 5e6, math.nan, -math.inf]), chance.choice([None, 0.0, math.nan, math.inf])
    return Reading(name, at_s, (one, two, three), volts, watts, energy, session_wh=energy, status=status)


def strange_obedience(chance: random.Random) -> Obedience:
    fallback = chance.choice([None, 0.0, 6.0, 16.0, math.nan])
    return Obedience(
        chance.choice([0.0, 16.0, 32.0]),
        chance.choice([None, 0.0, 6.0, 32.0]),
        chance.choice([None, 0.0, 6.0, 32.0, math.nan]),
        fallback,
        None if fallback is None else chance.choice([0.0, 30.0]),
        chance.random() < 0.7,
        chance.choice([None, 0.0, 0.1, 8.0, 90.0]),
    )


def strange_wish(chance: random.Random) -> Wish:
    number = chance.choice([None, 0.0, 50.0, math.nan, -math.inf])
    return Wish(priority=chance.choice([None, -5, 5]), soc_pct=number, capacity_wh=number, session_wh=number or 0.0)


@given(sites(), seeds())
@examples(40, 2000)
def test_a_decision_comes_out_of_any_image(site: Site, seed: int) -> None:
    chance = random.Random(seed)
    site = strange_site(site, chance)
    last: Plan | None = None
    history: dict[str, tuple[Reading, ...]] = {}
    now_s = 0.0
    for number in range(25):
        now_s += chance.choice([0.0, 0.5, 1.0, 1.0, 1.0, 40.0])
        for name in (*site.charge_points, *site.meters):
            if chance.random() < 0.6:
                taken_s = now_s + chance.choice([0.0, -0.2, -3.0, 1.0])
                reading = strange_reading(name, taken_s, chance, box=name in site.charge_points)
                history[name] = (*history.get(name, ())[-20:], reading)
            elif chance.random() < 0.1:
                history.pop(name, None)
        if chance.random() < 0.1:
            site = strange_site(site, chance)
        obedience = {name: strange_obedience(chance) for name in site.charge_points if chance.random() < 0.95}
        overrides = {
            name: chance.choice([0.0, 5.9, 10.0, 99.0]) for name in site.charge_points if chance.random() < 0.2
        }
        wishes = {name: strange_wish(chance) for name in site.charge_points if chance.random() < 0.2}
        dimming = (
            Dimming(chance.choice([0.0, 4200.0, math.nan, -1.0, math.inf]), "api") if chance.random() < 0.2 else None
        )
        image = SiteImage(
            now_s, number, site, dict(history), obedience, last, overrides, wishes, evolve(Outside(), dimming=dimming)
        )
        last = decide(image, Rules())
        assert set(last.setpoints) == set(site.charge_points)
        assert [violation for violation in last.violations if not violation.startswith("I3")] == []
        for name, setpoint in last.setpoints.items():
            point, amps = site.charge_points[name], setpoint.current_a
            assert amps == 0.0 or (point.min_a <= amps <= point.max_a and not point.out_of_service)
            assert "{" not in sentence(setpoint.because)
        for budget in last.budgets.values():
            assert all(amps >= 0.0 for amps in budget.free_a)
            assert not any(map(math.isnan, (*budget.limit_a, *budget.used_a)))
