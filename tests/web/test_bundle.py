"""The pages as packages ship them: one packed file a page, named by its content, the same bytes every time."""

from __future__ import annotations

import gzip
import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from charging_manager.words import for_browsers
from tests.support.bundles import bundle
from tests.web.support import SHELLS, WEB

pytestmark = pytest.mark.needs("esbuild", "brotli")
FIRST_LOOK, ONE_MORE = 100 * 1024, 40 * 1024
"""UX.md, U1: the overview with all that it needs, and what any further page adds, in bytes packed by gzip."""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle(tmp_path_factory.mktemp("bundle"))


def named(web: Path, shell: Path) -> list[Path]:
    """The files that a bundled page asks for."""
    text = (web / shell.relative_to(WEB)).read_text("utf-8")
    return [web / name for name in re.findall(r'"/ui/files/([^"]+)"', text)]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_page_asks_for_few_files_that_bear_their_hash_and_need_no_others(web: Path, shell: Path) -> None:
    files = named(web, shell)
    assert sorted(file.suffix for file in files) == [".css", ".js", ".js", ".svg"]
    for file in files:
        data = file.read_bytes()
        assert hashlib.sha256(data).hexdigest()[:16] == file.stem.rsplit("-", 1)[1]
        assert gzip.decompress(file.with_name(file.name + ".gz").read_bytes()) == data
        unpacked = subprocess.run(["brotli", "-dc", file.with_name(file.name + ".br")], capture_output=True, check=True)
        assert unpacked.stdout == data
        assert not re.search(rb"""(\bfrom|\bimport)\s*\(?\s*["']\.""", data), "a module that nobody would send"
        assert b"sourceMappingURL" not in data


@pytest.mark.parametrize("shell", SHELLS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_page_is_light(web: Path, shell: Path) -> None:
    files = named(web, shell)
    own = [file for file in files if not file.name.startswith("common-")]
    page = len(gzip.compress((web / shell.relative_to(WEB)).read_bytes(), 6))
    packed = {file: file.with_name(file.name + ".gz").stat().st_size for file in files}
    words = len(gzip.compress("".join(f"{key}{value}" for key, value in for_browsers("fr").items()).encode(), 6))
    assert page + sum(packed[file] for file in own) < ONE_MORE
    assert page + sum(packed.values()) + words < FIRST_LOOK


def test_every_page_is_there_and_no_module_that_none_asks_for(web: Path) -> None:
    pages = sorted(path.relative_to(web) for path in web.rglob("*.htm"))
    assert pages == sorted(shell.relative_to(WEB) for shell in SHELLS)
    asked = {file for shell in SHELLS for file in named(web, shell)}
    assert {path for path in web.rglob("*") if path.suffix in (".js", ".css", ".svg")} == asked


def test_two_bundles_are_the_same_bytes(web: Path, tmp_path: Path) -> None:
    again = bundle(tmp_path)
    assert {path.relative_to(again): path.read_bytes() for path in again.rglob("*.*")} == {
        path.relative_to(web): path.read_bytes() for path in web.rglob("*.*")
    }
