"""Devices that tell by themselves, in processes of their own, at a real agent: steered, lost, refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Browser
from tests.support.processes import daemon, eventually, running
from tests.support.sites import admin_of, furnish, set_password

pytestmark = pytest.mark.e2e


def test_a_box_that_pushes_is_charged_throttled_paused_and_lost(tmp_path: Path) -> None:
    set_password(tmp_path / "data")
    orders = tmp_path / "orders"
    with daemon("cm-agent", tmp_path / "data") as (agent, port):
        admin = admin_of(port)

        def point() -> dict[str, Any]:
            (found,) = admin.get("/api/v1/state")["charge_points"]
            return found  # type: ignore[no-any-return]

        def limit(amps: float) -> None:
            circuit = {"id": "main", "name": "Main", "parent": None, "limit_a": [amps] * 3}
            admin.put("/api/v1/site", {"circuits": [circuit]})

        circuits = [{"id": "main", "name": "Main", "parent": None, "limit_a": [20] * 3}]
        charger = {"id": "box", "name": "Box", "driver": "pushed-charger", "circuit": "main", "address": ""}
        furnish(admin, circuits, [charger])
        assert admin.get("/api/v1/devices/box")["address"] == "push:box"
        token = admin.post("/api/v1/devices/box/token", {})["token"]
        assert token not in str(admin.get("/api/v1/devices/box"))
        command = (sys.executable, "-m", "tests.support.pushing_device", "pushed-charger", str(port), "box", token)
        with running(*command, env={"PUSHING_ORDERS": str(orders)}) as box:

            def draws() -> float:
                return float([line for line in box.lines if line.startswith("draws")][-1].split()[1])

            eventually(lambda: point()["status"] == "free", 30)
            eventually(lambda: admin.get("/api/v1/devices/box")["condition"]["fallback"] == "programmed", 60)
            orders.write_text("plug\n")
            eventually(lambda: 14 <= draws() <= 16, 60)
            limit(10)
            eventually(lambda: 6 <= draws() <= 10, 30)
            limit(4)
            eventually(lambda: draws() == 0, 30)
            limit(20)
            orders.write_text("plug\nmute\n")
            eventually(lambda: point()["status"] == "offline", 30)
            orders.write_text("plug\nmute\nwell\n")
            eventually(lambda: point()["status"] in ("plugged", "charging"), 30)
            assert not [line for line in box.lines if line.startswith("refused")]
            admin.call("DELETE", "/api/v1/devices/box/token")
            box.wait_line("refused 401")
            eventually(lambda: point()["status"] == "offline", 30)
        _refusals(admin, port)
        assert "Traceback" not in agent.output
        assert token not in agent.output


def _refusals(admin: Browser, port: int) -> None:
    stranger = Browser(port)
    path = "/api/v1/devices/box/reading"
    assert stranger.call("PUT", path, {"state": "free"}).status == 401
    assert stranger.call("PUT", path, {"state": "free"}, Authorization="Bearer ").status == 401
    assert stranger.call("PUT", path, {"state": "free"}, Authorization="Bearer x").status == 401
    assert stranger.call("PUT", "/api/v1/devices/none/reading", {"state": "free"}).status == 401

    def pushed(document: object) -> tuple[int, str]:
        reply = eventually(lambda: (r := admin.call("PUT", path, document)).status != 429 and r, 10, 0.25)
        return reply.status, str(reply.json)

    for document, said in (
        ({}, "none of the values"),
        ({"voltage_l1_v": 230_000}, "cannot be"),
        ({"current_l1_a": [1]}, "current_l1_a is no number"),
        ({"power_w": "many"}, "power_w is no number"),
        ({"power_w": 1e300}, "cannot be"),
    ):
        status, text = pushed(document)
        assert (status, said in text) == (422, True), text
    assert pushed({"power_w": 1.0})[0] == 200
    assert 429 in {admin.call("PUT", path, {"power_w": 1.0}).status for _ in range(3)}
    assert admin.call("PUT", path, [1]).status == 422
    assert admin.call("PUT", path, {"rfid": "x" * 70_000}).status in (400, 413)
