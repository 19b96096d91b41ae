"""Orders of the grid operator in a whole agent: which holds, what control gets, and what the log says of it."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import fail

from charging_manager.model.outside import Dimming
from charging_manager.model.reading import Status
from charging_manager.model.site import MeterRole
from charging_manager.storage.database import StorageError
from tests.agent.values import box, house, meter
from tests.agent.whole import REMOTE_ADMIN, Make, WholeAgent

DRAWS = {"status": Status.CHARGING, "current_a": (10.0, 10.0, 10.0), "power_w": 6900.0}
VALUES = {
    "left": dict(DRAWS),
    "right": {"status": Status.FREE, "current_a": (0.0, 0.0, 0.0), "power_w": 0.0},
    "grid": {"current_a": (12.0, 12.0, 12.0), "power_w": 8280.0},
    "contact": {"values": {"state": 0}},
}


@pytest.fixture
def agent(agents: Make) -> WholeAgent:
    devices = (
        box("left", driver="keba-p30"),
        box("right", driver="keba-p30"),
        meter(driver="eastron-sdm630"),
        box("contact", driver="keba-p30", out_of_service=False),
    )
    agent = agents(house(*devices), VALUES)
    agent.json("PUT", "grid-operator", {"charge_points": ["left", "right"]})
    return agent


def order(agent: WholeAgent) -> Dimming | None:
    agent.run(1)
    cycle = agent.site.steering.last
    assert cycle is not None
    return cycle.image.outside.dimming


def now(agent: WholeAgent) -> Any:
    return agent.json("GET", "grid-operator")


BOTH = frozenset({"left", "right"})


def with_input(agent: WholeAgent, **more: Any) -> None:
    one = {"name": "Contact", "source": "device", "device": "contact", "value": "state", **more}
    agent.json("PUT", "inputs", {"inputs": [one]})
    agent.json("PUT", "grid-operator", {"input": "contact"})
    agent.run(2)


def contact(agent: WholeAgent, on: bool) -> None:
    agent.devices["contact"].values["values"] = {"state": int(on)}
    agent.run(2)


def test_nobody_orders_and_nothing_is_dimmed(agent: WholeAgent) -> None:
    assert order(agent) is None
    shown = now(agent)
    assert shown["dimming"]["on"] is False and shown["devices"] == 2
    assert shown["minimum_w"] == 7560.0


def test_the_api_orders_the_minimum_and_ends_it(agent: WholeAgent) -> None:
    agent.json("PUT", "grid-operator/dimming", {"on": True})
    assert order(agent) == Dimming(7560.0, "api", BOTH)
    state = agent.json("GET", "state")
    assert state["dimming"]["on"] is True and state["dimming"]["limit_w"] == 7560
    assert [alarm["code"] for alarm in state["alarms"]][:1] == ["dimmed-api"]
    assert "7560 W" in state["alarms"][0]["text"].replace(",", "")
    agent.json("PUT", "grid-operator/dimming", {"on": False})
    assert order(agent) is None
    assert agent.json("GET", "state")["dimming"]["on"] is False


def test_the_answer_to_an_order_is_how_it_stands_after_it(agent: WholeAgent) -> None:
    agent.run(2)
    said = agent.json("PUT", "grid-operator/dimming", {"on": True, "limit_w": 9000})["dimming"]
    assert (said["on"], said["source"], said["limit_w"], said["by_api"]) == (True, "api", 9000.0, True)
    assert said["since"] and said["charging_limit_w"] == 9000 and said["reason"]["code"] == "api"
    said = agent.json("PUT", "grid-operator/dimming", {"on": False})["dimming"]
    assert (said["on"], said["source"], said["since"], said["charging_limit_w"]) == (False, None, None, None)
    assert agent.json("POST", "grid-operator/test", {})["dimming"]["source"] == "test"
    assert agent.json("POST", "grid-operator/test", {"on": False})["dimming"]["on"] is False


def test_an_order_for_a_while_ends_by_itself(agent: WholeAgent) -> None:
    agent.json("PUT", "grid-operator/dimming", {"on": True, "for_s": 30})
    agent.run(28)
    assert order(agent) is not None
    agent.run(3)
    assert order(agent) is None


def test_less_than_the_minimum_is_obeyed_only_if_the_customer_wants_it(agent: WholeAgent) -> None:
    agent.json("PUT", "grid-operator/dimming", {"on": True, "limit_w": 1000})
    assert order(agent) == Dimming(7560.0, "api", BOTH)
    agent.json("PUT", "grid-operator", {"below_minimum": True})
    assert order(agent) == Dimming(1000.0, "api", BOTH)


def test_all_charge_points_count_unless_some_are_named(agent: WholeAgent) -> None:
    agent.json("PUT", "grid-operator", {"charge_points": None})
    agent.json("PUT", "grid-operator/dimming", {"on": True})
    assert order(agent) == Dimming(10_500.0, "api", None)
    agent.json("PUT", "grid-operator", {"charge_points": ["left"]})
    assert order(agent) == Dimming(4200.0, "api", frozenset({"left"}))


def test_an_input_dims_while_it_is_on(agent: WholeAgent) -> None:
    with_input(agent)
    assert order(agent) is None
    contact(agent, True)
    assert order(agent) == Dimming(7560.0, "input", BOTH)
    contact(agent, False)
    assert order(agent) is None


def test_an_input_that_falls_silent_dims_after_ten_seconds_and_says_so(agent: WholeAgent) -> None:
    with_input(agent, unknown_counts_as=False)
    agent.devices["contact"].silent = True
    agent.run(8)
    assert order(agent) is None
    agent.run(4)
    assert order(agent) == Dimming(7560.0, "input", BOTH)
    assert now(agent)["dimming"]["reason"]["code"] == "input-unknown"
    assert agent.json("GET", "state")["alarms"][0]["code"] == "dimmed-input-unknown"
    agent.devices["contact"].silent = False
    agent.run(2)
    assert order(agent) is None


def test_an_input_that_fell_silent_while_on_never_lets_go(agent: WholeAgent) -> None:
    with_input(agent)
    contact(agent, True)
    agent.devices["contact"].silent = True
    for _ in range(30):
        assert order(agent) is not None


def test_an_input_that_was_never_heard_of_dims_after_ten_seconds(agent: WholeAgent) -> None:
    agent.json("PUT", "inputs", {"inputs": [{"name": "Contact", "source": "api"}]})
    agent.json("PUT", "grid-operator", {"input": "contact"})
    agent.run(8)
    assert order(agent) is None
    agent.run(4)
    assert order(agent) is not None
    agent.json("PUT", "inputs/contact", {"on": False})
    assert order(agent) is None


def test_of_several_orders_the_lowest_limit_holds(agent: WholeAgent) -> None:
    with_input(agent)
    contact(agent, True)
    agent.json("PUT", "grid-operator/dimming", {"on": True, "limit_w": 9000})
    assert order(agent) == Dimming(7560.0, "input", BOTH)
    contact(agent, False)
    assert order(agent) == Dimming(9000.0, "api", BOTH)
    agent.json("PUT", "grid-operator", {"below_minimum": True})
    contact(agent, True)
    agent.json("PUT", "grid-operator/dimming", {"on": True, "limit_w": 5000})
    assert order(agent) == Dimming(5000.0, "api", BOTH)


def test_own_power_comes_on_top_once_it_is_sure(agent: WholeAgent) -> None:
    agent.json("PUT", "grid-operator", {"own_power_on_top": True})
    agent.devices["grid"].values["power_w"] = 1900.0  # cars draw 6900: 5000 come from the roof
    agent.json("PUT", "grid-operator/dimming", {"on": True})
    assert order(agent) == Dimming(7560.0, "api", BOTH), "a moment is no proof"
    agent.run(20)
    assert order(agent) == Dimming(12_560.0, "api", BOTH)
    agent.devices["grid"].values["power_w"] = 6400.0
    agent.run(2)
    assert order(agent) == Dimming(8060.0, "api", BOTH), "a cloud counts at once"
    agent.devices["grid"].silent = True
    agent.run(12)
    assert order(agent) == Dimming(7560.0, "api", BOTH), "unknown is none"
    assert [one["limit_w"] for one in agent.json("GET", "grid-operator/evidence")["orders"]] == [7560.0]


def test_what_a_battery_gives_is_no_generation(agents: Make) -> None:
    storage = meter("battery", driver="eastron-sdm630", role=MeterRole.STORAGE, address="tcp://127.0.0.1:1504?unit=9")
    values = {**VALUES, "grid": {"power_w": 1900.0}, "battery": {"power_w": -4000.0}}
    agent = agents(house(box("left", driver="keba-p30"), meter(driver="eastron-sdm630"), storage), values)
    agent.json("PUT", "grid-operator", {"own_power_on_top": True})
    agent.json("PUT", "grid-operator/dimming", {"on": True})
    agent.run(20)
    assert order(agent) == Dimming(5200.0, "api")


def test_the_test_dims_for_a_minute(agent: WholeAgent) -> None:
    assert agent.json("POST", "grid-operator/test", {})["settings"]["input"] is None
    assert order(agent) == Dimming(7560.0, "test", BOTH)
    agent.run(61)
    assert order(agent) is None
    agent.json("POST", "grid-operator/test", {"on": True})
    agent.json("POST", "grid-operator/test", {"on": False})
    assert order(agent) is None


def test_a_modbus_client_that_falls_silent_dims_or_ends_its_order(agent: WholeAgent) -> None:
    agent.json("PUT", "grid-operator", {"heartbeat_s": 5})
    agent.site.grid.heard()
    agent.run(4)
    assert order(agent) is None
    agent.run(3)
    assert order(agent) == Dimming(7560.0, "modbus", BOTH)
    assert now(agent)["dimming"]["reason"]["code"] == "modbus-silent"
    agent.site.grid.heard()
    assert order(agent) is None
    agent.site.grid.order("modbus", True, 9000.0)
    assert order(agent) == Dimming(9000.0, "modbus", BOTH)
    agent.json("PUT", "grid-operator", {"silence_dims": False})
    agent.run(7)
    assert order(agent) is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"input": "gone"}, "input"),
        ({"charge_points": ["left", "gone"]}, "charge_points"),
        ({"charge_points": ["grid"]}, "charge_points"),
        ({"other_devices": -1}, "other_devices"),
        ({"other_devices": 501}, "other_devices"),
        ({"others_w": -1}, "others_w"),
        ({"heat_pumps_w": 1e9}, "heat_pumps_w"),
        ({"cooling_w": -5}, "cooling_w"),
        ({"agreed_w": 0}, "agreed_w"),
        ({"agreed_w": 2e6}, "agreed_w"),
        ({"heartbeat_s": 1}, "heartbeat_s"),
    ],
)
def test_what_cannot_be_agreed_is_refused_by_its_field(agent: WholeAgent, body: Any, field: str) -> None:
    before = agent.store.current
    assert agent.refused("PUT", "grid-operator", body) == (422, "invalid-field", field)
    assert agent.store.current == before


@pytest.mark.parametrize("limit_w", [-1, 1_000_001, 1e300])
def test_absurd_limits_are_refused(agent: WholeAgent, limit_w: float) -> None:
    body = {"on": True, "limit_w": limit_w}
    assert agent.refused("PUT", "grid-operator/dimming", body) == (422, "bad-limit", "limit_w")
    assert order(agent) is None


def test_nothing_of_it_is_done_from_afar(agent: WholeAgent) -> None:
    for method, path, body in (
        ("PUT", "grid-operator", {"agreed_w": 9000}),
        ("PUT", "grid-operator/dimming", {"on": False}),
        ("POST", "grid-operator/test", {}),
    ):
        assert agent.refused(method, path, body, REMOTE_ADMIN) == (403, "site-only", None)
    assert agent.json("GET", "grid-operator", None, REMOTE_ADMIN)["minimum_w"] == 7560.0


def test_a_charge_point_that_goes_counts_no_more_and_a_used_input_cannot_go(agent: WholeAgent) -> None:
    agent.ask("DELETE", "devices/right")
    assert now(agent)["minimum_w"] == 4200.0 and now(agent)["settings"]["charge_points"] == ["left"]
    with_input(agent)
    assert agent.refused("PUT", "inputs", {"inputs": []}) == (422, "input-in-use", "inputs")


# -- the log ---------------------------------------------------------------------------------------------------------


def test_the_log_has_begin_end_and_every_minute_around(agent: WholeAgent) -> None:
    agent.run(600)
    agent.json("PUT", "grid-operator/dimming", {"on": True, "limit_w": 9000})
    agent.run(180)
    agent.json("PUT", "grid-operator/dimming", {"on": False})
    agent.run(900)
    log = agent.json("GET", "grid-operator/evidence")
    (one,) = log["orders"]
    assert (one["source"], one["limit_w"], one["asked_w"], one["minimum_w"]) == ("api", 9000.0, 9000.0, 7560.0)
    assert one["end"] == "over" and one["began_at"] < one["ended_at"]
    held = [minute for minute in log["minutes"] if minute["limit_w"] is not None]
    assert len(held) == 4, "three minutes, and parts of two"
    assert len(log["minutes"]) == 5 + 4 + 5
    for minute in log["minutes"]:
        assert minute["charging_w"] == 6900 and minute["grid_w"] == 8280 and minute["from_grid_w"] == 6900
        assert minute["unread"] in (0, 1) and minute["seconds"] == 60


def test_the_log_is_a_csv_too(agent: WholeAgent) -> None:
    agent.json("PUT", "grid-operator/dimming", {"on": True})
    agent.run(130)
    agent.json("PUT", "grid-operator/dimming", {"on": False})
    agent.run(2)
    answer = agent.ask("GET", "grid-operator/evidence.csv")
    assert answer.content_type.startswith("text/csv") and answer.filename == "grid-operator.csv"
    text = answer.body.decode()  # type: ignore[union-attr]
    assert text.count("\r\n") == len(text.splitlines()), "RFC 4180"
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["event"] for row in rows][:1] + [row["event"] for row in rows][-1:] in (
        ["begin", "end"],
        ["minute", "end"],
    )
    assert {row["event"] for row in rows} == {"begin", "minute", "end"}
    assert [row["limit_w"] for row in rows if row["event"] == "begin"] == ["7560.0"]
    dimmed = [row for row in rows if row["event"] == "minute" and row["limit_w"]]
    assert len(dimmed) >= 3, "that in which it began is one of them"
    assert {(row["source"], row["reason"], row["minimum_w"]) for row in dimmed} == {("api", "api", "7560.0")}
    again = agent.ask("GET", "grid-operator/evidence.csv", query="from=2031-01-01")
    assert again.body.decode().splitlines()[1:] == []  # type: ignore[union-attr]


def test_minutes_without_an_order_name_nobody_and_of_two_orders_the_lower_one_counts(agent: WholeAgent) -> None:
    agent.run(120)
    agent.json("PUT", "grid-operator/dimming", {"on": True, "limit_w": 9000})
    agent.run(5)
    agent.json("POST", "grid-operator/test", {})
    agent.run(5)
    agent.json("POST", "grid-operator/test", {"on": False})
    agent.run(120)
    minutes = agent.json("GET", "grid-operator/evidence")["minutes"]
    assert [one["source"] for one in minutes if one["limit_w"] is None] == [None] * 2
    told = [(one["source"], one["asked_w"], one["limit_w"]) for one in minutes if one["limit_w"] is not None]
    assert told == [("test", None, 7560), ("api", 9000.0, 9000), ("api", 9000.0, 9000)]


def test_the_log_asks_for_times(agent: WholeAgent) -> None:
    assert agent.refused("GET", "grid-operator/evidence", query="from=x") == (422, "bad-time", "from")


def test_a_limit_that_changes_is_an_entry_of_its_own(agent: WholeAgent) -> None:
    for limit_w in (8000, 9000):
        agent.json("PUT", "grid-operator/dimming", {"on": True, "limit_w": limit_w})
        agent.run(5)
    orders = agent.json("GET", "grid-operator/evidence")["orders"]
    assert [(one["limit_w"], one["end"]) for one in orders] == [(8000.0, "over"), (9000.0, None)]
    assert orders[0]["ended_at"] == orders[1]["began_at"]


@contextlib.contextmanager
def after_a_crash(agent: WholeAgent, values: Any) -> Iterator[WholeAgent]:
    """Another agent on what was durable at this instant."""
    folder = agent.folder / "again"
    folder.mkdir()
    with (
        contextlib.closing(sqlite3.connect(agent.folder / "agent.db")) as one,
        contextlib.closing(sqlite3.connect(folder / "agent.db")) as other,
    ):
        one.backup(other)
    again = WholeAgent(folder, None, values)
    yield again
    again.close()


def test_a_standing_order_holds_on_after_a_crash_and_the_log_says_that_we_were_gone(agent: WholeAgent) -> None:
    agent.json("PUT", "grid-operator/dimming", {"on": True, "limit_w": 8000, "for_s": 600})
    agent.run(120)
    with after_a_crash(agent, VALUES) as again:
        assert order(again) == Dimming(8000.0, "api", BOTH)
        orders = again.json("GET", "grid-operator/evidence")["orders"]
        assert {one["end"] for one in orders} == {"restart", None}
        again.run(620)
        assert order(again) is None, "its ten minutes are over"


def test_an_order_by_input_holds_on_until_the_input_is_known(agent: WholeAgent) -> None:
    with_input(agent)
    contact(agent, True)
    agent.run(3)
    with after_a_crash(agent, {**VALUES, "contact": {"values": {"state": 0}}}) as again:
        first = again.json("GET", "grid-operator/evidence")["orders"]
        assert [one["source"] for one in first] == ["input", "input"], "it was held until the input was read"
        assert order(again) is None


def test_the_log_is_kept_two_years_and_a_clock_that_jumps_deletes_nothing(agent: WholeAgent) -> None:
    def put(connection: sqlite3.Connection) -> None:
        for at in ("2023-01-01T00:00:00.000+00:00", "2025-01-01T00:00:00.000+00:00"):
            connection.execute("INSERT INTO dimming_minute VALUES (?, 1, 1, 1, 1, NULL, 0, 60)", (at,))

    agent.database.write(put)

    def kept() -> list[str]:
        return [one["at"][:4] for one in agent.json("GET", "grid-operator/evidence", query="to=2026-01-01")["minutes"]]

    agent.json("PUT", "grid-operator/dimming", {"on": True, "limit_w": 9000})
    agent.run(70)
    assert kept() == ["2023", "2025"], "the clock has not been watched for long enough"
    agent.site.grid.evidence._steady_s -= 90_000
    agent.run(70)
    assert kept() == ["2025"]


def test_a_user_sees_that_it_is_dimmed_and_nothing_of_the_house(agent: WholeAgent) -> None:
    with_input(agent)
    contact(agent, True)
    from charging_manager.agent.picture import visible

    said = agent.site.picture().said("de")
    seen = visible(said, frozenset({"left"}))
    assert seen["inputs"] == {} and seen["alarms"] == [] and seen["dimming"]["on"] is True
    assert json.dumps(seen)


# -- the disk ----------------------------------------------------------------------------------------------------------


def test_a_full_disk_delays_the_log_says_so_and_loses_nothing_that_has_room(
    agent: WholeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = agent.database.write
    monkeypatch.setattr(agent.database, "write", lambda _: fail(StorageError("disk-full", "the disk is full")))
    agent.site.grid.order("modbus", True, 9000.0)
    agent.run(70)
    assert order(agent) is not None, "it is obeyed all the same"
    codes = [alarm["code"] for alarm in agent.json("GET", "state")["alarms"]]
    assert "grid-log-waiting" in codes
    waiting = agent.site.grid.evidence.waiting
    assert waiting >= 2
    assert [one["limit_w"] for one in agent.json("GET", "grid-operator/evidence")["orders"]] == [9000.0]
    monkeypatch.setattr(agent.database, "write", real)
    agent.run(10)
    assert agent.site.grid.evidence.waiting == 0 and agent.site.grid.evidence.trouble is None
    with contextlib.closing(sqlite3.connect(agent.folder / "agent.db")) as stored:
        assert stored.execute("SELECT COUNT(*) FROM dimming_order").fetchone()[0] == 1


def test_what_waits_for_the_disk_is_bounded(agent: WholeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent.database, "write", lambda _: fail(StorageError("disk-full", "the disk is full")))
    for number in range(6000):
        agent.site.grid.order("modbus", True, 8000.0 + number)
        agent.site.grid.view()
    assert agent.site.grid.evidence.waiting == 5000 and agent.site.grid.evidence.lost > 0
