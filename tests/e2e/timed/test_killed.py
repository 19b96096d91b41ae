"""``kill -9`` at random moments of everything that writes: nothing acknowledged is lost, every start takes 5 s at most.

Moments come from a seeded generator and are spread over the time that the operation really takes. 300 kills with
``CM_LONG=1`` (``make soak``), 30 otherwise.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest

from charging_manager.storage.schema import read_upgrades
from tests.support.api import Browser
from tests.support.certificates import make_certificates
from tests.support.mortal import Ledger, Mortal
from tests.support.processes import ROOT, eventually
from tests.support.sites import PASSWORD, set_password
from tests.support.strategies import LONG

pytestmark = pytest.mark.e2e
TIMES = 10 if LONG else 1
AGENT_SCHEMA = files("charging_manager.agent") / "schema"
CLOUD_SCHEMA = files("charging_manager.cloud.schema")
AGENT_DB, CLOUD_DB = "agent/agent.db", "cloud/cloud.sqlite"


@contextlib.contextmanager
def mortal(plugin: str, data: Path, *options: str) -> Iterator[Mortal]:
    one = Mortal(plugin, data, *options)
    try:
        yield one
    finally:
        if one.process is not None and one.process.process.poll() is None:
            one.kill()


def sound(path: Path) -> None:
    """Raises: AssertionError for a damaged database; what is half-written in its WAL counts as SQLite counts it."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def log_in(agent: Mortal) -> None:
    agent.browser.post("/api/v1/login", {"password": PASSWORD})


def found_at(agent: Mortal) -> tuple[frozenset[str], str, int]:
    """The login survives too: it was acknowledged."""
    users = frozenset(one["name"] for one in agent.browser.get("/api/v1/users")["users"])
    return users, agent.browser.get("/api/v1/site")["name"], agent.browser.get("/api/v1/config/recording")["days"]


def test_the_agent_at_changes_of_its_configuration_and_at_its_start(tmp_path: Path) -> None:
    chance = random.Random(11)
    set_password(tmp_path)
    with mortal("cm-agent", tmp_path) as agent:
        agent.start()
        log_in(agent)
        ledger, number = Ledger(found_at(agent)), 0

        def change() -> None:
            nonlocal number
            going_on = True
            while going_on:
                number += 1
                users, name, days = ledger.state
                kind = chance.randrange(3)
                if kind == 0:
                    body = {"name": f"user {number}"}
                    wanted = (users | {body["name"]}, name, days)
                    going_on = ledger.change(wanted, lambda b=body: asked(agent.browser, "POST", "/users", b))  # type: ignore[misc]
                elif kind == 1:
                    body = {"name": f"site {number}"}
                    wanted = (users, body["name"], days)
                    going_on = ledger.change(wanted, lambda b=body: asked(agent.browser, "PUT", "/site", b))  # type: ignore[misc]
                else:
                    left = {"days": days % 31 + 1}
                    wanted = (users, name, left["days"])
                    going_on = ledger.change(
                        wanted,
                        lambda b=left: asked(agent.browser, "PUT", "/config/recording", b),  # type: ignore[misc]
                    )

        for _ in range(5 * TIMES):
            agent.kill_within(chance.uniform(0.0, 0.3), change)
            spread_start(agent, chance)
            agent.start()
            sound(tmp_path / AGENT_DB)
            ledger.compare(found_at(agent))
        assert ledger.acknowledged > 5 * TIMES
        for secret in ("id.key", "key.pem", "pair.pem"):
            assert (tmp_path / "agent" / secret).stat().st_size > 0


def spread_start(daemon: Mortal, chance: random.Random) -> None:
    """One more kill, somewhere in the time that a start takes."""
    took_s = daemon.starts[-1][0]
    process = daemon.spawn()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.process.wait(chance.uniform(0.0, took_s))
    daemon.kill()


def asked(browser: Browser, method: str, path: str, body: object) -> bool:
    return browser.call(method, f"/api/v1{path}", body).status in (200, 201, 204)


