"""Lines for the journal carry their priority; lines for anybody else do not."""

from __future__ import annotations

import os
from io import StringIO
from pathlib import Path

import pytest
from twisted.logger import Logger, LogPublisher

from charging_manager.daemon.journal import goes_to_journal, marked
from charging_manager.daemon.logs import DaemonLog


def named(path: Path) -> str:
    found = os.stat(path)
    return f"{found.st_dev}:{found.st_ino}"


def test_the_stream_itself_must_be_the_journals(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w") as journal, (tmp_path / "file").open("w") as other:
        around = {"JOURNAL_STREAM": named(tmp_path / "journal")}
        assert goes_to_journal(journal, around)
        assert not goes_to_journal(other, around)
        assert not goes_to_journal(journal, {})
        assert not goes_to_journal(StringIO(), around)
        assert not goes_to_journal(None, around)


def test_levels_one_to_four_are_err_warning_info_and_debug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal"
    with path.open("w") as journal:
        monkeypatch.setenv("JOURNAL_STREAM", named(path))
        observer = DaemonLog(journal)
        observer.level = 4
        log = Logger(namespace="test", observer=LogPublisher(observer))
        log.error("e")
        log.warn("w")
        log.info("i")
        log.debug("d")
        journal.write(marked(1, "why it ends\n", journal))
    assert path.read_text() == "<3>e\n<4>w\n<6>i\n<7>d\n<3>why it ends\n"
