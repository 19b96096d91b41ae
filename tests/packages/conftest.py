"""``CM_PACKAGES`` is the folder with the built packages; without it nothing here is even looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packages.chroot import Chroot, clean_debian

FOLDER = os.environ.get("CM_PACKAGES")
collect_ignore_glob = [] if FOLDER else ["test_*.py"]
PLAYER = "/opt/playing_systemd.py"
NOT_IN_A_CHROOT = {"LimitNOFILE"}
"""What a container may forbid to root. The sandbox is tried by tests/e2e/test_units_played.py, outside of a chroot."""
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chroot]:
    """A clean system with what the tests need to look at it from inside."""
    with clean_debian(tmp_path_factory.mktemp("clean")) as chroot:
        chroot.apt("update")
        chroot.put(ROOT / "debian/tests/site.py", "/root/site.py")
        chroot.put(ROOT / "tests/support/playing_systemd.py", PLAYER)
        yield chroot


@pytest.fixture(scope="session")
def built() -> list[Path]:
    """The three packages of this commit."""
    found = sorted(Path(str(FOLDER)).glob("*.deb"))
    assert len(found) == 3, "make deb"
    return found


def work(debian: Chroot, action: str) -> str:
    """Both daemons as their units say, without a network, and a person at work with them (debian/tests/site.py).

    Each becomes ready, works, is reloaded, feeds its watchdog and stops cleanly. Raises: AssertionError if not.
    """
    command = ["python3", "/root/site.py", action, "/root/notes"]
    for name in ("charging-manager", "charging-manager-cloud"):
        command = ["python3", PLAYER, "--no-sandbox", f"/lib/systemd/system/{name}.service", "--", *command]
    said = debian.run(*command).stdout
    assert said.count("reloaded, alive:") == said.count("STOPPING said: True") == 2, said
    left_out = {line.split(": ")[1] for line in said.splitlines() if line.startswith("left out: ")}
    assert left_out <= NOT_IN_A_CHROOT, said
    return said
