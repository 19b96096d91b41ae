"""What is installed is complete: every driver, page and catalogue is a data file of the package."""

from __future__ import annotations

import configparser
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def config() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def tracked(*folders: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return listed.stdout.split()


def test_every_driver_page_and_catalogue_is_installed() -> None:
    patterns = [pattern for value in config()["options.data_files"].values() for pattern in value.split()]
    left_out = [
        name
        for name in tracked("drivers", "web", "locale", "scenarios")
        if not any(fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in patterns)
        and name not in ("locale/extract.py", "web/jsconfig.json")
    ]
    assert left_out == []


def test_schemas_are_package_data() -> None:
    data = config()["options.package_data"]
    for name in tracked("charging_manager"):
        if name.endswith(".sql"):
            assert "*.sql" in data[".".join(Path(name).parts[:-1])]


def test_the_lock_file_pins_by_hash_everything_that_setup_cfg_asks_for() -> None:
    lock = (ROOT / "requirements.txt").read_text("utf-8")
    pinned = {name.lower().replace("_", "-") for name in re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.MULTILINE)}
    asked = {
        re.split(r"[<>=! ]", line.strip())[0].lower()
        for section, key in (("options", "install_requires"), ("options.extras_require", "dev"))
        for line in config()[section][key].splitlines()
        if line.strip() and not line.strip().startswith("#")
    }
    assert asked - pinned == set()
    assert {"setuptools", "wheel"} <= pinned
    assert len(re.findall(r"--hash=sha256:", lock)) >= len(pinned)
    assert "://" not in lock, "the lock file names no host"
