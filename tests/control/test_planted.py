"""The judges are worth something: mistakes planted in control are found by the same adventures that it passes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import evolve

from charging_manager.control import budget, decide, smooth, turns
from charging_manager.control.budget import Lines
from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen
from charging_manager.control.wiring import Wiring, ceil_step
from charging_manager.model.site import ChargePoint, Circuit, Meter, MeterRole, Site, check_site
from tests.control.adventure import live, set_out
from tests.control.judges import Broken
from tests.scenarios import test_sharing

SEEDS = range(8)


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


def adventures() -> None:
    for seed in SEEDS:
        live(set_out(garage(), seed), 25)


def test_without_a_mistake_the_adventures_pass() -> None:
    adventures()


def forget_a_phase(patch: pytest.MonkeyPatch) -> None:
    def blind(site: Site) -> Wiring:
        wiring = real(site)
        paths = tuple(
            tuple(tuple(line for line in lines if line % 3 != 2) for lines in by_bits) for by_bits in wiring.paths
        )
        return evolve(wiring, paths=paths)

    real = decide.wire
    patch.setattr(decide, "wire", blind)


def forget_the_parents(patch: pytest.MonkeyPatch) -> None:
    def flat(site: Site) -> Wiring:
        wiring = real(site)
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
    def wire_low(site: Site) -> Wiring:
        wiring = real(site)
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
