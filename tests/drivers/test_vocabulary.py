"""Version 1 of the format: one vocabulary in code, its schema for editors, its meanings in the reference."""

from __future__ import annotations

import json
import runpy
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from charging_manager.cli.main import main
from charging_manager.devices.loader import check_text
from charging_manager.devices.parse import NotADriver, parse_driver
from charging_manager.devices.vocabulary import heading, shipped_schema, vocabulary, words_of
from charging_manager.paths import shared
from tests.devices.tables import CHARGER, METER

DOCS = Path(__file__).resolve().parents[2] / "docs"
REFERENCE = (DOCS / "drivers.md").read_text()
SCHEMA = json.loads(shipped_schema())
SEES = jsonschema.Draft7Validator(SCHEMA)
FILES = sorted(shared("drivers").glob("*.toml"))
HTTP = (shared("drivers") / "go-e-charger-v2.toml").read_text().replace('name = "go-e-charger-v2"\n', "")


def parser_complains(text: str) -> bool:
    return bool(check_text(text, "acme"))


def schema_complains(text: str) -> bool:
    return not SEES.is_valid(tomllib.loads(text))


def test_the_shipped_schema_is_that_of_the_parser_and_of_the_reference() -> None:
    made = runpy.run_path(str(DOCS / "driver_schema.py"))["made"]()
    assert shipped_schema() == made, "run: python docs/driver_schema.py"
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drivers", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA


def test_every_word_is_described_in_the_reference() -> None:
    words = {
        (heading(of), word, "description" in shape)
        for of, word, shape in words_of(vocabulary(REFERENCE))
        if not of.startswith("variant.change")
    }
    assert len(words) > 140
    assert [(of, word) for of, word, described in sorted(words) if not described] == []


def test_a_word_that_the_reference_forgot_would_be_noticed() -> None:
    poorer = REFERENCE.replace("| `keep_every_s` |", "| `keep` |")
    words = {(heading(of), word) for of, word, shape in words_of(vocabulary(poorer)) if "description" not in shape}
    assert {("[setpoint]", "keep_every_s"), ("[storage]", "keep_every_s")} <= words


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_shipped_driver_fits_the_schema(path: Path) -> None:
    assert [error.message for error in SEES.iter_errors(tomllib.loads(path.read_text()))] == []


