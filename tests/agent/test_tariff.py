"""Prices and sun in a whole agent: entered, fetched, kept, refused, named; and what plans make of them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from charging_manager.agent.feed import OFTEN_S
from charging_manager.agent.fetch import Asked, FetchError
from charging_manager.http.routes import Caller, Role
from charging_manager.model.reading import Status
from tests.agent.values import START_AT, box, house
from tests.agent.whole import ADMIN, Make, WholeAgent

PLUGGED = {"status": Status.PLUGGED, "current_a": (0.0, 0.0, 0.0), "energy_wh": 1000.0}
MAPPING = {"url": "https://prices.example/{date}", "start": "/at", "price": "/p", "minutes": 60, "unit": "ct/kWh"}
HTTP = {"source": "http", "feed": {"mapping": MAPPING}}
HOUR = timedelta(hours=1)


@pytest.fixture
def agent(agents: Make) -> WholeAgent:
    """Monday, 10:00 in Paris; a car is plugged in."""
    whole = agents(house(box("garage", driver="keba-p30")), {"garage": PLUGGED})
    whole.run(5)
    return whole


def day_of(asked: Asked) -> datetime:
    return datetime.fromisoformat(asked.url.rpartition("/")[2] + "T00:00+02:00")


def hours(asked: Asked) -> bytes:
    """A day of prices: 30 ct, and 10 ct from 2 to 5 o'clock."""
    begin = day_of(asked)
    rows = [{"at": (begin + n * HOUR).isoformat(), "p": 10 if 2 <= n < 5 else 30} for n in range(24)]
    return json.dumps(rows).encode()


def not_yet(asked: Asked) -> bytes | Exception:
    """Tomorrow is published at 13:00."""
    return FetchError("not there", 404) if day_of(asked).day > START_AT.day else hours(asked)


def alarms(agent: WholeAgent) -> list[str]:
    agent.run(1)
    return [one["code"] for one in agent.json("GET", "state")["alarms"]]


def test_a_fixed_price_and_a_table_need_nobody(agent: WholeAgent) -> None:
    agent.json("PUT", "tariff", {"source": "fixed", "price": 0.25})
    known = agent.json("GET", "prices")
    assert (known["price"], known["level"], known["currency"]) == (0.25, "normal", "EUR")
    night = {"price": 0.1, "time_from": "22:00", "time_to": "06:00", "days": [0, 1]}
    said = agent.json("PUT", "tariff", {"source": "table", "price": 0.3, "windows": [night]})
    assert said["tariff"]["windows"][0]["time_from"] == "22:00"
    assert agent.json("PUT", "tariff", said["tariff"])["tariff"] == said["tariff"], "what is shown can be sent back"
    assert agent.json("GET", "prices")["price"] == 0.3
    assert "no-prices" not in alarms(agent)


@pytest.mark.parametrize("day", ["02-30", "04-31", "00-10", "13-01", "1-1", "06-00", "02-3"])
def test_a_day_that_no_year_has_is_refused(agent: WholeAgent, day: str) -> None:
    for key, other in (("season_from", "season_to"), ("season_to", "season_from")):
        body = {"source": "table", "price": 0.3, "windows": [{"price": 0.1, key: day, other: "02-29"}]}
        assert agent.refused("PUT", "tariff", body) == (422, "invalid-field", f"windows.0.{key}")


def test_a_price_that_is_likely_in_cents_is_said(agent: WholeAgent) -> None:
    body = {
        "source": "table",
        "price": -99,
        "windows": [{"price": 30}, {"price": 0.3, "season_from": "02-29", "season_to": "12-31"}],
    }
    said = agent.json("PUT", "tariff", body)
    assert [(one["where"], one["code"]) for one in said["warnings"]] == [
        ("tariff.price", "odd-price"),
        ("tariff.windows.0.price", "odd-price"),
    ]
    assert "EUR per kWh" in said["warnings"][0]["text"]
    assert agent.json("PUT", "tariff", {"source": "fixed", "price": 90, "currency": "HUF"})["warnings"] == []
    assert agent.json("PUT", "tariff", {"source": "fixed", "price": 0.45})["warnings"] == []


