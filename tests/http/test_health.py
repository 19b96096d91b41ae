"""Health and readiness: open to anybody, honest about the database, and no burden to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.http.health import DATABASE_WITHIN_S, GOOD_FOR_S, Health
from charging_manager.http.routes import Answer, Caller, Problem, Role
from charging_manager.http.table import RawRequest, RouteTable
from charging_manager.storage.database import StorageError
from tests.http.wire import Town, request

NOBODY = Caller(Role.NOBODY, source="192.0.2.7")


class HealthTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.looks: list[Deferred[Any]] = []
        self.answer: Deferred[Any] | None = succeed(1)
        self.otherwise: str | None = None
        self.health = Health(self.clock, self.look, lambda: self.otherwise)
        self.table = RouteTable(self.health.routes(), "Health")

    def look(self) -> Deferred[Any]:
        self.looks.append(self.answer if self.answer is not None else Deferred())
        return self.looks[-1]

    def ask(self, path: str, method: str = "GET") -> list[tuple[int, bytes]]:
        got: list[tuple[int, bytes]] = []

        def arrived(answer: Any) -> None:
            assert isinstance(answer, Answer) and answer.content_type.startswith("text/plain")
            got.append((answer.status, bytes(answer.body)))

        Deferred.fromCoroutine(self.table.answer(RawRequest(method, path), NOBODY)).addCallback(arrived)
        return got

    def test_a_server_that_lives_says_so_whatever_else_is_wrong(self) -> None:
        self.answer, self.otherwise = fail(StorageError("io-error", "the disk failed")), "not-set-up"
        self.health.draining = True
        assert self.ask("/healthz") == [(200, b"ok\n")]

    def test_ready_means_that_the_database_answers_and_nothing_speaks_against_it(self) -> None:
        assert self.ask("/readyz") == [(200, b"ready\n")]
        self.otherwise = "not-set-up"
        assert self.ask("/readyz") == [(503, b"not-set-up\n")]
        self.health.draining = True
        assert self.ask("/readyz") == [(503, b"draining\n")]

    def test_a_database_that_fails_is_told_and_asked_again(self) -> None:
        self.answer = fail(StorageError("io-error", "the disk failed"))
        assert self.ask("/readyz") == [(503, b"database\n")]
        self.answer = succeed(1)
        assert self.ask("/readyz") == [(503, b"database\n")]  # the last look counts for a second
        self.clock.advance(GOOD_FOR_S)
        assert self.ask("/readyz") == [(200, b"ready\n")]
        self.answer = fail(ZeroDivisionError())
        self.clock.advance(GOOD_FOR_S)
        assert self.ask("/readyz") == [(503, b"database\n")]
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1

    def test_many_who_ask_are_one_look(self) -> None:
        self.answer = None
        asked = [self.ask("/readyz") for _ in range(100)]
        assert len(self.looks) == 1 and not any(asked)
        self.looks[0].callback(1)
        assert all(got == [(200, b"ready\n")] for got in asked)
        for _ in range(100):
            assert self.ask("/readyz") == [(200, b"ready\n")]
        assert len(self.looks) == 1

    def test_a_database_that_hangs_is_waited_for_once_and_not_asked_again(self) -> None:
        self.answer = None
        first = self.ask("/readyz")
        self.clock.advance(DATABASE_WITHIN_S)
        assert first == [(503, b"database\n")]
        self.clock.advance(60)
        assert self.ask("/readyz") == [(503, b"database\n")]
        assert len(self.looks) == 1
        self.looks[0].callback(1)
        assert self.ask("/readyz") == [(200, b"ready\n")]
        assert not self.clock.getDelayedCalls()


def test_strangers_are_told_even_where_everything_else_is_closed_to_them(tmp_path: Path) -> None:
    town = Town(tmp_path)
    town.house.closed = Problem(403, "setup-needed", "not set up yet")
    town.house.table = RouteTable(Health(town.clock, lambda: succeed(1)).routes(), "House")
    for method in ("GET", "HEAD"):
        for path, says in (("/healthz", b"ok\n"), ("/readyz", b"ready\n")):
            reply = town.ask(request(method, path), "192.0.2.7", secure=True)
            assert reply.status == 200 and reply.body == (says if method == "GET" else b"")
            assert reply["Cache-Control"] == "no-store"
    assert town.ask(request("GET", "/healthz/"), "192.0.2.7", secure=True).status == 403
    assert town.ask(request("POST", "/healthz"), "192.0.2.7", secure=True).status == 405
