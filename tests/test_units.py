"""systemd's own judgement of the units: nothing in them is unknown to it, and what they may do is little."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import BIN, ROOT

UNITS = sorted((ROOT / "debian").glob("charging-manager*.s[eo][rc][vk]*"))
PACKAGED = "/usr/lib/charging-manager/bin"
MOST_EXPOSED = {"charging-manager.service": 1.6, "charging-manager-cloud.service": 1.4}

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and "CM_LEAVE_OUT_NONE" not in os.environ,
    reason="systemd-analyze is missing: apt-get install systemd",
)


def judged(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", "--no-pager", *words], capture_output=True, text=True, check=False)


def as_if_installed(folder: Path) -> None:
    """The units with this environment's programs in place of the packaged ones, which systemd looks for."""
    for unit in UNITS:
        (folder / unit.name).write_text(unit.read_text().replace(PACKAGED, str(BIN)))


def test_all_units_are_there() -> None:
    assert {unit.name for unit in UNITS} == {
        *MOST_EXPOSED,
        "charging-manager.socket",
        "charging-manager-cloud.socket",
        "charging-manager-modbus.socket",
    }


@pytest.mark.parametrize("name", [unit.name for unit in UNITS])
def test_systemd_finds_no_fault(name: str, tmp_path: Path) -> None:
    as_if_installed(tmp_path)
    done = judged("verify", "--man=no", str(tmp_path / name))
    assert (done.stdout + done.stderr, done.returncode) == ("", 0)


def test_a_fault_would_be_found(tmp_path: Path) -> None:
    as_if_installed(tmp_path)
    unit = tmp_path / "charging-manager.service"
    unit.write_text(unit.read_text().replace("WatchdogSec=30", "WatchdogSec=often"))
    assert "Failed to parse sec value, ignoring: often" in judged("verify", "--man=no", str(unit)).stderr


@pytest.mark.parametrize("name", MOST_EXPOSED)
def test_a_service_is_exposed_to_little(name: str, tmp_path: Path) -> None:
    as_if_installed(tmp_path)
    most = MOST_EXPOSED[name]
    done = judged("security", "--offline=true", f"--threshold={most * 10:.0f}", str(tmp_path / name))
    level = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert level is not None, done.stderr
    assert (done.returncode, float(level[1]) <= most) == (0, True), done.stdout


@pytest.mark.parametrize("name", MOST_EXPOSED)
def test_memory_may_be_made_executable_or_pyopenssl_would_die(name: str) -> None:
    assert "\nMemoryDenyWriteExecute" not in (ROOT / "debian" / name).read_text()