def test_a_provider_is_asked_and_a_plan_waits_for_its_cheap_hours(agent: WholeAgent) -> None:
    agent.provider = hours
    agent.json("PUT", "tariff", HTTP)
    agent.run(2)
    assert [one.url for one in agent.asked] == [
        "https://prices.example/2026-05-04",
        "https://prices.example/2026-05-05",
    ]
    assert agent.json("GET", "prices")["price"] == 0.3
    said = agent.json(
        "PUT", "charge-points/garage/mode", {"mode": "plan", "goal": {"by": "07:00", "energy_wh": 30000}}
    )["forecast"]
    assert said["feasible"] is True
    assert [run["start_at"] for run in said["runs"]] == ["2026-05-05T00:00:00Z"]
    assert said["cost"] == pytest.approx(3.0, rel=0.02)
    assert len(said["times"]) >= 21


def test_tomorrow_that_is_not_there_yet_is_asked_for_later(agent: WholeAgent) -> None:
    agent.provider = not_yet
    agent.json("PUT", "tariff", HTTP)
    agent.run(2)
    assert agent.json("GET", "tariff")["prices"]["trouble"] is None
    assert len(agent.asked) == 2
    agent.clock.advance(3 * 3600 + 400)  # it is past 13:00
    agent.clock.advance(30)
    assert len(agent.asked) == 4
    agent.provider = hours
    agent.clock.advance(OFTEN_S + 330)
    agent.clock.advance(30)
    assert len(agent.asked) == 6
    assert agent.json("GET", "tariff")["prices"]["known_until"] == "2026-05-05T22:00:00Z"


def test_failures_are_named_tried_again_ever_more_seldom_and_end(agent: WholeAgent) -> None:
    agent.json("PUT", "tariff", HTTP)
    assert "tariff-failed" in alarms(agent)
    assert "no-prices" in alarms(agent)
    for _ in range(120):
        agent.clock.advance(30)
    assert 4 <= len(agent.asked) <= 8, "an hour of trying"
    agent.provider = hours
    for _ in range(300):
        agent.clock.advance(30)
    assert alarms(agent) == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"<html>", "not JSON"),
        (b'[{"at": "2026-05-04T00:00", "p": 1}]', "row 1: the time 2026-05-04 00:00:00 has no time zone"),
        (b'[{"at": "2026-05-04T00:00Z", "p": 99999}]', "row 1: a kWh cannot cost 999.99 EUR"),
        (b'[{"at": "2026-05-02T00:00Z", "p": 10}]', "ended at 2026-05-02 01:00Z and is left out"),
    ],
)
def test_what_makes_no_sense_is_not_taken_and_said(agent: WholeAgent, answer: bytes, reason: str) -> None:
    agent.provider = lambda asked: answer if asked.url.endswith("04") else FetchError("not there", 404)
    agent.json("PUT", "tariff", HTTP)
    agent.run(2)
    said = agent.json("GET", "tariff")
    assert reason in said["prices"]["trouble"]["text"]
    assert agent.json("GET", "prices")["slots"] == []


def test_a_gap_is_an_alarm(agent: WholeAgent) -> None:
    agent.json("PUT", "tariff", {"source": "file"})
    text = "start,end,price\n2026-05-04T08:00Z,2026-05-04T12:00Z,0.2\n2026-05-04T14:00Z,2026-05-04T20:00Z,0.3\n"
    assert agent.json("POST", "tariff/file", {"text": text}) == {"rows": 2}
    assert "price-gap" in alarms(agent)
    gap = next(one for one in agent.json("GET", "state")["alarms"] if one["code"] == "price-gap")
    assert "2026-05-04 14:00" in gap["text"], "in local time"


def test_a_file_is_refused_with_its_row_and_never_in_part(agent: WholeAgent) -> None:
    body = {
        "text": "start,end,price\n2026-05-04T08:00Z,2026-05-04T09:00Z,0.2\n2026-05-04T09:00Z,2026-05-04T10:00Z,nan\n"
    }
    assert agent.refused("POST", "tariff/file", body)[:2] == (409, "other-source")
    agent.json("PUT", "tariff", {"source": "file"})
    assert agent.refused("POST", "tariff/file", body) == (422, "bad-row", "text")
    assert agent.refused("POST", "tariff/file", {"text": ""}) == (422, "bad-file", "text")
    assert agent.refused("POST", "tariff/file", {"text": "x", "kind": "moon"}) == (422, "bad-kind", "kind")
    assert agent.json("GET", "prices")["slots"] == []


def test_a_file_that_is_dropped_in_is_taken(agent: WholeAgent) -> None:
    inbox = agent.folder / "tariffs"
    inbox.mkdir()
    agent.json("PUT", "tariff", {"source": "file"})
    (inbox / "prices.csv").write_text("start,end,price\n2026-05-04T08:00Z,2026-05-04T20:00Z,0.2\n")
    agent.clock.advance(31)
    assert agent.json("GET", "prices")["price"] == 0.2
    (inbox / "prices.csv").write_text("start,end,price\n2026-05-04T08:00Z,2026-05-04T20:00Z,nan\n")
    agent.clock.advance(31)
    assert "row 1: is no number" in agent.json("GET", "tariff")["prices"]["trouble"]["text"]
    assert agent.json("GET", "prices")["price"] == 0.2, "what was good before still holds"


