from __future__ import annotations

import json
from typing import Any

import pytest

from charging_manager.agent.config import UserSettings
from charging_manager.http.routes import Caller, Role, Stream
from charging_manager.model.reading import Status
from tests.agent.values import box, house, meter
from tests.agent.whole import ADMIN, Make, WholeAgent

ANN = Caller(Role.USER, "ann", source="192.0.2.2", login="ann-login")
AMPS = {"status": Status.CHARGING, "current_a": (10.0, 9.8, 10.2), "power_w": 6900.0, "energy_wh": 1000.0}


class Browser:
    """Reads an event stream, as fast as the test says."""

    def __init__(self, stream: Any) -> None:
        assert isinstance(stream, Stream)
        self.data = b""
        self.slow = False
        self.finished = False
        self.source = stream.start(self)

    def write(self, data: bytes) -> bool:
        self.data += data
        return not self.slow

    def finish(self) -> None:
        self.finished = True

    def events(self) -> list[tuple[str, int, Any]]:
        """What has come since the last look: name, number, data; comments are left out."""
        found = []
        for block in self.data.decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if lines:
                found.append((lines["event"], int(lines["id"]), json.loads(lines["data"])))
        self.data = b""
        return found


@pytest.fixture
def agent(agents: Make) -> WholeAgent:
    user = UserSettings("ann", "Ann", False, ("garage",), "de", "hash")
    agent = agents(
        house(
            box(driver="keba-p30"),
            box("yard", driver="keba-p30", address="tcp://127.0.0.1:1502?unit=7"),
            meter(driver="eastron-sdm630"),
            users=(user,),
        )
    )
    agent.devices["garage"].values = dict(AMPS)
    agent.devices["grid"].values = {"status": None, "current_a": (12.0, 12.0, 12.0), "power_w": 8000.0}
    agent.run(5)
    return agent


def test_the_state_holds_what_the_contract_says(agent: WholeAgent) -> None:
    state = agent.json("GET", "state")
    assert {"name", "serial", "version", "time"} <= state["site"].keys()
    [circuit] = state["site"]["circuits"]
    assert {"id", "limit_a", "used_a", "free_a", "stale"} <= circuit.keys() and len(circuit["used_a"]) == 3
    [garage, yard] = state["charge_points"]
    assert garage["status"] == "charging" and yard["status"] == "free"
    assert garage["current_a"] == [10.0, 9.8, 10.2] and garage["power_w"] == 6900
    assert garage["mode"] == "fast" and garage["setpoint_a"] >= 0
    assert garage["because"].keys() >= {"code", "text"} and garage["session_wh"] == 0
    [grid] = state["meters"]
    assert (grid["id"], grid["role"], grid["power_w"], grid["age_s"]) == ("grid", "grid", 8000, 0)
    assert state["cloud"]["state"] == "off"
    assert state["cycle"]["number"] >= 5 and state["cycle"]["duration_s"] >= 0
    assert state["api"]["major"] == 1 and {"mode:off", "mode:fast"} <= set(state["api"]["features"])


def test_a_user_sees_its_own_charge_points_and_nothing_of_the_house(agent: WholeAgent) -> None:
    state = agent.json("GET", "state", caller=ANN)
    assert [one["id"] for one in state["charge_points"]] == ["garage"]
    assert (state["site"]["circuits"], state["meters"], state["site"]["serial"]) == ([], [], "")
    assert "yard" not in json.dumps(state)


def test_a_silent_charge_point_is_offline_and_its_values_are_unknown(agent: WholeAgent) -> None:
    agent.devices["garage"].silent = True
    agent.run(31)
    garage = agent.json("GET", "state")["charge_points"][0]
    assert (garage["status"], garage["current_a"], garage["power_w"]) == ("offline", [None] * 3, None)
    assert garage["age_s"] > 30


def test_reasons_come_in_the_readers_language(agent: WholeAgent) -> None:
    agent.json("PUT", "charge-points/garage/mode", {"mode": "off"})
    agent.run(1)
    answer = agent.ask("GET", "state", accept_language="de")
    assert json.loads(answer.body)["charge_points"][0]["because"]["code"] == "mode-off"  # type: ignore[union-attr]
    assert json.loads(answer.body)["charge_points"][0]["because"]["sentence"] == "Switched off."  # type: ignore[union-attr]


