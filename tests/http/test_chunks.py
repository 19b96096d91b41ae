"""Chunked bodies: what is honest comes out plainly however it is cut, and the rest is refused wherever it is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging_manager.http.chunks import MOST_BESIDE, MOST_LINE, Chunks
from charging_manager.http.heads import Refused


def fed(pieces: list[bytes], limit: int = 1000) -> tuple[bytes, bytes, bool]:
    """What is said again, what stays, and whether the body is over."""
    chunks, waiting, plain = Chunks(limit), bytearray(), b""
    for piece in pieces:
        waiting += piece
        plain += chunks.feed(waiting)
    return plain, bytes(waiting), chunks.over


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(each, len(data)) for each in at), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def body_of(plain: bytes) -> bytes:
    """A second reader, as simple as can be: ours says only plain chunks."""
    body = b""
    while True:
        size, _, plain = plain.partition(b"\r\n")
        if size == b"0":
            assert plain == b"\r\n"
            return body
        count = int(size, 16)
        body, end, plain = body + plain[:count], plain[count : count + 2], plain[count + 2 :]
        assert end == b"\r\n"


extensions = st.sampled_from([b"", b";", b";x", b";x=y", b';x="y z"', b";\xff"])
trailers = st.lists(st.sampled_from([b"X: y", b"Content-Length: 9", b"a:", b"Host: evil"]), max_size=3)


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=40), extensions, st.integers(0, 4)), max_size=6),
    trailers,
    st.binary(max_size=20),
    st.lists(st.integers(0, 400), max_size=10),
)
def test_what_is_honest_comes_out_plainly_however_it_is_cut(
    chunks: list[tuple[bytes, bytes, int]], ends: list[bytes], behind: bytes, at: list[int]
) -> None:
    sent = b"".join(b"0" * zeros + b"%X" % len(data) + more + b"\r\n" + data + b"\r\n" for data, more, zeros in chunks)
    sent += b"0\r\n" + b"".join(line + b"\r\n" for line in ends) + b"\r\n"
    plain, waiting, over = fed(cut(sent + behind, at))
    assert (body_of(plain), waiting, over) == (b"".join(data for data, _, _ in chunks), behind, True)


BROKEN = [
    b"x\r\n",
    b"\r\n",
    b" 1\r\na\r\n0\r\n\r\n",
    b"1 \r\na\r\n0\r\n\r\n",
    b"1\na\r\n0\r\n\r\n",
    b"1\ra\r\n0\r\n\r\n",
    b"1;\r\r\na\r\n0\r\n\r\n",
    b"1\r\na\n0\r\n\r\n",
    b"1\r\na0\r\n\r\n",
    b"1\r\nab\r\n0\r\n\r\n",
    b"0\r\n\n",
    b"0\r\nX\r\n\r\n",
    b"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"0\r\nX: y\r\n z\r\n\r\n",
    b"0\r\nX: a\x00b\r\n\r\n",
    b"0\r\nX: a\nb: c\r\n\r\n",
    b"0" * (MOST_LINE + 1),
    b"1;" + b"x" * MOST_LINE,
    (b"1;" + b"x" * 1000 + b"\r\na\r\n") * 17,
    b"0\r\n" + b"X: y\r\n" * (MOST_BESIDE // 4 + 1),
    b"1234567890abcdef\r\n",
]


@pytest.mark.parametrize("data", BROKEN)
def test_the_rest_is_refused_wherever_it_is_cut(data: bytes) -> None:
    pieces = [data[at : at + 1] for at in range(len(data))]
    for way in ([data], pieces, [data[:-1], data[-1:]]):
        with pytest.raises(Refused) as refused:
            fed(way)
        assert refused.value.status == 400


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_no_bytes_make_two_readings_of_one_body(data: bytes, at: list[int]) -> None:
    def reading(pieces: list[bytes]) -> object:
        try:
            return fed(pieces)
        except Refused as refused:
            return refused.status

    assert reading([data]) == reading(cut(data, at))


def test_a_size_over_the_limit_is_refused_when_it_is_told() -> None:
    for sizes in ([b"3e9\r\n"], [b"1f4\r\n" + b"x" * 500 + b"\r\n", b"1f5\r\n"], [b"fffffffffffffff\r\n"]):
        with pytest.raises(Refused) as refused:
            fed(sizes, 1000)
        assert refused.value.status == 413
    assert fed([b"3e8\r\n"], 1000) == (b"3e8\r\n", b"", False)
