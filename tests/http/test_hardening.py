"""Raw bytes at the door: what is refused, with which status, and that what is honest passes however it is cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charging_manager.http.heads import Refused, find_head, read_head
from tests.http.wire import Reply, Town, Transport, Wire, request, take_reply

GOOD = request()
BAD_400 = {
    "bare LF line ends": b"GET / HTTP/1.1\nHost: a\n\n",
    "one bare LF": b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
    "bare CR in a header": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
    "bare CR in the request line": b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
    "NUL": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "folded with a tab": b"GET / HTTP/1.1\r\nHost: a\r\n\tX: b\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\nX: a\r\n\r\n",
    "no Host in HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "empty Host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "Host with a path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "Host with user": b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "Host list": b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "Host with letters as port": b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
    "Host in UTF-8": "GET / HTTP/1.1\r\nHost: ä\r\n\r\n".encode(),
    "space before the colon": b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
    "header without colon": b"GET / HTTP/1.1\r\nHost: a\r\nXY\r\n\r\n",
    "header without name": b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "header name in UTF-8": "GET / HTTP/1.1\r\nHost: a\r\nÄ: b\r\n\r\n".encode(),
    "length and coding": b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "coding and length": b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
    "two lengths": b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "length list": b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
    "length +3": b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
    "length -1": b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "length 0x3": b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc",
    "length 3_0": b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3_0\r\n\r\nabc",
    "length ''": b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
    "length in other digits": "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ３\r\n\r\n".encode(),
    "coding gzip": b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "coding identity": b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
    "coding twice": b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "coding with vertical tab": b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
    "coding in HTTP/1.0": b"PUT / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "small letters": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "space in the address": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute address": b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "no slash": b"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
    "star": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT": b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "fragment": b"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
    "address in UTF-8": "GET /ä HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "TLS to a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "two Origins": b"GET / HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\nOrigin: http://b\r\n\r\n",
    "only line ends": b"\r\n\r\n\r\n\r\n",
}


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)


@pytest.mark.parametrize("data", BAD_400.values(), ids=BAD_400)
def test_what_two_parsers_could_read_differently_gets_400_and_a_closed_connection(data: bytes, town: Town) -> None:
    wire = town.connect()
    wire.send(data)
    reply = wire.reply()
    assert (reply.status, reply["Connection"]) == (400, "close")
    assert wire.transport.half_closed
    assert town.house.asked == []
    wire.send(GOOD)  # smuggled behind it: nobody reads it
    assert town.house.asked == []


@pytest.mark.parametrize("data", [each for each in BAD_400.values() if b"\r\n\r\n" in each])
def test_the_refusal_does_not_depend_on_how_the_bytes_are_cut(data: bytes, town: Town) -> None:
    wire = town.connect()
    for at in range(len(data)):
        wire.send(data[at : at + 1])
    assert wire.reply().status == 400
    assert town.house.asked == []


BROKEN_CHUNKS = [
    b"3\nabc\r\n0\r\n\r\n",
    b"3\r\nabcd\r\n0\r\n\r\n",
    b"x\r\nabc\r\n0\r\n\r\n",
    b"+3\r\nabc\r\n0\r\n\r\n",
    b"0x3\r\nabc\r\n0\r\n\r\n",
    b"-3\r\nabc\r\n0\r\n\r\n",
    b"3 \r\nabc\r\n0\r\n\r\n",
    b"\r\nabc\r\n0\r\n\r\n",
    b"3" * 5000 + b"\r\n",
    b"3;" + b"a" * 20_000 + b"\r\nabc\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("chunks", BROKEN_CHUNKS)
def test_broken_chunks_are_refused(chunks: bytes, town: Town) -> None:
    wire = town.connect()
    wire.send(b"PUT /api/v1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert wire.reply().status in (400, 413)
    assert wire.transport.closed
    assert town.house.asked == []


def test_honest_chunks_pass(town: Town) -> None:
    head = (
        b"PUT /api/v1/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    data = head + b"3;x=y\r\n{}\n\r\n1\r\n \r\n0\r\n\r\n" + GOOD
    for cut in range(1, len(data), 7):
        wire = town.connect()
        wire.send(data[:cut])
        wire.send(data[cut:])
        assert wire.reply().json() == {}
        assert wire.reply().json() == {"role": "nobody"}


def test_a_body_that_is_too_large_is_refused_before_it_is_read(town: Town) -> None:
    for target, limit in (("/api/v1/echo", 65_536), ("/api/v1/import", 1_048_576), ("/ui/en/login.htm", 0)):
        wire = town.connect()
        wire.send(f"PUT {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {limit + 1}\r\n\r\n".encode())
        assert wire.reply().status == 413
        assert wire.transport.closed
    assert town.house.asked == []


def test_the_largest_body_passes(town: Town) -> None:
    body = b'{"a": "' + b"x" * (1_048_576 - 9) + b'"}'
    assert len(body) == 1_048_576
    assert town.ask(request("PUT", "/api/v1/import", body)).status == 200


def test_a_stranger_from_elsewhere_may_not_fill_our_memory_with_large_bodies(town: Town) -> None:
    head = b"PUT /api/v1/import HTTP/1.1\r\nHost: cm.example\r\n%sContent-Length: 65537\r\n\r\n"
    for host, cookie, refused in (
        ("192.0.2.7", b"", True),
        ("127.0.0.1", b"", True),  # not loopback: Host is another
        ("192.0.2.7", b"Cookie: cm_plain_agent=t0ken\r\n", False),
    ):
        wire = town.connect(host)
        wire.send(head % cookie)
        assert wire.transport.closed is refused, (host, cookie)
    loopback = town.connect("127.0.0.1")
    loopback.send(head.replace(b"cm.example", b"localhost") % b"")
    assert not loopback.transport.closed


def test_chunks_over_the_limit_are_refused_as_they_come(town: Town) -> None:
    wire = town.connect()
    wire.send(b"PUT /api/v1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(100):
        wire.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        if wire.transport.closed:
            break
    assert wire.reply().status == 413
    assert town.house.asked == []


def test_expect_is_answered_only_where_the_body_is_wanted(town: Town) -> None:
    wire = town.connect()
    wire.send(
        b"PUT /api/v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
        b"Content-Type: application/json\r\n\r\n"
    )
    assert wire.transport.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.transport.sent = b""
    wire.send(b"{}")
    assert wire.reply().status == 200
    large = b"PUT /api/v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\nExpect: 100-continue\r\n\r\n"
    assert town.ask(large).status == 413
    assert town.ask(request(Expect="miracles")).status == 417


def too_large() -> dict[str, bytes]:
    return {
        "20 kB of cookies": request(Cookie="a=" + "x" * 20_000),
        "a head without end": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 5000,
        "65 headers": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 64 + b"\r\n",
        "one endless line": b"G" * 20_000,
    }


@pytest.mark.parametrize("data", too_large().values(), ids=too_large())
@pytest.mark.parametrize("secure", [False, True])
def test_too_large_heads_get_431_and_lose_our_cookies(data: bytes, secure: bool, town: Town) -> None:
    wire = town.connect(secure=secure)
    wire.send(data)
    reply = wire.reply()
    assert reply.status == 431
    names = [line.partition("=")[0] for line in reply.all("Set-Cookie")]
    prefix = "__Host-cm_agent" if secure else "cm_plain_agent"
    assert names == [prefix, prefix + "_device"]
    assert all("Max-Age=0" in line for line in reply.all("Set-Cookie"))
    assert b"<html" in reply.body


def test_64_headers_and_a_long_address_pass(town: Town) -> None:
    assert town.ask(b"GET /api/v1/me HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 63 + b"\r\n").status == 200
    assert town.ask(request(target="/api/v1/x" + "y" * 8000)).status == 404
    assert town.ask(request(target="/api/v1/x" + "y" * 9000)).status == 414


def test_after_a_refusal_the_rest_is_swallowed_but_not_for_ever(town: Town) -> None:
    wire = town.connect()
    wire.send(request("PUT", "/api/v1/echo", b"x" * 70_000))
    assert wire.reply().status == 413
    assert not wire.transport.aborted
    for _ in range(5):
        wire.send(b"x" * 65_536)
    assert wire.transport.aborted
    second = town.connect()
    second.send(BAD_400["no Host"])
    town.clock.advance(2.1)
    assert second.transport.aborted


def test_headers_have_ten_seconds_however_they_drip(town: Town) -> None:
    wire = town.connect()
    for second in range(9):
        wire.send(GOOD[second : second + 1])
        town.clock.advance(1)
    assert not wire.transport.closed
    town.clock.advance(1.1)
    assert wire.reply().status == 408
    assert wire.transport.closed


def test_a_silent_connection_is_closed_after_ten_seconds(town: Town) -> None:
    wire = town.connect()
    town.clock.advance(10.1)
    assert wire.transport.aborted
    assert wire.transport.sent == b""


def test_a_later_request_has_ten_seconds_from_its_first_byte(town: Town) -> None:
    wire = town.connect()
    wire.send(GOOD)
    assert wire.reply().status == 200
    town.clock.advance(50)
    wire.send(b"GET")
    town.clock.advance(9)
    wire.send(b" /api")
    assert not wire.transport.closed
    town.clock.advance(1.1)
    assert wire.reply().status == 408


def test_an_idle_connection_is_closed_after_a_minute(town: Town) -> None:
    wire = town.connect()
    wire.send(GOOD)
    town.clock.advance(59)
    assert not wire.transport.closed
    town.clock.advance(1.1)
    assert wire.transport.lost
    town.clock.advance(2.1)
    assert wire.transport.aborted


def test_a_body_that_drips_is_given_up(town: Town) -> None:
    wire = town.connect()
    wire.send(request("PUT", "/api/v1/echo", b"{" + b" " * 50_000 + b"}")[:-40_000])
    for _ in range(25):
        town.clock.advance(1)
        if not wire.transport.closed:
            wire.send(b" ")
    assert wire.reply().status == 408


def test_an_answer_may_take_its_time(town: Town) -> None:
    wire = town.connect()
    wire.send(request(target="/api/v1/slow"))
    town.clock.advance(600)
    town.house.waiting[0].callback({"a": 1})
    assert wire.reply().json() == {"a": 1}
    wire.send(GOOD)
    assert wire.reply().status == 200


def test_pipelined_requests_are_answered_in_order(town: Town) -> None:
    wire = town.connect()
    wire.send(request(target="/api/v1/slow") + GOOD + request("PUT", "/api/v1/echo", b'{"a": 2}') + GOOD[:20])
    assert wire.transport.sent == b""
    town.house.waiting[0].callback({"a": 1})
    assert wire.reply().json() == {"a": 1}
    assert wire.reply().json() == {"role": "nobody"}
    assert wire.reply().json() == {"a": 2}
    wire.send(GOOD[20:])
    assert wire.reply().status == 200


def test_a_thousand_pipelined_requests_do_not_exhaust_the_stack(town: Town) -> None:
    wire = town.connect()
    wire.send(GOOD * 1000)
    count = 0
    while wire.transport.sent:
        assert wire.reply().status == 200
        count += 1
    assert count == 1000


def test_what_is_pipelined_behind_a_running_answer_is_bounded(town: Town) -> None:
    wire = town.connect()
    wire.send(request(target="/api/v1/slow"))
    for _ in range(20):
        if not wire.transport.aborted:
            wire.send(GOOD * 200)
    assert wire.transport.aborted


def test_connection_close_and_http_1_0_end_the_connection(town: Town) -> None:
    for data in (request(Connection="close"), GOOD.replace(b"HTTP/1.1", b"HTTP/1.0")):
        wire = town.connect()
        wire.send(data + GOOD)
        assert wire.reply().status == 200
        assert wire.transport.lost
        assert wire.transport.sent == b""


def test_an_empty_line_before_a_request_is_forgiven(town: Town) -> None:
    wire = town.connect()
    wire.send(b"\r\n" + GOOD + b"\r\n" + GOOD)
    assert [wire.reply().status for _ in range(2)] == [200, 200]


def test_slow_connections_displace_each_other_and_memory_stays_bounded(town: Town) -> None:
    wires = [town.connect(f"10.0.0.{number % 5}") for number in range(3000)]
    for wire in wires:
        if not wire.transport.aborted:
            wire.send(b"GET /")
    assert len(town.site.crowd) == 1024
    assert sum(not wire.transport.aborted for wire in wires) == 1024
    town.connect("10.0.1.1").send(GOOD)
    assert town.ask(GOOD, "10.0.1.1").status == 200


def test_one_source_cannot_take_all_the_room(town: Town) -> None:
    others = [town.connect(f"10.0.1.{number}") for number in range(100)]
    flood = [town.connect("10.0.0.1") for _ in range(2000)]
    assert all(not wire.transport.aborted for wire in others)
    assert sum(not wire.transport.aborted for wire in flood) == 512


def test_connections_being_served_are_not_displaced(town: Town) -> None:
    served = town.connect("10.0.0.1")
    served.send(request(target="/api/v1/slow"))
    for _ in range(1500):
        town.connect("10.0.0.1")
    assert not served.transport.aborted
    town.house.waiting[0].callback(None)
    assert served.reply().status == 204


def test_bodies_that_do_not_come_make_way_too(town: Town) -> None:
    head = b"PUT /api/v1/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    for number in range(1024):
        town.connect(f"10.0.0.{number % 5}").send(head)
    assert town.ask(GOOD, "10.0.1.1").status == 200


def test_a_lost_connection_leaves_no_timer_and_no_place(town: Town) -> None:
    for data in (b"", GOOD[:10], GOOD, request(target="/api/v1/slow"), BAD_400["no Host"]):
        wire = town.connect()
        wire.send(data)
        wire.lose()
    assert town.clock.getDelayedCalls() == []
    assert len(town.site.crowd) == 0


def replies(transport: Transport) -> list[Reply]:
    found, data = [], transport.sent
    while data:
        reply, data = take_reply(data)
        found.append(reply)
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_honest_requests_pass_however_they_are_cut(data: st.DataObject, town: Town) -> None:
    bodies = data.draw(st.lists(st.sampled_from([b"", b"{}", b'{"a": [1, 2]}']), min_size=1, max_size=4))
    stream = b"".join(request("PUT", "/api/v1/echo", body) if body else GOOD for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    wire = town.connect()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        if start < end:
            wire.send(stream[start:end])
    assert [reply.status for reply in replies(wire.transport)] == [200] * len(bodies)


NOISE = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\x00", b"Host: a", b"Host: b", b"GET / HTTP/1.1", b"HTTP/1.1", b"0"]
    + [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"5", b"\xff\xfe", b"X: y", b"Connection: close", b"/"]
) | st.binary(max_size=20)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(NOISE, max_size=40), tail=st.booleans())
def test_noise_is_answered_or_refused_and_never_a_bug(pieces: list[bytes], tail: bool, town: Town) -> None:
    wire = town.connect()
    for piece in pieces + ([b"\r\n\r\n"] if tail else []):
        wire.send(piece)
    assert all(reply.status != 500 for reply in replies(wire.transport))
    wire.lose()
    assert town.clock.getDelayedCalls() == []


@settings(max_examples=300, deadline=None)
@given(pieces=st.lists(NOISE, max_size=30))
def test_a_head_that_passes_is_one_that_everybody_reads_alike(pieces: list[bytes]) -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(pieces) + b"\r\n\r\n"
    try:
        size = find_head(data)
        head = read_head(data[:size])
    except Refused:
        return
    text = data[: size - 4]
    assert text.count(b"\n") == text.count(b"\r") == text.count(b"\r\n")
    assert text.lower().count(b"\nhost:") == 1
    assert not (b"\ncontent-length:" in text.lower() and b"\ntransfer-encoding:" in text.lower())
    assert head.host in ("a", "b")


def test_the_search_for_the_end_does_not_start_anew_with_every_byte() -> None:
    looked = bytearray(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 16_000)
    assert find_head(looked, len(looked) - 1) == 0
    looked += b"\r"
    assert find_head(looked, len(looked) - 1) == 0
    looked += b"\n"
    assert find_head(looked, len(looked) - 1) == 0
    looked += b"\r\n"
    assert find_head(looked, len(looked) - 1) == len(looked)


def test_wires_close_over_tls_too(town: Town) -> None:
    wire: Wire = town.connect(secure=True)
    wire.send(BAD_400["folded header"])
    assert wire.reply().status == 400
    assert wire.transport.lost
    town.clock.advance(2.1)
    assert wire.transport.aborted
