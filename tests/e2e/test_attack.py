"""Attacks on real daemons through the relay: two tenants, detours, raw bytes, a cheating agent.

Who may what of every route is a table: ``test_rights_matrix.py``.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.e2e.doctored_agent import Cheat
from tests.support.api import Browser, Reply
from tests.support.processes import BIN, Running, eventually
from tests.support.town import CLOUD_ADMIN, Site, Town, service, two_sites

pytestmark = pytest.mark.e2e

BODIES: dict[str, Any] = {
    "POST /api/v1/devices": {"name": "New", "driver": "keba-p30", "address": "tcp://127.0.0.1:9?unit=255"},
    "PUT /api/v1/devices/{id}": {"name": "Renamed"},
    "PUT /api/v1/devices/{id}/reading": {"power_w": 0},
    "PUT /api/v1/site": {"name": "Renamed"},
    "POST /api/v1/users": {"name": "New"},
    "PUT /api/v1/users/{id}": {"name": "Renamed"},
    "PUT /api/v1/charge-points/{id}/mode": {"mode": "off"},
    "PUT /api/v1/charge-points/{id}/override": {"current_a": 6},
    "PUT /api/v1/charge-points/{id}/goal": {"by": "07:00", "energy_wh": 10000},
    "PUT /api/v1/charge-points/{id}/vehicle": {"soc_pct": 50, "capacity_wh": 60000},
    "PUT /api/v1/config/recording": {"enabled": True},
    "PUT /api/v1/grid-operator": {},
    "PUT /api/v1/grid-operator/dimming": {"on": True, "limit_w": 4200},
    "POST /api/v1/grid-operator/test": {"for_s": 1},
    "PUT /api/v1/inputs": {"inputs": []},
    "PUT /api/v1/inputs/{id}": {"on": True},
    "PUT /api/v1/rules": {"rules": []},
    "POST /api/v1/rules/check": {"rules": []},
    "POST /api/v1/rules/try": {"rules": []},
    "PUT /api/v1/tariff": {"source": "fixed", "price": 0.3},
    "PUT /api/v1/sun-forecast": {"source": "none"},
    "POST /api/v1/tariff/file": {"text": "start,price\n2026-01-01T00:00:00Z,0.1\n"},
    "PUT /api/v1/log/level": {"level": 3},
    "PUT /api/v1/admin/password": {"old": "x", "new": "another password"},
    "POST /api/v1/login": {"password": "x"},
    "POST /api/v1/admin/second-factor": {"password": "x"},
    "POST /api/v1/admin/second-factor/confirm": {"code": "000000"},
    "POST /api/v1/admin/second-factor/recovery-codes": {"password": "x", "code": "000000"},
    "POST /api/v1/admin/second-factor/off": {"password": "x", "code": "000000"},
    "POST /api/v1/cloud/admin/second-factor": {"password": "x"},
    "POST /api/v1/cloud/admin/second-factor/confirm": {"code": "000000"},
    "POST /api/v1/cloud/admin/second-factor/recovery-codes": {"password": "x", "code": "000000"},
    "POST /api/v1/cloud/admin/second-factor/off": {"password": "x", "code": "000000"},
    "POST /api/v1/cloud/login": {"cloud_id": "x", "secret": "x"},
    "POST /api/v1/cloud/admin/login": {"password": "x"},
    "POST /api/v1/cloud/admin/installations": {"cloud_id": "planted", "password": "planted password"},
    "PUT /api/v1/cloud/admin/installations/{cloud_id}": {"disabled": True},
    "POST /api/v1/cloud/admin/installations/{cloud_id}/password": {"at_once": True},
    "PUT /api/v1/cloud/admin/log/level": {"level": 3},
    "PUT /api/v1/cloud/admin/settings": {"alarm_after_s": 0},
    "POST /api/v1/cloud/admin/keys": {"name": "planted", "scopes": ["installations-write"]},
    "POST /api/v1/cloud/admin/approvals": {"serial": "0123-4567-89AB-CDEF"},
    "PUT /api/v1/cloud/admin/password": {"old": "x", "new": "another password"},
    "PUT /api/v1/cloud/admin/certificate": {"cert": "x", "key": "x"},
}
ENDS_THE_LOGIN = ("POST", "/api/v1/logout")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with two_sites(tmp_path_factory.mktemp("town")) as town:
        yield town


@frozen
class Way:
    """One line of an OpenAPI file."""

    method: str
    path: str
    right: str
    reach: str

    def fill(self, **names: str) -> str:
        return re.sub(r"\{([a-z_]+)\}", lambda hole: names.get(hole[1], "1"), self.path)

    def body(self, town: Town, site: Site) -> Any:
        if (self.method, self.path) == ("PUT", "/api/v1/config/cloud"):
            return service(town.port, site)
        return BODIES.get(f"{self.method} {self.path}")


def ways(browser: Browser) -> list[Way]:
    """All that this server says it can do; what removes something last."""
    paths = browser.get("/api/v1/openapi.json")["paths"]
    found = [
        Way(method.upper(), path, one["x-right"], one["x-remote"])
        for path, methods in paths.items()
        for method, one in methods.items()
    ]
    return sorted(found, key=lambda way: ((way.method, way.path) == ENDS_THE_LOGIN, way.method == "DELETE"))


def ask(browser: Browser, way: Way, path: str, body: Any) -> Reply:
    """The answer; of an endless one only its head."""
    if not path.endswith("/events"):
        return browser.call(way.method, path, body)
    connection = browser.open()
    connection.request(way.method, path, headers=browser.headers())
    answer = connection.getresponse()
    head = {name.lower(): value for name, value in answer.getheaders()}
    reply = Reply(answer.status, head, b"" if answer.status == 200 else answer.read())
    connection.close()
    return reply


def code(reply: Reply) -> str:
    return str(reply.json["code"]) if reply.status >= 400 else ""


def everything(site: Site) -> Any:
    """What an attack might have changed."""
    kept = [site.here.get(f"/api/v1/{part}") for part in ("site", "users", "devices", "log/level")]
    for device in kept[2]["devices"]:
        device.pop("condition")
    return kept


def test_nobody_and_a_user_get_through_the_relay_what_they_may_and_no_more(town: Town) -> None:
    before = everything(town.a)
    own = {(way.method, way.path) for way in ways(town.browser())}
    agents = ways(town.a.here)
    assert len(agents) > 30
    rosa = town.rosa_of(town.a)
    for way in agents:
        path, body = way.fill(id="rosa" if "/users/" in way.path else "site-a-box2"), way.body(town, town.a)
        if (way.method, way.path) not in own and (way.method, way.path) != ENDS_THE_LOGIN:
            reply = ask(town.browser(), way, path, body)
            assert (reply.status, code(reply)) == (401, "login-required"), way
        if way.path == "/metrics":
            continue
        reply = ask(rosa, way, path, body)
        if way.right == "admin":
            assert (reply.status, code(reply)) == (403, "not-allowed"), way
        elif way.reach == "site only":
            assert (reply.status, code(reply)) == (403, "site-only"), way
        elif "{id}" in way.path:
            assert (reply.status, code(reply)) == (404, "not-found"), way  # box2 is not Rosa's
        else:
            assert reply.status < 300, (way, reply)
        assert b"Box2" not in reply.body and b"Otto" not in reply.body
    assert everything(town.a) == before


def test_the_clouds_admin_reaches_no_installation(town: Town) -> None:
    cloud_admin = town.cloud_admin()
    own = {(way.method, way.path) for way in ways(town.browser())}
    for way in ways(town.a.here):
        if (way.method, way.path) not in own and (way.method, way.path) != ENDS_THE_LOGIN:
            path = way.fill(id="rosa" if "/users/" in way.path else "site-a-box2")
            reply = ask(cloud_admin, way, path, way.body(town, town.a))
            assert reply.status in (404, 405), (way, reply)
    listing = cloud_admin.call("GET", "/api/v1/cloud/admin/installations")
    assert [row["cloud_id"] for row in listing.json["installations"]] == ["site-a", "site-b"]
    assert b"canary" not in listing.body


DETOURS = (
    "/api/v1/charge-points/site-a-box1/../site-a-box2/mode",
    "/api/v1/charge-points/site-a-box1%2f..%2fsite-a-box2/mode",
    "/api/v1/charge-points/%2e%2e/charge-points/site-a-box2/mode",
    "/api/v1/charge-points//site-a-box2/mode",
    "/api/v1/charge-points/site-a-box2/mode/",
    "/api/v1/charge-points/site-a-box2%00/mode",
    "/api/v1/charge-points/SITE-A-BOX2/mode",
    "/api/v1/charge-points/site-a-box2;x/mode",
    "/api/v1/charge-points/site%2Da%2Dbox2/mode",
    "/api/v1/charge-points/site-a-box1/mode?id=site-a-box2",
    "/api/v1/charge-points/site-a-box1,site-a-box2/mode",
    "/api/v1/./devices/site-a-box2",
    "/api/v1/state/../devices",
    "/api/v1/state%2f..%2fdevices",
    "//api/v1/devices",
    "/api//v1/devices",
    "/api/v1/devices/",
    "/api/v1/devices?",
    "/api/v1/devices?role=admin",
    "/api/v1/Devices",
    "/API/v1/devices",
    "/api/v1/%64evices",
    "/api/v1/devices%3f",
    "/api/v1/devices%20",
    "/api/v1/devices\\",
    "/api/v1/users/otto",
    "/api/v1/users/rosa",
    "/api/v1/users/" + "x" * 8000,
    "/metrics/../api/v1/devices",
    "/ui/../api/v1/devices",
    "/ui/en/../../api/v1/devices",
)


def test_no_detour_leads_a_user_to_what_is_not_theirs(town: Town) -> None:
    rosa = town.rosa_of(town.a)
    before = everything(town.a)
    for path in DETOURS:
        for method in ("GET", "PUT"):
            body = {"mode": "off"} if method == "PUT" else None
            more = {"X-HTTP-Method-Override": "DELETE", "X-Original-URL": "/api/v1/devices", "X-Role": "admin"}
            reply = rosa.call(method, path, body, **more)
            assert 400 <= reply.status < 500, (method, path, reply)
            assert b"Box2" not in reply.body and b"Otto" not in reply.body, (method, path)
    for query in ("user=otto", "charge_point=site-a-box2", "user=", "charge_point=%"):
        reply = rosa.call("GET", f"/api/v1/sessions?{query}")
        assert (reply.status, reply.json) == (200, {"sessions": []})
    assert everything(town.a) == before


def test_no_tenant_ever_sees_anything_of_another(town: Town) -> None:
    admin = town.admin_of(town.a)
    cloud_id = town.b.name
    answered = 0
    for way in ways(town.a.here):
        if way.method != "GET" or way.path.endswith("/events"):
            continue
        for suffix in ("", f"?cloud_id={cloud_id}", f"?installation={cloud_id}"):
            for id in ("site-b-box1", "rosa", "otto"):
                more = {"X-Installation": cloud_id, "X-Cloud-Id": cloud_id, "Referer": f"https://x/{cloud_id}/"}
                reply = admin.call("GET", way.fill(id=id) + suffix, **more)
                assert town.b.canary.encode() not in reply.body, (way, suffix, id)
                answered += town.a.canary.encode() in reply.body
                if "{id}" not in way.path:
                    break
    assert answered > 5  # so the canary of one's own does come
    for path in (f"/{cloud_id}/api/v1/state", f"/api/v1/{cloud_id}/state", f"/api/v1/cloud/{cloud_id}/state"):
        assert admin.call("GET", path).status in (401, 404)
    # A cookie of the one is none of the other, alone or beside it.
    name = "__Host-cm_cloud"
    other = town.admin_of(town.b).cookies[name]
    mixed = town.browser().call("GET", "/api/v1/state", Cookie=f"{name}={admin.cookies[name]}; {name}={other}")
    assert mixed.status == 401
    planted = town.browser().call("GET", "/api/v1/state", Cookie=f"cm_plain_cloud={admin.cookies[name]}")
    assert planted.status == 401
    agents = town.browser().call("GET", "/api/v1/state", Cookie=f"__Host-cm_agent={admin.cookies[name]}")
    assert agents.status == 401
    assert town.a.here.call("GET", "/api/v1/state", Cookie=f"cm_plain_agent={admin.cookies[name]}").status == 401


def raw(town: Town, data: bytes) -> bytes:
    """Everything that comes back for these bytes until the server is silent for a moment, or closes."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    got = b""
    with socket.create_connection(("127.0.0.1", town.port), 10) as plain, context.wrap_socket(plain) as tls:
        tls.sendall(data)
        tls.settimeout(1.0)
        try:
            while piece := tls.recv(65_536):
                got += piece
        except TimeoutError:
            pass
    return got


