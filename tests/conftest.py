"""What every test may count on: ``needs`` leaves a test out, with the reason, where a program is missing.

``make test`` runs in two processes. All end-to-end tests are in one of them, one after another, since each starts
daemons of its own; those that look at the clock come last, when the other process has little left to do.
"""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import HealthCheck, settings

PACKAGES = {
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
    "mbpoll": "mbpoll",
    "socat": "socat",
    "curl": "curl",
    "openssl": "openssl",
    "ip": "iproute2",
    "mosquitto": "mosquitto",
}
"""Program to Debian package."""

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
        beside = "e2e" if item.get_closest_marker("e2e") else item.nodeid.split("::")[0]
        item.add_marker(pytest.mark.xdist_group(beside))
    items.sort(key=_when)


def _when(item: pytest.Item) -> int:
    """End-to-end tests first, for they are the longest row; of them those that look at the clock last."""
    if item.get_closest_marker("e2e") is None:
        return 2
    return 1 if item.get_closest_marker("timed") else 0
