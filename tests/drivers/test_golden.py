"""Recorded bytes: what is asked, what came back, and what that means, driver by driver (tests/drivers/golden)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from charging_manager.devices.codec import decode_all
from charging_manager.devices.driver import Driver, Group, Value
from charging_manager.devices.planner import moved, plan_reads
from charging_manager.modbus.pdu import decode_answer, read_request
from tests.devices.rig import shipped

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.toml"))
DRIVERS = dict(shipped().drivers)


def test_every_shipped_driver_has_recorded_frames() -> None:
    assert {path.stem for path in GOLDEN} == set(DRIVERS)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_what_was_recorded_is_asked_and_understood(path: Path) -> None:
    asked_and_understood(DRIVERS[path.stem], tomllib.loads(path.read_text()))


def asked_and_understood(driver: Driver, golden: dict[str, Any]) -> None:
    placed = moved(driver, golden["base"]) if driver.discover else driver
    frames = {bytes.fromhex(frame["request"]): frame for frame in golden["frame"]}
    asked = set()
    known: dict[str, Value] = {}
    for group in Group:
        for request in plan_reads(placed, placed.grouped(group)):
            question = read_request(request.function, request.address, request.count)
            asked.add(question.pdu)
            frame = frames[question.pdu]
            values = decode_all(placed, request.cut(decode_answer(question, bytes.fromhex(frame["answer"]))), known)
            known.update(values)
            for name, expected in frame["values"].items():
                if expected == "":
                    assert values[name] is None, name
                elif isinstance(expected, str):
                    assert values[name] == expected, name
                elif name == "rfid" and values[name]:
                    assert int(str(values[name]), 16) == expected
                elif values[name] is None:
                    assert name in ("rfid", "energy_wh") and expected == 0
                else:
                    assert values[name] == pytest.approx(expected, rel=1e-6), name
    assert asked == set(frames), "every recorded frame is one that we ask"