def test_no_bytes_of_a_browser_are_read_twice_on_their_way_through_the_relay(town: Town) -> None:
    rosa = town.rosa_of(town.a)
    cookie = f"Host: localhost\r\nCookie: {rosa.headers()['Cookie']}\r\n".encode()
    hidden = b"GET /api/v1/devices HTTP/1.1\r\n" + cookie + b"\r\n"
    put = b"PUT /api/v1/charge-points/site-a-box1/mode HTTP/1.1\r\n" + cookie + b"Content-Type: application/json\r\n"
    refused = {
        "both lengths": put + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
        "two lengths": put + b"Content-Length: 0\r\nContent-Length: 50\r\n\r\n" + hidden,
        "a line feed alone": b"GET /api/v1/me HTTP/1.1\n" + cookie + b"\r\n" + hidden,
        "a folded header": put + b"X: y\r\n Content-Length: 9\r\n\r\n" + hidden,
        "a space in the way": b"GET /api/v1/me HTTP/1.1\r\nX:y HTTP/1.1\r\n\r\n" + hidden,
        "an address with a break": b"GET /api/v1/me\rX HTTP/1.1\r\n" + cookie + b"\r\n" + hidden,
        "a second host": b"GET /api/v1/me HTTP/1.1\r\nHost: evil\r\n" + cookie + b"\r\n" + hidden,
    }
    for what, data in refused.items():
        got = raw(town, data)
        assert got.startswith(b"HTTP/1.1 400 ") and got.count(b"HTTP/1.1 ") == 1, (what, got)
    # What stands in a body stays in it, and what stands in a header that travels does not become one.
    got = raw(town, put + b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden)
    assert got.startswith(b"HTTP/1.1 400 ") and got.count(b"HTTP/1.1 ") == 1 and b"bad-json" in got
    for header in (b"Last-Event-ID: 1\x85Role: admin", b"Accept-Language: fr\xe2\x80\xa8authorization: x"):
        got = raw(town, b"GET /api/v1/me HTTP/1.1\r\n" + cookie + header + b"\r\n\r\n")
        assert b'"role":"user"' in got and got.count(b"HTTP/1.1 ") == 1


