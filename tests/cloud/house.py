"""A cloud without sockets for the tests: its database in a temporary folder, time in a Clock."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.cloud.accounts import Accounts
from charging_manager.cloud.ledger import Ledger
from charging_manager.storage.database import Database
from charging_manager.storage.store import Store
from charging_manager.tunnel.scram import ScramVerifier
from tests.support.folders import temporary_path

T = TypeVar("T")

VERIFIER = ScramVerifier(b"salt", b"stored", b"server", 200_000)
START_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


class CloudTestCase(SynchronousTestCase):
    """Has ``database``, ``accounts``, ``ledger`` and a clock that ``now`` follows."""

    mktemp = temporary_path

    def setUp(self) -> None:
        self.clock = Clock()
        self.database = self.open_database()
        self.addCleanup(self.database.close)
        self.accounts = Accounts(self.database, self.now)
        self.ledger = Ledger(self.database, self.now, b"key of the chain")

    def open_database(self) -> Store:
        """Empty; ``test_on_postgres`` has another."""
        return Database.open_here(Path(self.mktemp()) / "cloud.sqlite", files("charging_manager.cloud.schema"))

    def kept(self) -> bytes:
        """Everything that the database has written."""
        assert isinstance(self.database, Database)
        return b"".join(path.read_bytes() for path in self.database.path.parent.iterdir())

    def now(self) -> datetime:
        return START_AT + timedelta(seconds=self.clock.seconds())

    def got(self, what: Deferred[T] | Coroutine[Any, Any, T]) -> T:
        """The result, which must be there already; what it failed with is raised."""
        deferred = what if isinstance(what, Deferred) else Deferred.fromCoroutine(what)
        held: list[Any] = []
        deferred.addCallbacks(held.append, lambda failure: held.append(failure))
        self.assertEqual(len(held), 1, "not there yet")
        if hasattr(held[0], "raiseException"):
            held[0].raiseException()
        return held[0]  # type: ignore[no-any-return]
