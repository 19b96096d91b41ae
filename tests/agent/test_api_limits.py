"""Limits beside fuses over the API: what GET shows PUT takes, a fault is named, and nothing is raised from afar."""

from __future__ import annotations

import json
from typing import Any

import pytest

from charging_manager.model.site import Breaker, BreakerCurve
from tests.agent.test_api_site import circuits
from tests.agent.whole import REMOTE_ADMIN, WholeAgent

ALL = {
    "limit_a": [32, 32, 32],
    "charging_limit_a": [20, 20, 25],
    "limit_w": 20_000,
    "charging_limit_w": 11_000,
    "breaker": {"curve": "C", "rated_a": 40},
}
BOX = {"name": "Garage", "driver": "keba-p30", "address": "tcp://192.0.2.7?unit=255"}


def test_every_limit_is_kept_shown_and_stays_where_it_is_left_out(agent: WholeAgent) -> None:
    agent.json("PUT", "site", {**circuits(agent, **ALL), "first_come": True, "unbalance_with_house": True})
    main = agent.store.current.circuits["main"]
    assert (main.charging_limit_a, main.limit_w, main.charging_limit_w) == ((20.0, 20.0, 25.0), 20_000.0, 11_000.0)
    assert main.breaker == Breaker(BreakerCurve.C, 40.0)
    before = agent.store.current
    said = agent.json("GET", "site")
    assert (said["first_come"], said["unbalance_with_house"]) == (True, True)
    agent.json("PUT", "site", said)
    assert agent.store.current == before
    agent.json("PUT", "site", {"circuits": [{"id": "main", "name": main.name, "limit_a": [32, 32, 32]}]})
    assert agent.store.current == before
    agent.json("PUT", "site", circuits(agent, charging_limit_a=None, limit_w=None, charging_limit_w=None, breaker=None))
    main = agent.store.current.circuits["main"]
    assert (main.charging_limit_a, main.limit_w, main.charging_limit_w, main.breaker) == (None, None, None, None)


@pytest.mark.parametrize(
    ("main", "field"),
    [
        ({"charging_limit_a": [1, 2]}, "circuits.0.charging_limit_a"),
        ({"charging_limit_a": [1, 2, -3]}, "circuits.0.charging_limit_a"),
        ({"limit_w": -5}, "circuits.0.limit_w"),
        ({"charging_limit_w": -5}, "circuits.0.charging_limit_w"),
        ({"breaker": {"curve": "D", "rated_a": 40}}, "circuits.0.breaker.curve"),
        ({"breaker": {"curve": "B", "rated_a": 5}}, "circuits.0.breaker.rated_a"),
        ({"breaker": {"curve": "B", "rated_a": 126}}, "circuits.0.breaker.rated_a"),
        ({"breaker": {"curve": "B", "rated_a": 25}}, "circuits.0.breaker.rated_a"),
    ],
)
def test_a_limit_that_cannot_be_is_named(agent: WholeAgent, main: dict[str, Any], field: str) -> None:
    before = agent.store.current
    assert agent.refused("PUT", "site", circuits(agent, **{**ALL, **main}))[::2] == (422, field)
    assert agent.store.current == before


def test_one_number_stands_for_all_phases(agent: WholeAgent) -> None:
    agent.json("PUT", "site", circuits(agent, limit_a=32, charging_limit_a=16.5))
    main = agent.store.current.circuits["main"]
    assert (main.limit_a, main.charging_limit_a) == ((32.0,) * 3, (16.5,) * 3)
    schema = agent.json("GET", "openapi.json")["components"]["schemas"]["CircuitBody"]["properties"]
    for key in ("limit_a", "charging_limit_a"):
        assert {"type": "number"} in schema[key]["anyOf"]
        body = circuits(agent, **{key: "16"})
        answer = json.loads(agent.ask("PUT", "site", body).body)  # type: ignore[arg-type]
        assert (answer["field"], "like [16, 16, 16]" in answer["detail"]) == (f"circuits.0.{key}", True)


