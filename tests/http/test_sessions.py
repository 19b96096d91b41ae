"""Login sessions: minted, found, ended, expired, and there again after a restart."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.http import sessions
from charging_manager.http.routes import Role
from charging_manager.http.sessions import LoginSession, LoginSessions
from charging_manager.storage.database import Database, StorageError

SQL = """
CREATE TABLE login_session (
    token_hash BLOB PRIMARY KEY, handle TEXT NOT NULL UNIQUE, role TEXT NOT NULL, user TEXT, remote INTEGER NOT NULL,
    language TEXT NOT NULL, source TEXT NOT NULL, about TEXT NOT NULL, created_at TEXT NOT NULL, seen_at TEXT NOT NULL
) STRICT;
"""
result_of = SynchronousTestCase().successResultOf


def wait(coroutine: Coroutine[Deferred[Any], Any, Any]) -> Any:
    return result_of(Deferred.fromCoroutine(coroutine))


class Wall:
    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


class House:
    """A database with the table, two clocks, and login sessions that can be restarted."""

    def __init__(self, folder: Path) -> None:
        (folder / "schema").mkdir()
        (folder / "schema/0001-logins.sql").write_text(SQL)
        self.database = Database.open_here(folder / "state.db", folder / "schema")
        self.wall = Wall()
        self.restart()

    def restart(self) -> None:
        if hasattr(self, "sessions"):
            self.sessions.stop()
        self.clock = Clock()
        self.ended: list[LoginSession] = []
        self.sessions = LoginSessions(self.database, self.clock, self.wall, idle_s=1000, absolute_s=5000)
        self.sessions.on_end(self.ended.append)
        wait(self.sessions.load())

    def passes(self, seconds: float) -> None:
        self.wall.at += timedelta(seconds=seconds)
        self.clock.advance(seconds)

    def rows(self) -> int:
        return result_of(self.database.read(lambda c: c.execute("SELECT count(*) FROM login_session").fetchone()[0]))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.sessions.stop()
    result_of(house.database.close())


def test_a_minted_token_finds_its_login_and_no_other_does(house: House) -> None:
    minted = wait(house.sessions.mint(Role.USER, user="u1", remote=True, language="fr", about={"installation": 7}))
    found = house.sessions.find(minted.token)
    assert found is not None
    assert (found.role, found.user, found.remote, found.language) == (Role.USER, "u1", True, "fr")
    assert found.about == {"installation": 7}
    for wrong in (None, "", minted.token[:-1], minted.token + "x", "x" * 5000, "\udcff", found.handle):
        assert house.sessions.find(wrong) is None


def test_tokens_have_256_bits_and_stay_out_of_the_database_and_of_repr(house: House) -> None:
    minted = wait(house.sessions.mint(Role.ADMIN))
    assert len(minted.token) >= 43
    assert minted.token not in repr(minted)
    everything = result_of(
        house.database.read(lambda c: repr([tuple(row) for row in c.execute("SELECT * FROM login_session")]))
    )
    assert minted.token not in everything


def test_logins_survive_a_restart(house: House) -> None:
    minted = wait(house.sessions.mint(Role.ADMIN, token=house.sessions.new_token(), about={"a": [1]}))
    house.restart()
    found = house.sessions.find(minted.token)
    assert found is not None
    assert (found.handle, found.about) == (minted.session.handle, {"a": [1]})


def test_an_idle_login_expires_and_use_keeps_it(house: House) -> None:
    used, idle = (wait(house.sessions.mint(Role.ADMIN)) for _ in range(2))
    for _ in range(4):
        house.passes(400)
        assert house.sessions.find(used.token)
    assert house.sessions.find(idle.token) is None
    assert [each.handle for each in house.ended] == [idle.session.handle]
    assert house.rows() == 1


def test_no_login_lasts_longer_than_the_absolute_limit(house: House) -> None:
    minted = wait(house.sessions.mint(Role.ADMIN))
    for _ in range(10):
        house.passes(499)
        assert house.sessions.find(minted.token)
    house.passes(11)
    assert house.sessions.find(minted.token) is None


def test_the_wall_clock_may_jump_while_the_daemon_runs(house: House) -> None:
    minted = wait(house.sessions.mint(Role.ADMIN))
    house.wall.at += timedelta(days=3650)
    assert house.sessions.find(minted.token)
    house.wall.at -= timedelta(days=20000)
    house.passes(999)
    assert house.sessions.find(minted.token)


def test_time_while_the_daemon_was_down_counts(house: House) -> None:
    minted = wait(house.sessions.mint(Role.ADMIN))
    house.wall.at += timedelta(seconds=1001)
    house.restart()
    assert house.sessions.find(minted.token) is None
    assert house.rows() == 0


def test_use_is_remembered_over_a_restart(house: House) -> None:
    minted = wait(house.sessions.mint(Role.ADMIN))
    house.passes(900)
    assert house.sessions.find(minted.token)
    house.passes(60)
    house.restart()
    house.passes(900)
    assert house.sessions.find(minted.token)


def test_logins_end_one_by_one_and_by_kind(house: House) -> None:
    near, far, other = (
        wait(house.sessions.mint(Role.USER, user=user, remote=remote))
        for user, remote in (("u1", False), ("u1", True), ("u2", True))
    )
    assert wait(house.sessions.end(near.session.handle)) is True
    assert wait(house.sessions.end(near.session.handle)) is False
    assert house.sessions.find(near.token) is None
    assert [each.user for each in wait(house.sessions.end_all(remote=True, user="u2"))] == ["u2"]
    assert house.sessions.find(far.token)
    assert house.sessions.get(far.session.handle)
    assert house.sessions.get(other.session.handle) is None
    assert len(wait(house.sessions.end_all(where=lambda session: session.role is Role.USER))) == 1
    assert house.rows() == 0
    assert len(house.ended) == 3


def test_a_login_that_is_ended_while_it_is_being_written_is_dead(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    writing: list[tuple[Any, Deferred[Any]]] = []

    def later(function: Any) -> Deferred[Any]:
        writing.append((function, Deferred()))
        return writing[-1][1]

    with monkeypatch.context() as slow:
        slow.setattr(house.database, "write", later)
        minting = Deferred.fromCoroutine(house.sessions.mint(Role.ADMIN, remote=True))
        ending = Deferred.fromCoroutine(house.sessions.end_all(remote=True))
    for function, written in writing:
        house.database.write(function).chainDeferred(written)
    assert len(result_of(ending)) == 1
    assert house.sessions.find(result_of(minting).token) is None
    assert house.sessions.listing() == [] and house.rows() == 0


def test_a_login_that_could_not_be_written_is_none(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    token = house.sessions.new_token()
    with monkeypatch.context() as broken:
        broken.setattr(house.database, "write", lambda _: fail(StorageError("io-error", "the disk failed")))
        minting = Deferred.fromCoroutine(house.sessions.mint(Role.ADMIN, token=token))
    SynchronousTestCase().failureResultOf(minting, StorageError)
    assert house.sessions.find(token) is None and house.sessions.listing() == []


def test_whoever_makes_room_on_a_full_disk_is_let_in(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as full:
        full.setattr(house.database, "write", lambda _: fail(StorageError("disk-full", "the disk is full")))
        token = wait(house.sessions.mint(Role.ADMIN)).token
    assert house.sessions.find(token) is not None and house.rows() == 0
    wait(house.sessions.end(house.sessions.listing()[0].handle))
    assert house.sessions.find(token) is None


def test_many_logins_of_one_push_out_their_own_oldest_and_nobody_elses(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_ALIKE", 5)
    admin = wait(house.sessions.mint(Role.ADMIN))
    house.passes(1)
    many = []
    for _ in range(8):
        many.append(wait(house.sessions.mint(Role.USER, user="ann")).token)
        house.passes(1)
    ben = wait(house.sessions.mint(Role.USER, user="ben"))
    assert house.sessions.find(admin.token) and house.sessions.find(ben.token)
    assert [house.sessions.find(token) is not None for token in many] == [False] * 3 + [True] * 5
    assert house.rows() == 7


def test_who_is_alike_may_be_said_by_the_daemon(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_ALIKE", 1)
    house.sessions.alike = lambda session: session.about["installation"]
    first, second = (wait(house.sessions.mint(Role.ADMIN, about={"installation": n})).token for n in (1, 2))
    third = wait(house.sessions.mint(Role.USER, about={"installation": 1})).token
    assert [house.sessions.find(token) is not None for token in (first, second, third)] == [False, True, True]


def test_a_listener_that_raises_keeps_no_login_alive(house: House) -> None:
    def raises(_: LoginSession) -> None:
        raise KeyError("bug")

    minted = wait(house.sessions.mint(Role.ADMIN))
    later: list[LoginSession] = []
    house.sessions.on_end(raises)
    house.sessions.on_end(later.append)
    with capturedLogs() as logs:
        wait(house.sessions.end_all())
    assert house.sessions.find(minted.token) is None
    assert len(later) == 1
    assert [each["log_level"].name for each in logs] == ["critical"]


def test_the_listing_is_newest_use_first(house: House) -> None:
    first, second = (wait(house.sessions.mint(Role.ADMIN, source=source)) for source in ("a", "b"))
    house.passes(100)
    house.sessions.find(first.token)
    house.passes(50)
    listing = house.sessions.listing()
    assert [each.source for each in listing] == ["a", "b"]
    assert listing[0].seen_at == house.wall.at - timedelta(seconds=50)
    assert listing[1].handle == second.session.handle
