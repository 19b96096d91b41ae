"""The listener's watchdog is fed by answers to its own calls, and by nothing else once one was answered."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from charging_manager.http.pulse import PATIENCE_S, Pulse

EVERY_S = 10.0


class Wire(StringTransport):
    """What was written before TLS began, and after."""

    before_tls: bytes | None = None

    def startTLS(self, contexts: object) -> None:
        self.before_tls = self.value()
        self.clear()


class Called:
    """A pulse on a reactor without sockets; ``alive`` counts."""

    def __init__(self, preface: bytes = b"") -> None:
        self.reactor: Any = MemoryReactorClock()
        self.alive = 0
        self.pulse = Pulse(self.reactor, lambda: ("::1", 4443), self.count, EVERY_S, lambda: preface)
        self.pulse.start()

    def count(self) -> None:
        self.alive += 1

    def answer(self, *data: bytes) -> Wire:
        """The newest call reaches somebody who says this."""
        factory = self.reactor.tcpClients[-1][2]
        protocol, transport = factory.buildProtocol(None), Wire()
        protocol.makeConnection(transport)
        for each in data:
            protocol.dataReceived(each)
        return transport

    def refuse(self) -> None:
        factory = self.reactor.tcpClients[-1][2]
        factory.clientConnectionFailed(None, Failure(Refused()))

    @property
    def calls(self) -> int:
        return len(self.reactor.tcpClients)


def test_an_answer_is_a_sign_of_life_and_a_call_is_made_every_few_seconds() -> None:
    called = Called()
    assert called.reactor.tcpClients[0][:2] == ("::1", 4443)
    transport = called.answer(b"HTT", b"P/1.1 303 See Other\r\n")
    assert transport.value().startswith(b"GET /healthz HTTP/1.1\r\n")
    assert transport.before_tls == b""
    assert transport.disconnecting
    assert (called.alive, called.calls) == (1, 1)
    called.reactor.advance(EVERY_S)
    assert called.calls == 2


def test_silence_gives_no_sign_and_is_given_up() -> None:
    called = Called()
    called.answer(b"HTTP/1.1 200 OK")
    called.reactor.advance(EVERY_S)
    called.answer()  # connected, and says nothing
    called.reactor.advance(EVERY_S)
    assert (called.alive, called.calls) == (1, 2)  # one call at a time
    called.reactor.advance(PATIENCE_S - EVERY_S)
    called.reactor.advance(EVERY_S)
    assert (called.alive, called.calls) == (1, 3)
    called.answer(b"HTTP/1.1 200 OK")
    assert called.alive == 2


def test_a_refused_call_and_one_that_speaks_no_http_give_no_sign() -> None:
    called = Called()
    called.answer(b"HTTP/1.1 200 OK")
    called.reactor.advance(EVERY_S)
    called.refuse()
    called.reactor.advance(EVERY_S)
    called.answer(b"SSH-2.0-x")
    assert (called.alive, called.calls) == (1, 3)


def test_where_no_call_ever_arrives_the_turning_reactor_must_do() -> None:
    called = Called()
    called.refuse()
    called.reactor.advance(EVERY_S)
    called.refuse()
    assert called.alive == 2


def test_stopping_gives_up_the_call_that_waits() -> None:
    called = Called()
    called.pulse.stop()
    assert not called.reactor.getDelayedCalls()
    assert called.alive == 0


def test_where_a_proxy_is_expected_the_call_begins_as_a_proxys_would() -> None:
    transport = Called(b"PROXY UNKNOWN\r\n").answer()
    assert transport.before_tls == b"PROXY UNKNOWN\r\n"
