"""A database of the last version is taken up with all that is in it."""

import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path

from twisted.internet.defer import Deferred

from charging_manager.cloud.accounts import Accounts, Verifiers
from charging_manager.cloud.ledger import Ledger
from charging_manager.cloud.listing import read_wish
from charging_manager.storage.database import Database
from tests.cloud.house import START_AT, VERIFIER

SCHEMA = files("charging_manager.cloud.schema")


def got(deferred: Deferred[object]) -> object:
    held: list[object] = []
    deferred.addBoth(held.append)
    return held[0]


def test_installations_logins_and_the_audit_log_of_schema_1_are_all_there(tmp_path: Path) -> None:
    path = tmp_path / "cloud.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.executescript(SCHEMA.joinpath("0001-installations.sql").read_text("utf-8"))
        old.execute("PRAGMA user_version = 1")
        old.execute(
            "INSERT INTO installations VALUES (7, 'Garage', 'added', ?, '2026-01-01', '2026-02-01', '0.9')",
            (VERIFIER.to_text(),),
        )
        old.execute(
            "INSERT INTO installations VALUES (8, '0123-4567-89AB-CDEF', 'enrolled', NULL, '2026-01-02', NULL, NULL)"
        )
        for number in range(1, 4):
            old.execute("INSERT INTO audit VALUES (?, 't', 'cloud-admin', 's', 'log-level', '3')", (number,))
        old.execute("INSERT INTO failed_logins VALUES (1, 't', 'installation', 7, 's', 'refused')")
        old.execute("INSERT INTO connections VALUES (1, 7, 'connected', 't', 's', '0.9')")
    database = Database.open_here(path, SCHEMA)
    accounts = Accounts(database, lambda: START_AT)
    ledger = Ledger(database, lambda: START_AT, b"key")
    page = got(accounts.page(read_wish({})))
    rows = {row.cloud_id: row for row in page.rows}  # type: ignore[attr-defined]
    assert (rows["Garage"].number, rows["Garage"].state, rows["Garage"].version) == (7, "offline", "0.9")
    assert rows["0123-4567-89AB-CDEF"].may_enter
    assert got(accounts.verifiers("garage")) == Verifiers(VERIFIER)
    assert len(got(ledger.connections(7))) == len(got(ledger.failures(9, 7))) == 1  # type: ignore[arg-type]
    got(ledger.did("cloud-admin", "s", "log-level", "2"))
    assert got(ledger.whole()).entries == 5  # type: ignore[attr-defined]  # three, that a chain begins, and this one
    got(database.close())
