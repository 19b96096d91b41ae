"""The ClientHello: names and protocols of real clients in any pieces; all else is refused, never believed."""

from __future__ import annotations

import random
import ssl
from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from OpenSSL import SSL

from charging_manager.clocks import utc_now
from charging_manager.http.certificates import self_signed
from charging_manager.http.clienthello import LARGEST, Hello, HelloReader, Malformed, TooLong

OFFERED = (b"h2", b"http/1.1")
NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{2,10}){1,3}", fullmatch=True)


def hello(name: str | None, protocols: tuple[str, ...] = ("h2", "http/1.1")) -> bytes:
    """What OpenSSL says first, through Python's ssl."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


def message_of(data: bytes) -> bytes:
    """The handshake message, without its records."""
    message, at = b"", 0
    while at < len(data):
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        message += data[at + 5 : at + 5 + size]
        at += 5 + size
    return message


def in_records(message: bytes, cuts: list[int]) -> bytes:
    ends = sorted({cut for cut in cuts if 0 < cut < len(message)} | {len(message)})
    pieces = [message[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


def read(pieces: list[bytes]) -> Hello | None:
    reader = HelloReader()
    for piece in pieces:
        found = reader.feed(piece)
        if found is not None:
            assert reader.taken == b"".join(pieces[: pieces.index(piece) + 1]) or len(set(pieces)) < len(pieces)
            return found
    return None


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({at for at in cuts if 0 < at < len(data)} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(NAMES, st.lists(st.integers(1, 1800), max_size=8), st.lists(st.integers(1, 2000), max_size=8))
def test_a_real_clients_name_is_read_however_records_and_segments_are_cut(
    name: str, records: list[int], segments: list[int]
) -> None:
    data = in_records(message_of(hello(name)), records)
    found = read(cut(data, segments))
    assert found == Hello(name, OFFERED)


def test_byte_by_byte_and_in_records_of_one_byte() -> None:
    data = hello("cm-abcdefghabcdefgh.cloud.example")
    assert read([bytes((byte,)) for byte in data]) == Hello("cm-abcdefghabcdefgh.cloud.example", OFFERED)
    message = message_of(data)
    assert read([in_records(message, list(range(len(message))))]) == Hello("cm-abcdefghabcdefgh.cloud.example", OFFERED)


def test_the_protocols_that_a_client_offers_are_read() -> None:
    assert read([hello("cloud.example", ("cm-tunnel/1",))]) == Hello("cloud.example", (b"cm-tunnel/1",))
    assert read([hello("cloud.example", ())]) == Hello("cloud.example", ())


@pytest.mark.parametrize("damage", [(b"\x00\x0c\x02h2", b"\x00\x0b\x02h2"), (b"\x02h2\x08", b"\x02h2\x09")])
def test_protocols_that_are_cut_off_are_none(damage: tuple[bytes, bytes]) -> None:
    data = hello("cloud.example")
    assert damage[0] in data
    with pytest.raises(Malformed):
        read([data.replace(*damage)])


def test_no_name_and_capitals() -> None:
    assert read([hello(None)]) == Hello(None, OFFERED)
    assert read([hello("Cloud.Example")]) == Hello("cloud.example", OFFERED)


def test_what_comes_behind_a_whole_hello_is_kept_for_whoever_gets_it() -> None:
    reader = HelloReader()
    data = hello("cloud.example") + b"early data" * 5000
    assert reader.feed(data) == Hello("cloud.example", OFFERED)
    assert reader.taken == data


@given(st.integers(0, 1700))
def test_a_hello_that_has_not_ended_is_waited_for(end: int) -> None:
    data = hello("cloud.example")
    assert read([data[: min(end, len(data) - 1)]]) is None


def padded(size: int) -> bytes:
    """A hello of this many bytes, its record included: it says so itself, and only that much is there."""
    return b"\x16\x03\x01\x40\x00\x01" + (size - 9).to_bytes(3, "big") + bytes(size - 9)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x40\x01",  # a record that is too long
        b"\x16\x03\x01\x00\x04\x01\x00\x40\x00",  # a message that is too long, said in its fourth byte
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
        padded(LARGEST + 9),
        b"\x16\x03\x01\x3f\xf0" + b"\x01\x00\x3f\xf8" + bytes(0x3FEC) + b"\x16\x03\x01\x00\x10",
    ],
)
def test_what_is_too_long_is_known_at_once(data: bytes) -> None:
    with pytest.raises(Malformed):
        read([data])


def test_endless_small_records_end_at_the_bound() -> None:
    reader = HelloReader()
    reader.feed(b"\x16\x03\x01\x00\x04\x01\x00\x3f\x00")
    with pytest.raises(TooLong):
        for _ in range(LARGEST):
            assert reader.feed(b"\x16\x03\x01\x00\x01x") is None
            assert len(reader.taken) <= LARGEST


def changed(name: bytes) -> bytes:
    """A real hello whose name is another one of the same length."""
    data = hello("cloud.example")
    assert len(name) == len(b"cloud.example")
    return data.replace(b"cloud.example", name)


@pytest.mark.parametrize("name", [b"cloud\0example", b"cloud example", b"cloud\xffexample", b"cloud\nexample"])
def test_a_name_of_odd_bytes_is_none(name: bytes) -> None:
    with pytest.raises(Malformed):
        read([changed(name)])


def test_two_names_are_none() -> None:
    data = bytearray(hello("cloud.example"))
    message = bytearray(message_of(bytes(data)))
    at = message.index(b"cloud.example") - 9
    extension = bytes(message[at : at + 9 + len("cloud.example")])
    block_at = message.index(extension) - 2
    while int.from_bytes(message[block_at : block_at + 2], "big") != len(message) - block_at - 2:
        block_at -= 1
    message[at:at] = extension
    message[block_at : block_at + 2] = (len(message) - block_at - 2).to_bytes(2, "big")
    message[1:4] = (len(message) - 4).to_bytes(3, "big")
    with pytest.raises(Malformed):
        read([in_records(bytes(message), [])])


@cache
def server_context() -> SSL.Context:
    pair = self_signed("cloud.example", utc_now())
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(pair.leaf)
    context.use_privatekey(pair.key)
    context.set_tlsext_servername_callback(
        lambda connection: READ.append((connection.get_servername() or b"").decode("ascii", "replace").lower() or None)
    )

    def choose(_: SSL.Connection, offered: list[bytes]) -> object:
        SEEN.append(tuple(offered))
        return SSL.NO_OVERLAPPING_PROTOCOLS

    context.set_alpn_select_callback(choose)
    return context


READ: list[str | None] = []
"""What OpenSSL's servers were asked for."""
SEEN: list[tuple[bytes, ...]] = []
"""And which protocols they were offered."""


