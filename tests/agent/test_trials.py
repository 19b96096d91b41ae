"""Tests of devices: refused where they would disturb, given back to control on every way out, kept as a report."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail

from charging_manager.agent.reports import KEPT
from charging_manager.errors import DeviceRefused
from charging_manager.http.routes import Answer
from charging_manager.http.table import RawRequest
from charging_manager.model.reading import Status
from charging_manager.storage.database import StorageError
from tests.agent.test_api_devices import KEBA, METER
from tests.agent.waiting import result_of
from tests.agent.whole import ADMIN, REMOTE_ADMIN, WholeAgent

CHARGING = {"status": Status.CHARGING, "current_a": (10.0, 10.0, 10.0)}


@pytest.fixture
def agent(agent: WholeAgent) -> WholeAgent:
    """With one box that answers."""
    agent.json("POST", "devices", KEBA)
    agent.run(2)
    return agent


def begin(agent: WholeAgent, query: str = "") -> Deferred[Answer]:
    """A test that goes on until ``trial_holds`` fires or it is ended."""
    agent.trial_holds = Deferred()
    raw = RawRequest("POST", "/api/v1/devices/garage/test", query)
    return Deferred.fromCoroutine(agent.table.answer(raw, ADMIN))  # type: ignore[arg-type]


def said(answer: Deferred[Answer]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result_of(answer).body)
    return found


def names(told: dict[str, Any]) -> list[str]:
    return [step["name"] for step in told["steps"]]


def report(agent: WholeAgent, number: int | None) -> dict[str, Any]:
    found: dict[str, Any] = agent.json("GET", f"devices/garage/reports/{number}")
    return found


def test_the_test_of_a_device_goes_step_by_step(agent: WholeAgent) -> None:
    told = agent.json("POST", "devices/garage/test")
    assert told["steps"] == [
        {"name": "setpoint", "ok": True, "text": "It took 6 A and shows it"},
        {"name": "given-back", "ok": True, "text": "It is steered again and obeys 0 A"},
    ]
    assert (told["ok"], told["verdict"], told["report"]) == (True, "passed", 1)
    assert agent.devices["garage"].setpoint_a == 0.0, "there is no car"


def test_a_test_does_not_overload_a_full_circuit(agent: WholeAgent) -> None:
    agent.json("POST", "devices", METER)
    agent.run(5)  # the meter has said nothing that counts
    told = agent.json("POST", "devices/garage/test")
    assert told["ok"] is False and names(told) == ["free"]
    assert agent.json("GET", "devices/garage/reports") == {"reports": []}


def test_the_report_says_what_when_where_and_who(agent: WholeAgent) -> None:
    number = agent.json("POST", "devices/garage/test")["report"]
    found = report(agent, number)
    device = found["device"]
    assert (device["driver"], device["model"]) == ("keba-p30", "KEBA KeContact P30 c-series, x-series")
    assert (device["address"], device["phases"]) == (KEBA["address"], [1, 2, 3])
    (main,) = agent.json("GET", "site")["circuits"]
    assert device["circuit"] == {key: main[key] for key in ("id", "name", "limit_a")}
    assert found["by"] == {"role": "admin", "user": None, "source": "192.0.2.1"}
    assert found["site"]["serial"] == "AAAA-BBBB-CCCC-DDDD"
    assert found["began_at"] <= found["steps"][0]["began_at"][:19] + "+00:00" <= found["ended_at"]
    assert found["steps"][0]["spoken"] == [
        {
            "at": found["steps"][0]["began_at"],
            "wrote": True,
            "name": "setpoint_a",
            "place": "6:5004",
            "words": "1770",
            "value": 6.0,
            "unit": "A",
            "trouble": "",
        }
    ]
    assert agent.json("GET", "devices/garage/reports") == {
        "reports": [{"number": number, "at": found["began_at"], "verdict": "passed", "by": "admin"}]
    }
    assert agent.json("GET", "devices/garage/reports", caller=REMOTE_ADMIN)["reports"][0]["number"] == number


def test_a_report_is_said_in_the_readers_language(agent: WholeAgent) -> None:
    number = agent.json("POST", "devices/garage/test")["report"]
    answer = agent.ask("GET", f"devices/garage/reports/{number}", accept_language="de")
    assert isinstance(answer, Answer)
    step = json.loads(answer.body)["steps"][0]
    assert step["text"] == "Es hat 6 A angenommen und zeigt es an"


def test_while_a_car_is_charging_a_test_must_be_asked_for(agent: WholeAgent) -> None:
    agent.devices["garage"].values = CHARGING
    agent.run(10)
    assert agent.devices["garage"].setpoint_a == 16.0
    applied = list(agent.devices["garage"].applied)
    assert agent.refused("POST", "devices/garage/test")[:2] == (409, "car-charging")
    assert agent.devices["garage"].applied == applied
    told = agent.json("POST", "devices/garage/test", query="while_charging=1")
    assert told["ok"] and agent.devices["garage"].applied == [*applied, 6.0, 16.0]


def test_what_flows_counts_though_the_box_shows_another_state(agent: WholeAgent) -> None:
    agent.devices["garage"].values = {"status": Status.PLUGGED, "current_a": (9.0, 0.0, 0.0)}
    agent.run(2)
    assert agent.refused("POST", "devices/garage/test")[:2] == (409, "car-charging")
    agent.devices["garage"].values = {"status": Status.PLUGGED, "current_a": (0.2, 0.0, 0.0)}
    agent.run(2)
    assert agent.json("POST", "devices/garage/test")["ok"]


def test_a_test_shows_its_steps_while_it_runs_and_a_second_one_waits(agent: WholeAgent) -> None:
    assert agent.json("GET", "devices/garage/test") == {"running": False, "steps": []}
    going = begin(agent)
    now = agent.json("GET", "devices/garage/test")
    assert now == {"running": True, "steps": [{"name": "setpoint", "ok": True, "text": "It took 6 A and shows it"}]}
    assert agent.refused("POST", "devices/garage/test")[:2] == (409, "test-running")
    assert agent.trial_holds is not None
    agent.trial_holds.callback(None)
    assert said(going)["ok"] is True


def test_a_cancelled_test_gives_the_box_back_and_keeps_its_report(agent: WholeAgent) -> None:
    agent.devices["garage"].values = CHARGING
    agent.run(10)
    assert agent.refused("DELETE", "devices/garage/test")[:2] == (409, "no-test")
    going = begin(agent, "while_charging=1")
    agent.run(3)
    assert agent.devices["garage"].setpoint_a == 6.0, "control leaves it alone"
    answer = agent.ask("DELETE", "devices/garage/test")
    assert isinstance(answer, Answer) and answer.status == 204
    assert agent.devices["garage"].setpoint_a == 16.0
    told = said(going)
    assert (told["ok"], told["verdict"], names(told)) == (False, "cancelled", ["setpoint", "end", "given-back"])
    assert report(agent, told["report"])["verdict"] == "cancelled"
    assert agent.refused("DELETE", "devices/garage/test")[:2] == (409, "no-test")


def test_a_test_that_breaks_gives_the_box_back(agent: WholeAgent) -> None:
    agent.devices["garage"].values = CHARGING
    agent.run(10)
    going = begin(agent, "while_charging=1")
    assert agent.trial_holds is not None
    agent.trial_holds.errback(DeviceRefused(4, "it broke"))  # its own errors are steps; this one is none
    agent.run(1)
    assert agent.devices["garage"].setpoint_a == 16.0
    assert result_of(going).status == 502
    agent.trial_holds = None
    assert agent.json("POST", "devices/garage/test", query="while_charging=1")["ok"], "the next one may begin"


def test_a_test_is_broken_off_when_its_current_is_needed(agent: WholeAgent) -> None:
    agent.devices["garage"].values = CHARGING
    agent.run(10)
    going = begin(agent, "while_charging=1")
    agent.json("PUT", "charge-points/garage/mode", {"mode": "off"})
    agent.run(3)
    assert agent.devices["garage"].setpoint_a == 0.0
    told = said(going)
    assert (told["verdict"], names(told)[-2:]) == ("cancelled", ["end", "given-back"])
    assert "needed elsewhere" in told["steps"][-2]["text"]


@pytest.mark.parametrize("change", [{"address": "tcp://192.0.2.77?unit=255"}, {"out_of_service": True}])
def test_a_box_that_is_changed_during_its_test_is_left_on_its_fallback(
    agent: WholeAgent, change: dict[str, Any]
) -> None:
    going = begin(agent)
    before = agent.devices["garage"]
    agent.json("PUT", "devices/garage", change)
    agent.run(1)
    told = said(going)
    assert (told["verdict"], names(told)) == ("cancelled", ["setpoint", "end"])
    assert before.applied[-1] == 0.0, "6 A ended with the test"


def test_a_test_ends_with_the_program_and_its_report_is_kept(agent: WholeAgent) -> None:
    agent.devices["garage"].values = CHARGING
    agent.run(10)
    going = begin(agent, "while_charging=1")
    stopping = Deferred.fromCoroutine(agent.site.stop())
    agent.clock.pump([1.0] * 6)
    result_of(stopping)
    assert agent.devices["garage"].setpoint_a == 0.0, "its fallback"
    assert report(agent, said(going)["report"])["verdict"] == "cancelled"


def test_the_newest_reports_are_kept_and_go_with_their_device(agent: WholeAgent) -> None:
    numbers = [agent.json("POST", "devices/garage/test")["report"] for _ in range(KEPT + 2)]
    listed = [one["number"] for one in agent.json("GET", "devices/garage/reports")["reports"]]
    assert listed == numbers[:1:-1]
    assert agent.refused("GET", f"devices/garage/reports/{numbers[0]}")[0] == 404
    agent.ask("DELETE", "devices/garage")
    agent.run(1)
    agent.json("POST", "devices", KEBA)
    assert agent.json("GET", "devices/garage/reports") == {"reports": []}


@pytest.mark.parametrize("number", ["0", "99", "x", "-1", "²", "1" * 30])
def test_a_report_that_is_not_there_is_not_found(agent: WholeAgent, number: str) -> None:
    assert agent.refused("GET", f"devices/garage/reports/{number}")[:2] == (404, "not-found")


def test_a_full_disk_costs_the_report_and_not_the_test(agent: WholeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    assert agent.site.trials is not None
    monkeypatch.setattr(agent.site.trials.reports, "add", lambda *what: fail(StorageError("full", "the disk is full")))
    told = agent.json("POST", "devices/garage/test")
    assert (told["ok"], told["report"]) == (True, None)
