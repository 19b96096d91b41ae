from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve

from charging_manager.devices.condition import DeviceCondition
from charging_manager.model.reading import Status
from tests.agent.whole import REMOTE_ADMIN, ScriptedDevice, WholeAgent

KEBA = {"name": "Garage", "driver": "keba-p30", "address": "tcp://192.0.2.7?unit=255"}
METER = {"name": "House meter", "driver": "eastron-sdm630", "address": "tcp://192.0.2.8?unit=1", "role": "grid"}
INVERTER = {"name": "Roof", "driver": "sunspec-inverter-103", "address": "tcp://192.0.2.9?unit=1"}


def test_a_new_device_gets_an_id_from_its_name_and_the_root_circuit(agent: WholeAgent) -> None:
    made = agent.json("POST", "devices", KEBA)
    assert (made["id"], made["kind"], made["circuit"], made["phases"]) == ("garage", "charge-point", "main", [1, 2, 3])
    assert agent.json("GET", "devices")["devices"] == [agent.json("GET", "devices/garage")]


def test_an_inverter_is_a_meter_of_what_it_gives(agent: WholeAgent) -> None:
    made = agent.json("POST", "devices", INVERTER)
    assert (made["id"], made["kind"], made["role"]) == ("roof", "meter", "solar")
    assert agent.json("PUT", "devices/roof", {"role": "storage"})["role"] == "storage"
    for role in ("grid", "circuit", "load"):
        assert agent.refused("PUT", "devices/roof", {"role": role}) == (422, "bad-role", "role")
        assert agent.refused("POST", "devices", {**INVERTER, "id": "b", "role": role}) == (422, "bad-role", "role")
    agent.json("POST", "devices", METER)
    refused = agent.refused("PUT", "devices/house-meter", {"driver": INVERTER["driver"]})
    assert refused == (422, "bad-role", "role"), "what measures the grid is not replaced by what measures the roof"


def test_a_new_device_is_polled_at_once(agent: WholeAgent) -> None:
    agent.json("POST", "devices", KEBA)
    agent.run(2)
    state = agent.json("GET", "state")
    assert state["charge_points"][0]["status"] == "free"
    assert agent.json("GET", "devices/garage")["condition"]["connected"] is True


def test_a_device_that_has_shown_no_values_yet_is_not_called_connected(agent: WholeAgent) -> None:
    said = agent.json("POST", "devices", KEBA)["condition"]
    assert (said["connected"], said["text"]) == (False, "Reached; it counts as connected once its values are here")
    agent.run(2)
    said = agent.json("GET", "devices/garage")["condition"]
    assert (said["connected"], said["text"]) == (True, "Connected")
    agent.devices["garage"].silent = True
    agent.run(2)
    said = agent.json("GET", "devices/garage")["condition"]
    assert (said["connected"], said["text"]) == (False, "Not connected yet")


