"""Real Modbus programs on the other side: mbpoll, socat, and plain pymodbus servers."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Browser
from tests.support.processes import Running, daemon, eventually, running
from tests.support.sites import admin_of, furnish, set_password, simulated_site

pytestmark = pytest.mark.e2e
MAIN = {"id": "main", "name": "Main", "parent": None, "limit_a": [63.0] * 3, "meter": "grid"}
SITE = """
[[device]]
id = "box"
driver = "keba-p30"
address = "tcp://127.0.0.1:0?unit=255"
plugged = true

[[device]]
id = "grid"
driver = "eastron-sdm630"
address = "rtutcp://127.0.0.1:0?unit=1"

[house]
hold_a = [12, 7, 3]
"""


def mbpoll(*arguments: str | int | Path) -> list[float]:
    """The values that mbpoll prints. Raises: AssertionError with all it said if it read nothing."""
    done = subprocess.run(
        ["mbpoll", "-1", "-0", "-B", *map(str, arguments)], capture_output=True, text=True, timeout=20
    )
    values = re.findall(r"^\[\d+\]:\s+(-?[\d.]+)", done.stdout, re.MULTILINE)
    assert values, done.stdout + done.stderr
    return [float(value) for value in values]


def port_of(address: str) -> str:
    return address.rsplit(":", 1)[1].split("?")[0]


@contextlib.contextmanager
def pty_to(address: str, link: Path) -> Iterator[Running]:
    """socat joins a pseudo-terminal with the TCP port of this address."""
    with running("socat", f"pty,raw,echo=0,link={link}", f"tcp:127.0.0.1:{port_of(address)},nodelay") as process:
        eventually(link.exists)
        yield process


def point(admin: Browser, name: str) -> Any:
    return next(p for p in admin.get("/api/v1/state")["charge_points"] if p["id"] == name)


def meter(admin: Browser, name: str) -> Any:
    return next(m for m in admin.get("/api/v1/state")["meters"] if m["id"] == name)


def test_mbpoll_sees_what_the_state_shows(tmp_path: Path) -> None:
    with simulated_site(tmp_path, SITE) as site:
        eventually(lambda: site.truth()["devices"]["box"]["current_a"] == [16.0, 15.85, 15.7])
        with pty_to(site.addresses["grid"], tmp_path / "line") as _:
            serial = ("-m", "rtu", "-a", 1, "-b", 9600, "-P", "none", tmp_path / "line")
            # The meter wants a tenth of a second between requests, as the real one does; so mbpoll asks again.
            volts, amps, watts = (
                eventually(lambda at=at: mbpoll("-t", "3:float", "-r", at, "-c", "3", *serial), every_s=0.2)
                for at in (0, 6, 12)
            )
        tcp = ("-a", "255", "-p", port_of(site.addresses["box"]), "127.0.0.1")
        charging = [mbpoll("-t", "4:int", "-r", at, *tcp)[0] for at in (1008, 1010, 1012)]
        assert volts == pytest.approx([230.4, 229.6, 231.2], abs=0.01)
        assert amps == pytest.approx([28.0, 22.85, 18.7], abs=0.01)
        assert charging == [16_000, 15_850, 15_700]

        set_password(tmp_path / "data")
        with daemon("cm-agent", tmp_path / "data") as (_, port):
            admin = admin_of(port)
            devices = [
                {"id": "box", "name": "Box", "driver": "keba-p30", "circuit": "main", "address": site.addresses["box"]},
                {
                    "id": "grid",
                    "name": "Grid",
                    "driver": "eastron-sdm630",
                    "circuit": "main",
                    "role": "grid",
                    "address": site.addresses["grid"],
                },
            ]
            furnish(admin, [MAIN], devices)
            eventually(
                lambda: (
                    point(admin, "box")["current_a"] == pytest.approx([16.0, 15.85, 15.7], abs=0.01)
                    and meter(admin, "grid")["current_a"] == pytest.approx(amps, abs=0.01)
                    and meter(admin, "grid")["power_w"] == pytest.approx(sum(watts), rel=0.001)
                ),
                90,
            )
        told = site.truth()["devices"]["box"]
        assert told["violations"] == []
        assert told["early_writes"] == 0


def test_the_agent_reads_and_steers_a_plain_pymodbus_server(tmp_path: Path) -> None:
    set_password(tmp_path / "data")
    with (
        running(sys.executable, "-m", "tests.e2e.pymodbus_box") as box,
        daemon("cm-agent", tmp_path / "data") as (_, port),
    ):
        box_port, grid_port = box.wait_line("listening").split()[1:]
        admin = admin_of(port)
        devices = [
            {
                "id": "box",
                "name": "Box",
                "driver": "keba-p30",
                "circuit": "main",
                "address": f"tcp://127.0.0.1:{box_port}?unit=255",
            },
            {
                "id": "grid",
                "name": "Grid",
                "driver": "eastron-sdm630",
                "circuit": "main",
                "role": "grid",
                "address": f"rtutcp://127.0.0.1:{grid_port}?unit=1",
            },
        ]
        furnish(admin, [{**MAIN, "limit_a": [20.0] * 3}], devices)
        # 20 A, less 2.25 A of the house, leave 17.75 A; the meter's needle trembles by 0.02 A.
        eventually(lambda: any(17_500 <= written(line) <= 17_750 for line in box.lines), 90)
        assert not any(written(line) > 17_750 for line in box.lines)
        eventually(lambda: point(admin, "box")["current_a"] == pytest.approx([9.0, 8.9, 8.8], abs=0.01), 60)
        eventually(lambda: meter(admin, "grid")["current_a"] == pytest.approx([11.26, 6.41, 9.31], abs=0.02), 60)
        admin.put("/api/v1/charge-points/box/mode", {"mode": "off"})
        eventually(lambda: [line for line in box.lines if line.startswith("write 5014")][-1] == "write 5014 0", 60)
        eventually(lambda: point(admin, "box")["current_a"] == [0.0, 0.0, 0.0], 30)


def written(line: str) -> int:
    """The setpoint in a line of the box, in mA; 0 in other lines."""
    return int(line.split()[2]) if line.startswith("write 5004 ") else 0


TWO_METERS = """
[[device]]
id = "one"
driver = "eastron-sdm630"
address = "rtutcp://127.0.0.1:0?unit=1"