def test_a_page_of_another_site_and_a_workers_script_get_nothing_through_the_relay(town: Town) -> None:
    admin = town.admin_of(town.a)
    for more in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://localhost:{town.port}"},  # the same name without TLS
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Service-Worker": "script"},
    ):
        for method, path, body in (("GET", "/api/v1/devices", None), ("PUT", "/api/v1/log/level", {"level": 1})):
            reply = admin.call(method, path, body, Host=f"localhost:{town.port}", **more)
            assert (reply.status, town.a.canary.encode() in reply.body) == (403, False), (more, method)
    same = {"Origin": f"https://localhost:{town.port}", "Sec-Fetch-Site": "same-origin"}
    assert admin.call("GET", "/api/v1/devices", Host=f"localhost:{town.port}", **same).status == 200
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json, text/plain", ""):
        reply = admin.call("PUT", "/api/v1/log/level", {"level": 1}, **{"Content-Type": kind})
        assert (reply.status, code(reply)) == (415, "json-needed"), kind


def test_no_box_is_moved_and_no_meter_planted_through_the_relay(town: Town) -> None:
    here, before = town.a.here, everything(town.a)
    admin = town.admin_of(town.a)
    main = here.get("/api/v1/site")["circuits"]
    sub = {"id": "sub", "name": "Sub", "parent": "main", "limit_a": [10, 10, 10]}
    here.put("/api/v1/site", {"circuits": [*main, sub]})
    box = {"id": "hung", "name": "Hung", "driver": "keba-p30", "address": "tcp://127.0.0.1:7?unit=255", "max_a": 10}
    here.post("/api/v1/devices", {**box, "circuit": "sub"})
    assert admin.call("DELETE", "/api/v1/devices/hung").status == 204
    elsewhere = (
        {"circuit": "main"},
        {"circuit": "sub", "max_a": 32},
        {"circuit": "sub", "phases": [2, 3, 1]},
        {"circuit": "main", "address": "tcp://127.1:7?unit=1"},
    )
    for change in elsewhere:
        reply = admin.call("POST", "/api/v1/devices", {**box, **change})
        assert (reply.status, code(reply)) == (403, "site-only"), change
    reply = admin.call("PUT", "/api/v1/devices/site-a-box2", {"address": box["address"]})
    assert (reply.status, code(reply)) == (403, "site-only")
    for role in ("grid", "circuit", "load"):
        meter = {"name": "Planted", "driver": "eastron-sdm630", "address": "tcp://127.0.0.1:8?unit=1", "role": role}
        reply = admin.call("POST", "/api/v1/devices", meter)
        assert (reply.status, code(reply)) == (403, "site-only"), role
    assert admin.call("POST", "/api/v1/devices", {**box, "circuit": "sub"}).status == 201
    here.call("DELETE", "/api/v1/devices/hung")
    here.put("/api/v1/site", {"circuits": main})
    assert everything(town.a) == before


