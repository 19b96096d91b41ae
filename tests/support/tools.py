"""Programs that test us from outside: those with an environment of their own (``make tools``)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.processes import BIN

FOLDER = BIN.parent / "tools" / "bin"


def tool(name: str) -> Path:
    """The program, if ``make tools`` has installed it; otherwise the test is left out, or fails where none may be."""
    path = FOLDER / name
    if not path.exists():
        if os.environ.get("CM_LEAVE_OUT_NONE"):
            pytest.fail(f"{name} is missing: make tools")
        pytest.skip("make tools")
    return path
