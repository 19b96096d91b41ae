"""Streams: credits, turns, slow readers, and what one tunnel may hold."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.errors import TunnelError
from charging_manager.tunnel import bounds
from charging_manager.tunnel.boxes import END, data_head, data_length, number_box
from charging_manager.tunnel.link import RemoteAnswer, RemoteRequest, RemoteStream
from tests.tunnel.support import Bulk, Collected, Tunnel


def box_of(number: int, data: bytes) -> bytes:
    return data_head(number) + data_length(len(data)) + data + END


class Streaming(SynchronousTestCase):
    def setUp(self) -> None:
        self.tunnel = Tunnel()
        self.agent, self.link, self.side = self.tunnel.agent, self.tunnel.link, self.tunnel.side

    def stream(self, path: str = "/bulk", bulk: Bulk | None = None) -> RemoteStream:
        if bulk is not None:
            self.agent.answers[path] = lambda _: bulk.stream()
        answer = Deferred.fromCoroutine(self.link.request("token", RemoteRequest("GET", path)))
        self.tunnel.flush()
        found = self.successResultOf(answer)
        assert isinstance(found, RemoteStream)
        return found

    def all_gone(self) -> None:
        self.assertEqual((self.link.streams.open_count, self.side.streams.open_count), (0, 0))
        self.assertEqual((self.link.streams.queued_bytes, self.link.streams._held_bytes), (0, 0))


class Passing(Streaming):
    def test_every_byte_arrives_once_and_in_order(self) -> None:
        whole = bytes(range(256)) * 9000
        self.agent.answers["/csv"] = lambda _: RemoteAnswer(200, "text/csv", whole, "sessions.csv")
        stream = self.stream("/csv")
        self.assertEqual((stream.content_type, stream.filename, stream.status), ("text/csv", "sessions.csv", 200))
        sink = Collected()
        stream.start(sink)
        self.tunnel.flush()
        self.assertEqual(bytes(sink.data), whole)
        self.assertTrue(sink.ended)
        self.all_gone()

    def test_a_long_request_body_arrives_whole(self) -> None:
        body = bytes(range(251)) * 4000
        answer = Deferred.fromCoroutine(self.link.request("token", RemoteRequest("PUT", "/import", body=body)))
        self.tunnel.flush()
        self.assertEqual(self.successResultOf(answer).status, 200)
        self.assertEqual(self.agent.seen[0][1].body, body)
        self.all_gone()

    def test_a_body_over_a_mebibyte_is_not_even_sent(self) -> None:
        request = RemoteRequest("PUT", "/import", body=b"x" * (bounds.REQUEST_BODY + 1))
        failure = self.failureResultOf(Deferred.fromCoroutine(self.link.request("token", request)), TunnelError)
        self.assertEqual(failure.value.code, "busy")

    def test_an_empty_stream_ends_at_once(self) -> None:
        sink = Collected()
        self.stream(bulk=Bulk(0)).start(sink)
        self.tunnel.flush()
        self.assertEqual((bytes(sink.data), sink.ended), (b"", True))
        self.all_gone()


class SlowReaders(Streaming):
    def test_a_reader_that_does_not_read_stops_only_its_own_stream(self) -> None:
        stuck = Collected(slow=True)
        self.stream("/a", Bulk()).start(stuck)
        quick = Collected()
        self.stream("/b", Bulk(3_000_000)).start(quick)
        self.tunnel.flush()
        self.assertTrue(quick.ended)
        self.assertEqual(len(quick.data), 3_000_000)
        self.assertLessEqual(self.link.streams.queued_bytes, bounds.WINDOW_BYTES)

    def test_it_goes_on_when_the_reader_catches_up(self) -> None:
        sink = Collected(slow=True)
        source = self.stream(bulk=Bulk(2_000_000)).start(sink)
        self.tunnel.flush()
        self.assertLess(len(sink.data), 300_000)
        sink.slow = False
        source.resumed()
        self.tunnel.flush()
        self.assertEqual((len(sink.data), sink.ended), (2_000_000, True))
        self.all_gone()

    def test_a_stuck_stream_is_broken_off_within_a_minute_at_both_ends(self) -> None:
        bulk, sink = Bulk(), Collected(slow=True)
        self.stream(bulk=bulk).start(sink)
        self.tunnel.after(60)
        self.assertTrue(sink.failed)
        self.assertTrue(bulk.was_stopped)
        self.all_gone()

    def test_a_stream_that_nobody_starts_is_broken_off_too(self) -> None:
        bulk = Bulk()
        self.stream(bulk=bulk)
        self.tunnel.after(60)
        self.assertTrue(bulk.was_stopped)
        self.all_gone()

    def test_a_quiet_event_stream_is_left_alone(self) -> None:
        events = Bulk(1 << 40, piece=b"")
        events.start = lambda sink: setattr(events, "sink", sink) or events  # type: ignore[method-assign]
        self.agent.answers["/events"] = lambda _: RemoteStream(events.start)
        sink = Collected()
        self.stream("/events").start(sink)
        self.tunnel.after(300)
        assert events.sink is not None
        self.assertTrue(events.sink.write(b"data: hello\n\n"))
        self.tunnel.flush()
        self.assertEqual(bytes(sink.data), b"data: hello\n\n")

    def test_a_browser_that_leaves_stops_the_agents_source(self) -> None:
        bulk = Bulk()
        self.stream(bulk=bulk).start(Collected(slow=True)).stopped()
        self.tunnel.flush()
        self.assertTrue(bulk.was_stopped)
        self.all_gone()

    def test_a_source_that_breaks_off_is_told_to_the_reader(self) -> None:
        bulk, sink = Bulk(), Collected(slow=True)
        self.stream(bulk=bulk).start(sink)
        bulk.sink.fail()  # type: ignore[union-attr]
        self.tunnel.flush()
        self.assertEqual((sink.ended, sink.failed), (False, True))
        self.all_gone()

    def test_a_reader_that_raises_costs_only_its_stream(self) -> None:
        class Broken(Collected):
            def write(self, data: bytes) -> bool:
                raise RuntimeError("broken")

        bulk = Bulk()
        self.stream("/a", bulk).start(Broken())
        self.tunnel.flush()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertTrue(bulk.was_stopped)
        self.assertEqual(self.tunnel.gone, [])

    def test_a_lost_tunnel_ends_all_streams_at_both_ends(self) -> None:
        bulk, sink = Bulk(), Collected(slow=True)
        self.stream(bulk=bulk).start(sink)
        self.link.hang_up("restart", now=True)
        self.tunnel.flush()
        self.assertTrue(bulk.was_stopped)
        self.assertTrue(sink.failed)


class Bounds(Streaming):
    def test_never_more_than_a_mebibyte_lies_unread(self) -> None:
        for number in range(bounds.AGENT_STREAMS):
            self.stream(f"/{number}", Bulk()).start(Collected(slow=True))
            self.tunnel.flush()
            self.assertLessEqual(self.link.streams.queued_bytes, bounds.QUEUED_BYTES)
        quick = Collected()
        self.tunnel.after(1)
        self.assertEqual(self.tunnel.gone, [])
        self.stream_after_room(quick)
        self.assertTrue(quick.ended)

    def stream_after_room(self, sink: Collected) -> None:
        """One more, once the stuck ones are broken off."""
        self.tunnel.after(60)
        self.stream("/last", Bulk(500_000)).start(sink)
        self.tunnel.flush()

    def test_one_stream_too_many_is_refused_by_its_sender(self) -> None:
        for number in range(bounds.AGENT_STREAMS):
            self.stream(f"/{number}", Bulk())
        answer = Deferred.fromCoroutine(self.link.request("token", RemoteRequest("GET", "/0")))
        self.tunnel.flush()
        self.assertEqual(self.failureResultOf(answer, TunnelError).value.code, "busy")
        self.assertEqual(self.tunnel.gone, [])

    def test_the_window_is_shared_among_open_streams(self) -> None:
        sinks = []
        for number in range(16):
            sinks.append(Collected(slow=True))
            self.stream(f"/{number}", Bulk()).start(sinks[-1])
        self.tunnel.flush()
        incoming = list(self.link.streams._incoming.values())
        self.assertLessEqual(incoming[-1].held_bytes, bounds.QUEUED_BYTES // 16)
        self.assertGreaterEqual(min(len(s.data) for s in sinks), bounds.SHARE_BYTES - 64)

    def test_streams_take_turns(self) -> None:
        sinks = [Collected() for _ in range(5)]
        bulks = [Bulk() for _ in sinks]
        sources = [self.stream(f"/{n}", bulk) for n, bulk in enumerate(bulks)]
        self.side.pauseProducing()
        for stream, sink in zip(sources, sinks, strict=True):
            stream.start(sink)
        self.tunnel.flush()
        had = [len(sink.data) for sink in sinks]
        for _ in range(20):
            self.side.resumeProducing()
            self.side.pauseProducing()
            self.tunnel.flush()
        got = [len(sink.data) - before for sink, before in zip(sinks, had, strict=True)]
        self.assertGreater(min(got), 0)
        self.assertLessEqual(max(got) - min(got), bounds.SHARED_CHUNK)

    def hostile(self, *boxes: bytes) -> None:
        """The agent's side is doctored: these bytes come from it."""
        self.tunnel.agent_io.write(b"".join(boxes))
        self.tunnel.flush()

    def closed(self) -> bool:
        return self.link.transport is None and self.link.closing == "protocol"

    def test_data_without_credit_closes_the_tunnel(self) -> None:
        self.hostile(number_box(b"o", i=1), *[box_of(1, b"x" * 16000)] * 2)
        self.assertTrue(self.closed())

    def test_a_stream_number_used_again_closes_the_tunnel(self) -> None:
        self.hostile(number_box(b"o", i=3), number_box(b"x", i=3), number_box(b"o", i=3))
        self.assertTrue(self.closed())

    def test_a_stream_number_of_ours_closes_the_tunnel(self) -> None:
        self.hostile(number_box(b"o", i=2))
        self.assertTrue(self.closed())

    def test_data_for_a_stream_that_was_never_opened_closes_the_tunnel(self) -> None:
        self.hostile(box_of(9, b"x"))
        self.assertTrue(self.closed())

    def test_data_for_a_stream_that_is_gone_is_ignored(self) -> None:
        self.hostile(number_box(b"o", i=1), number_box(b"x", i=1), box_of(1, b"late"), number_box(b"f", i=1))
        self.assertFalse(self.closed())

    def test_too_many_streams_close_the_tunnel(self) -> None:
        self.hostile(*[number_box(b"o", i=2 * n + 1) for n in range(bounds.AGENT_STREAMS + 1)])
        self.assertTrue(self.closed())

    def test_impossible_credit_closes_the_tunnel(self) -> None:
        bulk = Bulk()
        self.stream(bulk=bulk)
        self.tunnel.cloud_io.write(number_box(b"c", i=1, n=1 << 40))
        self.tunnel.flush()
        self.assertEqual(self.side.closing, "protocol")
        self.assertTrue(bulk.was_stopped)