def test_a_mode_is_obeyed_in_the_next_cycle(agent: WholeAgent) -> None:
    assert agent.json("PUT", "charge-points/garage/mode", {"mode": "off"}, ANN) == {"id": "garage", "mode": "off"}
    agent.run(1)
    assert agent.devices["garage"].setpoint_a == 0.0
    assert agent.json("GET", "state")["charge_points"][0]["mode"] == "off"


@pytest.mark.parametrize(
    ("body", "code"),
    [({"mode": "x"}, "bad-mode"), ({"mode": ""}, "bad-mode")],
)
def test_a_mode_that_is_not_there_is_refused(agent: WholeAgent, body: dict[str, str], code: str) -> None:
    assert agent.refused("PUT", "charge-points/garage/mode", body) == (422, code, "mode")


def test_a_user_cannot_touch_or_even_tell_other_charge_points(agent: WholeAgent) -> None:
    for path, body in (("mode", {"mode": "off"}), ("override", {"current_a": 6})):
        foreign = agent.refused("PUT", f"charge-points/yard/{path}", body, ANN)
        missing = agent.refused("PUT", f"charge-points/none/{path}", body, ANN)
        assert foreign == missing == (404, "not-found", None)
    assert agent.store.current.devices["yard"].mode.value == "fast"


def test_an_override_holds_until_the_car_has_gone(agent: WholeAgent) -> None:
    agent.json("PUT", "charge-points/garage/override", {"current_a": 8}, ANN)
    agent.run(30)
    assert agent.json("GET", "state")["charge_points"][0]["override_a"] == 8.0
    assert agent.devices["garage"].setpoint_a == 8.0
    agent.devices["garage"].values = {"status": Status.FREE}
    agent.run(2)
    assert agent.json("GET", "state")["charge_points"][0]["override_a"] is None
    assert agent.store.current.overrides == {}


@pytest.mark.parametrize("amps", [-1, 81, "much"])
def test_an_override_that_is_no_current_is_refused(agent: WholeAgent, amps: object) -> None:
    assert agent.refused("PUT", "charge-points/garage/override", {"current_a": amps})[::2] == (422, "current_a")


def test_an_override_ends_when_it_is_taken_back(agent: WholeAgent) -> None:
    agent.json("PUT", "charge-points/garage/override", {"mode": "off"})
    assert agent.json("GET", "state")["charge_points"][0]["mode"] in ("fast", "off")
    agent.json("PUT", "charge-points/garage/override", {"current_a": None})
    assert agent.store.current.overrides == {}


def test_events_begin_with_everything_and_go_on_with_what_changed(agent: WholeAgent) -> None:
    browser = Browser(agent.ask("GET", "events"))
    [(name, number, whole)] = browser.events()
    assert name == "snapshot" and [one["id"] for one in whole["charge_points"]] == ["garage", "yard"]
    agent.devices["garage"].values["power_w"] = 7000.0
    agent.run(2)
    events = browser.events()
    assert [event[0] for event in events] == ["delta", "delta"]
    assert number < events[0][1] < events[1][1]
    told = {key: value for _, _, data in events for key, value in data.get("charge_points", {}).items()}
    assert told == {"garage": {"power_w": 7000}}


def test_a_device_that_is_added_brings_a_new_snapshot(agent: WholeAgent) -> None:
    browser = Browser(agent.ask("GET", "events"))
    agent.ask("DELETE", "devices/yard")
    agent.run(1)
    names = [name for name, _, _ in browser.events()]
    assert names == ["snapshot", "snapshot", "delta"]


def test_a_reader_that_comes_back_gets_what_it_missed(agent: WholeAgent) -> None:
    first = Browser(agent.ask("GET", "events"))
    seen = first.events()[-1][1]
    first.source.stopped()
    agent.run(3)
    again = Browser(agent.ask("GET", "events", last_event_id=str(seen)))
    assert [name for name, _, _ in again.events()] == ["delta"] * 3


@pytest.mark.parametrize("last", ["1", "99999999", "-4", "x", "9" * 40])
def test_a_reader_with_an_id_that_nobody_knows_gets_everything(agent: WholeAgent, last: str) -> None:
    Browser(agent.ask("GET", "events"))
    agent.run(2)
    browser = Browser(agent.ask("GET", "events", last_event_id=last))
    assert [name for name, _, _ in browser.events()] == ["snapshot"]


