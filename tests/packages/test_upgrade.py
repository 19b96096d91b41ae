"""From the previous commit's packages to these, to ones with a newer schema, and back, with a state in use."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest

from charging_manager import VERSION
from charging_manager.cli import upkeep
from charging_manager.storage.schema import read_upgrades
from tests.packages.chroot import Chroot
from tests.packages.conftest import FOLDER, work

NEXT = "9.0"
SCHEMAS = {"agent": "agent/schema", "cloud": "cloud/schema"}


@pytest.fixture(scope="module")
def previous() -> list[Path]:
    """Those of the commit before, with a version that is older."""
    found = sorted((Path(str(FOLDER)).parent / "previous/build/deb").glob("*.deb"))
    assert len(found) == 3
    return found


@pytest.fixture(scope="module")
def newer(built: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """These with one more upgrade of each database, and another version."""
    folder, made = tmp_path_factory.mktemp("newer"), []
    for package in built:
        inside = folder / package.stem
        subprocess.run(["dpkg-deb", "--raw-extract", package, inside], check=True)
        control = inside / "DEBIAN/control"
        control.write_text(control.read_text().replace(VERSION, NEXT))
        program = inside / "usr/lib/charging-manager/lib/python3.11/site-packages/charging_manager"
        if program.is_dir():
            told = program / "__init__.py"
            told.write_text(told.read_text().replace(f'"{VERSION}"', f'"{NEXT}"'))
            for schema in SCHEMAS.values():
                number = len(read_upgrades(files("charging_manager").joinpath(schema))) + 1
                (program / schema / f"{number:04d}-newer.sql").write_text("CREATE TABLE newer (word TEXT);\n")
        target = folder / f"{package.stem}-newer.deb"
        subprocess.run(["dpkg-deb", "-Znone", "--build", inside, target], check=True, stdout=subprocess.DEVNULL)
        made.append(target)
    return made


def install(debian: Chroot, packages: list[Path]) -> str:
    """As a person does it, up or down."""
    debs = [debian.put(path, f"/root/{path.name}") for path in packages]
    return debian.apt("install", "--allow-downgrades", *debs)


def inside(debian: Chroot, path: Path) -> Path:
    return debian.root / path.relative_to("/")


def schema_of(debian: Chroot, daemon: str) -> int:
    place = upkeep.PLACES[daemon]
    with closing(sqlite3.connect(inside(debian, place.data) / place.database)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def backups(debian: Chroot, daemon: str) -> list[str]:
    return sorted(path.name for path in inside(debian, upkeep.PLACES[daemon].backups).iterdir())


def test_everything_is_still_there_after_upgrades_and_rollbacks(
    debian: Chroot, previous: list[Path], built: list[Path], newer: list[Path]
) -> None:
    debs = [debian.put(path, f"/root/{path.name}") for path in previous]
    debian.apt("install", *debs)
    assert "all is well" in work(debian, "begin")

    install(debian, built)
    for daemon in upkeep.PLACES:
        [kept] = backups(debian, daemon)
        assert kept.endswith(f"-from-{VERSION}~previous.tar.gz")
    assert "all is well" in work(debian, "look")
    install(debian, previous)
    assert "all is well" in work(debian, "look")

    install(debian, built)
    before = {daemon: schema_of(debian, daemon) for daemon in SCHEMAS}
    install(debian, newer)
    assert "all is well" in work(debian, "look")
    assert {daemon: schema_of(debian, daemon) for daemon in SCHEMAS} == {each: before[each] + 1 for each in before}

    said = install(debian, built)
    assert len(re.findall(rf"back to the state of .*-from-{re.escape(VERSION)}\.tar\.gz", said)) == len(SCHEMAS), said
    assert {daemon: schema_of(debian, daemon) for daemon in SCHEMAS} == before
    assert "all is well" in work(debian, "look")
    for daemon in SCHEMAS:
        [aside] = inside(debian, upkeep.PLACES[daemon].data).glob("before-*")
        assert (aside / upkeep.PLACES[daemon].database).is_file(), "the newer state lies beside it"
