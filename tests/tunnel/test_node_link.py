"""Two servers of one cloud prove themselves to each other, then one asks what the other's tunnels answer."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.test.iosim import FakeTransport, IOPump, connect
from twisted.trial.unittest import SynchronousTestCase

from charging_manager.errors import TunnelError
from charging_manager.tunnel import bounds
from charging_manager.tunnel.link import RemoteAnswer, RemoteGrant, RemoteLogin, RemoteRequest, RemoteSink, RemoteStream
from charging_manager.tunnel.node_link import Entry, LocalLink, NodeAnswerer, NodeAsker
from charging_manager.tunnel.reasons import Refusal

KEY = b"k" * 32
result_of = SynchronousTestCase().successResultOf
failure_of = SynchronousTestCase().failureResultOf


class Line:
    """What a login is bound to."""

    def __init__(self, exporter: bytes) -> None:
        self._exporter = exporter

    def binding(self) -> bytes:
        raise NotImplementedError

    def exporter(self) -> bytes:
        return self._exporter


class Faucet:
    """Writes as long as its reader takes it."""

    def __init__(self, sink: RemoteSink, pieces: int) -> None:
        self.sink, self.left, self.stops = sink, pieces, 0
        self.resumed()

    def resumed(self) -> None:
        while self.left:
            self.left -= 1
            if not self.sink.write(b"x" * 16_384):
                return
        self.sink.finish()

    def stopped(self) -> None:
        self.stops += 1


class Basin:
    """Takes what comes, unless it is full."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.room, self.size, self.ends = room, 0, ""

    def write(self, data: bytes) -> bool:
        self.size += len(data)
        return self.size < self.room

    def finish(self) -> None:
        self.ends = "finished"

    def fail(self) -> None:
        self.ends = "failed"


class Tunnel:
    """One of the answering server's own."""

    def __init__(self) -> None:
        self.tokens: set[str] = set()
        self.faucet: Faucet | None = None
        self.slow: Deferred[RemoteGrant] | None = None

    async def login(self, login: RemoteLogin) -> RemoteGrant:
        if login.secret != "open sesame":
            raise Refusal("refused")
        self.tokens.add("token")
        if self.slow is not None:
            return await self.slow
        return RemoteGrant("token", "admin" if login.admin else "user", login.language)

    async def logout(self, token: str) -> None:
        self.tokens.discard(token)

    async def request(self, token: str, request: RemoteRequest) -> RemoteAnswer | RemoteStream:
        if request.path == "/faucet":

            def start(sink: RemoteSink) -> Faucet:
                self.faucet = Faucet(sink, 200)
                return self.faucet

            return RemoteStream(start)
        return RemoteAnswer(200, "text/plain", request.path.encode() + request.body)

    async def splice(self, source: str, there: RemoteStream) -> RemoteStream:
        """What comes is sent back."""

        def start(sink: RemoteSink) -> Any:
            return there.start(sink)

        return RemoteStream(start)


