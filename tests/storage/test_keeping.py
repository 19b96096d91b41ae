"""Weekly backups: when they are due, how many stay, and what is said when there can be none."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock

from charging_manager.errors import ConfigError
from charging_manager.storage.backup import make_backup
from charging_manager.storage.keeper import AGAIN_AFTER_S, FORGET_AFTER_S, LOOK_EVERY_S, Busy, Keeper
from charging_manager.storage.keeping import BackupSettings, Shelf, check_settings, last_due, next_due
from charging_manager.storage.passphrase import keep_passphrase
from charging_manager.storage.restore import finish
from tests.support.backups import without_daemons

PARIS = ZoneInfo("Europe/Paris")
MONDAY = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""The clocks change on Sunday the 29th."""


@given(
    st.integers(0, 15 * 365 * 86_400).map(lambda after_s: MONDAY + timedelta(seconds=after_s)),
    st.integers(0, 6),
    st.times().map(lambda at: f"{at:%H:%M}"),
)
def test_of_any_week_one_moment_is_due(now: datetime, weekday: int, at: str) -> None:
    settings = BackupSettings(weekday=weekday, at=at)
    last, following = last_due(now, settings, PARIS), next_due(now, settings, PARIS)
    assert last <= now < following
    assert timedelta(days=6, hours=22) <= following - last <= timedelta(days=7, hours=2)
    assert last.astimezone(PARIS).weekday() == weekday


@pytest.mark.parametrize(
    ("field", "value"),
    [("weekday", 7), ("weekday", -1), ("at", "3:30"), ("at", "25:00"), ("keep", 0), ("mib", 9), ("folder", "here")],
)
def test_settings_that_cannot_be_are_named(field: str, value: object) -> None:
    with pytest.raises(ConfigError) as wrong:
        check_settings(evolve(BackupSettings(), **{field: value}))
    assert wrong.value.where == f"backups.{field}"


class Rig:
    """A keeper on a clock of its own, whose threads are this one, or wait until ``release``."""

    def __init__(self, data: Path) -> None:
        self.clock, self.now = Clock(), MONDAY
        self.settings = BackupSettings()
        self.begun_anew = 0
        self.waiting: list[Callable[[], None]] | None = None
        self.shelf = Shelf(data, "charging-manager 1.0", lambda: self.settings)
        self.keeper = Keeper(
            clock=self.clock,
            now=lambda: self.now,
            shelf=self.shelf,
            settings=lambda: self.settings,
            where=lambda: PARIS,
            in_thread=self.run,
            own_database=data / "agent/agent.db",
            kept=(),
            checks=lambda _: None,
            begin_anew=self.begin_anew,
            since=lambda: MONDAY,
        )
        self.keeper.start()

    def begin_anew(self) -> None:
        self.begun_anew += 1

    def run(self, work: Callable[[], Any]) -> Deferred[Any]:
        if self.waiting is None:
            return execute(work)
        later: Deferred[Any] = Deferred()
        self.waiting.append(lambda: execute(work).chainDeferred(later))
        return later

    def passes(self, time: timedelta, step: timedelta = timedelta(minutes=30)) -> None:
        until = self.now + time
        while self.now < until:
            self.now += step
            self.clock.advance(step.total_seconds())

    def weekly(self) -> list[datetime]:
        return [held.at for held in self.shelf.listing() if held.weekly]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    (tmp_path / "data/agent").mkdir(parents=True)
    (tmp_path / "data/admin").write_text("hash")
    return Rig(tmp_path / "data")


def test_one_a_week_at_its_hour_and_the_oldest_go(rig: Rig) -> None:
    rig.settings = evolve(rig.settings, keep=3)
    rig.passes(timedelta(days=5))
    assert rig.weekly() == []
    rig.passes(timedelta(weeks=5))
    made = rig.weekly()
    assert [at.astimezone(PARIS).strftime("%a %d %b %H:%M") for at in made] == [
        "Sun 05 Apr 03:30",
        "Sun 29 Mar 03:30",
        "Sun 22 Mar 03:30",
    ]
    rig.settings = evolve(rig.settings, enabled=False)
    rig.passes(timedelta(weeks=2), timedelta(hours=6))
    assert rig.weekly() == made and rig.keeper.next_at() is None


def test_one_that_was_missed_is_made_up_for(rig: Rig) -> None:
    rig.keeper.stop()
    rig.now += timedelta(weeks=3)
    rig.keeper.start()
    rig.clock.advance(LOOK_EVERY_S)
    assert len(rig.weekly()) == 1


def test_those_made_by_hand_stay_and_the_size_of_all_is_bounded(rig: Rig) -> None:
    (rig.shelf.data / "big").write_bytes(os.urandom(4 * 1024 * 1024))
    rig.settings = evolve(rig.settings, mib=10)
    rig.keeper.make()
    rig.passes(timedelta(weeks=4), timedelta(hours=3))
    assert len(rig.weekly()) == 1 and len(rig.shelf.listing()) == 2
    rig.now += timedelta(seconds=1)
    rig.keeper.make()
    rig.now += timedelta(seconds=1)
    rig.keeper.make()
    rig.passes(timedelta(weeks=1), timedelta(hours=3))
    assert len(rig.weekly()) == 1
    assert rig.keeper.trouble is not None and "more than is allowed" in rig.keeper.trouble.sentence


