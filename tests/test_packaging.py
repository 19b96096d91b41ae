"""What is installed is complete: every driver, page and catalogue is a data file of the package."""

from __future__ import annotations

import configparser
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

from charging_manager import VERSION
from charging_manager.agent.tap import Options as AgentOptions
from charging_manager.cloud.tap import Options as CloudOptions
from charging_manager.daemon.settings import read_settings

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


def pins(name: str) -> dict[str, set[str]]:
    """``NAME==VERSION`` to its hashes."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / name).read_text("utf-8").splitlines():
        if match := re.match(r"^([a-z0-9_.-]+==\S+)", line):
            last = found.setdefault(match[1], set())
        elif match := re.match(r"^ +--hash=(\S+)", line):
            last.add(match[1])
    return found


def test_packages_take_in_what_the_tests_ran_with() -> None:
    tested, run, build = map(pins, ("requirements.txt", "requirements-run.txt", "requirements-build.txt"))
    assert run.items() <= tested.items()
    assert build.items() <= tested.items()
    names = {pin.split("==")[0] for pin in run}
    lines = (ROOT / "requirements-run.in").read_text("utf-8").splitlines()
    lines += config()["options"]["install_requires"].splitlines()
    asked = {re.split(r"[<>=! \[]", line)[0] for line in lines if not line.startswith("#")}
    assert asked - names <= {""}, "make lock"
    assert not names & {"pytest", "setuptools", "wheel", "ruff", "mypy"}


def test_the_packages_have_the_version_of_the_program() -> None:
    first = (ROOT / "debian/changelog").read_text("utf-8").splitlines()[0]
    assert first.startswith(f"charging-manager ({VERSION}) ")


def installed_documents() -> dict[Path, Path]:
    """Where a page lies in the package's own folder, to where it lies here (paths relative to either)."""
    found = {Path(line).name: line for line in (ROOT / "debian/charging-manager-common.docs").read_text().split()}
    for line in (ROOT / "debian/charging-manager-common.install").read_text().splitlines():
        pattern, _, folder = line.partition(" usr/share/doc/charging-manager-common/")
        for page in ROOT.glob(pattern) if folder else ():
            for each in page.rglob("*.md") if page.is_dir() else [page]:
                found[str(Path(folder) / each.relative_to(page.parent))] = str(each.relative_to(ROOT))
    return {Path(there): Path(here) for there, here in found.items()}


def test_installed_pages_lead_to_installed_pages() -> None:
    pages = installed_documents()
    assert {Path("README.md"), Path("docs/operating.md"), Path("docs/cloud.md")} <= pages.keys()
    folders = {parent for page in pages for parent in page.parents}
    astray = [
        (str(there), link)
        for there, here in pages.items()
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", (ROOT / here).read_text("utf-8"))
        if there.parent / link not in pages.keys() | folders
    ]
    assert astray == []
    assert "dh_compress --exclude=sbom.cdx.json --exclude=.md" in (ROOT / "debian/rules").read_text("utf-8")


def test_the_example_settings_say_what_holds_without_them(tmp_path: Path) -> None:
    shipped = (ROOT / "debian/charging-manager.toml").read_text("utf-8")
    assert all(not line or line.startswith("#") for line in shipped.splitlines())
    opened = tmp_path / "opened.toml"
    opened.write_text(re.sub(r"^#(?=[\[a-z])", "", shipped, flags=re.MULTILINE))
    for daemon, options in (("agent", AgentOptions), ("cloud", CloudOptions)):
        settings = read_settings(opened, daemon, options.known)
        assert settings["port"] == options.default_port
        assert (settings["allow_http"], settings["loglevel"]) == (False, 3)