[[device]]
id = "line-1"
driver = "eastron-sdm630"
address = "rtu://{line}?baud=19200&parity=E&unit=1"

[[device]]
id = "line-2"
driver = "eastron-sdm630"
address = "rtu://{line}?baud=19200&parity=E&unit=2"
"""


def polled(address: str, *units: int, seconds: int = 10) -> dict[str, dict[str, float]]:
    """What the bus client saw."""
    command = [sys.executable, "-m", "tests.e2e.bus_client", address, str(seconds), *map(str, units)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    seen: dict[str, dict[str, float]] = json.loads(done.stdout)
    return seen


SLACK_S = 0.35
"""What a busy machine adds to a wait."""


@pytest.mark.parametrize("kind", ["rtutcp", "socat", "pty", "pair"])
def test_an_absent_unit_costs_the_others_no_more_than_its_own_timeout(kind: str, tmp_path: Path) -> None:
    line, joined = tmp_path / "line", tmp_path / "joined"
    with contextlib.ExitStack() as more:
        if kind == "pair":  # the simulator opens a serial device that exists
            ends = (f"pty,raw,echo=0,link={end}" for end in (line, joined))
            more.enter_context(running("socat", *ends))
            eventually(lambda: line.exists() and joined.exists())
        site = more.enter_context(simulated_site(tmp_path, TWO_METERS.format(line=line)))
        address = site.addresses["one"].split("?")[0]
        present = [1]
        if kind == "socat":
            more.enter_context(pty_to(site.addresses["one"], joined))
            address = f"rtu://{joined}?baud=19200&parity=E"
        elif kind in ("pty", "pair"):
            address, present = f"rtu://{line if kind == 'pty' else joined}?baud=19200&parity=E", [1, 2]
            polled(address, *present, seconds=1)  # a second client comes after the first has gone
        seen = polled(address, *present, 9)
        for unit in present:
            assert seen[str(unit)]["answers"] >= 30
            assert seen[str(unit)]["failures"] == 0
            assert seen[str(unit)]["longest_s"] <= 0.4 + SLACK_S
        assert seen["9"]["answers"] == 0
        assert seen["9"]["failures"] >= 20
