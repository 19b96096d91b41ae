"""Rules over the API: taken whole or not at all, named where they cannot work, tried without doing anything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from charging_manager.agent.config import UserSettings
from charging_manager.agent.store import ConfigStore
from charging_manager.http.routes import Answer, Caller, Role
from charging_manager.model.reading import Status
from tests.agent.values import box, house, meter
from tests.agent.waiting import result_of
from tests.agent.whole import REMOTE_ADMIN, Make, WholeAgent

ANN = UserSettings("ann", "Ann", False, ("garage",), "en", "hash")
NIGHT: dict[str, Any] = {
    "id": "night",
    "name": "Night",
    "when": [{"time_from": "22:00", "time_to": "06:00", "weekdays": [0, 1, 2, 3, 4]}],
    "charge_points": ["garage"],
    "limit_a": 10,
}
PEAK: dict[str, Any] = {
    "id": "peak",
    "name": "Peak",
    "when": [{"import_above_w": 20000}, {"input": "ripple"}],
    "match": "any",
    "pause": True,
    "keep_s": 120,
}
EVERYTHING: dict[str, Any] = {
    "id": "all",
    "name": "All parts",
    "enabled": False,
    "when": [
        {
            "time_to": "06:30:30",
            "price_below": 0.4,
            "price_above": -0.1,
            "levels": ["cheap", "very-cheap"],
            "surplus_below_w": 5000,
            "surplus_above_w": 0,
            "soc_below_pct": 80,
            "soc_above_pct": 20,
            "charging_at_least": 1,
            "charging_at_most": 5,
            "input": "ripple",
            "input_set": False,
            "export_above_w": 100,
        }
    ],
    "users": ["ann"],
    "limit_w": 4200,
    "unknown": "fails",
}


@pytest.fixture
def agent(agents: Make) -> WholeAgent:
    values = {"garage": {"status": Status.PLUGGED}, "grid": {"current_a": (1.0, 1.0, 1.0), "power_w": 690.0}}
    return agents(house(box(driver="keba-p30"), meter(driver="eastron-sdm630"), users=(ANN,)), values)


def put(agent: WholeAgent, *rules: dict[str, Any], **more: Any) -> Any:
    return agent.json("PUT", "rules", {"rules": list(rules), **more})


def test_what_get_shows_put_takes(agent: WholeAgent) -> None:
    put(agent, NIGHT, PEAK, EVERYTHING)
    before = agent.store.current
    shown = agent.json("GET", "rules")
    assert [rule["id"] for rule in shown["rules"]] == ["night", "peak", "all"]
    assert shown["rules"][2]["when"] == EVERYTHING["when"]
    agent.json("PUT", "rules", shown)
    assert agent.store.current == before


def test_rules_survive_a_restart(agent: WholeAgent) -> None:
    put(agent, NIGHT, PEAK, EVERYTHING)
    assert result_of(ConfigStore.load(agent.database)).current.rules == agent.store.current.rules


def test_a_rule_holds_at_once_and_is_told(agent: WholeAgent) -> None:
    assert agent.json("GET", "rules/now") == {"rules": {}, "charge_points": {}}
    put(agent, {"name": "Closed today", "pause": True, "charge_points": ["garage"]})
    agent.run(2)
    now = agent.json("GET", "rules/now")
    assert now["rules"] == {"closed-today": ["garage"]}
    assert now["charge_points"]["garage"]["pause_by"] == "Closed today"
    [point] = agent.json("GET", "state")["charge_points"]
    assert (point["because"]["code"], point["setpoint_a"]) == ("rule-pause", 0.0)
    assert point["because"]["text"] == "Paused by the rule Closed today."


def test_by_hand_no_rule_holds_until_the_car_has_gone(agent: WholeAgent) -> None:
    put(agent, {"name": "Closed", "pause": True})
    agent.json("PUT", "charge-points/garage/override", {"current_a": 8})
    agent.run(5)
    [point] = agent.json("GET", "state")["charge_points"]
    assert point["because"]["code"] != "rule-pause"
    assert agent.json("GET", "rules/now")["rules"] == {"closed": []}
    agent.devices["garage"].values["status"] = Status.FREE
    agent.run(3)
    agent.devices["garage"].values["status"] = Status.PLUGGED
    agent.run(3)
    [point] = agent.json("GET", "state")["charge_points"]
    assert point["because"]["code"] == "rule-pause"


BAD: list[tuple[dict[str, Any], str]] = [
    ({"limit_a": "ten"}, "rules.1.limit_a"),
    ({"limit_a": None}, "rules.1"),
    ({"limit_a": 100}, "rules.1.limit_a"),
    ({"mode": "turbo"}, "rules.1.mode"),
    ({"mode": "fast"}, "rules.1.mode"),
    ({"name": ""}, "rules.1.name"),
    ({"name": "night"}, "rules.1.name"),
    ({"id": "night"}, "rules.1.id"),
    ({"bogus": 1}, "rules.1.bogus"),
    ({"match": "some"}, "rules.1.match"),
    ({"when": [{"time_from": "25:00"}]}, "rules.1.when.0.time_from"),
    ({"when": [{"time_to": "24:00"}]}, "rules.1.when.0.time_to"),
    ({"when": [{"time_from": "6"}]}, "rules.1.when.0.time_from"),
    ({"when": [{}, {"price_below": 0.1}], "match": "any"}, "rules.1.when.0"),
    ({"when": [{"price_below": 0.1, "price_above": 0.2}]}, "rules.1.when.0.price_below"),
    ({"when": [{"levels": ["free"]}]}, "rules.1.when.0.levels.0"),
    ({"when": [{"weekdays": [8]}]}, "rules.1.when.0.weekdays"),
    ({"when": [{"eval": "1"}]}, "rules.1.when.0.eval"),
    ({"keep_s": 60, "when": []}, "rules.1.keep_s"),
]


def test_one_bad_rule_changes_nothing_and_is_named(agent: WholeAgent) -> None:
    put(agent, PEAK)
    before = agent.store.current
    for change, field in BAD:
        other = {**NIGHT, "id": "other", "name": "Other", **change}
        for method, path in (("PUT", "rules"), ("POST", "rules/check"), ("POST", "rules/try")):
            status, _, where = agent.refused(method, path, {"rules": [NIGHT, other]})
            assert (status, where) == (422, field)
    assert agent.store.current == before


def test_two_hundred_rules_and_no_more(agent: WholeAgent) -> None:
    many = [{**PEAK, "id": f"r{number}", "name": f"Rule {number}"} for number in range(201)]
    assert agent.refused("PUT", "rules", {"rules": many})[::2] == (422, "rules")
    assert len(put(agent, *many[:200])["rules"]) == 200


def test_a_list_that_somebody_else_changed_is_not_overwritten(agent: WholeAgent) -> None:
    revision = put(agent, NIGHT)["revision"]
    other = put(agent, NIGHT, PEAK, revision=revision)["revision"]
    assert agent.refused("PUT", "rules", {"rules": [], "revision": revision}) == (409, "changed-meanwhile", "revision")
    assert put(agent, revision=other)["rules"] == []


def test_rules_may_be_changed_from_afar(agent: WholeAgent) -> None:
    agent.json("PUT", "rules", {"rules": [NIGHT]}, REMOTE_ADMIN)
    assert [rule.id for rule in agent.store.current.rules] == ["night"]


def test_names_that_do_not_exist_are_told_and_not_refused(agent: WholeAgent) -> None:
    said = put(agent, {**NIGHT, "charge_points": ["garage", "attic"], "users": ["bob"]}, PEAK)
    assert [(one["where"], one["code"]) for one in said["warnings"]] == [
        ("rules.0.charge_points.1", "rule-unknown-charge-point"),
        ("rules.0.users.0", "rule-unknown-user"),
        ("rules.1.when.1.input", "rule-unknown-input"),
    ]
    assert "'attic'" in said["warnings"][0]["text"]


def test_what_rules_name_may_go(agent: WholeAgent) -> None:
    put(agent, {**NIGHT, "users": ["ann"]}, PEAK)
    agent.ask("DELETE", "users/ann")
    agent.ask("DELETE", "devices/garage")
    agent.run(2)
    shown = agent.json("GET", "rules")
    assert shown["rules"][0]["charge_points"] == ["garage"]  # it means nobody now, not everybody
    assert {one["code"] for one in shown["warnings"]} == {
        "rule-unknown-charge-point",
        "rule-unknown-user",
        "rule-unknown-input",
    }
    agent.json("PUT", "rules", shown)
    assert not agent.site.steering.failing


PAIRS: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({"limit_a": 10}, {"limit_a": 12}, "rules.1"),
    ({"limit_a": 12}, {"limit_a": 10}, "rules.0"),
    ({"limit_a": 10}, {"limit_a": 10}, "rules.1"),
    ({"pause": True}, {"limit_a": 10}, "rules.1"),
    ({"mode": "off"}, {"pause": True}, "rules.1"),
    ({"limit_a": 10, "limit_w": 5000}, {"limit_w": 6000}, "rules.1"),
    ({"limit_a": 10, "charge_points": ["garage"]}, {"limit_a": 12}, None),
    ({"limit_a": 10, "users": ["ann"]}, {"limit_a": 12, "charge_points": ["garage"]}, None),
    ({"limit_a": 10, "when": [{"price_above": 1}]}, {"limit_a": 12}, None),
    ({"limit_a": 10, "when": [{"price_above": 1}]}, {"limit_a": 12, "when": [{"price_above": 1}]}, "rules.1"),
    ({"limit_a": 10, "enabled": False}, {"limit_a": 12}, None),
    ({"limit_a": 10}, {"limit_w": 12000}, None),
]


def test_a_rule_that_never_matters_is_told(agent: WholeAgent) -> None:
    for one, other, doubted in PAIRS:
        said = put(agent, {"name": "One", **one}, {"name": "Other", **other})["warnings"]
        found = [each["where"] for each in said if each["code"] == "rule-never-matters"]
        assert found == ([doubted] if doubted else []), (one, other)


def test_a_limit_below_the_least_of_a_box_is_told(agent: WholeAgent) -> None:
    said = put(agent, {"name": "Low", "limit_a": 5}, {"name": "Watts", "limit_w": 4000})["warnings"]
    assert [(each["where"], each["code"]) for each in said] == [
        ("rules.0.limit_a", "rule-too-low"),
        ("rules.1.limit_w", "rule-too-low"),
    ]
    assert "Garage" in said[0]["text"]


def test_a_price_without_a_tariff_is_told(agent: WholeAgent) -> None:
    every = ["very-cheap", "cheap", "normal", "dear", "very-dear"]
    rule = {"name": "Any", "limit_a": 8, "match": "any", "when": [{"levels": every}, {"price_below": 0.1}]}
    assert [(doubt["where"], doubt["code"]) for doubt in put(agent, rule)["warnings"]] == [
        ("rules.0.when.0.levels", "rule-no-tariff"),
        ("rules.0.when.0.levels", "rule-every-level"),
        ("rules.0.when.1.price_below", "rule-no-tariff"),
    ]


def test_a_mode_of_a_rule_is_shown_beside_the_chosen_one(agent: WholeAgent) -> None:
    put(agent, {"name": "Holiday", "mode": "off"})
    agent.run(2)
    [point] = agent.json("GET", "state")["charge_points"]
    assert (point["mode"], point["ruled_mode"], point["ruled_by"]) == ("fast", "off", "Holiday")
    agent.json("PUT", "charge-points/garage/mode", {"mode": "off"})
    agent.run(2)
    [point] = agent.json("GET", "state")["charge_points"]
    assert (point["mode"], point["ruled_mode"], point["ruled_by"]) == ("off", None, None)


def test_the_file_is_what_its_schema_says_and_comes_back_the_same(agent: WholeAgent) -> None:
    put(agent, NIGHT, PEAK, EVERYTHING)
    before = agent.store.current.rules
    schema = agent.json("GET", "rules/schema")
    Draft202012Validator.check_schema(schema)
    answer = agent.ask("GET", "rules.json")
    assert isinstance(answer, Answer) and answer.filename == "rules.json"
    exported = json.loads(answer.body)
    judge = Draft202012Validator(schema)
    assert list(judge.iter_errors(exported)) == []
    for spoiled in (
        {**exported, "version": 2},
        {**exported, "kind": "recipes"},
        {**exported, "rules": [{**NIGHT, "limit_a": 81}]},
        {**exported, "rules": [{**NIGHT, "when": [{"time_from": "24:00"}]}]},
        {**exported, "rules": [{**NIGHT, "when": [{"weekdays": [7]}]}]},
        {**exported, "rules": [{**NIGHT, "goto": 3}]},
        {**exported, "rules": [NIGHT] * 201},
    ):
        assert list(judge.iter_errors(spoiled)), spoiled
        assert agent.refused("PUT", "rules", spoiled)[0] == 422
    put(agent)
    agent.json("PUT", "rules", exported)
    assert agent.store.current.rules == before


def test_a_check_says_what_would_change_and_changes_nothing(agent: WholeAgent) -> None:
    put(agent, NIGHT, PEAK)
    before = agent.store.current
    said = agent.json("POST", "rules/check", {"rules": [{**NIGHT, "limit_a": 12, "keep_s": 60}, EVERYTHING]})
    assert said["changes"] == {
        "added": [{"id": "all", "name": "All parts"}],
        "removed": [{"id": "peak", "name": "Peak"}],
        "changed": [{"id": "night", "name": "Night", "fields": ["limit_a", "keep_s"]}],
        "moved": [],
    }
    moved = agent.json("POST", "rules/check", {"rules": [PEAK, NIGHT]})["changes"]["moved"]
    assert [rule["id"] for rule in moved] == ["peak", "night"]
    assert agent.store.current == before


def test_what_would_hold_is_tried_without_doing_anything(agent: WholeAgent) -> None:
    put(agent, NIGHT, {"name": "Ann at night", "users": ["ann"], "limit_a": 6, "when": [{"time_from": "22:00"}]})
    before, cycles = agent.store.current, agent.site.steering.number
    at_noon = agent.json("POST", "rules/try", {"at": "2026-05-04T12:00"})
    assert (at_noon["rules"], at_noon["charge_points"]) == ({}, {})
    at_night = agent.json("POST", "rules/try", {"at": "2026-05-04T23:00"})
    assert at_night["rules"] == {"night": ["garage"], "ann-at-night": ["garage"]}  # her only box, so it is her
    assert at_night["charge_points"]["garage"]["limit_by"] == "Ann at night"
    somebody = agent.json("POST", "rules/try", {"at": "2026-05-04T21:00:00Z", "users": {"garage": "bob"}})
    assert somebody["at"] == "2026-05-04T23:00:00+02:00"
    assert somebody["rules"] == {"night": ["garage"], "ann-at-night": []}
    assert (agent.store.current, agent.site.steering.number) == (before, cycles)


def test_facts_are_taken_as_they_are_said(agent: WholeAgent) -> None:
    def holds(when: dict[str, Any], **facts: Any) -> bool:
        rules = [{"name": "Rule", "pause": True, "when": [when]}]
        return bool(agent.json("POST", "rules/try", {"rules": rules, **facts})["rules"])

    assert holds({"price_above": 0.3}, price=0.4)
    assert not holds({"price_above": 0.3}, price=0.2)
    assert not holds({"price_above": 0.3}, unknown=["price"])
    assert holds({"levels": ["dear"]}, level="dear")
    assert holds({"surplus_below_w": 100}, surplus_w=50)
    assert holds({"import_above_w": 100}, grid_w=690)
    assert not holds({"import_above_w": 10000})  # as the meter says
    assert holds({"import_above_w": 10000}, unknown=["grid"])
    assert holds({"charging_at_least": 3}, charging=3)
    assert holds({"input": "ripple"}, inputs={"ripple": True})
    assert not holds({"input": "ripple"}, inputs={"ripple": False})
    assert holds({"input": "ripple"})
    assert holds({"soc_above_pct": 80}, soc_pct={"garage": 90})
    assert not holds({"soc_above_pct": 80}, soc_pct={"garage": 70})
    said = agent.json("POST", "rules/try", {"rules": [{"name": "R", "pause": True, "when": [{"price_above": 1}]}]})
    assert said["unknown"] == {"r": ["price_above"]}
    assert said["facts"]["grid_w"] == 690


STRANGE: list[tuple[dict[str, Any], str]] = [
    ({"at": "tomorrow"}, "at"),
    ({"unknown": ["everything"]}, "unknown.0"),
    ({"soc_pct": {"garage": 120}}, "soc_pct.garage"),
    ({"soc_pct": {"attic": 20}}, "soc_pct.attic"),
    ({"users": {"attic": "ann"}}, "users.attic"),
    ({"charging": -1}, "charging"),
    ({"price": "cheap"}, "price"),
    ({"level": "free"}, "level"),
]


def test_a_try_that_cannot_be_understood_is_refused(agent: WholeAgent) -> None:
    for body, field in STRANGE:
        assert agent.refused("POST", "rules/try", body)[::2] == (422, field)


def test_users_neither_see_nor_change_rules(agent: WholeAgent) -> None:
    user = Caller(Role.USER, "ann", source="192.0.2.1")
    for method, path in (("GET", "rules"), ("PUT", "rules"), ("POST", "rules/try"), ("GET", "rules/now")):
        assert agent.refused(method, path, {} if method != "GET" else None, user)[0] == 403


def test_a_change_is_written_into_the_audit_log(agent: WholeAgent) -> None:
    put(agent, NIGHT)
    put(agent, {**NIGHT, "limit_a": 12}, PEAK)
    agent.run(2)
    rows = result_of(
        agent.database.read(
            lambda connection: connection.execute("SELECT detail FROM audit WHERE action = 'rules-changed'").fetchall()
        )
    )
    assert [row["detail"] for row in rows] == ["added Night", "added Peak; changed Night"]