def test_a_device_that_refuses_its_values_is_not_called_connected(
    agent: WholeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble = DeviceCondition(True, True, None, "none", "exception 2", "Connected, with trouble: {why}")
    monkeypatch.setattr(ScriptedDevice, "condition", evolve(trouble, fields={"why": "exception 2"}))
    said = agent.json("POST", "devices", KEBA)["condition"]
    assert (said["connected"], said["text"]) == (False, "Reached, but it shows no values: exception 2")
    agent.run(2)
    said = agent.json("GET", "devices/garage")["condition"]
    assert (said["connected"], said["text"]) == (True, "Connected, with trouble: exception 2")


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"driver": "nobody"}, 422, "unknown-driver", "driver"),
        ({"address": "192.0.2.7"}, 422, "bad-address", "address"),
        ({"address": "tcp://192.0.2.7?unit=999"}, 422, "bad-address", "address"),
        ({"address": "tcp://192.0.2.7?unit=255&connector=2"}, 422, "bad-address", "address"),
        ({"address": "rtu:///dev/ttyUSB0?unit=1"}, 422, "bad-address", "address"),
        ({"address": "rtutcp://192.0.2.7:4001?unit=1"}, 422, "bad-address", "address"),
        ({"circuit": "attic"}, 422, "unknown-circuit", "circuit"),
        ({"phases": [1, 4, 2]}, 422, "bad-phases", "phases"),
        ({"phases": []}, 422, "bad-phases", "phases"),
        ({"storage": "car"}, 422, "bad-storage", "storage"),
        ({"solar": {"start_a": 0}}, 422, "invalid-field", "solar.start_a"),
        ({"solar": {"phases": 2}}, 422, "invalid-field", "solar.phases"),
        ({"mode": "quick"}, 422, "bad-mode", "mode"),
        ({"max_a": "much"}, 422, "invalid-field", "max_a"),
        ({"max_a": 1000}, 422, "invalid-field", "max_a"),
        ({"id": "Garage 1"}, 422, "invalid-field", "id"),
        ({"name": ""}, 422, "invalid-field", "name"),
        ({"settings": {"nonsense": True}}, 422, "unknown-setting", "settings"),
        ({"colour": "red"}, 422, "invalid-field", None),
    ],
)
def test_what_cannot_work_names_its_field_and_changes_nothing(
    agent: WholeAgent, change: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    before = agent.store.current
    found = agent.refused("POST", "devices", {**KEBA, **change})
    assert found[:2] == (status, code)
    if field is not None:
        assert found[2] == field
    assert agent.store.current == before


def test_a_serial_device_may_be_behind_any_converter(agent: WholeAgent) -> None:
    for number, kind in enumerate(("rtu:///dev/ttyUSB0?unit=1", "rtutcp://192.0.2.8:4001", "tcp://192.0.2.8")):
        agent.json("POST", "devices", {**METER, "id": f"meter-{number}", "address": kind, "role": "load"})


def test_another_driver_must_be_able_to_speak_to_the_address(agent: WholeAgent) -> None:
    heidelberg = {"name": "Yard", "driver": "heidelberg-energy-control", "address": "rtu:///dev/ttyUSB0?unit=3"}
    agent.json("POST", "devices", heidelberg)
    assert agent.refused("PUT", "devices/yard", {"driver": "keba-p30"}) == (422, "bad-address", "address")
    agent.json("PUT", "devices/yard", {"name": "Court"})


@pytest.mark.parametrize(
    ("language", "address", "detail"),
    [
        (
            "fr",
            "192.0.2.7",
            "'192.0.2.7' doit commencer par tcp://, rtu://, rtutcp://, http(s)://, mqtt(s):// ou ocpp: ; par exemple",
        ),
        ("de", "tcp://192.0.2.7?unit=999", "unit ist eine ganze Zahl von 0 bis 255, nicht '999'"),
        ("de", "rtu:///dev/ttyUSB0", "keba-p30 spricht nur tcp://"),
    ],
)
def test_what_is_wrong_with_an_address_is_said_in_the_readers_language(
    agent: WholeAgent, language: str, address: str, detail: str
) -> None:
    answer = agent.ask("POST", "devices", {**KEBA, "address": address}, accept_language=language)
    assert json.loads(answer.body)["detail"].replace("\N{NO-BREAK SPACE}", " ").startswith(detail)  # type: ignore[union-attr]


def test_a_meter_must_say_what_it_measures(agent: WholeAgent) -> None:
    assert agent.refused("POST", "devices", {**METER, "role": None}) == (422, "bad-role", "role")


def test_a_grid_meter_becomes_the_circuits_meter(agent: WholeAgent) -> None:
    agent.json("POST", "devices", METER)
    assert agent.json("GET", "site")["circuits"][0]["meter"] == "house-meter"


def test_duplicates_are_refused(agent: WholeAgent) -> None:
    agent.json("POST", "devices", {**KEBA, "id": "garage"})
    assert agent.refused("POST", "devices", {**KEBA, "id": "garage"})[:2] == (409, "duplicate")
    assert agent.refused("POST", "devices", {**KEBA, "name": "Other"}) == (409, "duplicate", "address")


def test_an_unknown_device_is_not_found(agent: WholeAgent) -> None:
    for method, path in (("GET", "devices/x"), ("DELETE", "devices/x"), ("POST", "devices/x/test")):
        assert agent.refused(method, path)[0] == 404
    assert agent.refused("PUT", "devices/x", {"name": "Y"})[0] == 404


def test_what_get_shows_put_takes(agent: WholeAgent) -> None:
    agent.json("POST", "devices", KEBA)
    before = agent.store.current
    agent.json("PUT", "devices/garage", agent.json("GET", "devices/garage"))
    assert agent.store.current == before


def test_a_change_touches_the_changed_device_alone(agent: WholeAgent) -> None:
    agent.json("POST", "devices", KEBA)
    agent.json("POST", "devices", {**KEBA, "name": "Yard", "address": "tcp://192.0.2.9?unit=255"})
    agent.run(2)
    agent.json("PUT", "devices/yard", {"address": "tcp://192.0.2.10?unit=255"})
    agent.run(1)
    assert (agent.devices["yard"].closed, agent.devices["garage"].closed) == (True, False)


def test_a_removed_charge_point_is_left_on_its_fallback(agent: WholeAgent) -> None:
    agent.json("POST", "devices", KEBA)
    agent.devices["garage"].values = {"status": Status.CHARGING, "current_a": (10.0, 10.0, 10.0)}
    agent.run(10)
    assert agent.devices["garage"].setpoint_a == 16.0
    agent.ask("DELETE", "devices/garage")
    agent.run(1)
    assert agent.devices["garage"].setpoint_a == 0.0 and agent.devices["garage"].closed
    assert agent.json("GET", "state")["charge_points"] == []


def test_a_device_out_of_service_is_not_polled(agent: WholeAgent) -> None:
    agent.json("POST", "devices", KEBA)
    agent.run(1)
    agent.json("PUT", "devices/garage", {"out_of_service": True})
    agent.run(3)
    [box] = agent.json("GET", "state")["charge_points"]
    assert (box["status"], box["out_of_service"]) == ("offline", True)
    assert agent.devices["garage"].closed


@pytest.mark.parametrize(
    "change",
    [
        {"circuit": "sub"},
        {"phases": [2, 3, 1]},
        {"max_a": 32.0},
        {"out_of_service": True},
    ],
)
def test_what_loosens_a_limit_is_done_at_the_site_only(agent: WholeAgent, change: dict[str, Any]) -> None:
    circuits = agent.json("GET", "site")["circuits"]
    sub = {"id": "sub", "name": "Sub", "parent": "main", "limit_a": [10, 10, 10]}
    agent.json("PUT", "site", {"circuits": [*circuits, sub]})
    agent.json("POST", "devices", {**KEBA, "max_a": 16.0})
    before = agent.store.current
    assert agent.refused("PUT", "devices/garage", change, REMOTE_ADMIN)[:2] == (403, "site-only")
    assert agent.store.current == before
    agent.json("PUT", "devices/garage", change)


@pytest.mark.parametrize(
    "change", [{"role": "solar"}, {"address": "tcp://192.0.2.99?unit=1"}, {"driver": "sunspec-meter-203"}]
)
def test_a_meter_keeps_its_role_and_place_from_afar(agent: WholeAgent, change: dict[str, Any]) -> None:
    agent.json("POST", "devices", METER)
    assert agent.refused("PUT", "devices/house-meter", change, REMOTE_ADMIN)[:2] == (403, "site-only")
    assert agent.refused("DELETE", "devices/house-meter", None, REMOTE_ADMIN)[:2] == (403, "site-only")
    agent.json("PUT", "devices/house-meter", {"name": "Meter"}, REMOTE_ADMIN)


def test_nothing_is_declared_out_of_service_from_afar_not_even_as_it_is_added(agent: WholeAgent) -> None:
    new = {"name": "New", "driver": "keba-p30", "address": "tcp://127.0.0.1:1599?unit=255"}
    assert agent.refused("POST", "devices", {**new, "out_of_service": True}, REMOTE_ADMIN)[:2] == (403, "site-only")
    assert "new" not in agent.store.current.devices


def test_a_box_may_be_lowered_and_removed_from_afar(agent: WholeAgent) -> None:
    agent.json("POST", "devices", KEBA)
    agent.json("PUT", "devices/garage", {"max_a": 10.0, "name": "Left"}, REMOTE_ADMIN)
    assert agent.ask("DELETE", "devices/garage", None, REMOTE_ADMIN).status == 204


GO_E = {"name": "Drive", "driver": "go-e-charger-v2", "address": "http://192.0.2.30"}


def test_an_http_address_is_entered_at_the_site_only(agent: WholeAgent) -> None:
    assert agent.refused("POST", "devices", GO_E, REMOTE_ADMIN)[:2] == (403, "site-only")
    agent.json("POST", "devices", KEBA)
    moved = {"driver": GO_E["driver"], "address": GO_E["address"]}
    assert agent.refused("PUT", "devices/garage", moved, REMOTE_ADMIN)[:2] == (403, "site-only")
    agent.json("POST", "devices", GO_E)
    assert agent.refused("PUT", "devices/drive", {"address": "http://192.0.2.1"}, REMOTE_ADMIN)[:2] == (
        403,
        "site-only",
    )
    assert agent.json("PUT", "devices/drive", {"name": "Yard", "max_a": 10}, REMOTE_ADMIN)["name"] == "Yard"


@pytest.mark.parametrize(
    ("driver", "address"),
    [("go-e-charger-v2", "tcp://192.0.2.30"), ("keba-p30", "http://192.0.2.30"), ("go-e-charger-v2", "http://h/x")],
)
def test_an_address_fits_its_driver(agent: WholeAgent, driver: str, address: str) -> None:
    refused = agent.refused("POST", "devices", {"name": "X", "driver": driver, "address": address})
    assert refused == (422, "bad-address", "address")
