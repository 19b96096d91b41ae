"""What ``drivers read`` and ``drivers record`` make of every device."""

from __future__ import annotations

import tomllib

import pytest

from charging_manager.devices.survey import PRIVATE, Survey, golden, lines, survey
from tests.drivers.test_golden import asked_and_understood
from tests.sim.rigs import DRIVERS, Bench

each = pytest.mark.parametrize("name", DRIVERS)


def surveyed(name: str, *, private: bool = False) -> tuple[Bench, Survey]:
    bench = Bench(name)
    found: Survey = bench.get(survey(DRIVERS[name], bench.bus, 1, private=private))
    return bench, found


@each
def test_a_recording_is_what_the_proofs_want(name: str) -> None:
    _, found = surveyed(name)
    recording = tomllib.loads(golden(found))
    assert len(recording["frame"]) == sum(shown.values is not None for shown in found.shown) > 0
    if found.driver.discover is None:
        asked_and_understood(found.driver, recording)
    else:
        asked_and_understood(DRIVERS[name], recording)


@each
def test_every_readable_value_has_its_line_and_nothing_was_written(name: str) -> None:
    bench, found = surveyed(name)
    text = list(lines(found))
    readable = [register.name for register in found.driver.registers.values() if register.function is not None]
    assert sorted(line.split()[0].rstrip(",") for line in text) == sorted(readable)
    assert bench.simulator.truth()["writes"] == []
    assert bench.simulator.violations == []


@pytest.mark.parametrize("name", [name for name, driver in DRIVERS.items() if PRIVATE & driver.registers.keys()])
def test_tags_and_serial_numbers_are_covered_unless_asked_for(name: str) -> None:
    _, found = surveyed(name)
    shown = [line for line in lines(found) if line.split()[0] in PRIVATE]
    assert shown and all(line.endswith(("covered", "unknown")) for line in shown)
    bench, open_ = surveyed(name, private=True)
    serial = [line for line in lines(open_) if line.startswith("serial ")]
    assert all(not line.endswith("covered") for line in serial) or bench.simulator.shows.get("serial") is None


def test_a_text_that_would_break_the_file_is_written_safely() -> None:
    _, found = surveyed("keba-p30")
    shown = next(one for one in found.shown if one.values is not None)
    shown.values["odd"] = 'a"b\\c\n'  # type: ignore[index]
    recording = tomllib.loads(golden(found))
    assert recording["frame"][0]["values"]["odd"] == 'a"b\\c\n'
