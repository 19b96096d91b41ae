"""Both services exactly as their units start them, with a player in systemd's place (tests/support/playing_systemd.py).

As root that includes the user, the sandbox and the filter of system calls: what these units take away, the daemons do
not need.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import time
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest

from charging_manager.http.passwords import AdminPassword
from tests.support.api import Browser
from tests.support.played import AGENT, CLOUD, ONE_BOX, all_was_made, data_of, play
from tests.support.playing_systemd import Player, listen
from tests.support.processes import eventually, free_port
from tests.support.sites import PASSWORD, admin_of, set_password, simulated_site

pytestmark = pytest.mark.e2e

CLEAN = (0, -SIGTERM)


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}


def give_password(player: Player) -> None:
    """As ``charging_manager passwd`` does; the daemon has noticed when this returns."""
    AdminPassword(data_of(player) / "admin").write(PASSWORD)
    player.wait_for(lambda: "the admin password is now set" in player.output)


def answers(port: int) -> int:
    """The status of one HTTPS request, made once."""
    return Browser(port, secure=True).call("GET", "/api/v1/me").status


def test_the_agent_as_its_unit_starts_it(tmp_path: Path) -> None:
    port = free_port()
    player = play(AGENT, tmp_path, "--port", str(port))
    data = data_of(player)
    settings = tmp_path / "etc/charging-manager/charging-manager.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("[agent]\nloglevel = 3\n")
    os.chmod(settings.parent, 0o755)
    with simulated_site(tmp_path, ONE_BOX) as site, player:
        player.wait_ready(within_s=60)
        assert answers(port) == 200, "ready means that it answers"
        all_was_made(player)
        assert "no admin password yet" in player.status
        ready_s = next(at for at, told in player.heard if "READY" in told)

        give_password(player)
        admin = eventually(lambda: admin_of(port, secure=True))
        [main] = admin.get("/api/v1/site")["circuits"]
        admin.put("/api/v1/site", {"circuits": [{**main, "limit_a": [32, 32, 32], "fallback_a": 8}]})
        box = {"id": "garage", "name": "Garage", "driver": "abb-terra-ac", "address": site.addresses["garage"]}
        admin.post("/api/v1/devices", box)
        site.change(devices={"garage": {"plugged": True, "wants_a": 16}})
        player.wait_for(lambda: re.search(r"1 box, 1 charging, \d+ of 32 A; cloud off$", player.status), 60)
        garage = lambda: site.truth()["devices"]["garage"]  # noqa: E731
        eventually(lambda: garage()["current_a"][0] > 10, 60)

        player.wait_for(lambda: player.count("WATCHDOG") >= 5)
        fed = [at for at, told in player.heard if "WATCHDOG" in told]
        assert fed[-1] - ready_s < player.unit.seconds("WatchdogSec", 0) * len(fed)
        assert player.count("STATUS") < 10, "it chatters"

        assert modes(data) == {0o600} and stat.S_IMODE(data.stat().st_mode) == 0o700
        runtime = player.directories()["RUNTIME_DIRECTORY"]
        assert [path.name for path in runtime.iterdir()] == [f"{port}.json"]

        assert player.stop() in CLEAN
        assert player.count("STOPPING") == 1
        assert "STOPPING" in player.heard[-1][1] or player.status == "stopping"
        assert list(runtime.iterdir()) == []
        left = garage()
        assert (left["setpoint_a"], left["paused"]) == (8.0, False), f"the box is left on its fallback: {left}"
        assert {level for level, _ in player.journal} <= {4, 6}, player.output


def test_a_reload_takes_log_level_and_certificate_and_names_what_it_cannot_take(tmp_path: Path) -> None:
    port = free_port()
    player = play(AGENT, tmp_path, "--port", str(port))
    settings = tmp_path / "etc/charging-manager/charging-manager.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("[agent]\nloglevel = 3\n")
    other = play(CLOUD, tmp_path, "--port", str(free_port()))
    with other:
        other.wait_ready(within_s=60)
    pair = data_of(other) / "cloud/tls/pair.pem"
    with player:
        player.wait_ready(within_s=60)
        give_password(player)
        admin = eventually(lambda: admin_of(port, secure=True))
        shown = certificate(port)
        settings.write_text("[agent]\nloglevel = 4\nport = 1\n")
        (data_of(player) / "agent/pair.pem").write_bytes(pair.read_bytes())
        player.reload()
        player.wait_ready(2)
        began = next(told for _, told in player.heard if "RELOADING" in told)
        assert 0 < int(began["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        assert admin.get("/api/v1/log/level") == {"level": 4}
        assert certificate(port) != shown
        assert answers(port) == 200
        assert any("after a restart: port" in text for level, text in player.journal if level == 4)

        settings.write_text("[agent\n")
        player.reload()
        player.wait_ready(3)
        player.wait_for(lambda: "settings could not be read again" in player.status)
        assert "charging-manager.toml" in player.status
        assert admin.get("/api/v1/log/level") == {"level": 4}
        assert any("charging-manager.toml" in text for level, text in player.journal if level == 3)


def certificate(port: int) -> bytes | None:
    with contextlib.closing(Browser(port, secure=True).open()) as connection:
        connection.connect()
        found: bytes | None = connection.sock.getpeercert(binary_form=True)  # type: ignore[attr-defined]
        return found


def test_the_cloud_server_as_its_unit_starts_it(tmp_path: Path) -> None:
    port = free_port()
    player = play(CLOUD, tmp_path, "--port", str(port), changed={"WatchdogSec": "3"})
    with player:
        player.wait_ready(within_s=60)
        assert answers(port) == 200, "ready means that it answers"
        all_was_made(player)
        assert f"port {port}; no admin password yet" in player.status
        give_password(player)
        player.wait_for(lambda: player.status == f"0 installations connected, 0 logins, port {port}")
        player.wait_for(lambda: player.count("WATCHDOG") >= 3)
        shown = certificate(port)
        admin = Browser(port, secure=True)
        admin.post("/api/v1/cloud/admin/login", {"password": PASSWORD})
        player.reload()
        player.wait_ready(2)
        assert certificate(port) == shown
        data = data_of(player)
        assert modes(data) == {0o600} and stat.S_IMODE(data.stat().st_mode) == 0o700
        assert player.stop() in CLEAN
        assert player.count("STOPPING") == 1
        assert {level for level, _ in player.journal} <= {4, 6}, player.output


@pytest.mark.parametrize("name", [AGENT, CLOUD])
def test_until_there_is_a_password_only_this_machine_is_served(name: str, tmp_path: Path) -> None:
    port = free_port()
    with play(name, tmp_path, "--port", str(port)) as player:
        player.wait_ready(within_s=60)
        here, elsewhere = Browser(port, secure=True), {"X-Forwarded-For": "192.0.2.1"}
        assert here.call("GET", "/api/v1/me").status == 200
        refused = here.call("GET", "/api/v1/me", **elsewhere)
        assert (refused.status, refused.json["code"]) == (403, "setup-needed")
        for address in own_addresses():
            refused = Browser(port, secure=True, host=address).call("GET", "/api/v1/me")
            assert (refused.status, refused.json["code"]) == (403, "setup-needed")


def own_addresses() -> list[str]:
    """This machine's addresses beside loopback, if there are any: a packet to oneself there is no loopback's."""
    found = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET, socket.SOCK_STREAM)
    return sorted({str(each[4][0]) for each in found if not str(each[4][0]).startswith("127.")})


@pytest.mark.parametrize("name", [AGENT, CLOUD])
def test_a_socket_that_systemd_listens_on_is_taken_over_and_nobody_is_refused_over_a_restart(
    name: str, tmp_path: Path
) -> None:
    listening = listen(0)
    port = listening.getsockname()[1]
    early = socket.create_connection(("127.0.0.1", port))
    for _ in range(2):  # the second is after a restart
        with play(name, tmp_path, listening={"main": listening}) as player:
            player.wait_ready(within_s=60)
            assert answers(port) == 200
            early.settimeout(30)
            early.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert early.recv(9) == b"HTTP/1.1 "
            early.close()
        early = socket.create_connection(("127.0.0.1", port))  # nobody is there, and it waits
    early.close()
    listening.close()


def test_a_socket_for_modbus_clients_is_known_by_its_name(tmp_path: Path) -> None:
    main, modbus = listen(0), listen(0)
    reads_100 = bytes.fromhex("000100000006 01 03 0064 0001")
    with play(AGENT, tmp_path, listening={"modbus": modbus, "main": main}) as player:
        player.wait_ready(within_s=60)
        assert answers(main.getsockname()[1]) == 200
        with socket.create_connection(modbus.getsockname()[:2], 10) as client:
            client.sendall(reads_100)
            answer = client.recv(100)
        assert answer[:2] == b"\0\1" and answer[7] & 0x7F == 3, "a Modbus answer"
    main.close()
    modbus.close()


def test_a_socket_that_is_none_of_tcp_is_named(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        player = play(AGENT, tmp_path, listening={"main": udp})
        player.start()
        assert player.wait(60) == 1
    assert "must listen on TCP" in player.status
    assert any("must listen on TCP" in text for level, text in player.journal if level == 3)


def test_exit_status_and_restart_fit_each_other() -> None:
    for name in (AGENT, CLOUD):
        player: Any = play(name, Path("/nonexistent"))
        assert isinstance(player, Player)
        assert player.begins_anew(1) and player.begins_anew(-6) and not player.begins_anew(2)


def test_a_restore_in_the_browser_works_in_the_sandbox_and_systemd_begins_anew(tmp_path: Path) -> None:
    port = free_port()
    player = play(AGENT, tmp_path, "--port", str(port))
    data_of(player).parent.mkdir(parents=True)
    set_password(data_of(player))
    with player:
        player.wait_ready(within_s=60)
        admin = admin_of(port, secure=True)
        [main] = admin.get("/api/v1/site")["circuits"]
        admin.put("/api/v1/site", {"circuits": [{**main, "limit_a": [20, 20, 20]}]})
        admin.post("/api/v1/backups", {})
        [kept] = eventually(lambda: [each["name"] for each in admin.get("/api/v1/backups")["backups"]])
        admin.put("/api/v1/site", {"circuits": [{**main, "limit_a": [50, 50, 50]}]})
        admin.post("/api/v1/backups/look", {"name": kept})
        looked = eventually(lambda: admin.get("/api/v1/backups")["looked"])
        admin.post("/api/v1/backups/restore", {"ticket": looked["ticket"]})
        assert player.begins_anew(player.wait(60))
    with play(AGENT, tmp_path, "--port", str(port)) as again:
        again.wait_ready(within_s=60)
        [main] = admin_of(port, secure=True).get("/api/v1/site")["circuits"]
        assert main["limit_a"] == [20, 20, 20]
