"""What a daemon cannot start with is named in one sentence, in the journal and in ``systemctl status``; nothing is lost
by the attempt, and a restart heals what can heal.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.played import AGENT, CLOUD, data_of, play
from tests.support.playing_systemd import Player
from tests.support.processes import eventually, free_port
from tests.support.sites import admin_of, set_password

pytestmark = pytest.mark.e2e

STATE = {AGENT: "var/lib/charging-manager/agent", CLOUD: "var/lib/charging-manager-cloud/cloud"}
SETTINGS = "etc/charging-manager/charging-manager.toml"


def started_with(name: str, root: Path, port: int) -> Player:
    return play(name, root, "--port", str(port))


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both services' state after a first run; the agent's main fuse was set to 20 A."""
    roots = {}
    for name in STATE:
        root = roots[name] = tmp_path_factory.mktemp(name)
        port = free_port()
        player = started_with(name, root, port)
        data_of(player).parent.mkdir(parents=True)
        set_password(data_of(player))
        with player:
            player.wait_ready(within_s=60)
            if name == AGENT:
                admin = admin_of(port, secure=True)
                [main] = admin.get("/api/v1/site")["circuits"]
                admin.put("/api/v1/site", {"circuits": [{**main, "limit_a": [20, 20, 20]}]})
    return roots


def contents(folder: Path) -> dict[str, str]:
    """What is in every file, by its path; locks and what is recorded again do not count."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".lock", ".cmrec"))
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if not path.name.endswith(("-wal", "-shm"))
    }


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def of_tomorrow(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 999")
        database.commit()


def closed(path: Path) -> None:
    path.chmod(0)


def settings(text: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


def secret_settings(path: Path) -> None:
    settings("")(path)
    path.chmod(0o600)  # and root's


BAD = {
    "half a database": (AGENT, "agent.db", cut, 1, r"agent\.db: the database is damaged"),
    "a newer database": (AGENT, "agent.db", of_tomorrow, 1, r"agent\.db: was written by a newer Charging Manager"),
    "a database that may not be read": (AGENT, "agent.db", closed, 1, r"agent\.db: .*check who owns it"),
    "a folder that may not be entered": (AGENT, "", closed, 1, r"agent/key\.pem: Permission denied; check who owns it"),
    "half a key": (AGENT, "key.pem", cut, 1, r"key\.pem: the agent's key cannot be read; restore it"),
    "a certificate that may not be read": (AGENT, "pair.pem", closed, 1, r"pair\.pem: cannot be read \(Permission"),
    "half a certificate": (CLOUD, "tls/pair.pem", cut, 1, r"pair\.pem: .*restore it from a backup, or remove it"),
    "the cloud's newer database": (CLOUD, "cloud.sqlite", of_tomorrow, 1, r"cloud\.sqlite: was written by a newer"),
    "half a secret": (CLOUD, "secret", cut, 1, r"secret: must hold 32 bytes; restore it"),
    "broken settings": (AGENT, SETTINGS, settings("[agent\n"), 2, r"charging-manager\.toml: is not TOML: .*line 1"),
    "an unknown setting": (
        CLOUD,
        SETTINGS,
        settings("[cloud]\nprot = 1\n"),
        2,
        r"cloud\.prot: there is no such setting",
    ),
    "settings that may not be read": (AGENT, SETTINGS, secret_settings, 2, r"charging-manager\.toml: cannot be read"),
}


ALIKE = {"half a key", "half a certificate", "the cloud's newer database", "an unknown setting"}
"""Others are named in the same way; these are tried with ``CM_LONG=1``."""
HEALED = {"a database that may not be read", "a folder that may not be entered", "half a secret", "broken settings"}
"""Looked at again after what was spoilt is mended; the others mend alike."""


@pytest.mark.parametrize("what", [what for what in BAD if os.environ.get("CM_LONG") or what not in ALIKE])
def test_what_it_cannot_start_with_is_named_and_nothing_is_lost(
    what: str, lived_in: dict[str, Path], tmp_path: Path
) -> None:
    name, file, spoil, status, says = BAD[what]
    if os.geteuid() != 0 and spoil is secret_settings:
        pytest.skip("only root has files that the service's user may not read")
    root = shutil.copytree(lived_in[name], tmp_path / "root")
    port = free_port()
    spoil(root / (file if file == SETTINGS else f"{STATE[name]}/{file}"))
    before = contents(root)
    player = started_with(name, root, port)
    player.start()
    assert player.wait(60) == status, player.output
    assert re.search(says, player.status), player.status
    errors = [text for level, text in player.journal if level == 3]
    assert len(errors) == 1 and re.search(says, errors[0]), player.output
    assert len(player.journal) <= 3 and "Traceback" not in player.output, player.output
    assert player.begins_anew(status) == (status == 1)
    assert contents(root) == before
    if what not in HEALED:
        return

    shutil.rmtree(root / "etc", ignore_errors=True)
    shutil.copytree(lived_in[name] / STATE[name], root / STATE[name], dirs_exist_ok=True)
    if (root / STATE[name]).stat().st_mode & 0o777 == 0:
        (root / STATE[name]).chmod(0o700)
    again = started_with(name, root, port)
    with again:
        again.wait_ready(within_s=60)
        if name == AGENT:
            [main] = admin_of(port, secure=True).get("/api/v1/site")["circuits"]
            assert main["limit_a"] == [20, 20, 20]


@pytest.mark.parametrize("name", STATE)
def test_a_port_in_use_is_named_with_its_errno_and_heals_by_a_restart(
    name: str, lived_in: dict[str, Path], tmp_path: Path
) -> None:
    root = shutil.copytree(lived_in[name], tmp_path / "root")
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        player = started_with(name, root, port)
        player.start()
        status = player.wait(60)
        assert (status, player.begins_anew(status)) == (1, True)
        assert player.status == f"port {port}: is in use by another program; stop that one, or choose another port"
        assert {told["ERRNO"] for _, told in player.heard if "ERRNO" in told} == {"98"}
        assert player.count("READY") == 0
    with started_with(name, root, port) as again:
        again.wait_ready(within_s=60)


def test_a_serial_line_that_is_not_there_is_named_and_the_rest_goes_on(
    lived_in: dict[str, Path], tmp_path: Path
) -> None:
    root = shutil.copytree(lived_in[AGENT], tmp_path / "root")
    port = free_port()
    with started_with(AGENT, root, port) as player:
        player.wait_ready(within_s=60)
        admin = admin_of(port, secure=True)
        box = {"id": "yard", "name": "Yard", "driver": "phoenix-ev-cc-ac1-m3-rtu"}
        admin.post("/api/v1/devices", {**box, "address": "rtu:///dev/ttyUSB77?unit=1"})
    with started_with(AGENT, root, port) as player:
        player.wait_ready(within_s=60)
        player.wait_for(lambda: "1 box, 1 offline" in player.status, 30)
        said = eventually(lambda: [text for level, text in player.journal if "ttyUSB77" in text])
        assert "Traceback" not in "".join(said)
        fed = player.count("WATCHDOG")
        player.wait_for(lambda: player.count("WATCHDOG") > fed)