@pytest.mark.parametrize(
    ("main", "field", "code"),
    [
        ({"limit_a": 5}, "limit_a", "limit-too-low"),
        ({"charging_limit_a": 4}, "charging_limit_a", "limit-too-low"),
        ({"limit_w": 100}, "limit_w", "watts-too-low"),
        ({"charging_limit_w": 1000}, "charging_limit_w", "watts-too-low"),
        ({"reserve_a": 28}, "reserve_a", "reserve-too-large"),
        ({"limit_a": 25, "breaker": {"curve": "B", "rated_a": 63}}, "breaker.rated_a", "breaker-too-large"),
        ({"limit_a": 25, "breaker": {"curve": "B", "rated_a": 40}}, None, None),
        ({"limit_a": 0, "limit_w": 0, "charging_limit_a": 0, "charging_limit_w": 0}, None, None),
        ({"limit_a": 16, "limit_w": 11_000, "charging_limit_a": 6, "charging_limit_w": 1380}, None, None),
    ],
)
def test_what_is_possible_and_odd_is_said_and_kept(
    agent: WholeAgent, main: dict[str, Any], field: str | None, code: str | None
) -> None:
    said = agent.json("PUT", "site", circuits(agent, **{"limit_a": [32, 32, 32], **main}))
    expected = [] if field is None else [(f"circuits.main.{field}", code)]
    assert [(one["where"], one["code"]) for one in said["warnings"]] == expected
    assert all("{" not in one["text"] for one in said["warnings"])
    assert agent.json("GET", "site")["warnings"] == said["warnings"]
    before = agent.store.current
    agent.json("PUT", "site", said)
    assert agent.store.current == before


def test_a_charge_point_that_may_take_hardly_anything_is_said(agent: WholeAgent) -> None:
    agent.json("POST", "devices", {**BOX, "max_w": 1000})
    (warning,) = agent.json("GET", "site")["warnings"]
    assert (warning["where"], warning["code"]) == ("devices.garage.max_w", "watts-too-low")
    assert "1380 W" in warning["text"]


@pytest.mark.parametrize("wrong", [1.5, -5000, "high", True])
def test_a_priority_is_refused_in_the_same_words_for_users_and_charge_points(agent: WholeAgent, wrong: Any) -> None:
    agent.json("POST", "devices", BOX)
    agent.json("POST", "users", {"name": "Ann"})
    answers = [json.loads(agent.ask("PUT", path, {"priority": wrong}).body) for path in ("users/ann", "devices/garage")]  # type: ignore[arg-type]
    assert answers[0] == answers[1]
    assert answers[0]["detail"] == "a whole number from -1000 to 1000; higher is served first"
    for path in ("users/ann", "devices/garage"):
        assert agent.json("PUT", path, {"priority": -3})["priority"] == -3


def test_the_site_has_a_time_zone_of_its_own(agent: WholeAgent) -> None:
    assert agent.json("GET", "site")["timezone"] == "Europe/Paris"
    assert agent.json("PUT", "site", {"timezone": "Europe/Lisbon"})["timezone"] == "Europe/Lisbon"
    assert agent.json("GET", "me")["timezone"] == "Europe/Lisbon"
    assert agent.refused("PUT", "site", {"timezone": "Mars/Base"}) == (422, "invalid-field", "timezone")


@pytest.mark.parametrize(
    "body",
    [
        {"charging_limit_a": [20, 20, 26]},
        {"charging_limit_a": None},
        {"limit_w": 20_001},
        {"limit_w": None},
        {"charging_limit_w": 12_000},
        {"charging_limit_w": None},
        {"breaker": {"curve": "C", "rated_a": 50}},
        {"breaker": {"curve": "B", "rated_a": 40}},
    ],
)
def test_what_loosens_a_further_limit_is_done_at_the_site_only(agent: WholeAgent, body: dict[str, Any]) -> None:
    agent.json("PUT", "site", circuits(agent, **ALL))
    before = agent.store.current
    assert agent.refused("PUT", "site", circuits(agent, **body), REMOTE_ADMIN)[:2] == (403, "site-only")
    assert agent.store.current == before
    agent.json("PUT", "site", circuits(agent, **body))
    assert agent.store.current != before


