"""End-to-end mode with a real cloud and a real agent: what the cloud can know, and what it cannot do unnoticed."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from charging_manager.clocks import utc_now
from charging_manager.http.certificates import self_signed
from charging_manager.tunnel.lanes import GREETING
from tests.support.api import Browser
from tests.support.browser import browser
from tests.support.processes import ROOT, Running, eventually, running
from tests.support.tapped import tapped
from tests.support.wiretap import Wiretap, in_memory

pytestmark = pytest.mark.e2e

AT = "/api/v1/config/cloud/end-to-end"
ALERT = b"\x15\x03\x01\x00\x02\x02\x70"


class PrivateBrowser(Browser):
    """A browser at an installation's own address; names under ``.localhost`` it finds by itself, as browsers do."""

    def open(self) -> http.client.HTTPConnection:
        connection = super().open()
        connection._create_connection = lambda at, *rest: socket.create_connection(  # type: ignore[attr-defined]
            ("127.0.0.1", at[1]), *rest
        )
        return connection


@frozen
class House:
    """A cloud behind a wiretap, an agent that reaches it through that, and the admin at the site."""

    cloud: Running
    agent: Running
    tap: Wiretap
    site: Browser
    keeper: Browser
    secret: str
    cloud_data: Path

    def shown(self) -> Any:
        return self.site.get(AT)

    @property
    def host(self) -> str:
        return str(self.shown()["url"]).split("/")[2].partition(":")[0]

    def browser(self) -> PrivateBrowser:
        return PrivateBrowser(self.tap.port, secure=True, host=self.host)

    def written(self) -> str:
        """All that the cloud has put on its disk and into its log."""
        files = [path.read_bytes().decode("latin-1") for path in self.cloud_data.rglob("*") if path.is_file()]
        return self.cloud.output + "".join(files) + str(self.keeper.get("/api/v1/cloud/admin/log"))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("private")
    secret = f"password-{secrets.token_hex(12)}"
    with tapped(folder, "--loglevel", "4", password=secret) as them:
        site = them.site
        assert site.get(AT)["state"] == "off"
        site.put(AT, {"enabled": True})
        eventually(lambda: site.get(AT)["state"] == "open")
        yield House(them.cloud, them.agent, them.tap, site, them.keeper, secret, folder / "cloud")


def check(house: House) -> str:
    return str(house.site.post(f"{AT}/check", {})["check"]["result"])


def test_canaries_stay_where_they_belong(house: House) -> None:
    """The password that is typed and the data that are read, and written, through the cloud: it has none of them."""
    at_site, from_afar = f"canary-{secrets.token_hex(12)}", f"canary-{secrets.token_hex(12)}"
    house.site.put("/api/v1/site", {"name": at_site})
    assert house.browser().call("GET", "/ui/en/login.htm").status == 200
    eventually(lambda: GREETING in house.tap.heard)
    browser = house.browser()  # the second one: on a connection of its own
    browser.post("/api/v1/login", {"password": house.secret})
    assert browser.get("/api/v1/me")["remote"]
    assert browser.get("/api/v1/state")["site"]["name"] == at_site
    browser.put("/api/v1/site", {"name": from_afar})
    assert house.site.get("/api/v1/state")["site"]["name"] == from_afar
    label = house.host.partition(".")[0]
    canaries = (at_site, from_afar, house.secret, *browser.cookies.values())
    assert in_memory(house.agent.pid, *canaries) >= {at_site, from_afar}  # the search finds what is there
    assert in_memory(house.cloud.pid, label, *canaries) == {label}
    heard, written = bytes(house.tap.heard), house.written()
    assert label.encode() in heard  # the name in the ClientHello, as everybody on the way may see it
    assert "tunnel of garage" in written
    assert label not in written
    for canary in canaries:
        assert canary.encode() not in heard
        assert canary not in written


