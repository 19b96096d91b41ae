"""Whether there is room on a disk, asked before much is written; and what is said when there was none after all."""

from __future__ import annotations

import contextlib
import errno
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from charging_manager.errors import ConfigError

LEFT_FREE = 32 * 1024 * 1024
"""So much is always left to those who write what happens."""


class NoRoom(ConfigError):
    """The disk is full, or would be."""


def need_room(folder: Path, size: int) -> None:
    """Raises: NoRoom, unless ``size`` bytes fit there and ``LEFT_FREE`` stays."""
    free = shutil.disk_usage(folder).free
    if free < size + LEFT_FREE:
        raise NoRoom(
            str(folder),
            "there is not enough room on the disk: {needed} MB are needed, {free} MB are free. Make room and try again",
            needed=round((size + LEFT_FREE) / 1e6),
            free=round(free / 1e6),
        )


@contextlib.contextmanager
def full_disk_named(folder: Path) -> Iterator[None]:
    """A disk that fills up in the middle is named in one sentence. Raises: NoRoom; other errors pass."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        if not is_full(error):
            raise
        raise NoRoom(str(folder), "the disk is full. Nothing was changed; make room and try again") from error


def is_full(error: BaseException) -> bool:
    """Does this say that the disk (or a quota) is full?"""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
