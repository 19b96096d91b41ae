"""A full disk stops no charging: it is said, what happened is written when there is room, and no file is cut off."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from charging_manager.errors import ConfigError
from charging_manager.http.tls import TlsDoor
from charging_manager.http.userids import load_key
from charging_manager.storage import backup as at
from charging_manager.storage.restore import stage
from charging_manager.tunnel.identity import load_or_make_key
from tests.e2e.test_recovery import CIRCUITS, SITE, devices
from tests.e2e.timed.test_killed import AGENT_DB, older_agent
from tests.support.api import Browser
from tests.support.browser import browser
from tests.support.certificates import make_certificates
from tests.support.processes import BIN, ROOT, Running, daemon, eventually
from tests.support.sites import PASSWORD, admin_of, furnish, set_password, simulated_site
from tests.support.small_disk import SmallDisk, small_disk

pytestmark = pytest.mark.e2e
SCHEMA = files("charging_manager.agent") / "schema"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 96) as disk:
        yield disk


def command(*words: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "charging_manager", *map(str, words)],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
    )


def said_in_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def whole(folder: Path) -> dict[str, bytes]:
    """Every file that is no database, no log and not of this run."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not {"run", "why", "recording"} & set(path.parts)
        and path.suffix not in (".db", ".sqlite", ".lock")
        and not path.name.endswith(("-wal", "-shm"))
    }


@pytest.mark.needs("chromium", "chromedriver")
def test_charging_goes_on_and_what_happened_is_written_when_there_is_room(tmp_path: Path, disk: SmallDisk) -> None:
    data = disk.path / "data"
    set_password(data)
    with simulated_site(tmp_path, SITE) as site, daemon("cm-agent", data) as (agent, port):
        admin = admin_of(port)
        furnish(admin, CIRCUITS, devices(site.addresses))

        def state() -> Any:
            return admin.get("/api/v1/state")

        def charging_a() -> float:
            return float(max(site.truth()["charging_a"]))

        def alarms() -> dict[str, str]:
            return {one["code"]: one["text"] for one in state()["alarms"]}

        eventually(lambda: charging_a() > 10, 60)
        before, cycle = whole(data), state()["cycle"]["number"]
        disk.fill()

        site.change(devices={"box": {"plugged": False}})
        eventually(lambda: state()["charge_points"][0]["status"] == "free", 60)
        eventually(lambda: "records-waiting" in alarms(), 60)
        assert "Charging goes on" in alarms()["records-waiting"]
        assert "records wait" in agent.output
        site.change(devices={"box": {"plugged": True}})
        eventually(lambda: charging_a() > 10, 60)
        site.change(house_a=[16, 16, 16])
        eventually(lambda: 5 < charging_a() <= 9.1, 60)  # steered as ever
        assert state()["cycle"]["number"] > cycle
        shown_in_the_page(port)

        for method, path, body in (
            ("PUT", "/site", {"name": "Not now"}),
            ("PUT", "/admin/password", {"old": PASSWORD, "new": "another good password"}),
            ("POST", "/users", {"name": "Nobody"}),
        ):
            reply = admin.call(method, f"/api/v1{path}", body)
            assert (reply.status, reply.json["code"]) == (507, "storage-disk-full"), (path, reply.body)
        said_in_one_line(command("passwd", "--data", data, stdin="another one\n"), "disk is full")
        said_in_one_line(command("backup", disk.path / "file", "--data", data), "room", "MB")
        assert not (disk.path / "file").exists()
        assert whole(data) == before
        assert admin.get("/api/v1/site")["name"] != "Not now"

        disk.free()
        eventually(lambda: "records-waiting" not in alarms(), 60)
        assert "records are written again" in agent.output
        admin.put("/api/v1/site", {"name": "Now"})
        assert Browser(port).call("POST", "/api/v1/login", {"password": PASSWORD}).status == 200
        for word in ("Traceback", "failed; the loop goes on"):
            assert word not in agent.output, agent.output[-4000:]
    with closing(sqlite3.connect(data / AGENT_DB)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        ended = db.execute("SELECT count(*), min(energy_wh >= 0) FROM charging_session WHERE ended_at IS NOT NULL")
        assert ended.fetchone() == (1, 1)
        assert db.execute("SELECT count(*) FROM charging_session WHERE ended_at IS NULL").fetchone()[0] == 1


def shown_in_the_page(port: int) -> None:
    """Whoever is to make room can log in."""
    with browser() as page:
        page.open(f"https://127.0.0.1:{port}/ui/en/login.htm")
        page.fill("Admin password", PASSWORD)
        page.press("Log in", "form")
        page.drawn("overview.htm")
        page.until(lambda: "The disk takes no records now" in page.text())


def test_a_start_that_finds_no_room_for_an_upgrade_says_so_and_the_next_one_heals(disk: SmallDisk) -> None:
    data = disk.path / "data"
    older_agent(data)
    kept = (data / AGENT_DB).read_bytes()
    for said in ("No space left on device", "disk is full"):  # the first time it has no keys of its own either
        disk.fill()
        agent = refused(data)
        assert [line for line in agent.lines if "cm-agent: " in line and said in line], agent.output
        assert "Traceback" not in agent.output
        assert (data / AGENT_DB).read_bytes() == kept
        disk.free()
        load_or_make_key(data / "agent/key.pem")
        load_key(data / "agent/id.key")
        TlsDoor(data / "agent")
    with daemon("cm-agent", data) as (_, port):
        assert admin_of(port).get("/api/v1/site")["name"] == "Older"


def refused(data: Path) -> Running:
    agent = Running(BIN / "twistd", "-n", "cm-agent", "--data", data, "--port", "0", cwd=data)
    try:
        assert agent.wait(60) == 1, agent.output
    finally:
        agent.stop()
    return agent


def test_a_disk_that_fills_up_in_the_middle_of_backup_or_restore_loses_nothing(
    tmp_path: Path, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room is asked for first; here it is taken away after that."""
    data, file, now = disk.path / "data", disk.path / "file", datetime.now(UTC)
    older_agent(data, 20_000)
    made = at.make_backup(data, tmp_path / "file", "p", now)
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    monkeypatch.setattr(at, "need_room", lambda *_: None)

    def back_up() -> object:
        return at.make_backup(data, file, "p", now)

    def back_up_and_fill() -> object:
        """The copies fit, what is packed does not."""
        return at.make_backup(data, file, "p", now, checks=lambda _: disk.fill(left=8192))

    def unpack() -> object:
        return stage(tmp_path / "file", data, lambda _: None)

    half = made.size // 2
    cases = [(work, left) for work in (back_up, unpack) for left in (0, 4096, half)] + [(back_up_and_fill, 90 << 20)]
    for work, left in cases:
        disk.fill(left)
        with pytest.raises(ConfigError, match="disk is full"):
            work()
        disk.free()
        assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
        assert not file.exists()
    back_up()


def test_a_certificate_that_finds_no_room_leaves_the_one_that_is_shown(tmp_path: Path, disk: SmallDisk) -> None:
    data = disk.path / "data"
    set_password(data)
    make_certificates(tmp_path)
    with daemon("cm-cloud", data) as (cloud, port):
        before = whole(data)
        disk.fill()
        pair = (tmp_path / "server.pem", tmp_path / "server.key")
        done = command("cloud_cert", f"https://localhost:{port}", *pair, "--data", data)
        said_in_one_line(done, "No space left on device", "old certificate")
        assert whole(data) == before
        disk.free()
        assert command("cloud_cert", f"https://localhost:{port}", *pair, "--data", data).returncode == 0
        assert "Traceback" not in cloud.output
    assert whole(data) != before
