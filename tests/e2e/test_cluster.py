"""Two servers of one cloud, one PostgreSQL, haproxy in front with the configuration of docs/cluster.md."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import shutil
import signal
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, frozen

from tests.e2e.test_cloud import CLOUD_ADMIN, SITE_ADMIN, SITE_PASSWORD, command, passwd
from tests.e2e.test_private import AT, PrivateBrowser
from tests.support.api import Browser, Reply
from tests.support.postgres import Postgres, running_postgres
from tests.support.processes import BIN, ROOT, Running, answers, daemon, eventually, free_port, throughout
from tests.support.proxies import haproxy

pytestmark = [pytest.mark.e2e, pytest.mark.needs("haproxy")]

PROXY = "127.0.0.2"
BACK_WITHIN_S = 60.0
"""An agent whose server was lost."""


@define
class Server:
    """One cm-cloud, which may be killed and started again at the same port."""

    data: Path
    port: int
    url: str
    process: Running | None = None

    def start(self) -> None:
        self.process = Running(
            *(BIN / "twistd", "-n", "cm-cloud", "--data", self.data, "--port", str(self.port), "--loglevel", "3"),
            *("--database", self.url, "--node-address", f"127.0.0.1:{self.port}", "--proxy-from", PROXY),
            cwd=self.data,
        )
        process = self.process
        eventually(lambda: process.process.poll() is not None or answers(self.port))
        assert process.process.poll() is None, process.output

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.stop(number)

    def browser(self) -> Browser:
        return Browser(self.port, secure=True)

    def admin(self) -> Browser:
        browser = self.browser()
        browser.post("/api/v1/cloud/admin/login", {"password": CLOUD_ADMIN})
        return browser

    def tunnels(self) -> float:
        return self.figure("tunnels") if self.process is not None else 0

    def figure(self, name: str) -> float:
        text = self.browser().call("GET", "/metrics").body.decode()
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"cm_cloud_{name} ")))


@frozen
class Cloud:
    """Both servers, linked, with one site that knows them."""

    postgres: Postgres
    a: Server
    b: Server
    port: int
    """Of haproxy."""
    agent_port: int
    folder: Path

    def browser(self) -> Browser:
        return Browser(self.port, secure=True)

    def site(self) -> Browser:
        browser = Browser(self.agent_port, host="localhost")
        browser.post("/api/v1/login", {"password": SITE_ADMIN})
        return browser

    def holder(self) -> Server:
        """The one that has the tunnel."""
        return eventually(lambda: next((each for each in (self.a, self.b) if each.tunnels() == 1), None))  # type: ignore[return-value]

    def other(self) -> Server:
        return self.b if self.holder() is self.a else self.a

    def connect_site(self, port: int) -> None:
        """Its tunnel goes to this port from now on."""
        site = self.site()
        service = {"enabled": True, "server": f"localhost:{port}", "cloud_id": "garage", "password": SITE_PASSWORD}
        site.put("/api/v1/config/cloud", service)
        eventually(lambda: site.get("/api/v1/config/cloud")["state"] == "connected")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("cluster")
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(running_postgres())
        url = postgres.url(postgres.database())
        servers = [Server(folder / name, free_port(), url) for name in ("a", "b")]
        for server in servers:
            server.data.mkdir(mode=0o700)
            stack.callback(server.stop)
        passwd(servers[0].data, CLOUD_ADMIN)
        servers[0].start()
        (servers[1].data / "cloud").mkdir(mode=0o700)
        shutil.copy(servers[0].data / "cloud" / "secret", servers[1].data / "cloud" / "secret")
        servers[1].start()
        for server in servers:
            eventually(lambda server=server: server.figure("servers_linked") == 1)
        servers[0].admin().post("/api/v1/cloud/admin/installations", {"cloud_id": "Garage", "password": SITE_PASSWORD})
        site_data = folder / "site"
        site_data.mkdir(mode=0o700)
        passwd(site_data, SITE_ADMIN)
        _, agent_port = stack.enter_context(daemon("cm-agent", site_data))
        port = free_port()
        stack.enter_context(haproxy(folder, as_documented(port, *servers), port, defaults=""))
        yield Cloud(postgres, *servers, port, agent_port, folder)


def as_documented(port: int, a: Server, b: Server) -> str:
    """The configuration of docs/cluster.md, with our addresses in it."""
    page = (ROOT / "docs" / "cluster.md").read_text()
    text = page.split("```haproxy\n")[1].split("```")[0]
    for theirs, ours in (
        ("10.0.0.11:4443", f"127.0.0.1:{a.port}"),
        ("10.0.0.12:4443", f"127.0.0.1:{b.port}"),
        ("source 10.0.0.5", f"source {PROXY}"),
        ("bind :443", f"bind 127.0.0.1:{port}"),
        ("maxconn 20000", "maxconn 2000"),
    ):
        assert theirs in text
        text = text.replace(theirs, ours)
    return text


def log_in(browser: Browser) -> Reply:
    return browser.call("POST", "/api/v1/cloud/login", {"cloud_id": "Garage", "secret": SITE_ADMIN, "admin": True})


def test_a_browser_at_one_server_reaches_the_site_whose_tunnel_is_at_the_other(cloud: Cloud) -> None:
    cloud.connect_site(cloud.b.port)
    browser = cloud.a.browser()
    eventually(lambda: log_in(browser).status == 200)
    assert browser.get("/api/v1/state")["site"]
    large = browser.call("GET", "/api/v1/log")
    assert large.status == 200
    with events(browser) as stream:
        hear(stream, b"event: snapshot")
    browser.port = cloud.b.port  # the same cookie, at once
    assert browser.get("/api/v1/state")["site"]
    assert browser.call("POST", "/api/v1/logout", {}).status == 204
    browser.port = cloud.a.port
    assert browser.call("GET", "/api/v1/state").status == 401


def hear(stream: http.client.HTTPResponse, word: bytes) -> None:
    """Read on until it has come, in however many pieces; something comes every 15 s at least."""
    heard = b""
    for _ in range(100):
        heard += stream.read1(65_536)
        if word in heard:
            return
    raise AssertionError(heard[-2000:])


@contextlib.contextmanager
def events(browser: Browser) -> Iterator[http.client.HTTPResponse]:
    connection = browser.open()
    try:
        connection.request("GET", "/api/v1/events", headers=browser.headers())
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        yield answer
    finally:
        connection.close()


def test_in_end_to_end_mode_every_server_leads_to_the_site(cloud: Cloud) -> None:
    site = cloud.site()
    site.put(AT, {"enabled": True})
    try:
        eventually(lambda: site.get(AT)["state"] == "open")
        host = str(site.get(AT)["url"]).split("/")[2].partition(":")[0]
        for server in (cloud.holder(), cloud.other()):
            browser = PrivateBrowser(server.port, secure=True, host=host)
            browser.post("/api/v1/login", {"password": SITE_ADMIN})
            assert browser.get("/api/v1/state")["site"]
        other = cloud.other()
        assert other.process is not None
        assert host.partition(".")[0] not in other.process.output
    finally:
        site.put(AT, {"enabled": False})
    unknown = PrivateBrowser(cloud.other().port, secure=True, host=host)
    eventually(lambda: is_refused(unknown))  # nobody has this name any more


def is_refused(browser: Browser) -> bool:
    try:
        browser.call("GET", "/api/v1/me")
    except ssl.SSLError:
        return True
    return False


def test_what_one_server_is_told_holds_at_the_other_at_once(cloud: Cloud) -> None:
    one, other = cloud.a.admin(), cloud.b.admin()
    settings: dict[str, Any] = one.get("/api/v1/cloud/admin/settings")
    one.put("/api/v1/cloud/admin/settings", {"alarm_after_s": 1234})
    eventually(lambda: other.get("/api/v1/cloud/admin/settings")["alarm_after_s"] == 1234, within_s=5)
    key = one.post("/api/v1/cloud/admin/keys", {"name": "fleet", "scopes": ["installations-read"]})["key"]
    program = cloud.b.browser()
    path, bearer = "/api/v1/cloud/admin/installations", f"Bearer {key}"
    eventually(lambda: program.call("GET", path, Authorization=bearer).status == 200, within_s=5)
    assert settings


class Acknowledged:
    """An operator's program that adds one installation after the other, through haproxy, and remembers each answer."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._stopping = cloud, threading.Event()
        self.added: list[str] = []
        self.browser = cloud.browser()
        eventually(lambda: self._log_in().status == 200)
        self._thread = threading.Thread(target=self._work)

    def _log_in(self) -> Reply:
        return self.browser.call("POST", "/api/v1/cloud/admin/login", {"password": CLOUD_ADMIN})

    def _work(self) -> None:
        for number in itertools.count():
            if self._stopping.wait(0.05):
                return
            name = f"{threading.get_ident()}-{number}"
            with contextlib.suppress(OSError, http.client.HTTPException):
                body = {"cloud_id": name, "password": "twelve chars!"}
                if self.browser.call("POST", "/api/v1/cloud/admin/installations", body).status == 201:
                    self.added.append(name)

    def __enter__(self) -> Acknowledged:
        self._thread.start()
        return self

    def __exit__(self, *what: object) -> None:
        self._stopping.set()
        self._thread.join(60)

    def check(self) -> None:
        """All of it is there, and the login with which it was done still counts."""
        there = {row["cloud_id"] for row in self.browser.get("/api/v1/cloud/admin/installations")["installations"]}
        assert set(self.added) <= there
        noted = {row["subject"] for row in self.browser.get("/api/v1/cloud/admin/audit.json")["audit"]}
        assert set(self.added) <= noted
        assert self.browser.get("/api/v1/cloud/admin/audit/verify")["whole"]