MISTAKES = {
    "an unknown word": (CHARGER, "step_a = 0.1", "step_b = 0.1"),
    "an unknown word in a register": (CHARGER, "scale = 0.1, group", "scael = 0.1, group"),
    "an unknown table": (CHARGER, "[watchdog]", "[watchdogs]"),
    "a text for a number": (CHARGER, "step_a = 0.1", 'step_a = "small"'),
    "a number for a text": (CHARGER, 'vendor = "Acme"', "vendor = 3"),
    "an empty text": (CHARGER, 'vendor = "Acme"', 'vendor = " "'),
    "a missing text": (CHARGER, 'vendor = "Acme"', ""),
    "a missing address": (CHARGER, 'address = 10, type = "u16"', 'type = "u16"'),
    "a missing type": (CHARGER, 'address = 10, type = "u16"', "address = 10"),
    "a type that does not exist": (CHARGER, 'address = 10, type = "u16"', 'address = 10, type = "u17"'),
    "a negative address": (CHARGER, "address = 10,", "address = -1,"),
    "an address beyond the last": (CHARGER, "address = 10,", "address = 65536,"),
    "a fraction for an address": (CHARGER, "address = 10,", "address = 10.5,"),
    "a function that does not exist": (CHARGER, "address = 10,", "address = 10, function = 7,"),
    "a write function that does not exist": (CHARGER, "write = true, volatile", "write = 7, volatile"),
    "a text for true": (CHARGER, "volatile = true", 'volatile = "yes"'),
    "a state that does not exist": (CHARGER, 'is = "plugged"', 'is = "parked"'),
    "a state without conditions": (CHARGER, "when = { state = 2 }", "when = 2"),
    "a condition that is a flag": (CHARGER, "when = { state = 2 }", "when = { state = true }"),
    "a condition without bounds": (CHARGER, "when = { state = 2 }", "when = { state = {} }"),
    "a condition with other bounds": (CHARGER, "when = { state = 2 }", "when = { state = { from = 1, upto = 3 } }"),
    "a write that is a text": (CHARGER, "pause = { enable = 0 }", 'pause = { enable = "off" }'),
    "a watchdog without its time": (CHARGER, "timeout_s = 30", ""),
    "a watchdog fed by magic": (CHARGER, 'fed_by = "any-request"', 'fed_by = "magic"'),
    "a group that does not exist": (CHARGER, 'group = "once"', 'group = "twice"'),
    "a line without its speed": (METER, "baud = 9600", ""),
    "a parity that does not exist": (METER, "baud = 9600", 'baud = 9600\nparity = "none"'),
    "a port that does not exist": (CHARGER, "port = 502", "port = 0"),
    "no registers": (METER, "[registers]", "[register]"),
    "a warning that does not exist": (CHARGER, "[tcp]", '[accepted]\nno-dog = "there is a cat"\n[tcp]'),
    "an accepted warning without a reason": (CHARGER, "[tcp]", "[accepted]\nno-watchdog = true\n[tcp]"),
    "a quality that does not exist": (CHARGER, 'model = "Wall"', 'model = "Wall"\nquality = "best"'),
    "a newer format": (CHARGER, 'model = "Wall"', 'model = "Wall"\nformat = 2'),
    "an unmapped register without a reason": (CHARGER, "[tcp]", "[unmapped]\nreset = 1\n[tcp]"),
    "an HTTP device with a serial line": (HTTP, "[http]", "[rtu]\nbaud = 9600\n[http]"),
    "an address with HTTP": (HTTP, 'json = "/car"', 'address = 3, json = "/car"'),
    "a pointer without HTTP": (CHARGER, "address = 10,", 'address = 10, json = "/car",'),
    "a method that does not exist": (HTTP, "set = { ", 'set = { method = "PATCH", '),
    "a variant without conditions": (
        CHARGER,
        "[identify]",
        '[[variant]]\nname = "x"\nchange = { vendor = "y" }\n[identify]',
    ),
    "a variant that changes nothing known": (
        CHARGER,
        "[identify]",
        '[[variant]]\nname = "x"\nwhen = { marker = 1 }\nchange = { colour = "y" }\n[identify]',
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_schema_and_parser_agree_on_a_planted_mistake(what: str) -> None:
    text, good, bad = MISTAKES[what]
    if what == "a method that does not exist":
        text, good = text.replace('method = "GET", ', ""), "set = { "
    assert good in text
    assert not parser_complains(text) and not schema_complains(text)
    wrong = text.replace(good, bad, 1)
    assert parser_complains(wrong) and schema_complains(wrong)


def _everywhere(table: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for key, inner in list(table.items())[: 3 if path == ("registers",) else None]:
        if isinstance(inner, dict):
            found += _everywhere(inner, (*path, key))
    return found


FREE = {
    "wake",
    "lock",
    "unlock",
    "identify",
    "pause",
    "resume",
    "feed",
    "start",
    "registers",
    "when",
    "unmapped",
    "only_when",
    "codes",
    "prepare",
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_table_of_any_driver_takes_an_unknown_word(path: Path) -> None:
    table = tomllib.loads(path.read_text())
    for place in _everywhere(table):
        if place and place[-1] in FREE:
            continue
        wrong = tomllib.loads(path.read_text())
        inner = wrong
        for key in place:
            inner = inner[key]
        inner["no_such_word"] = 1
        assert not SEES.is_valid(wrong), place
        with pytest.raises(NotADriver):
            parse_driver(wrong, path.stem)


def test_a_table_of_a_later_version_is_refused_with_one_sentence() -> None:
    later = "format = 2\n" + CHARGER.replace("[identify]", "[telepathy]\nstrength = 9\n[identify]")
    assert check_text(later, "acme") == [
        "acme.toml, line 1: format: this is version 2 of the format, and this program knows 1: update the program"
    ]
    assert check_text("format = 1\n" + CHARGER, "acme") == []
    assert "whole number" in check_text("format = 0\n" + CHARGER, "acme")[0]
    assert "whole number" in check_text('format = "2"\n' + CHARGER, "acme")[0]
