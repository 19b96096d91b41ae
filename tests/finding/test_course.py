"""The pace of a search: never more than 50 connections in any second, a bounded number open, and honest progress."""

from __future__ import annotations

import random
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging_manager.finding.course import EVERY_S, KNOCK_S, MOST_OPEN, MOST_PER_S, Course
from charging_manager.finding.plan import Door, Talk


def many(count: int = 254, ports: tuple[int, ...] = (502,)) -> list[Door]:
    base = int(IPv4Address("192.168.1.0"))
    return [Door(IPv4Address(base + n), port, Talk.MODBUS) for port in ports for n in range(1, count + 1)]


class Walk:
    """Goes through a course: silence for all doors but those that answer, and timers that ring late."""

    def __init__(self, course: Course, lateness: random.Random | None = None) -> None:
        self.course, self.now_s, self.lateness = course, 100.0, lateness
        self.turns: list[float] = []
        self.most_open = 0
        self._ends: list[tuple[float, Door]] = []

    def go(self, until_s: float = 1e9) -> None:
        while not self.course.over and self.now_s < until_s:
            for at_s, door in [one for one in self._ends if one[0] <= self.now_s]:
                self._ends.remove((at_s, door))
                self.course.closed(door)
            door, wait_s = self.course.next(self.now_s)
            self.most_open = max(self.most_open, len(self.course.open))
            if door is not None:
                self.turns.append(self.now_s)
                self._ends.append((self.now_s + KNOCK_S, door))
                continue
            soonest = min([end_s for end_s, _ in self._ends] + ([self.now_s + wait_s] if wait_s else []), default=None)
            if soonest is None:
                break
            late_s = self.lateness.choice((0.0, 0.0, 0.001, 0.3)) if self.lateness else 0.0
            self.now_s = max(self.now_s, soonest) + late_s + 1e-9


def busiest(turns: list[float]) -> int:
    """The most turns in any second."""
    return max(sum(1 for other in turns if at_s <= other < at_s + 1.0) for at_s in turns)


def test_a_network_of_silence_takes_as_long_as_its_pace_and_not_longer() -> None:
    walk = Walk(Course.through(many()))
    walk.go()
    assert len(walk.turns) == 254
    assert busiest(walk.turns) <= MOST_PER_S
    assert walk.most_open <= MOST_OPEN
    assert walk.now_s - 100.0 == pytest.approx(254 * EVERY_S + KNOCK_S, abs=0.5)


@given(st.integers(0, 10_000))
def test_timers_that_are_late_never_make_up_for_it(seed: int) -> None:
    walk = Walk(Course.through(many(120)), random.Random(seed))
    walk.go()
    assert len(walk.turns) == 120 and busiest(walk.turns) <= MOST_PER_S


def test_no_more_doors_are_open_than_allowed_while_nothing_ends() -> None:
    course = Course.through(many())
    now_s = 0.0
    while (found := course.next(now_s)) != (None, None):
        now_s += found[1] or 0.0
    assert len(course.open) == MOST_OPEN


def test_questions_of_another_kind_take_turns_too() -> None:
    course = Course.through(many(10))
    assert course.next(0.0)[0] is not None
    waits = [course.turn(0.0) for _ in range(3)]
    assert waits == pytest.approx([EVERY_S, 2 * EVERY_S, 3 * EVERY_S])
    door, wait_s = course.next(0.0)
    assert door is None and wait_s == pytest.approx(4 * EVERY_S)


def test_progress_grows_to_its_end_and_the_estimate_shrinks_to_nothing() -> None:
    course = Course.through(many())
    walk = Walk(course)
    seen = []
    for second in range(1, 9):
        walk.go(100.0 + second)
        seen.append(course.progress(walk.now_s))
    assert [one.done for one in seen] == sorted(one.done for one in seen)
    assert seen[-1].done == seen[-1].of == 254 and seen[-1].eta_s == 0.0
    for second, one in enumerate(seen[:4], 1):
        assert one.of == 254
        assert one.eta_s == pytest.approx(254 * EVERY_S + KNOCK_S - second, abs=1.0)


def test_a_talk_counts_its_units_and_keeps_its_door_open() -> None:
    course = Course.through(many(1))
    door, _ = course.next(0.0)
    assert door is not None
    course.talks.begin(door, 3)
    assert (course.progress(0.5).done, course.progress(0.5).of) == (1, 4)
    course.talks.step(door, 4.0)
    one = course.progress(5.0)
    assert (one.done, one.of, one.eta_s) == (2, 4, pytest.approx(8.0))
    assert not course.over
    course.closed(door)
    assert course.over and course.progress(6.0).done == course.progress(6.0).of == 4


def test_of_a_host_that_is_not_there_no_other_door_is_tried() -> None:
    course = Course.through(many(3, (502, 80)))
    door, _ = course.next(0.0)
    assert door is not None
    course.closed(door)
    course.absent(door.host)
    assert all(other.host != door.host for other in course.waiting)
    assert (course.progress(0.1).done, course.progress(0.1).of) == (2, 6)


def test_who_announces_itself_is_next_and_its_new_doors_are_added_once() -> None:
    course = Course.through(many(5, (502, 80)))
    host = IPv4Address("192.168.1.4")
    course.prefer(host)
    extra = Door(IPv4Address("192.168.1.4"), 8080, Talk.HTTP)
    course.add(extra)
    course.add(extra)
    order = []
    now_s = 0.0
    while not course.over:
        door, wait_s = course.next(now_s)
        if door is None:
            now_s += wait_s or 0.0
            continue
        order.append(door)
        course.closed(door)
        course.add(door)
    assert [(str(door.host)[-1], door.port) for door in order[:3]] == [("4", 8080), ("4", 502), ("4", 80)]
    assert len(order) == 11


def test_a_cancelled_course_knocks_no_more_and_is_over_with_its_last_door() -> None:
    course = Course.through(many())
    door, _ = course.next(0.0)
    assert door is not None
    course.cancel()
    course.cancel()
    assert course.next(10.0) == (None, None) and not course.over
    course.closed(door)
    assert course.over
    assert (course.progress(11.0).done, course.progress(11.0).of) == (1, 254)
