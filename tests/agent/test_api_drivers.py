"""Driver tables over the API: looked at, kept, replaced and removed, with what rests on them in mind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from charging_manager.devices.loader import LARGEST_FILE
from charging_manager.paths import shared
from tests.agent.whole import REMOTE_ADMIN, WholeAgent
from tests.devices.tables import CHARGER, METER

KEBA = (shared("drivers") / "keba-p30.toml").read_text()
WALL = {"id": "wall", "name": "Wall", "driver": "acme-wall", "address": "tcp://127.0.0.1:1502?unit=1"}


def listed(agent: WholeAgent, name: str) -> Any:
    return next((each for each in agent.json("GET", "drivers")["drivers"] if each["name"] == name), None)


def uploads(agent: WholeAgent) -> Path:
    return agent.site.shelf.uploads


@pytest.fixture(autouse=True)
def folder(agent: WholeAgent) -> None:
    uploads(agent).mkdir(exist_ok=True)


def test_a_table_is_looked_at_and_nothing_is_kept(agent: WholeAgent) -> None:
    found = agent.json("POST", "drivers/check", {"name": "acme-wall", "text": CHARGER})
    assert (found["ok"], found["errors"], found["title"]) == (True, 0, "Acme Wall")
    assert [each["name"] for each in found["findings"]] == ["no-energy"]
    assert (found["replaces"], found["used_by"]) == (None, [])
    wrong = agent.json("POST", "drivers/check", {"name": "acme-wall", "text": CHARGER.replace("step_a", "setp_a")})
    assert not wrong["ok"] and wrong["findings"][0]["line"] and "setp_a" in str(wrong["findings"])
    assert agent.json("POST", "drivers/check", {"name": "keba-p30", "text": KEBA})["replaces"] == "shipped"
    assert list(uploads(agent).iterdir()) == []


def test_a_table_is_kept_and_steers_at_once(agent: WholeAgent) -> None:
    assert agent.refused("POST", "devices", WALL)[1] == "unknown-driver"
    kept = agent.json("PUT", "drivers/acme-wall", {"text": CHARGER})
    assert (kept["name"], kept["uploaded"], kept["used_by"]) == ("acme-wall", True, [])
    assert (uploads(agent) / "acme-wall.toml").read_text() == CHARGER
    assert (uploads(agent) / "acme-wall.toml").stat().st_mode & 0o777 == 0o600
    agent.json("POST", "devices", WALL)
    assert listed(agent, "acme-wall")["used_by"] == ["Wall"]
    assert agent.json("GET", "drivers/acme-wall")["registers"]


def test_what_is_no_driver_is_refused_with_its_line_and_not_kept(agent: WholeAgent) -> None:
    for text in (
        "",
        "vendor = ",
        CHARGER.replace("step_a", "setp_a"),
        'hook = "Evil"\n' + CHARGER,
        "format = 9\n" + CHARGER,
    ):
        assert agent.refused("PUT", "drivers/acme-wall", {"text": text}) == (422, "not-a-driver", "text")
    large = CHARGER + "#" * LARGEST_FILE
    assert agent.refused("PUT", "drivers/acme-wall", {"text": large}) == (422, "not-a-driver", "text")
    assert list(uploads(agent).iterdir()) == []


@pytest.mark.parametrize("name", ["Acme", "acme.py%2f..", "..%2F..%2Fetc", "acme wall", "a" * 80])
def test_a_name_that_is_a_path_or_no_name_is_refused(agent: WholeAgent, name: str) -> None:
    assert agent.ask("PUT", f"drivers/{name}", {"text": CHARGER}).status in (404, 422)
    assert list(uploads(agent).iterdir()) == []


def test_another_table_of_the_same_name_is_taken_only_on_purpose(agent: WholeAgent) -> None:
    agent.json("PUT", "drivers/acme-wall", {"text": CHARGER})
    newer = CHARGER.replace('"Wall"', '"Wall 2"')
    assert agent.refused("PUT", "drivers/acme-wall", {"text": newer})[:2] == (409, "driver-exists")
    assert agent.refused("PUT", "drivers/keba-p30", {"text": KEBA})[:2] == (409, "driver-exists")
    agent.json("PUT", "drivers/acme-wall", {"text": newer, "replace": True})
    assert listed(agent, "acme-wall")["title"] == "Acme Wall 2"


def test_devices_do_not_lose_their_driver_nor_get_one_of_another_kind(agent: WholeAgent) -> None:
    agent.json("PUT", "drivers/acme-wall", {"text": CHARGER})
    agent.json("POST", "devices", WALL)
    assert agent.refused("DELETE", "drivers/acme-wall")[:2] == (409, "driver-in-use")
    meter = {"text": METER, "replace": True}
    assert agent.refused("PUT", "drivers/acme-wall", meter)[:2] == (409, "driver-in-use")
    agent.ask("DELETE", "devices/wall")
    assert agent.ask("DELETE", "drivers/acme-wall").status == 204
    assert listed(agent, "acme-wall") is None
    assert agent.refused("DELETE", "drivers/acme-wall")[:2] == (404, "not-found")


def test_a_shipped_driver_takes_over_again_and_cannot_be_removed(agent: WholeAgent) -> None:
    agent.json("POST", "devices", {**WALL, "driver": "keba-p30"})
    agent.json("PUT", "drivers/keba-p30", {"text": KEBA.replace('"KEBA"', '"KEBA, ours"'), "replace": True})
    assert listed(agent, "keba-p30")["uploaded"]
    assert agent.ask("DELETE", "drivers/keba-p30").status == 204
    assert (listed(agent, "keba-p30")["uploaded"], listed(agent, "keba-p30")["used_by"]) == (False, ["Wall"])
    assert agent.refused("DELETE", "drivers/keba-p30")[:2] == (409, "not-uploaded")


def test_nothing_of_it_can_be_done_through_the_cloud(agent: WholeAgent) -> None:
    assert agent.refused("PUT", "drivers/acme-wall", {"text": CHARGER}, REMOTE_ADMIN)[1] == "site-only"
    agent.json("PUT", "drivers/acme-wall", {"text": CHARGER})
    assert agent.refused("DELETE", "drivers/acme-wall", None, REMOTE_ADMIN)[1] == "site-only"


def test_uploads_are_bounded(agent: WholeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charging_manager.agent.api_drivers.MOST_UPLOADS", 1)
    agent.json("PUT", "drivers/acme-wall", {"text": CHARGER})
    assert agent.refused("PUT", "drivers/other", {"text": CHARGER})[:2] == (409, "too-many-drivers")
    agent.json("PUT", "drivers/acme-wall", {"text": CHARGER, "replace": True})


def test_the_page_of_a_driver_says_how_sure_it_is(agent: WholeAgent) -> None:
    shown = agent.json("GET", "drivers/webasto-unite")
    assert (shown["quality"], shown["tested_firmware"]) == ("manual", ["3.150", "3.187"])
    assert shown["watchdog"]["programmable"] and shown["watchdog"]["fallback"]
    assert [each["name"] for each in shown["accepted"]] == ["wear-unknown"]
    assert next(each for each in shown["registers"] if each["name"] == "failsafe_s")["uncertain"]
    assert shown["uncertain"] == len(shown["uncertainties"]) + sum(
        bool(each["uncertain"]) for each in shown["registers"]
    )
    assert agent.json("GET", "drivers/go-e-charger-v2")["watchdog"] is None
    assert agent.refused("GET", "drivers/nothing")[:2] == (404, "not-found")
    for driver in agent.json("GET", "drivers")["drivers"]:
        assert driver["quality"], driver["name"]
        assert agent.json("GET", f"drivers/{driver['name']}")["title"] == driver["title"]