def test_the_cloud_at_changes_and_at_the_import_of_a_certificate(tmp_path: Path) -> None:
    chance = random.Random(12)
    set_password(tmp_path)
    pairs = {}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        fingerprint = make_certificates(tmp_path / name)
        pem = ((tmp_path / name / f"server.{kind}").read_text() for kind in ("pem", "key"))
        pairs[fingerprint] = dict(zip(("cert", "key"), pem, strict=True))
    with mortal("cm-cloud", tmp_path, "--allow-http") as cloud:
        cloud.start()
        cloud.browser.post("/api/v1/cloud/admin/login", {"password": PASSWORD})
        ledger = Ledger((frozenset[str](), 3600, ""))

        def found() -> tuple[frozenset[str], int, str]:
            listed = cloud.browser.get("/api/v1/cloud/admin/installations")["installations"]
            alarm = cloud.browser.get("/api/v1/cloud/admin/settings")["alarm_after_s"]
            return frozenset(one["cloud_id"] for one in listed), alarm, shown_certificate(cloud.port)

        ledger.state = found()
        number = 0

        def change() -> None:
            nonlocal number
            going_on = True
            while going_on:
                number += 1
                sites, alarm, shown = ledger.state
                kind = chance.randrange(4)
                if kind == 0:
                    body = {"cloud_id": f"site-{number}", "password": "a long password"}
                    wanted = (sites | {f"site-{number}"}, alarm, shown)
                    call: Callable[[], bool] = lambda b=body: asked(cloud.browser, "POST", INSTALLATIONS, b)  # type: ignore[misc]  # noqa: E731
                elif kind == 1 and sites:
                    gone = sorted(sites)[0]
                    wanted = (sites - {gone}, alarm, shown)
                    call = lambda g=gone: asked(cloud.browser, "DELETE", f"{INSTALLATIONS}/{g}", None)  # type: ignore[misc]  # noqa: E731
                elif kind == 2:
                    wanted = (sites, alarm + 1, shown)
                    call = lambda a=alarm: asked(  # type: ignore[misc]  # noqa: E731
                        cloud.browser, "PUT", "/cloud/admin/settings", {"alarm_after_s": a + 1}
                    )
                else:
                    other = next(one for one in sorted(pairs) if one != shown)
                    wanted = (sites, alarm, other)
                    call = lambda o=other: imported(cloud, pairs[o])  # type: ignore[misc]  # noqa: E731
                going_on = ledger.change(wanted, call)

        for _ in range(6 * TIMES):
            cloud.kill_within(chance.uniform(0.0, 0.4), change)
            cloud.start()
            sound(tmp_path / CLOUD_DB)
            ledger.compare(found())
        assert ledger.acknowledged > 6 * TIMES
        verified = subprocess.run(
            [sys.executable, "-m", "charging_manager", "audit", "verify", "--data", tmp_path], cwd=ROOT
        )
        assert verified.returncode == 0


INSTALLATIONS = "/cloud/admin/installations"


def imported(cloud: Mortal, pair: dict[str, str]) -> bool:
    token = json.loads((cloud.data / f"run/{cloud.port}.json").read_text())["token"]
    reply = cloud.browser.call(
        "PUT",
        "/api/v1/cloud/admin/certificate",
        pair,
        Authorization=f"Bearer {token}",
        Origin=f"http://127.0.0.1:{cloud.port}",
    )
    return reply.status == 200


def shown_certificate(port: int) -> str:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 10) as raw, context.wrap_socket(raw) as wrapped:
        return hashlib.sha256(wrapped.getpeercert(binary_form=True) or b"").hexdigest()


def older_agent(data: Path, sessions: int = 3000) -> None:
    """A state directory of the first schema, with a site, users and sessions in it."""
    set_password(data)
    (data / "agent").mkdir(mode=0o700)
    with closing(sqlite3.connect(data / AGENT_DB)) as db:
        db.executescript((AGENT_SCHEMA / "0001-start.sql").read_text("utf-8"))
        db.execute("PRAGMA user_version = 1")
        db.execute("INSERT INTO site VALUES (1, 'Older', 'en', NULL)")
        db.execute("INSERT INTO circuit VALUES ('main', 0, 'Main', NULL, 25, 25, 25, 0, 6, NULL)")
        db.executemany(
            "INSERT INTO user VALUES (?, ?, ?, 0, 'en', ?)", [(f"u{n}", n, f"User {n}", f"{n:064x}") for n in range(20)]
        )
        row = ("2025-01-01T00:00:00.000+00:00", "2025-01-01T08:00:00.000+00:00", 0.0, 9000.0, 9000.0)
        db.executemany(
            "INSERT INTO charging_session VALUES (?, 'box', 'u1', ?, ?, ?, ?, ?, ?)",
            [(f"s{n}", *row, row[1]) for n in range(sessions)],
        )
        db.commit()


