"""docs/drivers.md is all that an author needs: its example is a driver, and no word of the format is missing."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

from charging_manager.devices import driver as d
from charging_manager.devices.loader import check_text, load_drivers
from charging_manager.devices.template import new_driver
from charging_manager.paths import shared

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "drivers.md").read_text()
RENAMED = {
    "low_word_first": "words",
    "lowest": "min",
    "highest": "max",
    "write_function": "write",
    "hook": "hook",
    "variants": "variant",
    "discover": "sunspec",
    "status": "is",
    "rules": "state",
    "writes": "write",
    "driver": "change",
    "values": "from",
    "condition": "is",
    "json_na": "na",
}
CLASSES = (
    d.Driver,
    d.Register,
    d.BusRules,
    d.TcpDefaults,
    d.Http,
    d.HttpWrite,
    d.RtuDefaults,
    d.Setpoint,
    d.Watchdog,
    d.Phases,
    d.Storage,
    d.SunSpec,
    d.Setting,
    d.Never,
    d.Recovery,
    d.Unlike,
    d.Channels,
    d.Variant,
    d.StateRule,
)


def test_the_example_is_a_good_driver() -> None:
    example = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)[0]
    assert check_text(example, "acme-wall") == []


def test_a_new_driver_begins_as_a_good_one() -> None:
    assert check_text(new_driver("acme-wall"), "acme-wall") == []


@pytest.mark.parametrize("words", CLASSES, ids=lambda words: words.__name__)
def test_every_word_of_the_format_is_explained(words: type) -> None:
    for each in attrs.fields(words):
        if each.name == "path":
            continue
        word = RENAMED.get(each.name, each.name)
        assert re.search(rf"\b{word}\b", TEXT), word


@pytest.mark.parametrize("words", [d.Kind, d.Type, d.Group, d.FedBy], ids=lambda words: words.__name__)
def test_every_choice_is_named(words: type[d.Kind]) -> None:
    for word in words:
        assert str(word) in TEXT


DEVICES = (DOCS / "devices.md").read_text()
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|", re.MULTILINE)


def _fallback(driver: d.Driver) -> str:
    watchdog = driver.watchdog
    if driver.setpoint is None:
        return "–"
    if watchdog is None:
        return "none"
    if watchdog.timeout is None:
        return "not shown"
    if watchdog.timeout_write is None:
        return "its own"
    return "programmable" if watchdog.fallback else "stops"


def test_every_device_in_the_tables_has_a_driver_and_what_they_say_of_it_is_so() -> None:
    drivers = load_drivers([shared("drivers")]).drivers
    modbus, *others = re.split(r"\n## (?:Over |At |Pushed )", DEVICES)
    for part in (modbus, *others):
        rows = [found[1] for found in ROW.finditer(part)]
        assert rows == sorted(set(rows)), "one row each, in order"
    seen = {found[1]: (found[2], found[3]) for found in ROW.finditer(DEVICES)}
    assert set(seen) == set(drivers)
    for name, (sure, fallback) in seen.items():
        quality = drivers[name].quality
        assert quality is not None and sure.replace(" ", "-") == quality.value, name
        if name in {found[1] for found in ROW.finditer(modbus)}:
            assert fallback == _fallback(drivers[name]), name


def test_what_a_driver_is_not_sure_of_stands_in_the_list_too() -> None:
    listed = DEVICES.partition("## What is not certain")[2].partition("\n## ")[0]
    for name, driver in load_drivers([shared("drivers")]).drivers.items():
        unsure = driver.uncertain or any(register.uncertain for register in driver.registers.values())
        assert not unsure or f"`{name}`" in listed, name