def test_in_relay_mode_canaries_pass_but_stay_on_no_disk_and_in_no_log(house: House) -> None:
    house.site.put(AT, {"enabled": False})
    try:
        canary = f"canary-{secrets.token_hex(12)}"
        house.site.put("/api/v1/site", {"name": canary})
        relayed = Browser(house.tap.port, secure=True)
        relayed.post("/api/v1/cloud/login", {"cloud_id": "garage", "secret": house.secret, "admin": True})
        assert relayed.get("/api/v1/state")["site"]["name"] == canary
        with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            PrivateBrowser(house.tap.port, secure=True, host=house.host).get("/api/v1/me")
        relayed.put("/api/v1/site", {"name": canary + "2"})
        written = house.written()
        for secret in (canary, house.secret):
            assert secret not in written
    finally:
        house.site.put(AT, {"enabled": True})
    assert relayed.call("GET", "/api/v1/state").status == 401  # what came through the cloud's page ends with it
    login = {"cloud_id": "garage", "secret": house.secret, "admin": True}
    assert relayed.call("POST", "/api/v1/cloud/login", login).status == 401
    eventually(lambda: house.shown()["state"] == "open")


def test_a_cloud_that_ends_tls_itself_is_noticed_and_gets_nobody_in(house: House) -> None:
    assert check(house) == "ok"
    house.tap.reads_along = True
    try:
        assert check(house) == "other-key"
        shown = house.shown()["check"]
        assert shown["seen_key"] not in (None, house.shown()["key_fingerprint"])
        eventually(lambda: "read-along" in str(house.site.get("/api/v1/state")["alarms"]), within_s=5)
        refused = house.browser().call("POST", "/api/v1/login", {"password": "typed by somebody"})
        assert (refused.status, refused.json["code"]) == (403, "read-along")
        assert b"typed by somebody" in house.tap.in_clear  # so it is: who reads along reads what is typed
        assert house.browser().call("GET", "/ui/en/login.htm").status == 403
        opened = run_open(house, house.shown()["code"])
        assert opened.returncode == 1
        assert "another key" in opened.stderr
        assert len(opened.stderr.splitlines()) == 1
    finally:
        house.tap.reads_along = False
    assert check(house) == "ok"
    assert house.browser().call("GET", "/ui/en/login.htm").status == 200


def test_before_login_there_is_the_login_page_and_nothing_else(house: House) -> None:
    browser = house.browser()
    assert browser.call("GET", "/").headers["location"] == "/ui/en/login.htm"
    for path in ("/ui/fr/overview.htm", "/ui/files/agent/overview.js", "/ui/files/agent/endtoend.js"):
        reply = browser.call("GET", path)
        assert (reply.status, reply.headers["location"][-10:]) == (303, "/login.htm"), path
    for path in ("/ui/fr/login.htm", "/ui/files/agent/login.js", "/ui/files/common/frame.js", "/ui/locale/fr.json"):
        assert browser.call("GET", path).status == 200, path
    for path in ("/api/v1/state", "/api/v1/openapi.json", "/api/v1/events", "/metrics", AT):
        assert browser.call("GET", path).status == 401, path
    assert browser.call("GET", "/metrics", None, Host="localhost").status == 401  # nobody there is this machine


def test_logins_follow_the_table_and_failures_are_one(house: House) -> None:
    ids = [
        house.site.post("/api/v1/users", {"name": name, "remote": remote})["user_id"]
        for name, remote in (("Rosa", True), ("Hugo", False))
    ]

    def fail(body: dict[str, str]) -> tuple[int, bytes]:
        began_s = time.monotonic()
        reply = house.browser().call("POST", "/api/v1/login", body)
        assert time.monotonic() - began_s >= 2.9
        return reply.status, reply.body

    bodies = ({"password": "wrong"}, {"user_id": ids[1]}, {"user_id": house.secret}, {"password": ids[0]})
    with ThreadPoolExecutor() as at_once:
        replies = set(at_once.map(fail, bodies))
    assert len(replies) == 1
    assert replies.pop()[0] == 401
    user = house.browser()
    user.post("/api/v1/login", {"user_id": ids[0]})
    assert user.get("/api/v1/me")["role"] == "user"
    admin = house.browser()
    admin.post("/api/v1/login", {"password": house.secret})
    assert admin.call("GET", AT).status == 403  # the address is shown at the site
    assert admin.call("PUT", AT, {"enabled": False}).status == 403


