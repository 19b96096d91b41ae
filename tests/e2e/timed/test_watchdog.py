"""systemd's watchdog hears no more when what must not stand still stands still: the agent's control loop, hung by a
plugin that never returns; the cloud server's listener, which has no descriptor left to let anybody in.
"""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path
from signal import SIGABRT

import pytest

from tests.support.played import AGENT, CLOUD, ONE_BOX, data_of, play
from tests.support.playing_systemd import Player
from tests.support.processes import ROOT, eventually, free_port, throughout
from tests.support.sites import admin_of, set_password, simulated_site

pytestmark = pytest.mark.e2e

HOOK = """
import os, time

class Hanging:
    def decode(self, values):
        while os.path.exists(os.environ["STATE_DIRECTORY"] + "/hang"):
            time.sleep(0.01)
        return {{}}

TABLE = {table!r}
"""
STILL_S = 4.0


def beats(player: Player, more: int = 3) -> None:
    fed = player.count("WATCHDOG")
    player.wait_for(lambda: player.count("WATCHDOG") >= fed + more)


def falls_silent(player: Player) -> int:
    """What was on its way has come. Returns: how many signs of life there were."""
    fed = -1

    def nothing_new() -> bool:
        nonlocal fed
        before, fed = fed, player.count("WATCHDOG")
        return before == fed

    eventually(nothing_new, every_s=1.5)
    return fed


def stands_still(player: Player) -> None:
    """No sign of life for as long as four would have come."""
    fed = falls_silent(player)
    throughout(lambda: player.count("WATCHDOG") == fed, STILL_S)


def test_a_control_loop_that_hangs_gives_no_sign_of_life_and_tells_where_it_hung(tmp_path: Path) -> None:
    table = tomllib.loads((ROOT / "drivers/abb-terra-ac.toml").read_text())
    port = free_port()
    player = play(AGENT, tmp_path, "--port", str(port))
    drivers = tmp_path / "etc/charging-manager/drivers"
    drivers.mkdir(parents=True)
    (drivers / "hanging.py").write_text(HOOK.format(table={**table, "name": "hanging", "hook": "Hanging"}))
    data = data_of(player)
    data.parent.mkdir(parents=True)
    set_password(data)
    with simulated_site(tmp_path, ONE_BOX) as site, player:
        player.wait_ready(within_s=60)
        admin = admin_of(port, secure=True)
        box = {"id": "garage", "name": "Garage", "driver": "hanging", "address": site.addresses["garage"]}
        admin.post("/api/v1/devices", box)
        eventually(lambda: admin.get("/api/v1/state")["charge_points"][0]["answering"])
        beats(player)
        (data / "hang").touch()
        stands_still(player)
        (data / "hang").unlink()
        beats(player)  # the player does not kill; systemd would have, after WatchdogSec
        (data / "hang").touch()
        falls_silent(player)
        assert player.process is not None
        player.process.send_signal(SIGABRT)  # as systemd does
        status = player.wait(20)
        assert status == -SIGABRT and player.begins_anew(status)
        assert "Fatal Python error: Aborted" in player.output and "hanging.py" in player.output


def let_open(pid: int, number: int) -> None:
    """So many descriptors, and no more; said as the service's own user, who may."""
    owner = Path(f"/proc/{pid}").stat()
    who = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    subprocess.run(["prlimit", "--pid", str(pid), f"--nofile={number}:"], check=True, **who)  # type: ignore[call-overload]


def test_a_listener_that_expects_a_proxy_here_still_hears_itself(tmp_path: Path) -> None:
    words = ("--port", str(free_port()), "--proxy-from", "127.0.0.0/8,::1")
    with play(CLOUD, tmp_path, *words, changed={"WatchdogSec": "3"}) as player:
        player.wait_ready(within_s=60)
        beats(player)
        assert not any("does not answer itself" in text for _, text in player.journal)


def test_a_listener_that_lets_nobody_in_gives_no_sign_of_life(tmp_path: Path) -> None:
    with play(CLOUD, tmp_path, "--port", str(free_port()), changed={"WatchdogSec": "3"}) as player:
        player.wait_ready(within_s=60)
        beats(player)
        assert player.process is not None
        pid = player.process.pid
        limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
        before = next(int(line.split()[3]) for line in limits if line.startswith("Max open files"))
        let_open(pid, 8)  # what is open stays, and nothing more can be
        stands_still(player)
        let_open(pid, before)
        beats(player)
        assert any("does not answer itself" in text for level, text in player.journal if level == 4)
        assert any("answers itself again" in text for _, text in player.journal)