def test_what_fails_is_said_tried_again_and_no_longer_said(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as full:
        full.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
        rig.passes(timedelta(weeks=1))
        assert rig.keeper.trouble is not None and "not enough room" in rig.keeper.trouble.sentence
        assert rig.weekly() == []
    rig.passes(timedelta(seconds=AGAIN_AFTER_S + LOOK_EVERY_S), timedelta(seconds=LOOK_EVERY_S))
    assert rig.keeper.trouble is None and len(rig.weekly()) == 1


def test_encrypted_ones_need_their_passphrase(rig: Rig) -> None:
    rig.settings = evolve(rig.settings, encrypt=True)
    rig.keeper.make()
    assert rig.keeper.failed is not None and "no passphrase" in rig.keeper.failed.sentence
    keep_passphrase(rig.shelf.data, "four words of mine")
    rig.keeper.make()
    assert rig.keeper.failed is None
    assert [held.encrypted for held in rig.shelf.listing()] == [True]
    assert oct((rig.shelf.data / "backup-passphrase").stat().st_mode)[-3:] == "600"


def test_a_folder_of_ones_own_must_be_there(rig: Rig, tmp_path: Path) -> None:
    rig.settings = evolve(rig.settings, folder=str(tmp_path / "disk"))
    rig.keeper.make()
    assert rig.keeper.failed is not None and "is not there" in rig.keeper.failed.sentence
    (tmp_path / "disk").mkdir()
    rig.keeper.make()
    assert len(list((tmp_path / "disk").glob("*.cmbackup"))) == 1


def test_one_thing_at_a_time_with_progress(rig: Rig) -> None:
    rig.waiting = []
    rig.keeper.make()
    assert rig.keeper.job is not None and rig.keeper.job.kind == "make"
    for ask in (rig.keeper.make, rig.keeper.forget, lambda: rig.keeper.receive(0, b"x")):
        with pytest.raises(Busy):
            ask()
    rig.waiting.pop()()
    assert rig.keeper.job is None and len(rig.shelf.listing()) == 1


def brought(rig: Rig, data: bytes) -> None:
    for at in range(0, len(data), 1000):
        got: list[object] = []
        rig.keeper.receive(at, data[at : at + 1000]).addBoth(got.append)
        assert got == [min(at + 1000, len(data))]


def test_what_is_brought_in_pieces_is_looked_at_and_restored_at_the_next_start(rig: Rig) -> None:
    rig.keeper.make()
    file = rig.shelf.listing()[0].path.read_bytes()
    (rig.shelf.data / "admin").write_text("another")
    brought(rig, file)
    wrong: list[Any] = []
    rig.keeper.receive(5, b"x").addErrback(wrong.append)
    assert wrong[0].check(ConfigError)
    rig.keeper.look(rig.keeper.brought, None)
    looked = rig.keeper.looked
    assert looked is not None and looked.summary.files == ("admin",)
    with pytest.raises(ConfigError, match="look at the backup again"):
        rig.keeper.restore("guessed")
    assert rig.begun_anew == 0 and (rig.shelf.data / "admin").read_text() == "another"
    rig.keeper.restore(looked.ticket)
    assert rig.begun_anew == 1
    done = finish(rig.shelf.data)
    assert done is not None and (rig.shelf.data / "admin").read_text() == "hash"
    assert rig.shelf.listing(), "backups are neither replaced nor put aside"


@pytest.mark.parametrize("says_it", [True, False])
def test_the_other_daemon_s_backup_is_refused_in_one_sentence(rig: Rig, tmp_path: Path, says_it: bool) -> None:
    (tmp_path / "cloud-state/cloud").mkdir(parents=True)
    (tmp_path / "cloud-state/cloud/secret").write_text("the server's")
    file = tmp_path / "of-the-cloud"
    make_backup(tmp_path / "cloud-state", file, "charging-manager 1.0", MONDAY)
    if not says_it:
        without_daemons(file)
    brought(rig, file.read_bytes())
    rig.keeper.look(rig.keeper.brought, None)
    assert rig.keeper.looked is None and rig.keeper.failed is not None
    assert (
        rig.keeper.failed.sentence == "this is a cloud server's backup; restore it at a cloud server, not at an agent"
    )
    assert not (rig.shelf.data / ".restore/state").exists()


def test_what_nobody_wants_any_more_is_removed(rig: Rig) -> None:
    rig.keeper.make()
    brought(rig, rig.shelf.listing()[0].path.read_bytes())
    rig.keeper.look(rig.keeper.brought, None)
    assert rig.keeper.looked is not None
    rig.clock.advance(FORGET_AFTER_S + LOOK_EVERY_S)
    assert rig.keeper.looked is None
    assert not rig.keeper.brought.exists() and not (rig.shelf.data / ".restore").exists()
