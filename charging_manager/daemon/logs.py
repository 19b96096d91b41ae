"""The daemons' log: levels 1 to 4, changeable while running, and the last lines for the UI.

There is one log in a process, made at import, because twistd builds its observer (by dotted name) before it calls
makeService.
"""

from __future__ import annotations

import sys
from collections import deque
from datetime import UTC, datetime
from typing import IO

from attrs import frozen
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from zope.interface import implementer

from charging_manager.daemon.ending import complain
from charging_manager.daemon.journal import PRIORITY, goes_to_journal

LEVELS = {1: "errors", 2: "warnings", 3: "information", 4: "data"}
_NUMBER = {LogLevel.critical: 1, LogLevel.error: 1, LogLevel.warn: 2, LogLevel.info: 3, LogLevel.debug: 4}
_KEPT_LINES = 500
_LONGEST_LINE = 2_000


@frozen
class LogLine:
    """One line as people read it. ``level`` is 1 to 4."""

    at: datetime
    level: int
    text: str


@implementer(ILogObserver)
class DaemonLog:
    """Writes what its level lets through, and keeps the last lines. ``level`` may be set at any time."""

    def __init__(self, out: IO[str] | LogFile | None = None) -> None:
        self.level = 3
        self.file_name: str | None = None
        self.last_lines: deque[LogLine] = deque(maxlen=_KEPT_LINES)
        self._out = out
        self._journal = goes_to_journal(out)

    def __call__(self, event: LogEvent) -> None:
        level = _NUMBER.get(event.get("log_level", LogLevel.info), 3)
        if level > self.level or _is_chatter(event):
            return
        text = _one_line(event)
        moment = datetime.fromtimestamp(event["log_time"], UTC) if "log_time" in event else datetime.now(UTC)
        self.last_lines.append(LogLine(moment, level, text))
        try:
            out = self.open()
            mark = PRIORITY[level] if self._journal else f"{moment:%Y-%m-%dT%H:%M:%SZ} {LEVELS[level]:<11} "
            out.write(f"{mark}{text}\n")
            out.flush()
        except (OSError, ValueError):
            return  # a full disk or a closed terminal must not stop charging

    def open(self) -> IO[str] | LogFile:
        """Where the lines go. Twisted is about to put its own in place of sys.stdout: hence the original."""
        if self._out is None:
            name = self.file_name
            self._out = (sys.__stdout__ or sys.stdout) if name in (None, "-") else LogFile.fromFullPath(name)
            self._journal = goes_to_journal(self._out)
        return self._out


def _is_chatter(event: LogEvent) -> bool:
    """Twisted's announcements of every listener and client, which tell people nothing; old ones have no namespace."""
    is_twisted = event.get("log_namespace", "").startswith(("twisted.", "log_legacy"))
    return is_twisted and event.get("log_level", LogLevel.info) is LogLevel.info


def _one_line(event: LogEvent) -> str:
    text = formatEvent(event)
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        frames = failure.getTraceback(detail="brief") if failure.value is not None else ""
        text = f"{text} {frames}"
    text = " | ".join(part.strip() for part in text.splitlines() if part.strip())
    if len(text) > _LONGEST_LINE:
        text = text[:_LONGEST_LINE] + "…"
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    """Names and texts of strangers stand in the log: none of them moves a terminal's cursor or hides a line."""
    return character if character.isprintable() else ascii(character)[1:-1]


the_log = DaemonLog()


def observer() -> DaemonLog:
    """For twistd's ``--logger``; a log file that cannot be opened ends the program here, in one sentence."""
    try:
        the_log.open()
    except OSError as error:
        sys.exit(complain(f"the log file {the_log.file_name}", f"cannot be opened ({error.strerror})", 1, error))
    return the_log
