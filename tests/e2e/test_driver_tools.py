"""``charging_manager drivers read`` and ``record`` at a device in another process."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.processes import ROOT, free_port, running

pytestmark = pytest.mark.e2e
PROGRAM = (sys.executable, "-m", "charging_manager", "drivers")


def drivers(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    return subprocess.run([*PROGRAM, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def test_a_device_is_read_and_recorded_and_what_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    port = free_port()
    address = f"tcp://127.0.0.1:{port}?unit=255"
    with running(*PROGRAM, "simulate", "keba-p30", "--tcp", str(port)) as process:
        process.wait_line("simulators ready")
        read = drivers(tmp_path, "read", "keba-p30", address)
        assert read.returncode == 0, read.stderr
        assert "hardware_max_a     3:1110   0000 7d00             32 A" in read.stdout.splitlines()
        assert "covered" in next(line for line in read.stdout.splitlines() if line.startswith("serial"))
        recorded = drivers(tmp_path, "record", "keba-p30", address)
        assert recorded.returncode == 0, recorded.stderr
        golden = tomllib.loads((tmp_path / "keba-p30.golden.toml").read_text())
        assert {"request": "03 04 56 00 02", "answer": "03 04 00 00 7d 00", "values": {"hardware_max_a": 32}} in golden[
            "frame"
        ]
        again = drivers(tmp_path, "record", "keba-p30", address)
        assert again.returncode == 1 and "nothing was changed" in again.stderr
    gone = drivers(tmp_path, "read", "keba-p30", address)
    assert (gone.returncode, gone.stdout, gone.stderr.count("\n")) == (1, "", 1)
    for words, status in (
        (("read", "keba-p30"), 2),
        (("read", "keba-p30", "nonsense"), 1),
        (("read", "x", address), 1),
    ):
        wrong = drivers(tmp_path, *words)
        assert (wrong.returncode, wrong.stderr.count("\n")) == (status, 1), wrong.stderr
