"""The agent as its users meet it: a real cm-agent on a free port, and simulated devices that speak real Modbus."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from charging_manager.http.passwords import AdminPassword
from tests.support.api import Browser
from tests.support.processes import BIN, ROOT, Running, daemon, eventually, free_port
from tests.support.sites import PASSWORD, Simulated, admin_of, set_password, simulated_site

pytestmark = pytest.mark.e2e

SITE = """
[[device]]
id = "garage"
driver = "keba-p30"
address = "tcp://127.0.0.1:0?unit=255"

[[device]]
id = "yard"
driver = "abb-terra-ac"
address = "tcp://127.0.0.1:0?unit=1"

[[device]]
id = "grid"
driver = "sunspec-meter-203"
address = "tcp://127.0.0.1:0?unit=1"
sees = "grid"

[house]
hold_a = [6, 6, 6]
"""
CLEAN = (0, -signal.SIGTERM)
"""After a clean stop twistd ends by the very signal that stopped it."""
DRIVERS = {"garage": "keba-p30", "yard": "abb-terra-ac", "grid": "sunspec-meter-203"}


def furnish(admin: Browser, site: Simulated) -> None:
    """32 A, two boxes and a grid meter."""
    [main] = admin.get("/api/v1/site")["circuits"]
    admin.put("/api/v1/site", {"circuits": [{**main, "limit_a": [32, 32, 32]}]})
    for name, driver in DRIVERS.items():
        body = {"id": name, "name": name.title(), "driver": driver, "address": site.addresses[name]}
        admin.post("/api/v1/devices", {**body, "role": "grid"} if name == "grid" else body)


def box_of(admin: Browser, name: str = "garage") -> Any:
    state = admin.get("/api/v1/state")
    return next(one for one in state["charge_points"] if one["id"] == name)


def reads_power(admin: Browser, name: str = "garage") -> bool:
    box = box_of(admin, name)
    return bool(box["status"] == "charging" and (box["power_w"] or 0) > 1000)


def test_a_charge_point_is_steered_and_its_session_is_kept_over_a_kill(tmp_path: Path) -> None:
    data = tmp_path / "data"
    set_password(data)
    with simulated_site(tmp_path, SITE) as site:
        with daemon("cm-agent", data) as (agent, port):
            admin = admin_of(port)
            furnish(admin, site)
            site.change(devices={"garage": {"plugged": True, "wants_a": 16}})
            eventually(lambda: reads_power(admin), 60)
            eventually(lambda: admin.get("/api/v1/state")["site"]["circuits"][0]["used_a"][0] > 6.5)
            assert box_of(admin)["because"]["text"]
            admin.put("/api/v1/charge-points/garage/override", {"current_a": 8})
            eventually(lambda: 0 < site.truth()["devices"]["garage"]["current_a"][0] <= 8.01, 60)
            [session] = admin.get("/api/v1/sessions")["sessions"]
            agent.process.kill()
            agent.wait()
        with daemon("cm-agent", data, port=port) as (agent, _):
            assert len(admin.get("/api/v1/devices")["devices"]) == 3, "the login and the devices survived"
            eventually(lambda: reads_power(admin), 60)
            [again] = admin.get("/api/v1/sessions")["sessions"]
            assert (again["id"], again["ended_at"]) == (session["id"], None)
            assert again["energy_wh"] >= session["energy_wh"]
            assert box_of(admin)["override_a"] == 8.0
            site.change(devices={"garage": {"plugged": False}})
            eventually(lambda: admin.get("/api/v1/sessions")["sessions"][0]["ended_at"], 30)
            assert agent.stop() in CLEAN
        truth = site.truth()["devices"]
        assert truth["garage"]["paused"] and truth["yard"]["paused"], "stopping leaves every box on its fallback"


def test_every_mode_and_every_meter_is_seen_live_in_the_event_stream(tmp_path: Path) -> None:
    set_password(tmp_path / "data")
    with simulated_site(tmp_path, SITE) as site, daemon("cm-agent", tmp_path / "data") as (_, port):
        admin = admin_of(port)
        furnish(admin, site)
        connection = admin.open()
        connection.request("GET", "/api/v1/events", headers=admin.headers())
        answer = connection.getresponse()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        seen: list[tuple[str, Any]] = []

        def next_event() -> tuple[str, Any]:
            name = data = ""
            while True:
                line = answer.readline().decode().rstrip("\n")
                if not line and data:
                    seen.append((name, json.loads(data)))
                    return seen[-1]
                name = line[7:] if line.startswith("event: ") else name
                data = line[6:] if line.startswith("data: ") else data

        assert next_event()[0] == "snapshot"
        admin.put("/api/v1/charge-points/yard/mode", {"mode": "off"})

        def heard() -> bool:
            name, data = next_event()
            if name == "snapshot":
                return any(one["id"] == "yard" and one["mode"] == "off" for one in data["charge_points"])
            return data.get("charge_points", {}).get("yard", {}).get("mode") == "off"

        eventually(heard)
        site.change(house_a=[11, 11, 11])
        eventually(lambda: "grid" in next_event()[1].get("meters", {}))
        connection.close()


def test_a_user_sees_and_steers_its_own_charge_point_alone(tmp_path: Path) -> None:
    set_password(tmp_path / "data")
    with simulated_site(tmp_path, SITE) as site, daemon("cm-agent", tmp_path / "data") as (_, port):
        admin = admin_of(port)
        furnish(admin, site)
        ann = admin.post("/api/v1/users", {"name": "Ann", "charge_points": ["garage"]})
        user = Browser(port)
        assert user.call("POST", "/api/v1/login", {"user_id": ann["user_id"]}).status == 200
        state = user.get("/api/v1/state")
        assert [one["id"] for one in state["charge_points"]] == ["garage"] and state["meters"] == []
        assert user.call("PUT", "/api/v1/charge-points/garage/mode", {"mode": "off"}).status == 200
        assert user.call("PUT", "/api/v1/charge-points/yard/mode", {"mode": "off"}).status == 404
        assert user.call("GET", "/api/v1/devices").status == 403
        again = admin.post(f"/api/v1/users/{ann['id']}/new-id", {})
        assert again["user_id"] != ann["user_id"]
        assert user.call("GET", "/api/v1/state").status == 401


def test_a_device_is_tried_step_by_step(tmp_path: Path) -> None:
    set_password(tmp_path / "data")
    with simulated_site(tmp_path, SITE) as site, daemon("cm-agent", tmp_path / "data") as (_, port):
        admin = admin_of(port)
        furnish(admin, site)
        eventually(lambda: box_of(admin, "yard")["status"] == "free")
        eventually(lambda: not admin.get("/api/v1/state")["site"]["circuits"][0]["stale"])
        connection = admin.open()
        connection.timeout = 60
        connection.request(
            "POST", "/api/v1/devices/yard/test", "{}", {**admin.headers(), "Content-Type": "application/json"}
        )
        said = json.loads(connection.getresponse().read())
        assert [step["name"] for step in said["steps"]] == [
            *("connect", "values", "setpoint", "pause", "watchdog", "given-back")
        ]
        assert said["ok"], said


def test_before_the_first_password_only_this_machine_is_served(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with daemon("cm-agent", tmp_path / "data", "--allow-http") as (_, port):
        here = Browser(port)
        assert here.get("/api/v1/me")["role"] == "admin"
        for headers in ({"X-Forwarded-For": "192.0.2.1"}, {"Host": f"garage.example:{port}"}, {"Forwarded": "for=x"}):
            reply = here.call("GET", "/api/v1/state", None, **headers)
            assert (reply.status, reply.json["code"]) == (403, "setup-needed")
        assert here.call("PUT", "/api/v1/admin/password", {"old": "", "new": PASSWORD}).status == 204
        assert here.get("/api/v1/me")["role"] == "admin"
        assert Browser(port).get("/api/v1/me")["role"] == "nobody"
        assert Browser(port).call("GET", "/api/v1/state").status == 401


@pytest.mark.parametrize("new", [None, "another password"])
def test_a_password_changed_by_command_ends_logins_within_a_second(tmp_path: Path, new: str | None) -> None:
    data = tmp_path / "data"
    set_password(data)
    with daemon("cm-agent", data) as (_, port):
        admin = admin_of(port)
        assert admin.call("GET", "/api/v1/state").status == 200
        AdminPassword(data / "admin").write(new)
        eventually(lambda: admin.call("GET", "/api/v1/state").status == 401, 2)


def test_tls_and_plain_http_share_the_port_and_the_pages_are_there(tmp_path: Path) -> None:
    set_password(tmp_path / "data")
    with daemon("cm-agent", tmp_path / "data") as (_, port):
        for secure in (False, True):
            browser = Browser(port, secure)
            assert browser.call("GET", "/").status == 303
            for page in ("login", "overview", "devices"):
                reply = browser.call("GET", f"/ui/fr/{page}.htm")
                assert reply.status == 200 and "default-src 'none'" in reply.headers["content-security-policy"], page
            assert browser.call("POST", "/api/v1/login", {"password": PASSWORD}).status == 200
            assert [name.startswith("__Host-") for name in browser.cookies] == [secure] * len(browser.cookies)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2", "http/1.1"])
        with (
            socket.create_connection(("127.0.0.1", port), 5) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as wrapped,
        ):
            assert wrapped.selected_alpn_protocol() == "http/1.1"


def start_in_vain(data: Path, *options: str) -> tuple[int, str]:
    """Status and output of an agent that cannot start."""
    agent = Running(BIN / "twistd", "-n", "cm-agent", "--data", str(data), *options)
    status = agent.wait()
    agent.stop()
    return status, agent.output


def test_what_stops_a_start_is_said_in_one_sentence(tmp_path: Path) -> None:
    data = tmp_path / "data"
    set_password(data)
    with daemon("cm-agent", data) as (_, port):
        status, output = start_in_vain(tmp_path / "other", "--port", str(port))
        assert status == 1 and "is in use by another program" in output and "Traceback" not in output
        status, output = start_in_vain(data, "--port", str(free_port()))
        assert status == 1 and "is in use by another running program" in output and "Traceback" not in output
    with sqlite3.connect(data / "agent" / "agent.db") as database:
        database.execute("PRAGMA user_version = 99")
    status, output = start_in_vain(data, "--port", str(free_port()))
    assert status == 1 and "newer Charging Manager" in output and "Traceback" not in output
    for options in (["--port", "many"], ["--loglevel", "9"], ["--nonsense"], ["extra"]):
        status, output = start_in_vain(data, *options)
        assert status == 2 and "Traceback" not in output, output


def test_two_agents_in_one_folder_do_not_clash_and_leave_no_pid_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        set_password(tmp_path / name)
    commands = [
        [BIN / "twistd", "-n", "cm-agent", "--data", str(tmp_path / name), "--port", str(free_port())]
        for name in ("one", "two")
    ]
    agents = [Running(*command, cwd=tmp_path) for command in commands]
    for agent in agents:
        agent.wait_line("listens on port")
    assert all(agent.stop() in CLEAN for agent in agents)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_driver_that_is_dropped_in_appears_without_a_restart(tmp_path: Path) -> None:
    set_password(tmp_path / "data")
    extra = tmp_path / "drivers"
    extra.mkdir()
    with daemon("cm-agent", tmp_path / "data", "--drivers", str(extra)) as (agent, port):
        admin = admin_of(port)
        original = (ROOT / "drivers" / "keba-p30.toml").read_text()
        (extra / "my-box.toml").write_text(original.replace('name = "keba-p30"', 'name = "my-box"'))
        (extra / "no-driver.toml").write_text("this is = = no TOML")
        agent.signal(signal.SIGHUP)

        def found() -> bool:
            said = admin.get("/api/v1/drivers")
            names = [driver["name"] for driver in said["drivers"]]
            return "my-box" in names and any("no-driver.toml" in one["file"] for one in said["broken"])

        eventually(found, 10)


def test_log_level_and_last_lines_are_at_hand(tmp_path: Path) -> None:
    set_password(tmp_path / "data")
    with daemon("cm-agent", tmp_path / "data", "--loglevel", "2") as (agent, port):
        admin = admin_of(port)
        assert admin.get("/api/v1/log/level") == {"level": 2}
        assert "listens on port" not in agent.output
        admin.put("/api/v1/log/level", {"level": 4})
        assert admin.call("PUT", "/api/v1/log/level", {"level": 5}).status == 422
        lines = admin.get("/api/v1/log")["lines"]
        assert lines and {"at", "level", "text"} == lines[-1].keys()
        assert PASSWORD not in agent.output


def test_metrics_open_with_the_token_of_the_runtime_file(tmp_path: Path) -> None:
    set_password(tmp_path / "data")
    with daemon("cm-agent", tmp_path / "data") as (_, port):
        runtime = tmp_path / "data" / "run" / f"{port}.json"
        eventually(runtime.exists, 5)
        assert runtime.stat().st_mode & 0o777 == 0o600
        token = json.loads(runtime.read_text())["token"]
        forwarded = {"X-Forwarded-For": "192.0.2.1"}
        browser = Browser(port, secure=True)
        assert browser.call("GET", "/metrics", None, **forwarded).status == 403
        reply = browser.call("GET", "/metrics", None, Authorization=f"Bearer {token}", **forwarded)
        assert reply.status == 200 and b"charging_manager_cycle_number" in reply.body
        assert browser.call("GET", "/metrics").status == 200
    assert not runtime.exists()


def test_the_command_line_runs_the_same_agent(tmp_path: Path) -> None:
    set_password(tmp_path / "data")
    port = free_port()
    command = [sys.executable, "-m", "charging_manager", "run", str(port), "-allow_http", "loglevel", "4"]
    agent = Running(*command, "--data", str(tmp_path / "data"))
    try:
        eventually(lambda: Browser(port).get("/api/v1/me")["role"] == "nobody")
        assert admin_of(port).get("/api/v1/log/level") == {"level": 4}
    finally:
        agent.signal(signal.SIGTERM)
        assert agent.stop() in CLEAN and "Traceback" not in agent.output
    version = subprocess.run([sys.executable, "-m", "charging_manager", "--version"], capture_output=True, cwd=ROOT)
    assert version.returncode == 0
