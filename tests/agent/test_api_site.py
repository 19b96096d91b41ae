from __future__ import annotations

from typing import Any

import pytest

from tests.agent.whole import REMOTE_ADMIN, WholeAgent

SUB = {"id": "sub", "name": "Sub", "parent": "main", "limit_a": [10, 10, 10]}


def circuits(agent: WholeAgent, *more: dict[str, Any], **main: Any) -> dict[str, Any]:
    """A body that changes the main circuit and adds others."""
    [first, *_] = agent.json("GET", "site")["circuits"]
    return {"circuits": [{**first, **main}, *more]}


def test_what_get_shows_put_takes(agent: WholeAgent) -> None:
    before = agent.store.current
    agent.json("PUT", "site", agent.json("GET", "site"))
    assert agent.store.current == before


def test_limits_are_changed_at_once(agent: WholeAgent) -> None:
    said = agent.json("PUT", "site", circuits(agent, SUB, limit_a=[32, 32, 25], reserve_a=1.5))
    assert [circuit["id"] for circuit in said["circuits"]] == ["main", "sub"]
    agent.run(1)
    [main, _sub] = agent.json("GET", "state")["site"]["circuits"]
    assert main["limit_a"] == [32.0, 32.0, 25.0]


def test_unbalance_null_means_no_limit_and_left_out_means_as_before(agent: WholeAgent) -> None:
    assert agent.json("PUT", "site", {"unbalance_a": None})["unbalance_a"] is None
    assert agent.json("PUT", "site", {"unbalance_a": 10})["unbalance_a"] == 10.0
    assert agent.json("PUT", "site", {"name": "Depot"})["unbalance_a"] == 10.0


@pytest.mark.parametrize(
    ("main", "more", "status", "field"),
    [
        ({"limit_a": ["x", 1, 1]}, [], 422, None),
        ({"limit_a": [1, 1]}, [], 422, "circuits.0.limit_a"),
        ({"limit_a": [-1, 1, 1]}, [], 422, "circuits.0.limit_a"),
        ({"limit_a": [1, 1, 200_000]}, [], 422, "circuits.0.limit_a"),
        ({"reserve_a": -1}, [], 422, "circuits.0.reserve_a"),
        ({"limit_a": [16, 0, 0], "reserve_a": 17}, [], 422, "circuits.0.reserve_a"),
        ({"limit_a": [32, 16, 32], "reserve_a": 17}, [], 422, "circuits.0.reserve_a"),
        ({"limit_a": [16, 16, 16], "fallback_a": 17}, [], 422, "circuits.0.fallback_a"),
        ({"parent": "main"}, [], 422, "circuits.0.parent"),
        ({"parent": "sub"}, [SUB], 422, "circuits.0.parent"),
        ({"meter": "ghost"}, [], 422, "circuits.0.meter"),
        ({}, [{**SUB, "parent": None}], 422, "circuits"),
        ({}, [{**SUB, "parent": "attic"}], 422, "circuits.1.parent"),
        ({}, [{**SUB, "id": None, "parent": "attic"}], 422, "circuits.1.parent"),
        ({}, [SUB, SUB], 409, "circuits.2.id"),
        ({}, [{**SUB, "id": "Sub!"}], 422, "circuits.1.id"),
    ],
)
def test_a_tree_that_makes_no_sense_changes_nothing(
    agent: WholeAgent, main: dict[str, Any], more: list[dict[str, Any]], status: int, field: str | None
) -> None:
    before = agent.store.current
    found = agent.refused("PUT", "site", circuits(agent, *more, **main))
    assert found[0] == status
    if field is not None:
        assert found[2] == field
    assert agent.store.current == before


def test_a_circuit_with_something_in_it_cannot_go(agent: WholeAgent) -> None:
    agent.json("PUT", "site", circuits(agent, SUB))
    agent.json(
        "POST",
        "devices",
        {"name": "Garage", "driver": "keba-p30", "address": "tcp://192.0.2.7?unit=255", "circuit": "sub"},
    )
    assert agent.refused("PUT", "site", circuits(agent))[::2] == (422, "circuits")


@pytest.mark.parametrize(
    "body",
    [
        {"limit_a": [17, 16, 16]},
        {"reserve_a": 0.0},
        {"fallback_a": 7.0},
        {"meter": None},
    ],
)
def test_what_loosens_a_circuit_is_done_at_the_site_only(agent: WholeAgent, body: dict[str, Any]) -> None:
    agent.json(
        "POST", "devices", {"name": "M", "driver": "eastron-sdm630", "address": "tcp://192.0.2.8", "role": "grid"}
    )
    agent.json("PUT", "site", circuits(agent, reserve_a=2.0, fallback_a=6.0))
    before = agent.store.current
    assert agent.refused("PUT", "site", circuits(agent, **body), REMOTE_ADMIN)[:2] == (403, "site-only")
    assert agent.store.current == before
    agent.json("PUT", "site", circuits(agent, **body))


def test_the_unbalance_limit_and_the_tree_cannot_be_loosened_from_afar(agent: WholeAgent) -> None:
    agent.json("PUT", "site", circuits(agent, SUB, {**SUB, "id": "deep", "parent": "sub"}))
    assert agent.refused("PUT", "site", {"unbalance_a": None}, REMOTE_ADMIN)[1] == "site-only"
    assert agent.refused("PUT", "site", {"unbalance_a": 21}, REMOTE_ADMIN)[1] == "site-only"
    moved = circuits(agent, SUB, {**SUB, "id": "deep", "parent": "main"})
    assert agent.refused("PUT", "site", moved, REMOTE_ADMIN)[1] == "site-only"
    assert agent.refused("PUT", "site", circuits(agent), REMOTE_ADMIN)[1] == "site-only"


def test_what_tightens_is_allowed_from_afar(agent: WholeAgent) -> None:
    body = {**circuits(agent, SUB, limit_a=[10, 16, 16], reserve_a=1.0), "unbalance_a": 16, "name": "Depot"}
    said = agent.json("PUT", "site", body, REMOTE_ADMIN)
    assert said["circuits"][0]["limit_a"] == [10.0, 16.0, 16.0]


def test_a_phase_without_a_fuse_does_not_forbid_a_reserve(agent: WholeAgent) -> None:
    said = agent.json("PUT", "site", circuits(agent, limit_a=[16, 0, 0], reserve_a=16))
    assert said["circuits"][0]["reserve_a"] == 16.0
