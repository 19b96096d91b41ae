"""The judges are worth something: mistakes planted in control are found by the same adventures that it passes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from charging_manager.control import breaker, budget, decide, power, smooth, turns
from charging_manager.control.budget import Lines
from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen
from charging_manager.control.wiring import Of, Power, Wiring, ceil_step
from charging_manager.model.plan import SiteImage
from charging_manager.model.site import Breaker, BreakerCurve, ChargePoint, Circuit, Meter, MeterRole, Site, check_site
from tests.control.adventure import live, set_out
from tests.control.judges import Broken
from tests.control.world import Car
from tests.scenarios import test_sharing

SEEDS = range(16)


def garage() -> Site:
    """Tight enough that every mistake matters."""
    limits = (26.0, 20.0, 23.0)
    return check_site(
        Site(
            "garage",
            "none",
            {
                "root": Circuit("root", "root", None, limits, meter="grid"),
                "wing": Circuit("wing", "wing", "root", (18.0, 18.0, 18.0), 1.0),
            },
            {
                name: ChargePoint(name, name, circuit, phases, step_a=1.0)
                for name, circuit, phases in (
                    ("a", "root", (0, 1, 2)),
                    ("b", "wing", (1, 2, 0)),
                    ("c", "wing", (2,)),
                    ("d", "wing", (0, 1, 2)),
                )
            },
            {"grid": Meter("grid", "grid", "root", MeterRole.GRID)},
        )
    )


def bounded() -> Site:
    """Where fuses are wide, and watts, a feeder's limit and a breaker matter."""
    site = garage()
    root = evolve(site.circuits["root"], limit_a=(32.0, 32.0, 32.0), breaker=Breaker(BreakerCurve.B, 32.0))
    wing = evolve(site.circuits["wing"], limit_a=(40.0, 40.0, 40.0), charging_limit_a=(16.0, 20.0, 14.0))
    return check_site(
        evolve(
            site,
            circuits={
                "root": evolve(root, limit_w=17_000.0),
                "wing": evolve(wing, charging_limit_w=8_000.0, reserve_a=0.0),
            },
        )
    )


def borne() -> Site:
    """Behind a breaker, and never dimmed."""
    site = garage()
    root = evolve(site.circuits["root"], limit_a=(25.0, 25.0, 25.0), breaker=Breaker(BreakerCurve.C, 25.0))
    return check_site(evolve(site, circuits={**site.circuits, "root": root}))


def adventures(site: Site | None = None) -> None:
    for seed in SEEDS if site is None else SEEDS[:8]:
        live(set_out(site or garage(), seed), 25)


def breathing() -> None:
    """Two cars that leave the breaker cool, and a house that goes above the limit for long, and for less long."""
    site = borne()
    points = {name: evolve(site.charge_points[name], phases=(0, 1, 2), max_a=10.0) for name in "ab"}
    for seed in SEEDS[:4]:
        world = set_out(evolve(site, charge_points=points), seed)
        for box in world.boxes.values():
            box.car, box.fallback_a, box.fallback_after_s = Car(), 0.0, 30.0
        world.run(240.0)
        for _ in range(6):
            world.set_house("root", world.chance.choice([6.0, 7.0, 8.0]))
            world.run(world.chance.choice([30.0, 120.0]))
            world.set_house("root", 0.0)
            world.run(120.0)


@pytest.mark.parametrize("site", [garage, bounded, borne])
def test_without_a_mistake_the_adventures_pass(site: Callable[[], Site]) -> None:
    adventures(None if site is garage else site())


def test_without_a_mistake_a_breathing_house_is_borne() -> None:
    breathing()


def forget_a_phase(patch: pytest.MonkeyPatch) -> None:
    def blind(site: Site, **order: Any) -> Wiring:
        wiring = real(site, **order)
        paths = tuple(
            tuple(tuple(line for line in lines if line % 3 != 2) for lines in by_bits) for by_bits in wiring.paths
        )
        return evolve(wiring, paths=paths)

    real = decide.wire
    patch.setattr(decide, "wire", blind)


