"""A new certificate for a cloud server that many agents are connected to: no tunnel drops, and the next ones see it.

Real agents' uplinks with TLS and SCRAM, from two processes (``tests.support.swarm``). 200 of them in CI, 1,000 with
CM_LONG.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from attrs import frozen

from charging_manager.http.passwords import AdminPassword
from tests.support.api import Browser
from tests.support.certificates import Authority
from tests.support.processes import BIN, Running, daemon, eventually
from tests.support.swarm import SECRET, Swarm, furnish, name_of, swarm

pytestmark = pytest.mark.e2e

AGENTS = 1000 if os.environ.get("CM_LONG") else 200


@frozen
class Crowd:
    """A cloud server with all its agents connected, and a browser logged in at each."""

    cloud: Running
    port: int
    data: Path
    agents: Swarm
    browsers: list[Browser]

    def shown(self) -> str:
        """The fingerprint of what a new connection is shown."""
        pem = ssl.get_server_certificate(("127.0.0.1", self.port))
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()

    def bring(self, folder: Path, cert: str, key: str) -> subprocess.CompletedProcess[str]:
        """``charging_manager cloud_cert`` with these two files."""
        words = [f"https://localhost:{self.port}", folder / cert, folder / key, "--data", self.data]
        command = [str(word) for word in (BIN / "charging_manager", "cloud_cert", *words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def all_answer(self) -> bool:
        """Every tunnel is the one that it was, and brings a browser's request to its agent and the answer back."""
        with ThreadPoolExecutor(4) as threads:
            statuses = set(threads.map(lambda browser: browser.call("GET", "/api/v1/anything").status, self.browsers))
        return statuses == {204} and self.agents.connected == AGENTS and self.agents.stats()["tries"] == 0


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    data = tmp_path / "cloud"
    data.mkdir(mode=0o700)
    AdminPassword(data / "admin").write("the cloud's own password")
    furnish(data, AGENTS + 1)
    with daemon("cm-cloud", data) as (cloud, port), swarm(port, AGENTS, processes=2) as agents:
        eventually(lambda: agents.connected == AGENTS, 180, every_s=0.5)

        def logged_in(number: int) -> Browser:
            browser = Browser(port, secure=True, timeout_s=60)
            body = {"cloud_id": name_of(number), "secret": SECRET, "admin": True}
            browser.post("/api/v1/cloud/login", body)
            return browser

        with ThreadPoolExecutor(4) as threads:
            browsers = list(threads.map(logged_in, range(AGENTS)))
        agents.ask("mark")
        yield Crowd(cloud, port, data, agents, browsers)


def test_no_tunnel_drops_whatever_certificate_comes(crowd: Crowd, tmp_path: Path) -> None:
    authority = Authority()
    ours = crowd.shown()
    assert crowd.all_answer()
    shown = [ours]
    for name, by_rsa in (("first", True), ("second", False), ("third", True)):  # ECDSA, RSA, ECDSA, RSA
        expected = authority.write(tmp_path, name, by_rsa=by_rsa)
        done = crowd.bring(tmp_path, f"{name}.pem", f"{name}.key")
        assert done.returncode == 0, done.stderr
        assert crowd.shown() == expected
        shown.append(expected)
    assert len(set(shown)) == 4
    assert crowd.all_answer()
    # What is no pair changes nothing.
    (tmp_path / "nonsense.pem").write_text("no certificate")
    for cert, key in (("first.pem", "second.key"), ("nonsense.pem", "first.key"), ("first.key", "first.pem")):
        refused = crowd.bring(tmp_path, cert, key)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1), refused.stderr
        assert crowd.shown() == shown[-1]
    assert crowd.all_answer()
    # One that comes now is bound to the new certificate, and is let in.
    with swarm(crowd.port, 1, processes=1, network=100, begin=AGENTS) as late:
        eventually(lambda: late.connected == 1)
    assert not [line for line in crowd.cloud.lines if " is down" in line and name_of(AGENTS) not in line]
