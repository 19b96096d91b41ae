"""Thousands of agents at one cloud: what each costs, and that all are back soon after it was killed.

A thousand as a rule, so that it fits into a minute; ``CM_LONG=1`` takes the ten thousand.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.storm import storm

pytestmark = pytest.mark.e2e
COUNT, PROCESSES = (10_000, 4) if os.environ.get("CM_LONG") else (1_000, 2)


def test_all_agents_are_back_within_two_minutes_and_the_login_page_is_there_meanwhile(tmp_path: Path) -> None:
    seen = storm(tmp_path, COUNT, PROCESSES, within_s=120)
    print(seen)
    assert seen.kib_each <= 64 and seen.kib_each_after <= 64, seen
    assert seen.back_s <= 120, seen
    assert seen.page_p99_s <= 2.0 and not seen.page_failures, seen
    assert seen.least_gap_s >= 2.0, seen
