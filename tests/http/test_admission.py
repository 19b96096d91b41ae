"""Logins of agents: a bounded number at once, fair among sources, and each of the others gets a time of its own."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from charging_manager.http import admission as module
from charging_manager.http.admission import (
    FIRST_RATE,
    LONGEST_S,
    MOST_AT_ONCE,
    MOST_OF_ONE_SOURCE,
    MOST_WAITING,
    WAIT_S,
    Admission,
    Place,
)
from charging_manager.http.lobby import Waiting
from tests.http.wire import Transport


class Visitor:
    """A guest that remembers what became of it."""

    def __init__(self, hall: Hall, source: str) -> None:
        self.hall, self.source = hall, source
        self.place: Place | None = None
        self.told: list[int] = []

    def go(self, place: Place) -> None:
        assert self.place is None and not self.told
        self.place = place
        self.hall.clock.rightNow += self.hall.costs_s

    def put_off(self, told: bytes) -> None:
        assert self.place is None and not self.told
        self.told.append(int(told))


class Hall:
    def __init__(self) -> None:
        self.clock = Clock()
        self.costs_s = 0.0
        self.admission = Admission(self.clock, lambda seconds: b"%d" % seconds)
        self.all: list[Visitor] = []

    def come(self, source: str, count: int = 1) -> list[Visitor]:
        new = [Visitor(self, source) for _ in range(count)]
        for visitor in new:
            self.admission.come(visitor, source)
        self.all += new
        return new

    def turn(self) -> None:
        """What is due now, once, as a reactor does it between two looks at its sockets."""
        call = self.clock.calls.pop(0)
        call.called = 1
        call.func()

    def inside(self) -> list[Visitor]:
        return [one for one in self.all if one.place is not None and one.place._admission is not None]


@pytest.fixture
def hall() -> Hall:
    return Hall()


def test_few_are_let_in_at_once(hall: Hall) -> None:
    few = hall.come("a", 10)
    hall.clock.advance(0)
    assert all(one.place is not None for one in few)
    assert (hall.admission.in_progress, hall.admission.waiting) == (10, 0)
    for one in few:
        assert one.place is not None
        one.place.leave(finished=True)
        one.place.leave()  # twice is nothing
    assert hall.admission.in_progress == 0 and not hall.clock.getDelayedCalls()


def test_the_places_are_bounded_in_all_and_for_one_source(hall: Hall) -> None:
    hall.come("a", 600)
    hall.clock.advance(0)
    assert len(hall.inside()) == MOST_OF_ONE_SOURCE
    for number in range(400):
        hall.come(f"b{number}")
    hall.clock.advance(0.3)
    assert len(hall.inside()) == MOST_AT_ONCE
    hall.inside()[0].place.leave()  # type: ignore[union-attr]
    hall.clock.advance(0)
    assert len(hall.inside()) == MOST_AT_ONCE


def test_sources_take_turns(hall: Hall) -> None:
    hall.costs_s = 0.01
    crowd = hall.come("a", 200)
    alone = hall.come("b")[0]
    for _ in range(2):
        hall.turn()
    assert alone.place is not None
    assert sum(one.place is not None for one in crowd) <= 16


def test_others_are_served_between_two_slices(hall: Hall) -> None:
    hall.costs_s = 0.001
    hall.come("a", 200)
    before_s = hall.clock.seconds()
    hall.turn()
    assert hall.clock.seconds() - before_s <= 0.03
    assert 0 < len(hall.inside()) < 30
    hall.clock.rightNow += 0.1  # everything else takes long: so may this
    hall.turn()
    assert 50 < len(hall.inside()) < 150


def test_where_the_room_is_full_each_of_the_rest_gets_a_time_of_its_own(hall: Hall) -> None:
    hall.come("a", MOST_OF_ONE_SOURCE)
    hall.clock.advance(0)
    hall.come("a", MOST_WAITING)
    late = hall.come("a", 20_000)
    told = [one.told[0] for one in late]
    fitting = int(LONGEST_S * FIRST_RATE) - MOST_WAITING
    assert told[:fitting] == sorted(told[:fitting])
    assert told[0] >= MOST_WAITING / FIRST_RATE
    assert max(Counter(told[:fitting]).values()) <= FIRST_RATE + 1  # no more a second than can be dealt with
    rest = Counter(told[fitting + 1 :])
    assert min(rest) >= LONGEST_S / 2 and max(rest) <= LONGEST_S
    assert max(rest.values()) < 3 * min(rest.values()) + 100  # and those for whom there is no time yet, at random
    assert hall.admission.put_off_total == 20_000


def test_a_source_with_few_is_not_kept_out_by_one_with_many(hall: Hall) -> None:
    hall.come("a", MOST_OF_ONE_SOURCE)
    hall.clock.advance(0)
    many = hall.come("a", MOST_WAITING)
    few = hall.come("b", 3)
    assert not any(one.told for one in few)
    assert [bool(one.told) for one in many[-3:]] == [True] * 3 and not many[0].told
    assert hall.admission.waiting == MOST_WAITING
    hall.clock.advance(0.3)
    assert all(one.place is not None for one in few)


def test_whoever_waited_for_too_long_is_told_even_if_no_place_is_ever_free(hall: Hall) -> None:
    hall.come("a", MOST_OF_ONE_SOURCE + 10)
    hall.clock.pump([0.1] * int(WAIT_S * 10 + 5))
    assert sum(bool(one.told) for one in hall.all) == 10
    assert hall.admission.waiting == 0 and not hall.clock.getDelayedCalls()


def test_one_that_went_by_itself_is_not_told_anything(hall: Hall) -> None:
    hall.come("a", MOST_OF_ONE_SOURCE)
    hall.clock.advance(0)
    gone = hall.come("a", 2)
    hall.admission.gone(gone[0], "a")
    hall.admission.gone(gone[0], "a")
    assert hall.admission.waiting == 1
    hall.admission.gone(gone[1], "a")
    hall.clock.advance(60)
    assert not gone[0].told and gone[0].place is None and hall.admission.waiting == 0


def test_how_long_they_are_put_off_follows_how_fast_logins_go(hall: Hall) -> None:
    """400 logins a second here, then 5."""
    for per_s, least_rate, most_rate in ((400, 300, 500), (5, 50, 50)):
        hall.come("a", MOST_OF_ONE_SOURCE + MOST_WAITING)
        for _ in range(120):
            hall.clock.advance(0.1)
            for one in hall.inside()[: max(1, per_s // 10)]:
                assert one.place is not None
                one.place.leave(finished=True)
            hall.come("a", 40)
        assert least_rate <= hall.admission._rate <= most_rate


@given(
    st.lists(
        st.tuples(st.sampled_from(["come", "leave", "gone", "wait"]), st.integers(0, 3), st.integers(1, 9)), max_size=60
    )
)
def test_whatever_happens_everybody_is_let_in_or_told_and_no_bound_is_broken(
    steps: list[tuple[str, int, int]],
) -> None:
    sizes = {"MOST_AT_ONCE": 8, "MOST_OF_ONE_SOURCE": 4, "MOST_WAITING": 10}
    hall = Hall()
    went: set[Visitor] = set()
    with pytest.MonkeyPatch.context() as patch:
        for name, size in sizes.items():
            patch.setattr(module, name, size)
        for what, source, count in steps:
            if what == "come":
                hall.come(f"s{source}", count)
            elif what == "leave":
                for one in hall.inside()[:count]:
                    assert one.place is not None
                    one.place.leave(finished=bool(source))
            elif what == "gone":
                for one in [one for one in hall.all if one.place is None and not one.told][:count]:
                    hall.admission.gone(one, one.source)
                    went.add(one)
            else:
                hall.clock.advance(count / 4)
            assert hall.admission.in_progress == len(hall.inside()) <= 8
            assert all(count <= 4 for count in Counter(one.source for one in hall.inside()).values())
            assert 0 <= hall.admission.waiting <= 10
        for _ in range(100):
            hall.clock.advance(0.5)
    for one in hall.all:
        assert (one.place is not None) + len(one.told) + (one in went) >= 1
        assert (one.place is not None) + len(one.told) <= 1
    assert hall.admission.waiting == 0 and not hall.clock.getDelayedCalls()


# -- the connection that waits


class Begun:
    """What does TLS."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.data = b""

    def makeConnection(self, transport: object) -> None:
        self.transport = transport

    def dataReceived(self, data: bytes) -> None:
        self.data += data


