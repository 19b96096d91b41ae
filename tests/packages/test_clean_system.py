"""From a clean Debian to a charge seen through the cloud, and back to a clean Debian."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.packages.chroot import Chroot
from tests.packages.conftest import work

OURS = ("charging-manager", "charging-manager-cloud", "charging-manager-common")


def test_the_packages_work_and_leave_nothing(debian: Chroot, built: list[Path]) -> None:
    debs = [debian.put(path, f"/root/{path.name}") for path in built]
    planned = re.findall(r"^Inst (\S+) ", debian.apt("install", "--simulate", *debs), re.MULTILINE)
    assert set(OURS) <= set(planned)
    debian.apt("install", *(name for name in planned if name not in OURS))
    before = debian.files()

    debian.apt("install", *debs, network=False)
    assert debian.run("dpkg", "--verify").stdout == ""
    assert debian.run("charging_manager", "--version").stdout.startswith("charging_manager ")
    bill = json.loads((debian.root / "usr/share/doc/charging-manager-common/sbom.cdx.json").read_text())
    assert {part["purl"].split("@")[0] for part in bill["components"]} >= {"pkg:pypi/twisted", "pkg:npm/preact"}
    assert all(len(part["licenses"]) == 1 for part in bill["components"])
    assert "all is well" in work(debian, "begin")
    assert "all is well" in work(debian, "look")
    (debian.root / "etc/charging-manager/drivers/own.toml").write_text("# somebody's own\n")

    debian.apt("remove", *OURS, network=False)
    for state in ("var/lib/charging-manager/admin", "var/lib/charging-manager-cloud/admin"):
        assert (debian.root / state).is_file(), "removal keeps the state"
    debian.apt("install", *debs, network=False)
    assert "all is well" in work(debian, "look")

    debian.apt("purge", *OURS, network=False)
    after = debian.files()
    assert {path: after.get(path) for path in before if after.get(path) != before[path]} == {}
    assert sorted(after.keys() - before.keys()) == []


def test_a_state_that_nobody_can_read_hinders_nothing(debian: Chroot, built: list[Path]) -> None:
    debs = [debian.put(path, f"/root/{path.name}") for path in built]
    debian.apt("install", *debs, network=False)
    for folder in ("charging-manager/agent/agent.db", "charging-manager-cloud/cloud"):
        place = debian.root / "var/lib" / folder
        place.parent.mkdir(parents=True)
        place.write_bytes(b"not what it was")
        place.chmod(0)
    debian.apt("install", "--reinstall", *debs, network=False)
    debian.apt("purge", *OURS, network=False)
    assert [path for path in debian.files() if "charging" in path] == []
