"""Thousands of agents at one cloud: what each costs, and that all are back soon after it was killed.

A thousand as a rule, so that it fits into a minute; ``CM_LONG=1`` takes the ten thousand.
"""

from __future__ import annotations

import os
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.support.storm import hand_over, storm

pytestmark = pytest.mark.e2e
ENDED = (0, -SIGTERM)
"""Twisted ends by the signal that it was told to end by."""
COUNT, PROCESSES = (10_000, 4) if os.environ.get("CM_LONG") else (1_000, 2)


def test_all_agents_are_back_within_two_minutes_and_the_login_page_is_there_meanwhile(tmp_path: Path) -> None:
    seen = storm(tmp_path, COUNT, PROCESSES, within_s=120)
    print(seen)
    assert seen.kib_each <= 64 and seen.kib_each_after <= 64, seen
    assert seen.back_s <= 120, seen
    assert seen.page_p99_s <= 2.0 and not seen.page_failures, seen
    assert seen.least_gap_s >= 2.0, seen


def test_an_upgrade_refuses_nobody_where_the_socket_stays(tmp_path: Path) -> None:
    """As with charging-manager-cloud.socket: who comes meanwhile waits for the new process."""
    seen = hand_over(tmp_path, 100, socket_stays=True)
    print(seen)
    assert seen.status in ENDED and not seen.page_failures, seen
    assert seen.page_gap_s <= 10 and seen.back_s <= 30, seen
    assert seen.tries == 100 and seen.least_gap_s >= 2.0, seen  # each came once: when it was told to


def test_an_upgrade_on_the_same_port_costs_browsers_a_few_seconds(tmp_path: Path) -> None:
    seen = hand_over(tmp_path, 100, socket_stays=False)
    print(seen)
    assert seen.status in ENDED, seen
    assert seen.page_gap_s <= 10 and seen.back_s <= 40 and seen.least_gap_s >= 2.0, seen
