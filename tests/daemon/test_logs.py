"""Levels 1 to 4, changeable while running; the last lines are kept for the UI."""

from __future__ import annotations

from io import StringIO

import pytest
from twisted.logger import Logger, LogPublisher

from charging_manager.daemon.logs import DaemonLog


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> tuple[DaemonLog, Logger, StringIO]:
    out = StringIO()
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    observer = DaemonLog(out)
    return observer, Logger(namespace="test", observer=LogPublisher(observer)), out


@pytest.mark.parametrize(("level", "lines"), [(1, 1), (2, 2), (3, 3), (4, 4)])
def test_a_level_lets_through_what_is_as_important_or_more(
    level: int, lines: int, written: tuple[DaemonLog, Logger, StringIO]
) -> None:
    observer, log, out = written
    observer.level = level
    log.error("e")
    log.warn("w")
    log.info("i")
    log.debug("d")
    assert len(out.getvalue().splitlines()) == lines == len(observer.last_lines)


def test_the_level_may_change_while_running(written: tuple[DaemonLog, Logger, StringIO]) -> None:
    observer, log, out = written
    log.debug("before")
    observer.level = 4
    log.debug("after")
    assert "before" not in out.getvalue()
    assert "after" in out.getvalue()


def test_a_failure_is_one_line(written: tuple[DaemonLog, Logger, StringIO]) -> None:
    _, log, out = written
    with log.failuresHandled("poll of {device} failed", device="box"):
        raise ValueError("nonsense\nin two lines")
    assert len(out.getvalue().splitlines()) == 1
    assert "poll of box failed" in out.getvalue()
    assert "ValueError" in out.getvalue()


@pytest.mark.parametrize("trick", ["\x1b[2J\x1b[31m", "\x00", "\x07", "a\rb", "\x9b", "\u202e", "\u2028x", "\udcff"])
def test_what_would_move_a_terminals_cursor_or_hide_a_line_is_shown_instead(
    trick: str, written: tuple[DaemonLog, Logger, StringIO]
) -> None:
    observer, log, out = written
    log.warn("login from {source} failed", source=f"x{trick}2026-01-01T00:00:00Z information all is well")
    text = out.getvalue()
    assert text.count("\n") == 1 and text[:-1].isprintable()
    assert observer.last_lines[-1].text.isprintable()
    text.encode()


def test_an_endless_line_is_cut(written: tuple[DaemonLog, Logger, StringIO]) -> None:
    _, log, out = written
    log.info("{x}", x="a" * 100_000)
    assert len(out.getvalue()) < 2_200


def test_only_the_last_lines_are_kept(written: tuple[DaemonLog, Logger, StringIO]) -> None:
    observer, log, _ = written
    for number in range(600):
        log.info("line {number}", number=number)
    assert len(observer.last_lines) == 500
    assert observer.last_lines[-1].text == "line 599"


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    closed = StringIO()
    closed.close()
    observer = DaemonLog(closed)
    Logger(observer=LogPublisher(observer)).info("still here")
    assert [line.text for line in observer.last_lines] == ["still here"]