class Pair:
    """Both servers in memory."""

    def __init__(self, key: bytes = KEY, exporters: tuple[bytes, bytes] = (b"same", b"same"), node: str = "b") -> None:
        self.clock = Clock()
        self.me, self.node_key = "b", KEY
        self.tunnels: dict[str, Tunnel] = {"garage": Tunnel()}
        self.told: list[Entry] = []
        self.asker = NodeAsker(self.clock, key, "a", node, lambda asker, entries: self.told.extend(entries))
        self.answerer = NodeAnswerer(self.clock, self)
        self.answerer.channel = Line(exporters[1])
        self.met_by: list[NodeAnswerer] = []
        server = FakeTransport(self.answerer, isServer=True)
        client = FakeTransport(self.asker, isServer=False)
        self.pump: IOPump = connect(self.answerer, server, self.asker, client, debug=False)
        self.asker.begin(Line(exporters[0]))
        self.flush()

    def local(self, cloud_id: str) -> LocalLink | None:
        return self.tunnels.get(cloud_id)

    def met(self, answerer: NodeAnswerer) -> None:
        self.met_by.append(answerer)

    def left(self, answerer: NodeAnswerer) -> None:
        if answerer in self.met_by:
            self.met_by.remove(answerer)

    def flush(self) -> None:
        self.pump.flush()
        self.clock.advance(0)
        self.pump.flush()

    def ask(self, work: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        asked: Deferred[Any] = Deferred.fromCoroutine(work)
        self.flush()
        return asked


def test_both_prove_that_they_are_of_one_cloud_and_what_is_here_is_told() -> None:
    pair = Pair()
    assert result_of(pair.asker.met) is None
    assert pair.met_by == [pair.answerer]
    for number in range(2000):
        pair.answerer.tell(Entry(f"site-{number}", number, "charging-manager 1", "cm-aaaabbbbccccdddd"))
    pair.answerer.tell(Entry("site-7", 8, here=False))
    pair.flush()
    assert {entry.cloud_id for entry in pair.told} == {f"site-{number}" for number in range(2000)}
    assert [entry.here for entry in pair.told if entry.cloud_id == "site-7"] == [False]


@pytest.mark.parametrize(
    "pair",
    [
        lambda: Pair(key=b"another" * 5),
        lambda: Pair(exporters=(b"one connection", b"another")),  # somebody stands in between
        lambda: Pair(node="c"),
    ],
)
def test_whoever_has_another_secret_another_connection_or_another_name_is_not_met(pair: Any) -> None:
    both = pair()
    assert failure_of(both.asker.met).value.code == "server-not-genuine"
    assert both.met_by == []


def test_somebody_who_only_knows_how_to_ask_gets_nothing() -> None:
    pair = Pair()
    assert failure_of(pair.ask(pair.asker.login("nowhere", RemoteLogin("x", True)))).value.code == "offline"
    asker = NodeAsker(pair.clock, KEY, "a", "b", lambda *_: None)
    answerer = NodeAnswerer(pair.clock, pair)
    answerer.channel = Line(b"same")
    pump = connect(
        answerer, FakeTransport(answerer, isServer=True), asker, FakeTransport(asker, isServer=False), debug=False
    )
    asked = Deferred.fromCoroutine(asker.request("garage", "token", RemoteRequest("GET", "/")))
    pump.flush()
    assert failure_of(asked).check(TunnelError)
    assert pair.met_by == [pair.answerer]


def test_logins_requests_and_long_bodies_go_to_the_tunnel_there() -> None:
    pair = Pair()
    grant = result_of(pair.ask(pair.asker.login("garage", RemoteLogin("open sesame", True, "fr"))))
    assert (grant.token, grant.role, grant.language) == ("token", "admin", "fr")
    assert failure_of(pair.ask(pair.asker.login("garage", RemoteLogin("guess", True)))).value.code == "refused"
    body = b"b" * 100_000
    answer = result_of(pair.ask(pair.asker.request("garage", "token", RemoteRequest("PUT", "/p", body=body))))
    assert isinstance(answer, RemoteStream)
    basin = Basin()
    answer.start(basin)
    pair.flush()
    assert (basin.size, basin.ends) == (len(body) + 2, "finished")
    result_of(pair.ask(pair.asker.logout("garage", "token")))
    assert pair.tunnels["garage"].tokens == set()


def test_a_slow_reader_here_stops_the_stream_there_and_whoever_goes_ends_it() -> None:
    pair = Pair()
    answer = result_of(pair.ask(pair.asker.request("garage", "token", RemoteRequest("GET", "/faucet"))))
    basin = Basin(room=1)
    source = answer.start(basin)
    pair.flush()
    faucet = pair.tunnels["garage"].faucet
    assert faucet is not None
    assert 200 - faucet.left <= 2 * bounds.WINDOW_BYTES // 16_384  # what is under way, and no more
    basin.room = 1 << 30
    source.resumed()
    pair.flush()
    assert (basin.size, basin.ends) == (200 * 16_384, "finished")
    answer = result_of(pair.ask(pair.asker.request("garage", "token", RemoteRequest("GET", "/faucet"))))
    answer.start(Basin(room=1)).stopped()
    pair.flush()
    faucet = pair.tunnels["garage"].faucet
    assert faucet is not None and faucet.stops == 1


def test_when_the_other_server_dies_questions_and_streams_fail_at_once() -> None:
    pair = Pair()
    answer = result_of(pair.ask(pair.asker.request("garage", "token", RemoteRequest("GET", "/faucet"))))
    basin = Basin(room=1)
    answer.start(basin)
    pair.tunnels["garage"].slow = Deferred()
    asked = pair.ask(pair.asker.login("garage", RemoteLogin("open sesame", True)))
    pair.asker.transport.abortConnection()
    pair.flush()
    assert failure_of(asked).value.code == "lost"
    assert basin.ends == "failed"
    assert result_of(pair.asker.gone) == "lost"
    assert pair.met_by == []


def test_a_grant_that_comes_too_late_is_given_back() -> None:
    pair = Pair()
    tunnel = pair.tunnels["garage"]
    tunnel.slow = Deferred()
    asked = pair.ask(pair.asker.login("garage", RemoteLogin("open sesame", True)))
    pair.clock.advance(bounds.LOGIN_TIMEOUT_S + 0.3)
    assert failure_of(asked).value.code == "timeout"
    tunnel.slow.callback(RemoteGrant("token", "admin"))
    pair.flush()
    pair.flush()
    assert tunnel.tokens == set()


def test_a_browsers_bytes_are_carried_both_ways() -> None:
    pair = Pair()
    sinks: list[RemoteSink] = []

    def start(sink: RemoteSink) -> Any:
        sinks.append(sink)
        return Faucet(Basin(), 0)

    back = result_of(pair.ask(pair.asker.splice("garage", "192.0.2.1", RemoteStream(start, ""))))
    basin = Basin()
    back.start(basin)
    pair.flush()
    sinks[0].write(b"hello")
    sinks[0].finish()
    pair.flush()
    assert (basin.size, basin.ends) == (5, "finished")
