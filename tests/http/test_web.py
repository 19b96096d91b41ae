"""The web side in memory: cookies, headers, foreign pages, redirects, files and streams."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import capturedLogs

from charging_manager.http.cookies import CookieNames, read_cookie
from charging_manager.http.facts import is_loopback, unmapped
from charging_manager.http.headers import DATA_POLICY, PAGE_POLICY
from charging_manager.http.routes import Problem
from tests.http.wire import Town, request

BUNDLED = "/ui/files/bundle/agent-login-0123456789abcdef.js"


def lay_bundle(folder: Path) -> None:
    place = folder / "web/bundle" / Path(BUNDLED).name
    place.parent.mkdir()
    for suffix, data in (("", b"plain();"), (".gz", b"as gzip"), (".br", b"as brotli")):
        place.with_name(place.name + suffix).write_bytes(data)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    town = Town(tmp_path)
    (tmp_path / "web/agent/overview.htm").write_text('<html lang="{{lang}}"><h1>{{t:Save & "go"}}</h1>{{x}}</html>')
    (tmp_path / "web/common/login.htm").write_text("<html>login</html>")
    (tmp_path / "web/common/app.js").write_text("export const a = 1;\n" * 200)
    (tmp_path / "web/common/secret.py").write_text("x")
    (tmp_path / "web/common/.hidden.js").write_text("x")
    (tmp_path / "outside.js").write_text("outside")
    (tmp_path / "web/common/link.js").symlink_to(tmp_path / "outside.js")
    return town


def test_facts_of_a_request_reach_the_front(town: Town) -> None:
    town.ask(
        request(
            target="/api/v1/me?x=1%202",
            Cookie="cm_plain_agent=t0ken; cm_plain_agent_device=d3v; other=1",
            Accept_Language="fr-CH, de;q=0.5",
            Last_Event_ID="7",
            X_Secret="no",
        ),
        host="::ffff:192.0.2.7",
    )
    raw, caller, facts = town.house.asked[0]
    assert (raw.method, raw.path, raw.query, raw.body) == ("GET", "/api/v1/me", "x=1%202", b"")
    assert dict(raw.headers) == {"accept-language": "fr-CH, de;q=0.5", "last-event-id": "7"}
    assert (facts.login, facts.device, facts.source, facts.secure) == ("t0ken", "d3v", "192.0.2.7", False)
    assert facts.language == "fr"
    assert caller.login == "handle"
    assert "t0ken" not in repr(facts)


@pytest.mark.parametrize(
    ("peer", "host", "extra", "expected"),
    [
        ("127.0.0.1", "localhost", {}, True),
        ("::1", "[::1]:8080", {}, True),
        ("::ffff:127.0.0.1", "127.0.0.1:8080", {}, True),
        ("127.0.0.1", "LOCALHOST:80", {}, True),
        ("127.0.0.1", "evil.example", {}, False),
        ("127.0.0.1", "localhost.evil.example", {}, False),
        ("127.0.0.1", "localhost", {"Forwarded": "for=1.2.3.4"}, False),
        ("127.0.0.1", "localhost", {"X_Forwarded_For": "1.2.3.4"}, False),
        ("127.0.0.1", "localhost", {"X_Forwarded_Proto": "https"}, False),
        ("192.0.2.1", "localhost", {}, False),
        ("::ffff:192.0.2.1", "127.0.0.1", {}, False),
    ],
)
def test_loopback_is_what_peer_host_and_headers_all_say(
    peer: str, host: str, extra: dict[str, str], expected: bool, town: Town
) -> None:
    town.ask(request(host=host, **extra), host=peer)
    assert town.house.asked[0][2].loopback is expected


def test_over_tls_only_the_host_cookie_counts_and_over_plain_http_only_the_plain_one(town: Town) -> None:
    for secure in (False, True):
        for name in ("cm_plain_agent", "__Host-cm_agent"):
            town.ask(request(Cookie=f"{name}=t0ken"), secure=secure)
    assert [facts.login for _, _, facts in town.house.asked] == ["t0ken", None, None, "t0ken"]


def test_a_login_sets_cookies_and_a_logout_clears_one(town: Town) -> None:
    reply = town.ask(request("POST", "/api/v1/login"), secure=True)
    login, device = reply.all("Set-Cookie")
    assert login == "__Host-cm_agent=t0ken; Path=/; Max-Age=7776000; HttpOnly; SameSite=Strict; Secure"
    assert device.startswith("__Host-cm_agent_device=d3vice.x; Path=/; Max-Age=")
    plain = town.ask(request("POST", "/api/v1/login"))
    assert plain.all("Set-Cookie")[0] == "cm_plain_agent=t0ken; Path=/; Max-Age=7776000; HttpOnly; SameSite=Strict"
    assert town.ask(request("POST", "/api/v1/logout"), secure=True)["Set-Cookie"] == (
        "__Host-cm_agent=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict; Secure"
    )


def test_every_answer_carries_the_headers(town: Town) -> None:
    for target in ("/", "/ui/en/login.htm", "/ui/files/common/app.js", "/nowhere", "/api/v1/me", "/api/v1/nowhere"):
        for method in ("GET", "HEAD", "DELETE", "OPTIONS"):
            reply = town.ask(request(method, target))
            is_data = target.startswith("/api/")
            assert reply["Content-Security-Policy"] == (DATA_POLICY if is_data else PAGE_POLICY), (method, target)
            assert reply["X-Content-Type-Options"] == "nosniff"
            assert reply["Referrer-Policy"] == "no-referrer"
            assert reply["Cross-Origin-Opener-Policy"] == "same-origin"
            assert reply["Cross-Origin-Resource-Policy"] == "same-origin"
            assert reply["Cache-Control"] == "no-store" or not is_data
            assert reply.all("Server") == reply.all("Strict-Transport-Security") == []


def test_the_policy_is_the_one_that_was_decided() -> None:
    assert PAGE_POLICY == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
        "manifest-src 'self'; worker-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def test_hsts_only_over_tls_with_a_ca_signed_certificate_and_without_allow_http(tmp_path: Path) -> None:
    for allow_http, signed, secure in [(a, s, t) for a in (0, 1) for s in (0, 1) for t in (0, 1)]:
        town = Town(tmp_path, allow_http=bool(allow_http), hsts=lambda signed=signed: bool(signed))
        reply = town.ask(request(), secure=bool(secure))
        assert bool(reply.all("Strict-Transport-Security")) is bool(signed and secure and not allow_http)


def test_requests_of_foreign_pages_are_refused(town: Town) -> None:
    def status(secure: bool = False, host: str = "box:8080", **headers: str) -> int:
        return town.ask(request("PUT", "/api/v1/echo", b"{}", host=host, **headers), secure=secure).status

    assert status() == 200
    assert status(Origin="http://box:8080") == 200
    assert status(Origin="https://BOX:8080", secure=True) == 200
    assert status(Origin="https://box:8080") == 200  # behind somebody's TLS proxy
    assert status(Origin="http://box:8080", secure=True) == 403
    assert status(Origin="http://box") == 403
    assert status(Origin="http://evil.example") == 403
    assert status(Origin="null") == 403
    assert status(Origin="") == 403
    assert status(Sec_Fetch_Site="same-origin") == status(Sec_Fetch_Site="none") == 200
    assert status(Sec_Fetch_Site="cross-site") == status(Sec_Fetch_Site="same-site") == 403
    refused = town.ask(request(Origin="http://evil.example"))
    assert (refused.status, refused.json()["code"]) == (403, "foreign-origin")


def test_service_worker_scripts_are_refused(town: Town) -> None:
    for target in ("/ui/files/common/app.js", "/api/v1/me"):
        assert town.ask(request(target=target, Service_Worker="script")).status == 403


def test_plain_http_from_elsewhere_is_sent_to_https(tmp_path: Path) -> None:
    town = Town(tmp_path, allow_http=False)
    reply = town.ask(request(target="/ui/fr/x.htm?a=b", host="box.local:8080"), host="192.0.2.1")
    assert (reply.status, reply["Location"]) == (308, "https://box.local:8080/ui/fr/x.htm?a=b")
    assert town.ask(request(), host="192.0.2.1").status == 308
    assert town.ask(request(host="evil.example"), host="127.0.0.1").status == 308
    assert town.ask(request(host="localhost"), host="127.0.0.1").status == 200
    assert town.ask(request(host="box.local"), host="192.0.2.1", secure=True).status == 200


def test_while_closed_pages_and_data_are_refused_in_words(town: Town) -> None:
    town.house.closed = Problem(403, "setup-needed", "set a password first")
    page = town.ask(request(target="/ui/en/overview.htm"))
    assert (page.status, page["Content-Type"]) == (403, "text/html; charset=utf-8")
    assert b"set a password first" in page.body
    assert town.ask(request()).json()["code"] == "setup-needed"
    assert town.ask(request(target="/ui/files/common/app.js")).status == 403
    assert town.house.asked == []


def test_the_root_leads_on_by_login_and_language(town: Town) -> None:
    assert town.ask(request(target="/", Accept_Language="fr"))["Location"] == "/ui/fr/login.htm"
    assert town.ask(request(target="/"))["Location"] == "/ui/en/login.htm"
    logged_in = town.ask(request(target="/", Accept_Language="fr", Cookie="cm_plain_agent=t0ken"))
    assert (logged_in.status, logged_in["Location"]) == (303, "/ui/de/overview.htm")


def test_pages_are_filled_in_and_escaped(town: Town) -> None:
    reply = town.ask(request(target="/ui/fr/overview.htm"))
    assert reply.body == b'<html lang="fr"><h1>Save &amp; &quot;go&quot;</h1>{{x}}</html>'
    assert reply["Content-Type"] == "text/html; charset=utf-8"
    assert reply["Cache-Control"] == "no-cache"


def test_files_have_types_and_etags_and_are_packed(town: Town) -> None:
    target = "/ui/files/common/app.js"
    plain, packed = town.ask(request(target=target)), town.ask(request(target=target, Accept_Encoding="br, gzip"))
    assert plain["Content-Type"] == "text/javascript; charset=utf-8"
    assert gzip.decompress(packed.body) == plain.body
    assert packed["Content-Encoding"] == "gzip"
    assert plain["ETag"] != packed["ETag"]
    again = town.ask(request(target=target, If_None_Match=plain["ETag"]))
    assert (again.status, again.body) == (304, b"")
    assert town.ask(request(target=target, If_None_Match=packed["ETag"])).status == 200
    head = town.connect()
    head.send(request("HEAD", target))
    assert b"Content-Length: 4000" in head.transport.sent
    assert head.transport.sent.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br, zstd", b"br"),
        ("gzip;q=1.0, BR ;q=0.5", b"br"),
        ("br;q=0, gzip", b"gzip"),
        ("br;q=0.0, gzip;q=0", b""),
        ("vbr, xgzip", b""),
        ("", b""),
    ],
)
def test_what_was_packed_beforehand_goes_out_as_it_lies_there(
    town: Town, tmp_path: Path, accepted: str, coding: bytes
) -> None:
    lay_bundle(tmp_path)
    reply = town.ask(request(target=BUNDLED, Accept_Encoding=accepted))
    assert reply.body == {b"br": b"as brotli", b"gzip": b"as gzip", b"": b"plain();"}[coding]
    assert reply.all("Content-Encoding") == ([coding.decode()] if coding else [])
    assert reply["Cache-Control"] == "public, max-age=31536000, immutable"
    assert reply["Vary"] == "Accept-Encoding"
    assert town.ask(request(target=BUNDLED, Accept_Encoding=accepted, If_None_Match=reply["ETag"])).status == 304


def test_packed_forms_have_no_address_and_count_for_hashed_names_alone(town: Town, tmp_path: Path) -> None:
    lay_bundle(tmp_path)
    assert [town.ask(request(target=BUNDLED + form)).status for form in (".gz", ".br")] == [404, 404]
    (tmp_path / "web/common/app.js.br").write_bytes(b"left by somebody")
    reply = town.ask(request(target="/ui/files/common/app.js", Accept_Encoding="br"))
    assert reply.body.startswith(b"export const")
    assert reply["Cache-Control"] == "no-cache"


def test_a_changed_file_is_seen(town: Town, tmp_path: Path) -> None:
    before = town.ask(request(target="/ui/files/common/app.js"))
    (tmp_path / "web/common/app.js").write_text("other")
    assert town.ask(request(target="/ui/files/common/app.js", If_None_Match=before["ETag"])).body == b"other"


@pytest.mark.parametrize(
    "target",
    [
        "/ui/files/common/../../outside.js",
        "/ui/files/common/%2e%2e/outside.js",
        "/ui/files//etc/passwd",
        "/ui/files/common/.hidden.js",
        "/ui/files/common/link.js",
        "/ui/files/common/secret.py",
        "/ui/files/common/login.htm",
        "/ui/files/common",
        "/ui/files/",
        "/ui/xx/login.htm",
        "/ui/en/../en/login.htm",
        "/ui/en/nowhere.htm",
        "/ui/en/login.html",
        "/ui/locale/xx.json",
        "/favicon.ico",
        "/index.html",
        "//evil.example",
    ],
)
def test_nothing_else_is_given_out(target: str, town: Town) -> None:
    reply = town.ask(request(target=target))
    assert (reply.status, reply["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert b"<html" in reply.body


def test_the_catalogue_of_the_browser(town: Town) -> None:
    assert town.ask(request(target="/ui/locale/en.json")).json() == {}
    french = town.ask(request(target="/ui/locale/fr.json"))
    assert french["Content-Type"] == "application/json"
    assert isinstance(json.loads(french.body), dict)
    assert french["ETag"]


def test_pages_cannot_be_changed(town: Town) -> None:
    reply = town.ask(request("POST", "/ui/en/login.htm"))
    assert (reply.status, reply["Allow"]) == (405, "GET, HEAD")


def test_problems_carry_allow_and_login_required(town: Town) -> None:
    assert town.ask(request("DELETE", "/api/v1/me"))["Allow"] == "GET, HEAD"
    assert town.ask(request(target="/api/v1/users-only")).status == 401
    assert town.ask(request(target="/api/v1/users-only", Cookie="cm_plain_agent=t0ken")).status == 200


def test_a_bug_in_the_front_becomes_a_500_without_details(town: Town) -> None:
    wire = town.connect()
    with capturedLogs() as logs:
        wire.send(request(target="/api/v1/bug"))
    reply = wire.reply()
    assert (reply.status, reply.json()["code"]) == (500, "internal")
    assert b"secret" not in reply.body
    assert sum(each["log_level"].name == "critical" for each in logs) == 1
    wire.send(request())
    assert wire.reply().status == 200


def test_an_answer_to_somebody_who_has_gone_is_dropped(town: Town) -> None:
    wire = town.connect()
    wire.send(request(target="/api/v1/slow"))
    wire.lose()
    town.house.waiting[0].callback({"a": 1})
    assert wire.transport.sent == b""


def test_a_stream_goes_out_in_chunks(town: Town) -> None:
    wire = town.connect()
    wire.send(request(target="/api/v1/events"))
    head = wire.transport.sent.partition(b"\r\n\r\n")[0]
    assert b"Transfer-Encoding: chunked" in head
    assert b"Content-Type: text/event-stream" in head
    told = town.house.streams[0]
    assert told.sink is not None
    assert told.sink.write(b"id: 1\n\n") is True
    assert wire.transport.sent.endswith(b"7\r\nid: 1\n\n\r\n")
    told.sink.finish()
    assert wire.transport.sent.endswith(b"0\r\n\r\n")
    assert told.events == []
    wire.transport.sent = b""
    wire.send(request())
    assert wire.reply().status == 200


def test_a_stream_is_told_when_its_reader_has_gone(town: Town) -> None:
    wire = town.connect()
    wire.send(request(target="/api/v1/events"))
    told = town.house.streams[0]
    wire.lose()
    assert told.events == ["stopped"]
    assert told.sink is not None
    assert told.sink.write(b"x") is False
    told.sink.finish()


def test_a_slow_reader_pauses_a_stream_and_is_dropped_when_it_falls_behind(town: Town) -> None:
    wire = town.connect()
    wire.send(request(target="/api/v1/events"))
    told = town.house.streams[0]
    assert told.sink is not None
    wire.transport.producer.pauseProducing()
    assert told.sink.write(b"x" * 1000) is False
    wire.transport.producer.resumeProducing()
    assert told.events == ["resumed"]
    assert told.sink.write(b"x") is True
    wire.transport.producer.pauseProducing()
    for _ in range(4):
        told.sink.write(b"x" * 65_536)
    assert not wire.transport.aborted
    told.sink.write(b"x")
    assert wire.transport.aborted
    assert told.events == ["resumed", "stopped"]


def test_a_reader_that_is_stuck_for_a_minute_is_dropped(town: Town) -> None:
    wire = town.connect()
    wire.send(request(target="/api/v1/events"))
    wire.transport.producer.pauseProducing()
    town.clock.advance(59)
    assert not wire.transport.aborted
    town.clock.advance(1)
    assert wire.transport.aborted
    assert town.house.streams[0].events == ["stopped"]


def test_streams_end_with_their_login(town: Town) -> None:
    mine, other = town.connect(), town.connect()
    mine.send(request(target="/api/v1/events", Cookie="cm_plain_agent=t0ken"))
    other.send(request(target="/api/v1/events"))
    town.site.close_streams_of("handle")
    assert town.house.streams[0].events == ["stopped"]
    assert mine.transport.sent.endswith(b"0\r\n\r\n")
    assert town.house.streams[1].events == []
    town.site.close_streams_of("handle")
    assert list(town.site._streams) == [""]  # of those who have no login


def test_a_broken_stream_breaks_the_connection(town: Town) -> None:
    wire = town.connect()
    wire.send(request(target="/api/v1/events"))
    told = town.house.streams[0]
    told.sink.fail()  # type: ignore[union-attr]
    assert wire.transport.aborted
    assert told.events == ["stopped"]


def test_closing_all_sends_everybody_away(town: Town) -> None:
    wires = [town.connect() for _ in range(3)]
    done: list[object] = []
    town.site.finish().addCallback(done.append)
    assert all(wire.transport.closed for wire in wires)
    town.clock.pump([0.5] * 12)  # they do not go by themselves
    assert all(wire.transport.aborted for wire in wires)
    assert len(town.site.crowd) == 0 and done == [None]


def test_peers_are_unmapped() -> None:
    assert unmapped("::ffff:127.0.0.1") == "127.0.0.1"
    assert unmapped("2001:DB8::1%eth0") == "2001:db8::1"
    assert unmapped("somewhere") == "somewhere"
    assert is_loopback("127.9.9.9")
    assert is_loopback("::1")
    assert not is_loopback("somewhere")


def test_a_cookie_that_stands_there_twice_counts_for_nothing() -> None:
    assert read_cookie("a=1; b=2", "a") == "1"
    assert read_cookie("a=1; a=2", "a") is None
    assert read_cookie('a="1"', "a") is None
    assert read_cookie("a=", "a") is None
    assert read_cookie("xa=1;a", "a") is None


@given(st.text(max_size=200) | st.lists(st.sampled_from(["a", "=", ";", " ", "1", '"', "\x7f", "é"])).map("".join))
def test_whatever_a_cookie_header_holds_we_read_only_what_we_could_have_set(header: str) -> None:
    value = read_cookie(header, "a")
    assert value is None or CookieNames("agent").set_login(value, True)


@given(st.text(min_size=1, max_size=50))
def test_what_is_set_is_read_back_or_refused(value: str) -> None:
    names = CookieNames("cloud")
    try:
        line = names.set_login(value, True)
    except ValueError:
        return
    assert read_cookie(line.decode().partition(";")[0], "__Host-cm_cloud") == value


def test_a_long_answer_goes_out_no_faster_than_it_is_read(town: Town) -> None:
    wire = town.connect()

    def slow_write(data: bytes) -> None:
        wire.transport.sent += data
        if wire.transport.producer is not None:
            wire.transport.producer.pauseProducing()

    wire.transport.write = slow_write  # type: ignore[method-assign]
    wire.send(request(target="/api/v1/long"))
    rounds = 0
    while b"Content-Length: 1000000" in wire.transport.sent and len(wire.transport.sent) < 1_000_000:
        rounds += 1
        before = len(wire.transport.sent)
        town.clock.advance(50)
        wire.transport.producer.resumeProducing()
        assert 0 < len(wire.transport.sent) - before <= 65_536
    assert rounds > 15
    reply = wire.reply()
    assert reply.body == b"0123456789" * 100_000
    assert reply["Content-Disposition"] == 'attachment; filename="a_b_.csv"'
    wire.send(request())
    assert wire.reply().status == 200


def test_a_long_answer_whose_reader_goes_is_given_up(town: Town) -> None:
    wire = town.connect()

    def stuck_write(data: bytes) -> None:
        wire.transport.sent += data
        wire.transport.producer.pauseProducing()

    wire.transport.write = stuck_write  # type: ignore[method-assign]
    wire.send(request(target="/api/v1/long"))
    assert len(wire.transport.sent) < 100_000
    wire.lose()
    assert town.clock.getDelayedCalls() == []


def test_a_stream_for_somebody_who_has_gone_or_asked_for_the_head_only_is_stopped(town: Town) -> None:
    town.connect().send(request("HEAD", "/api/v1/events"))
    wire = town.connect()
    wire.send(request(target="/api/v1/late-events"))
    wire.lose()
    town.house.waiting[0].callback(None)
    assert [told.events for told in town.house.streams] == [["stopped"], ["stopped"]]
