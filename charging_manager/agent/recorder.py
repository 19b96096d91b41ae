"""Readings and decisions of the last days on disk, for ``charging_manager replay``: bounded, never in control's way.

Cycles become lines (``twin.tape``) in the loop's own turn; a thread deflates and writes them. A file is begun every
hour and after every trouble; it stands for itself. The oldest go when they are too old or all are too large. What a
killed program leaves is a torn last frame, which readers drop. A full disk loses the recording of that time, says so
once, and tries again every minute.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from charging_manager.agent.recording_settings import RecordingSettings
from charging_manager.clocks import UtcNow
from charging_manager.control.rules import Rules
from charging_manager.http.routes import Sink
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.paths import give_to_owner_of, make_private
from charging_manager.storage.files import sync_folder
from charging_manager.twin.frames import FIRST_LINE, frame
from charging_manager.twin.tape import Tape

FRAME_S = 10.0
FRAME_BYTES = 1 << 20
MOST_WAITING = 16 << 20
"""Of lines that the thread has not taken yet: beyond it they are dropped."""
FILE_S = 3600.0
RETRY_S = 60.0
CHUNK = 64 << 10
MIB = 1 << 20
SUFFIX = ".cmrec"

InThread = Callable[[Callable[[], Any]], "Deferred[Any]"]


class Recorder:
    """``settings`` says what is configured now; ``in_thread`` runs a function where it may wait for the disk."""

    log = Logger()

    def __init__(
        self,
        folder: Path,
        clock: IReactorTime,
        now: UtcNow,
        settings: Callable[[], RecordingSettings],
        rules: Rules,
        in_thread: InThread,
    ) -> None:
        self._folder, self._clock, self._now = folder, clock, now
        self._settings, self._rules, self._in_thread = settings, rules, in_thread
        self._tape = Tape()
        self._lines: list[bytes] = []
        self._waiting = 0
        self._since_s: float | None = None
        self._file: BinaryIO | None = None
        self._file_s = 0.0
        self._busy: Deferred[Any] | None = None
        self._retry_s = 0.0
        self._kept = True
        self.trouble: str | None = None
        """What keeps it from being written, in the system's words, while that lasts."""

    def see(self, image: SiteImage, plan: Plan) -> None:
        """Take down a cycle."""
        if not self._settings().enabled:
            if self._kept and self._busy is None:
                self._forget_all()
            return
        self._kept = True
        now = self._clock.seconds()
        if self.trouble is not None and now < self._retry_s:
            return
        if self._file is not None and now - self._file_s >= FILE_S and self._busy is None:
            self.flush()
            self._end_file()
        lines = self._tape.cycle(image, plan, self._rules)
        self._lines += lines
        self._waiting += sum(map(len, lines))
        self._since_s = now if self._since_s is None else self._since_s
        if now - self._since_s >= FRAME_S or self._waiting >= FRAME_BYTES:
            self.flush()
        if self._waiting > MOST_WAITING:
            self._give_up("the disk is too slow")

    def flush(self) -> Deferred[Any] | None:
        """Hand what waits to the thread; what comes back fires when it is written. None: nothing to do."""
        if self._busy is not None or not self._lines:
            return self._busy
        lines, self._lines = self._lines, []
        self._waiting, self._since_s = 0, None
        self._busy = done = self._in_thread(lambda: self._write(lines))
        done.addCallbacks(lambda _: self._written(), lambda failure: self._failed(failure))
        return done

    async def stop(self) -> None:
        """Write what waits; then no more."""
        while (done := self.flush()) is not None:
            await done
        self._end_file()

    def files(self) -> list[Path]:
        """What is on disk, oldest first."""
        try:
            return sorted(self._folder.glob(f"*{SUFFIX}"))
        except OSError:
            return []

    def send(self, sink: Sink) -> Sending:
        """All that is recorded, one file after the other."""
        return Sending(deque(self.files()), sink, self._clock)

    def _write(self, lines: list[bytes]) -> None:
        """In the thread. Raises: OSError."""
        data = frame(lines)
        file = self._file
        if file is None:
            make_private(self._folder)
            path = self._new_path()
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            file = self._file = os.fdopen(descriptor, "wb", buffering=0)
            give_to_owner_of(self._folder, path)
            file.write(FIRST_LINE)
            sync_folder(self._folder)
        file.write(data)
        self._forget_old()

    def _new_path(self) -> Path:
        at: datetime = self._now()
        while True:
            path = self._folder / f"{at:%Y%m%dT%H%M%SZ}{SUFFIX}"
            if not path.exists():
                return path
            at += timedelta(seconds=1)

    def _forget_old(self) -> None:
        settings = self._settings()
        oldest = (self._now() - timedelta(days=settings.days)).timestamp()
        left, own = settings.mib * MIB, None
        if self._file is not None:
            own = os.fstat(self._file.fileno()).st_ino
        for path in reversed(self.files()):
            found = path.stat()
            left -= found.st_size
            if found.st_ino != own and (left < 0 or found.st_mtime < oldest):
                path.unlink(missing_ok=True)

    def _forget_all(self) -> None:
        """Recording was switched off: nothing of it is kept."""
        self._give_up(None)
        self._kept = False

        def remove() -> None:
            for path in self.files():
                path.unlink(missing_ok=True)

        self._in_thread(remove).addErrback(
            lambda failure: self.log.warn("a recording could not be removed: {reason}", reason=str(failure.value))
        )

    def _written(self) -> None:
        self._busy = None
        if self._file is not None and self._file_s == 0.0:
            self._file_s = self._clock.seconds()
        if self.trouble is not None:
            self.trouble = None
            self.log.info("readings and decisions are recorded again")

    def _failed(self, failure: Any) -> None:
        self._busy = None
        error = failure.value
        self._give_up(getattr(error, "strerror", None) or str(error) or type(error).__name__)
        if not isinstance(error, OSError):
            self.log.failure("a recording could not be written", failure=failure)

    def _give_up(self, why: str | None) -> None:
        """Drop what waits; the next file begins anew."""
        if why is not None and self.trouble is None:
            self.log.warn("readings and decisions are not recorded now: {reason}; charging goes on", reason=why)
        self.trouble = why
        self._retry_s = self._clock.seconds() + RETRY_S
        self._lines, self._waiting, self._since_s = [], 0, None
        self._end_file()

    def _end_file(self) -> None:
        if self._file is not None and self._busy is None:
            try:
                self._file.close()
            except OSError as error:
                self.log.warn("a recording could not be closed: {reason}", reason=error.strerror)
            self._file = None
        self._file_s = 0.0
        self._tape.begin()


class Sending:
    """A download that runs: it writes as much as its reader takes, a piece a turn, so that nobody waits for it."""

    def __init__(self, files: deque[Path], sink: Sink, clock: IReactorTime) -> None:
        self._pieces, self._sink, self._clock = _pieces(files), sink, clock
        self._next: Any = None
        self._over = False
        self.resumed()

    def resumed(self) -> None:
        """The reader has caught up."""
        if self._next is None and not self._over:
            self._next = self._clock.callLater(0, self._send)

    def stopped(self) -> None:
        """The reader has gone."""
        self._over = True
        self._pieces.close()
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _send(self) -> None:
        self._next = None
        piece = next(self._pieces, None)
        if piece is None:
            self._over = True
            self._sink.finish()
        elif self._sink.write(piece):
            self.resumed()


def _pieces(files: deque[Path]) -> Any:
    """The files' bytes; one that was removed meanwhile is passed over."""

    def read() -> Iterator[bytes]:
        while files:
            try:
                with files.popleft().open("rb") as file:
                    while piece := file.read(CHUNK):
                        yield piece
            except OSError:
                continue

    return read()
