"""``make demo`` as a newcomer meets it: a block for scripts, everything reachable by curl, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Running, answers, eventually, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.needs("curl")]
KEYS = {"agent-url", "agent-admin-password", "cloud-url", "cloud-admin-password", "cloud-id", "user-id"}


@pytest.fixture(scope="module")
def demo() -> Iterator[tuple[Running, dict[str, str]]]:
    ports = [str(free_port()), str(free_port())]
    command = [sys.executable, "-m", "charging_manager", "demo", "--port", ports[0], "--cloud-port", ports[1]]
    process = Running(*command)
    try:
        process.wait_line("demo ready", 90)
        yield process, dict(line.split(": ", 1) for line in process.lines if ": " in line)
    finally:
        process.stop(signal.SIGINT)


class Curl:
    """curl with a cookie jar."""

    def __init__(self, jar: Path, base: str) -> None:
        self._jar, self._base = jar, base.rstrip("/")

    def __call__(self, path: str, body: object = None, method: str | None = None) -> tuple[int, Any]:
        command = ["curl", "-sk", "-b", self._jar, "-c", self._jar, "-w", "\n%{http_code}", self._base + path]
        if body is not None:
            command += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        if method:
            command += ["-X", method]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        text, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(text) if text.startswith(("{", "[")) else text


def test_the_block_names_all_that_a_script_needs(demo: tuple[Running, dict[str, str]]) -> None:
    process, said = demo
    assert said.keys() >= KEYS
    assert process.lines[-1] == "demo ready" or "demo ready" in process.lines


def test_the_agent_shows_three_boxes_and_two_meters(demo: tuple[Running, dict[str, str]], tmp_path: Path) -> None:
    _, said = demo
    curl = Curl(tmp_path / "jar", said["agent-url"])
    assert curl("/api/v1/login", {"password": said["agent-admin-password"]})[0] == 200
    status, state = curl("/api/v1/state")
    assert status == 200
    assert {point["id"] for point in state["charge_points"]} == {"left", "right", "yard"}
    assert {meter["id"] for meter in state["meters"]} == {"grid", "solar"}
    assert all(point["because"]["text"] for point in state["charge_points"])
    assert state["cloud"]["state"] == "connected"


def test_the_admin_and_a_user_log_in_through_the_cloud(demo: tuple[Running, dict[str, str]], tmp_path: Path) -> None:
    _, said = demo
    admin = Curl(tmp_path / "admin", said["cloud-url"])
    login = {"cloud_id": said["cloud-id"], "secret": said["agent-admin-password"], "admin": True}
    assert admin("/api/v1/cloud/login", login)[0] == 200
    assert len(admin("/api/v1/state")[1]["charge_points"]) == 3
    assert admin("/api/v1/me")[1]["remote"] is True
    assert admin("/api/v1/charge-points/left/mode", {"mode": "off"}, "PUT")[0] == 200
    eventually(lambda: _point(admin, "left")["setpoint_a"] == 0)
    assert _point(admin, "left")["mode"] == "off"
    assert admin("/api/v1/charge-points/left/mode", {"mode": "fast"}, "PUT")[0] == 200

    user = Curl(tmp_path / "user", said["cloud-url"])
    login = {"cloud_id": said["cloud-id"], "secret": said["user-id"], "admin": False}
    assert user("/api/v1/cloud/login", login)[0] == 200
    assert [point["id"] for point in user("/api/v1/state")[1]["charge_points"]] == ["right"]
    assert user("/api/v1/charge-points/left/mode", {"mode": "off"}, "PUT")[0] in (403, 404)


def _point(curl: Curl, name: str) -> Any:
    return next(point for point in curl("/api/v1/state")[1]["charge_points"] if point["id"] == name)


def test_live_values_agree_with_what_the_simulators_really_do(
    demo: tuple[Running, dict[str, str]], tmp_path: Path
) -> None:
    _, said = demo
    curl = Curl(tmp_path / "jar", said["agent-url"])
    curl("/api/v1/login", {"password": said["agent-admin-password"]})
    simulator = Curl(tmp_path / "none", said["simulator-url"].removesuffix("/state"))
    assert simulator("/state", {"house_a": [5, 6, 7], "solar_a": [0, 0, 0], "visits": False})[0] == 200

    def agree() -> bool:
        truth = simulator("/state")[1]["grid_a"]
        shown = next(meter for meter in curl("/api/v1/state")[1]["meters"] if meter["id"] == "grid")["current_a"]
        return all(abs(a - b) < 0.3 for a, b in zip(truth, shown, strict=True))

    eventually(agree, 40)


def test_a_taken_port_is_one_sentence_and_status_1(demo: tuple[Running, dict[str, str]]) -> None:
    _, said = demo
    taken = said["agent-url"].rstrip("/").rsplit(":", 1)[1]
    done = subprocess.run(
        [sys.executable, "-m", "charging_manager", "demo", "--port", taken, "--cloud-port", str(free_port())],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert taken in done.stderr


def test_ctrl_c_ends_it_with_status_0_and_leaves_nothing_running() -> None:
    ports = [free_port(), free_port()]
    command = [sys.executable, "-m", "charging_manager", "demo", "--port", str(ports[0]), "--cloud-port", str(ports[1])]
    process = Running(*command)
    process.wait_line("demo ready", 90)
    children = _children(process.pid)
    assert len(children) == 3
    assert process.stop(signal.SIGINT) == 0
    eventually(lambda: not any(answers(port) for port in ports))
    assert [pid for pid in children if _alive(pid)] == []


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
