"""Two connections as one: bytes both ways by either way of moving them, whoever is slow, and every end."""

from __future__ import annotations

import os
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.tunnel import bounds, pump
from charging_manager.tunnel.pump import Pumps
from tests.support.loop import Loop

_SOME = os.urandom(12_000_000)


class Pumping(SynchronousTestCase):
    """With ``splice(2)``."""

    can_splice = pump.CAN_SPLICE

    def setUp(self) -> None:
        patched = mock.patch.object(pump, "CAN_SPLICE", self.can_splice)
        patched.start()
        self.addCleanup(patched.stop)
        self.loop = Loop()
        self.pumps = Pumps(self.loop)
        self.moved: list[tuple[int, int]] = []
        self.over: list[bool] = []
        self.pump = self.pumps.make(lambda *sizes: self.moved.append(sizes), lambda: self.over.append(True))
        self.near = self.loop.connect(self.pump.near)
        self.far = self.loop.connect(self.pump.far)
        for peer in (self.near, self.far):
            self.addCleanup(peer.socket.close)

    def tearDown(self) -> None:
        self.pump.break_off()
        self.loop.settle()
        self.assertEqual(len(self.pumps), 0)
        self.assertEqual(self.loop.getDelayedCalls(), [])

    def test_bytes_go_both_ways_as_they_come(self) -> None:
        self.near.say(b"hello")
        self.assertEqual(self.far.hear(), b"hello")
        self.far.say(b"hello yourself")
        self.assertEqual(self.near.hear(), b"hello yourself")

    def test_much_arrives_whole_and_in_order_in_both_directions(self) -> None:
        there, back = os.urandom(3_000_001), os.urandom(5_000_003)
        heard_there, heard_back, said_there, said_back = b"", b"", 0, 0
        while len(heard_there) < len(there) or len(heard_back) < len(back):
            said_there += self.near.say(there[said_there : said_there + 700_000])
            said_back += self.far.say(back[said_back : said_back + 900_000])
            heard_there += self.far.hear()
            heard_back += self.near.hear()
        self.assertEqual(heard_there, there)
        self.assertEqual(heard_back, back)
        self.pump.break_off()
        self.assertEqual([sum(sizes) for sizes in zip(*self.moved, strict=True)], [len(there), len(back)])

    def test_a_reader_that_stops_stops_the_writer_and_gets_everything_later(self) -> None:
        data = os.urandom(16 << 20)
        said = self.far.say(data)
        self.assertLess(said, 3 * bounds.PIPE_BYTES + 2 * bounds.CARRIED_BYTES + (1 << 20))
        self.near.say(b"meanwhile")
        self.assertEqual(self.far.hear(), b"meanwhile")
        heard = self.near.hear()
        while said < len(data):
            said += self.far.say(data[said:])
            heard += self.near.hear()
        self.assertEqual(heard, data)

    def test_who_asked_all_still_gets_the_answer(self) -> None:
        self.near.say(b"q" * 100_000)
        self.near.end()
        self.assertEqual(len(self.far.hear()), 100_000)
        self.assertTrue(self.far.ended)
        self.far.say(b"a" * 100_000)
        self.assertEqual(len(self.near.hear()), 100_000)
        self.assertFalse(self.near.ended)
        self.far.close()
        self.near.hear()
        self.assertTrue(self.near.ended)
        self.assertEqual(self.over, [True])

    def test_the_end_comes_behind_the_last_bytes_even_to_a_slow_reader(self) -> None:
        said = self.far.say(b"z" * (4 << 20))
        self.far.end()
        self.assertEqual(self.over, [])
        self.assertEqual(len(self.near.hear()), said)
        self.assertTrue(self.near.ended)
        self.assertEqual(self.over, [True])

    def test_what_is_said_to_one_that_has_said_all_is_swallowed_for_a_while(self) -> None:
        self.far.say(b"the last word")
        self.far.end()
        self.near.say(b"not heard any more")
        self.assertEqual(self.near.hear(), b"the last word")
        self.assertTrue(self.near.transport.connected)
        self.loop.advance(5.0)
        self.loop.settle()
        self.assertFalse(self.near.transport.connected)

    def test_whoever_breaks_off_breaks_the_other_off_too(self) -> None:
        self.far.say(b"unread" * 100_000)
        self.near.close()
        self.far.hear()
        self.assertTrue(self.far.ended)
        self.assertEqual(self.over, [True])

    def test_who_reads_nothing_for_a_minute_is_broken_off_and_who_is_merely_idle_is_not(self) -> None:
        for _ in range(60):
            self.loop.advance(5.0)
        self.assertEqual(self.over, [])
        self.far.say(b"x" * (16 << 20))
        for _ in range(10):
            self.loop.advance(5.0)
        self.assertEqual(self.over, [])
        for _ in range(3):
            self.loop.advance(5.0)
        self.assertEqual(self.over, [True])

    def test_where_a_sandbox_forbids_the_quick_way_the_plain_one_does(self) -> None:
        data = os.urandom(300_000)
        with mock.patch("os.splice", side_effect=PermissionError(1, "Operation not permitted")) as tried:
            said = self.far.say(data)
            self.assertEqual(self.near.hear(), data[:said])
            self.assertGreater(said, 100_000)
            self.assertEqual(tried.call_count, int(self.can_splice))

    def test_a_process_that_may_open_no_more_files_carries_on(self) -> None:
        with mock.patch("os.pipe2", side_effect=OSError(24, "Too many open files")):
            said = self.far.say(b"y" * 200_000)
            self.assertEqual(len(self.near.hear()), said)


