"""``CM_PACKAGES`` is the folder with the built packages; without it nothing here is even looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packages.chroot import Chroot, clean_debian

FOLDER = os.environ.get("CM_PACKAGES")
collect_ignore_glob = [] if FOLDER else ["test_*.py"]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chroot]:
    """A clean system with what the tests need to look at it from inside."""
    with clean_debian(tmp_path_factory.mktemp("clean")) as chroot:
        chroot.apt("update")
        chroot.put(ROOT / "debian/tests/site.py", "/root/site.py")
        chroot.put(ROOT / "tests/packages/started.py", "/root/started.py")
        yield chroot


@pytest.fixture(scope="session")
def built() -> list[Path]:
    """The three packages of this commit."""
    found = sorted(Path(str(FOLDER)).glob("*.deb"))
    assert len(found) == 3, "make deb"
    return found


def work(debian: Chroot, action: str) -> str:
    """Both daemons as their units say, without a network, and a person at work with them (debian/tests/site.py)."""
    return debian.run("python3", "/root/started.py", "python3", "/root/site.py", action, "/root/notes").stdout
