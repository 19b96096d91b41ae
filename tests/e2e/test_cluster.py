"""Two servers of one cloud, one PostgreSQL, haproxy in front with the configuration of docs/cluster.md."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, frozen

from tests.e2e.test_cloud import CLOUD_ADMIN, SITE_ADMIN, SITE_PASSWORD, passwd
from tests.support.api import Browser, Reply
from tests.support.postgres import Postgres, running_postgres
from tests.support.processes import BIN, Running, answers, daemon, eventually, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.needs("haproxy")]


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
            *("--database", self.url, "--node-address", f"127.0.0.1:{self.port}"),
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

    def figure(self, name: str) -> float:
        text = self.browser().call("GET", "/metrics").body.decode()
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"cm_cloud_{name} ")))


@frozen
class Cloud:
    """Both servers, linked, with one site that knows them."""

    postgres: Postgres
    a: Server
    b: Server
    agent_port: int
    folder: Path

    def site(self) -> Browser:
        browser = Browser(self.agent_port, host="localhost")
        browser.post("/api/v1/login", {"password": SITE_ADMIN})
        return browser

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
        yield Cloud(postgres, *servers, agent_port, folder)


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
        assert b"event: snapshot" in stream.read1(65_536) + stream.read1(65_536)
    browser.port = cloud.b.port  # the same cookie, at once
    assert browser.get("/api/v1/state")["site"]
    assert browser.call("POST", "/api/v1/logout", {}).status == 204
    browser.port = cloud.a.port
    assert browser.call("GET", "/api/v1/state").status == 401


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