def test_the_agent_while_it_brings_an_older_database_up_to_date(tmp_path: Path) -> None:
    """Half of the moments lie in the upgrade itself, which is short: they begin when the database is taken."""
    chance, newest = random.Random(13), len(read_upgrades(AGENT_SCHEMA))
    seen = set()
    for number in range(5 * TIMES):
        data = tmp_path / str(number)
        older_agent(data)
        with mortal("cm-agent", data) as agent:
            process = agent.spawn()
            eventually((data / f"{AGENT_DB}.lock").exists, 60, 0.001)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.process.wait(chance.uniform(0.0, 0.12))
            agent.kill()
            with closing(sqlite3.connect(data / AGENT_DB)) as db:
                seen.add(db.execute("PRAGMA user_version").fetchone()[0])
                assert db.execute("SELECT count(*) FROM charging_session").fetchone()[0] == 3000
            agent.start()
            log_in(agent)
            users, name, _ = found_at(agent)
            assert (len(users), name) == (20, "Older")
        sound(data / AGENT_DB)
        with closing(sqlite3.connect(data / AGENT_DB)) as db:
            assert db.execute("PRAGMA user_version").fetchone()[0] == newest
            assert db.execute("SELECT count(*), sum(energy_wh) FROM charging_session").fetchone() == (3000, 27e6)
    assert seen <= set(range(1, newest + 1))
    if LONG:
        assert len(seen) > 1


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "charging_manager", *map(str, words)]


def killed_at(moment_s: float, *words: str | Path) -> bool:
    """Whether the command was still at work then."""
    process = subprocess.Popen(command(*words), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(moment_s)
        return False
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        return True


def run_s(*words: str | Path) -> float:
    began_s = time.monotonic()
    done = subprocess.run(command(*words), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - began_s


def test_commands_that_make_and_bring_back_backups(tmp_path: Path) -> None:
    """A file is there whole or not at all; so is a restored state, by the next start at the latest."""
    chance, data, file = random.Random(14), tmp_path / "data", tmp_path / "file"
    older_agent(data, 10_000)
    with mortal("cm-agent", data) as agent:
        agent.start()
        log_in(agent)
        took_s = run_s("backup", file, "--data", data)
        first = file.read_bytes()
        killed = 0
        for number in range(5 * TIMES):  # the agent is at work, and changes what is kept
            assert asked(agent.browser, "PUT", "/site", {"name": f"Site {number}"})
            killed += killed_at(took_s * chance.uniform(0.3, 1.0), "backup", file, "--data", data)
            if file.read_bytes() != first:
                run_s("restore", file, "--check", "--data", data)
                first = file.read_bytes()
        assert killed >= 2 * TIMES
        agent.kill()
    run_s("backup", file, "--data", data)
    with closing(sqlite3.connect(data / AGENT_DB)) as db:
        kept = db.execute("SELECT name FROM site").fetchone()[0]
    took_s = run_s("restore", file, "--data", data, "--yes")
    names = set()
    for number in range(4 * TIMES):
        with closing(sqlite3.connect(data / AGENT_DB)) as db:
            db.execute("UPDATE site SET name = ?", (f"Changed {number}",))
            db.commit()
        (data / "agent/id.key").touch()
        killed_at(took_s * chance.uniform(0.5, 1.0), "restore", file, "--data", data, "--yes")
        with mortal("cm-agent", data) as agent:
            agent.start()
            log_in(agent)
            users, name, _ = found_at(agent)
        sound(data / AGENT_DB)
        assert name in (kept, f"Changed {number}") and len(users) == 20
        names.add(name == kept)
        assert not (data / ".restore").exists()
    if LONG:
        assert names == {True, False}
