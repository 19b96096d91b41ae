"""One 32 A circuit, three cars, 20 A of house load: the fuse holds, also when the grid meter's process stops."""

from __future__ import annotations

import contextlib
import http.client
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from attrs import frozen

from tests.support.api import Browser
from tests.support.processes import daemon, eventually
from tests.support.sites import Simulated, admin_of, furnish, set_password, simulated_site

pytestmark = pytest.mark.e2e
LIMIT_A = 32.0
PAUSE_S = 5
BOXES = """
[[device]]
id = "left"
driver = "cfos-power-brain"
address = "tcp://127.0.0.1:0?unit=1"

[[device]]
id = "right"
driver = "abb-terra-ac"
address = "tcp://127.0.0.1:0?unit=1"
phases = [2, 3, 1]

[[device]]
id = "yard"
driver = "heidelberg-energy-control"
address = "rtutcp://127.0.0.1:0?unit=1"
phases = [3, 1, 2]

[house]
hold_a = [20, 20, 20]
"""
METER = """
[[device]]
id = "grid"
driver = "eastron-sdm630"
address = "rtutcp://127.0.0.1:0?unit=1"
sees = "load"

[house]
hold_a = [20, 20, 20]
"""


@frozen
class Garage:
    """Boxes in one process; the grid meter in another, which a thread tells what really flows."""

    boxes: Simulated
    meter: Simulated
    admin: Browser
    worst_a: list[float]
    """The highest current that really flowed on any phase, measured every 0.1 s."""

    def state(self) -> Any:
        return self.admin.get("/api/v1/state")

    def setpoints(self) -> dict[str, float]:
        return {point["id"]: point["setpoint_a"] for point in self.state()["charge_points"]}


@contextlib.contextmanager
def garage(folder: Path) -> Iterator[Garage]:
    set_password(folder / "data")
    (folder / "data/charging-manager.toml").write_text(f"[agent]\npause_s = {PAUSE_S}\n")
    with (
        simulated_site(folder, BOXES, "boxes") as boxes,
        simulated_site(folder, METER, "meter") as meter,
        daemon("cm-agent", folder / "data") as (_, port),
    ):
        admin = admin_of(port)
        circuits = [{"id": "main", "name": "Main", "parent": None, "limit_a": [LIMIT_A] * 3, "meter": "grid"}]
        devices: list[dict[str, Any]] = [
            {"id": "left", "name": "Left", "driver": "cfos-power-brain", "circuit": "main"},
            {"id": "right", "name": "Right", "driver": "abb-terra-ac", "circuit": "main", "phases": [2, 3, 1]},
            {
                "id": "yard",
                "name": "Yard",
                "driver": "heidelberg-energy-control",
                "circuit": "main",
                "phases": [3, 1, 2],
            },
            {"id": "grid", "name": "Grid", "driver": "eastron-sdm630", "circuit": "main", "role": "grid"},
        ]
        devices[2]["phases"] = [3, 1, 2]
        where = {**boxes.addresses, **meter.addresses}
        furnish(admin, circuits, [{**device, "address": where[device["id"]]} for device in devices])
        site = Garage(boxes, meter, admin, [])
        stop = Event()
        thread = Thread(target=_tell_the_meter, args=(site, stop), daemon=True)
        thread.start()
        try:
            yield site
        finally:
            stop.set()
            meter.process.signal(signal.SIGCONT)
            thread.join(10)


def _tell_the_meter(site: Garage, stop: Event) -> None:
    ear = Browser(site.meter.door.port, timeout_s=0.5)
    while not stop.wait(0.1):
        truth = site.boxes.truth()
        site.worst_a.append(max(truth["grid_a"]))
        with contextlib.suppress(OSError, http.client.HTTPException):  # it does not listen while it is stopped
            ear.call("POST", "/state", {"house_a": truth["grid_a"]})


def _within(seconds: float, condition: Callable[[], bool]) -> float:
    """How long it took. Raises: AssertionError if longer than ``seconds``."""
    began = time.monotonic()
    eventually(condition, seconds)
    return time.monotonic() - began


def test_the_fuse_holds_and_a_stopped_meter_sends_every_box_to_its_fallback(tmp_path: Path) -> None:
    with garage(tmp_path) as site:
        plug = {name: {"plugged": True, "wants_a": 32} for name in ("left", "right", "yard")}
        site.boxes.change(devices=plug)
        eventually(lambda: any(amps >= 6 for amps in site.boxes.truth()["charging_a"]), 60)
        seen = len(site.worst_a)
        eventually(lambda: len(site.worst_a) > seen + 150, 60)
        assert max(site.worst_a) <= LIMIT_A + 1e-6
        assert max(site.worst_a) > 25, "nobody charged, so nothing was shown"

        site.meter.process.signal(signal.SIGSTOP)
        _within(10, lambda: all(amps == 0 for amps in site.setpoints().values()))
        _within(10, lambda: all(device["paused"] for device in site.boxes.truth()["devices"].values()))
        assert all(circuit["stale"] for circuit in site.state()["site"]["circuits"])

        site.meter.process.signal(signal.SIGCONT)
        eventually(lambda: any(amps >= 6 for amps in site.setpoints().values()), 20)
        eventually(lambda: any(amps >= 6 for amps in site.boxes.truth()["charging_a"]), 20)
        seen = len(site.worst_a)
        eventually(lambda: len(site.worst_a) > seen + 50, 60)
        assert max(site.worst_a) <= LIMIT_A + 1e-6
