"""The admin password's three states, and that a check costs the same in each of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.errors import ConfigError
from charging_manager.http import passwords
from charging_manager.http.passwords import AdminPassword
from charging_manager.http.routes import Problem

result_of = SynchronousTestCase().successResultOf
failure_of = SynchronousTestCase().failureResultOf


def begin(coroutine: Coroutine[Deferred[Any], Any, Any]) -> Deferred[Any]:
    return Deferred.fromCoroutine(coroutine)


def wait(coroutine: Coroutine[Deferred[Any], Any, Any]) -> Any:
    return result_of(begin(coroutine))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "admin"


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested is not what a hash costs."""
    hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    monkeypatch.setattr(passwords, "_DUMMY", hasher.hash("nobody's"))


def test_unset_set_and_emptied(path: Path) -> None:
    password = AdminPassword(path, execute)
    assert password.state == "unset"
    assert wait(password.check("")) is False
    assert wait(password.check("secret")) is False
    wait(password.set("secret"))
    assert password.state == "set"
    assert wait(password.check("secret")) is True
    assert wait(password.check("Secret")) is False
    assert wait(password.check("")) is False
    wait(password.empty())
    assert password.state == "emptied"
    assert wait(password.check("secret")) is False
    assert wait(password.check("")) is False
    assert wait(password.check("emptied")) is False


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("new", ["another", None])
def test_a_password_that_is_taken_away_during_its_check_is_no_password(path: Path, new: str | None) -> None:
    running: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def in_thread(function: Callable[[], Any]) -> Deferred[Any]:
        running.append((function, Deferred()))
        return running[-1][1]

    password = AdminPassword(path, in_thread)
    password.write("secret")
    checking = begin(password.check("secret"))
    AdminPassword(path).write(new)  # by command
    function, done = running[0]
    done.callback(function())
    assert result_of(checking) is False


@pytest.mark.usefixtures("cheap")
def test_the_file_is_private_and_holds_no_password(path: Path) -> None:
    AdminPassword(path).write("correct horse")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"horse" not in path.read_bytes()
    assert path.read_bytes().startswith(b"$argon2id$")
    assert os.listdir(path.parent) == ["admin"]


@pytest.mark.usefixtures("cheap")
def test_another_program_may_change_it(path: Path) -> None:
    password = AdminPassword(path, execute)
    AdminPassword(path).write("one")
    assert password.state == "set"
    AdminPassword(path).write("two")
    assert wait(password.check("two")) is True
    assert wait(password.check("one")) is False


@pytest.mark.usefixtures("cheap")
def test_a_change_is_noticed_within_a_second(path: Path) -> None:
    clock, seen = Clock(), list[str]()
    password = AdminPassword(path, execute)
    password.watch(clock, lambda: seen.append(password.state))
    clock.pump([0.25] * 8)
    assert seen == []
    AdminPassword(path).write("one")
    clock.pump([0.25] * 4)
    assert seen == ["set"]
    password.state  # noqa: B018 - looking at it between two looks of the watch hides nothing from that
    AdminPassword(path).write(None)
    assert password.state == "emptied"
    clock.pump([0.25] * 4)
    assert seen == ["set", "emptied"]
    path.unlink()
    clock.pump([0.25] * 4)
    assert seen == ["set", "emptied", "unset"]
    password.stop()
    assert clock.getDelayedCalls() == []


@pytest.mark.usefixtures("cheap")
def test_a_change_is_told_before_anybody_logs_in_with_what_is_new(path: Path) -> None:
    told: list[str] = []
    password = AdminPassword(path, execute)
    password.watch(Clock(), lambda: told.append("changed"))
    password.write("the new one")
    checking = Deferred.fromCoroutine(password.check("the new one"))
    checking.addCallback(lambda right: told.append(f"let in: {right}"))
    assert told == ["changed", "let in: True"]
    password.stop()


def test_a_watcher_that_raises_is_called_again(path: Path) -> None:
    clock, calls = Clock(), list[int]()
    password = AdminPassword(path, execute)

    def changed() -> None:
        calls.append(1)
        raise KeyError("bug")

    password.watch(clock, changed)
    for secret in ("one", "two"):
        AdminPassword(path).write(secret)
        clock.pump([0.25] * 4)
    password.stop()
    assert len(calls) == 2


@pytest.mark.usefixtures("cheap")
def test_a_file_that_is_no_hash_refuses_everybody(path: Path) -> None:
    path.parent.mkdir()
    for content in ("", "secret", "$argon2id$broken", "\xff\xfe"):
        path.write_bytes(content.encode("latin-1"))
        password = AdminPassword(path, execute)
        assert password.state != "unset"
        assert wait(password.check("secret")) is False
        assert wait(password.check(content)) is False


def test_a_folder_in_its_place_is_not_taken_for_never_set(path: Path) -> None:
    path.mkdir(parents=True)
    assert AdminPassword(path, execute).state == "emptied"


@pytest.mark.usefixtures("cheap")
def test_bad_passwords_are_refused_and_the_old_one_stays(path: Path) -> None:
    password = AdminPassword(path, execute)
    wait(password.set("secret"))
    for bad in ("", "x" * 1025):
        failure_of(begin(password.set(bad)), ConfigError)
    assert wait(password.check("secret")) is True
    assert wait(password.check("x" * 100_000)) is False


def test_where_there_is_none_a_check_runs_with_the_same_cost(path: Path) -> None:
    with pytest.raises(VerifyMismatchError):  # a well-formed hash, so that verifying it really computes
        PasswordHasher().verify(passwords._DUMMY, "anything")
    assert not passwords._HASHER.check_needs_rehash(passwords._DUMMY)
    used: list[str] = []

    def count(function: Callable[[], bool]) -> Deferred[bool]:
        used.append("thread")
        return execute(function)

    password = AdminPassword(path, count)
    wait(password.check("anything"))
    wait(password.empty())
    wait(password.check("anything"))
    assert used == ["thread", "thread"]


def test_checks_run_one_at_a_time_and_the_queue_is_bounded(path: Path) -> None:
    waiting: list[Deferred[bool]] = []

    def later(_: Callable[[], bool]) -> Deferred[bool]:
        waiting.append(Deferred())
        return waiting[-1]

    password = AdminPassword(path, later)
    checks = [begin(password.check("x")) for _ in range(17)]
    assert len(waiting) == 1
    assert failure_of(begin(password.check("x")), Problem).value.status == 503
    for _ in range(17):
        waiting[-1].callback(False)
    assert [result_of(check) for check in checks] == [False] * 17
