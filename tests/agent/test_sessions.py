from __future__ import annotations

from datetime import UTC, datetime

import pytest
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.agent.api_sessions import moment
from charging_manager.agent.config import Configuration
from charging_manager.agent.sessions import Begun, SessionBook, Step
from charging_manager.http.routes import Problem
from charging_manager.model.reading import Reading, Status
from charging_manager.model.session import ChargingSession
from tests.agent.values import START_AT, later, reading


def book() -> SessionBook:
    return SessionBook(lambda charge_point: "ann")


def left_open(**more: object) -> ChargingSession:
    fields = {
        "id": "s1",
        "charge_point": "garage",
        "user": None,
        "started_at": START_AT,
        "ended_at": None,
        "start_wh": 1000.0,
        "end_wh": 1500.0,
        "energy_wh": 500.0,
    }
    return ChargingSession(**{**fields, **more})  # type: ignore[arg-type]


def test_a_session_lasts_from_plug_to_unplug_with_both_meter_readings() -> None:
    sessions = book()
    [opened] = sessions.see(reading(Status.PLUGGED, 0.0, energy_wh=1000.0), START_AT)
    sessions.see(reading(Status.CHARGING, 60.0, energy_wh=1500.0), later(60))
    [closed] = sessions.see(reading(Status.FREE, 120.0, energy_wh=1501.0), later(120))
    assert (opened.opened, closed.closed) == (True, True)
    assert (closed.session.start_wh, closed.session.end_wh, closed.session.energy_wh) == (1000.0, 1501.0, 501.0)
    assert (closed.session.started_at, closed.session.ended_at) == (START_AT, later(120))
    assert closed.session.user == "ann"
    assert sessions.running("garage") is None


def test_nobody_plugged_in_is_no_session() -> None:
    assert book().see(reading(Status.FREE), START_AT) == []


def test_a_fault_or_an_unknown_status_ends_nothing() -> None:
    sessions = book()
    sessions.see(reading(Status.PLUGGED), START_AT)
    assert sessions.see(reading(Status.UNKNOWN, 1.0), later(1)) == []
    assert sessions.see(reading(Status.FAULT, 2.0), later(2)) == []
    assert sessions.running("garage") is not None


def test_without_a_total_register_the_boxes_own_count_is_taken() -> None:
    sessions = book()
    sessions.see(reading(Status.PLUGGED, 0.0, session_wh=30.0), START_AT)
    [step] = sessions.see(reading(Status.CHARGING, 10.0, session_wh=130.0), later(10))
    assert step.session.energy_wh == 100.0


def test_without_any_count_power_is_added_up() -> None:
    sessions = book()
    sessions.see(reading(Status.CHARGING, 0.0, power_w=3600.0), START_AT)
    [step] = sessions.see(reading(Status.CHARGING, 10.0, power_w=3600.0), later(10))
    assert step.session.energy_wh == 10.0


def test_a_register_that_starts_again_takes_nothing_away() -> None:
    sessions = book()
    sessions.see(reading(Status.CHARGING, 0.0, energy_wh=1000.0), START_AT)
    sessions.see(reading(Status.CHARGING, 10.0, energy_wh=1200.0), later(10))
    sessions.see(reading(Status.CHARGING, 20.0, energy_wh=0.0), later(20))
    [step] = sessions.see(reading(Status.CHARGING, 30.0, energy_wh=50.0), later(30))
    assert step.session.energy_wh == 250.0


def test_a_wall_clock_that_is_set_back_makes_no_negative_session() -> None:
    sessions = book()
    sessions.see(reading(Status.CHARGING, 0.0, energy_wh=0.0), START_AT)
    [closed] = sessions.see(reading(Status.FREE, 10.0, energy_wh=10.0), later(-30_000_000))
    assert closed.session.ended_at is not None and closed.session.ended_at >= closed.session.started_at


def test_an_open_session_goes_on_after_a_restart_and_counts_what_came_meanwhile() -> None:
    sessions = book()
    sessions.resume([(left_open(), later(60))])
    [step] = sessions.see(reading(Status.CHARGING, 0.0, energy_wh=1900.0), later(300))
    assert (step.session.id, step.session.energy_wh, step.opened) == ("s1", 900.0, False)


def test_a_car_that_left_while_we_were_away_ends_with_what_was_last_known() -> None:
    sessions = book()
    sessions.resume([(left_open(), later(60))])
    [closed] = sessions.see(reading(Status.FREE, 0.0, energy_wh=9000.0), later(9000))
    assert (closed.session.energy_wh, closed.session.end_wh, closed.session.ended_at) == (500.0, 1500.0, later(60))


def test_another_car_after_a_restart_is_another_session() -> None:
    sessions = book()
    sessions.resume([(left_open(), later(60))])
    closed, opened = sessions.see(reading(Status.CHARGING, 0.0, energy_wh=4000.0, session_wh=10.0), later(300))
    assert closed.closed and closed.session.energy_wh == 500.0
    assert opened.opened and opened.session.id != "s1" and opened.session.start_wh == 4000.0


