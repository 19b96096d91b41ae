"""A box that speaks HTTP and JSON, in a process of its own, at a real agent: charged, throttled, paused, lost."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Browser
from tests.support.certificates import make_certificates
from tests.support.processes import daemon, eventually, free_port, running
from tests.support.sites import admin_of, furnish, set_password

pytestmark = pytest.mark.e2e


def test_a_json_box_is_charged_throttled_paused_and_lost(tmp_path: Path) -> None:
    set_password(tmp_path / "data")
    at = free_port()
    with (
        running(sys.executable, "-m", "tests.support.json_device", "go-e-charger-v2", str(at)) as device,
        daemon("cm-agent", tmp_path / "data") as (agent, port),
    ):
        device.wait_line("ready")
        box, admin = Browser(at), admin_of(port)

        def limit(amps: float) -> None:
            admin.put(
                "/api/v1/site", {"circuits": [{"id": "main", "name": "Main", "parent": None, "limit_a": [amps] * 3}]}
            )

        def point() -> dict[str, Any]:
            (found,) = admin.get("/api/v1/state")["charge_points"]
            return found  # type: ignore[no-any-return]

        def draws() -> float:
            return max(box.get("/_now/truth")["a"])

        def trouble(mood: str) -> None:
            box.get(f"/_now/{mood}")
            eventually(lambda: point()["status"] == "offline", 30)
            assert "followed" not in device.output
            box.get("/_now/well")
            eventually(lambda: point()["status"] != "offline", 40)

        circuits = [{"id": "main", "name": "Main", "parent": None, "limit_a": [20] * 3}]
        charger = {"id": "box", "name": "Box", "driver": "go-e-charger-v2", "circuit": "main"}
        furnish(admin, circuits, [charger | {"address": f"http://127.0.0.1:{at}"}])
        eventually(lambda: point()["status"] == "free", 30)
        box.get("/_now/plug")
        eventually(lambda: 14 <= draws() <= 16, 60)
        limit(10)
        eventually(lambda: 6 <= draws() <= 10, 30)
        limit(4)
        eventually(lambda: draws() == 0, 30)
        assert "/api/set?frc=1" in box.get("/_now/truth")["set"]
        limit(20)
        for mood in ("absurd", "redirect", "endless", "mute"):
            trouble(mood)
        assert "Traceback" not in agent.output
        assert "hello, this is no JSON" not in agent.output
        device.stop()
        eventually(lambda: point()["status"] == "offline", 30)
        assert "Traceback" not in agent.output


@pytest.mark.parametrize("login", ["basic", "digest"])
def test_a_box_behind_tls_and_a_login_is_steered_lost_and_found(tmp_path: Path, login: str) -> None:
    fingerprint = make_certificates(tmp_path)
    set_password(tmp_path / "data")
    at = free_port()
    command = (sys.executable, "-m", "tests.support.json_device", "go-e-charger-v2", str(at), login, tmp_path)
    with daemon("cm-agent", tmp_path / "data") as (agent, port):
        admin, box = admin_of(port), Browser(at, secure=True)

        def point() -> dict[str, Any]:
            (found,) = admin.get("/api/v1/state")["charge_points"]
            return found  # type: ignore[no-any-return]

        def access(**what: str) -> None:
            admin.put("/api/v1/devices/box", {"access": what})

        def says(text: str) -> None:
            eventually(lambda: text in admin.get("/api/v1/devices/box")["condition"]["text"], 30)

        circuits = [{"id": "main", "name": "Main", "parent": None, "limit_a": [20] * 3}]
        charger = {"id": "box", "name": "Box", "driver": "go-e-charger-v2", "circuit": "main"}
        with running(*command) as device:
            device.wait_line("ready")
            furnish(admin, circuits, [charger | {"address": f"https://127.0.0.1:{at}"}])
            says("certificate is not trusted")
            access(fingerprint="ab" * 32)
            says("certificate is not trusted")
            access(fingerprint="", ca=str(tmp_path / "ca.pem"))
            says("asks for a login")
            access(user="box", password="wrong")
            says("refuses the login")
            access(password="ohm", ca="", fingerprint=fingerprint)
            eventually(lambda: point()["status"] == "free", 30)
            box.get("/_now/plug")
            eventually(lambda: 14 <= max(box.get("/_now/truth")["a"]) <= 16, 60)
            shown = admin.get("/api/v1/devices/box")["access"]
            assert shown == {
                "user": "box",
                "has_password": True,
                "has_token": False,
                "ca": "",
                "fingerprint": fingerprint,
            }
        eventually(lambda: point()["status"] == "offline", 30)
        with running(*command) as device:
            device.wait_line("ready")
            eventually(lambda: point()["status"] == "free", 40)
        admin.put("/api/v1/devices/box", {"address": f"https://localhost:{at}"})
        assert admin.get("/api/v1/devices/box")["access"]["has_password"] is False
        assert "Traceback" not in agent.output
        assert "ohm" not in agent.output