def forget_the_parents(patch: pytest.MonkeyPatch) -> None:
    def flat(site: Site, **order: Any) -> Wiring:
        wiring = real(site, **order)
        paths = tuple(
            tuple(tuple(line for line in lines if line // 3 == circuit) for lines in by_bits)
            for circuit, by_bits in enumerate(wiring.paths)
        )
        return evolve(wiring, paths=paths)

    real = decide.wire
    patch.setattr(decide, "wire", flat)


def round_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(smooth, "floor_step", ceil_step)


def count_a_silent_meter_as_zero(patch: pytest.MonkeyPatch) -> None:
    def hopeful(now: float, wiring: Wiring, memory: object, lines: Lines, rules: Rules) -> None:
        lines.stale = [False] * len(lines.stale)
        lines.house = [0.0 if amps == float("inf") else amps for amps in lines.house]
        lines.house_high = [0.0 if amps == float("inf") else amps for amps in lines.house_high]
        real(now, wiring, memory, lines, rules)  # type: ignore[arg-type]

    real = budget._limits
    patch.setattr(budget, "_limits", hopeful)


def count_a_silent_box_as_zero(patch: pytest.MonkeyPatch) -> None:
    def hopeful(*args: object) -> Seen:
        seen = real(*args)  # type: ignore[arg-type]
        if seen.silent:
            seen.worst_a = (0.0, 0.0, 0.0)
        return seen

    real = decide.look
    patch.setattr(decide, "look", hopeful)


def raise_before_the_others_have_confirmed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(smooth, "headroom", lambda seen, lines: float("inf"))


def serve_those_whose_minimum_does_not_fit(patch: pytest.MonkeyPatch) -> None:
    def generous(queue: list[Seen], room: list[float], jitter: list[float]) -> list[Seen]:
        return [seen for seen in queue if all(room[line] > 3.0 for line in seen.lines)]

    patch.setattr(decide, "choose", generous)
    patch.setattr(smooth, "headroom", lambda seen, lines: float("inf"))


def give_half_the_minimum(patch: pytest.MonkeyPatch) -> None:
    def wire_low(site: Site, **order: Any) -> Wiring:
        wiring = real(site, **order)
        return evolve(wiring, outlets=tuple(evolve(outlet, lowest_a=3.0) for outlet in wiring.outlets))

    real = decide.wire
    patch.setattr(decide, "wire", wire_low)


def never_start_anybody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(smooth, "headroom", lambda seen, lines: 0.0)


PLANTED: list[Callable[[pytest.MonkeyPatch], None]] = [
    forget_a_phase,
    forget_the_parents,
    round_up,
    count_a_silent_meter_as_zero,
    count_a_silent_box_as_zero,
    raise_before_the_others_have_confirmed,
    serve_those_whose_minimum_does_not_fit,
    give_half_the_minimum,
    never_start_anybody,
]


def weigh_a_car_by_one_phase_less(patch: pytest.MonkeyPatch) -> None:
    def light(*args: object) -> Seen:
        seen = real(*args)  # type: ignore[arg-type]
        seen.weight = max(1, seen.weight - 1)
        return seen

    real = decide.look
    patch.setattr(decide, "look", light)


def forget_a_phase_of_the_watts_that_flow_at_worst(patch: pytest.MonkeyPatch) -> None:
    def blind(image: object, wiring: Wiring, everyone: object, memory: object, lines: Lines, *more: object) -> object:
        seen = list(lines.worst)
        lines.worst = [0.0 if line % 3 == 2 else amps for line, amps in enumerate(seen)]
        peaks = real(image, wiring, everyone, memory, lines, *more)  # type: ignore[arg-type]
        lines.worst = seen
        return peaks

    real = budget.add_powers
    patch.setattr(budget, "add_powers", blind)


def forget_the_feeder(patch: pytest.MonkeyPatch) -> None:
    def wide(wiring: Wiring, lines: Lines, fixed: list[float]) -> None:
        real(wiring, lines, fixed)
        first = wiring.first_feeder
        lines.room[first:] = [amps + 8.0 for amps in lines.room[first:]]
        lines.rise[first:] = [amps + 8.0 for amps in lines.rise[first:]]

    real = budget.add_feeders
    patch.setattr(budget, "add_feeders", wide)


def take_an_order_that_is_no_number_for_none(patch: pytest.MonkeyPatch) -> None:
    def free(image: SiteImage, power: Power) -> float:
        watts = real(image, power)
        return watts if watts or power.of is not Of.ORDER else 50_000.0

    real = power.watts_of
    patch.setattr(power, "watts_of", free)


@pytest.mark.parametrize(
    "plant",
    [
        weigh_a_car_by_one_phase_less,
        forget_a_phase_of_the_watts_that_flow_at_worst,
        forget_the_feeder,
    ],
    ids=lambda plant: plant.__name__,
)
def test_a_mistake_with_watts_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises(Broken):
        adventures(bounded())


def obeyed_order() -> None:
    for seed in range(3):
        world = set_out(bounded(), seed)
        for box in world.boxes.values():
            box.car = Car(tuple(range(len(box.point.phases))))
        world.run(60.0)
        world.order(math.nan)
        world.run(30.0)


def test_an_order_that_is_no_number_is_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    obeyed_order()
    take_an_order_that_is_no_number_for_none(monkeypatch)
    with pytest.raises(Broken):
        obeyed_order()


def test_a_breaker_that_never_heats_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "warmed", lambda *_: 0.0)
    with pytest.raises(Broken):
        breathing()


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_mistake_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises(Broken):
        adventures()


def test_a_turn_that_never_ends_leaves_somebody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    story = test_sharing.test_three_cars_and_twenty_amperes_of_house_load_never_pass_the_fuse_and_turns_rotate
    monkeypatch.setattr(turns, "turn_over", lambda past, now, rules: False)
    with pytest.raises(AssertionError):
        story()
