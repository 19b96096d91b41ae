"""What was acknowledged survives a ``kill -9`` at any instant, and so does the certificate that was being stored."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.http.certificates import check_pair
from charging_manager.storage.database import Database

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parent.parent.parent
ROUNDS = 30 if os.environ.get("CM_LONG") else 5
SQL = """
CREATE TABLE row (number INTEGER PRIMARY KEY, other TEXT NOT NULL);
CREATE TABLE total (rows INTEGER NOT NULL);
INSERT INTO total VALUES (0);
"""


def killed_after(lines: int, *command: str) -> list[int]:
    """Every whole line that the process said before it was killed, which happens as soon as it has said ``lines``."""
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = []
    for _ in range(lines):
        said.append(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    said += process.stdout.read().splitlines(keepends=True)
    process.wait(timeout=20)
    return [int(line) for line in said if line.endswith("\n")]


def test_no_acknowledged_row_is_lost(tmp_path: Path) -> None:
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema/0001-rows.sql").write_text(SQL)
    chance = random.Random(7)
    for _ in range(ROUNDS):
        acknowledged = killed_after(chance.randint(1, 150), "-m", "tests.e2e.storage_process", str(tmp_path))
        database = Database.open_here(tmp_path / "state.db", tmp_path / "schema")
        rows, highest, total = SynchronousTestCase().successResultOf(
            database.read(
                lambda c: tuple(c.execute("SELECT count(*), max(number), (SELECT rows FROM total) FROM row").fetchone())
            )
        )
        SynchronousTestCase().successResultOf(database.close())
        assert rows == highest == total
        assert acknowledged[-1] <= highest <= acknowledged[-1] + 1


STORE = """
import sys
from pathlib import Path
from charging_manager.http.tls import TlsDoor
door = TlsDoor(Path(sys.argv[1]))
pair = door._pair
number = 0
while True:
    number += 1
    door._store(pair)
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def test_the_certificate_is_whole_whenever_the_process_was_killed(tmp_path: Path) -> None:
    chance = random.Random(7)
    shown = set()
    for _ in range(ROUNDS):
        killed_after(chance.randint(1, 60), "-c", STORE, str(tmp_path))
        data = (tmp_path / "pair.pem").read_bytes()
        shown.add(check_pair(data, data, None).certificate_fingerprint)
    assert len(shown) == 1
