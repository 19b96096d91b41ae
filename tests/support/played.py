"""Our own units played from a checkout: this environment's programs, a free port, a folder in place of /."""

from __future__ import annotations

import os
import resource
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from socket import socket

import pytest

from tests.support.playing_systemd import Player
from tests.support.processes import BIN, ROOT

PACKAGED = "/usr/lib/charging-manager/bin"
AGENT, CLOUD = "charging-manager", "charging-manager-cloud"
ONE_BOX = """
[[device]]
id = "garage"
driver = "abb-terra-ac"
address = "tcp://127.0.0.1:0?unit=1"
"""


def play(
    name: str,
    root: Path,
    *words: str,
    listening: Mapping[str, socket] | None = None,
    changed: Mapping[str, str] | None = None,
) -> Player:
    """The unit ``name``, not yet started. ``changed``: settings that a drop-in would change."""
    if shutil.which("systemd-analyze") is None and not os.environ.get("CM_LEAVE_OUT_NONE"):
        pytest.skip("systemd-analyze is missing: apt-get install systemd")
    unit = ROOT / "debian" / f"{name}.service"
    if changed:
        text = unit.read_text() + "\n[Service]\n" + "".join(f"{key}={value}\n" for key, value in changed.items())
        unit = root / unit.name
        root.mkdir(exist_ok=True)
        unit.write_text(text)
    return Player(
        unit,
        root,
        programs=(PACKAGED, str(BIN)),
        words=words,
        listening=listening,
        environment={"PYTHONPATH": str(ROOT)},
        needed=(ROOT, Path(sys.prefix).resolve(), Path(sys.base_prefix)),
    )


def all_was_made(player: Player) -> None:
    """Root makes the whole sandbox; a person's own tests run with what a person may make."""
    few = resource.getrlimit(resource.RLIMIT_NOFILE)[1] < int(player.unit.one("LimitNOFILE"))
    if os.geteuid() == 0:
        assert set(player.left_out) <= ({"LimitNOFILE"} if few else set()), player.left_out


def data_of(player: Player) -> Path:
    return player.directories()["STATE_DIRECTORY"]
