"""What an operator trusts: nobody tells causes apart or guesses faster, and nothing acknowledged is lost."""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from charging_manager.http.passwords import AdminPassword
from tests.support.api import Browser
from tests.support.processes import ROOT, daemon, eventually, running

pytestmark = pytest.mark.e2e

LONG = bool(os.environ.get("CM_LONG"))
EACH = 500 if LONG else 20
"""Failing answers of each cause."""
AT_ONCE = 64 if LONG else 40
FREE = 20
"""Guesses at one installation before it is throttled (http.guard.BY_INSTALLATION)."""
MOST_AUC = 0.55 if LONG else 0.75
"""Of few answers chance alone makes more: 0.75 is three and a half times its deviation for 20 among 120."""
ADMIN, PASSWORD, RIGHT = "the cloud's admin", "installation password", "the right secret"
TIMED = {"fast": 0.0, "slow": 1.5, "mute": 9.0}


@frozen
class Town:
    """A cloud server with many installations; those of ``TIMED`` are connected."""

    port: int
    admin: Browser
    installations: dict[str, list[str]]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    (folder / "cloud").mkdir(mode=0o700)
    AdminPassword(folder / "cloud/admin").write(ADMIN)
    with ExitStack() as stack:
        _, port = stack.enter_context(daemon("cm-cloud", folder / "cloud"))
        admin = Browser(port, secure=True)
        admin.post("/api/v1/cloud/admin/login", {"password": ADMIN})
        count = -(-EACH // FREE)
        names = {cause: [f"{cause}-{n}" for n in range(count)] for cause in (*TIMED, "offline")}
        names["throttled"], names["guessed"] = ["throttled-0"], ["guessed-0"]
        for group in names.values():
            for name in group:
                admin.post("/api/v1/cloud/admin/installations", {"cloud_id": name, "password": PASSWORD})
        after = {**TIMED, "throttled": 0.0, "guessed": 0.0}
        agents = [f"{name}={after[cause]}" for cause, group in names.items() if cause in after for name in group]
        command = [sys.executable, "-m", "tests.e2e.refusing_agents", folder, f"localhost:{port}", PASSWORD, RIGHT]
        process = stack.enter_context(running(*command, *agents))
        process.wait_line(f"connected {len(agents)}", 120)
        yield Town(port, admin, names)


class Sources:
    """Addresses of this machine that nobody has come from yet."""

    def __init__(self) -> None:
        self._next, self._lock = 0x7F010001, threading.Lock()

    def take(self) -> str:
        with self._lock:
            self._next += 1
            return ".".join(str(self._next >> shift & 255) for shift in (24, 16, 8, 0))


SOURCES = Sources()
CONTEXT = ssl.create_default_context()
CONTEXT.check_hostname, CONTEXT.verify_mode = False, ssl.CERT_NONE


def knock(town: Town, cloud_id: str, secret: str = "a guess", cookie: str = "") -> tuple[float, int, Any]:
    """Seconds from the request to the whole answer, its status, and its Set-Cookie lines; each from a new address."""
    connection = http.client.HTTPSConnection(
        "127.0.0.1", town.port, timeout=30, context=CONTEXT, source_address=(SOURCES.take(), 0)
    )
    try:
        connection.connect()
        body = json.dumps({"cloud_id": cloud_id, "secret": secret, "admin": True})
        headers = {"Content-Type": "application/json", **({"Cookie": cookie} if cookie else {})}
        began_s = time.monotonic()
        connection.request("POST", "/api/v1/cloud/login", body, headers)
        answer = connection.getresponse()
        answer.read()
        return time.monotonic() - began_s, answer.status, answer.headers.get_all("Set-Cookie") or []
    finally:
        connection.close()


def auc(some: list[float], others: list[float]) -> float:
    """How well times tell the one from the other: 0.5 not at all, 1.0 always."""
    below = sum((a > b) + 0.5 * (a == b) for a in some for b in others) / (len(some) * len(others))
    return max(below, 1 - below)


@pytest.mark.slow
def test_no_cause_of_a_failed_login_is_told_by_its_time(town: Town) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: knock(town, "throttled-0"), range(FREE + 6)))
        tries = [("unknown", "no-such-site")] * EACH + [("throttled", "throttled-0")] * EACH
        for cause in (*TIMED, "offline"):
            group = town.installations[cause]
            tries += [(cause, group[n // FREE]) for n in range(EACH)]
        random.Random(7).shuffle(tries)
        answers = list(pool.map(lambda one: (one[0], *knock(town, one[1])[:2]), tries))
    assert {status for _, _, status in answers} == {401}
    times = {cause: [took_s for one, took_s, _ in answers if one == cause] for cause, _ in tries}
    assert {len(group) for group in times.values()} == {EACH} and len(times) == 6
    assert min(map(min, times.values())) >= 3.0
    found = {}
    for cause, group in times.items():
        others = [took_s for one, took_s, _ in answers if one != cause]
        found[cause] = round(auc(group, others), 3)
    print(f"AUC by cause, {EACH} answers each: {found}")
    assert max(found.values()) <= MOST_AUC, found


def test_guesses_from_many_addresses_stay_in_the_budget_and_the_owners_browser_is_let_in_at_once(town: Town) -> None:
    _, status, cookies = knock(town, "guessed-0", RIGHT)
    assert status == 200
    device = next(line.partition(";")[0] for line in cookies if "device" in line)
    stop, began_s = threading.Event(), time.monotonic()

    def guess(_: int) -> int:
        tried = 0
        while not stop.is_set():
            knock(town, "guessed-0")
            tried += 1
        return tried

    with ThreadPoolExecutor(AT_ONCE) as pool:
        guessing = [pool.submit(guess, n) for n in range(AT_ONCE)]
        try:
            eventually(lambda: failed(town, "guessed-0")["throttled"] > 0)
            took = sorted(knock(town, "guessed-0", RIGHT, device)[:2] for _ in range(3))
        finally:
            stop.set()
        tried = sum(one.result() for one in guessing)
    assert [status for _, status in took] == [200] * 3
    assert took[1][0] < 2.0, took
    judged = failed(town, "guessed-0")["refused"]
    assert tried > judged
    assert FREE <= judged <= FREE + 5 + (time.monotonic() - began_s) / 30 + 5


def failed(town: Town, cloud_id: str) -> dict[str, int]:
    """Failed logins of an installation by cause, as the cloud's admin sees them."""
    kept = town.admin.get(f"/api/v1/cloud/admin/installations/{cloud_id}")["refused_logins"]
    return {cause: sum(one["cause"] == cause for one in kept) for cause in ("refused", "throttled")}


def test_whatever_the_cloud_said_it_did_is_there_after_a_kill(tmp_path: Path) -> None:
    AdminPassword(tmp_path / "admin").write(ADMIN)
    root = "/api/v1/cloud/admin"
    with daemon("cm-cloud", tmp_path) as (process, port):
        admin = Browser(port, secure=True)
        admin.post(f"{root}/login", {"password": ADMIN})
        made = [admin.get(f"{root}/proposal") for _ in range(5)]
        for one in made:
            admin.post(f"{root}/installations", {**one, "note": "before the kill", "tags": ["north"]})
        admin.put(f"{root}/installations/{made[0]['cloud_id']}", {"disabled": True})
        admin.post(f"{root}/installations/{made[1]['cloud_id']}/password", {})
        key = admin.post(f"{root}/keys", {"name": "tool", "scopes": ["installations-read"]})["key"]
        admin.put(f"{root}/settings", {"alarm_after_s": 120})
        head = admin.get(f"{root}/audit/verify")["head"]
        process.stop(signal.SIGKILL)
    with daemon("cm-cloud", tmp_path, port=port):
        program = Browser(port, secure=True)
        listed = program.call("GET", f"{root}/installations?tag=north", Authorization=f"Bearer {key}").json
        assert (listed["total"], listed["counts"]["disabled"]) == (5, 1)
        assert [row["new_password"] for row in listed["installations"]].count(True) == 1
        assert admin.get(f"{root}/settings")["alarm_after_s"] == 120
        verify = [sys.executable, "-m", "charging_manager", "audit", "verify", "--data", str(tmp_path), "--head", head]
        done = subprocess.run(verify, capture_output=True, text=True, cwd=ROOT, timeout=60)
        assert done.returncode == 0, done.stderr


def test_an_installation_that_comes_with_its_own_key_waits_until_it_is_approved(tmp_path: Path) -> None:
    cloud_data, site_data = tmp_path / "cloud", tmp_path / "site"
    for data in (cloud_data, site_data):
        data.mkdir(mode=0o700)
        AdminPassword(data / "admin").write(ADMIN)
    root = "/api/v1/cloud/admin"
    with daemon("cm-cloud", cloud_data, "--open-enrolment") as (_, port):
        admin = Browser(port, secure=True)
        admin.post(f"{root}/login", {"password": ADMIN})
        admin.put(f"{root}/settings", {"enrolment_approval": True})
        fingerprint = json.loads((cloud_data / f"run/{port}.json").read_text())["fingerprint"]
        pin = base64.b64encode(bytes.fromhex(fingerprint)).decode()
        settings = f'[agent]\ndefault_server = "localhost:{port}"\ncloud_pins = ["{pin}"]\n'
        (site_data / "charging-manager.toml").write_text(settings)
        with daemon("cm-agent", site_data) as (_, agent_port):
            here = Browser(agent_port)
            here.post("/api/v1/login", {"password": ADMIN})
            service = {"enabled": True, "server": "", "cloud_id": "", "password": ""}
            serial = here.put("/api/v1/config/cloud", service)["serial"]
            eventually(lambda: here.get("/api/v1/config/cloud")["last_error"] == "not-approved")
            waiting = admin.get(f"{root}/installations?state=waiting")["installations"]
            assert [row["cloud_id"] for row in waiting] == [serial]
            knocking = {"cloud_id": serial, "secret": ADMIN, "admin": True}
            assert Browser(port, secure=True).call("POST", "/api/v1/cloud/login", knocking).status == 401
            admin.put(f"{root}/installations/{serial}", {"approved": True})
            here.put("/api/v1/config/cloud", {**service, "enabled": False})
            here.put("/api/v1/config/cloud", service)
            eventually(lambda: here.get("/api/v1/config/cloud")["state"] == "connected")
            assert Browser(port, secure=True).call("POST", "/api/v1/cloud/login", knocking).status == 200
            admin.put(f"{root}/installations/{serial}", {"disabled": True})
            eventually(lambda: here.get("/api/v1/config/cloud")["last_error"] == "disabled")
