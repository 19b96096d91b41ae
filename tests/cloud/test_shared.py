"""What two servers keep in memory of one database is right at both: logins, settings, keys, files, installations."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.cloud.accounts import CUT_OFF, Accounts, Change, Sighting
from charging_manager.cloud.keys import ApiKeys
from charging_manager.cloud.ledger import Ledger
from charging_manager.cloud.node_table import DEAD_AFTER_S, NodeTable
from charging_manager.cloud.settings import CloudSettings, SettingsStore
from charging_manager.cloud.shared_files import LOOK_EVERY_S, SharedFiles
from charging_manager.errors import ConfigError
from charging_manager.http.guard import LoginGuard
from charging_manager.http.routes import Role
from charging_manager.http.sessions import LoginSessions
from charging_manager.storage.database import DatabaseGone
from charging_manager.storage.postgres import PostgresStore
from charging_manager.storage.store import Connection
from tests.cloud.house import VERIFIER
from tests.support.postgres import Postgres, running_postgres

START_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
result_of = SynchronousTestCase().successResultOf


class News:
    """Tells the other one when the test says so: nothing is heard before it is committed."""

    leads = True

    def __init__(self) -> None:
        self.other: News
        self.listeners: list[tuple[str, Callable[[str | None], object]]] = []
        self.told: list[tuple[str, str | None]] = []

    def tell(self, db: Connection, topic: str, detail: str) -> None:
        self.told.append((topic, detail))

    def listen(self, topic: str, heard: Callable[[str | None], object]) -> None:
        self.listeners.append((topic, heard))

    def stop(self) -> None:
        pass

    def deliver(self) -> None:
        told, self.told = self.told, []
        for topic, detail in told:
            for wanted, heard in self.other.listeners:
                if wanted == topic:
                    heard(detail)

    def miss(self) -> None:
        """Our connection broke and stands again."""
        self.other.told.clear()
        for _, heard in self.listeners:
            heard(None)


class Two:
    """Two servers at one database."""

    def __init__(self, url: str) -> None:
        self.clock = Clock()
        self.news = (News(), News())
        self.news[0].other, self.news[1].other = self.news[1], self.news[0]
        schema = files("charging_manager.cloud.schema.postgresql")
        self.stores = [PostgresStore.open_here(url, schema, self.clock) for _ in self.news]
        for store, news in zip(self.stores, self.news, strict=True):
            store._news = news  # type: ignore[assignment]

    def now(self) -> datetime:
        return START_AT + timedelta(seconds=self.clock.seconds())

    def deliver(self) -> None:
        for news in self.news:
            news.deliver()


def run(work: Any) -> Any:
    return result_of(work if isinstance(work, Deferred) else Deferred.fromCoroutine(work))


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


@pytest.fixture
def two(server: Postgres) -> Iterator[Two]:
    both = Two(server.url(server.database()))
    yield both
    for store in both.stores:
        result_of(store.close())


def sessions_of(two: Two) -> list[LoginSessions]:
    made = [LoginSessions(store, two.clock, two.now, idle_s=1000, absolute_s=5000) for store in two.stores]
    for each in made:
        run(each.load())
    return made


def test_a_login_counts_at_the_other_server_at_once_and_ends_at_both(two: Two) -> None:
    one, other = sessions_of(two)
    token = run(one.mint(Role.ADMIN)).token
    waiting = other.prepare(token)  # before anything was heard of it
    assert waiting is not None
    result_of(waiting)
    found = other.find(token)
    assert found is not None
    assert other.prepare(token) is None
    assert one.prepare("x" * 43) is not None and one.find("x" * 43) is None
    ended: list[str] = []
    one.on_end(lambda session: ended.append(session.handle))
    assert run(other.end(found.handle))
    two.deliver()
    assert one.find(token) is None
    assert ended == [found.handle]


def test_ending_all_finds_those_that_nobody_has_told_of(two: Two) -> None:
    one, other = sessions_of(two)
    token = run(one.mint(Role.ADMIN)).token
    two.news[0].told.clear()  # lost on the way
    assert len(run(other.end_all(remote=False))) == 1
    two.deliver()
    assert one.find(token) is None


def test_a_server_that_heard_nothing_for_a_while_takes_up_what_began_and_what_ended(two: Two) -> None:
    one, other = sessions_of(two)
    gone, new = run(one.mint(Role.ADMIN)), None
    two.deliver()
    run(one.end(gone.session.handle))
    new = run(one.mint(Role.ADMIN))
    assert other.find(gone.token) is not None
    two.news[1].miss()
    assert other.find(gone.token) is None
    assert other.find(new.token) is not None


def test_a_login_that_is_used_at_one_server_does_not_expire_at_the_other(two: Two) -> None:
    one, other = sessions_of(two)
    token = run(one.mint(Role.ADMIN)).token
    two.deliver()
    for _ in range(9):
        two.clock.advance(310)
        assert one.find(token) is not None  # here alone
    result_of(other.prepare(token) or run(_nothing()) or _done())
    assert other.find(token) is not None


async def _nothing() -> None:
    return None


def _done() -> Deferred[None]:
    done: Deferred[None] = Deferred()
    done.callback(None)
    return done


def test_a_login_that_ends_while_the_database_is_away_is_over_here_at_once_and_elsewhere_after_it(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = sessions_of(two)
    token = run(one.mint(Role.ADMIN)).token
    two.deliver()
    with monkeypatch.context() as away:
        for name in ("write", "read"):
            away.setattr(two.stores[0], name, lambda function: fail(DatabaseGone()))
        assert len(run(one.end_all(remote=False))) == 1
        assert one.find(token) is None
    assert other.find(token) is not None
    two.news[0].miss()
    assert one.find(token) is None  # though the table had it still when that was looked at
    two.deliver()
    assert other.find(token) is None
    again = other.prepare(token)
    assert again is not None
    assert other.find(token) is None


def test_settings_and_keys_are_those_of_both(two: Two) -> None:
    settings = [SettingsStore(store) for store in two.stores]
    run(settings[0].change(CloudSettings(alarm_after_s=77)))
    two.deliver()
    assert settings[1].current.alarm_after_s == 77
    keys = [ApiKeys(store, two.clock, two.now) for store in two.stores]
    text, made = run(keys[0].make("fleet", frozenset({"metrics-read"}), None))
    two.deliver()
    assert keys[1].find(text, "192.0.2.1") is not None
    run(keys[1].revoke(made.number))
    two.deliver()
    assert keys[0].find(text, "192.0.2.1") is None


def test_the_audit_log_of_two_writers_is_one_chain(two: Two) -> None:
    ledgers = [Ledger(store, two.now, b"key of the chain") for store in two.stores]
    for number in range(20):
        run(ledgers[number % 2].did("cloud-admin", "192.0.2.1", "log-level", str(number)))
    whole = run(ledgers[0].whole())
    assert (whole.entries, whole.head.number) == (20, 20)
    assert [row["subject"] for row in run(ledgers[1].audit(20))] == [str(number) for number in reversed(range(20))]


def test_whoever_cuts_an_installation_off_tells_all_servers_in_the_same_transaction(two: Two) -> None:
    accounts = [Accounts(store, two.now, node) for store, node in zip(two.stores, "ab", strict=True)]
    heard: list[str | None] = []
    two.stores[1].listen(CUT_OFF, heard.append)
    for name in ("one", "two", "three"):
        run(accounts[0].add(name, VERIFIER))
    run(accounts[0].change("one", Change(note="nothing of the kind")))
    run(accounts[0].change("one", Change(disabled=True)))
    run(accounts[0].change("two", Change(new_password=VERIFIER, at_once=True)))
    run(accounts[0].delete("three"))
    two.deliver()
    assert heard == ["one disabled", "two password-changed", "three deleted"]
    assert run(accounts[1].admitted()) == {2}


def test_what_an_old_server_says_of_a_tunnel_that_has_moved_does_not_count(two: Two) -> None:
    a, b = (Accounts(store, two.now, node) for store, node in zip(two.stores, "ab", strict=True))
    number = run(a.add("garage", VERIFIER)).number

    def state() -> str:
        found = run(a.find("garage"))
        return str(found.state)

    run(a.seen([Sighting(number, "1", "v", True)]))
    run(b.seen([Sighting(number, "2", "v", True)]))
    run(a.seen([Sighting(number, "3", "v", False)]))  # late
    assert state() == "connected"
    run(a.nobody_is_here())
    assert state() == "connected"
    run(b.nobody_is_here())
    assert state() == "offline"


def test_a_server_that_dies_is_noticed_once_and_its_tunnels_are_down(two: Two) -> None:
    tables = [NodeTable(store, me) for store, me in zip(two.stores, ("aa", "bb"), strict=True)]
    accounts = Accounts(two.stores[1], two.now, "bb")
    number = run(accounts.add("garage", VERIFIER)).number
    run(accounts.seen([Sighting(number, "1", "v", True)]))
    assert run(tables[0].beat("10.0.0.1:4443", judges=True)).others == ()
    assert [node.id for node in run(tables[1].beat("10.0.0.2:4443", judges=True)).others] == ["aa"]
    run(
        two.stores[0].write(
            lambda db: db.execute(
                "UPDATE node SET seen_at = now() - make_interval(secs => ?) WHERE id = 'bb'", (DEAD_AFTER_S + 1,)
            )
        )
    )
    unsure = run(tables[0].beat("10.0.0.1:4443", judges=False))  # the database itself may have been away
    assert ([node.id for node in unsure.others], unsure.died) == (["bb"], ())
    sure = run(tables[0].beat("10.0.0.1:4443", judges=True))
    assert (sure.others, sure.died) == ((), ("bb",))
    assert run(accounts.find("garage")).state == "offline"
    run(tables[1].beat("10.0.0.2:4443", judges=True))
    run(tables[1].leave())
    assert run(tables[0].beat("10.0.0.1:4443", judges=True)).others == ()


def test_another_secret_is_refused_with_what_to_do(two: Two) -> None:
    secret = hmac.digest(b"a", b"b", "sha256")
    for store in two.stores:
        run(NodeTable(store, "a").check_secret(secret))
    failure = SynchronousTestCase().failureResultOf(
        Deferred.fromCoroutine(NodeTable(two.stores[1], "b").check_secret(b"another"))
    )
    assert failure.check(ConfigError)
    assert "copy the file of this name" in str(failure.value)


def shared_files(two: Two, at: int, folder: Path) -> SharedFiles:
    data = folder / str(at)
    data.mkdir(exist_ok=True)
    return SharedFiles(two.stores[at], data, data / "agreed.json", two.clock)


def test_a_password_file_that_changes_at_one_server_is_the_others_too(two: Two, tmp_path: Path) -> None:
    one, other = (shared_files(two, at, tmp_path) for at in (0, 1))
    taken: list[str] = []
    one.taken, other.taken = lambda: taken.append("one"), lambda: taken.append("other")
    here, there = tmp_path / "0" / "admin", tmp_path / "1" / "admin"
    here.write_text("first\n")
    there.write_text("of a server that was alone\n")
    run(one.begin())
    run(other.begin())
    assert there.read_text() == "first\n"
    there.write_text("second, longer\n")  # by the command
    two.clock.advance(LOOK_EVERY_S)
    two.deliver()
    assert here.read_text() == "second, longer\n"
    assert taken == ["other", "one"]
    here.unlink()
    two.clock.advance(LOOK_EVERY_S)
    two.deliver()
    assert not there.exists()
    one.stop()
    other.stop()


def test_what_was_changed_while_a_server_did_not_run_is_not_taken_back(two: Two, tmp_path: Path) -> None:
    one, other = (shared_files(two, at, tmp_path) for at in (0, 1))
    here, there = tmp_path / "0" / "admin", tmp_path / "1" / "admin"
    here.write_text("first\n")
    run(one.settle())
    run(other.settle())
    there.write_text("by the command, while stopped\n")
    again = shared_files(two, 1, tmp_path)
    run(again.settle())
    two.deliver()
    assert here.read_text() == there.read_text() == "by the command, while stopped\n"


def test_two_servers_together_allow_no_more_guesses_than_one() -> None:
    def tries(guards: list[LoginGuard]) -> int:
        allowed, now_s = 0, 0.0
        while now_s < 3600:
            allowed += sum(guard.admit(now_s, source="192.0.2.1") == 0 for guard in guards)
            now_s += 1
        return allowed

    alone = tries([LoginGuard()])
    for servers in (2, 4):
        together = tries([LoginGuard(servers=lambda servers=servers: servers) for _ in range(servers)])
        assert together <= alone + 2 * servers, servers  # the last of each, which one would have counted together
