"""docs/drivers.md is all that an author needs: its example is a driver, and no word of the format is missing."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

from charging_manager.devices import driver as d
from charging_manager.devices.loader import check_text
from charging_manager.devices.template import new_driver
from tests.devices.rig import shipped

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


def test_every_device_in_the_table_has_a_driver() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", (DOCS / "devices.md").read_text(), re.MULTILINE)
    assert rows == sorted(set(rows)), "one row each, in order"
    assert set(rows) <= set(shipped().drivers)