PASSING = {"filename", "path-filename", "giant", "honest", "mistake"}
ENDLESS = {"endless", "pushy"}


def memory_kib(process: Running) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0])


def test_an_agent_that_cheats_reaches_no_browser_with_anything_but_data(town: Town, tmp_path: Path) -> None:
    cheat = {"cloud_id": "cheat", "password": "password of the cheat"}
    cloud_admin = town.cloud_admin()
    cloud_admin.post("/api/v1/cloud/admin/installations", cheat)
    command: list[str | Path] = [
        BIN / "python",
        "-m",
        "tests.e2e.doctored_agent",
        tmp_path / "key.pem",
        f"localhost:{town.port}",
    ]
    agent = Running(*command, cheat["cloud_id"], cheat["password"])
    try:
        agent.wait_line("connected")
        before_kib = memory_kib(town.cloud)
        browser = town.browser()
        for secret in ("no role", "no token"):
            reply = browser.call("POST", "/api/v1/cloud/login", {"cloud_id": "cheat", "secret": secret, "admin": True})
            assert (reply.status, code(reply), browser.cookies) == (401, "login-failed", {})
        browser.post("/api/v1/cloud/login", {"cloud_id": "cheat", "secret": "x", "admin": True})
        for lie in Cheat().lies.keys() - ENDLESS - {"ended"}:
            reply = browser.call("GET", f"/api/v1/{lie}")
            assert not {"set-cookie", "location", "refresh"} & reply.headers.keys(), lie
            assert "sandbox" in reply.headers["content-security-policy"], lie
            assert reply.headers["x-content-type-options"] == "nosniff", lie
            if lie in PASSING:
                assert reply.status in (200, 422) and reply.headers["content-type"].startswith(
                    ("application", "text/csv")
                )
            else:
                assert (reply.status, code(reply)) == (502, "agent-answer-refused"), lie
                assert b"<script>" not in reply.body
        for lie in sorted(ENDLESS):
            connection = browser.open()
            connection.request("GET", f"/api/v1/{lie}", headers=browser.headers())
            assert connection.getresponse().read(100) == b"x" * 100
            began_s = time.monotonic()
            eventually(lambda: time.monotonic() - began_s > 1, 5)  # noqa: B023 - nobody reads for a second
            connection.close()
        eventually(lambda: agent.lines.count("stream started") == agent.lines.count("stream stopped") > 0, 20)
        assert memory_kib(town.cloud) - before_kib < 40_000
        reply = browser.call("GET", "/api/v1/ended")
        assert (reply.status, code(reply), browser.cookies.get("__Host-cm_cloud")) == (401, "login-ended", None)
    finally:
        agent.stop()
        cloud_admin.call("DELETE", "/api/v1/cloud/admin/installations/cheat")
    assert "Traceback" not in town.cloud.output


def test_nothing_of_all_this_was_a_bug_and_no_secret_is_in_a_log(town: Town) -> None:
    lines = [json.dumps(site.here.get("/api/v1/log")["lines"]) for site in (town.a, town.b)] + [town.cloud.output]
    for text in lines:
        assert "by a bug" not in text and "Traceback" not in text
        for secret in (CLOUD_ADMIN, town.a.password, town.b.rosa_id, "installation password", "__Host-cm_cloud="):
            assert secret not in text
