"""The pages are light: what a browser fetches for a first look, packed as the server packs it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from charging_manager.words import for_browsers
from tests.web.support import SHELLS, WEB, reached

MOST_BYTES = 100 * 1024


def packed(data: bytes) -> int:
    return len(gzip.compress(data, 6, mtime=0))


@pytest.mark.parametrize("shell", SHELLS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_page_with_all_that_it_needs_is_light(shell: Path) -> None:
    script = shell.with_suffix(".js")
    files = {
        shell,
        script,
        *reached(script),
        *(WEB / "common" / name for name in ("style.css", "theme.js", "icon.svg")),
    }
    words = "".join(f"{key}{value}" for key, value in for_browsers("fr").items()).encode()
    assert sum(packed(path.read_bytes()) for path in files) + packed(words) < MOST_BYTES
