"""schemathesis sends what the OpenAPI files allow, and what they do not: no error of ours, and answers as described.

At the agent and at the cloud server: in CI a few examples of each route, always the same; with CM_LONG for five minutes
each, with other ones each time, and at the agent through the relay too.
"""

from __future__ import annotations

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.api import Browser
from tests.support.tools import tool
from tests.support.town import two_sites

pytestmark = pytest.mark.e2e

LONG = bool(os.environ.get("CM_LONG"))
AMOUNT = ("--max-time", "300") if LONG else ("--seed", "1", "--max-examples", "3")
LEFT_OUT = (
    "log(in|out)|password|second-factor"  # ends the login by which all this is asked, or has it wait
    "|scan|/test|config/cloud|tariff|sun-forecast|admin/settings|transaction"  # has a daemon call up whoever is named
    "|events|backups"  # endless; restores
)
CHECKS = ("not_a_server_error", "content_type_conformance", "response_schema_conformance", "unsupported_method")


def look(folder: Path, name: str, browser: Browser) -> tuple[str, int, str]:
    """Who was asked, how many of its routes, and what schemathesis says in the end."""
    description = folder / f"{name}.json"
    description.write_bytes(browser.call("GET", "/api/v1/openapi.json").body)
    command = [
        *(tool("st"), "run", description, "--url", f"https://127.0.0.1:{browser.port}", "--tls-verify", "false"),
        *("-H", f"Cookie: {browser.headers()['Cookie']}", "--checks", ",".join(CHECKS), *AMOUNT),
        *("--phases", "coverage,fuzzing", "--exclude-path-regex", LEFT_OUT, "--continue-on-failure"),
        *("--warnings", "off", "--request-timeout", "20", "--workers", "2", "--generation-database", "none"),
    ]
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, capture_output=True, text=True, timeout=500, check=False
    )
    tested = re.search(r"Tested: (\d+)", done.stdout)
    said = "" if done.returncode == 0 else done.stdout[-6000:] + done.stderr[-2000:]
    return name, int(tested[1]) if tested else 0, said


def test_no_route_fails_or_answers_otherwise_than_described(tmp_path: Path) -> None:
    (tmp_path / "town").mkdir()
    with two_sites(tmp_path / "town") as town:
        here = Browser(town.a.port, secure=True, timeout_s=30)
        here.post("/api/v1/login", {"password": town.a.password})
        asked = {"agent": here, "cloud": town.cloud_admin()}
        if LONG:
            asked["relay"] = town.admin_of(town.b)
        with ThreadPoolExecutor(3) as threads:
            looks = list(threads.map(lambda each: look(tmp_path, *each), asked.items()))
        for name, tested, said in looks:
            assert said == "", (name, said)
            assert tested > (20 if name == "cloud" else 50), (name, tested)
        # Those who asked are still logged in: so what was asked was not refused at the door.
        for name, browser in asked.items():
            path = "cloud/admin/installations" if name == "cloud" else "site"
            assert browser.call("GET", f"/api/v1/{path}").status == 200, name
        for lines in (town.cloud.output, *(str(site.here.get("/api/v1/log")) for site in (town.a, town.b))):
            assert "by a bug" not in lines and "Traceback" not in lines
