from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from charging_manager.agent.records import Records
from charging_manager.agent.sessions import Step
from charging_manager.storage.database import Database, StorageError
from tests.agent.test_sessions import left_open
from tests.agent.values import START_AT, later
from tests.agent.waiting import result_of


class Disk:
    """A database whose disk may be full."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.full = False
        self.read = database.read

    def write(self, function: Callable[[sqlite3.Connection], Any]) -> Deferred[Any]:
        return fail(StorageError("disk-full", "the disk is full")) if self.full else self._database.write(function)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    opened = Database.open_here(tmp_path / "agent.db", files("charging_manager.agent") / "schema")
    yield Disk(opened)
    opened.close()


def records_on(disk: Disk, clock: Clock | None = None) -> tuple[Records, Clock]:
    clock = clock or Clock()
    records = Records(disk, clock, lambda: START_AT)
    records.start()
    return records, clock


def count(disk: Disk, table: str) -> int:
    return int(result_of(disk.read(lambda c: c.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])))


def test_the_begin_of_a_session_is_durable_within_a_second(disk: Disk) -> None:
    records, clock = records_on(disk)
    records.note(Step(left_open(), later(1), opened=True))
    clock.advance(1)
    assert result_of(records.open_sessions()) == [(left_open(), later(1))]
    assert records.waiting == 0


def test_progress_is_written_now_and_then(disk: Disk) -> None:
    records, clock = records_on(disk)
    for second in range(1, 15):
        records.note(Step(evolve(left_open(), energy_wh=float(second)), later(second)))
        clock.advance(1)
    assert count(disk, "charging_session") == 0
    clock.advance(1)
    assert result_of(records.open_sessions())[0][0].energy_wh == 14.0


def test_a_full_disk_delays_records_and_loses_none(disk: Disk) -> None:
    records, clock = records_on(disk)
    disk.full = True
    records.note(Step(left_open(), later(1), opened=True))
    records.note(Step(evolve(left_open(), id="s2", charge_point="yard"), later(1), opened=True))
    records.audit("admin", "::1", "mode", "garage")
    clock.advance(1)
    assert (records.trouble, records.waiting) == ("disk-full", 3)
    disk.full = False
    clock.advance(5)
    assert (records.trouble, records.waiting) == (None, 0)
    assert (count(disk, "charging_session"), count(disk, "audit")) == (2, 1)


def test_what_waits_is_bounded(disk: Disk) -> None:
    records, _clock = records_on(disk)
    disk.full = True
    for number in range(6000):
        records.note(Step(evolve(left_open(), id=f"s{number}"), later(1), closed=True))
        records.audit("admin", "::1", "mode")
    assert records.waiting == 6000 and records.lost == 1000


def test_sessions_are_found_by_time_user_and_charge_point_also_those_that_wait(disk: Disk) -> None:
    records, _clock = records_on(disk)
    records.note(Step(evolve(left_open(), id="a", user="ann", ended_at=later(5)), later(5), closed=True))
    records.note(Step(evolve(left_open(), id="b", started_at=later(100)), later(5), opened=True))
    result_of(records.flush())
    records.note(Step(evolve(left_open(), id="c", started_at=later(200), charge_point="yard"), later(5), opened=True))

    def found(**what: Any) -> list[str]:
        return [session.id for session in result_of(records.sessions(**what))]

    assert found() == ["c", "b", "a"]
    assert found(since_at=later(100)) == ["c", "b"]
    assert found(until_at=later(100)) == ["a"]
    assert found(user="ann") == ["a"]
    assert found(charge_point="yard") == ["c"]


def test_stopping_writes_what_waits(disk: Disk) -> None:
    records, _ = records_on(disk)
    records.note(Step(left_open(), later(1)))
    result_of(records.stop())
    assert count(disk, "charging_session") == 1


def test_a_car_that_only_stands_there_is_written_down_seldom(disk: Disk) -> None:
    records, clock = records_on(disk)
    writes = 0
    write = disk.write

    def counted(function: Callable[[sqlite3.Connection], Any]) -> Deferred[Any]:
        nonlocal writes
        writes += 1
        return write(function)

    disk.write = counted  # type: ignore[method-assign]
    for second in range(900):
        records.note(Step(left_open(), later(second), opened=second == 0))
        clock.advance(1)
    assert 3 <= writes <= 5
