"""When a goal is due: by the clocks on the wall, which jump twice a year and sometimes are simply wrong."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from charging_manager.clocks import moment
from charging_manager.control.goals import deadline, needed_wh
from charging_manager.model.goal import Goal
from charging_manager.model.wish import Wish

PARIS = ZoneInfo("Europe/Paris")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "at", "expected"),
    [
        ("2026-01-15", "07:00", "2026-01-15 06:00"),
        ("2026-07-15", "07:00", "2026-07-15 05:00"),
        ("2026-03-29", "01:59", "2026-03-29 00:59"),
        ("2026-03-29", "02:00", "2026-03-29 01:00"),  # does not exist: the instant at which clocks jump
        ("2026-03-29", "02:30", "2026-03-29 01:00"),
        ("2026-03-29", "03:00", "2026-03-29 01:00"),
        ("2026-10-25", "02:30", "2026-10-25 00:30"),  # exists twice: the first
        ("2026-10-25", "03:00", "2026-10-25 02:00"),
    ],
)
def test_a_time_of_the_day_is_the_first_instant_at_which_clocks_show_it(day: str, at: str, expected: str) -> None:
    assert moment(date.fromisoformat(day), time.fromisoformat(at), PARIS) == utc(expected)


def test_lord_howe_jumps_by_half_an_hour() -> None:
    there = ZoneInfo("Australia/Lord_Howe")
    assert moment(date(2026, 10, 4), time(2, 15), there) == utc("2026-10-03 15:30")


def test_a_goal_repeats_on_its_weekdays() -> None:
    goal = Goal(time(7), energy_wh=1.0, days=frozenset({0, 1, 2, 3, 4}))
    friday = datetime(2026, 5, 8, 6, 59, tzinfo=PARIS)
    assert deadline(goal, friday) == utc("2026-05-08 05:00")
    assert deadline(goal, friday.replace(hour=7)) == utc("2026-05-11 05:00")
    weekly = Goal(time(7), energy_wh=1.0, days=frozenset({4}))
    assert deadline(weekly, friday.replace(hour=7)) == utc("2026-05-15 05:00")


def test_a_goal_for_one_day_is_over_after_it() -> None:
    goal = Goal(time(7), energy_wh=1.0, on=date(2026, 5, 8))
    assert deadline(goal, datetime(2026, 5, 6, 12, tzinfo=PARIS)) == utc("2026-05-08 05:00")
    assert deadline(goal, datetime(2026, 5, 8, 7, tzinfo=PARIS)) is None


def test_at_the_end_of_the_calendar_nothing_is_due() -> None:
    assert deadline(Goal(time(7), energy_wh=1.0, days=frozenset({0})), datetime(9999, 12, 31, 23, tzinfo=UTC)) is None


def test_what_is_still_wanted() -> None:
    assert needed_wh(Goal(time(7), energy_wh=10_000.0), Wish(session_wh=4_000.0)) == 6_000.0
    assert needed_wh(Goal(time(7), energy_wh=10_000.0), Wish(session_wh=14_000.0)) == 0.0
    assert needed_wh(Goal(time(7), energy_wh=10_000.0), Wish(session_wh=float("nan"))) == 10_000.0
    by_soc = Goal(time(7), soc_pct=80.0)
    assert needed_wh(by_soc, Wish(soc_pct=60.0, capacity_wh=45_000.0)) == pytest.approx(10_000.0)
    assert needed_wh(by_soc, Wish(soc_pct=90.0, capacity_wh=45_000.0)) == 0.0
    assert needed_wh(by_soc, Wish(soc_pct=60.0)) is None
    assert needed_wh(by_soc, Wish(capacity_wh=45_000.0)) is None
    assert needed_wh(by_soc, Wish(soc_pct=float("nan"), capacity_wh=45_000.0)) is None
    assert needed_wh(Goal(time(7), soc_pct=80.0, capacity_wh=45_000.0), Wish(soc_pct=60.0)) == pytest.approx(10_000.0)
