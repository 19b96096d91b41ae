"""Brings a database file to this program's schema by numbered upgrade files, ``0001-what-it-does.sql`` and on.

Each file runs in one transaction together with its number (``user_version``), so a ``kill -9`` leaves the schema
before or after it, never between.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from importlib.resources.abc import Traversable
from pathlib import Path

from attrs import frozen

from charging_manager.errors import ConfigError

_NAME = re.compile(r"(\d{4})-[a-z0-9-]+\.sql")


@frozen
class Upgrade:
    """One numbered file: it leads from schema ``number - 1`` to ``number``."""

    number: int
    name: str
    sql: str


def read_upgrades(schema: Traversable) -> tuple[Upgrade, ...]:
    """All upgrade files of a folder in order. Raises: ConfigError if a number is missing or double."""
    found = []
    for file in schema.iterdir():
        match = _NAME.fullmatch(file.name)
        if match:
            found.append(Upgrade(int(match[1]), file.name, file.read_text(encoding="utf-8")))
    found.sort(key=lambda upgrade: upgrade.number)
    if [upgrade.number for upgrade in found] != list(range(1, len(found) + 1)) or not found:
        raise ConfigError(str(schema), "upgrade files must be numbered 0001, 0002, ...; install the program again")
    return tuple(found)


def version_of(connection: sqlite3.Connection) -> int:
    """The number of the last upgrade that this database has had; 0 for an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def refuse_newer(path: object, version: int, upgrades: Sequence[Upgrade]) -> None:
    """Raises: ConfigError for a database that a newer program has upgraded."""
    if version > len(upgrades):
        raise ConfigError(
            str(path),
            f"was written by a newer Charging Manager (schema {version}, this program knows {len(upgrades)}); "
            "install the newer version again, or restore a backup made with this one",
        )


def bring_up(connection: sqlite3.Connection, path: Path, upgrades: Sequence[Upgrade]) -> None:
    """Run what is missing. Raises: ConfigError naming the file that failed; what ran before it stays."""
    version = version_of(connection)
    refuse_newer(path, version, upgrades)
    for upgrade in upgrades[version:]:
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{upgrade.sql}\n;PRAGMA user_version = {upgrade.number};\nCOMMIT;"
            )
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.rollback()
            raise ConfigError(
                str(path), f"could not be upgraded by {upgrade.name} ({error}); nothing of it was kept"
            ) from error
