"""Folders for the tests of ``trial`` cases, outside the checkout and gone afterwards."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase


def temporary_path(case: SynchronousTestCase) -> str:
    """A path at which nothing is yet; in place of ``mktemp``, which leaves folders where the tests were started."""
    folder = tempfile.mkdtemp(prefix="charging-manager-")
    case.addCleanup(shutil.rmtree, folder, ignore_errors=True)
    return str(Path(folder) / "it")
