"""Figures, words and pictures of a run."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from charging_manager.cli.main import main
from charging_manager.twin.report import jain, spell
from tests.twin.small import SMALL


def test_jains_index() -> None:
    assert jain([3.0, 3.0, 3.0]) == pytest.approx(1.0)
    assert jain([9.0, 0.0, 0.0]) == pytest.approx(1 / 3)
    assert jain([]) == jain([0.0, 0.0]) == 1.0


def test_durations_are_said_as_people_do() -> None:
    assert [spell(s) for s in (0, 119, 120, 7199, 7200, 90_000)] == [
        "0 s",
        "119 s",
        "2 min",
        "119 min",
        "2 h 00 min",
        "25 h 00 min",
    ]


def status_of(*words: str) -> int:
    try:
        return main(list(words))
    except SystemExit as ended:
        return int(ended.code or 0)


@pytest.mark.slow
def test_a_scenario_is_simulated_printed_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario, svg, figures = tmp_path / "a.toml", tmp_path / "a.svg", tmp_path / "a.json"
    scenario.write_text(SMALL)
    words = ("simulate", str(scenario), "--days", "1", "--svg", str(svg), "--json", str(figures))
    assert status_of(*words, "--set", "main.limit_a=25") == 0
    out = capsys.readouterr().out
    assert "car 1" in out and "fairness, car" in out and "25 A" in out
    told = json.loads(figures.read_text())
    assert told["circuits"][0]["limit_a"] == 25.0
    wanted_wh = sum(car["wanted_wh"] for car in told["cars"])
    assert 0 < told["charged_wh"] <= 1.001 * wanted_wh  # a car ends within the second in which it is full
    root = ET.parse(svg).getroot()
    assert root.tag.endswith("svg") and len(list(root.iter())) > 50


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("simulate",), 2),
        (("simulate", "no-such-scenario"), 1),
        (("simulate", "garage-12", "--days", "0"), 2),
        (("simulate", "garage-12", "--days", "many"), 2),
        (("simulate", "garage-12", "--svg", "/no/such/folder/a.svg"), 1),
        (("simulate", "garage-12", "--set", "mian.limit_a=3"), 1),
        (("simulate", "."), 1),
    ],
)
def test_wrong_words_cost_one_line(words: tuple[str, ...], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(*words) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("charging_manager simulate")
