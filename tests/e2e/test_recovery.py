"""After ``kill -9`` of cloud or agent: back by themselves, nothing acknowledged lost, nothing above the fallback."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Browser
from tests.support.processes import daemon, eventually, free_port
from tests.support.sites import PASSWORD, admin_of, furnish, set_password, simulated_site

pytestmark = pytest.mark.e2e
SITE = """
[[device]]
id = "box"
driver = "abb-terra-ac"
address = "tcp://127.0.0.1:0?unit=1"
plugged = true

[[device]]
id = "grid"
driver = "eastron-sdm630"
address = "rtutcp://127.0.0.1:0?unit=1"

[house]
hold_a = [3, 4, 5]
"""
CIRCUITS = [{"id": "main", "name": "Main", "parent": None, "limit_a": [25, 25, 25], "meter": "grid"}]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def devices(addresses: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"id": "box", "name": "Box", "driver": "abb-terra-ac", "circuit": "main", "address": addresses["box"]},
        {
            "id": "grid",
            "name": "Grid",
            "driver": "eastron-sdm630",
            "circuit": "main",
            "role": "grid",
            "address": addresses["grid"],
        },
    ]


def test_the_agent_is_back_soon_after_a_killed_cloud_returns(stack: ExitStack, tmp_path: Path) -> None:
    for name in ("site", "cloud"):
        set_password(tmp_path / name)
    cloud_port = free_port()
    first = ExitStack()
    process, _ = first.enter_context(daemon("cm-cloud", tmp_path / "cloud", port=cloud_port))
    _, agent_port = stack.enter_context(daemon("cm-agent", tmp_path / "site"))
    keeper = Browser(cloud_port, secure=True)
    keeper.post("/api/v1/cloud/admin/login", {"password": PASSWORD})
    password = secrets.token_urlsafe(15)
    keeper.post("/api/v1/cloud/admin/installations", {"cloud_id": "home", "password": password})
    admin = admin_of(agent_port)
    server = {"enabled": True, "server": f"127.0.0.1:{cloud_port}", "cloud_id": "home", "password": password}
    admin.put("/api/v1/config/cloud", server)
    eventually(lambda: admin.get("/api/v1/config/cloud")["state"] == "connected")

    process.stop(signal.SIGKILL)
    first.close()
    shown = eventually(lambda: _waiting(admin), 20)
    assert shown["last_error"]
    assert shown["next_try_s"] is not None

    stack.enter_context(daemon("cm-cloud", tmp_path / "cloud", port=cloud_port))
    eventually(lambda: admin.get("/api/v1/config/cloud")["state"] == "connected", 120)
    browser = Browser(cloud_port, secure=True)
    browser.post("/api/v1/cloud/login", {"cloud_id": "HOME", "secret": PASSWORD, "admin": True})
    assert browser.get("/api/v1/me")["remote"] is True


def _waiting(admin: Browser) -> Any:
    shown = admin.get("/api/v1/config/cloud")
    return shown if shown["state"] == "waiting" else None


def test_nothing_acknowledged_is_lost_when_the_agent_is_killed(stack: ExitStack, tmp_path: Path) -> None:
    data = tmp_path / "data"
    set_password(data)
    site = stack.enter_context(simulated_site(tmp_path, SITE))
    for round_number in range(3):
        with daemon("cm-agent", data) as (process, port):
            admin = admin_of(port)
            if round_number == 0:
                furnish(admin, CIRCUITS, devices(site.addresses))
            else:
                assert [d["id"] for d in admin.get("/api/v1/devices")["devices"]] == ["box", "grid"]
                names = {user["name"] for user in admin.get("/api/v1/users")["users"]}
                assert names == {f"user {number}" for number in range(round_number)}
            eventually(lambda admin=admin: admin.get("/api/v1/sessions")["sessions"], 30)
            admin.post("/api/v1/users", {"name": f"user {round_number}", "remote": True, "charge_points": ["box"]})
            process.stop(signal.SIGKILL)
    with daemon("cm-agent", data) as (_, port):
        admin = admin_of(port)
        sessions = admin.get("/api/v1/sessions")["sessions"]
        assert len([session for session in sessions if session["ended_at"] is None]) == 1, sessions
        assert all(session["energy_wh"] >= 0 for session in sessions)


def test_a_killed_agent_gives_nothing_above_the_fallback_before_it_read_the_meter(
    stack: ExitStack, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    set_password(data)
    site = stack.enter_context(simulated_site(tmp_path, SITE))
    with daemon("cm-agent", data) as (process, port):
        furnish(admin_of(port), CIRCUITS, devices(site.addresses))
        eventually(lambda: max(site.truth()["charging_a"]) > 10, 60)
        process.stop(signal.SIGKILL)
    site.change(devices={"grid": {"silence": True}})
    with daemon("cm-agent", data) as (_, port):
        admin = admin_of(port)
        point = eventually(lambda: _answering(admin), 30)
        assert point["setpoint_a"] == 0
        assert point["because"]["code"] == "meter-silent"
        eventually(lambda: max(site.truth()["charging_a"]) == 0, 30)
        site.change(devices={"grid": {"silence": False}})
        eventually(lambda: admin.get("/api/v1/state")["charge_points"][0]["setpoint_a"] >= 6, 60)


def _answering(admin: Browser) -> Any:
    point = admin.get("/api/v1/state")["charge_points"][0]
    return point if point["answering"] and point["setpoint_a"] is not None else None
