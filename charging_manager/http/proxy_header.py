"""The line or block that a proxy in TCP mode sends ahead of a connection: whom it forwards (PROXY protocol). No I/O.

Only networks that were named send it, and they must; from anybody else it is bytes like any other, so nobody chooses
his own address. What stands not exactly as the specification has it is ``NoHeader``.
Source: haproxy.org, ``doc/proxy-protocol.txt`` of 2020/03/05, sections 2.1 (text) and 2.2 (binary).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from attrs import frozen

from charging_manager.errors import ConfigError
from charging_manager.http.facts import unmapped

LARGEST_LINE = 107
"""Of version 1, its end included."""
LARGEST_BLOCK = 2_048
"""Of version 2, what follows its first 16 bytes: addresses, and what a proxy adds beside them."""
OF_NOBODY = b"PROXY UNKNOWN\r\n"
"""A header that names no client: of a call that a machine makes to itself."""
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_START = b"PROXY "
_FIXED = struct.Struct("!12sBBH")
_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6 = 0x00, 0x11, 0x21
_KINDS: dict[str, Callable[[str], IPv4Address | IPv6Address]] = {"TCP4": IPv4Address, "TCP6": IPv6Address}
_PORT = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)


class NoHeader(Exception):
    """This is no header of the PROXY protocol that we accept; ``str`` says why."""


@frozen
class Header:
    """A whole header. Without a source the proxy speaks for itself (a health check), or does not know the client."""

    source: str | None = None
    port: int = 0


class HeaderReader:
    """Bytes in, the header out once it is whole; then ``rest`` is what came behind it."""

    def __init__(self) -> None:
        self._taken = bytearray()
        self.rest = b""

    def feed(self, data: bytes) -> Header | None:
        """None: more must come. Raises: NoHeader; nothing may be fed after that, nor after the header."""
        self._taken += data
        taken = self._taken
        if taken[:12] == _SIGNATURE[: len(taken)]:
            return self._block()
        if taken[:6] == _START[: len(taken)]:
            return self._line()
        raise NoHeader("it begins with neither of the two signatures")

    def _line(self) -> Header | None:
        end = self._taken.find(b"\r\n", 0, LARGEST_LINE)
        if end < 0:
            if len(self._taken) >= LARGEST_LINE:
                raise NoHeader(f"its line does not end within {LARGEST_LINE} bytes")
            return None
        self.rest = bytes(self._taken[end + 2 :])
        return _read_line(bytes(self._taken[:end]))

    def _block(self) -> Header | None:
        if len(self._taken) < _FIXED.size:
            return None
        _, command, family, size = _FIXED.unpack_from(self._taken)
        if command not in (_LOCAL, _PROXY):
            raise NoHeader("its version or its command is unknown")
        if size > LARGEST_BLOCK:
            raise NoHeader(f"it is longer than {LARGEST_BLOCK} bytes")
        end = _FIXED.size + size
        if len(self._taken) < end:
            return None
        self.rest = bytes(self._taken[end:])
        return Header() if command == _LOCAL else _read_block(family, bytes(self._taken[_FIXED.size : end]))


def _read_line(line: bytes) -> Header:
    try:
        _, family, *fields = line.decode("ascii").split(" ")
    except ValueError as error:
        raise NoHeader("its line is not ASCII, or has no protocol") from error
    if family == "UNKNOWN":
        return Header()
    if family not in _KINDS or len(fields) != 4:
        raise NoHeader("it is neither TCP4, TCP6 nor UNKNOWN, or has not two addresses and two ports")
    source, destination, *ports = fields
    kind = _KINDS[family]
    try:
        address = kind(source)
        kind(destination)
    except ValueError as error:
        raise NoHeader("an address is none") from error
    if "%" in source + destination or not all(_PORT.fullmatch(port) and int(port) < 65536 for port in ports):
        raise NoHeader("an address or a port is none")
    return Header(str(address), int(ports[0]))


def _read_block(family: int, content: bytes) -> Header:
    if family == _UNSPECIFIED:
        return Header()
    size = {_TCP4: 4, _TCP6: 16}.get(family)
    if size is None:
        raise NoHeader("it forwards something else than TCP")
    behind = 2 * size + 4
    if len(content) < behind:
        raise NoHeader("its addresses are cut off")
    while behind < len(content):  # type, length, value: of no use to us, but they must be whole
        if behind + 3 > len(content):
            raise NoHeader("what follows the addresses is cut off")
        behind += 3 + int.from_bytes(content[behind + 1 : behind + 3], "big")
    if behind != len(content):
        raise NoHeader("what follows the addresses is cut off")
    source = (IPv4Address if size == 4 else IPv6Address)(content[:size])
    return Header(str(source), int.from_bytes(content[2 * size : 2 * size + 2], "big"))


class Proxies:
    """The networks from which a connection must begin with a header. Empty: there is no proxy."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """``networks`` like ``10.0.0.5`` and ``127.0.0.0/8``. Raises: ConfigError."""
        self._networks = [_network(text.strip()) for text in networks]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, host: str) -> bool:
        """Whether this peer is one of them."""
        try:
            address: IPv4Network | IPv6Network = ip_network(unmapped(host))
        except ValueError:
            return False
        return any(
            address.version == network.version and address.network_address in network for network in self._networks
        )


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise ConfigError(
            "proxy-from", f"{text!r} is no address and no network; write them like 10.0.0.5 or 10.0.0.0/24"
        ) from error
    if network.prefixlen == 0:
        raise ConfigError("proxy-from", f"{text} is everybody: then anybody could choose his address; name the proxies")
    return network