class PumpingPlainly(Pumping):
    """Where the system has no ``splice(2)``."""

    can_splice = False


class ManyPumps(SynchronousTestCase):
    def test_pipes_are_as_many_as_are_full_and_none_when_all_is_over(self) -> None:
        before = len(os.listdir("/proc/self/fd"))
        loop = Loop()
        pumps = Pumps(loop)
        made = []
        for _ in range(8):
            one = pumps.make(lambda there, back: None)
            near, far = loop.connect(one.near), loop.connect(one.far)
            made.append((one, near, far))
            far.say(b"x" * 100_000)
            near.hear()
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), before + 4 * len(made) + 4)
        for one, near, far in made:
            far.say(b"x" * (4 << 20))
            one.break_off()
            near.close()
            far.close()
        loop.settle()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


class WhoComesFirst(SynchronousTestCase):
    """A download that takes all it can get, and somebody who clicks."""

    def setUp(self) -> None:
        self.loop = Loop()
        pumps = Pumps(self.loop)
        self.bulk, self.click = (pumps.make(lambda there, back: None) for _ in range(2))
        self.reader, self.writer = self.loop.connect(self.bulk.near), self.loop.connect(self.bulk.far)
        self.asker, self.answerer = self.loop.connect(self.click.near), self.loop.connect(self.click.far)
        for peer in (self.reader, self.writer, self.asker, self.answerer):
            self.addCleanup(peer.socket.close)

    def tearDown(self) -> None:
        self.bulk.break_off()
        self.click.break_off()
        self.loop.settle()
        self.assertEqual(self.loop.getDelayedCalls(), [])

    def _moved_at_once(self) -> int:
        """How much of a download comes through without time passing."""
        self.writer.say(_SOME[: 4 << 20])
        return len(self.reader.hear())

    def _click(self) -> None:
        self.asker.say(b"click")
        self.assertEqual(self.answerer.hear(), b"click")

    @pytest.mark.skipif(not pump.CAN_SPLICE, reason="needs splice(2): Linux, Python 3.10")
    def test_beside_somebody_who_clicks_a_download_is_moved_in_short_pieces(self) -> None:
        alone = self._moved_at_once()
        self.assertGreater(alone, 3 * bounds.SHARED_PIPE_BYTES)
        self._click()
        beside = self._moved_at_once()
        self.assertLessEqual(beside, 2 * bounds.SHARED_PIPE_BYTES)
        self.loop.advance(bounds.SHARED_PAUSE_S)
        more = len(self.reader.hear())
        self.assertTrue(0 < more <= 2 * bounds.SHARED_PIPE_BYTES, more)

    def test_when_nobody_clicks_any_more_it_goes_on_at_full_speed_and_nothing_is_lost(self) -> None:
        self._click()
        said = self.writer.say(_SOME)
        heard = self.reader.hear()
        self.loop.advance(bounds.ASKED_S)
        while said < len(_SOME):
            heard += self.reader.hear()
            said += self.writer.say(_SOME[said:])
        heard += self.reader.hear()
        self.assertEqual(heard, _SOME)

    def test_a_download_does_not_make_way_for_itself(self) -> None:
        self.reader.say(b"GET")
        self.assertEqual(self.writer.hear(), b"GET")
        self.assertGreater(self._moved_at_once(), 3 * bounds.SHARED_PIPE_BYTES)

    def test_a_download_that_ends_while_it_pauses_is_over(self) -> None:
        self._click()
        self._moved_at_once()
        self.reader.close()
        self.loop.advance(bounds.SHARED_PAUSE_S)
        self.writer.hear()
        self.assertTrue(self.writer.ended)


STEPS = st.lists(st.tuples(st.sampled_from(["say", "hear"]), st.booleans(), st.integers(1, 400_000)), max_size=30)


@pytest.mark.parametrize("can_splice", [pump.CAN_SPLICE, False])
@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_whatever_is_said_and_read_when_everything_arrives_once_and_in_order(
    can_splice: bool, steps: list[tuple[str, bool, int]]
) -> None:
    loop = Loop()
    joined = Pumps(loop).make(lambda there, back: None)
    near, far = loop.connect(joined.near), loop.connect(joined.far)
    said, heard = {True: 0, False: 0}, {True: b"", False: b""}
    try:
        with mock.patch.object(pump, "CAN_SPLICE", can_splice):
            for what, there, size in [*steps, ("hear", True, 1 << 30), ("hear", False, 1 << 30)]:
                speaker, hearer = (near, far) if there else (far, near)
                if what == "say":
                    said[there] += speaker.say(_SOME[said[there] : said[there] + size])
                else:
                    heard[there] += hearer.hear(size)
        assert {there: len(data) for there, data in heard.items()} == said
        assert all(_SOME.startswith(data) for data in heard.values())
    finally:
        joined.break_off()
        near.close()
        far.close()
