"""Goals over the API: entered, refused with the field named, foreseen at once, kept, and followed."""

from __future__ import annotations

from datetime import UTC, date, time

import orjson
import pytest
from attrs import evolve

from charging_manager.agent.config import Configuration, UserSettings, without_device
from charging_manager.agent.documents import documents, read_documents
from charging_manager.http.routes import Caller, Role
from charging_manager.model.goal import Goal, Prefer
from charging_manager.model.reading import Status
from tests.agent.values import box, house
from tests.agent.whole import Make, WholeAgent

ANNA = Caller(Role.USER, user="anna")
PATH = "charge-points/garage/goal"
NIGHT = {"by": "07:00", "energy_wh": 20000}


@pytest.fixture
def agent(agents: Make) -> WholeAgent:
    """Two boxes, a car at one; it is Monday, 10:00 in Paris."""
    users = (UserSettings("anna", "Anna", charge_points=("garage",)),)
    plugged = {"status": Status.PLUGGED, "current_a": (0.0, 0.0, 0.0), "energy_wh": 1000.0}
    whole = agents(
        house(box("garage", driver="keba-p30"), box("yard", driver="keba-p30"), users=users), {"garage": plugged}
    )
    whole.run(5)
    return whole


def test_a_goal_is_set_shown_and_removed(agent: WholeAgent) -> None:
    said = agent.json("PUT", PATH, {**NIGHT, "days": [0, 1, 2], "prefer": "green"}, ANNA)
    assert said["goal"] == {
        "by": "07:00",
        "energy_wh": 20000.0,
        "soc_pct": None,
        "days": [0, 1, 2],
        "on": None,
        "prefer": "green",
        "capacity_wh": None,
    }
    assert said["forecast"]["feasible"] is True
    assert said["forecast"]["deadline_at"] == "2026-05-05T05:00:00Z"
    assert agent.json("GET", PATH, caller=ANNA)["goal"] == said["goal"]
    assert agent.json("PUT", PATH, said["goal"], ANNA)["goal"] == said["goal"], "what is shown can be sent back"
    assert agent.json("DELETE", PATH, caller=ANNA)["goal"] is None
    assert agent.json("GET", PATH)["forecast"] is None


def test_what_cannot_be_reached_is_said_in_the_answer(agent: WholeAgent) -> None:
    said = agent.json("PUT", PATH, {"by": "11:00", "energy_wh": 90000})["forecast"]
    assert said["feasible"] is False
    assert said["because"]["code"] == "goal-not-in-time"
    assert 20_000 < said["reach_wh"] < 23_000
    assert "kWh by 11:00" in said["because"]["text"]


def test_mode_plan_takes_a_goal_along_and_needs_one(agent: WholeAgent) -> None:
    assert agent.refused("PUT", "charge-points/garage/mode", {"mode": "plan"}, ANNA) == (422, "goal-needed", "goal")
    assert agent.refused("PUT", "charge-points/garage/override", {"mode": "plan"}, ANNA)[1] == "goal-needed"
    bad = {"mode": "plan", "goal": {**NIGHT, "energy_wh": -1}}
    assert agent.refused("PUT", "charge-points/garage/mode", bad, ANNA) == (422, "invalid-field", "goal.energy_wh")
    said = agent.json("PUT", "charge-points/garage/mode", {"mode": "plan", "goal": NIGHT}, ANNA)
    assert (said["mode"], said["goal"]["by"]) == ("plan", "07:00")
    agent.run(3)
    point = agent.json("GET", "state", caller=ANNA)["charge_points"][0]
    assert point["mode"] == "plan"
    assert point["because"]["code"] == "plan-no-prices"
    assert agent.devices["garage"].applied[-1] == 32.0


