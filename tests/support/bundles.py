"""The program laid out with the pages as packages ship them, to be run beside the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT


def bundle(folder: Path) -> Path:
    """The bundled ``web``."""
    subprocess.run([sys.executable, ROOT / "debian/bundle.py", ROOT / "web", folder / "web"], check=True)
    return folder / "web"


def with_bundled_pages(folder: Path) -> dict[str, str]:
    """A copy of the program there, whose ``web`` is the bundled one; the environment in which twistd takes it."""
    bundle(folder)
    for name in ("charging_manager", "twisted"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache"))
    for name in ("drivers", "locale", "scenarios", "setup.cfg"):
        (folder / name).symlink_to(ROOT / name)
    return {"PYTHONPATH": str(folder)}
