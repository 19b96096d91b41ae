"""Backups that are made by themselves: when, where and how many; and the folder in which they and others lie."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta, tzinfo
from pathlib import Path

from attrs import frozen

from charging_manager.clocks import moment
from charging_manager.errors import ConfigError
from charging_manager.paths import make_private
from charging_manager.storage.backup import Check, Progress, is_encrypted, make_backup, nobody_asks
from charging_manager.storage.passphrase import kept_passphrase

_NAME = re.compile(r"(\d{8}-\d{6})-(weekly|hand)\.cmbackup")
_STAMP = "%Y%m%d-%H%M%S"
_WEEK = timedelta(days=7)


@frozen
class BackupSettings:
    """When backups are made and how much of them is kept. ``weekday``: 0 is Monday; ``folder`` empty: the usual one."""

    enabled: bool = True
    weekday: int = 6
    at: str = "03:30"
    keep: int = 8
    mib: int = 1024
    folder: str = ""
    encrypt: bool = False


def check_settings(settings: BackupSettings) -> None:
    """Raises: ConfigError with the field."""
    if not 0 <= settings.weekday <= 6:
        raise ConfigError("backups.weekday", "a day of the week from 0 (Monday) to 6 (Sunday)")
    try:
        fine = len(settings.at) == 5 and time.fromisoformat(settings.at) is not None
    except ValueError:
        fine = False
    if not fine:
        raise ConfigError("backups.at", "a time of the day such as 03:30")
    if not 1 <= settings.keep <= 100:
        raise ConfigError("backups.keep", "a whole number from 1 to 100")
    if not 10 <= settings.mib <= 1_000_000:
        raise ConfigError("backups.mib", "a whole number of MiB from 10 to 1000000")
    if settings.folder and not (settings.folder.startswith("/") and settings.folder.isprintable()):
        raise ConfigError("backups.folder", "the whole path of a folder, beginning with /")


@frozen
class Held:
    """One backup in the folder."""

    path: Path
    at: datetime
    weekly: bool
    size: int
    encrypted: bool


def file_made_at(path: Path) -> datetime:
    """When a file that never changes was made: since then the installation exists."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


class Shelf:
    """The folder of backups of one state directory. All of it touches the disk: to be called in a thread."""

    def __init__(self, data: Path, program: str, settings: Callable[[], BackupSettings]) -> None:
        self.data, self._program, self._settings = data, program, settings

    @property
    def folder(self) -> Path:
        named = self._settings().folder
        return Path(named) if named else self.data / "backups"

    def listing(self) -> list[Held]:
        """Newest first; whatever else lies there is none of ours."""
        found = []
        for path in self.folder.glob("*.cmbackup"):
            match = _NAME.fullmatch(path.name)
            if match and path.is_file() and not path.is_symlink():
                at = datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)
                found.append(Held(path, at, match[2] == "weekly", path.stat().st_size, is_encrypted(path)))
        return sorted(found, key=lambda held: held.path.name, reverse=True)

    def find(self, name: str) -> Path | None:
        """The backup of that name."""
        return next((held.path for held in self.listing() if held.path.name == name), None)

    def make(
        self, at: datetime, *, weekly: bool, checks: Check | None = None, progress: Progress = nobody_asks
    ) -> Held:
        """One more. A weekly one makes room by its own kind alone. Raises: ConfigError."""
        settings = self._settings()
        folder = self._ready()
        passphrase = kept_passphrase(self.data)
        if settings.encrypt and passphrase is None:
            raise ConfigError(str(folder), "backups shall be encrypted, and there is no passphrase: enter one")
        if weekly:
            self._clear(settings.keep - 1, settings.mib)
        path = folder / f"{at.astimezone(UTC):{_STAMP}}-{'weekly' if weekly else 'hand'}.cmbackup"
        make_backup(
            self.data,
            path,
            self._program,
            at,
            passphrase=passphrase if settings.encrypt else None,
            checks=checks,
            progress=progress,
        )
        if weekly:
            self._clear(settings.keep, settings.mib)
            total = sum(held.size for held in self.listing())
            if total > settings.mib * 1024 * 1024:
                raise ConfigError(
                    str(folder),
                    "all backups together take {mib} MiB, more than is allowed: delete some, or allow more",
                    mib=round(total / 1024 / 1024),
                )
        return next(held for held in self.listing() if held.path == path)

    def _ready(self) -> Path:
        folder = self.folder
        if self._settings().folder:
            if not folder.is_dir():
                raise ConfigError(str(folder), "the folder for backups is not there; make it, or name another one")
            return folder
        return make_private(folder)

    def _clear(self, keep: int, mib: int) -> None:
        """The oldest weekly ones go: by number, and by the size of all; the newest one stays in any case."""
        total = sum(held.size for held in self.listing())
        weekly = [held for held in self.listing() if held.weekly]
        for number, held in enumerate(reversed(weekly), 1):
            left = len(weekly) - number + 1
            if left <= 1 or (left <= keep and total <= mib * 1024 * 1024):
                break
            held.path.unlink(missing_ok=True)
            total -= held.size


def last_due(now: datetime, settings: BackupSettings, where: tzinfo) -> datetime:
    """The last moment at which a weekly backup was to be made, in UTC."""
    at = time.fromisoformat(settings.at)
    day = now.astimezone(where).date()
    day -= timedelta(days=(day.weekday() - settings.weekday) % 7)
    due = moment(day, at, where)
    return due if due <= now else moment(day - _WEEK, at, where)


def next_due(now: datetime, settings: BackupSettings, where: tzinfo) -> datetime:
    """The next one, in UTC."""
    last = last_due(now, settings, where)
    day = last.astimezone(where).date() + _WEEK
    return moment(day, time.fromisoformat(settings.at), where)