def test_mode_plan_is_refused_when_the_time_of_its_goal_is_over(agent: WholeAgent) -> None:
    once = {"by": "11:00", "energy_wh": 20000, "on": "2026-05-04"}
    assert agent.refused("PUT", PATH, {**once, "by": "09:00"})[:2] == (422, "goal-is-over")
    agent.json("PUT", PATH, {**once, "by": "10:01"})
    agent.run(61)
    over = (422, "goal-is-over", "goal.on")
    assert agent.refused("PUT", "charge-points/garage/mode", {"mode": "plan"}, ANNA) == over
    assert agent.refused("PUT", "charge-points/garage/override", {"mode": "plan"}, ANNA) == over
    assert agent.json("PUT", "charge-points/garage/mode", {"mode": "plan", "goal": once}, ANNA)["mode"] == "plan"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"by": "25:00", "energy_wh": 1000}, "by"),
        ({"by": "seven", "energy_wh": 1000}, "by"),
        ({"by": "07:00+02:00", "energy_wh": 1000}, "by"),
        ({"by": "07:00"}, "energy_wh"),
        ({"by": "07:00", "energy_wh": 1000, "soc_pct": 80}, "energy_wh"),
        ({"by": "07:00", "energy_wh": 0}, "energy_wh"),
        ({"by": "07:00", "energy_wh": 1e9}, "energy_wh"),
        ({"by": "07:00", "soc_pct": 101}, "soc_pct"),
        ({"by": "07:00", "soc_pct": 80, "capacity_wh": 5}, "capacity_wh"),
        ({"by": "07:00", "energy_wh": 1000, "days": []}, "days"),
        ({"by": "07:00", "energy_wh": 1000, "days": [7]}, "days"),
        ({"by": "07:00", "energy_wh": 1000, "on": "soon"}, "on"),
        ({"by": "07:00", "energy_wh": 1000, "on": "2026-05-04"}, "on"),
        ({"by": "07:00", "energy_wh": 1000, "prefer": "free"}, "prefer"),
        ({"energy_wh": 1000}, "by"),
    ],
)
def test_a_goal_that_makes_no_sense_is_refused_at_its_field(
    agent: WholeAgent, body: dict[str, object], field: str
) -> None:
    assert agent.refused("PUT", PATH, body)[::2] == (422, field)
    assert agent.json("GET", PATH)["goal"] is None


def test_a_goal_is_for_those_who_may_charge_there(agent: WholeAgent) -> None:
    assert agent.refused("PUT", "charge-points/yard/goal", NIGHT, ANNA)[0] == 404
    assert agent.refused("GET", PATH, caller=Caller(Role.NOBODY))[0] == 401
    assert agent.json("PUT", PATH, NIGHT, evolve(ANNA, remote=True))["goal"]["by"] == "07:00"


def test_a_charge_by_state_of_charge_that_nobody_tells_is_named(agent: WholeAgent) -> None:
    said = agent.json("PUT", PATH, {"by": "07:00", "soc_pct": 80})["forecast"]
    assert (said["feasible"], said["need_wh"], said["because"]["code"]) == (None, None, "plan-no-soc")


def test_the_forecast_knows_what_the_box_says_of_the_car(agent: WholeAgent) -> None:
    agent.devices["garage"].values["values"] = {"soc_pct": 50.0}
    agent.run(5)
    said = agent.json("PUT", PATH, {"by": "07:00", "soc_pct": 80, "capacity_wh": 45000})["forecast"]
    assert (said["feasible"], said["need_wh"]) == (True, 15000)


def test_goals_outlive_a_restart_and_go_with_their_charge_point() -> None:
    goal = Goal(time(6, 30), 5000.0, None, frozenset({4}), date(2026, 5, 8), Prefer.GREEN, None)
    config = house(box("garage"), goals={"garage": goal})
    rows = list(documents(config))
    back = read_documents(lambda _: iter(rows))  # type: ignore[arg-type, return-value]
    assert back["goals"] == {"garage": goal}
    assert orjson.loads(dict(rows)["goals"])["garage"]["by"] == "06:30:00"
    assert without_device(config, "garage").goals == Configuration().goals
    assert goal.by.replace(tzinfo=UTC) != goal.by
