"""A release is whole, and a container is laid out as the packages are."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from charging_manager import VERSION

ROOT = Path(__file__).resolve().parents[1]
INSTRUCTIONS = {"FROM", "COPY", "RUN", "ENV", "STOPSIGNAL", "USER", "WORKDIR", "VOLUME", "EXPOSE", "ENTRYPOINT"}


def instructions() -> Iterator[tuple[str, str, str]]:
    """Stage, instruction and the rest of each line of the Containerfile, continuation lines joined."""
    stage = ""
    text = re.sub(r"\\\n", " ", (ROOT / "Containerfile").read_text("utf-8"))
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            if word == "FROM":
                stage = rest.rpartition(" AS ")[2]
            yield stage, word, rest.strip()


def of(stage: str, word: str) -> list[str]:
    return [rest for where, what, rest in instructions() if (where, what) == (stage, word)]


def unit(name: str) -> dict[str, str]:
    lines = (ROOT / f"debian/{name}.service").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Za-z]+=", line))


def test_the_containerfile_can_be_read_and_takes_in_the_packages_that_are_made() -> None:
    assert {word for _, word, _ in instructions()} <= INSTRUCTIONS
    assert [stage for stage, word, _ in instructions() if word == "FROM"] == ["common", "agent", "cloud"]
    made = re.findall(r"^Package: (\S+)$", (ROOT / "debian/control").read_text("utf-8"), re.M)
    assert {Path(path).name.partition("_")[0] for path in of("common", "COPY")[0].split()[:-1]} == set(made)
    for _, word, rest in instructions():
        if word == "RUN":
            subprocess.run(["bash", "-n", "-c", rest], check=True)
            assert not [part for part in shlex.split(rest) if part.startswith("http")]


@pytest.mark.parametrize(("stage", "name"), [("agent", "charging-manager"), ("cloud", "charging-manager-cloud")])
def test_a_container_runs_what_the_unit_runs_as_the_same_user_on_the_same_state(stage: str, name: str) -> None:
    said = unit(name)
    [entry], state = of(stage, "ENTRYPOINT"), f"/var/lib/{said['StateDirectory']}"
    assert json.loads(entry) == [*said["ExecStart"].split(), "--data", state]
    assert of(stage, "USER") == [said["User"]]
    assert of(stage, "VOLUME") == of(stage, "WORKDIR") == [state]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("release_check", str(ROOT / ".ci/release-check"))
    spec = importlib.util.spec_from_loader("release_check", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    monkeypatch.setattr(module, "RELEASE", tmp_path)
    return module


def test_checksums_find_what_is_changed_missing_or_too_much(check: ModuleType, tmp_path: Path) -> None:
    assert "make release" in check.sums()
    (tmp_path / "a.deb").write_bytes(b"one")
    listed = f"{hashlib.sha256(b'one').hexdigest()}  a.deb\n"
    (tmp_path / "SHA256SUMS").write_text(listed)
    assert check.sums() is None
    (tmp_path / "a.deb").write_bytes(b"two")
    assert "is not what" in check.sums()
    (tmp_path / "a.deb").write_bytes(b"one")
    (tmp_path / "b.deb").write_bytes(b"one")
    assert "b.deb is not what" in check.sums()
    (tmp_path / "b.deb").unlink()
    (tmp_path / "SHA256SUMS").write_text(listed + f"{'0' * 64}  c.deb\n")
    assert "c.deb is missing" in check.sums()
    (tmp_path / "SHA256SUMS").write_text(listed + "\n")
    assert "none that sha256sum writes" in check.sums()


def test_what_is_not_there_is_a_no(check: ModuleType) -> None:
    answers = dict(check.answers())
    for name in ("source release", "wheel", "Debian packages", "SBOM", "checksums", "signature"):
        assert answers[name], name
    assert answers["version"] is None and answers["lock"] is None and answers["support period"] is None


def test_the_support_period_of_this_version_is_said() -> None:
    series = ".".join(VERSION.split(".")[:2])
    assert re.search(rf"^\| {re.escape(series)} \| .+ \|$", (ROOT / "SECURITY.md").read_text("utf-8"), re.M)
