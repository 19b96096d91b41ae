"""Sockets that systemd listens on and hands over (sd_listen_fds(3)): for ports below 1024, and so that nobody who calls
during a restart is refused.

``main`` is the daemon's one port; other names (FileDescriptorName=) are other doors of its own.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from charging_manager.errors import ConfigError

MAIN = "main"
_FIRST = 3
Passed = Mapping[str, Sequence[socket.socket]]


def environment_at_start() -> dict[str, str]:
    """What this process was started with: Twisted takes LISTEN_* out of ``os.environ`` while it looks for plugins."""
    try:
        pairs = (each.partition(b"=") for each in Path("/proc/self/environ").read_bytes().split(b"\0"))
    except OSError:
        return dict(os.environ)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def passed_sockets(environment: Mapping[str, str], doors: Sequence[str] = (), first: int = _FIRST) -> Passed:
    """By name. They are ours alone from now on: no child inherits them.

    A name that is none of ``doors`` means the main port, as a socket unit without FileDescriptorName= has its own name.
    Raises: ConfigError for what is no listening TCP socket.
    """
    pid, count, names = (environment.get(f"LISTEN_{word}", "") for word in ("PID", "FDS", "FDNAMES"))
    if pid != str(os.getpid()) or not (count.isascii() and count.isdigit()):
        return {}
    called = names.split(":")
    found: dict[str, list[socket.socket]] = {}
    for number in range(int(count)):
        name = called[number] if number < len(called) else ""
        found.setdefault(name if name in doors else MAIN, []).append(_taken(first + number, name))
    return found


def _taken(descriptor: int, name: str) -> socket.socket:
    where = f"socket {name or descriptor}"
    try:
        os.set_inheritable(descriptor, False)
        taken = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ConfigError(where, f"what systemd handed over is no socket ({error.strerror})") from error
    is_tcp = taken.family in (socket.AF_INET, socket.AF_INET6) and taken.type == socket.SOCK_STREAM
    if not is_tcp or not taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise ConfigError(where, "must listen on TCP: in its socket unit write ListenStream= with a port")
    taken.setblocking(False)
    return taken
