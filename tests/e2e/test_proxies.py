"""The cloud server behind haproxy and nginx in TCP mode: everything goes by the client's own address, none chooses it.

The proxies speak from 127.0.0.2, as docs/operating.md advises; clients have other addresses of loopback.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from tests.e2e.test_cloud import CLOUD_ADMIN, SITE_ADMIN, SITE_PASSWORD, Browser, passwd
from tests.support.processes import daemon, eventually, free_port
from tests.support.proxies import haproxy, nginx

pytestmark = [pytest.mark.e2e, pytest.mark.needs("curl", "haproxy", "nginx")]
PROXY = "127.0.0.2"
CHECKED = "haproxy-2"
CHECK = " check check-ssl verify none check-send-proxy inter 200ms fall 2 rise 1 on-marked-down shutdown-sessions"
ASKS = "  option httpchk\n  http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host cloud\n"


@frozen
class Street:
    """A cloud and the ports of its proxies, by name."""

    cloud_port: int
    ports: dict[str, int]
    folder: Path

    def browser(self, name: str, way: str) -> Browser:
        port = self.cloud_port if way == "direct" else self.ports[way]
        return Browser(f"https://localhost:{port}", self.folder / name)

    def connect(self, source: str) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.cloud_port), 10, source_address=(source, 0))


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    folder = tmp_path_factory.mktemp("street")
    data = folder / "cloud"
    data.mkdir(mode=0o700)
    (data / "charging-manager.toml").write_text(f'[cloud]\nproxy_from = ["{PROXY}"]\n')
    passwd(data, CLOUD_ADMIN)
    ports = {name: free_port() for name in ("haproxy-1", "haproxy-2", "nginx")}
    with daemon("cm-cloud", data) as (_, cloud_port):
        sections = "".join(
            f"listen {way}\n  bind 127.0.0.1:{ports[way]}\n"
            f"  server cloud 127.0.0.1:{cloud_port} source {PROXY} {word}{CHECK if way == CHECKED else ''}\n"
            + (ASKS if way == CHECKED else "")
            for way, word in (("haproxy-1", "send-proxy"), ("haproxy-2", "send-proxy-v2"))
        )
        server = (
            f"server {{ listen 127.0.0.1:{ports['nginx']}; proxy_pass 127.0.0.1:{cloud_port}; proxy_bind {PROXY};"
            " proxy_protocol on; }"
        )
        for name in ("haproxy", "nginx"):
            (folder / name).mkdir()
        with (
            haproxy(folder / "haproxy", sections, ports["haproxy-2"]),
            nginx(folder / "nginx", server, ports["nginx"]),
        ):
            yield Street(cloud_port, ports, folder)


WAYS = {"haproxy-1": "127.0.1.1", "haproxy-2": "127.0.1.2", "nginx": "127.0.1.3"}
"""Proxy to the address of the client that comes by it."""


@pytest.mark.parametrize("way", WAYS)
def test_a_client_is_known_by_its_own_address_and_is_not_this_machine(street: Street, way: str) -> None:
    source = WAYS[way]
    browser = street.browser(f"client-{way}", way)
    assert browser("GET", "/ui/en/login.htm", None, "--interface", source).status == 200
    assert browser("GET", "/metrics", None, "--interface", source).status == 401
    assert (
        browser("GET", "/metrics").status == 401
    )  # the proxy and its client are on this machine: by proxy all the same
    login = browser("POST", "/api/v1/cloud/admin/login", {"password": CLOUD_ADMIN}, "--interface", source)
    assert login.status == 200, login.body
    logins = browser("GET", "/api/v1/cloud/admin/logins").json["logins"]
    assert source in {one["source"] for one in logins}, logins


def test_who_guesses_slows_down_nobody_else_behind_the_same_proxy(street: Street) -> None:
    guesser = street.browser("guesser", "haproxy-2")
    wrong = {"password": "a wrong password"}
    statuses = [
        guesser("POST", "/api/v1/cloud/admin/login", wrong, "--interface", "127.0.1.66").status for _ in range(7)
    ]
    assert statuses[0] == 401 and statuses[-1] == 429, statuses
    other = street.browser("other", "haproxy-2")
    reply = other("POST", "/api/v1/cloud/admin/login", {"password": CLOUD_ADMIN}, "--interface", "127.0.1.67")
    assert reply.status == 200, reply.body


def test_without_a_proxy_everything_is_as_ever(street: Street) -> None:
    browser = street.browser("direct", "direct")
    assert browser("GET", "/metrics").status == 200  # this machine itself
    assert browser("GET", "/ui/en/login.htm", None, "--interface", "127.0.1.9").status == 200


def test_a_stranger_with_a_header_is_nobody_else(street: Street) -> None:
    with street.connect("127.0.1.10") as wire:
        wire.sendall(b"PROXY TCP4 203.0.113.7 127.0.0.1 50000 4443\r\nGET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert wire.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_from_the_proxys_address_nothing_is_answered_without_a_header(street: Street) -> None:
    with street.connect(PROXY) as wire, pytest.raises(OSError):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.wrap_socket(wire, server_hostname="localhost")


def test_an_agent_comes_in_through_a_proxy_and_is_seen_where_it_is(street: Street, tmp_path: Path) -> None:
    admin = street.browser("admin", "direct")
    assert admin("POST", "/api/v1/cloud/admin/login", {"password": CLOUD_ADMIN}).status == 200
    new = {"cloud_id": "Garage", "password": SITE_PASSWORD}
    assert admin("POST", "/api/v1/cloud/admin/installations", new).status == 201
    data = tmp_path / "site"
    data.mkdir(mode=0o700)
    passwd(data, SITE_ADMIN)
    with daemon("cm-agent", data) as (_, agent_port):
        site = Browser(f"http://localhost:{agent_port}", tmp_path / "site-jar")
        assert site("POST", "/api/v1/login", {"password": SITE_ADMIN}).status == 200
        service = {
            "enabled": True,
            "server": f"127.0.0.1:{street.ports['haproxy-2']}",
            "cloud_id": "garage",
            "password": SITE_PASSWORD,
        }
        assert site("PUT", "/api/v1/config/cloud", service).status == 200
        eventually(lambda: site("GET", "/api/v1/config/cloud").json["state"] == "connected")
        came = eventually(
            lambda: admin("GET", "/api/v1/cloud/admin/installations/Garage/connections").json["connections"],
            within_s=15,
        )
        assert [passage["source"] for passage in came] == ["127.0.0.1"], came
        remote = street.browser("keeper", "nginx")
        login = {"cloud_id": "Garage", "secret": SITE_ADMIN, "admin": True}
        assert remote("POST", "/api/v1/cloud/login", login, "--interface", "127.0.1.20").status == 200
        assert remote("GET", "/api/v1/state").status == 200
        sessions = json.loads(site("GET", "/api/v1/logins").body)["logins"]
        assert "127.0.1.20" in {one["source"] for one in sessions}, sessions


def test_haproxy_sends_nobody_to_a_server_that_is_not_ready(tmp_path: Path) -> None:
    """A server without an admin password says so in its health check, and is used as soon as it has one."""
    data = tmp_path / "cloud"
    data.mkdir(mode=0o700)
    port = free_port()
    with daemon("cm-cloud", data, "--proxy-from", PROXY) as (_, cloud_port):
        server = f"  server cloud 127.0.0.1:{cloud_port} source {PROXY} send-proxy-v2{CHECK}\n"
        with haproxy(tmp_path, f"listen way\n  bind 127.0.0.1:{port}\n{ASKS}{server}", port) as proxy:
            proxy.wait_line("is DOWN")
            assert "code: 503" in proxy.output, proxy.output
            passwd(data, CLOUD_ADMIN)
            proxy.wait_line("is UP")
            browser = Browser(f"https://localhost:{port}", tmp_path / "jar")
            eventually(lambda: browser("GET", "/readyz").body == b"ready\n")
            assert browser("GET", "/healthz").body == b"ok\n"
