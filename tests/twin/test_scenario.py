"""A scenario file that is wrong is refused in one sentence that names the key and the remedy."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from charging_manager.errors import ConfigError
from charging_manager.paths import shared
from charging_manager.twin.changes import change
from charging_manager.twin.keys import Keys
from charging_manager.twin.scenario import make_scenario, read_scenario
from tests.twin.small import SMALL, small


@pytest.mark.parametrize("path", sorted(shared("scenarios").glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_scenarios_are_good(path: Path) -> None:
    assert read_scenario(path).site.charge_points


WRONG = [
    ("limit_a = 20", "limt_a = 20", "circuit[1].limit_a"),
    ("limit_a = 20", "limit_a = 1e99", "circuit[1].limit_a"),
    ("limit_a = 20", "limit_a = [20, 20]", "circuit[1].limit_a"),
    ("limit_a = 20", "limit_a = nan", "circuit[1].limit_a"),
    ("limit_a = 20", 'limit_a = "20"', "circuit[1].limit_a"),
    ("reserve_a = 2", "reserve_a = 21", "circuit[1].reserve_a"),
    ('circuit = "main"', 'circuit = "mian"', "house[1].circuit"),
    ("day_kwh = 12", "day_kwh = -1", "house[1].day_kwh"),
    ("count = 4\nrotate", "count = 100000\nrotate", "charge_point[1].count"),
    ("max_a = 16", "max_a = 5", "charge_point[1].max_a"),
    ('arrive = "00:10"', 'arrive = "25:10"', "cars[1].arrive"),
    ('habit = "home"', 'habit = "pirate"', "cars[1].habit"),
    ('"box-4"]', '"box-5"]', "cars[1].charge_points"),
    ('"box-4"]', '"box-3"]', "cars[1].charge_points"),
    ("needs_kwh = 10", "needs_kwh = 10\ncolour = 3", "cars[1].colour"),
    ("start = 2026-01-12", 'start = "monday"', "start"),
    ("start = 2026-01-12", "", "start"),
    ('timezone = "Europe/Berlin"', 'timezone = "Mars/Base"', "timezone"),
    ("[[circuit]]", "[circuit]", "circuit"),
    ('id = "box"', 'id = "main"', "charge_point[1].id"),
]


@pytest.mark.parametrize(("good", "bad", "where"), WRONG, ids=[bad.strip()[:30] or "missing" for _, bad, _ in WRONG])
def test_a_wrong_key_is_named(good: str, bad: str, where: str) -> None:
    assert good in SMALL
    with pytest.raises(ConfigError) as caught:
        make_scenario(Keys(tomllib.loads(SMALL.replace(good, bad, 1))))
    assert caught.value.where == where


def test_a_misspelt_key_gets_a_proposal() -> None:
    with pytest.raises(ConfigError, match=r"did you mean needs_kwh\?"):
        make_scenario(Keys(tomllib.loads(SMALL.replace("needs_kwh", "need_kwh"))))


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = ", b"x" * 1_100_000])
def test_what_is_no_toml_file_is_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "strange.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_scenario(path)
    assert "strange.toml" in str(caught.value)


def test_groups_with_one_name_are_refused() -> None:
    twice = {"name": "car", "count": 4}
    with pytest.raises(ConfigError, match="give every group a name of its own"):
        make_scenario(Keys({**tomllib.loads(SMALL), "cars": [twice, twice]}))


def test_a_site_is_changed_by_key_path() -> None:
    site = change(
        small().site, ["main.limit_a=63", "box-1.max_a = 10", "site.unbalance_a=none", "charge_points.box-2.mode=off"]
    )
    assert site.circuits["main"].limit_a == (63.0, 63.0, 63.0)
    assert site.charge_points["box-1"].max_a == 10.0
    assert site.charge_points["box-2"].mode == "off"
    assert site.unbalance_a is None
    assert change(site, ["main.limit_a=[1, 2, 3.5]"]).circuits["main"].limit_a == (1.0, 2.0, 3.5)


@pytest.mark.parametrize(
    ("wish", "hint"),
    [
        ("main.limit_a", "PLACE.FIELD=VALUE"),
        ("mian.limit_a=3", "did you mean main"),
        ("main.limt_a=3", "did you mean limit_a"),
        ("main.limit_a=many", "no value"),
        ("main.limit_a=[1,2]", "L1, L2, L3"),
        ("main.limit_a=nan", "must be a number"),
        ("main.limit_a=-1", "0 to 100000"),
        ("box-1.mode=turbo", "one of"),
        ("box-1.out_of_service=perhaps", "no value"),
        ("site.serial=1", "no field"),
        ("boxes.box-1.max_a=3", "write circuits"),
    ],
)
def test_a_wrong_change_is_named(wish: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint.replace("[", r"\[")):
        change(small().site, [wish])
