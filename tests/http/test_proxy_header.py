"""The PROXY protocol's header: what proxies write is read in any pieces, whatever else comes is refused at once."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address as TcpAddress
from twisted.internet.task import Clock

from charging_manager.errors import ConfigError
from charging_manager.http.cookies import CookieNames
from charging_manager.http.facts import Forwarded, peer_of
from charging_manager.http.listener import PROXY_WITHIN_S, Listener
from charging_manager.http.pages import Pages
from charging_manager.http.proxy_header import (
    LARGEST_BLOCK,
    LARGEST_LINE,
    Header,
    HeaderReader,
    NoHeader,
    Proxies,
)
from charging_manager.http.tls import TlsDoor
from charging_manager.http.web import build_site
from tests.http.wire import House, Transport, request, take_reply

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
ADDRESSES = st.ip_addresses()
PORTS = st.integers(0, 65535)


def line(source: Any, to: Any, ports: tuple[int, int] = (50000, 4443)) -> bytes:
    """Version 1, as haproxy and nginx write it."""
    return f"PROXY TCP{source.version} {source} {to} {ports[0]} {ports[1]}\r\n".encode()


def block(
    source: Any, to: Any, ports: tuple[int, int] = (50000, 4443), more: bytes = b"", command: int = 0x21
) -> bytes:
    """Version 2."""
    content = source.packed + to.packed + struct.pack("!HH", *ports) + more
    family = 0x11 if source.version == 4 else 0x21
    return SIGNATURE + struct.pack("!BBH", command, family, len(content)) + content


def local(content: bytes = b"") -> bytes:
    """Version 2, of a proxy that speaks for itself."""
    return SIGNATURE + struct.pack("!BBH", 0x20, 0, len(content)) + content


def read(data: bytes, cuts: list[int] | None = None) -> tuple[Header | None, bytes]:
    """The header, and what lies behind it, of data that comes in pieces."""
    reader = HeaderReader()
    ends = sorted({cut for cut in cuts or [] if 0 < cut < len(data)} | {len(data)})
    begin = 0
    for end in ends:
        found = reader.feed(data[begin:end])
        if found is not None:
            return found, reader.rest + data[end:]
        begin = end
    return None, b""


@st.composite
def headers(draw: st.DrawFn) -> tuple[bytes, str, int]:
    version = draw(st.sampled_from([4, 6]))
    source, to = (draw(st.ip_addresses(v=version)) for _ in range(2))
    ports = draw(PORTS), draw(PORTS)
    if draw(st.booleans()):
        return line(source, to, ports), str(source), ports[0]
    extras = draw(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=3))
    more = b"".join(struct.pack("!BH", kind, len(value)) + value for kind, value in extras)
    return block(source, to, ports, more), str(source), ports[0]


@given(headers(), st.binary(max_size=100), st.lists(st.integers(1, 400), max_size=8))
def test_what_a_proxy_writes_is_read_in_any_pieces(
    written: tuple[bytes, str, int], behind: bytes, cuts: list[int]
) -> None:
    data, source, port = written
    assert read(data + behind, cuts) == (Header(source, port), behind)
    assert read(data + behind, list(range(len(data) + len(behind)))) == (Header(source, port), behind)


@given(headers(), st.data())
def test_half_a_header_is_no_header_yet(written: tuple[bytes, str, int], data: st.DataObject) -> None:
    whole = written[0]
    assert read(whole[: data.draw(st.integers(1, len(whole) - 1))]) == (None, b"")


@given(st.binary(min_size=1, max_size=3000), st.lists(st.integers(1, 3000), max_size=5))
@example(b"GET / HTTP/1.1\r\n", [])
@example(b"\x16\x03\x01\x02\x00", [])
@example(b"\r\n\r\nGET", [])
def test_anything_else_is_refused_or_waited_for_within_bounds(data: bytes, cuts: list[int]) -> None:
    try:
        found, _ = read(data, cuts)
    except NoHeader:
        return
    assert found is not None or len(data) < 16 + LARGEST_BLOCK


@given(st.sampled_from([b"PROXY ", SIGNATURE, SIGNATURE + b"\x21\x11\x00\x0c"]), st.binary(max_size=3000))
def test_what_only_begins_like_a_header_is_refused_or_ends_within_bounds(start: bytes, data: bytes) -> None:
    try:
        found, _ = read(start + data)
    except NoHeader:
        return
    assert found is not None or len(data) < 16 + LARGEST_BLOCK


@given(headers(), st.data())
def test_one_changed_byte_never_makes_another_kind_of_trouble(
    written: tuple[bytes, str, int], data: st.DataObject
) -> None:
    whole = bytearray(written[0])
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found, _ = read(bytes(whole))
    except NoHeader:
        return
    assert found is None or found.source is None or ip_address(found.source)


BAD = {
    "no proxy": b"GET / HTTP/1.1\r\n\r\n",
    "tls": b"\x16\x03\x01\x00\x05hello",
    "small letters": b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    "no protocol": b"PROXY \r\n",
    "another protocol": b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
    "one port": b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
    "three ports": b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
    "two spaces": b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
    "a name": b"PROXY TCP4 localhost 1.2.3.4 1 2\r\n",
    "a zone": b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    "a leading zero in an address": b"PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
    "a leading zero in a port": b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
    "a port too high": b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
    "a port below zero": b"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
    "a wrong family": b"PROXY TCP4 ::1 ::1 1 2\r\n",
    "digits of elsewhere": "PROXY TCP4 1.2.3.4 1.2.3.4 ١ 2\r\n".encode(),
    "a bare line feed": b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n" + b"x" * LARGEST_LINE,
    "no end": b"PROXY UNKNOWN " + b"x" * LARGEST_LINE,
    "an end too late": b"PROXY UNKNOWN " + b"x" * (LARGEST_LINE - 15) + b"\r\n",
    "version 1 in version 2": SIGNATURE + b"\x11\x11\x00\x00",
    "an unknown command": SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
    "udp": SIGNATURE + b"\x21\x12\x00\x0c" + bytes(12),
    "a unix socket": SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216),
    "an unknown family": SIGNATURE + b"\x21\x41\x00\x0c" + bytes(12),
    "addresses cut off": SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
    "an extra cut off": SIGNATURE + b"\x21\x11\x00\x0e" + bytes(14),
    "an extra that is longer": SIGNATURE + b"\x21\x11\x00\x0f" + bytes(12) + b"\x01\x00\x01",
    "too long": SIGNATURE + b"\x21\x11" + struct.pack("!H", LARGEST_BLOCK + 1),
    "too long, and of its own": SIGNATURE + b"\x20\x00\xff\xff",
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_is_not_as_the_specification_has_it_is_refused(bad: bytes) -> None:
    with pytest.raises(NoHeader):
        read(bad)


@pytest.mark.parametrize(
    "said",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
        local(),
        local(bytes(40)),
        SIGNATURE + b"\x21\x00\0\0",
    ],
)
def test_a_proxy_may_speak_for_itself(said: bytes) -> None:
    assert read(said + b"GET") == (Header(), b"GET")


def test_the_longest_line_of_version_1_is_read() -> None:
    longest = b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535"
    longest += b" " * (LARGEST_LINE - 2 - len(longest)) + b"\r\n"
    assert read(longest) == (Header(), b"")


# -- who may say so


def test_only_named_networks_are_proxies() -> None:
    proxies = Proxies(["127.0.0.0/8", " 10.0.0.5", "fd00::/64"])
    for one in ("127.0.0.1", "::ffff:127.0.0.9", "10.0.0.5", "fd00::7", "fd00::7%eth0"):
        assert one in proxies
    for other in ("10.0.0.6", "::ffff:10.0.0.6", "::1", "fd00:0:0:1::7", "", "nonsense", "::127.0.0.1"):
        assert other not in proxies
    assert not Proxies() and "127.0.0.1" not in Proxies()


@pytest.mark.parametrize("wrong", ["", "proxy.example", "10.0.0.5/24", "0.0.0.0/0", "::/0", "10.0.0.0/33"])
def test_who_cannot_be_a_proxy_is_told_in_a_sentence(wrong: str) -> None:
    with pytest.raises(ConfigError, match="proxy-from"):
        Proxies([wrong])


# -- at the listener


class Lobby:
    """A listener in memory, without TLS, whose site says what it was asked and by whom."""

    def __init__(self, folder: Path, *networks: str) -> None:
        self.clock, self.house = Clock(), House()
        (folder / "web").mkdir()
        site: Any = build_site(
            self.house,
            Pages([folder / "web"], folder / "web"),
            CookieNames("agent"),
            reactor=self.clock,
            allow_http=True,
        )
        self.listener = Listener(self.clock, 0, site, None, TlsDoor(folder / "tls"), True, proxies=Proxies(networks))

    def connect(self, host: str) -> Transport:
        transport: Any = Socket(host)
        transport.protocol = self.listener.door.buildProtocol(TcpAddress("TCP", host, 50000))
        transport.protocol.makeConnection(transport)
        return transport  # type: ignore[no-any-return]

    def ask(self, transport: Any, data: bytes) -> None:
        transport.protocol.dataReceived(data)


class Socket(Transport):
    protocol: Any

    def setTcpKeepAlive(self, enabled: bool) -> None: ...


@pytest.fixture
def lobby(tmp_path: Path) -> Lobby:
    return Lobby(tmp_path, "127.0.0.0/8", "10.0.0.5")


def facts_of(lobby: Lobby) -> tuple[str, bool]:
    _, _, facts = lobby.house.asked[-1]
    return facts.source, facts.loopback


CLIENT, SERVER = IPv4Address("203.0.113.7"), IPv4Address("10.0.0.1")


@pytest.mark.parametrize("header", [line(CLIENT, SERVER), block(CLIENT, SERVER)])
@pytest.mark.parametrize("proxy", ["127.0.0.1", "10.0.0.5", "::ffff:10.0.0.5"])
def test_the_client_is_who_the_proxy_says(lobby: Lobby, header: bytes, proxy: str) -> None:
    for pieces in ([header + request()], [header, request()], [header[:7], header[7:] + request()]):
        wire = lobby.connect(proxy)
        for piece in pieces:
            lobby.ask(wire, piece)
        assert take_reply(wire.sent)[0].status == 200
        assert facts_of(lobby) == ("203.0.113.7", False)


@pytest.mark.parametrize(
    "header",
    [
        line(IPv4Address("127.0.0.1"), IPv4Address("127.0.0.1")),
        block(IPv6Address("::1"), IPv6Address("::1")),
        block(IPv6Address("::ffff:127.0.0.1"), IPv6Address("::1")),
        local(),
        b"PROXY UNKNOWN\r\n",
    ],
)
def test_whom_a_proxy_forwards_is_never_this_machine_itself(lobby: Lobby, header: bytes) -> None:
    wire = lobby.connect("127.0.0.1")
    lobby.ask(wire, header + request(host="localhost"))
    assert take_reply(wire.sent)[0].status == 200
    assert not facts_of(lobby)[1]


def test_a_proxy_that_says_nothing_about_its_client_is_closed(lobby: Lobby) -> None:
    wire = lobby.connect("127.0.0.1")
    lobby.ask(wire, request())
    assert wire.aborted and not lobby.house.asked
    assert len(lobby.listener.strangers) == 0
    slow = lobby.connect("127.0.0.1")
    lobby.ask(slow, line(CLIENT, SERVER)[:20])
    lobby.clock.advance(PROXY_WITHIN_S - 0.1)
    assert not slow.aborted
    lobby.clock.advance(0.2)
    assert slow.aborted


def test_nobody_else_chooses_his_address(lobby: Lobby) -> None:
    for header in (line(CLIENT, SERVER), block(CLIENT, SERVER)):
        wire = lobby.connect("198.51.100.9")
        lobby.ask(wire, header + request())
        assert take_reply(wire.sent)[0].status == 400 and not lobby.house.asked
    plain = lobby.connect("198.51.100.9")
    lobby.ask(plain, request())
    assert facts_of(lobby) == ("198.51.100.9", False)


def test_a_header_within_what_a_proxy_forwards_is_not_read(lobby: Lobby) -> None:
    wire = lobby.connect("127.0.0.1")
    lobby.ask(wire, block(CLIENT, SERVER) + line(IPv4Address("127.0.0.1"), SERVER) + request())
    assert take_reply(wire.sent)[0].status == 400 and not lobby.house.asked


def test_strangers_are_counted_by_their_own_address(lobby: Lobby) -> None:
    for number in range(3):
        lobby.ask(lobby.connect("127.0.0.1"), line(IPv4Address(f"203.0.113.{number}"), SERVER))
    crowd = lobby.listener.strangers
    assert len(crowd) == 3 and set(crowd._count) == {f"203.0.113.{n}" for n in range(3)}


def test_a_forwarded_peer_is_known_as_one() -> None:
    assert peer_of(TcpAddress("TCP", "::ffff:127.0.0.1", 1)).loopback
    assert not peer_of(Forwarded("127.0.0.1", 1)).loopback
    assert peer_of(Forwarded("::ffff:203.0.113.7", 1)).source == "203.0.113.7"
    assert peer_of(None).source == ""
