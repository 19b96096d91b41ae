"""What hangs where is said at the site: nothing that comes through the cloud says otherwise (I2)."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from charging_manager.agent import places
from charging_manager.agent.config import Configuration, Place, with_device, without_device
from charging_manager.agent.places import address_key, may_be_placed_from_afar, with_places
from charging_manager.agent.store import ConfigStore, read_configuration
from charging_manager.model.site import Circuit
from charging_manager.storage.database import Database
from tests.agent.values import box, house, meter
from tests.agent.waiting import result_of
from tests.agent.whole import ADMIN, REMOTE_ADMIN, WholeAgent

KEBA: dict[str, Any] = {
    "name": "Garage",
    "driver": "keba-p30",
    "address": "tcp://192.0.2.7?unit=255",
    "circuit": "sub",
    "max_a": 10.0,
}
METER: dict[str, Any] = {
    "name": "Meter",
    "driver": "eastron-sdm630",
    "address": "tcp://192.0.2.8?unit=1",
    "circuit": "sub",
    "role": "circuit",
}
SITE_ONLY = (403, "site-only")
SCHEMA = files("charging_manager.agent") / "schema"


@pytest.fixture
def agent(agents: Any) -> WholeAgent:
    """An agent with a circuit of 10 A below the main one."""
    made: WholeAgent = agents()
    made.json("PUT", "site", {"circuits": circuits(made)})
    return made


def circuits(agent: WholeAgent, **sub: object) -> list[dict[str, Any]]:
    """The tree with the small circuit as it shall be."""
    others = [one for one in agent.json("GET", "site")["circuits"] if one["id"] != "sub"]
    return [*others, {"id": "sub", "name": "Sub", "parent": "main", "limit_a": [10, 10, 10], **sub}]


def refused_unchanged(agent: WholeAgent, method: str, path: str, body: object) -> None:
    before = agent.store.current
    assert agent.refused(method, path, body, REMOTE_ADMIN)[:2] == SITE_ONLY
    assert agent.store.current == before


ELSEWHERE: list[dict[str, Any]] = [
    {"circuit": "main"},
    {"circuit": None},
    {"phases": [2, 3, 1]},
    {"phases": [1]},
    {"max_a": 16.0},
    {"max_a": None},
    {"circuit": "main", "address": "tcp://192.0.2.7:502/?unit=255"},
    {"circuit": "main", "address": "TCP://192.0.2.7.?unit=255"},
    {"circuit": "main", "address": "tcp://[::ffff:192.0.2.7]?unit=255"},
    {"circuit": "main", "address": "tcp://0xc0000207?unit=255"},
    {"circuit": "main", "address": "tcp://192.0.2.7?unit=1"},
    {"circuit": "main", "address": "tcp://192.0.2.7?unit=255&connector=2", "driver": "phoenix-charx-sec"},
    {"circuit": "main", "driver": "abb-terra-ac"},
]


@pytest.mark.parametrize("change", ELSEWHERE)
def test_a_box_that_was_removed_does_not_come_back_elsewhere_from_afar(
    agent: WholeAgent, change: dict[str, Any]
) -> None:
    agent.json("POST", "devices", KEBA)
    assert agent.ask("DELETE", "devices/garage", None, REMOTE_ADMIN).status == 204
    refused_unchanged(agent, "POST", "devices", {**KEBA, **change})
    agent.json("POST", "devices", {**KEBA, **change}, ADMIN)


def test_a_box_that_was_removed_comes_back_from_afar_to_where_it_was(agent: WholeAgent) -> None:
    agent.json("POST", "devices", KEBA)
    for back in (KEBA, {**KEBA, "max_a": 8.0}, KEBA):
        assert agent.ask("DELETE", "devices/garage", None, REMOTE_ADMIN).status == 204
        assert agent.json("POST", "devices", back, REMOTE_ADMIN)["circuit"] == "sub"


def test_one_that_was_removed_at_the_site_is_remembered_too(agent: WholeAgent) -> None:
    agent.json("POST", "devices", KEBA)
    agent.ask("DELETE", "devices/garage")
    refused_unchanged(agent, "POST", "devices", {**KEBA, "circuit": "main"})


def test_a_box_that_is_there_is_not_counted_elsewhere_under_a_second_name(agent: WholeAgent) -> None:
    agent.json("POST", "devices", KEBA)
    refused_unchanged(agent, "POST", "devices", {**KEBA, "name": "Two", "driver": "abb-terra-ac", "circuit": "main"})


def test_what_is_changed_at_the_site_holds_from_then_on(agent: WholeAgent) -> None:
    agent.json("POST", "devices", KEBA)
    agent.json("PUT", "devices/garage", {"circuit": "main", "max_a": 16.0})
    agent.ask("DELETE", "devices/garage", None, REMOTE_ADMIN)
    refused_unchanged(agent, "POST", "devices", KEBA)
    agent.json("POST", "devices", {**KEBA, "circuit": "main", "max_a": 16.0}, REMOTE_ADMIN)


def test_a_unit_that_was_corrected_at_the_site_is_no_way_back(agent: WholeAgent) -> None:
    agent.json("POST", "devices", {**KEBA, "address": "tcp://192.0.2.7?unit=1", "circuit": "main", "max_a": 16.0})
    agent.json("PUT", "devices/garage", KEBA)
    agent.ask("DELETE", "devices/garage", None, REMOTE_ADMIN)
    refused_unchanged(agent, "POST", "devices", {**KEBA, "address": "tcp://192.0.2.7?unit=1", "circuit": "main"})


def test_a_box_that_was_lowered_from_afar_is_remembered_as_the_site_said(agent: WholeAgent) -> None:
    agent.json("POST", "devices", KEBA)
    agent.json("PUT", "devices/garage", {"max_a": 8.0}, REMOTE_ADMIN)
    assert agent.store.current.places[address_key(KEBA["address"])].max_a == 10.0


def test_another_box_is_not_moved_to_a_known_address_from_afar(agent: WholeAgent) -> None:
    agent.json("POST", "devices", KEBA)
    agent.ask("DELETE", "devices/garage", None, REMOTE_ADMIN)
    agent.json("POST", "devices", {**KEBA, "id": "yard", "address": "tcp://192.0.2.9?unit=255", "circuit": "main"})
    refused_unchanged(agent, "PUT", "devices/yard", {"address": KEBA["address"]})
    agent.json("PUT", "devices/yard", {"address": "tcp://192.0.2.10?unit=255", "name": "Court"}, REMOTE_ADMIN)
    agent.json("PUT", "devices/yard", {"address": KEBA["address"]}, ADMIN)


def test_a_box_with_a_higher_maximum_does_not_move_to_a_known_address_from_afar(agent: WholeAgent) -> None:
    agent.json("POST", "devices", KEBA)
    agent.ask("DELETE", "devices/garage", None, REMOTE_ADMIN)
    agent.json("POST", "devices", {**KEBA, "id": "yard", "address": "tcp://192.0.2.9?unit=255", "max_a": 16.0})
    refused_unchanged(agent, "PUT", "devices/yard", {"address": KEBA["address"]})
    agent.json("PUT", "devices/yard", {"address": KEBA["address"], "max_a": 10.0}, REMOTE_ADMIN)


def test_an_unknown_address_is_added_from_afar_and_stays_where_it_was_put(agent: WholeAgent) -> None:
    agent.json("POST", "devices", KEBA, REMOTE_ADMIN)
    agent.ask("DELETE", "devices/garage", None, REMOTE_ADMIN)
    refused_unchanged(agent, "POST", "devices", {**KEBA, "circuit": "main"})
    agent.json("POST", "devices", {**KEBA, "circuit": "main"}, ADMIN)


def test_a_rename_from_afar_goes_on_where_two_drivers_share_an_address(agent: WholeAgent) -> None:
    agent.json("POST", "devices", {**KEBA, "circuit": "main", "max_a": 16.0})
    agent.json("POST", "devices", {**KEBA, "id": "two", "driver": "abb-terra-ac"})
    agent.json("PUT", "devices/garage", {"name": "Left", "address": KEBA["address"]}, REMOTE_ADMIN)


def test_a_circuit_that_is_gone_does_not_come_back_with_other_limits_from_afar(agent: WholeAgent) -> None:
    agent.json("POST", "devices", KEBA)
    agent.ask("DELETE", "devices/garage", None, REMOTE_ADMIN)
    main = agent.json("GET", "site")["circuits"][0]
    agent.json("PUT", "site", {"circuits": [main]})
    refused_unchanged(agent, "PUT", "site", {"circuits": circuits(agent, limit_a=[63, 63, 63])})
    assert agent.refused("POST", "devices", KEBA, REMOTE_ADMIN)[:2] == (422, "unknown-circuit")
    refused_unchanged(agent, "POST", "devices", {**KEBA, "circuit": "main"})


def test_addresses_from_afar_do_not_fill_the_disk(agent: WholeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MOST_PLACES", 2)
    for number in (1, 2):
        agent.json("POST", "devices", {**KEBA, "address": f"tcp://192.0.2.{number}"}, REMOTE_ADMIN)
        agent.ask("DELETE", "devices/garage", None, REMOTE_ADMIN)
    refused_unchanged(agent, "POST", "devices", KEBA)
    agent.json("POST", "devices", {**KEBA, "address": "tcp://192.0.2.1"}, REMOTE_ADMIN)
    agent.json("POST", "devices", {**KEBA, "id": "two"}, ADMIN)


@pytest.mark.parametrize("role", ["grid", "circuit", "load", "storage"])
def test_a_meter_from_afar_is_nothing_that_a_budget_rests_on(agent: WholeAgent, role: str) -> None:
    refused_unchanged(agent, "POST", "devices", {**METER, "role": role})
    agent.json("POST", "devices", {**METER, "role": role}, ADMIN)


def test_a_second_meter_from_afar_does_not_wait_for_the_first_to_go(agent: WholeAgent) -> None:
    agent.json("POST", "devices", METER)
    refused_unchanged(agent, "POST", "devices", {**METER, "id": "two", "address": "tcp://192.0.2.99"})


def test_a_meter_of_what_the_sun_gives_may_be_added_from_afar(agent: WholeAgent) -> None:
    agent.json("POST", "devices", {**METER, "role": "solar"}, REMOTE_ADMIN)
    assert agent.json("GET", "site")["circuits"][1]["meter"] is None


def test_a_rename_from_afar_does_not_make_a_meter_the_circuits(agent: WholeAgent) -> None:
    agent.json("POST", "devices", METER)
    agent.json("POST", "devices", {**METER, "id": "two", "address": "tcp://192.0.2.99"})
    agent.json("PUT", "site", {"circuits": circuits(agent, meter=None)})
    refused_unchanged(agent, "PUT", "devices/two", {"name": "Second"})
    agent.json("PUT", "devices/two", {"name": "Second"}, ADMIN)
    agent.json("PUT", "devices/two", {"name": "2nd"}, REMOTE_ADMIN)


def test_a_circuit_gets_no_meter_from_afar(agent: WholeAgent) -> None:
    agent.json("POST", "devices", {**METER, "circuit": "main"})
    refused_unchanged(agent, "PUT", "site", {"circuits": circuits(agent, meter="meter")})


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("tcp://Wallbox.Local./?unit=3", "tcp://wallbox.local:502?unit=3&connector=1"),
        ("tcp://127.1", "tcp://127.0.0.1:502?unit=1&connector=1"),
        ("tcp://１２７.0.0.1", "tcp://127.0.0.1:502?unit=1&connector=1"),
        ("tcp://[FE80::0:1%eth0]:1502", "tcp://[fe80::1]:1502?unit=1&connector=1"),
        ("rtu:///dev//ttyUSB0?baud=9600&unit=3", "rtu:///dev/ttyUSB0?unit=3&connector=1"),
        ("rtu:////dev/./ttyUSB0?unit=3&parity=N&echo=1", "rtu:///dev/ttyUSB0?unit=3&connector=1"),
        ("rtutcp://192.0.2.7:4001?unit=2&echo=1&connector=4", "rtutcp://192.0.2.7:4001?unit=2&connector=4"),
        ("nonsense", "nonsense"),
    ],
)
def test_an_address_has_one_key_however_it_is_written(text: str, key: str) -> None:
    assert address_key(text) == key


def test_units_tell_boxes_apart_on_a_line_but_not_behind_one_network_address() -> None:
    for line, free in (("rtu:///dev/ttyUSB0?", True), ("rtutcp://192.0.2.7:4001?", True), ("tcp://192.0.2.7?", False)):
        config = with_places(with_device(house(), box(address=f"{line}unit=1", circuit="main", phases=(1, 2, 3))))
        other = box("two", address=f"{line}unit=2", circuit="main", phases=(2, 3, 1))
        assert may_be_placed_from_afar(config, other) is free
        assert may_be_placed_from_afar(config, evolve(other, phases=(1, 2, 3)))
        assert not may_be_placed_from_afar(config, evolve(other, address=f"{line}unit=1&connector=2"))


def two_boxes(config: Configuration) -> Configuration:
    for device in (box(max_a=16.0), box("yard", phases=(3, 1, 2)), meter()):
        config = with_device(config, device)
    return config


def test_places_are_remembered_over_a_restart(tmp_path: Path) -> None:
    database = Database.open_here(tmp_path / "agent.db", SCHEMA)
    store = result_of(ConfigStore.load(database))
    result_of(store.change(two_boxes))
    gone = result_of(store.change(lambda config: without_device(without_device(config, "garage"), "yard")))
    result_of(database.close())
    again = Database.open_here(tmp_path / "agent.db", SCHEMA)
    assert result_of(ConfigStore.load(again)).current == gone
    assert sorted(gone.places.values(), key=lambda place: place.max_a) == [
        Place("main", (1, 2, 3), 16.0),
        Place("main", (3, 1, 2), 32.0),
    ]
    result_of(again.close())


def test_an_upgraded_database_equals_a_fresh_one_and_knows_the_boxes_it_had(tmp_path: Path) -> None:
    old_schema = tmp_path / "schema"
    old_schema.mkdir()
    with (SCHEMA / "0001-start.sql").open("rb") as source, (old_schema / "0001-start.sql").open("wb") as target:
        shutil.copyfileobj(source, target)
    path = tmp_path / "agent.db"
    old = Database.open_here(path, old_schema)
    device = (
        "('garage', 0, 'Garage', 'charge-point', 'keba-p30', 'tcp://192.0.2.7', 'main', NULL, '2,3,1', 0, 0, 'fast', "
        "6, 16, 1, '')"
    )
    for statement in (
        "INSERT INTO site VALUES (1, 'House', 'en', 20)",
        "INSERT INTO circuit VALUES ('main', 0, 'Main', NULL, 32, 32, 32, 0, 0, NULL)",
        f"INSERT INTO device VALUES {device}",
    ):
        result_of(old.write(lambda connection, statement=statement: connection.execute(statement)))
    found = result_of(old.read(read_configuration))
    assert found is not None and found.places == {} and "garage" in found.devices, "as `check` sees it before a start"
    result_of(old.close())
    upgraded, fresh = Database.open_here(path, SCHEMA), Database.open_here(tmp_path / "fresh.db", SCHEMA)
    assert result_of(upgraded.read(shape)) == result_of(fresh.read(shape))
    known = result_of(ConfigStore.load(upgraded)).current.places
    assert known == {"tcp://192.0.2.7:502?unit=1&connector=1": Place("main", (2, 3, 1), 16.0)}
    result_of(upgraded.close())
    result_of(fresh.close())


def shape(connection: Any) -> list[tuple[Any, ...]]:
    """Every table and index, as SQL."""
    return [tuple(row) for row in connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name")]


def test_what_hangs_on_a_circuit_that_is_gone_hangs_on_no_other() -> None:
    config = with_places(house(box(circuit="main")))
    moved = evolve(config, devices={}, circuits={"other": Circuit("other", "Other", None, (32.0, 32.0, 32.0))})
    assert not may_be_placed_from_afar(moved, box(circuit="other"))
