"""What this machine itself knows: its IPv4 addresses with their networks, whom it is speaking to, its serial lines."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from array import array
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from serial.tools.list_ports import comports
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TookTooLong
from twisted.internet.error import DNSLookupError

from charging_manager.finding.ground import Interface

_SIOCGIFCONF = 0x8912
_SIOCGIFNETMASK = 0x891B
_REQUEST = struct.calcsize("16s16sP")
"""struct ifreq (netdevice(7)): a name, and an address in a union as large as its largest member."""
_MOST = 256
RESOLVE_S = 3.0
_ESTABLISHED = "01"
_BY_ID = Path("/dev/serial/by-id")


def own_interfaces() -> tuple[Interface, ...]:
    """Every IPv4 address of this machine with its network; none where the kernel does not tell."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            return tuple(_interfaces(asking))
        except OSError:
            return ()


def _interfaces(asking: socket.socket) -> Iterator[Interface]:
    room = array("B", bytes(_MOST * _REQUEST))
    where, size = room.buffer_info()
    length, _ = struct.unpack("iP", fcntl.ioctl(asking, _SIOCGIFCONF, struct.pack("iP", size, where)))
    told = room.tobytes()[:length]
    for at in range(0, length, _REQUEST):
        entry = told[at : at + _REQUEST]
        name = entry[:16].partition(b"\0")[0].decode("ascii", "replace")
        address = IPv4Address(entry[20:24])
        mask = IPv4Address(fcntl.ioctl(asking, _SIOCGIFNETMASK, entry)[20:24])
        yield Interface(name.partition(":")[0], address, IPv4Network(f"{address}/{mask}", strict=False))


def spoken_to() -> frozenset[tuple[IPv4Address, int]]:
    """Address and port of whatever this machine has a TCP connection to: a device that is in use already."""
    found = set()
    for path in (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6")):
        try:
            rows = path.read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            _, _, remote, state, *_ = row.split()
            host, _, port = remote.partition(":")
            if state == _ESTABLISHED:  # an IPv4 address is the last word of an IPv6 one that stands for it
                found.add((IPv4Address(int(host[-8:], 16).to_bytes(4, "little")), int(port, 16)))
    return frozenset(found)


async def resolved(host: str, reactor: Any) -> str | None:
    """The address of a host; None where nobody tells in time."""
    try:
        IPv4Address(host)
    except ValueError:
        asking: Deferred[str] = reactor.resolve(host, timeout=(1, 2))
        try:
            return await asking.addTimeout(RESOLVE_S, reactor)
        except (DNSLookupError, TookTooLong, OSError):
            return None
    return host


def serial_lines() -> tuple[str, ...]:
    """The serial devices of this machine, by their lasting names where they have one."""
    lasting = {}
    if _BY_ID.is_dir():
        lasting = {os.path.realpath(path): str(path) for path in sorted(_BY_ID.iterdir())}
    found = sorted(port.device for port in comports() if port.hwid != "n/a" or not port.device.startswith("/dev/ttyS"))
    return tuple(lasting.get(os.path.realpath(device), device) for device in found)