class KeepingPace(SynchronousTestCase):
    def test_a_slow_line_is_given_less_at_once_and_a_quick_one_more_again(self) -> None:
        tunnel = Tunnel()
        for _ in range(10):
            tunnel.side.pauseProducing()
            tunnel.clock.advance(0.2)
            tunnel.side.resumeProducing()
        self.assertEqual(tunnel.side.streams.pace_bytes, bounds.SHARE_BYTES)
        for _ in range(10):
            tunnel.side.pauseProducing()
            tunnel.clock.advance(0.001)
            tunnel.side.resumeProducing()
        self.assertEqual(tunnel.side.streams.pace_bytes, bounds.ALONE_BATCH_BYTES)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 400_000), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=40),
)
def test_whatever_readers_do_each_gets_its_own_bytes(sizes: list[int], turns: list[tuple[int, bool]]) -> None:
    tunnel = Tunnel()
    sinks, sources = [], []
    for number, size in enumerate(sizes):
        bulk = Bulk(size, piece=bytes([65 + number]) * 10_000)
        tunnel.agent.answers[f"/{number}"] = lambda _, b=bulk: b.stream()
        answers: list[RemoteStream] = []
        asked = Deferred.fromCoroutine(tunnel.link.request("token", RemoteRequest("GET", f"/{number}")))
        asked.addCallback(answers.append)
        tunnel.flush()
        sinks.append(Collected(slow=True))
        sources.append(answers[0].start(sinks[-1]))
    for which, slow in turns:
        if which < len(sizes):
            sinks[which].slow = slow
            sources[which].resumed()
            tunnel.flush()
            assert tunnel.link.streams.queued_bytes <= bounds.QUEUED_BYTES
    for sink, source in zip(sinks, sources, strict=True):
        sink.slow = False
        source.resumed()
    tunnel.flush()
    for number, (size, sink) in enumerate(zip(sizes, sinks, strict=True)):
        assert bytes(sink.data) == bytes([65 + number]) * size
        assert sink.ended
    assert tunnel.link.streams.open_count == tunnel.side.streams.open_count == 0
    assert tunnel.link.streams._held_bytes == 0
