from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from charging_manager.agent.api_cloud import is_default
from charging_manager.errors import ConfigError
from tests.agent.waiting import result_of
from tests.agent.whole import WholeAgent

OWN = {"enabled": True, "server": "cloud.example.org", "cloud_id": "garage-7", "password": "a good password"}


def test_as_shipped_there_is_no_server_and_the_serial_is_the_cloud_id(agent: WholeAgent) -> None:
    said = agent.json("GET", "config/cloud")
    assert (said["enabled"], said["server"], said["cloud_id"]) == (False, "", "AAAA-BBBB-CCCC-DDDD")
    assert (said["serial"], said["state"], said["last_error"], said["next_try_s"]) == (
        "AAAA-BBBB-CCCC-DDDD",
        "off",
        None,
        None,
    )
    assert "password" not in said and said["password_set"] is False


def test_switched_on_without_any_server_it_says_so_and_does_not_start(agent: WholeAgent) -> None:
    agent.uplink.startService()
    said = agent.json("PUT", "config/cloud", {"enabled": True, "server": "", "cloud_id": "", "password": ""})
    assert (said["state"], said["last_error"]) == ("no-server", "no-server")
    assert said["last_error_text"].startswith("There is no default cloud server")


def test_an_own_server_is_kept_with_its_id_and_its_password_is_never_shown(agent: WholeAgent) -> None:
    said = agent.json("PUT", "config/cloud", OWN)
    assert (said["server"], said["cloud_id"], said["password_set"]) == ("cloud.example.org", "garage-7", True)
    assert agent.store.current.cloud.password == "a good password"
    assert agent.uplink.settings.cloud_id == "garage-7" and agent.uplink.settings.password == "a good password"


@pytest.mark.parametrize("left_out", [{}, {"password": ""}, {"password": None}])
def test_a_password_that_is_left_out_stays(agent: WholeAgent, left_out: dict[str, Any]) -> None:
    agent.json("PUT", "config/cloud", OWN)
    body = {key: value for key, value in OWN.items() if key != "password"}
    agent.json("PUT", "config/cloud", {**body, **left_out, "cloud_id": "garage-8"})
    assert agent.store.current.cloud.password == "a good password"


def test_without_a_server_what_was_entered_is_kept(agent: WholeAgent) -> None:
    agent.uplink.startService()
    agent.json("PUT", "config/cloud", OWN)
    for body in ({"cloud_id": "", "password": ""}, {"cloud_id": "garage-7"}, {"cloud_id": "AAAA-BBBB-CCCC-DDDD"}):
        said = agent.json("PUT", "config/cloud", {"enabled": True, "server": " ", **body})
        assert (said["state"], said["server"]) == ("no-server", "")
        assert (said["cloud_id"], said["password_set"]) == ("garage-7", True)
    assert agent.store.current.cloud.password == "a good password"
    agent.json(
        "PUT", "config/cloud", {"enabled": True, "server": "", "cloud_id": "yard-9", "password": "another good one"}
    )
    said = agent.json("PUT", "config/cloud", {"enabled": True, "server": "cloud.example.org", "cloud_id": "yard-9"})
    assert (said["cloud_id"], agent.store.current.cloud.password) == ("yard-9", "another good one")
    assert agent.refused("PUT", "config/cloud", {"enabled": True, "password": "short"})[::2] == (422, "password")


def test_an_id_of_an_own_server_survives_a_time_with_the_default_one(agent: WholeAgent) -> None:
    result_of(agent.uplink.change(evolve(agent.uplink.settings, default_server="cloud.example.net")))
    agent.json("PUT", "config/cloud", OWN)
    assert agent.json("PUT", "config/cloud", {"enabled": True, "server": ""})["cloud_id"] == "AAAA-BBBB-CCCC-DDDD"
    cloud = agent.store.current.cloud
    assert (cloud.cloud_id, cloud.password) == ("garage-7", "a good password")


def test_the_default_server_needs_neither_id_nor_password(agent: WholeAgent) -> None:
    settings = evolve(agent.uplink.settings, default_server="cloud.example.net")
    result_of(agent.uplink.change(settings))
    for server in ("", "cloud.example.net", "https://CLOUD.example.net:4443/"):
        said = agent.json("PUT", "config/cloud", {**OWN, "server": server})
        assert (said["server"], said["cloud_id"], said["password_set"]) == ("", "AAAA-BBBB-CCCC-DDDD", False)
    assert agent.json("PUT", "config/cloud", {**OWN, "server": "cloud.example.net:444"})["cloud_id"] == "garage-7"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"server": "http://cloud.example"}, "server"),
        ({"server": "cloud.example:99999"}, "server"),
        ({"server": "two words"}, "server"),
        ({"cloud_id": ""}, "cloud_id"),
        ({"cloud_id": "ab"}, "cloud_id"),
        ({"cloud_id": "x" * 65}, "cloud_id"),
        ({"cloud_id": "blank blank"}, "cloud_id"),
        ({"cloud_id": "AAAA-BBBB-CCCC-DDDD"}, "cloud_id"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"password": ""}, "password"),
        ({"enabled": "yes"}, "enabled"),
    ],
)
def test_what_cannot_work_names_its_field_and_changes_nothing(
    agent: WholeAgent, change: dict[str, Any], field: str
) -> None:
    before = agent.store.current
    assert agent.refused("PUT", "config/cloud", {**OWN, **change})[::2] == (422, field)
    assert agent.store.current == before


def test_a_server_may_be_entered_before_the_rest(agent: WholeAgent) -> None:
    said = agent.json("PUT", "config/cloud", {"enabled": False, "server": "cloud.example.org"})
    assert (said["server"], said["cloud_id"]) == ("cloud.example.org", "")


def test_the_default_server_goes_by_many_spellings() -> None:
    assert is_default("", "") and is_default("  ", "cloud.example")
    assert is_default("https://cloud.example", "cloud.example:4443")
    assert not is_default("cloud.example", "") and not is_default("other.example", "cloud.example")
    with pytest.raises(ConfigError):
        is_default("a b", "cloud.example")
