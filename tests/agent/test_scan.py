"""The search for devices over the API: one at a time, of own networks only, what the site has is not asked."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from charging_manager.finding.course import Progress
from charging_manager.finding.found import Found, How
from charging_manager.http.routes import Answer
from tests.agent.values import box, house, meter
from tests.agent.whole import REMOTE_ADMIN, Make, ScriptedSearch, WholeAgent

KEBA = Found("tcp://192.168.1.50:502?unit=255", How.MODBUS, "keba-p30", "KEBA P30", "charger", {"firmware": 7})
STRANGER = Found("tcp://192.168.1.51:502?unit=1", How.MODBUS)


def start(agent: WholeAgent, **body: object) -> tuple[dict[str, Any], ScriptedSearch]:
    answer = agent.ask("POST", "scan", body)
    assert isinstance(answer, Answer) and answer.status == 202, answer
    return json.loads(answer.body), agent.searches[-1]


def job(agent: WholeAgent) -> dict[str, Any]:
    found: dict[str, Any] = agent.json("GET", "scan")["job"]
    return found


def test_own_networks_and_lines_are_offered(agent: WholeAgent) -> None:
    assert agent.json("GET", "scan") == {
        "offered": {"networks": ["192.168.1.0/24"], "lines": ["/dev/ttyUSB0"]},
        "job": None,
    }


def test_a_search_shows_how_far_it_is_and_its_results_while_it_runs(agent: WholeAgent) -> None:
    made, search = start(agent)
    assert (made["state"], made["networks"], made["by"]) == ("running", ["192.168.1.0/24"], "admin")
    search.progress, search.found = Progress(100, 250, 3.5), (KEBA, STRANGER)
    now = job(agent)
    assert (now["done"], now["of"], now["eta_s"], now["devices"], now["ended_at"]) == (100, 250, 3.5, 1, None)
    assert now["found"][0] == {
        "address": KEBA.address,
        "how": "modbus",
        "driver": "keba-p30",
        "title": "KEBA P30",
        "kind": "charger",
        "firmware": "7",
        "called": "",
        "yours": None,
    }
    assert now["found"][1]["driver"] is None
    search.end()
    assert job(agent)["state"] == "done" and job(agent)["ended_at"] is not None


def test_what_was_found_can_be_added_at_once_and_is_yours_then(agent: WholeAgent) -> None:
    _, search = start(agent)
    search.found = (KEBA,)
    agent.json("POST", "devices", {"name": "Garage", "driver": KEBA.driver, "address": KEBA.address})
    assert job(agent)["found"][0]["yours"] == "garage"


def test_the_sites_devices_are_not_asked_and_stand_among_the_results(agents: Make) -> None:
    agent = agents(
        house(
            box(driver="keba-p30", address="tcp://192.168.1.20?unit=255"),
            meter(driver="eastron-sdm630", address="tcp://box.lan:502?unit=1"),
        )
    )
    _, search = start(agent)
    assert {str(host) for host in search.in_use} == {"192.168.1.20", "192.168.1.99"}
    assert [(one["how"], one["yours"]) for one in job(agent)["found"]] == [("in-use", "garage"), ("in-use", "grid")]


def test_a_second_search_waits_for_the_end_of_the_first(agent: WholeAgent) -> None:
    _, search = start(agent)
    assert agent.refused("POST", "scan", {})[:2] == (409, "scan-running")
    search.end()
    assert start(agent)[0]["number"] == 2


def test_a_search_is_cancelled_once_and_keeps_what_it_found(agent: WholeAgent) -> None:
    assert agent.refused("DELETE", "scan")[:2] == (409, "no-scan")
    _, search = start(agent)
    search.found = (KEBA,)
    assert agent.json("DELETE", "scan")["state"] == "ending"
    assert search.cancelled
    assert agent.refused("DELETE", "scan")[:2] == (409, "no-scan")
    assert agent.refused("POST", "scan", {})[:2] == (409, "scan-running")
    search.end()
    assert (job(agent)["state"], len(job(agent)["found"])) == ("cancelled", 1)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"networks": ["192.168.0.0/16"]}, "networks"),
        ({"networks": ["192.168.2.0/24"]}, "networks"),
        ({"networks": ["127.0.0.0/24"]}, "networks"),
        ({"networks": ["box.lan"]}, "networks"),
        ({"networks": [""]}, "networks"),
        ({"lines": ["/dev/ttyNOTHING"]}, "lines"),
        ({"lines": ["/dev/null"]}, "lines"),
        ({"lines": [f"/dev/tty{n}" for n in range(9)]}, "lines"),
        ({"units": "few"}, "units"),
        ({"units": "0-300"}, "units"),
    ],
)
def test_what_cannot_be_searched_names_its_field(agent: WholeAgent, body: dict[str, Any], field: str) -> None:
    assert agent.refused("POST", "scan", body) == (422, "invalid-field", field)
    assert agent.searches == []


def test_a_line_that_a_device_is_on_is_left_to_it(agents: Make) -> None:
    near, far = os.openpty()
    try:
        line = os.ttyname(far)
        device = box(driver="heidelberg-energy-control", address=f"rtu://{line}?unit=1")
        agent = agents(house(device))
        assert agent.refused("POST", "scan", {"lines": [line]}) == (422, "invalid-field", "lines")
        agent.json("PUT", "devices/garage", {"out_of_service": True})
        assert start(agent, lines=[line], units="all")[1].wish.lines == (line,)
        assert agent.searches[-1].wish.units == tuple(range(1, 248))
    finally:
        os.close(near)
        os.close(far)


def test_a_search_is_started_at_the_site_and_seen_and_cancelled_from_anywhere(agent: WholeAgent) -> None:
    assert agent.refused("POST", "scan", {}, REMOTE_ADMIN)[:2] == (403, "site-only")
    start(agent)
    assert agent.json("GET", "scan", caller=REMOTE_ADMIN)["job"]["state"] == "running"
    assert agent.json("DELETE", "scan", caller=REMOTE_ADMIN)["state"] == "ending"


def test_a_search_ends_with_the_program(agent: WholeAgent) -> None:
    _, search = start(agent)
    agent.close()
    assert search.over
    agent.searches.clear()
