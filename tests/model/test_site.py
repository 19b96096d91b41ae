"""A site that makes no sense is refused with the place and what to do; one that does is left as it is."""

from __future__ import annotations

import math

import pytest
from attrs import evolve

from charging_manager.errors import ConfigError
from charging_manager.model.site import ChargePoint, Circuit, Meter, MeterRole, Site, check_site
from charging_manager.model.units import phase_amps

MAIN = Circuit("main", "House", None, (32.0, 32.0, 32.0), meter="grid")
GARAGE = Circuit("garage", "Garage", "main", (20.0, 20.0, 20.0))
GRID = Meter("grid", "Grid", "main", MeterRole.GRID)
BOX = ChargePoint("box", "Box", "garage")
SITE = Site("Home", "", {"main": MAIN, "garage": GARAGE}, {"box": BOX}, {"grid": GRID})


def test_a_sound_site_passes_unchanged() -> None:
    assert check_site(SITE) is SITE
    assert [circuit.id for circuit in SITE.path_to_root("garage")] == ["garage", "main"]


def with_circuits(**circuits: Circuit) -> Site:
    return evolve(SITE, circuits={**SITE.circuits, **circuits})


@pytest.mark.parametrize(
    ("site", "where"),
    [
        (with_circuits(main=evolve(MAIN, parent="garage")), "circuits.main.parent"),
        (with_circuits(garage=evolve(GARAGE, parent="garage")), "circuits.garage.parent"),
        (with_circuits(garage=evolve(GARAGE, parent="cellar")), "circuits.garage.parent"),
        (with_circuits(garage=evolve(GARAGE, parent=None)), "circuits"),
        (with_circuits(garage=evolve(GARAGE, meter="lost")), "circuits.garage.meter"),
        (with_circuits(garage=evolve(GARAGE, limit_a=(20.0, math.nan, 20.0))), "circuits.garage"),
        (with_circuits(garage=evolve(GARAGE, reserve_a=-1.0)), "circuits.garage"),
        (with_circuits(garage=evolve(GARAGE, fallback_a=math.inf)), "circuits.garage"),
        (with_circuits(garage=evolve(GARAGE, limit_a=(1e308, 1e308, 1e308))), "circuits.garage"),
        (with_circuits(garage=evolve(GARAGE, reserve_a=100_001.0)), "circuits.garage"),
        (evolve(SITE, unbalance_a=1e308), "unbalance_a"),
        (evolve(SITE, charge_points={"box": evolve(BOX, circuit="cellar")}), "devices.box.circuit"),
        (evolve(SITE, charge_points={"box": evolve(BOX, phases=())}), "devices.box.phases"),
        (evolve(SITE, charge_points={"box": evolve(BOX, phases=(0, 0, 1))}), "devices.box.phases"),
        (evolve(SITE, charge_points={"box": evolve(BOX, phases=(3,))}), "devices.box.phases"),
        (evolve(SITE, unbalance_a=-1.0), "unbalance_a"),
    ],
)
def test_nonsense_is_named_with_its_place(site: Site, where: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_site(site)
    assert refused.value.where == where


@pytest.mark.parametrize("values", [(1, 2), (1, 2, 3, 4), (1, 2, math.nan), (1, math.inf, 3)])
def test_amperes_of_phases_are_three_finite_numbers(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="three finite numbers"):
        phase_amps(values)
