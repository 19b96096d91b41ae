"""Backups in the browser: made with progress, taken along, looked at, and put in place by a program begun anew."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from charging_manager.clocks import utc_now
from charging_manager.storage.backup import make_backup, unpack
from tests.support.api import Browser as Api
from tests.support.browser import Browser, browser
from tests.support.pages import SHOTS
from tests.support.processes import BIN, Running, daemon, eventually, free_port, running
from tests.support.sites import PASSWORD, admin_of, set_password

pytestmark = [pytest.mark.e2e, pytest.mark.needs("chromium", "chromedriver")]
WORDS = "four words of mine"


def shoot(page: Browser, name: str) -> None:
    if SHOTS:
        for width, scheme in ((1280, "light"), (390, "dark")):
            page.colours(scheme)
            page.size(width, 1800)
            page.driver.save_screenshot(str(Path(SHOTS) / f"{name}-{width}.png"))
        page.colours("light")
        page.size(1280)


def log_in(page: Browser, base: str) -> None:
    page.open(f"{base}/ui/en/login.htm")
    page.fill("Admin password", PASSWORD)
    page.press("Log in", "form")
    page.drawn("overview.htm")


def test_at_the_agent_from_the_first_backup_to_the_restored_state(tmp_path: Path) -> None:
    data = tmp_path / "data"
    set_password(data)
    with daemon("cm-agent", data) as (agent, port), browser() as page:
        admin, base = admin_of(port), f"https://127.0.0.1:{port}"
        admin.put("/api/v1/site", {"name": "As it was"})
        log_in(page, base)
        page.open(f"{base}/ui/en/system.htm")
        page.press("Make a backup now")
        page.until(lambda: "made by hand" in page.text("section[aria-labelledby=backups]"))
        page.js("document.querySelector('section[aria-labelledby=backups] details').open = true")
        page.fill("Passphrase", WORDS)
        page.tick("Encrypt backups under the passphrase")
        page.press("Save", "section[aria-labelledby=backups] form")
        page.until(lambda: admin.get("/api/v1/backups")["settings"]["encrypt"])
        page.until(lambda: page.has_field("New passphrase"))
        shoot(page, "backups-agent")
        admin.put("/api/v1/site", {"name": "Changed", "unbalance_a": None})
        admin.post("/api/v1/users", {"name": "Newcomer"})
        page.press("Restore …")
        page.press("Look at it", "dialog")
        page.until(lambda: "Restore this backup?" in page.text("dialog"))
        shown = page.text("dialog")
        assert "Users" in shown and "Settings that differ:" in shown and "Site" in shown, shown
        shoot(page, "backups-summary")
        page.press("Restore and begin anew", "dialog")
        eventually(lambda: admin.get("/api/v1/site")["name"] == "As it was", 60)
        assert agent.process.poll() is None, "it is the same process"
        assert "begins anew" in agent.output and "Traceback" not in agent.output, agent.output
        assert admin.get("/api/v1/users")["users"] == []
        page.until(lambda: "made by hand" in page.text("section[aria-labelledby=backups]"))
        aside = list(data.glob("before-restore-*"))
        assert len(aside) == 1 and (aside[0] / "agent/agent.db").exists()
        page.forget()  # of requests that found nobody meanwhile
        taken_along_and_brought_back(page, admin, tmp_path, port)


def taken_along_and_brought_back(page: Browser, admin: Api, folder: Path, port: int) -> None:
    """Encrypted, out of the list and from a file."""
    admin.put("/api/v1/backups", {"encrypt": True, "passphrase": WORDS})
    assert admin.post("/api/v1/backups", {})["job"]["kind"] == "make"
    held = eventually(lambda: [one for one in admin.get("/api/v1/backups")["backups"] if one["encrypted"]], 60)[0]
    reply = admin.call("GET", f"/api/v1/backups/{held['name']}")
    assert reply.status == 200 and held["name"] in reply.headers["content-disposition"]
    file = folder / "taken"
    file.write_bytes(reply.body)
    assert len(unpack(file, folder / "seen", WORDS).files) > 3
    admin.put("/api/v1/site", {"name": "Changed again"})
    page.open(f"https://127.0.0.1:{port}/ui/en/system.htm")
    page.until(lambda: page.has_field("Restore from a file"))
    page.field("Restore from a file").send_keys(str(file))
    page.until(lambda: "Look at this backup?" in page.text("dialog"))
    page.fill("Passphrase", "other words of mine")
    page.press("Look at it", "dialog")
    page.until(lambda: "not the passphrase" in page.text("section[aria-labelledby=backups]"))
    page.field("Restore from a file").send_keys(str(file))
    page.until(lambda: "Look at this backup?" in page.text("dialog"))
    page.fill("Passphrase", WORDS)
    page.press("Look at it", "dialog")
    page.until(lambda: "Restore this backup?" in page.text("dialog"))
    page.press("Cancel", "dialog")
    eventually(lambda: admin.get("/api/v1/backups")["looked"] is None)
    page.until(lambda: not page.all("dialog"))
    another_daemon_s_is_refused(page, folder)
    page.press("Delete", "section[aria-labelledby=backups] table")
    page.press("Delete", "dialog")
    eventually(lambda: [one["name"] for one in admin.get("/api/v1/backups")["backups"]] == [held["name"]])
    assert admin.get("/api/v1/site")["name"] == "Changed again"


def another_daemon_s_is_refused(page: Browser, folder: Path) -> None:
    (folder / "of-a-server/cloud").mkdir(parents=True)
    (folder / "of-a-server/cloud/secret").write_text("of a server")
    file = folder / "server.backup"
    make_backup(folder / "of-a-server", file, "charging-manager", utc_now())
    page.field("Restore from a file").send_keys(str(file))
    page.until(lambda: "Look at this backup?" in page.text("dialog"))
    page.press("Look at it", "dialog")
    page.until(
        lambda: "this is a cloud server's backup" in page.text("section[aria-labelledby=backups]").replace("’", "'")
    )
    shoot(page, "backups-of-a-server")
    assert "Restore this backup?" not in page.text()


def restored(admin: Api, path: str) -> None:
    """Back to the newest backup, over the API."""
    admin.post(path, {})
    name = eventually(lambda: _idle(admin, path)["backups"][0]["name"], 60)
    admin.post(f"{path}/look", {"name": name})
    ticket = eventually(lambda: _idle(admin, path)["looked"]["ticket"], 60)
    assert admin.call("POST", f"{path}/restore", {"ticket": "guessed"}).status == 422
    assert admin.call("POST", f"{path}/restore", {"ticket": ticket}).status == 202


def _idle(admin: Api, path: str) -> Any:
    shown = admin.get(path)
    assert shown["job"] is None and shown["failed"] is None, shown
    return shown


def test_at_the_cloud_s_own_page(tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()
    set_password(data)
    with daemon("cm-cloud", data, "--allow-http", port=port) as (cloud, _), browser() as page:
        admin = Api(port)
        admin.post("/api/v1/cloud/admin/login", {"password": PASSWORD})
        page.open(f"https://127.0.0.1:{port}/ui/en/cloud-admin.htm")
        page.fill("Admin password", PASSWORD)
        page.press("Log in", "form")
        page.until(lambda: "Make a backup now" in page.text())
        shoot(page, "backups-cloud")
        restored(admin, "/api/v1/cloud/admin/backups")
        admin.call("POST", "/api/v1/cloud/admin/installations", {"cloud_id": "later", "password": "a long password"})
        eventually(lambda: "begins anew" in cloud.output, 60)
        eventually(lambda: admin.get("/api/v1/cloud/admin/installations")["installations"] == [], 60)
        entries = json.dumps(admin.get("/api/v1/cloud/admin/audit"))
        assert '"restored"' in entries
        assert cloud.process.poll() is None and "Traceback" not in cloud.output


def test_with_a_pid_file_and_under_the_command_line_it_begins_anew_too(tmp_path: Path) -> None:
    for number, command in enumerate(
        (
            [BIN / "twistd", "-n", "--pidfile", tmp_path / "pid", "cm-agent", "--port"],
            [sys.executable, "-m", "charging_manager", "run"],
        )
    ):
        data, port = tmp_path / str(number), free_port()
        set_password(data)
        with running(*command, str(port), "--data", data, cwd=tmp_path) as agent:
            agent.wait_line("listens on port", 60)
            admin = admin_of(port)
            admin.put("/api/v1/site", {"name": "As it was"})
            restored(admin, "/api/v1/backups")
            eventually(lambda agent=agent: agent.output.count("listens on port") == 2, 60)  # type: ignore[misc]
            assert admin.get("/api/v1/site")["name"] == "As it was"
            assert "Traceback" not in agent.output
            assert agent.stop() in (0, -signal.SIGTERM)


def test_under_systemd_it_stops_in_order_and_leaves_the_start_to_it(tmp_path: Path) -> None:
    import socket

    data, port = tmp_path / "data", free_port()
    set_password(data)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        agent = Running(
            BIN / "twistd", "-n", "cm-agent", "--port", str(port), "--data", data,
            env={"NOTIFY_SOCKET": str(tmp_path / "notify")},
        )  # fmt: skip
        try:
            agent.wait_line("listens on port", 60)
            admin = admin_of(port)
            restored(admin, "/api/v1/backups")
            assert agent.wait(60) == 0
        finally:
            agent.stop()
    assert (data / ".restore/ready").exists()
    with daemon("cm-agent", data) as (_, other):
        assert admin_of(other).get("/api/v1/backups")["backups"]
    assert not (data / ".restore").exists() and os.listdir(data)
