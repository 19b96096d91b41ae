from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import date, time
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred, fail

from charging_manager.agent.config import CloudSettings, Configuration, Override, UserSettings, with_device
from charging_manager.agent.store import Change, ConfigStore, read_configuration
from charging_manager.errors import ConfigError
from charging_manager.model.goal import Goal, Prefer
from charging_manager.model.rule import Condition, Rule
from charging_manager.model.site import Breaker, BreakerCurve, Circuit, Mode, SolarSettings, StorageRole
from charging_manager.storage.database import Database, StorageError
from tests.agent.values import box, meter
from tests.agent.waiting import result_of


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open_here(tmp_path / "agent.db", files("charging_manager.agent") / "schema")
    yield opened
    opened.close()


SUB = Circuit(
    *("sub", "Sub", "main", (10.0, 11.0, 12.5), 1.0, 6.0, None),
    *((8.0, 9.0, 10.0), 7000.0, 6000.0, Breaker(BreakerCurve.C, 16.0)),
)


def full(config: Configuration) -> Configuration:
    config = with_device(
        with_device(config, box(phases=(3, 1, 2), settings=("invert",), priority=2, mode=Mode.OFF, max_w=11_000.0)),
        meter(storage=StorageRole.ALL),
    )
    return evolve(
        config,
        name="Élysée",
        unbalance_a=None,
        circuits={**config.circuits, "sub": SUB},
        users={"ann": UserSettings("ann", "Ann", True, ("garage",), "fr", "ab" * 32, 3)},
        cloud=CloudSettings(True, "cloud.example.org", "garage-7", "a long password"),
        overrides={"garage": Override(Mode.FAST, 10.0)},
        timezone="Europe/Berlin",
        first_come=True,
        unbalance_with_house=True,
        solar=SolarSettings(import_w=100.0),
        solar_of={"garage": SolarSettings(phases=1)},
        rules=(Rule("night", "Night", Condition(time(22), time(6, 30), {0, 4}), users=("ann",), mode=Mode.SOLAR),),
        goals={"garage": Goal(time(7), energy_wh=40_000.0, days={0, 1}, on=date(2026, 5, 5), prefer=Prefer.GREEN)},
    )


def test_what_was_saved_is_there_after_a_restart(database: Database) -> None:
    store = result_of(ConfigStore.load(database))
    saved = result_of(store.change(full))
    assert result_of(ConfigStore.load(database)).current == saved == store.current


def test_a_rule_whose_row_is_damaged_is_an_error_in_words(database: Database) -> None:
    result_of(ConfigStore.load(database))
    result_of(database.write(lambda c: c.execute("INSERT INTO document VALUES ('rules', '[{}]')")))
    with pytest.raises(ConfigError, match="cannot be read"):
        result_of(ConfigStore.load(database))


def test_a_database_from_before_documents_can_still_be_checked() -> None:
    schema = files("charging_manager.agent") / "schema"
    connection = sqlite3.connect(":memory:")
    for name in ("0001-start.sql", "0002-places.sql"):
        connection.executescript((schema / name).read_text("utf-8"))
    connection.execute("INSERT INTO site VALUES (1, 'Old', 'fr', NULL)")
    connection.execute("INSERT INTO circuit VALUES ('main', 0, 'Main', NULL, 16, 16, 16, 0, 0, NULL)")
    found = read_configuration(connection)
    assert found is not None and found.name == "Old" and found.circuits["main"].breaker is None


def test_a_change_that_makes_no_sense_leaves_everything_as_before(database: Database) -> None:
    store = result_of(ConfigStore.load(database))
    before = result_of(store.change(full))
    told: list[Change] = []
    store.listen(told.append)
    with pytest.raises(ConfigError):
        result_of(store.change(lambda config: evolve(config, circuits={})))
    assert store.current == before and told == []
    assert result_of(ConfigStore.load(database)).current == before


class FullDisk:
    """Reads, but writes nothing."""

    def __init__(self, database: Database) -> None:
        self.read = database.read

    def write(self, function: Callable[[sqlite3.Connection], Any]) -> Deferred[Any]:
        return fail(StorageError("disk-full", "the disk is full"))


def test_a_change_that_cannot_be_written_does_not_happen(database: Database) -> None:
    first = result_of(ConfigStore.load(database)).current
    store = ConfigStore(FullDisk(database), first)
    with pytest.raises(StorageError):
        result_of(store.change(full))
    assert store.current == first


def test_listeners_hear_what_was_and_what_is(database: Database) -> None:
    store = result_of(ConfigStore.load(database))
    before = store.current
    told: list[Change] = []
    store.listen(told.append)
    result_of(store.change(lambda config: evolve(config, name="Other")))
    result_of(store.change(lambda config: config))
    assert [(change.before, change.after.name) for change in told] == [(before, "Other")]


def test_changes_come_one_after_the_other(database: Database) -> None:
    store = result_of(ConfigStore.load(database))
    for _ in range(3):
        result_of(store.change(lambda config: evolve(config, name=config.name[-20:] + "x")))
    assert store.current.name.endswith("xxx")


def test_every_column_has_a_comment() -> None:
    for file in (files("charging_manager.agent") / "schema").iterdir():
        if file.name.endswith(".sql"):
            inside = False
            for line in file.read_text(encoding="utf-8").splitlines():
                if line.startswith("CREATE TABLE"):
                    inside = True
                elif line.startswith(")"):
                    inside = False
                elif inside and not line.strip().startswith("PRIMARY KEY"):
                    assert "-- " in line, line
