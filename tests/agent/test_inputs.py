"""Inputs: from devices, programs and registers; unknown when nobody says anything of late."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from charging_manager.model.input import Input, InputSource
from charging_manager.model.reading import Status
from tests.agent.values import box, house, meter
from tests.agent.whole import ADMIN, REMOTE_ADMIN, Make, WholeAgent

KEBA = {"keba": {"status": Status.FREE, "values": {"state": 2}}}


@pytest.fixture
def agent(agents: Make) -> WholeAgent:
    return agents(house(box("keba", driver="keba-p30"), meter(driver="eastron-sdm630")), KEBA)


def put(agent: WholeAgent, *inputs: dict[str, Any]) -> Any:
    return agent.json("PUT", "inputs", {"inputs": [{"name": "One", **one} for one in inputs]})


def seen(agent: WholeAgent, name: str = "one") -> bool | None:
    agent.run(1)
    cycle = agent.site.steering.last
    assert cycle is not None
    return cycle.image.outside.inputs[name]


@pytest.mark.parametrize(
    ("rule", "value", "on"),
    [
        ({}, 0, False),
        ({}, 1, True),
        ({"equals": 3}, 3, True),
        ({"equals": 3}, 2, False),
        ({"at_least": 2.5}, 2.5, True),
        ({"at_least": 2.5}, 2, False),
        ({"bit": 3}, 8, True),
        ({"bit": 3}, 7, False),
        ({"bit": 0}, -1, None),
        ({}, None, None),
        ({}, "text", None),
        ({}, float("nan"), None),
        ({"inverted": True}, 0, True),
        ({"inverted": True}, None, None),
        ({"inverted": True, "unknown_counts_as": True}, None, True),
    ],
)
def test_a_devices_value_is_on_or_off_or_unknown(agent: WholeAgent, rule: Any, value: Any, on: bool | None) -> None:
    put(agent, {"source": "device", "device": "keba", "value": "state", **rule})
    agent.devices["keba"].values["values"] = {"state": value}
    agent.run(2)
    assert seen(agent) is on


def test_a_silent_devices_input_is_unknown_after_ten_seconds(agent: WholeAgent) -> None:
    put(agent, {"source": "device", "device": "keba", "value": "state"})
    agent.run(2)
    agent.devices["keba"].silent = True
    agent.run(8)
    assert seen(agent) is True
    agent.run(3)
    assert seen(agent) is None
    agent.devices["keba"].silent = False
    agent.run(2)
    assert seen(agent) is True


def test_a_program_says_it_for_a_while(agent: WholeAgent) -> None:
    put(agent, {"source": "api"})
    assert seen(agent) is None
    assert agent.json("PUT", "inputs/one", {"on": True, "for_s": 60})["on"] is True
    agent.run(50)
    assert seen(agent) is True
    agent.run(12)
    assert seen(agent) is None, "what was said for a minute is unknown then, not off"
    agent.json("PUT", "inputs/one", {"on": False})
    agent.run(600)
    assert seen(agent) is False


def test_an_input_that_is_another_one_now_forgets_what_was_said(agent: WholeAgent) -> None:
    put(agent, {"source": "api"})
    agent.json("PUT", "inputs/one", {"on": True})
    put(agent, {"source": "api", "inverted": True})
    assert seen(agent) is None


def test_what_is_shown_is_taken_back_unchanged(agent: WholeAgent) -> None:
    put(agent, {"source": "device", "device": "keba", "value": "state", "bit": 1}, {"source": "api"})
    shown = agent.json("GET", "inputs")
    assert [one["id"] for one in shown["inputs"]] == ["one", "one-2"]
    before = agent.store.current
    agent.json("PUT", "inputs", shown)
    assert agent.store.current == before
    state = agent.json("GET", "state")
    assert [one["id"] for one in state["inputs"]] == ["one", "one-2"]
    assert "inputs" in state["api"]["features"]


@pytest.mark.parametrize(
    ("one", "problem"),
    [
        ({"source": "gpio"}, (422, "bad-source", "inputs.0.source")),
        ({"source": "api", "name": " "}, (422, "invalid-field", "inputs.0.name")),
        ({"source": "api", "id": "Ä"}, (422, "invalid-field", "inputs.0.id")),
        ({"source": "device"}, (422, "invalid-field", "inputs.0.device")),
        ({"source": "device", "device": "gone", "value": "x"}, (422, "invalid-field", "inputs.0.device")),
        ({"source": "device", "device": "keba"}, (422, "invalid-field", "inputs.0.value")),
        ({"source": "device", "device": "keba", "value": "x"}, (422, "unknown-value", "inputs.0.value")),
        ({"source": "device", "device": "keba", "value": "serial"}, (422, "slow-value", "inputs.0.value")),
        (
            {"source": "device", "device": "keba", "value": "state", "bit": 64},
            (422, "invalid-field", "inputs.0.bit"),
        ),
        (
            {"source": "device", "device": "keba", "value": "state", "bit": 1, "equals": 2},
            (422, "invalid-field", "inputs.0.bit"),
        ),
        ({"source": "modbus"}, (422, "invalid-field", "inputs.0.register")),
        ({"source": "modbus", "register": 32}, (422, "invalid-field", "inputs.0.register")),
        ({"source": "modbus", "register": 1, "holds_s": 0}, (422, "invalid-field", "inputs.0.holds_s")),
    ],
)
def test_a_bad_input_is_refused_by_its_field(agent: WholeAgent, one: Any, problem: Any) -> None:
    assert agent.refused("PUT", "inputs", {"inputs": [{"name": "One", **one}]}) == problem
    assert agent.store.current.inputs == {}


def test_two_inputs_have_neither_one_id_nor_one_register(agent: WholeAgent) -> None:
    twice = [{"name": "One", "source": "api", "id": "a"}, {"name": "Two", "source": "api", "id": "a"}]
    assert agent.refused("PUT", "inputs", {"inputs": twice}) == (409, "duplicate", "inputs.1.id")
    twice = [{"name": name, "source": "modbus", "register": 4} for name in ("One", "Two")]
    assert agent.refused("PUT", "inputs", {"inputs": twice}) == (422, "invalid-field", "inputs.1.register")
    many = [{"name": f"Input {number}", "source": "api"} for number in range(65)]
    assert agent.refused("PUT", "inputs", {"inputs": many})[0] == 422


def test_saying_what_cannot_be(agent: WholeAgent) -> None:
    put(agent, {"source": "api"}, {"source": "device", "device": "keba", "value": "state", "id": "two"})
    assert agent.refused("PUT", "inputs/three", {"on": True}) == (404, "not-found", None)
    assert agent.refused("PUT", "inputs/two", {"on": True}) == (409, "other-source", None)
    for for_s in (0, -1, 1e9):
        assert agent.refused("PUT", "inputs/one", {"on": True, "for_s": for_s}) == (422, "bad-time", "for_s")
    assert agent.refused("PUT", "inputs/one", {"on": 2})[0] == 422
    assert agent.refused("PUT", "inputs/one", {"on": True}, REMOTE_ADMIN) == (403, "site-only", None)
    assert agent.refused("PUT", "inputs", {"inputs": []}, evolve(ADMIN, remote=True)) == (403, "site-only", None)


def test_an_input_cannot_lose_its_device(agent: WholeAgent) -> None:
    put(agent, {"source": "device", "device": "keba", "value": "state"})
    status, code, _ = agent.refused("DELETE", "devices/keba")
    assert (status, code) == (422, "invalid-field")
    assert "keba" in agent.store.current.devices


def test_inputs_survive_a_restart_and_a_document_of_them_is_read_back() -> None:
    one = Input("one", "One", InputSource.DEVICE, "keba", "state", bit=3)
    assert one.reads(8) is True
    assert evolve(one, bit=None).reads(0.5) is True
