from __future__ import annotations

import socket
from pathlib import Path

from charging_manager.agent.lifesign import LifeSign
from tests.agent.whole import WholeAgent


def test_without_a_watcher_nothing_is_said() -> None:
    assert LifeSign.of_environment({})._send is None


def test_systemd_hears_what_happens(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        sign = LifeSign.of_environment({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        sign.ready()
        sign.alive()
        sign.stopping()
        assert [systemd.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_a_socket_that_is_gone_is_no_trouble(tmp_path: Path) -> None:
    sign = LifeSign.of_environment({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    sign.alive()
    assert sign._send is None


def test_each_decided_cycle_is_a_sign_of_life_and_a_failing_loop_gives_none(agent: WholeAgent) -> None:
    signs: list[bytes] = []
    agent.site.life = LifeSign(signs.append)
    agent.run(3)
    assert signs == [b"WATCHDOG=1"] * 3

    def broken(image: object) -> object:
        raise RuntimeError("a bug in control")

    agent.site.steering._decide = broken  # type: ignore[assignment]
    agent.run(3)
    assert len(signs) == 3