def kill_and_come_back(cloud: Cloud, victim: Server, browser: Browser) -> float:
    """``kill -9``; how long until the site is reached again, by the same login, through haproxy."""
    began_s = time.monotonic()
    victim.stop(signal.SIGKILL)
    eventually(lambda: browser.call("GET", "/api/v1/state").status == 200, within_s=BACK_WITHIN_S)
    took_s = time.monotonic() - began_s
    with events(browser) as stream:
        hear(stream, b"event: snapshot")
    victim.start()
    for server in (cloud.a, cloud.b):
        eventually(lambda server=server: server.figure("servers_linked") == 1)
    return took_s


def test_either_server_may_be_killed_and_nothing_acknowledged_is_lost(cloud: Cloud) -> None:
    cloud.connect_site(cloud.port)
    holder, other = cloud.holder(), cloud.other()
    browser = other.browser()  # at the one server, while the tunnel is at the other
    eventually(lambda: log_in(browser).status == 200)
    with events(browser) as stream:
        hear(stream, b"event: snapshot")
        cloud.site().put("/api/v1/site", {**cloud.site().get("/api/v1/site"), "name": "Renamed"})
        hear(stream, b"Renamed")
    browser.port = cloud.port
    with Acknowledged(cloud) as operator:
        eventually(lambda: len(operator.added) >= 3)
        took_s = kill_and_come_back(cloud, holder, browser)  # the one with the tunnel
        assert cloud.holder() is other
        count = len(operator.added)
        eventually(lambda: len(operator.added) > count)
        kill_and_come_back(cloud, holder, browser)  # the one without it
        assert cloud.holder() is other
    assert took_s <= BACK_WITHIN_S
    operator.check()
    assert log_in(cloud.browser()).status == 200