def test_a_breaker_is_entered_at_the_site_only_and_may_be_taken_away_from_afar(agent: WholeAgent) -> None:
    breaker = {"breaker": {"curve": "B", "rated_a": 32}}
    assert agent.refused("PUT", "site", circuits(agent, **breaker), REMOTE_ADMIN)[:2] == (403, "site-only")
    agent.json("PUT", "site", circuits(agent, **breaker))
    agent.json("PUT", "site", circuits(agent, breaker={"curve": "B", "rated_a": 20}), REMOTE_ADMIN)
    agent.json("PUT", "site", circuits(agent, breaker=None), REMOTE_ADMIN)
    assert agent.store.current.circuits["main"].breaker is None


def test_what_tightens_is_allowed_from_afar(agent: WholeAgent) -> None:
    lower = {"charging_limit_a": [10, 10, 10], "limit_w": 9_000, "charging_limit_w": 4_200}
    agent.json("PUT", "site", {**circuits(agent, **lower), "unbalance_with_house": True}, REMOTE_ADMIN)
    assert agent.store.current.circuits["main"].limit_w == 9_000.0
    assert agent.refused("PUT", "site", {"unbalance_with_house": False}, REMOTE_ADMIN)[:2] == (403, "site-only")


def test_the_watts_of_a_charge_point_are_lowered_from_afar_and_raised_at_the_site(agent: WholeAgent) -> None:
    [name] = [agent.json("POST", "devices", {**BOX, "max_w": 11_000})["id"]]
    assert agent.json("GET", f"devices/{name}")["max_w"] == 11_000.0
    assert agent.json("PUT", f"devices/{name}", {"max_w": 7_000}, REMOTE_ADMIN)["max_w"] == 7_000.0
    for more in (8_000, None):
        assert agent.refused("PUT", f"devices/{name}", {"max_w": more}, REMOTE_ADMIN)[:2] == (403, "site-only")
    assert agent.json("PUT", f"devices/{name}", {"name": "Other"}, REMOTE_ADMIN)["max_w"] == 7_000.0
    assert agent.refused("PUT", f"devices/{name}", {"max_w": 0})[::2] == (422, "max_w")
    agent.ask("DELETE", f"devices/{name}", None, REMOTE_ADMIN)
    assert agent.refused("POST", "devices", BOX, REMOTE_ADMIN)[:2] == (403, "site-only")
    agent.json("POST", "devices", {**BOX, "max_w": 11_000}, REMOTE_ADMIN)


def test_a_user_brings_a_priority_along(agent: WholeAgent) -> None:
    box = agent.json("POST", "devices", BOX)["id"]
    user = agent.json("POST", "users", {"name": "Ada", "charge_points": [box], "priority": 7})["id"]
    assert agent.json("PUT", f"users/{user}", {"name": "Ada L"})["priority"] == 7
    assert agent.refused("PUT", f"users/{user}", {"priority": 2000})[::2] == (422, "priority")
    assert agent.json("PUT", f"users/{user}", {"priority": None})["priority"] is None


def test_a_box_that_can_never_charge_is_named_to_the_admin(agent: WholeAgent) -> None:
    agent.json("POST", "devices", BOX)
    agent.json("PUT", "site", circuits(agent, charging_limit_a=[5, 5, 5]))
    agent.run(1)
    [alarm] = [one for one in agent.json("GET", "state")["alarms"] if one["code"] == "circuit-below-minimum"]
    assert alarm["text"] == "Garage can never charge: the circuit Main allows less than its least of 6 A."
    agent.json("PUT", "site", circuits(agent, charging_limit_a=None))
    agent.run(1)
    assert [one for one in agent.json("GET", "state")["alarms"] if one["code"] == "circuit-below-minimum"] == []
