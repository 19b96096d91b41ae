"""What is known of the vehicle that is plugged in: by its box, by a person; and whose priority counts."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from charging_manager.agent.config import UserSettings
from charging_manager.agent.wishes import said_by_hand
from charging_manager.http.routes import Caller, Role
from charging_manager.model.reading import Status
from charging_manager.model.vehicle import Vehicle
from tests.agent.values import box, house
from tests.agent.whole import Make, WholeAgent

ANN = Caller(Role.USER, "ann", source="192.0.2.2", login="ann-login")
WHERE = "charge-points/garage/vehicle"


def agent_of(agents: Make, **user: Any) -> WholeAgent:
    ann = UserSettings("ann", "Ann", charge_points=("garage",), **user)
    boxes = (box(driver="keba-p30"), box("yard", driver="keba-p30", address="tcp://192.0.2.9"))
    values = {"garage": {"status": Status.CHARGING, "session_wh": 0.0}}
    agent = agents(house(*boxes, users=(ann,)), values=values)
    agent.run(3)
    return agent


def wish(agent: WholeAgent) -> Any:
    cycle = agent.site.steering.last
    assert cycle is not None
    return cycle.image.wishes["garage"]


def point(agent: WholeAgent) -> Any:
    return next(one for one in agent.json("GET", "state")["charge_points"] if one["id"] == "garage")


def test_what_somebody_says_holds_and_grows_with_what_comes_in_until_it_is_unplugged(agents: Make) -> None:
    agent = agent_of(agents)
    agent.devices["garage"].values["session_wh"] = 5_000.0
    agent.run(2)
    said = agent.json("PUT", WHERE, {"soc_pct": 40, "capacity_wh": 50_000}, ANN)
    assert said == {"id": "garage", "soc_pct": 40, "capacity_wh": 50_000}
    agent.run(2)
    assert (wish(agent).soc_pct, wish(agent).capacity_wh) == (40.0, 50_000.0)
    agent.devices["garage"].values["session_wh"] = 15_000.0
    agent.run(2)
    assert 55.0 < wish(agent).soc_pct <= 60.0 and point(agent)["soc_pct"] == pytest.approx(wish(agent).soc_pct, abs=0.1)
    agent.devices["garage"].values["status"] = Status.FREE
    agent.run(3)
    assert agent.store.current.vehicles == {} and point(agent)["soc_pct"] is None


def test_what_the_box_reads_from_the_vehicle_counts_more_than_what_somebody_said(agents: Make) -> None:
    agent = agent_of(agents)
    agent.json("PUT", WHERE, {"soc_pct": 40}, ANN)
    for value, expected in ((63.5, 63.5), (None, 40.0), (250.0, 40.0), (float("nan"), 40.0), (0, 0.0)):
        agent.devices["garage"].values["values"] = {"soc_pct": value}
        agent.run(2)
        assert wish(agent).soc_pct == expected, value


def test_it_can_be_forgotten(agents: Make) -> None:
    agent = agent_of(agents)
    agent.json("PUT", WHERE, {"capacity_wh": 60_000}, ANN)
    agent.json("PUT", WHERE, {}, ANN)
    agent.run(2)
    assert (wish(agent).soc_pct, wish(agent).capacity_wh) == (None, None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"soc_pct": -1}, "soc_pct"),
        ({"soc_pct": 101}, "soc_pct"),
        ({"capacity_wh": 10}, "capacity_wh"),
        ({"soc_pct": 50, "capacity_wh": 1e9}, "capacity_wh"),
    ],
)
def test_what_cannot_be_is_refused_and_the_field_named(agents: Make, body: dict[str, float], field: str) -> None:
    agent = agent_of(agents)
    status, _, named = agent.refused("PUT", WHERE, body, ANN)
    assert (status, named) == (422, field) and agent.store.current.vehicles == {}


def test_without_a_car_nothing_can_be_said_of_it_and_only_ones_own_charge_points_count(agents: Make) -> None:
    agent = agent_of(agents)
    assert agent.refused("PUT", "charge-points/yard/vehicle", {"soc_pct": 50})[:2] == (409, "no-car")
    assert agent.refused("PUT", "charge-points/yard/vehicle", {"soc_pct": 50}, ANN)[0] == 404


def test_the_users_priority_goes_with_the_session(agents: Make) -> None:
    agent = agent_of(agents, priority=7)
    assert (wish(agent).user, wish(agent).priority) == ("ann", 7)


def test_without_a_capacity_it_stays_what_was_said() -> None:
    assert said_by_hand(Vehicle(50.0, None, 1000.0), 9000.0) == 50.0
    assert said_by_hand(Vehicle(None, 40_000.0), 9000.0) is None
    assert said_by_hand(evolve(Vehicle(90.0, 10_000.0)), 90_000.0) == 100.0
