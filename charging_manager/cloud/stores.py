"""Which database the cloud server keeps its state in: a file of its own, or a PostgreSQL that several servers share."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.task import Clock

from charging_manager.errors import ConfigError
from charging_manager.storage.database import Database
from charging_manager.storage.files import write_private
from charging_manager.storage.store import Store

if TYPE_CHECKING:
    from charging_manager.storage.postgres import PostgresStore

_MARK = "database"
"""File beside the server's secret that says, for the commands, which shared database is used; without password."""


async def open_store(url: str, folder: Path, reactor: Any) -> Store:
    """The database at ``url``; our file in ``folder`` if that is empty. Raises: ConfigError in one sentence."""
    mark = folder / _MARK
    if not url:
        store = await Database.open(folder / "cloud.sqlite", files("charging_manager.cloud.schema"), reactor=reactor)
        mark.unlink(missing_ok=True)
        return store
    shared = await _driver().open(url, _shared_schema(), reactor=reactor)
    write_private(mark, f"{shared.place}\n".encode())
    return shared


def look_at_shared(url: str) -> Store:
    """The shared database as it is now, for commands. Raises: ConfigError."""
    return _driver().look_here(url, _shared_schema(), Clock())


def shared_place(folder: Path) -> str | None:
    """The shared database that the server of this folder used last; None: its own file."""
    try:
        return (folder / _MARK).read_text("utf-8").strip()
    except OSError:
        return None


def refuse_shared(data: Path) -> None:
    """For commands that keep or bring back what is in our own file. Raises: ConfigError that says what to do."""
    place = shared_place(data / "cloud")
    if place is not None:
        raise ConfigError(
            str(data),
            f"this cloud server keeps its state in {place}: back that up with pg_dump (and bring it back with "
            f"pg_restore), and keep copies of {data / 'cloud' / 'secret'} and of {data / 'cloud' / 'tls'}",
        )


def _shared_schema() -> Traversable:
    return files("charging_manager.cloud.schema.postgresql")


def _driver() -> type[PostgresStore]:
    try:
        from charging_manager.storage.postgres import PostgresStore
    except ImportError as error:
        raise ConfigError(
            "database", "PostgreSQL needs its driver; install it with pip install 'charging-manager[postgresql]'"
        ) from error
    return PostgresStore
