from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from charging_manager.daemon.lifesign import STATUS_EVERY_S, TROUBLE_STANDS_S, LifeSign, Telling
from charging_manager.errors import ConfigError


def test_without_a_watcher_nothing_is_said() -> None:
    life = LifeSign.of_environment({})
    life.ready()
    assert (life.is_heard, life.watch_s, life.wants_status(1e9)) == (False, None, False)


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_what_happens(abstract: bool, tmp_path: Path) -> None:
    name = f"@units-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name.replace("@", "\0", 1) if abstract else name)
        sign = LifeSign.of_environment({"NOTIFY_SOCKET": name})
        sign.ready()
        sign.alive()
        sign.stopping()
        said = [systemd.recv(100) for _ in range(4)]
    assert said == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1", b"STATUS=stopping"]


def test_a_listener_that_is_gone_for_a_while_is_told_again_when_it_is_back(tmp_path: Path) -> None:
    sign = LifeSign.of_environment({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    sign.alive()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        sign.alive()
        assert systemd.recv(100) == b"WATCHDOG=1"


def test_a_reload_tells_when_it_began() -> None:
    said: list[bytes] = []
    before = time.monotonic_ns() // 1000
    LifeSign(said.append).reloading()
    first, second = said[0].split(b"\n")
    assert first == b"RELOADING=1"
    assert before <= int(second.removeprefix(b"MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_status_is_said_when_it_is_new_and_not_all_the_time() -> None:
    said: list[bytes] = []
    life = LifeSign(said.append)
    life.status("3 boxes\nall free", 100.0)
    life.status("3 boxes, 1 charging", 100.0 + STATUS_EVERY_S / 2)
    life.status("3 boxes, 2 charging", 100.0 + STATUS_EVERY_S)
    life.status("3 boxes, 2 charging", 100.0 + 2 * STATUS_EVERY_S)
    assert said == [b"STATUS=3 boxes all free", b"STATUS=3 boxes, 2 charging"]


def test_trouble_is_said_at_once_and_stands_for_a_while() -> None:
    said: list[bytes] = []
    life = LifeSign(said.append)
    life.status("fine", 100.0)
    life.trouble("broken settings", 101.0)
    life.status("fine", 101.0 + TROUBLE_STANDS_S / 2)
    life.status("fine", 101.0 + TROUBLE_STANDS_S)
    assert said == [b"STATUS=fine", b"STATUS=broken settings", b"STATUS=fine"]


def test_why_it_could_not_start_is_the_last_status_with_its_errno() -> None:
    said: list[bytes] = []
    life = LifeSign(said.append)
    try:
        try:
            raise OSError(98, "Address already in use")
        except OSError as error:
            raise ConfigError("port 443", "is in use") from error
    except ConfigError as error:
        life.failed(str(error), error)
    life.stopping()
    assert said == [b"STATUS=port 443: is in use\nERRNO=98", b"STOPPING=1"]


def test_an_endless_status_is_cut() -> None:
    said: list[bytes] = []
    LifeSign(said.append).status("ä" * 5000)
    assert len(said[0].decode()) < 500


@pytest.mark.parametrize(
    ("usec", "pid", "watch_s"),
    [
        ("30000000", None, 30.0),
        ("30000000", "ours", 30.0),
        ("30000000", "1", None),  # it is for another process
        ("0", None, None),
        ("often", None, None),
        ("", None, None),
    ],
)
def test_how_long_systemd_waits_is_known(usec: str, pid: str | None, watch_s: float | None) -> None:
    environment = {"WATCHDOG_USEC": usec}
    if pid is not None:
        environment["WATCHDOG_PID"] = str(os.getpid()) if pid == "ours" else pid
    assert LifeSign.of_environment(environment).watch_s == watch_s


def test_telling_goes_on_after_words_that_failed() -> None:
    said: list[bytes] = []
    clock = Clock()
    words = iter(["one", None, "two"])

    def next_words() -> str:
        found = next(words)
        if found is None:
            raise ValueError("no words")
        return found

    telling = Telling(clock, LifeSign(said.append), next_words)
    telling.start()
    clock.pump([STATUS_EVERY_S / 2] * 4)
    telling.stop()
    assert said == [b"STATUS=one", b"STATUS=two"]
    assert not clock.getDelayedCalls()


def test_nobody_is_told_where_nobody_listens() -> None:
    clock = Clock()
    Telling(clock, LifeSign(None), lambda: "words").start()
    assert not clock.getDelayedCalls()
