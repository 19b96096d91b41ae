"""What a bus promises: once on the real client and server over iosim, once on a simulated serial line."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.errors import DeviceNonsense, DeviceRefused, DeviceSilent
from charging_manager.modbus.bus import Bus, Priority
from charging_manager.modbus.frames import rtu_frame, tcp_frame
from tests.modbus.rigs import RtuRig, TcpRig

Rig = TcpRig | RtuRig


class BusPromises:
    """One set of tests for every kind of bus."""

    rig: Callable[..., Rig]
    assertEqual: Callable[..., Any]
    assertLess: Callable[..., Any]
    assertLessEqual: Callable[..., Any]
    assertGreaterEqual: Callable[..., Any]
    assertNoResult: Callable[..., Any]
    failureResultOf: Callable[..., Any]
    successResultOf: Callable[..., Any]

    def order_of(self, rig: Rig) -> list[int]:
        """The addresses in the order in which the units were asked."""
        return [address for _, _, _, address in rig.slave.heard]

    def test_a_read_gives_the_registers(self) -> None:
        rig = self.rig(1)
        done = rig.bus.read(1, 3, 100, 3)
        rig.run(0.2)
        self.assertEqual(self.successResultOf(done), [100, 101, 102])

    def test_a_write_fires_with_nothing(self) -> None:
        rig = self.rig(1)
        done = rig.bus.write(1, 16, 100, [1, 2])
        rig.run(0.2)
        self.assertEqual(self.successResultOf(done), None)

    def test_a_refusal_carries_its_code(self) -> None:
        rig = self.rig(1)
        rig.slave.refuses[1] = 2
        done = rig.bus.read(1, 3, 100, 3)
        rig.run(0.2)
        self.assertEqual(self.failureResultOf(done, DeviceRefused).value.code, 2)

    def test_one_request_at_a_time(self) -> None:
        rig = self.rig(1, 2)
        rig.slave.slow_s = {1: 0.3, 2: 0.3}
        done = [rig.bus.read(1 + index % 2, 3, index, 1) for index in range(4)]
        rig.run(0.35)
        self.assertLess(len(rig.slave.heard), 3)
        rig.run(1.2)
        self.assertEqual([self.successResultOf(each) for each in done], [[0], [1], [2], [3]])
        gaps = [b[0] - a[0] for a, b in zip(rig.slave.heard, rig.slave.heard[1:], strict=False)]
        self.assertGreaterEqual(min(gaps), 0.3)

    def test_the_urgent_goes_first(self) -> None:
        rig = self.rig(1)
        rig.slave.slow_s = {1: 0.1}
        for address, priority in ((0, Priority.SLOW), (1, Priority.SLOW), (2, Priority.LIVE), (3, Priority.SETPOINT)):
            rig.bus.read(1, 3, address, 1, priority=priority)
        rig.bus.write(1, 6, 4, [1], priority=Priority.SAFETY)
        rig.run(2)
        self.assertEqual(self.order_of(rig), [0, 4, 3, 2, 1])

    def test_a_slow_read_is_not_kept_waiting_for_ever_by_live_ones(self) -> None:
        rig = self.rig(1)
        rig.slave.slow_s = {1: 0.1}

        def again(_: object = None) -> None:
            rig.bus.read(1, 3, 1, 1, priority=Priority.LIVE).addCallback(again)

        for _ in range(3):
            again()
        rig.bus.read(1, 3, 99, 1, priority=Priority.SLOW)
        rig.run(7)
        asked = [at_s for at_s, _, _, address in rig.slave.heard if address == 99]
        self.assertEqual(len(asked), 1)
        self.assertLess(4.9, asked[0])
        self.assertLess(asked[0], 6)

    def test_a_unit_with_many_requests_does_not_keep_out_its_neighbour(self) -> None:
        rig = self.rig(1, 2)
        rig.slave.slow_s = {1: 0.05, 2: 0.05}
        for address in range(20):
            rig.bus.read(1, 3, address, 1)
        done = rig.bus.read(2, 3, 500, 1)
        rig.run(0.3)
        self.assertEqual(self.successResultOf(done), [500])

    def test_thirty_two_units_are_served_evenly(self) -> None:
        rig = self.rig(*range(1, 33))

        def again(_: object, unit: int) -> None:
            rig.bus.read(unit, 3, 0, 10).addCallback(again, unit)

        for unit in range(1, 33):
            rig.slave.slow_s[unit] = 0.01
            again(None, unit)

        rig.run(10)
        counts = [len(rig.slave.asked(unit)) for unit in range(1, 33)]
        self.assertLessEqual(max(counts) - min(counts), 1)
        self.assertGreaterEqual(min(counts), 5)

    def test_a_device_gets_the_silence_it_needs(self) -> None:
        rig = self.rig(1)
        for address in range(3):
            rig.bus.read(1, 3, address, 1, gap_s=0.5)
        rig.run(3)
        asked = rig.slave.asked(1)
        self.assertEqual(len(asked), 3)
        for earlier, later in pairwise(asked):
            self.assertGreaterEqual(later - earlier, 0.499)

    def test_others_use_the_silence_of_one_device(self) -> None:
        rig = self.rig(1, 2)
        rig.bus.read(1, 3, 0, 1, gap_s=1.0)
        rig.bus.read(1, 3, 1, 1, gap_s=1.0)
        rig.bus.read(2, 3, 2, 1)
        rig.run(2.5)
        self.assertEqual(self.order_of(rig), [0, 2, 1])

    def ask_quietly(self, rig: Rig, unit: int, timeout_s: float) -> None:
        self.fail_quietly(rig.bus.read(unit, 3, 0, 1, timeout_s=timeout_s))

    def test_silence_beside_a_neighbour_is_tried_once_more_and_then_left_alone_for_longer_and_longer(self) -> None:
        rig = self.rig(1, 2)
        rig.slave.mute.add(1)
        for _ in range(1700):
            self.ask_quietly(rig, 1, 0.4)
            self.ask_quietly(rig, 2, 0.4)
            rig.run(0.1)
        waits = [b - a for a, b in pairwise(rig.slave.asked(1))]
        self.assertLess(waits[0], 0.6)
        for wait, wanted in zip(waits[1:], (2, 5, 15, 20, 20), strict=False):
            self.assertLess(abs(wait - wanted - 0.5), 0.5)
        self.assertGreaterEqual(len(waits), 8)

    def test_a_silent_unit_with_nobody_beside_it_is_heard_within_two_seconds_of_its_return(self) -> None:
        rig = self.rig(1)
        rig.slave.mute.add(1)
        for _ in range(600):
            self.ask_quietly(rig, 1, 0.5)
            rig.run(0.1)
        waits = [b - a for a, b in pairwise(rig.slave.asked(1))]
        self.assertGreaterEqual(min(waits[1:]), 2.0)
        self.assertLess(max(waits), 3.0)

    def test_units_that_are_all_silent_do_not_hold_up_each_other_for_long(self) -> None:
        rig = self.rig(1, 2, 3)
        rig.slave.mute.update((1, 2, 3))
        for _ in range(600):
            for unit in (1, 2, 3):
                self.ask_quietly(rig, unit, 0.5)
            rig.run(0.1)
        for unit in (1, 2, 3):
            self.assertLess(max(b - a for a, b in pairwise(rig.slave.asked(unit))), 5.0)

    def test_a_unit_that_was_quick_is_asked_more_often_because_it_is_not_waited_for_long(self) -> None:
        rig = self.rig(1, 2)
        self.ask_quietly(rig, 1, 2.0)
        rig.run(0.5)
        rig.slave.mute.add(1)
        for _ in range(2400):
            self.ask_quietly(rig, 1, 2.0)
            self.ask_quietly(rig, 2, 2.0)
            rig.run(0.1)
        asked = [at_s for at_s in rig.slave.asked(1) if at_s > 60]
        waits = [b - a for a, b in pairwise(asked)]
        self.assertLess(max(waits), 35.0)  # 100 s if it were waited for in full
        self.assertGreaterEqual(min(waits), 15.0)

    def test_a_quick_unit_that_was_away_and_is_slow_at_first_is_found_all_the_same(self) -> None:
        rig = self.rig(1, 2)
        self.ask_quietly(rig, 1, 2.0)
        rig.run(0.5)
        rig.slave.mute.add(1)
        for turn in range(3000):
            if turn == 600:
                rig.slave.mute.clear()
                rig.slave.slow_s[1] = 1.0
            self.ask_quietly(rig, 1, 2.0)
            self.ask_quietly(rig, 2, 2.0)
            rig.run(0.1)
        since = [at_s for at_s in rig.slave.asked(1) if at_s > 250]
        self.assertGreaterEqual(len(since), 10)

    def test_a_unit_that_answers_again_is_at_once_a_good_one(self) -> None:
        rig = self.rig(1)
        rig.slave.mute.add(1)
        self.fail_quietly(rig.bus.read(1, 3, 0, 1, timeout_s=0.2))
        rig.run(1)
        self.assertGreaterEqual(rig.bus.quiet_s(1), 1.0)
        rig.slave.mute.clear()
        rig.run(2)
        done = rig.bus.read(1, 3, 7, 1, timeout_s=0.2)
        rig.run(0.2)
        self.assertEqual(self.successResultOf(done), [7])
        self.assertEqual(rig.bus.quiet_s(1), 0.0)

    def fail_quietly(self, done: Deferred[Any]) -> None:
        done.addErrback(lambda failure: failure.trap(DeviceSilent))

    def test_a_silent_unit_costs_its_neighbours_no_more_than_its_own_timeout(self) -> None:
        rig = self.rig(1, 2, 3)
        rig.slave.mute.add(2)
        late: list[float] = []

        def ask(unit: int) -> None:
            since = rig.clock.seconds()
            done: Deferred[Any] = rig.bus.read(unit, 3, 0, 10, timeout_s=0.4)
            if unit == 2:
                self.fail_quietly(done)
            else:
                done.addCallback(lambda _: late.append(rig.clock.seconds() - since))

        for _ in range(120):
            for unit in (1, 2, 3):
                ask(unit)
            rig.run(0.5)
        self.assertEqual(len(late), 240)
        self.assertLess(max(late), 0.4 + 0.15)

    def test_a_unit_long_silent_costs_at_most_a_fiftieth_of_the_time(self) -> None:
        rig = self.rig(1, 2)
        rig.slave.mute.add(2)
        for _ in range(800):
            self.ask_quietly(rig, 1, 3.0)
            self.ask_quietly(rig, 2, 3.0)
            rig.run(0.5)
        asked = [at_s for at_s in rig.slave.asked(2) if at_s > 40]
        self.assertGreaterEqual(len(asked), 2)
        for earlier, later in pairwise(asked):
            self.assertGreaterEqual((later - earlier) * 0.02, 3.0)

    def test_a_gateway_that_answers_for_a_dead_unit_counts_as_silence(self) -> None:
        for code in (10, 11):
            rig = self.rig(1, 2)
            rig.slave.refuses[2] = code
            done = rig.bus.read(2, 3, 0, 1)
            good = rig.bus.read(1, 3, 5, 1)
            rig.run(0.3)
            self.failureResultOf(done, DeviceSilent)
            self.assertEqual(self.successResultOf(good), [5])
            self.assertGreaterEqual(rig.bus.quiet_s(2), 1.0)

    def test_a_cancelled_request_is_not_sent(self) -> None:
        rig = self.rig(1)
        rig.slave.slow_s = {1: 0.1}
        first = rig.bus.read(1, 3, 0, 1)
        second = rig.bus.read(1, 3, 1, 1)
        second.cancel()
        self.failureResultOf(second, CancelledError)
        rig.run(0.5)
        self.assertEqual(self.successResultOf(first), [0])
        self.assertEqual(self.order_of(rig), [0])

    def test_a_request_cancelled_under_way_is_waited_for(self) -> None:
        rig = self.rig(1)
        rig.slave.slow_s = {1: 0.1}
        first = rig.bus.read(1, 3, 0, 1)
        rig.run(0.05)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        second = rig.bus.read(1, 3, 1, 1)
        rig.run(0.5)
        self.assertEqual(self.successResultOf(second), [1])
        asked = rig.slave.asked(1)
        self.assertGreaterEqual(asked[1] - asked[0], 0.1)

    def test_a_cancelled_request_to_a_silent_unit_is_not_asked_again(self) -> None:
        rig = self.rig(1)
        rig.slave.mute.add(1)
        first = rig.bus.read(1, 3, 0, 1, timeout_s=0.2)
        rig.run(0.1)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        rig.run(1)
        self.assertEqual(len(rig.slave.asked(1)), 1)

    def test_closing_waits_for_the_request_under_way_and_takes_no_more(self) -> None:
        rig = self.rig(1)
        rig.slave.slow_s = {1: 0.2}
        first, second = rig.bus.read(1, 3, 0, 1), rig.bus.read(1, 3, 1, 1)
        rig.run(0.05)
        closed = rig.bus.close()
        self.failureResultOf(second, DeviceSilent)
        self.failureResultOf(rig.bus.read(1, 3, 2, 1), DeviceSilent)
        self.assertNoResult(closed)
        rig.run(0.4)
        self.assertEqual(self.successResultOf(first), [0])
        self.successResultOf(closed)
        self.assertEqual(rig.bus.connected, False)

    def test_a_request_whose_turn_never_comes_fails(self) -> None:
        rig = self.rig(1)
        rig.slave.slow_s = {1: 0.9}
        done = [rig.bus.read(1, 3, index, 1, priority=Priority.SLOW) for index in range(40)]
        rig.run(40)
        self.assertEqual([self.successResultOf(each) for each in done[:3]], [[0], [1], [2]])
        self.assertEqual("busy" in str(self.failureResultOf(done[-1], DeviceSilent).value), True)
        for each in done[3:-1]:
            self.fail_quietly(each)
        self.assertGreaterEqual(rig.bus.statistics.expired, 20)

    def test_the_queue_has_an_end(self) -> None:
        rig = self.rig(1)
        rig.slave.slow_s = {1: 0.9}
        done = [rig.bus.read(1, 3, index, 1) for index in range(1102)]
        self.failureResultOf(done[-1], DeviceSilent)
        for each in done:
            self.fail_quietly(each)

    def test_an_impossible_request_is_our_own_mistake(self) -> None:
        rig = self.rig(1)
        for unit, function, address, count in ((256, 3, 0, 1), (1, 3, 0, 200), (1, 6, 0, 1), (1, 3, 65535, 2)):
            try:
                rig.bus.read(unit, function, address, count)
            except ValueError:
                continue
            raise AssertionError("nothing was raised")

    def test_what_was_counted_can_be_asked(self) -> None:
        rig = self.rig(1, 2)
        rig.slave.mute.add(2)
        rig.bus.read(1, 3, 0, 1)
        self.fail_quietly(rig.bus.read(2, 3, 0, 1, timeout_s=0.2))
        rig.run(1)
        counts = rig.bus.statistics
        self.assertEqual((counts.requests, counts.answers, counts.timeouts, counts.retries), (3, 1, 2, 1))
        self.assertLess(abs(counts.busy_s - 0.4), 0.1)


class TcpBusTests(BusPromises, SynchronousTestCase):
    """Over the real client."""

    rig = TcpRig

    def connect(self, rig: TcpRig) -> Bus:
        rig.bus.read(1, 3, 0, 1)
        rig.run(0.1)
        self.assertEqual(rig.bus.connected, True)
        return rig.bus

    def test_nothing_is_opened_before_the_first_request(self) -> None:
        rig = TcpRig(1)
        rig.run(1)
        self.assertEqual(rig.endpoint.tries, 0)
        self.connect(rig)
        self.assertEqual(rig.endpoint.tries, 1)

    def test_a_device_that_needs_time_after_a_connect_gets_it(self) -> None:
        rig = TcpRig(1)
        rig.bus.connect_delay_s = 1.0
        done = rig.bus.read(1, 3, 0, 1)
        rig.run(0.9)
        self.assertEqual(rig.slave.heard, [])
        rig.run(0.3)
        self.assertEqual(self.successResultOf(done), [0])

    def test_no_connection_fails_with_the_reason_and_is_tried_less_and_less_often(self) -> None:
        rig = TcpRig(1)
        rig.endpoint.refusing = True
        error = self.failureResultOf(rig.bus.read(1, 3, 0, 1), DeviceSilent).value
        self.assertIn("no connection", str(error))
        for _ in range(300):
            self.failureResultOf(rig.bus.read(1, 3, 0, 1), DeviceSilent)
            rig.run(0.1)
        self.assertEqual(rig.endpoint.tries, 11)  # at 0, 1, 3 s and then every 3 s
        rig.endpoint.refusing = False
        rig.run(10)
        done = rig.bus.read(1, 3, 5, 1)
        rig.run(0.1)
        self.assertEqual(self.successResultOf(done), [5])

    def test_a_lost_connection_is_opened_again_and_the_request_repeated(self) -> None:
        rig = TcpRig(1)
        bus = self.connect(rig)
        rig.slave.mute.add(1)
        done = bus.read(1, 3, 3, 1)
        rig.run(0.2)
        rig.slave.mute.clear()
        rig.cut()
        rig.run(0.2)
        self.assertEqual(self.successResultOf(done), [3])
        self.assertEqual(rig.endpoint.tries, 2)

    def test_a_device_that_drops_every_connection_is_not_stormed(self) -> None:
        rig = TcpRig(1)
        rig.factory.most_clients = 0
        for _ in range(100):
            self.fail_quietly(rig.bus.read(1, 3, 0, 1))
            rig.run(0.1)
        self.assertLess(rig.endpoint.tries, 6)
        self.assertGreaterEqual(rig.endpoint.tries, 3)

    def test_a_stream_that_is_no_modbus_ends_the_connection(self) -> None:
        for garbage in (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            bytes.fromhex("000100000001"),
            bytes.fromhex("00010000ffff01"),
        ):
            rig = TcpRig(1)
            bus = self.connect(rig)
            rig.slave.mute.add(1)
            done = bus.read(1, 3, 3, 1)
            rig.run(0.05)
            rig.endpoint.servers[-1].transport.write(garbage)
            rig.run(0.05)
            self.failureResultOf(done, DeviceNonsense)
            self.assertEqual(bus.connected, False)
            rig.slave.mute.clear()
            self.failureResultOf(bus.read(1, 3, 4, 1), DeviceSilent)
            rig.run(1.1)
            again = bus.read(1, 3, 5, 1)
            rig.run(0.1)
            self.assertEqual(self.successResultOf(again), [5])

    def test_a_late_answer_is_never_taken_for_another(self) -> None:
        rig = TcpRig(1)
        rig.slave.slow_s = {1: 0.3}
        bus = self.connect(rig)
        self.fail_quietly(bus.read(1, 3, 100, 1, timeout_s=0.25))
        values: list[list[int]] = []
        for _ in range(40):
            rig.run(0.13)
            bus.read(1, 3, 7, 1, timeout_s=1.0).addCallback(values.append).addErrback(lambda f: f.trap(DeviceSilent))
        rig.run(3)
        self.assertGreaterEqual(len(values), 5)
        self.assertEqual({tuple(each) for each in values}, {(7,)})
        self.assertGreaterEqual(bus.statistics.strays, 1)

    def test_an_answer_to_another_question_is_nonsense(self) -> None:
        for pdu in ("0403020007", "03040007", "030400070008", "03"):
            rig = TcpRig(1)
            bus = self.connect(rig)
            rig.slave.mute.add(1)
            done = bus.read(1, 3, 3, 1)
            rig.run(0.05)
            rig.endpoint.servers[-1].transport.write(tcp_frame(2, 1, bytes.fromhex(pdu)))
            rig.run(0.05)
            self.failureResultOf(done, DeviceNonsense)
            self.assertEqual(bus.connected, True)

    def test_half_an_answer_ends_the_connection_and_the_request_goes_over_a_new_one(self) -> None:
        rig = TcpRig(1)
        bus = self.connect(rig)
        rig.slave.mute.add(1)
        done = bus.read(1, 3, 3, 1, timeout_s=0.3)
        rig.run(0.1)
        rig.endpoint.servers[-1].transport.write(tcp_frame(2, 1, bytes.fromhex("03020007"))[:9])
        rig.slave.mute.clear()
        rig.run(0.4)
        self.assertEqual(self.successResultOf(done), [3])
        self.assertEqual(rig.endpoint.tries, 2)

    def test_a_dead_connection_is_replaced_and_a_socket_is_never_closed_while_an_answer_is_due(self) -> None:
        rig = TcpRig(1)
        bus = self.connect(rig)
        rig.slave.mute.add(1)
        for _ in range(90):
            self.fail_quietly(bus.read(1, 3, 0, 1, timeout_s=0.2))
            rig.run(0.1)
        self.assertEqual(rig.endpoint.tries, 2)
        asked = rig.slave.asked(1)
        self.assertEqual(len(asked), 6)  # the good one, two, one after 2 s; then over a new connection

    def test_a_stopped_process_that_goes_on_is_asked_again_at_once(self) -> None:
        rig = TcpRig(1, 2)
        bus = self.connect(rig)
        rig.slave.mute.add(1)
        for _ in range(300):
            self.ask_quietly(rig, 1, 0.5)
            self.ask_quietly(rig, 2, 0.5)
            rig.run(0.1)
        rig.slave.mute.clear()
        rig.slave.slow_s[1] = 0.6
        asked = len(rig.slave.asked(1))
        while len(rig.slave.asked(1)) == asked:
            self.ask_quietly(rig, 1, 0.5)
            rig.run(0.1)
        self.assertEqual(bus.quiet_s(1), 0.0)
        rig.slave.slow_s.clear()
        rig.run(1.0)
        done = bus.read(1, 3, 9, 1, timeout_s=0.5)
        rig.run(0.5)
        self.assertEqual(self.successResultOf(done), [9])

    def test_a_unit_that_is_always_too_slow_stays_a_cheap_one(self) -> None:
        rig = TcpRig(1, 2)
        self.connect(rig)
        rig.slave.slow_s[2] = 0.7
        for _ in range(3000):
            self.ask_quietly(rig, 1, 0.5)
            self.ask_quietly(rig, 2, 0.5)
            rig.run(0.1)
        asked = [at_s for at_s in rig.slave.asked(2) if at_s > 60]
        self.assertLessEqual(len(asked) * 0.5, 0.02 * 240)
        self.assertGreaterEqual(len(asked), 3)


class RtuBusTests(BusPromises, SynchronousTestCase):
    """Over the simulated line."""

    rig = RtuRig

    def test_the_line_is_silent_between_frames(self) -> None:
        rig = RtuRig(1, 2)
        for index in range(4):
            rig.bus.read(1 + index % 2, 3, index, 10)
        rig.run(0.3)
        sent = [at_s for at_s, _ in rig.line.sent]
        frame_s = (8 + 25) * rig.line.char_s
        for earlier, later in pairwise(sent):
            self.assertGreaterEqual(later - earlier, frame_s + 2 * rig.line.gap_s - 1e-9)
            self.assertLess(later - earlier, frame_s + 2 * rig.line.gap_s + 0.002)

    def test_the_time_on_the_wire_does_not_count_against_the_device(self) -> None:
        rig = RtuRig(1)
        done = rig.bus.read(1, 3, 0, 125, timeout_s=0.05)
        rig.run(0.3)
        self.assertEqual(len(self.successResultOf(done)), 125)

    def test_a_broadcast_is_answered_by_nobody_and_leaves_time_to_obey(self) -> None:
        rig = RtuRig(1)
        done = rig.bus.write(0, 6, 9, [1])
        after = rig.bus.read(1, 3, 0, 1)
        rig.run(0.3)
        self.assertEqual(self.successResultOf(done), None)
        self.assertEqual(self.successResultOf(after), [0])
        self.assertGreaterEqual(rig.line.sent[1][0] - rig.line.sent[0][0], 0.1)
        with self.assertRaises(ValueError):
            rig.bus.read(0, 3, 0, 1)

    def test_a_late_answer_is_never_taken_for_another(self) -> None:
        rig = RtuRig(1, 2)
        values: list[tuple[int, list[int]]] = []
        for round_number in range(60):
            rig.slave.slow_s[1] = 0.05 + 0.007 * round_number
            for address in (100, 200):
                for done in (
                    rig.bus.read(1, 3, address, 2, timeout_s=0.2),
                    rig.bus.read(1, 3, address, 2, timeout_s=0.2),
                ):
                    done.addCallback(lambda got, address=address: values.append((address, got)))
                    done.addErrback(lambda failure: failure.trap(DeviceSilent))
            rig.bus.read(2, 3, 7, 2, timeout_s=0.2).addCallback(lambda got: values.append((7, got)))
            rig.run(2.5)
        self.assertGreaterEqual(len(values), 140)
        self.assertEqual([pair for pair in values if pair[1] != [pair[0], pair[0] + 1]], [])

    def test_a_slave_that_lost_its_place_is_asked_once_more(self) -> None:
        rig = RtuRig(1, 2)
        self.fail_quietly(rig.bus.read(9, 3, 0, 1, timeout_s=0.2))  # absent
        rig.run(0.6)
        rig.slave.mute.add(1)  # a slave that takes the next request for the rest of the one before
        done = rig.bus.read(1, 3, 5, 1, timeout_s=0.2)
        rig.run(0.1)
        rig.slave.mute.clear()
        rig.run(0.4)
        self.assertEqual(self.successResultOf(done), [5])
        self.assertEqual(rig.bus.quiet_s(1), 0.0)

    def test_damaged_answers_are_nonsense_and_their_unit_is_asked_again_soon(self) -> None:
        rig = RtuRig(1)
        rig.line.damage = True
        errors: list[type] = []
        for _ in range(300):
            rig.bus.read(1, 3, 0, 2, timeout_s=0.2).addErrback(lambda failure: errors.append(failure.type))
            rig.run(0.1)
        self.assertIs(errors[0], DeviceNonsense)
        asked = rig.slave.asked(1)
        self.assertGreaterEqual(len(asked), 6)
        self.assertLess(max(b - a for a, b in pairwise(asked)), 5.4)

    def test_a_neighbours_frame_is_no_answer(self) -> None:
        rig = RtuRig(1)
        rig.slave.mute.add(1)
        done = rig.bus.read(1, 3, 5, 1, timeout_s=0.3)
        rig.run(0.05)
        rig.line.speak(rtu_frame(2, bytes.fromhex("03020007")) + rtu_frame(1, bytes.fromhex("03020009")))
        rig.run(0.1)
        self.assertEqual(self.successResultOf(done), [9])
        self.assertEqual(rig.bus.statistics.strays, 7)
