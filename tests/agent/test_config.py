from __future__ import annotations

import pytest
from attrs import evolve

from charging_manager.agent.config import (
    Override,
    UserSettings,
    check_configuration,
    first_configuration,
    id_from_name,
    with_device,
    without_device,
)
from charging_manager.errors import ConfigError
from charging_manager.model.site import Circuit, MeterRole, Mode
from tests.agent.values import box, house, meter


def test_a_new_site_is_valid_and_cautious() -> None:
    first = check_configuration(first_configuration())
    assert first.circuits["main"].limit_a == (16.0, 16.0, 16.0)
    assert not first.cloud.enabled


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Garage Süd", "garage-sud"), ("  ", "device"), ("車", "device"), ("A" * 60, "a" * 28), ("x--y", "x-y")],
)
def test_an_id_looks_like_the_name(name: str, expected: str) -> None:
    assert id_from_name(name, (), "device") == expected


def test_a_taken_id_gets_a_number() -> None:
    assert id_from_name("Garage", {"garage", "garage-2"}, "device") == "garage-3"


@pytest.mark.parametrize(
    ("device", "where"),
    [
        (box("Garage!"), "devices.Garage!.id"),
        (box(name="garage", max_a=float("nan")), "devices.garage.max_a"),
        (box(name="garage", max_a=5.0), "devices.garage.max_a"),
        (box(name="garage", min_a=0.0), "devices.garage.min_a"),
        (box(name="garage", circuit="attic"), "devices.garage.circuit"),
        (box(name="garage", phases=(1, 1, 2)), "devices.garage.phases"),
        (box(name="garage", phases=(1, 2)), "devices.garage.phases"),
        (meter(role=None), "devices.grid.role"),
    ],
)
def test_a_device_that_makes_no_sense_is_named(device: object, where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_configuration(house(device))  # type: ignore[arg-type]
    assert caught.value.where == where


def test_a_user_may_only_have_charge_points_that_exist() -> None:
    with pytest.raises(ConfigError) as caught:
        check_configuration(house(meter(), users=(UserSettings("ann", "Ann", charge_points=("grid",)),)))
    assert caught.value.where == "users.ann.charge_points"


def test_people_count_phases_from_one_and_control_from_zero() -> None:
    site = house(box(phases=(2, 3, 1))).site("S")
    assert site.charge_points["garage"].phases == (1, 2, 0)


def test_an_override_of_the_mode_counts_until_it_is_gone() -> None:
    config = house(box(), overrides={"garage": Override(mode=Mode.OFF, current_a=None)})
    assert config.site("S").charge_points["garage"].mode is Mode.OFF
    assert config.current_overrides() == {}
    assert house(box()).site("S").charge_points["garage"].mode is Mode.FAST


def test_a_grid_meter_becomes_the_meter_of_its_circuit() -> None:
    assert with_device(house(), meter()).circuits["main"].meter == "grid"


def test_a_second_meter_leaves_the_first_in_its_place() -> None:
    config = with_device(with_device(house(), meter()), meter("other"))
    assert config.circuits["main"].meter == "grid"


def test_a_meter_that_measures_something_else_now_is_no_circuit_meter() -> None:
    config = with_device(house(), meter())
    assert with_device(config, meter(role=MeterRole.SOLAR)).circuits["main"].meter is None


def test_a_removed_device_leaves_nothing_that_points_to_it() -> None:
    config = with_device(
        house(box(), users=(UserSettings("ann", "Ann", charge_points=("garage",)),), overrides={"garage": Override()}),
        meter(),
    )
    bare = without_device(without_device(config, "garage"), "grid")
    assert (bare.devices, bare.overrides, bare.users["ann"].charge_points) == ({}, {}, ())
    assert bare.circuits["main"].meter is None
    check_configuration(bare)


def test_circuits_in_a_loop_are_refused() -> None:
    loop = {
        "main": Circuit("main", "Main", None, (1.0, 1.0, 1.0)),
        "a": Circuit("a", "A", "b", (1.0, 1.0, 1.0)),
        "b": Circuit("b", "B", "a", (1.0, 1.0, 1.0)),
    }
    with pytest.raises(ConfigError, match="loop"):
        check_configuration(evolve(house(), circuits=loop))