def openssl_reads(data: bytes) -> tuple[bool, str | None]:
    """Whether OpenSSL goes on with this hello, and the name that it has read."""
    READ.clear()
    SEEN.clear()
    server = SSL.Connection(server_context(), None)
    server.set_accept_state()
    server.bio_write(data)
    try:
        server.do_handshake()
    except SSL.WantReadError:
        return bool(READ), READ[0] if READ else None
    except SSL.Error:
        return False, None
    return True, READ[0] if READ else None


@given(st.integers(0, 2**32), st.integers(1, 3))
@example(1, 1)
def test_what_openssl_reads_from_a_damaged_hello_we_read_too_or_nothing(seed: int, damages: int) -> None:
    """Else a connection could be one installation's to us and another's to whoever ends its TLS."""
    chance = random.Random(seed)
    data = bytearray(hello("cloud.example"))
    for _ in range(damages):
        at = chance.randrange(len(data))
        if chance.random() < 0.5:
            data[at] = chance.randrange(256)
        elif chance.random() < 0.5:
            del data[at : at + chance.randrange(1, 5)]
        else:
            data[at:at] = chance.randbytes(chance.randrange(1, 5))
    try:
        ours = read([bytes(data)])
    except Malformed:
        ours = None
    accepted, theirs = openssl_reads(bytes(data))
    if ours is not None and accepted:
        assert ours.name == theirs
        assert [ours.protocols] == (SEEN or [()])


@given(st.binary(max_size=600))
def test_anything_else_is_no_hello(data: bytes) -> None:
    reader = HelloReader()
    try:
        found = reader.feed(b"\x16" + data)
    except Malformed:
        return
    assert found is None or isinstance(found, Hello)
