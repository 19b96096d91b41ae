"""testssl.sh and sslyze look at both daemons: nothing of medium or worse but that a self-signed certificate is one.

All three doors are made of the same parts (``http.tls``), so each is given a part of testssl.sh's checks, and with
CM_LONG each is given all of them. sslyze is quick and does all its checks everywhere.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from charging_manager.http.passwords import AdminPassword
from tests.support.api import Browser
from tests.support.certificates import Authority
from tests.support.processes import BIN, daemon
from tests.support.tools import tool

pytestmark = pytest.mark.e2e

GRAVE = ("MEDIUM", "HIGH", "CRITICAL", "FATAL")
OF_SELF_SIGNED = {"cert_chain_of_trust", "cert_revocation"}
"""Nobody vouches for it, and so nobody can revoke it; what else a self-signed one might be blamed for is a finding."""
ALL = ("--protocols", "--std", "--fs", "--server-preference", "--server-defaults", "--headers", "--vulnerable")


@frozen
class Door:
    """One port; ``checks``: what testssl.sh looks at in CI, ``seen``: findings that show that it did."""

    name: str
    port: int
    checks: tuple[str, ...]
    seen: tuple[str, ...]
    ca: Path | None = None

    @property
    def excused(self) -> set[str]:
        return set() if self.ca else OF_SELF_SIGNED


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Door]]:
    folder = tmp_path_factory.mktemp("doors")
    Authority().write(folder)
    with ExitStack() as stack:
        ports = []
        for name, plugin in (("agent", "cm-agent"), ("cloud", "cm-cloud"), ("signed", "cm-cloud")):
            (folder / name).mkdir(mode=0o700)
            AdminPassword(folder / name / "admin").write("a password for the test")
            _, port = stack.enter_context(daemon(plugin, folder / name))
            ports.append(port)
        words = [f"https://localhost:{ports[2]}", folder / "server.pem", folder / "server.key"]
        command = [BIN / "charging_manager", "cloud_cert", *words, "--data", folder / "signed"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        yield [
            Door("agent", ports[0], ("--protocols", "--std"), ("TLS1_2", "cipherlist_NULL")),
            Door(
                "cloud", ports[1], ("--server-defaults", "--vulnerable"), ("cert_chain_of_trust", "heartbleed", "ROBOT")
            ),
            Door(
                "cloud with a signed certificate",
                ports[2],
                ("--server-defaults", "--headers"),
                ("cert_chain_of_trust", "cert_crlDistributionPoints", "HSTS_time"),
                folder / "ca.pem",
            ),
        ]


def looked_at(door: Door, report: Path) -> list[dict[str, str]]:
    """All that testssl.sh has to say of this door."""
    checks = ALL if os.environ.get("CM_LONG") else door.checks
    signed = ["--add-ca", str(door.ca)] if door.ca else []
    command = ["testssl", "--quiet", "--warnings", "off", "--color", "0", *signed, *checks]
    subprocess.run(
        [*command, "--jsonfile", str(report), f"https://localhost:{door.port}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=600,
        check=False,
    )
    found: list[dict[str, str]] = json.loads(report.read_text())
    return found


@pytest.mark.needs("testssl")
def test_testssl_finds_nothing_of_medium_or_worse(doors: list[Door], tmp_path: Path) -> None:
    with ThreadPoolExecutor(len(doors)) as threads:
        reports = list(threads.map(lambda door: looked_at(door, tmp_path / f"{door.port}.json"), doors))
    for door, findings in zip(doors, reports, strict=True):
        ids = {finding["id"] for finding in findings}
        assert ids >= set(door.seen), (door.name, sorted(ids))
        grave = [finding for finding in findings if finding["severity"] in GRAVE]
        blamed = [finding for finding in grave if finding["id"] not in door.excused]
        assert blamed == [], (door.name, blamed)


def sslyze(door: Door, report: Path, *words: str) -> tuple[dict[str, Any], str]:
    """Its report, and what it says about Mozilla's « intermediate » configuration."""
    command = [str(tool("sslyze")), *words, "--json_out", str(report), f"localhost:{door.port}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    scanned: dict[str, Any] = json.loads(report.read_text())["server_scan_results"][0]
    assert scanned["scan_status"] == "COMPLETED", door.name
    return scanned["scan_result"], done.stdout.partition("COMPLIANCE")[2]


def test_sslyze_finds_what_mozilla_recommends(doors: list[Door], tmp_path: Path) -> None:
    for door in doors:
        trusted = ["--certinfo_ca_file", str(door.ca)] if door.ca else []
        results, compliance = sslyze(door, tmp_path / f"mozilla-{door.port}.json", *trusted)
        assert "intermediate" in compliance
        complaints = [line.strip() for line in compliance.splitlines() if line.strip().startswith("*")]
        excused = [] if door.ca else ["certificate_path_validation", "maximum_certificate_lifespan"]
        assert [line for line in complaints if not any(word in line for word in excused)] == [], (door.name, compliance)
        for old in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"):
            assert results[f"{old}_cipher_suites"]["result"]["accepted_cipher_suites"] == [], (door.name, old)
        accepted = [
            suite["cipher_suite"]["name"]
            for version in ("tls_1_2", "tls_1_3")
            for suite in results[f"{version}_cipher_suites"]["result"]["accepted_cipher_suites"]
        ]
        assert len(accepted) == 6 and all("GCM" in name or "CHACHA20" in name for name in accepted), door.name
        assert not results["session_renegotiation"]["result"]["is_vulnerable_to_client_renegotiation_dos"], door.name
        assert not results["tls_compression"]["result"]["supports_compression"], door.name
        results, _ = sslyze(door, tmp_path / f"resumed-{door.port}.json", "--resum", "--early_data")
        assert not results["tls_1_3_early_data"]["result"]["supports_early_data"], door.name
        resumed = results["session_resumption"]["result"]
        assert resumed["session_id_resumption_result"] == "NOT_SUPPORTED", door.name
        assert resumed["tls_ticket_resumption_result"] == "NOT_SUPPORTED", door.name


def test_only_a_certificate_that_somebody_vouches_for_binds_browsers_to_tls(doors: list[Door]) -> None:
    for door in doors:
        headers = Browser(door.port, secure=True).call("GET", "/ui/en/login.htm").headers
        assert ("strict-transport-security" in headers) is (door.ca is not None), door.name
