"""What every test may count on: ``needs`` leaves a test out, with the reason, where a program is missing.

``make test`` runs in two processes, each taking file after file: end-to-end tests first, which wait more than they
reckon, then what reckons. Those that look at the clock (``tests/e2e/timed``) are all in one process and come last,
when little else runs.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

PACKAGES = {
    "age": "age",
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
    "mbpoll": "mbpoll",
    "socat": "socat",
    "curl": "curl",
    "openssl": "openssl",
    "ip": "iproute2",
    "mosquitto": "mosquitto",
    "esbuild": "esbuild",
    "brotli": "brotli",
    "testssl": "testssl.sh",
    "haproxy": "haproxy",
    "nginx": "nginx-light libnginx-mod-stream",
    "named": "bind9",
    "pebble": "pebble",
}
"""Program to Debian package."""

TIMED = "tests/e2e/timed/"

settings.register_profile("quick", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100)
settings.register_profile("long", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=2000)
settings.load_profile("long" if os.environ.get("CM_LONG") else "quick")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*programs): leave the test out, saying why, where one of them is missing")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        wanted = [program for mark in item.iter_markers("needs") for program in mark.args]
        missing = [program for program in wanted if shutil.which(program) is None]
        if missing and not os.environ.get("CM_LEAVE_OUT_NONE"):
            packages = " ".join(PACKAGES.get(program, program) for program in missing)
            item.add_marker(pytest.mark.skipif(True, reason=f"apt-get install {packages}"))
    items.sort(key=_when)


def _when(item: pytest.Item) -> int:
    if item.nodeid.startswith(TIMED):
        return 3
    ranks = {"e2e": 0, "slow": 1}
    return next((rank for marker, rank in ranks.items() if item.get_closest_marker(marker)), 2)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Whole files, in the order in which they were collected, and ``TIMED`` as if it were one file."""
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return TIMED if nodeid.startswith(TIMED) else nodeid.split("::", 1)[0]

    return Files(config, log)