def test_while_the_database_is_away_tunnels_stay_and_logins_say_so_and_then_all_goes_on(cloud: Cloud) -> None:
    cloud.connect_site(cloud.port)
    site, browser, admin = cloud.site(), cloud.browser(), cloud.browser()
    eventually(lambda: log_in(browser).status == 200)
    admin.post("/api/v1/cloud/admin/login", {"password": CLOUD_ADMIN})
    assert cloud.holder().figure("tunnels") == 1
    with Acknowledged(cloud) as operator, events(browser) as stream:
        eventually(lambda: len(operator.added) >= 3)
        cloud.postgres.stop()
        eventually(lambda: admin.call("GET", "/api/v1/cloud/admin/installations").status == 503)
        refused = log_in(cloud.browser())
        assert (refused.status, refused.json["code"]) == (503, "database-offline")
        assert "does not answer right now" in refused.json["detail"]

        def goes_on() -> bool:
            connected = site.get("/api/v1/config/cloud")["state"] == "connected"
            return connected and browser.call("GET", "/api/v1/state").status == 200

        throughout(goes_on, for_s=60 if os.environ.get("CM_LONG") else 6, every_s=0.5)
        site.put("/api/v1/site", {**site.get("/api/v1/site"), "name": "Meanwhile"})
        hear(stream, b"Meanwhile")
        cloud.postgres.start()
        eventually(lambda: log_in(cloud.browser()).status == 200)
        count = len(operator.added)
        eventually(lambda: len(operator.added) > count)
    operator.check()
    for server in (cloud.a, cloud.b):
        eventually(lambda server=server: server.browser().call("GET", "/readyz").status == 200)
        assert server.process is not None
        lines = [line for line in server.process.lines if "Traceback" in line]
        assert lines == []


def test_commands_say_where_the_state_is_and_a_server_of_another_cloud_does_not_start(
    cloud: Cloud, tmp_path: Path
) -> None:
    data = ("--data", str(cloud.a.data))
    whole = command("audit", "verify", *data, "--database", cloud.a.url)
    assert (whole.returncode, "is whole" in whole.stdout) == (0, True), whole.stderr
    unnamed = command("audit", "verify", *data)
    assert (unnamed.returncode, "--database" in unnamed.stderr) == (1, True)
    kept = command("backup", tmp_path / "backup", *data)
    assert (kept.returncode, "pg_dump" in kept.stderr) == (1, True)
    stranger = tmp_path / "stranger"
    stranger.mkdir(mode=0o700)
    process = Running(
        BIN / "twistd", "-n", "cm-cloud", "--data", stranger, "--port", "0", "--database", cloud.a.url, cwd=stranger
    )
    assert process.wait() != 0
    assert "copy the file of this name" in process.output
    assert "Traceback" not in process.output
