"""Why, over the API: the chain now, what was decided earlier, what would change it, and who may know what."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from attrs import evolve

from charging_manager.agent.config import Override, UserSettings
from charging_manager.http.routes import Answer, Caller, Role
from charging_manager.model.mode import Mode
from charging_manager.model.reading import Status
from charging_manager.model.rule import Rule
from tests.agent.values import box, house, meter
from tests.agent.waiting import result_of
from tests.agent.whole import ADMIN, REMOTE_ADMIN, Make, WholeAgent

ANN = Caller(Role.USER, "ann", source="192.0.2.2", login="ann-login")
GERMAN = evolve(ADMIN, language="de")


@pytest.fixture
def agent(agents: Make) -> WholeAgent:
    user = UserSettings("ann", "Ann", False, ("garage",), "en", "hash")
    agent = agents(
        house(
            box(driver="keba-p30"),
            box("yard", driver="keba-p30", address="tcp://127.0.0.1:1502?unit=7"),
            meter(driver="eastron-sdm630"),
            users=(user,),
        )
    )
    agent.devices["grid"].values = {"status": None, "current_a": (0.0, 0.0, 0.0)}
    agent.run(5)
    return agent


def plug(agent: WholeAgent, *names: str, house_a: float = 0.0, for_s: int = 20) -> None:
    """Cars that draw what they may, beside so much house load."""
    for _ in range(for_s):
        flow = house_a
        for name in names:
            amps = agent.devices[name].setpoint_a or 0.0
            flow += amps
            status = Status.CHARGING if amps else Status.PLUGGED
            agent.devices[name].values = {"status": status, "current_a": (amps, amps, amps)}
        agent.devices["grid"].values = {"status": None, "current_a": (flow, flow, flow)}
        agent.run(1)


def why(agent: WholeAgent, name: str = "garage", caller: Caller = ADMIN, query: str = "", status: int = 200) -> Any:
    answer = agent.ask("GET", f"charge-points/{name}/why", caller=caller, query=query)
    assert isinstance(answer, Answer)
    assert answer.status == status, answer.body
    return json.loads(answer.body)


def test_the_chain_has_all_its_links_and_one_decides(agent: WholeAgent) -> None:
    plug(agent, "garage", "yard")
    said = why(agent)
    assert [link["step"] for link in said["chain"]] == ["limit", "demand", "share", "rule", "setpoint"]
    assert [link["step"] for link in said["chain"] if link["binds"]] == ["share"]
    assert said["sentence"] == (
        "16 A: The circuit Main is full on L1: what its 32 A leave beside reserve and other loads is shared fairly"
        " (cars: 2)."
    )
    texts = [fact["text"] for link in said["chain"] for fact in link["facts"]]
    assert "The charge point is set to 32 A at most." in texts
    assert "16 A of it: Yard." in texts
    assert "16 A are sent." in texts
    assert all("{" not in text for text in texts)


def test_what_would_change_it_is_computed(agent: WholeAgent) -> None:
    plug(agent, "garage", "yard")
    hints = {hint["code"]: hint for hint in why(agent)["what_would_change_it"]}
    assert hints["if-priority"]["setpoint_a"] == 32.0
    assert hints["if-circuit"]["text"] == "If the circuit Main could give more."
    assert (hints["if-circuit"]["setpoint_a"], hints["if-circuit"]["then"]["code"]) == (32.0, "maximum")
    assert "if-circuit" not in {hint["code"] for hint in why(agent, caller=ANN)["what_would_change_it"]}
    assert "if-priority" not in {hint["code"] for hint in why(agent, caller=ANN)["what_would_change_it"]}


def test_a_user_reads_of_its_own_and_of_another_charge_point_without_a_name(agent: WholeAgent) -> None:
    plug(agent, "garage", "yard")
    said = why(agent, caller=ANN)
    assert "Yard" not in json.dumps(said)
    assert "yard" not in json.dumps(said)
    assert "16 A of it: another charge point." in [fact["text"] for link in said["chain"] for fact in link["facts"]]
    plug(agent, "garage", "yard", house_a=5.0)
    facts = {
        name: {f["code"] for link in why(agent, caller=who)["chain"] for f in link["facts"]}
        for name, who in (("ann", ANN), ("admin", ADMIN))
    }
    assert facts["admin"] - facts["ann"] == {"line-house"}, "nothing of the house"
    why(agent, "yard", caller=ANN, status=404)
    why(agent, "nowhere", status=404)
    assert "Yard" in json.dumps(why(agent, caller=REMOTE_ADMIN))


def test_a_turn_is_told_with_its_holder_and_until_when_and_the_state_keeps_the_secret_too(agent: WholeAgent) -> None:
    plug(agent, "yard", "garage", house_a=22.0, for_s=40)
    said = {name: why(agent, name) for name in ("garage", "yard")}
    waits, charges = ("garage", "yard") if said["garage"]["setpoint_a"] == 0 else ("yard", "garage")
    assert said[waits]["because"]["code"] == "waiting-turn"
    holder = charges.title()
    assert f"{holder} has the turn until 10:1" in said[waits]["sentence"]
    turn = [hint for hint in said[waits]["what_would_change_it"] if hint["code"] == "if-turn-over"]
    assert turn[0]["setpoint_a"] >= 6.0
    if waits == "garage":
        of_user = agent.json("GET", "state", caller=ANN)["charge_points"][0]["because"]
        assert "another charge point has the turn" in of_user["text"]
        assert "Yard" not in json.dumps(of_user)


def test_reasons_stay_the_same_while_only_time_passes(agent: WholeAgent) -> None:
    plug(agent, "yard", "garage", house_a=22.0, for_s=40)
    before = [why(agent, name)["because"] for name in ("garage", "yard")]
    plug(agent, "yard", "garage", house_a=22.0, for_s=70)
    assert [why(agent, name)["because"] for name in ("garage", "yard")] == before


def test_an_earlier_instant_is_told_as_it_was(agent: WholeAgent) -> None:
    plug(agent, "garage", for_s=30)
    at = agent.now()
    plug(agent, "garage", "yard", for_s=60)
    agent.run(60)
    then = why(agent, query=f"at={quote(at.isoformat())}")
    assert then["setpoint_a"] == 32.0
    assert then["because"]["code"] in ("maximum", "circuit-limit")
    assert [link["step"] for link in then["chain"]] == ["limit", "demand", "share", "rule", "setpoint"]
    changes = why(agent, query=f"from={quote((at - timedelta(hours=1)).isoformat())}")["changes"]
    assert [change["setpoint_a"] for change in changes][:1] == [0.0]
    assert changes[-1]["setpoint_a"] == 16.0
    assert [change["at"] for change in changes] == sorted(change["at"] for change in changes)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("at=yesterday", 422, "bad-time"),
        ("at=2026-05-04T08:00:02Z&from=2026-05-04", 422, "bad-time"),
        ("from=2026-05-04T09:00:00Z&to=2026-05-04T08:00:00Z", 422, "bad-time"),
        ("at=2026-05-01T08:00:00Z", 404, "not-kept"),
        ("at=2036-05-01T08:00:00Z", 404, "not-kept"),
        ("at=2026-05-04T07:59:59Z", 404, "not-kept"),
        ("when=now", 400, "unknown-parameter"),
    ],
)
def test_a_time_that_cannot_be_is_refused(agent: WholeAgent, query: str, status: int, code: str) -> None:
    said = why(agent, query=query, status=status)
    assert said["code"] == code


def test_end_to_end_each_names_its_true_cause(agent: WholeAgent) -> None:
    """Through configuration, devices, control and route: what a person would be told."""

    def code(name: str = "garage") -> str:
        return str(why(agent, name)["because"]["code"])

    def set_up(**changes: object) -> None:
        result_of(agent.store.change(lambda config: evolve(config, **changes)))

    assert code() == "no-car"
    plug(agent, "garage", for_s=10)
    assert code() == "maximum"
    set_up(overrides={"garage": Override(None, 10.0)})
    plug(agent, "garage", for_s=3)
    assert (code(), why(agent)["setpoint_a"]) == ("override", 10.0)
    assert next(hint["code"] for hint in why(agent)["what_would_change_it"]) == "if-no-hand"
    set_up(overrides={}, rules=(Rule("quiet", "Quiet hours", limit_a=8.0),))
    plug(agent, "garage", for_s=3)
    assert (code(), why(agent)["setpoint_a"]) == ("rule-limit", 8.0)
    assert why(agent, caller=GERMAN)["sentence"] == "8 A: Durch die Regel Quiet hours auf 8 A gehalten."
    set_up(rules=())
    plug(agent, "garage", house_a=20.0, for_s=30)
    assert code() == "circuit-limit"
    result_of(
        agent.store.change(
            lambda c: evolve(c, devices={**c.devices, "garage": evolve(c.devices["garage"], mode=Mode.OFF)})
        )
    )
    plug(agent, "garage", for_s=3)
    assert code() == "mode-off"
    assert [(h["code"], h["setpoint_a"]) for h in why(agent)["what_would_change_it"] if h["code"] == "if-mode-fast"]
    agent.devices["garage"].values = {"status": Status.FAULT}
    agent.run(3)
    assert code() == "mode-off"
    result_of(
        agent.store.change(
            lambda c: evolve(c, devices={**c.devices, "garage": evolve(c.devices["garage"], mode=Mode.FAST)})
        )
    )
    agent.run(3)
    assert code() == "fault"
    agent.devices["garage"].silent = True
    agent.run(20)
    assert code() == "silent"
    assert [(h["code"], h["setpoint_a"]) for h in why(agent)["what_would_change_it"]] == [("if-answers", None)]
    agent.devices["garage"].silent = False
    agent.devices["grid"].silent = True
    agent.devices["garage"].values = {"status": Status.PLUGGED, "current_a": (0.0, 0.0, 0.0)}
    agent.run(20)
    assert code() == "meter-silent"
