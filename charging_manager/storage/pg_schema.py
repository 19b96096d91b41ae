"""Brings a shared database to this program's schema, by the same numbered files as ``schema``: once, whoever starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from charging_manager.errors import ConfigError
from charging_manager.storage.pg_line import Place
from charging_manager.storage.schema import Upgrade, refuse_newer

UPGRADING = 0x434D_0002
"""The advisory lock under which upgrades are made."""
_VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_version (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL
);
COMMENT ON COLUMN schema_version.number IS 'the last upgrade that this database has had'
"""


def check_server(connection: psycopg.Connection[Any], place: Place) -> None:
    """Raises: ConfigError for a server or database that is none for us."""
    if connection.info.server_version < 130000:
        raise ConfigError(str(place), "the server is older than PostgreSQL 13; use a newer one")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ConfigError(str(place), f"the database's encoding is {encoding}; create it with ENCODING 'UTF8'")


def bring_up_shared(connection: psycopg.Connection[Any], place: Place, upgrades: Sequence[Upgrade]) -> None:
    """Run what is missing, each in one transaction with its number, while all others that start wait.

    Raises: ConfigError naming the file that failed; what ran before it stays.
    """
    name = "the first table"
    try:
        with connection.transaction():
            _lock(connection)
            if version_of_shared(connection) == 0:
                connection.execute(_VERSIONS)
                connection.execute(
                    "INSERT INTO schema_version (one, number) VALUES (1, 0) ON CONFLICT (one) DO NOTHING"
                )
        refuse_newer(place, version_of_shared(connection), upgrades)
        for upgrade in upgrades:
            name = upgrade.name
            with connection.transaction():
                _lock(connection)
                if version_of_shared(connection) < upgrade.number:
                    connection.execute(upgrade.sql.encode())
                    connection.execute("UPDATE schema_version SET number = %s", (upgrade.number,))
    except psycopg.Error as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(str(place), f"could not be upgraded by {name} ({reason}); nothing of it was kept") from error


def _lock(connection: psycopg.Connection[Any]) -> None:
    connection.execute("SET LOCAL lock_timeout = '60s'")
    connection.execute("SET LOCAL statement_timeout = '600s'")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (UPGRADING,))


def version_of_shared(connection: psycopg.Connection[Any]) -> int:
    """The number of the last upgrade; 0 for an empty database."""
    if connection.execute("SELECT to_regclass('schema_version')").fetchone()[0] is None:  # type: ignore[index]
        return 0
    row = connection.execute("SELECT number FROM schema_version").fetchone()
    return int(row[0]) if row else 0
