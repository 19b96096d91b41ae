"""Everything that the cloud does with its database, done with PostgreSQL: the same tests, another store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

import psycopg
import pytest
from twisted.internet.task import Clock

from charging_manager.storage.database import Database
from charging_manager.storage.postgres import PostgresStore
from charging_manager.storage.store import Connection, Store
from tests.cloud import (
    test_accounts,
    test_admin,
    test_alarms,
    test_chain,
    test_door,
    test_front,
    test_ledger,
    test_sites,
)
from tests.cloud.house import CloudTestCase
from tests.support.postgres import Postgres, running_postgres

SCHEMA = files("charging_manager.cloud.schema.postgresql")
MODULES = (test_accounts, test_admin, test_alarms, test_chain, test_door, test_front, test_ledger, test_sites)
ONLY_SHARED = {"schema_version", "node", "cluster", "shared_file"}
"""Tables that a single server does not need."""

OF_SQLITE = {"test_no_order_and_no_page_is_sorted_anew"}
"""Tests that ask SQLite how it goes about a statement."""


class OnPostgres(CloudTestCase):
    """The house with another store: one database, emptied before each test, made anew if a test has broken it."""

    server: ClassVar[Postgres]
    name: ClassVar[str] = ""

    def open_database(self) -> Store:
        if OnPostgres.name:
            with contextlib.suppress(psycopg.Error), self.server.connect(OnPostgres.name) as connection:
                connection.execute(
                    "TRUNCATE installations, connections, failed_logins, audit, audit_chain, login_session, setting,"
                    " api_key, webhook_call RESTART IDENTITY"
                )
                return PostgresStore.open_here(self.server.url(OnPostgres.name), SCHEMA, self.clock)
        OnPostgres.name = self.server.database()
        return PostgresStore.open_here(self.server.url(OnPostgres.name), SCHEMA, self.clock)

    def kept(self) -> bytes:
        def look(db: Connection) -> str:
            tables = sorted({table for table, _ in _columns_of_postgres(db)})
            return "\n".join(str(row[0]) for table in tables for row in db.execute(f"SELECT t::text FROM {table} t"))

        return self.got(self.database.read(look)).encode()


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[Postgres]:
    with running_postgres() as running:
        OnPostgres.server = running
        yield running


def _cases() -> Iterator[type[CloudTestCase]]:
    for module in MODULES:
        for case in vars(module).values():
            if isinstance(case, type) and issubclass(case, CloudTestCase) and case.__module__ == module.__name__:
                yield case


globals().update(
    {
        f"{case.__name__}OnPostgres": type(f"{case.__name__}OnPostgres", (OnPostgres, case), dict.fromkeys(OF_SQLITE))
        for case in _cases()
    }
)


def test_both_stores_have_the_same_tables_and_columns(server: Postgres, tmp_path: Path) -> None:
    at_home = Database.open_here(tmp_path / "cloud.sqlite", files("charging_manager.cloud.schema"))
    name = server.database()
    shared = PostgresStore.open_here(server.url(name), SCHEMA, Clock())
    result_of = CloudTestCase().successResultOf
    here = result_of(at_home.read(_columns_of_sqlite))
    there = result_of(shared.read(_columns_of_postgres))
    assert there - here == {(table, column) for table, column in there if table in ONLY_SHARED}
    assert here - there == set()
    result_of(at_home.close())
    result_of(shared.close())


def _columns_of_sqlite(db: Connection) -> set[tuple[str, str]]:
    tables = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").fetchall()
    return {(row[0], each["name"]) for row in tables for each in db.execute(f"PRAGMA table_xinfo({row[0]})")}


def _columns_of_postgres(db: Connection) -> set[tuple[str, str]]:
    columns = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    return {(row[0], row[1]) for row in db.execute(columns)}
