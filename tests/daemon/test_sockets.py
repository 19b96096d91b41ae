"""What systemd hands over is taken by name, and nothing else is."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from charging_manager.daemon.sockets import passed_sockets
from charging_manager.errors import ConfigError


@pytest.fixture
def two() -> Iterator[tuple[int, list[int]]]:
    """Two listening sockets on neighbouring descriptors: the first descriptor, and both ports."""
    made = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [each.getsockname()[1] for each in made]
    first = 300
    for number, each in enumerate(made):
        os.dup2(each.fileno(), first + number, inheritable=True)
        each.close()
    yield first, ports


def environment(count: int, names: str | None = None, pid: int | None = None) -> dict[str, str]:
    found = {"LISTEN_PID": str(os.getpid() if pid is None else pid), "LISTEN_FDS": str(count), "HOME": "/"}
    return found if names is None else {**found, "LISTEN_FDNAMES": names}


def ports_of(found: object) -> dict[str, list[int]]:
    assert isinstance(found, dict)
    ports = {name: [each.getsockname()[1] for each in sockets] for name, sockets in found.items()}
    for sockets in found.values():
        for each in sockets:
            assert not each.get_inheritable() and not each.getblocking()
            each.close()
    return ports


@pytest.mark.parametrize(
    ("names", "by_name"),
    [
        ("main:modbus", {"main": 0, "modbus": 1}),
        ("modbus:main", {"modbus": 0, "main": 1}),
    ],
)
def test_they_are_known_by_name(names: str, by_name: dict[str, int], two: tuple[int, list[int]]) -> None:
    first, ports = two
    found = ports_of(passed_sockets(environment(2, names), ("modbus",), first))
    assert found == {name: [ports[at]] for name, at in by_name.items()}


@pytest.mark.parametrize("names", ["charging-manager.socket:main", None, "unknown"])
def test_what_has_no_name_of_ours_is_the_main_port(names: str | None, two: tuple[int, list[int]]) -> None:
    first, ports = two
    assert ports_of(passed_sockets(environment(2, names), ("modbus",), first)) == {"main": ports}


def test_what_is_for_another_process_is_left_alone() -> None:
    for around in ({}, environment(2, pid=1), {**environment(2), "LISTEN_FDS": "two"}):
        assert passed_sockets(around) == {}


def test_what_listens_on_no_tcp_port_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        os.dup2(udp.fileno(), 300, inheritable=True)
        with pytest.raises(ConfigError, match=r"socket main: must listen on TCP.*ListenStream"):
            passed_sockets(environment(1, "main"), first=300)
    with pytest.raises(ConfigError, match="is no socket"):
        passed_sockets(environment(1, "main"), first=301)