def test_a_removed_charge_point_ends_its_session() -> None:
    sessions = book()
    sessions.see(reading(Status.CHARGING, 0.0), START_AT)
    [closed] = sessions.end("garage")
    assert closed.closed and sessions.charge_points() == set()


@pytest.mark.parametrize(
    ("zone", "first", "after"),
    [
        ("Europe/Paris", "2026-03-28T23:00:00+00:00", "2026-03-29T22:00:00+00:00"),  # 23 hours
        ("America/New_York", "2026-03-29T04:00:00+00:00", "2026-03-30T04:00:00+00:00"),
        ("UTC", "2026-03-29T00:00:00+00:00", "2026-03-30T00:00:00+00:00"),
    ],
)
def test_a_day_in_a_query_is_a_day_of_the_site(zone: str, first: str, after: str) -> None:
    config = Configuration(timezone=zone)
    query = {"from": "2026-03-29", "to": "2026-03-29"}
    assert moment(query, "from", False, config) == datetime.fromisoformat(first)
    assert moment(query, "to", True, config) == datetime.fromisoformat(after)
    assert moment({"from": "2026-03-29T12:00:00Z"}, "from", False, config) == datetime(2026, 3, 29, 12, tzinfo=UTC)
    with pytest.raises(Problem):
        moment({"to": "9999-12-31"}, "to", True, config)


class CaughtUpTests(SynchronousTestCase):
    """Transactions of charge points that were alone for a while."""

    def setUp(self) -> None:
        self.book = SessionBook(lambda charge_point: None)

    def see(self, status: Status, after_s: float, energy_wh: float | None = None) -> list[Step]:
        return self.book.see(Reading("box", after_s, status=status, energy_wh=energy_wh), later(after_s))

    def test_a_session_begins_with_its_transaction_though_we_see_it_later(self) -> None:
        assert self.book.transaction_began("box", Begun(later(100), 1000.0, "anna")) == []
        (step,) = self.see(Status.CHARGING, 400, 1500.0)
        assert (step.session.started_at, step.session.start_wh, step.session.energy_wh) == (later(100), 1000.0, 500.0)
        assert step.session.user == "anna"

    def test_a_session_that_was_seen_first_is_dated_back(self) -> None:
        self.see(Status.CHARGING, 400, 1500.0)
        (step,) = self.book.transaction_began("box", Begun(later(100), 1000.0, "anna"))
        assert (step.session.started_at, step.session.start_wh, step.session.energy_wh) == (later(100), 1000.0, 500.0)

    def test_one_that_ended_while_we_were_away_ends_then(self) -> None:
        begun = Begun(later(0), 1000.0, None)
        self.see(Status.CHARGING, 1, 1000.0)
        self.see(Status.CHARGING, 50, 1400.0)
        (told,) = self.book.transaction_ended("box", begun, later(300), 2000.0, late=True)
        assert told.session.energy_wh == 1000.0
        (closed,) = self.see(Status.FREE, 900, None)
        assert (closed.session.ended_at, closed.session.energy_wh) == (later(300), 1000.0)

    def test_the_end_may_be_told_after_the_car_was_seen_gone(self) -> None:
        begun = Begun(later(0), 1000.0, None)
        self.see(Status.CHARGING, 1, 1000.0)
        self.see(Status.CHARGING, 50, 1400.0)
        (closed,) = self.see(Status.FREE, 900, None)
        assert closed.session.ended_at == later(50)
        (told,) = self.book.transaction_ended("box", begun, later(300), 2000.0, late=True)
        assert (told.session.id, told.session.ended_at, told.session.energy_wh) == (
            closed.session.id,
            later(300),
            1000.0,
        )
        assert told.afterwards

    def test_one_that_began_and_ended_while_we_were_away_is_whole(self) -> None:
        begun = Begun(later(100), 1000.0, "anna")
        self.book.transaction_began("box", begun)
        (step,) = self.book.transaction_ended("box", begun, later(500), 3000.0, late=True)
        assert (step.session.started_at, step.session.ended_at) == (later(100), later(500))
        assert (step.session.energy_wh, step.session.user, step.closed) == (2000.0, "anna", True)
        assert self.see(Status.FREE, 900, 3000.0) == []

    def test_the_next_car_has_a_session_of_its_own(self) -> None:
        first, second = Begun(later(0), 1000.0, None), Begun(later(400), 2000.0, None)
        self.see(Status.CHARGING, 1, 1000.0)
        self.see(Status.CHARGING, 900, 2600.0)
        self.book.transaction_ended("box", first, later(300), 2000.0, late=True)
        (closed,) = self.book.transaction_began("box", second)
        assert closed.session.ended_at == later(300)
        (opened,) = self.see(Status.CHARGING, 901, 2600.0)
        assert (opened.session.started_at, opened.session.energy_wh) == (later(400), 600.0)