def test_every_fifteen_seconds_a_comment_says_that_we_live(agent: WholeAgent) -> None:
    browser = Browser(agent.ask("GET", "events"))
    agent.run(31)
    assert browser.data.count(b": \n\n") == 2


def test_a_slow_reader_gets_the_newest_values_once_it_reads_again(agent: WholeAgent) -> None:
    browser = Browser(agent.ask("GET", "events"))
    browser.slow = True
    agent.run(1)
    browser.events()
    for power in (7100.0, 7200.0, 7300.0):
        agent.devices["garage"].values["power_w"] = power
        agent.run(1)
    assert browser.events() == []
    browser.slow = False
    browser.source.resumed()
    [(name, _, data)] = browser.events()
    assert name == "delta" and data["charge_points"]["garage"] == {"power_w": 7300}


def test_a_reader_that_reads_nothing_is_dropped_within_a_minute(agent: WholeAgent) -> None:
    browser = Browser(agent.ask("GET", "events"))
    browser.slow = True
    agent.run(75)
    assert browser.finished and agent.hub.readers == 0


def test_a_user_hears_only_of_its_own_charge_points(agent: WholeAgent) -> None:
    browser = Browser(agent.ask("GET", "events", caller=ANN))
    agent.devices["yard"].values = dict(AMPS)
    agent.devices["garage"].values["power_w"] = 6000.0
    agent.run(3)
    assert "yard" not in browser.data.decode()
    assert any("garage" in json.dumps(data) for name, _, data in browser.events() if name == "delta")


def test_a_user_whose_charge_points_change_must_come_anew(agent: WholeAgent) -> None:
    mine, admins = Browser(agent.ask("GET", "events", caller=ANN)), Browser(agent.ask("GET", "events", caller=ADMIN))
    agent.json("PUT", "users/ann", {"charge_points": ["yard"]})
    assert mine.finished and not admins.finished
    again = Browser(agent.ask("GET", "events", caller=ANN))
    assert [one["id"] for one in again.events()[0][2]["charge_points"]] == ["yard"]


def test_sessions_are_read_by_their_user_alone(agent: WholeAgent) -> None:
    agent.devices["yard"].values = dict(AMPS)
    agent.run(2)
    everybody = agent.json("GET", "sessions")["sessions"]
    assert {one["charge_point"] for one in everybody} == {"garage", "yard"}
    assert [one["charge_point"] for one in agent.json("GET", "sessions", caller=ANN)["sessions"]] == ["garage"]
    assert agent.json("GET", "sessions", caller=ANN, query="charge_point=yard")["sessions"] == []


def test_sessions_come_as_csv(agent: WholeAgent) -> None:
    agent.devices["garage"].values["energy_wh"] = 1500.0
    agent.run(1)
    answer = agent.ask("GET", "sessions.csv")
    lines = answer.body.decode().split("\r\n")  # type: ignore[union-attr]
    assert lines[0] == "id,charge_point,user,started_at,ended_at,energy_wh,start_wh,end_wh"
    assert lines[1].split(",")[1:3] == ["garage", "ann"] and lines[1].split(",")[5:8] == ["500.0", "1000.0", "1500.0"]
    assert answer.filename == "sessions.csv"


@pytest.mark.parametrize("query", ["from=yesterday", "to=2026-99-01"])
def test_a_time_that_is_none_is_refused(agent: WholeAgent, query: str) -> None:
    assert agent.refused("GET", "sessions", query=query)[:2] == (422, "bad-time")


def test_an_open_session_goes_on_after_a_kill(agents: Make, agent: WholeAgent) -> None:
    [before] = agent.json("GET", "sessions")["sessions"]
    agent.run(20)  # what was written down stays, without any farewell
    agent.database.close()
    agent.site.steering.stop()
    again = agents(values={"garage": {**AMPS, "energy_wh": 2000.0}})
    again.run(3)
    [after] = again.json("GET", "sessions")["sessions"]
    assert (after["id"], after["started_at"], after["ended_at"]) == (before["id"], before["started_at"], None)
    assert after["energy_wh"] == 1000.0