def test_what_is_known_outlives_a_restart(agents: Make, agent: WholeAgent, tmp_path: Path) -> None:
    agent.provider = hours
    agent.json("PUT", "tariff", HTTP)
    agent.run(2)
    config = agent.store.current
    agent.database.close()
    again = agents(config)
    assert again.asked == [] or len(again.json("GET", "prices")["slots"]) == 48
    assert len(again.json("GET", "prices")["slots"]) == 48


def test_another_tariff_forgets_the_old_prices(agent: WholeAgent) -> None:
    agent.provider = hours
    agent.json("PUT", "tariff", HTTP)
    agent.run(2)
    agent.json("PUT", "tariff", {"source": "file"})
    assert agent.json("GET", "prices")["slots"] == []


def test_the_sun_leaves_its_part_to_house_and_bad_luck(agent: WholeAgent) -> None:
    agent.json("PUT", "sun-forecast", {"source": "file", "factor": 0.5, "house_w": 400})
    text = "start,end,power_w\n2026-05-04T10:00Z,2026-05-04T11:00Z,6000\n2026-05-04T11:00Z,2026-05-04T12:00Z,300\n"
    agent.json("POST", "tariff/file", {"text": text, "kind": "sun"})
    assert [one["spare_w"] for one in agent.json("GET", "tariff")["sun"]["slots"]] == [2600, 0]
    assert agent.site.outside.view().sun is agent.site.outside.view().sun


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"source": "magic"}, "source"),
        ({"source": "fixed"}, "price"),
        ({"source": "fixed", "price": 5000}, "price"),
        ({"source": "table", "price": 0.1, "windows": [{"price": 0.1, "time_from": "26:00"}]}, "windows.0.time_from"),
        ({"source": "table", "price": 0.1, "windows": [{"price": 0.1, "days": [9]}]}, "windows.0.days"),
        ({"source": "http"}, "feed.plugin"),
        ({"source": "http", "feed": {"plugin": "nobody"}}, "feed.plugin"),
        ({"source": "http", "feed": {"plugin": "forecast-solar"}}, "feed.plugin"),
        ({"source": "http", "feed": {"plugin": "tibber"}}, "feed.token"),
        ({"source": "http", "feed": {"plugin": "awattar", "values": {"country": "../x"}}}, "feed.values.country"),
        ({"source": "http", "feed": {"mapping": {**MAPPING, "url": "http://prices.example/"}}}, "feed.mapping.url"),
        ({"source": "http", "feed": {"mapping": {**MAPPING, "time_format": "roman"}}}, "feed.mapping.time_format"),
        ({"source": "http", "feed": {"mapping": {**MAPPING, "published": "noon"}}}, "feed.mapping.published"),
        ({"source": "none", "currency": "€"}, "currency"),
    ],
)
def test_a_tariff_that_makes_no_sense_is_refused_at_its_field(
    agent: WholeAgent, body: dict[str, Any], field: str
) -> None:
    assert agent.refused("PUT", "tariff", body)[::2] == (422, field)
    assert agent.asked == []


def test_a_token_is_never_shown_and_stays_until_another_is_entered(agent: WholeAgent) -> None:
    agent.provider = lambda asked: b"{}"
    said = agent.json("PUT", "tariff", {"source": "http", "feed": {"plugin": "tibber", "token": "very-secret"}})
    agent.run(2)
    assert agent.asked[-1].headers == {"Authorization": "Bearer very-secret"}
    assert said["tariff"]["feed"]["has_token"] is True
    assert "very-secret" not in json.dumps(agent.json("GET", "tariff"))
    agent.json("PUT", "tariff", said["tariff"])
    assert agent.store.current.tariff.feed.token == "very-secret"


def test_the_tariff_is_for_admins_and_prices_for_all_who_charge(agent: WholeAgent) -> None:
    user = Caller(Role.USER, "anna")
    assert agent.refused("GET", "tariff", caller=user)[0] == 403
    assert agent.refused("PUT", "tariff", {"source": "none"}, user)[0] == 403
    assert agent.json("GET", "prices", caller=user)["slots"] == []
    assert agent.json("GET", "tariff", caller=ADMIN)["tariff"]["source"] == "none"