class Socket(Transport):
    protocol: object = None


def test_what_came_while_it_waited_goes_on_with_it(hall: Hall) -> None:
    waiting, wire = Waiting(hall.admission, "a", Begun), Socket("192.0.2.1")
    waiting.makeConnection(wire)  # type: ignore[no-untyped-call]
    for piece in (b"hello", b" and", b" more"):
        waiting.dataReceived(piece)
    hall.clock.advance(0)
    begun = wire.protocol
    assert isinstance(begun, Begun) and begun.data == b"hello and more" and begun.transport is wire


def test_who_waits_sends_no_more_than_a_hello(hall: Hall) -> None:
    hall.come("a", MOST_OF_ONE_SOURCE)
    hall.clock.advance(0)
    waiting, wire = Waiting(hall.admission, "a", Begun), Socket("192.0.2.1")
    waiting.makeConnection(wire)  # type: ignore[no-untyped-call]
    waiting.dataReceived(b"x" * 10_000)
    assert hall.admission.waiting == 1
    waiting.dataReceived(b"x" * 10_000)
    assert wire.aborted and hall.admission.waiting == 0


def test_who_is_put_off_is_told_and_closed(hall: Hall) -> None:
    waiting, wire = Waiting(hall.admission, "a", Begun), Socket("192.0.2.1")
    waiting.makeConnection(wire)  # type: ignore[no-untyped-call]
    waiting.put_off(b"cm-busy 7\r\n")
    assert wire.sent == b"cm-busy 7\r\n" and wire.lost
