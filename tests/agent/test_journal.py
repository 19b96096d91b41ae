"""Decisions are kept for 24 h: bounded whatever control does, whole after a kill, and harmless on a full disk."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import execute
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from bench.decide import Garage
from charging_manager.agent import journal as module
from charging_manager.agent.journal import BURST, MAGIC, MOST_BYTES, Entry, Journal
from charging_manager.control.chain import chain
from charging_manager.control.decide import Rules, decide
from charging_manager.model.plan import Because, Decision, Plan, Setpoint, SiteImage
from charging_manager.model.site import Site
from tests.agent.values import START_AT
from tests.agent.waiting import result_of
from tests.control.test_promises import LONG

Decide = Callable[[SiteImage, Plan, str], Decision | None]
NOTHING = Site("none", "none")


def plain(image: SiteImage, plan: Plan, name: str) -> Decision:
    """A record without links."""
    setpoint = plan.setpoints[name]
    return Decision(name, plan.number, setpoint.current_a, None, setpoint.because, ())


class Diary:
    """A journal on a clock that the test moves."""

    def __init__(self, folder: Path, chain: Decide = plain, most_bytes: int = MOST_BYTES) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.started_s = self.clock.seconds()
        self.jump = timedelta()
        self.number = 0
        self.journal = Journal(folder, self.clock, self.now, chain, execute, most_bytes)

    def now(self) -> datetime:
        return START_AT + timedelta(seconds=self.clock.seconds() - self.started_s) + self.jump

    def cycle(self, setpoints: dict[str, Setpoint], seconds: float = 1.0) -> None:
        self.clock.advance(seconds)
        self.number += 1
        now_s = self.clock.seconds()
        plan = Plan(self.number, now_s, setpoints, {})
        self.journal.see(SiteImage(now_s, self.number, NOTHING, {}, {}), plan)

    def told(self, name: str, since_s: float = 0.0, until_s: float = 1e6) -> list[Entry]:
        since, until = (START_AT + timedelta(seconds=at) for at in (since_s, until_s))
        return result_of(self.journal.entries(name, since, until))


def point(amps: float, code: str = "circuit-limit", name: str = "garage") -> dict[str, Setpoint]:
    return {name: Setpoint(name, amps, Because(code, {"circuit": "Main"}))}


def test_what_stays_the_same_is_told_once(tmp_path: Path) -> None:
    diary, same = Diary(tmp_path / "why"), point(16.0)
    for _ in range(200):
        diary.cycle(same)
    assert [entry.decision.setpoint_a for entry in diary.told("garage")] == [16.0]


def test_every_change_is_told_with_its_time_and_reason(tmp_path: Path) -> None:
    diary = Diary(tmp_path / "why")
    diary.cycle(point(16.0))
    diary.cycle(point(12.0), 10.0)
    diary.cycle(point(0.0, "pause"), 20.0)
    told = diary.told("garage")
    assert [(e.decision.setpoint_a, e.decision.because.code) for e in told] == [
        (16.0, "circuit-limit"),
        (12.0, "circuit-limit"),
        (0.0, "pause"),
    ]
    assert [(e.at - START_AT).total_seconds() for e in told] == [1.0, 11.0, 31.0]
    assert told[1].decision.because.fields == {"circuit": "Main"}


def test_an_instant_is_answered_by_what_held_then(tmp_path: Path) -> None:
    diary = Diary(tmp_path / "why")
    for amps in (16.0, 12.0, 8.0):
        diary.cycle(point(amps), 100.0)
    assert [e.decision.setpoint_a for e in diary.told("garage", 250.0, 250.001)] == [12.0]
    assert diary.told("garage", 50.0, 50.001) == []
    assert diary.told("yard") == []


def test_what_breathes_is_told_now_and_then_with_its_bounds(tmp_path: Path) -> None:
    diary = Diary(tmp_path / "why")
    for second in range(3600):
        diary.cycle(point(6.0 + second % 11))
    told = diary.told("garage")
    assert BURST < len(told) <= BURST + 60 + 1
    assert sum(entry.changes for entry in told) >= 3600 - 61
    assert (min(e.lowest_a for e in told), max(e.highest_a for e in told)) == (6.0, 16.0)


def test_nothing_is_written_before_a_minute_and_all_is_there_after_a_restart(tmp_path: Path) -> None:
    diary = Diary(tmp_path / "why")
    diary.cycle(point(16.0))
    assert not (tmp_path / "why").exists()
    diary.cycle(point(10.0), 61.0)
    diary.cycle(point(9.0), 61.0)
    again = Diary(tmp_path / "why")
    assert [e.decision.setpoint_a for e in again.told("garage")] == [16.0, 10.0, 9.0]
    assert [oct(file.stat().st_mode & 0o777) for file in (tmp_path / "why").iterdir()] == ["0o600"]


@pytest.mark.parametrize("left", [1, 5, 9, 20, 40])
def test_a_kill_in_the_middle_of_a_block_costs_that_block_alone(tmp_path: Path, left: int) -> None:
    diary = Diary(tmp_path / "why")
    diary.cycle(point(16.0), 61.0)
    (file,) = (tmp_path / "why").iterdir()
    size = file.stat().st_size
    diary.cycle(point(10.0), 61.0)
    os.truncate(file, size + left)
    with capturedLogs() as events:
        again = Diary(tmp_path / "why")
        assert [e.decision.setpoint_a for e in again.told("garage")] == [16.0]
    assert events == []
    again.cycle(point(8.0), 200.0)
    result_of(again.journal.flush())
    assert [e.decision.setpoint_a for e in again.told("garage")] == [16.0, 8.0]


@pytest.mark.parametrize("harm", ["flipped", "other", "empty", "bomb"])
def test_a_damaged_file_is_named_once_and_hides_no_other(tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "why"
    for amps in (16.0, 10.0):
        diary = Diary(folder)
        diary.cycle(point(amps), 61.0)
        result_of(diary.journal.flush())
    first, _second = sorted(folder.iterdir())
    data = bytearray(first.read_bytes())
    if harm == "flipped":
        data[-3] ^= 255
    elif harm == "other":
        data = bytearray(b"SQLite format 3\0" * 10)
    elif harm == "empty":
        data = bytearray()
    else:
        body = zlib.compress(b"0" * (64 * 1024 * 1024))
        data = bytearray(MAGIC + len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body)
    first.write_bytes(bytes(data))
    with capturedLogs() as events:
        again = Diary(folder)
        for _ in range(3):
            assert [e.decision.setpoint_a for e in again.told("garage")] == [10.0]
    assert len(events) == (0 if harm == "bomb" else 1)
    assert all("00000001.why" in str(event["file"]) for event in events)


def test_a_full_disk_stops_nothing_and_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    diary = Diary(tmp_path / "why")
    diary.cycle(point(16.0), 61.0)
    real, full = os.write, [True]

    def write(descriptor: int, data: bytes) -> int:
        if full[0]:
            real(descriptor, data[:5])
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(module.os, "write", write)
    with capturedLogs() as events:
        for amps in (12.0, 11.0, 10.0):
            diary.cycle(point(amps), 61.0)
        assert diary.journal.trouble is not None
        full[0] = False
        diary.cycle(point(9.0), 61.0)
        assert diary.journal.trouble is None
    assert len(events) == 2, [event["log_format"] for event in events]
    assert [e.decision.setpoint_a for e in Diary(tmp_path / "why").told("garage")] == [16.0, 12.0, 11.0, 10.0, 9.0]


def test_the_oldest_go_when_there_is_too_much(tmp_path: Path) -> None:
    diary = Diary(tmp_path / "why", most_bytes=3000)
    for hour in range(40):
        diary.cycle(point(6.0 + hour % 10), 3601.0)
    folder = tmp_path / "why"
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 3300
    assert diary.told("garage", 0.0, 1e6)[-1].decision.setpoint_a == 15.0


def test_files_go_after_a_day_and_a_jump_of_the_clock_takes_none_of_the_last_day(tmp_path: Path) -> None:
    diary = Diary(tmp_path / "why")
    folder = tmp_path / "why"
    for hour in range(20):
        diary.cycle(point(6.0 + hour % 10), 3601.0)
    diary.jump = timedelta(days=3650)
    diary.cycle(point(6.5), 3601.0)
    assert len(list(folder.iterdir())) == 21
    for hour in range(30):
        diary.cycle(point(6.0 + hour % 10), 3601.0)
        for file in folder.iterdir():
            os.utime(file, (0, 0))
    assert len(list(folder.iterdir())) <= 27


def test_when_everything_changes_at_once_the_cycle_is_not_held_up(tmp_path: Path) -> None:
    made = []

    def counted(image: SiteImage, plan: Plan, name: str) -> Decision:
        made.append(name)
        return plain(image, plan, name)

    diary = Diary(tmp_path / "why", counted)
    many = {f"p{number}": Setpoint(f"p{number}", 6.0, Because("maximum", {"amps": 6.0})) for number in range(100)}
    counts = []
    for _ in range(6):
        diary.cycle(many)
        counts.append(len(made))
    assert counts == [20, 40, 60, 80, 100, 100]
    assert {(diary.told(name)[0].at - START_AT).total_seconds() for name in many} == {1.0}


def test_a_charge_point_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    diary = Diary(tmp_path / "why")
    diary.cycle({**point(16.0), **point(10.0, name="yard")})
    diary.cycle(point(16.0))
    assert "yard" not in diary.journal._lines
    assert [e.decision.setpoint_a for e in diary.told("yard")] == [10.0]


def records(points: int) -> dict[str, Iterator[Decision]]:
    """Real records of a full garage, in turn, as many as keep clear of the window of the compression."""
    garage, kept = Garage(points, 40), []
    images: list[SiteImage] = []

    def note(image: SiteImage, rules: Rules) -> Plan:
        images[:] = [image]
        return decide(image, rules)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.decide.decide", note)
        for cycle in range(14):
            garage.cycle()
            if cycle > 9:
                assert garage.plan is not None
                kept.append({name: chain(images[0], garage.plan, name) for name in garage.plan.setpoints})

    def turn(name: str) -> Iterator[Any]:
        while True:
            for one in kept:
                yield one[name]

    return {name: turn(name) for name in kept[0]}


def test_a_day_of_500_charge_points_that_never_rest_fits_64_mib(tmp_path: Path) -> None:
    """The worst that boxes can follow: a new setpoint for each every 5 s. An hour is measured, a day with CM_LONG=1."""
    known = records(500)

    def chained(image: SiteImage, plan: Plan, name: str) -> Decision:
        return evolve(next(known[name]), number=plan.number, setpoint_a=plan.setpoints[name].current_a)

    diary = Diary(tmp_path / "why", chained)
    hours, amps, took_s, cycles = 24 if LONG else 1, 6, 0.0, 0
    last: dict[str, Setpoint] = {}
    for _ in range(hours * 720):
        amps = 6 + (amps + 5) % 26
        last = {
            name: Setpoint(name, float(6 + (amps + number) % 26), Because("circuit-limit", {"circuit": "Main"}))
            for number, name in enumerate(known)
        }
        for _ in range(5):
            started_s = time.process_time()
            diary.cycle(last)
            took_s += time.process_time() - started_s
            cycles += 1
    result_of(diary.journal.flush())
    size = sum(file.stat().st_size for file in (tmp_path / "why").iterdir())
    a_day = size * 24 / hours
    print(f"{a_day / 2**20:.1f} MiB a day, {1000 * took_s / cycles:.2f} ms per cycle beside the records themselves")
    assert diary.journal.lost == 0
    assert a_day <= MOST_BYTES
    assert took_s / cycles <= 0.05  # a wide bound: it shall not fail on a machine that is busy


def test_reading_a_day_of_one_charge_point_takes_no_time_of_the_others(tmp_path: Path) -> None:
    """Lines of other charge points are not parsed; a name that begins like another is another."""
    diary = Diary(tmp_path / "why")
    many = {name: Setpoint(name, 6.0, Because("maximum", {"amps": 6.0})) for name in ("p1", "p11", 'p"1', "p1,")}
    diary.cycle(many, 61.0)
    for name in many:
        assert [entry.decision.charge_point for entry in diary.told(name)] == [name]