@pytest.mark.needs("chromium")
def test_a_person_finds_the_address_on_the_page_and_logs_in_there(house: House) -> None:
    port = house.site.port
    with browser() as page:
        page.open(f"http://localhost:{port}/ui/en/login.htm")
        page.fill("Admin password", house.secret)
        page.press("Log in")
        page.drawn("overview.htm")
        page.open(f"http://localhost:{port}/ui/en/remote.htm")
        page.until(lambda: page.all("[data-check=ok]"))
        assert page.field("Address of this installation").get_attribute("value") == house.shown()["url"]
        assert page.text("#fingerprint").replace(":", "").lower() == house.shown()["fingerprint"]
        assert page.find("svg.qr path:last-child").get_attribute("d").startswith("M")
        page.open(house.shown()["url"])
        page.fill("Admin password", house.secret)
        page.press("Log in")
        page.drawn("overview.htm")
        page.open(f"{house.shown()['url']}ui/en/remote.htm")
        assert "shown at the site only" in page.text()
        assert page.complaints() == []


def run_open(house: House, code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "charging_manager", "open", f"https://localhost:{house.tap.port}", "Garage"]
    env = {**os.environ, "XDG_CONFIG_HOME": "/nowhere"}
    return subprocess.run([*command, "--code", code], capture_output=True, text=True, cwd=ROOT, timeout=60, env=env)


def test_open_serves_a_browser_on_this_machine_by_the_installations_own_key(house: House, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "charging_manager", "open", f"https://localhost:{house.tap.port}", "garage"]
    env = {"XDG_CONFIG_HOME": str(tmp_path)}
    for more in (["--code", house.shown()["code"]], []):  # the second time the code is known
        with running(*command, *more, env=env) as opened:
            url = opened.wait_line("open: ").removeprefix("open: ").strip()
            host, _, port = url.removeprefix("http://").strip("/").partition(":")
            assert host.startswith("127.")
            browser = Browser(int(port), host=host)
            assert browser.call("GET", "/").headers["location"] == "/ui/en/login.htm"
            assert browser.call("GET", "/ui/en/login.htm").status == 200
            browser.post("/api/v1/login", {"password": house.secret})
            assert browser.get("/api/v1/me")["remote"]
            assert browser.call("GET", "/api/v1/me", None, Host="evil.example").json["code"] == "wrong-address"
    assert oct((tmp_path / "charging-manager/installations.json").stat().st_mode)[-3:] == "600"


def closed_after(port: int, *pieces: bytes, within_s: float = 8.0) -> tuple[float, bytes]:
    """How long a connection lasts that says this, and what it is told."""
    began_s = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), within_s) as talk:
        said = b""
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                talk.sendall(piece)
            while data := talk.recv(65_536):
                said += data
    return time.monotonic() - began_s, said


def test_bad_hellos_are_bounded_in_time_and_size_and_unknown_labels_learn_nothing(house: House) -> None:
    port = house.tap.port
    slow_s, said = closed_after(port, b"\x16\x03\x01\x02\x00")
    assert 1.5 < slow_s < 5
    assert said == b""
    large_s, said = closed_after(port, b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + b"x" * 16_380)
    assert large_s < 1.5
    assert closed_after(port, b"\x16garbled, this is\r\n")[0] < 1.5
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="cm-aaaaaaaaaaaaaaaa.localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    took_s, said = closed_after(port, out.read())
    assert said == ALERT
    assert took_s < 1.5
    assert house.browser().call("GET", "/ui/en/login.htm").status == 200


def test_a_brought_certificate_is_shown_and_a_new_address_leaves_the_old_one_empty(
    house: House, tmp_path: Path
) -> None:
    pair = self_signed(house.host, utc_now())
    pem = pair.to_pem().decode()
    at = pem.index("-----BEGIN CERTIFICATE")
    before = house.shown()
    refused = house.site.call("PUT", f"{AT}/certificate", {"cert": pem[at:], "key": "nonsense"})
    assert (refused.status, refused.json["code"]) == (422, "bad-certificate")
    shown = house.site.put(f"{AT}/certificate", {"cert": pem[at:], "key": pem[:at]})
    assert shown["key_fingerprint"] == pair.key_fingerprint != before["key_fingerprint"]
    assert check(house) == "ok"
    old = house.browser()
    assert old.call("GET", "/ui/en/login.htm").status == 200
    house.site.post(f"{AT}/new-address", {})
    eventually(lambda: house.shown()["url"] != before["url"] and house.shown()["state"] == "open")
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        old.call("GET", "/ui/en/login.htm")
    assert house.browser().call("GET", "/ui/en/login.htm").status == 200
    assert house.site.call("DELETE", f"{AT}/certificate").json["own_certificate"]
    assert check(house) == "ok"
