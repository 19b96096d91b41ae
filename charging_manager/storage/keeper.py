"""Makes the weekly backups, and what of backups a person asks for: one at a time, in a thread, with progress."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from charging_manager.clocks import UtcNow
from charging_manager.errors import ChargingManagerError, ConfigError
from charging_manager.storage.backup import Check
from charging_manager.storage.daemons import fits_only
from charging_manager.storage.keeping import BackupSettings, Shelf, last_due, next_due
from charging_manager.storage.restore import commit, discard, nobody_runs, stage, staged
from charging_manager.storage.room import full_disk_named, need_room
from charging_manager.storage.summary import Kept, Summary, summarise

InThread = Callable[[Callable[[], Any]], Deferred[Any]]
LOOK_EVERY_S = 60.0
AGAIN_AFTER_S = 3600.0
FORGET_AFTER_S = 1800.0
"""What was brought or unpacked and not used for so long is removed."""


@frozen
class Job:
    """What is at work: ``make``, ``weekly``, ``look`` or ``restore``; bytes done, and in all (0: not known yet)."""

    kind: str
    done: int = 0
    total: int = 0


@frozen
class Looked:
    """A state that was unpacked and may be confirmed by its ``ticket``."""

    ticket: str
    summary: Summary
    backup: Any


class Busy(ChargingManagerError):
    """Something is at work already."""


class Keeper:
    """``since`` says since when this installation exists: before its first weekly moment nothing is overdue."""

    log = Logger()

    def __init__(
        self,
        *,
        clock: IReactorTime,
        now: UtcNow,
        shelf: Shelf,
        settings: Callable[[], BackupSettings],
        where: Callable[[], tzinfo],
        in_thread: InThread,
        own_database: Path,
        kept: tuple[Kept, ...],
        checks: Check,
        begin_anew: Callable[[], None],
        since: Callable[[], datetime],
    ) -> None:
        self._clock, self._now, self.shelf, self.settings = clock, now, shelf, settings
        self.where, self._in_thread, self._own, self._kept, self._checks = where, in_thread, own_database, kept, checks
        self._begin_anew, self._since = begin_anew, since
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock
        self.job: Job | None = None
        self.failed: ConfigError | None = None
        """Why the last thing that was asked for did not work."""
        self.trouble: ConfigError | None = None
        """Why there is no weekly backup, while that lasts."""
        self.looked: Looked | None = None
        self._tried_s: float | None = None
        self._used_s = 0.0
        self._stopping = False

    def start(self) -> None:
        self._stopping = False
        self._loop.start(LOOK_EVERY_S, now=False)

    def stop(self) -> None:
        self._stopping = True
        if self._loop.running:
            self._loop.stop()

    def next_at(self) -> datetime | None:
        """When the next weekly one is to be made."""
        settings = self.settings()
        return next_due(self._now(), settings, self.where()) if settings.enabled else None

    def make(self) -> None:
        """Begin one now. Raises: Busy."""
        at = self._now()
        self._begin("make", lambda: self.shelf.make(at, weekly=False, checks=self._checks, progress=self._progress))

    def look(self, source: Path, passphrase: str | None) -> None:
        """Begin to unpack it and look at everything; ``looked`` then tells what would change. Raises: Busy."""
        data = self.shelf.data
        self.looked = None

        def unpack() -> Looked:
            with nobody_runs(data, but=self._own):
                pass
            fits = fits_only(self._own.parent.name)
            held = stage(source, data, self._checks, fits=fits, passphrase=passphrase, progress=self._progress)
            state = staged(data)
            assert state is not None  # noqa: S101
            return Looked(secrets.token_urlsafe(12), summarise(held, state, data, self._kept), held)

        def keep(found: Looked) -> None:
            self.looked = found

        self._begin("look", unpack, keep)

    def restore(self, ticket: str) -> None:
        """What was looked at counts from now on: all stops in order, and begins anew. Raises: Busy, ConfigError."""
        looked = self.looked
        if looked is None or not secrets.compare_digest(looked.ticket.encode(), ticket.encode()):
            raise ConfigError("ticket", "what was unpacked is gone; look at the backup again")
        data, at = self.shelf.data, self._now()

        def confirm() -> None:
            with nobody_runs(data, but=self._own):
                commit(data, looked.backup, at)

        def begin(_: None) -> None:
            self.log.info(
                "a backup of {at} was confirmed; everything stops and begins anew", at=looked.backup.created_at
            )
            self._begin_anew()

        self._begin("restore", confirm, begin)

    def forget(self) -> Deferred[None]:
        """What was brought or unpacked is not wanted. Raises: Busy."""
        if self.job is not None:
            raise Busy("busy")
        self.looked = None
        return self._in_thread(self._clear_up)

    def receive(self, at: int, piece: bytes) -> Deferred[int]:
        """One piece of a backup that is brought; at 0 it begins. Gives its size so far. Raises: Busy, ConfigError."""
        if self.job is not None:
            raise Busy("busy")
        self._used_s = self._clock.seconds()
        return self._in_thread(lambda: self._append(at, piece))

    @property
    def brought(self) -> Path:
        """Where it is put together."""
        return self.shelf.data / ".brought"

    def _append(self, at: int, piece: bytes) -> int:
        path = self.brought
        with full_disk_named(path.parent):
            need_room(path.parent, len(piece))
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_TRUNC if at == 0 else 0)
            descriptor = os.open(path, flags, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                size = os.fstat(file.fileno()).st_size
                if size != at:
                    raise ConfigError("at", "the next piece begins at {size}", size=size)
                file.seek(at)
                file.write(piece)
                return at + len(piece)

    def _clear_up(self) -> None:
        self.brought.unlink(missing_ok=True)
        discard(self.shelf.data)

    def _progress(self, done: int, total: int) -> None:
        """In the thread."""
        if self._stopping:
            raise ConfigError("", "stopped, because the program ends")
        if self.job is not None:
            self.job = Job(self.job.kind, done, total)

    def _begin(self, kind: str, work: Callable[[], Any], then: Callable[[Any], None] = lambda _: None) -> None:
        if self.job is not None or self._stopping:
            raise Busy("busy")
        self.job, self.failed = Job(kind), None
        self._used_s = self._clock.seconds()
        Deferred.fromCoroutine(self._run(kind, work, then)).addErrback(
            lambda failure: self.log.failure("{kind} failed by a bug", failure=failure, kind=kind)
        )

    async def _run(self, kind: str, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        error: ConfigError | None = None
        try:
            result = await self._in_thread(work)
        except ConfigError as wrong:
            error = wrong
        except OSError as wrong:
            error = ConfigError("", "the disk failed ({reason})", reason=wrong.strerror)
        finally:
            self.job = None
            self._used_s = self._clock.seconds()
        if kind == "weekly":
            self._weekly_ended(error)
        elif error is not None:
            self.failed = error
            self.log.warn("{kind} of a backup failed: {reason}", kind=kind, reason=str(error))
        if error is None:
            then(result)

    def _weekly_ended(self, error: ConfigError | None) -> None:
        if error is not None:
            if self.trouble is None or self.trouble.template != error.template:
                self.log.error("the weekly backup failed: {reason}", reason=str(error))
        elif self.trouble is not None:
            self.log.info("the weekly backup is made again")
        self.trouble = error

    def _look(self) -> None:
        with self.log.failuresHandled("looking after the weekly backup failed; the next look comes"):
            now_s = self._clock.seconds()
            if self.job is not None:
                return
            if now_s - self._used_s > FORGET_AFTER_S and (self.looked is not None or self.brought.exists()):
                self.looked = None
                self._in_thread(self._clear_up).addErrback(lambda _: None)
            waits = self._tried_s is not None and now_s - self._tried_s < AGAIN_AFTER_S
            if not self.settings().enabled:
                self.trouble = None
            elif not waits and self._overdue():
                self._tried_s = now_s
                at = self._now()
                work = lambda: self.shelf.make(at, weekly=True, checks=self._checks, progress=self._progress)  # noqa: E731
                self._begin("weekly", work)

    def _overdue(self) -> bool:
        due = last_due(self._now(), self.settings(), self.where())
        if self._since() >= due:
            return False
        return not any(held.weekly and held.at >= due for held in self.shelf.listing())

    def free_bytes(self) -> int | None:
        """Room where backups lie; None: not known."""
        folder = self.shelf.folder
        try:
            return shutil.disk_usage(folder if folder.is_dir() else self.shelf.data).free
        except OSError:
            return None
