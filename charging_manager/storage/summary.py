"""What a restore would change, in numbers and names, before anything is changed."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from attrs import frozen

from charging_manager.storage.backup import Backup, Check
from charging_manager.storage.schema import read_upgrades, refuse_newer, version_of

Rows = list[dict[str, Any]]


@frozen
class Kept:
    """What is told of one database: its path inside a state directory, and queries by a stable word.

    ``counts`` give one number, ``settings`` rows that people have set, ``documents`` rows of name and value, ``newest``
    one time. A query that a database's schema does not know is left out.
    """

    database: str
    counts: Mapping[str, str]
    settings: Mapping[str, str]
    documents: str
    newest: str
    schema: Traversable


def refuse_newer_state(kept: tuple[Kept, ...]) -> Check:
    """A Check: no database may be of a newer program. Raises there: ConfigError."""

    def check(state: Path) -> None:
        for one in kept:
            path = state / one.database
            if path.is_file():
                with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
                    refuse_newer(Path(one.database), version_of(db), read_upgrades(one.schema))

    return check


@frozen
class Count:
    """How many of something there are now, and how many there would be; None: cannot be read, or not there."""

    what: str
    now: int | None
    then: int | None


@frozen
class Summary:
    """``settings`` and ``files`` differ or are on one side only. ``newest_*``: the last that each side has recorded."""

    created_at: str
    program: str
    counts: tuple[Count, ...]
    settings: tuple[str, ...]
    files: tuple[str, ...]
    schema_now: Mapping[str, int]
    schema_then: Mapping[str, int]
    newest_now: str | None
    newest_then: str | None
    unreadable: bool
    """What is there now cannot be read, which may be why it is restored."""


@frozen
class _Side:
    schema: Mapping[str, int]
    counts: Mapping[str, int]
    settings: Mapping[str, Rows]
    newest: str | None
    unreadable: bool


def summarise(backup: Backup, state: Path, data: Path, kept: tuple[Kept, ...]) -> Summary:
    """Compare an unpacked state with what is in the state directory now, which may be in use, damaged or empty."""
    now, then = _side(data, kept, "mode=ro"), _side(state, kept, "mode=ro&immutable=1")
    databases = {one.database for one in kept}
    return Summary(
        created_at=backup.created_at,
        program=backup.program,
        counts=tuple(
            Count(what, now.counts.get(what), then.counts.get(what))
            for one in kept
            for what in one.counts
            if what in now.counts or what in then.counts
        ),
        settings=tuple(
            what
            for what in sorted(now.settings.keys() | then.settings.keys())
            if _differ(now.settings.get(what), then.settings.get(what))
        ),
        files=tuple(
            sorted(
                name
                for name, (size, digest) in backup.files.items()
                if name not in databases and not _same_file(data / name, size, digest)
            )
        ),
        schema_now=now.schema,
        schema_then=then.schema,
        newest_now=now.newest,
        newest_then=then.newest,
        unreadable=now.unreadable,
    )


def _side(folder: Path, kept: tuple[Kept, ...], how: str) -> _Side:
    schema: dict[str, int] = {}
    counts: dict[str, int] = {}
    settings: dict[str, Rows] = {}
    newest: list[str] = []
    unreadable = False
    for one in kept:
        path = folder / one.database
        if not path.is_file():
            continue
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)) as db:
                db.row_factory = sqlite3.Row
                schema[one.database] = version_of(db)
                for what, query in one.counts.items():
                    for row in _asked(db, query):
                        counts[what] = int(row[0])
                settings.update(
                    {what: [dict(row) for row in _asked(db, query)] for what, query in one.settings.items()}
                )
                settings.update({row["name"]: [{"value": row["value"]}] for row in _asked(db, one.documents)})
                newest += [str(row[0]) for row in _asked(db, one.newest) if row[0]]
        except sqlite3.Error:
            unreadable = True
    return _Side(schema, counts, settings, max(newest, default=None), unreadable)


def _asked(db: sqlite3.Connection, query: str) -> list[sqlite3.Row]:
    try:
        return list(db.execute(query))
    except sqlite3.OperationalError as error:
        if "no such" in str(error):  # a table or a column of a newer schema
            return []
        raise


def _differ(one: Rows | None, other: Rows | None) -> bool:
    """By the columns that both have; a column of a newer schema is no difference."""
    if not one or not other:
        return bool(one) != bool(other)
    columns = one[0].keys() & other[0].keys()
    return [{name: row[name] for name in columns} for row in one] != [
        {name: row[name] for name in columns} for row in other
    ]


def _same_file(path: Path, size: int, digest: str) -> bool:
    try:
        if path.stat().st_size != size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == digest
    except OSError:
        return False
