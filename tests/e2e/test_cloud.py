"""The cloud server as its users meet it: a real cm-cloud and a real cm-agent, asked by curl, watched by openssl."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from tests.support.processes import BIN, ROOT, Running, daemon, eventually, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.needs("curl", "openssl")]

CLOUD_ADMIN = "the cloud's admin password"
SITE_ADMIN = "the site's admin password"
SITE_PASSWORD = "installation password"


@frozen
class Reply:
    """What curl got."""

    status: int
    body: bytes
    headers: str
    took_s: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@frozen
class Browser:
    """curl with a cookie jar, at one server."""

    base: str
    jar: Path

    def __call__(self, method: str, path: str, body: Any = None, *more: str) -> Reply:
        folder = self.jar.parent
        out, heads = folder / f"{self.jar.name}.out", folder / f"{self.jar.name}.heads"
        out.write_bytes(b"")
        command = ["curl", "-sk", "--max-time", "30", "-X", method, "-b", self.jar, "-c", self.jar, "-o", out]
        command += ["-D", heads, "-w", "%{http_code} %{time_total}", *more]
        if body is not None:
            command += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        done = subprocess.run([*command, self.base + path], capture_output=True, text=True, check=True)
        status, took = done.stdout.split()
        return Reply(int(status), out.read_bytes(), heads.read_text(), float(took))


def command(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "charging_manager", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )


def passwd(data: Path, password: str) -> None:
    done = command("passwd", "--data", data, stdin=password + "\n")
    assert done.returncode == 0, done.stderr


@frozen
class Pair:
    """A cloud and one site connected to it; ``user_id`` is of a user who may log in from afar."""

    cloud: Running
    agent: Running
    cloud_port: int
    agent_port: int
    cloud_data: Path
    user_id: str
    home_user_id: str
    folder: Path

    def at_cloud(self, name: str) -> Browser:
        return Browser(f"https://localhost:{self.cloud_port}", self.folder / name)

    def log_in(self, name: str, secret: str = SITE_ADMIN, admin: bool = True, cloud_id: str = "Garage") -> Reply:
        return self.at_cloud(name)("POST", "/api/v1/cloud/login", login(cloud_id, secret, admin))

    def cloud_admin(self, name: str = "cloud-admin") -> Browser:
        browser = self.at_cloud(name)
        assert browser("POST", "/api/v1/cloud/admin/login", {"password": CLOUD_ADMIN}).status == 200
        return browser


def login(cloud_id: str, secret: str, admin: bool) -> dict[str, Any]:
    return {"cloud_id": cloud_id, "secret": secret, "admin": admin}


@contextlib.contextmanager
def connected(folder: Path) -> Iterator[Pair]:
    """Both daemons, configured over their own API as a person would."""
    cloud_data, site_data = folder / "cloud", folder / "site"
    for data, password in ((cloud_data, CLOUD_ADMIN), (site_data, SITE_ADMIN)):
        data.mkdir(mode=0o700)
        passwd(data, password)
    with (
        daemon("cm-cloud", cloud_data, "--loglevel", "4") as (cloud, cloud_port),
        daemon("cm-agent", site_data, "--loglevel", "4") as (agent, agent_port),
    ):
        at_cloud = Browser(f"https://localhost:{cloud_port}", folder / "setup-cloud")
        assert at_cloud("POST", "/api/v1/cloud/admin/login", {"password": CLOUD_ADMIN}).status == 200
        new = {"cloud_id": "Garage", "password": SITE_PASSWORD}
        assert at_cloud("POST", "/api/v1/cloud/admin/installations", new).status == 201
        at_site = Browser(f"http://localhost:{agent_port}", folder / "setup-site")
        assert at_site("POST", "/api/v1/login", {"password": SITE_ADMIN}).status == 200
        ids = []
        for name, remote in (("Rosa", True), ("Hugo", False)):
            made = at_site("POST", "/api/v1/users", {"name": name, "remote": remote, "language": "fr"})
            assert made.status == 201, made.body
            ids.append(made.json["user_id"])
        service = {
            "enabled": True,
            "server": f"localhost:{cloud_port}",
            "cloud_id": "garage",
            "password": SITE_PASSWORD,
        }
        assert at_site("PUT", "/api/v1/config/cloud", service).status == 200
        eventually(lambda: at_site("GET", "/api/v1/config/cloud").json["state"] == "connected")
        yield Pair(cloud, agent, cloud_port, agent_port, cloud_data, ids[0], ids[1], folder)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with connected(tmp_path_factory.mktemp("pair")) as both:
        yield both


def test_the_truth_table_row_by_row(pair: Pair) -> None:
    admin = pair.log_in("admin", SITE_ADMIN, True)
    assert (admin.status, admin.json["role"], admin.json["cloud_id"]) == (200, "admin", "Garage")
    assert "__Host-cm_cloud=" in admin.headers
    for attribute in ("HttpOnly", "Secure", "SameSite=Strict"):
        assert attribute in admin.headers
    user = pair.log_in("user", pair.user_id, False)
    assert (user.status, user.json["role"]) == (200, "user")
    me = pair.at_cloud("user")("GET", "/api/v1/me").json
    assert (me["role"], me["remote"]) == ("user", True)


def test_every_failing_row_looks_and_lasts_the_same(pair: Pair) -> None:
    admin = pair.cloud_admin("adds-offline")
    new = {"cloud_id": "offline-site", "password": SITE_PASSWORD}
    assert admin("POST", "/api/v1/cloud/admin/installations", new).status == 201
    rows = {
        "a user id as admin": ("garage", pair.user_id, True),
        "the admin password as user": ("garage", SITE_ADMIN, False),
        "an unknown cloud id": ("no-such-site", SITE_ADMIN, True),
        "an installation that is offline": ("offline-site", SITE_ADMIN, True),
        "nothing as admin": ("garage", "", True),
        "nothing as user": ("garage", "", False),
        "a user of the site only": ("garage", pair.home_user_id, False),
        "a wrong secret": ("garage", "wrong", True),
        "another wrong secret": ("garage", "wrong too", True),
        "the right one, but throttled by now": ("garage", SITE_ADMIN, True),
    }
    # One after the other: the throttle, too, must not show.
    replies = {what: pair.log_in("stranger", *row[1:], cloud_id=row[0]) for what, row in rows.items()}
    first = next(iter(replies.values()))
    for what, reply in replies.items():
        assert (reply.status, reply.body) == (401, first.body), what
        assert reply.json["code"] == "login-failed"
        assert 3.0 <= reply.took_s < 3.5, (what, reply.took_s)
        assert strip_date(reply.headers) == strip_date(first.headers), what
    assert statistics.pstdev([reply.took_s for reply in replies.values()]) < 0.2
    causes = {f["cause"] for f in admin("GET", "/api/v1/cloud/admin/failed-logins").json["failed_logins"]}
    assert {"refused", "unknown-id", "offline", "throttled"} <= causes


def strip_date(headers: str) -> list[str]:
    return [line for line in headers.splitlines() if not line.lower().startswith("date:")]


def test_no_secret_is_in_any_log_or_at_the_cloud(pair: Pair) -> None:
    written = pair.cloud.output + pair.agent.output
    for path in (pair.cloud_data / "cloud").rglob("*"):
        if path.is_file():
            written += path.read_bytes().decode("latin-1")
    for secret in (SITE_ADMIN, CLOUD_ADMIN, SITE_PASSWORD, pair.user_id):
        assert secret not in written


def test_logout_ends_both_ends(pair: Pair) -> None:
    with connected_again(pair, "leaver") as browser:
        assert browser("GET", "/api/v1/state").status == 200
        assert browser("POST", "/api/v1/logout").status == 204
        assert browser("GET", "/api/v1/state").status == 401


@contextlib.contextmanager
def connected_again(pair: Pair, name: str) -> Iterator[Browser]:
    """A login by a browser that is known by its device cookie, so that earlier wrong tries do not stand in its way."""
    jar = pair.folder / name
    known = pair.folder / "admin"
    if known.exists():  # else this test runs alone, and there were no wrong tries
        jar.write_bytes(known.read_bytes())
    browser = pair.at_cloud(name)
    reply = browser("POST", "/api/v1/cloud/login", login("garage", SITE_ADMIN, True))
    assert reply.status == 200, reply.body
    yield browser


class Events:
    """An event stream that stays open; what came is in its file."""

    def __init__(self, browser: Browser) -> None:
        self.path = browser.jar.with_suffix(".events")
        url = f"{browser.base}/api/v1/events"
        self.process = subprocess.Popen(["curl", "-skN", "-b", browser.jar, "-o", self.path, url])

    @property
    def count(self) -> int:
        return self.path.read_text().count("event:") if self.path.exists() else 0

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def shown_fingerprint(port: int) -> str:
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", f"localhost:{port}"], stdin=subprocess.DEVNULL, capture_output=True
    )
    done = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256"], input=shown.stdout, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
        + ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )
    return cert, key


def test_a_new_certificate_drops_neither_tunnel_nor_stream(pair: Pair, tmp_path: Path) -> None:
    with connected_again(pair, "watcher") as browser:
        events = Events(browser)
        try:
            eventually(lambda: events.count >= 1)
            before = shown_fingerprint(pair.cloud_port)
            url = f"https://localhost:{pair.cloud_port}"
            cert, key = make_certificate(tmp_path, "cloud.example")
            other, _ = make_certificate(tmp_path, "other.example")

            refused = command("cloud_cert", url, other, key, "--data", pair.cloud_data)
            assert refused.returncode == 1
            assert "Traceback" not in refused.stderr
            assert "does not belong to the certificate" in refused.stderr
            assert shown_fingerprint(pair.cloud_port) == before

            done = command("cloud_cert", url, cert, key, "--data", pair.cloud_data)
            assert done.returncode == 0, done.stderr
            expected = subprocess.run(
                ["openssl", "x509", "-in", cert, "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True
            )
            assert shown_fingerprint(pair.cloud_port) == expected.stdout.strip() != before

            had = events.count
            eventually(lambda: events.count > had)
            assert events.process.poll() is None
            assert not [line for line in pair.cloud.lines if " is down" in line]
            # A second time: the pin of the runtime file has followed the new key.
            again = command("cloud_cert", url, *make_certificate(tmp_path, "third.example"), "--data", pair.cloud_data)
            assert again.returncode == 0, again.stderr
        finally:
            events.close()


def test_what_cannot_be_imported_is_said_in_one_sentence(pair: Pair, tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path, "cloud.example")
    url = f"https://localhost:{pair.cloud_port}"
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("this is no certificate")
    for arguments, part in (
        ((url, tmp_path / "missing.pem", key), "missing.pem"),
        ((url, nonsense, key), "not a certificate"),
        ((url, cert, nonsense), "nonsense.pem: is not a private key"),
        ((f"https://localhost:{free_port()}", cert, key), "no server"),
        ((f"http://localhost:{pair.cloud_port}", cert, key), "https"),
        (("https://cloud.example:4443", cert, key), "own machine"),
    ):
        done = command("cloud_cert", *arguments, "--data", pair.cloud_data)
        assert done.returncode == 1, arguments
        assert part in done.stderr, (part, done.stderr)
        assert len(done.stderr.strip().splitlines()) == 1


def test_the_certificate_route_wants_the_token_of_the_runtime_file(pair: Pair, tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path, "evil.example")
    body = {"cert": cert.read_text(), "key": key.read_text()}
    before = shown_fingerprint(pair.cloud_port)
    admin = pair.cloud_admin("wants-certificate")
    for more in ((), ("-H", "Authorization: Bearer guess")):
        reply = admin("PUT", "/api/v1/cloud/admin/certificate", body, *more)
        assert (reply.status, reply.json["code"]) == (401, "token-needed")
    token = json.loads((pair.cloud_data / "run" / f"{pair.cloud_port}.json").read_text())["token"]
    forwarded = ("-H", f"Authorization: Bearer {token}", "-H", "X-Forwarded-For: 192.0.2.1")
    assert admin("PUT", "/api/v1/cloud/admin/certificate", body, *forwarded).status == 403
    assert shown_fingerprint(pair.cloud_port) == before


def test_a_deleted_installation_is_gone_within_a_second(tmp_path: Path) -> None:
    with connected(tmp_path) as pair:
        assert pair.log_in("admin").status == 200
        browser, admin = pair.at_cloud("admin"), pair.cloud_admin()
        events = Events(browser)
        try:
            eventually(lambda: events.count >= 1)
            rows = admin("GET", "/api/v1/cloud/admin/installations").json["installations"]
            assert [(row["cloud_id"], row["state"]) for row in rows] == [("Garage", "connected")]
            assert rows[0]["version"]
            began_s = time.monotonic()
            assert admin("DELETE", "/api/v1/cloud/admin/installations/GARAGE").status == 204
            assert events.process.wait(5) == 0
            assert time.monotonic() - began_s < 1.0
            assert browser("GET", "/api/v1/state").status == 401
            pair.cloud.wait_line("is down: deleted", 2)
        finally:
            events.close()


def test_a_cloud_that_is_killed_has_its_agent_and_its_logins_back(tmp_path: Path) -> None:
    with connected(tmp_path) as pair:
        assert pair.log_in("admin").status == 200
        browser = pair.at_cloud("admin")
        pair.cloud.stop(signal.SIGKILL)
        with daemon("cm-cloud", pair.cloud_data, port=pair.cloud_port):
            eventually(lambda: browser("GET", "/api/v1/state").status == 200, within_s=120)


def test_stopping_tells_the_agents_and_ends_cleanly(tmp_path: Path) -> None:
    with connected(tmp_path) as pair:
        began_s = time.monotonic()
        pair.cloud.signal(signal.SIGTERM)  # and again with stop: whoever is in a hurry changes nothing
        assert pair.cloud.stop() in (0, -signal.SIGTERM)  # twistd ends by the signal that it was sent
        assert time.monotonic() - began_s < 7
        assert "Traceback" not in pair.cloud.output
        assert not list((pair.cloud_data / "run").iterdir())
        at_site = Browser(f"http://localhost:{pair.agent_port}", pair.folder / "setup-site")
        state = eventually(lambda: at_site("GET", "/api/v1/config/cloud").json)
        assert state["state"] != "connected"


@pytest.mark.parametrize("allow_http", [False, True])
def test_plain_http_and_tls_share_the_port(tmp_path: Path, allow_http: bool) -> None:
    passwd(tmp_path, CLOUD_ADMIN)
    with daemon("cm-cloud", tmp_path, *(["--allow-http"] if allow_http else [])) as (_, port):
        over_tls = Browser(f"https://localhost:{port}", tmp_path / "tls")
        plain = Browser(f"http://localhost:{port}", tmp_path / "plain")
        assert over_tls("GET", "/ui/fr/login.htm").status == 200
        reply = plain("GET", "/ui/fr/login.htm")
        if allow_http:
            assert reply.status == 200
            admin = plain("POST", "/api/v1/cloud/admin/login", {"password": CLOUD_ADMIN})
            assert "cm_plain_" in admin.headers
            assert "__Host-" not in admin.headers
            assert plain("GET", "/api/v1/cloud/admin/installations").status == 200
        else:
            assert (reply.status, "text/plain" in reply.headers) == (400, True)
            assert b"https://" in reply.body


def test_before_the_first_password_only_this_machine_is_served(tmp_path: Path) -> None:
    with daemon("cm-cloud", tmp_path) as (_, port):
        browser = Browser(f"https://localhost:{port}", tmp_path / "jar")
        assert browser("GET", "/api/v1/cloud/admin/installations").status == 200
        for path in ("/api/v1/cloud/admin/installations", "/ui/en/cloud-admin.htm", "/"):
            assert browser("GET", path, None, "-H", "Host: cloud.example").status == 403
            assert browser("GET", path, None, "-H", "X-Forwarded-For: 192.0.2.1").status == 403
        assert browser("PUT", "/api/v1/admin/password", {"old": "", "new": CLOUD_ADMIN}).status == 200
        assert browser("GET", "/ui/en/cloud-admin.htm", None, "-H", "Host: cloud.example").status == 200
        passwd(tmp_path, "another password")
        eventually(lambda: browser("GET", "/api/v1/cloud/admin/installations").status == 401, within_s=2)


def test_metrics_are_for_this_machine_or_its_token(pair: Pair) -> None:
    browser = pair.at_cloud("metrics")
    reply = browser("GET", "/metrics")
    assert reply.status == 200
    assert b"cm_cloud_tunnels 1\n" in reply.body
    away = ("-H", "Host: cloud.example")
    assert browser("GET", "/metrics", None, *away).status == 401
    token = json.loads((pair.cloud_data / "run" / f"{pair.cloud_port}.json").read_text())["token"]
    assert browser("GET", "/metrics", None, *away, "-H", f"Authorization: Bearer {token}").status == 200


def start_in_vain(data: Path, port: int) -> Running:
    process = Running(BIN / "twistd", "-n", "cm-cloud", "--data", str(data), "--port", str(port), cwd=data)
    try:
        assert process.wait(20) != 0
    finally:
        process.stop()
    assert "Traceback" not in process.output
    return process


def test_a_port_that_is_taken_is_said_in_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port}: is in use" in start_in_vain(tmp_path, port).output


def test_a_database_of_a_newer_version_is_refused_and_untouched(tmp_path: Path) -> None:
    with daemon("cm-cloud", tmp_path):
        pass
    path = tmp_path / "cloud" / "cloud.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 999")
    before = path.read_bytes()
    assert "newer" in start_in_vain(tmp_path, free_port()).output
    assert path.read_bytes() == before


def test_a_certificate_that_cannot_be_read_is_said_in_one_sentence(tmp_path: Path) -> None:
    with daemon("cm-cloud", tmp_path):
        pass
    (tmp_path / "cloud" / "tls" / "pair.pem").write_text("not a pair")
    assert "pair.pem" in start_in_vain(tmp_path, free_port()).output


def test_two_servers_in_one_folder_do_not_clash(tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    first.mkdir()
    second.mkdir()
    with daemon("cm-cloud", first), daemon("cm-cloud", second, env={"PWD": str(first)}):
        assert not [name for name in os.listdir(first) if name.endswith(".pid")]


def test_agent_and_cloud_share_the_admin_password_of_one_state_directory(tmp_path: Path) -> None:
    passwd(tmp_path, CLOUD_ADMIN)
    with daemon("cm-cloud", tmp_path) as (_, cloud_port), daemon("cm-agent", tmp_path) as (_, agent_port):
        at_cloud = Browser(f"https://localhost:{cloud_port}", tmp_path / "jar-cloud")
        at_site = Browser(f"http://localhost:{agent_port}", tmp_path / "jar-site")
        logins = (
            (at_cloud, "/api/v1/cloud/admin/login", "/api/v1/cloud/admin/installations"),
            (at_site, "/api/v1/login", "/api/v1/users"),
        )
        for browser, address, inside in logins:
            assert browser("POST", address, {"password": CLOUD_ADMIN}).status == 200
            assert browser("GET", inside).status == 200
        passwd(tmp_path, "another password")
        for browser, _, inside in logins:
            eventually(lambda browser=browser, inside=inside: browser("GET", inside).status == 401, within_s=2)
