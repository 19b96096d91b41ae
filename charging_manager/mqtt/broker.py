"""One connection to a broker, shared by all devices there: kept up, and each message brought to who listens for it.

A device that listens is a ``Listener``; two of them may listen at one topic. What a broker refuses, or why it cannot be
reached, is ``trouble``: a sentence's end for people. It is tried again after 1, 2 … 30 s, a refused login every 30 s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from charging_manager.errors import DeviceSilent
from charging_manager.mqtt import packets
from charging_manager.mqtt.packets import Greeting, Message, NoMqtt, Packets, Subscribed, Taken

KEEP_ALIVE_S = 20
PING_EVERY_S = 8.0
DEAD_AFTER_S = 20.0
"""A broker that answered nothing for so long is gone, though its connection may look open."""
GREETED_WITHIN_S = 10.0
LONGEST_WAIT_S = 30.0
MOST_UNTAKEN = 200
MOST_TOPICS_AT_ONCE = 50

REFUSALS: Mapping[int, str] = {
    1: "the broker does not speak MQTT 3.1.1",
    2: "the broker refuses our name",
    3: "the broker is not ready",
    4: "the broker refuses the user name or the password",
    5: "the broker refuses the login",
}


class Listener(Protocol):
    """Who wants to hear what comes at some topics."""

    def came(self, message: Message) -> None: ...

    def refused(self, topic: str) -> None:
        """The broker does not let us listen there."""

    def lost(self) -> None:
        """The connection is gone: what came before may not be so any more."""


class Endpoint(Protocol):
    """A client endpoint of Twisted."""

    def connect(self, factory: Any) -> Deferred[Any]: ...


class Broker:
    """The connection, from the first listener on. ``reason`` makes a sentence's end of a failure to connect."""

    _log = Logger()

    def __init__(
        self,
        endpoint: Endpoint,
        clock: IReactorTime,
        name: str,
        client: str,
        login: tuple[str, str] = ("", ""),
        reason: Callable[[BaseException], str] = lambda error: "no connection to the broker",
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self.name = name
        self.trouble: str | None = "not connected to the broker yet"
        self.connections = 0
        self._endpoint, self._clock, self._client, self._login, self._reason = endpoint, clock, client, login, reason
        self._will = will
        self._listeners: dict[Any, dict[str, int]] = {}
        self._topics: dict[str, list[Any]] = {}
        self._line: Line | None = None
        self._connecting: Deferred[Any] | None = None
        self._alarm: IDelayedCall | None = None
        self._failures = 0
        self._number = 0
        self._untaken: dict[int, Deferred[None]] = {}
        self._asked: dict[int, list[str]] = {}

    # -- for devices ---------------------------------------------------------------------------------------------------

    def join(self, listener: Listener, topics: Mapping[str, int]) -> None:
        """Bring it what comes at these topics, each with the QoS that is wanted."""
        self._listeners[listener] = dict(topics)
        for topic in topics:
            self._topics.setdefault(topic, []).append(listener)
        if self._line is not None and self.trouble is None:
            self._subscribe(topics)
        elif self._line is None and self._connecting is None and self._alarm is None:
            self._open()

    def leave(self, listener: Listener) -> None:
        """Bring it no more; with the last one the connection ends."""
        gone = []
        for topic in self._listeners.pop(listener, {}):
            self._topics[topic].remove(listener)
            if not self._topics[topic]:
                del self._topics[topic]
                gone.append(topic)
        if gone and self._line is not None and self.trouble is None:
            self._line.send(packets.unsubscribe(self._next(), gone))

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> Deferred[None]:
        """Fires when it is sent, with QoS 1 when the broker has it. Fails with DeviceSilent."""
        if self._line is None or self.trouble is not None:
            return fail(DeviceSilent(self.trouble or "not connected to the broker"))
        if not qos:
            self._line.send(packets.publish(topic, payload, retain=retain))
            return succeed(None)
        if len(self._untaken) >= MOST_UNTAKEN:
            return fail(DeviceSilent("the broker takes no messages"))
        number = self._next()
        done: Deferred[None] = Deferred(lambda _: self._forget(number))
        self._untaken[number] = done
        self._line.send(packets.publish(topic, payload, retain=retain, number=number))
        return done

    def _forget(self, number: int) -> None:
        self._untaken.pop(number, None)

    def close(self) -> None:
        """End the connection, whoever listens."""
        self._listeners.clear()
        self._topics.clear()
        self._silence()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._line is not None:
            self._line.end()

    # -- the connection ------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._alarm = None
        self._connecting = connecting = self._endpoint.connect(Factory.forProtocol(lambda: Line(self)))
        connecting.addErrback(self._not_opened)

    def _not_opened(self, failure: Failure) -> None:
        self._connecting = None
        self._retry(self._reason(failure.value or Exception()))

    def opened(self, line: Line) -> None:
        """A line is up: say who we are."""
        self._connecting, self._line = None, line
        line.send(packets.connect(self._client, KEEP_ALIVE_S, *self._login, self._will))
        self._alarm = self._clock.callLater(GREETED_WITHIN_S, self._drop, "the broker does not answer")

    def got(self, packet: packets.Packet) -> None:
        """One packet from the broker."""
        if isinstance(packet, Message):
            self._bring(packet)
        elif isinstance(packet, Greeting):
            self._greeted(packet.code)
        elif isinstance(packet, Taken):
            done = self._untaken.pop(packet.number, None)
            if done is not None:
                done.callback(None)
        elif isinstance(packet, Subscribed):
            for topic, granted in zip(self._asked.pop(packet.number, ()), packet.granted, strict=False):
                if granted == packets.REFUSED:
                    for listener in tuple(self._topics.get(topic, ())):
                        listener.refused(topic)

    def ended(self, line: Line, why: str | None, error: BaseException | None) -> None:
        """The line is down; ``why`` if we ended it ourselves."""
        if line is not self._line:
            return
        greeted = self.trouble is None
        self._line = None
        self._silence()
        untaken, self._untaken = self._untaken, {}
        self._asked.clear()
        for done in untaken.values():
            done.errback(DeviceSilent("the connection to the broker broke off"))
        for listener in tuple(self._listeners):
            listener.lost()
        told = why or self._reason(error or Exception())
        self._retry(told if not greeted or why else "the connection to the broker broke off")

    def _greeted(self, code: int) -> None:
        self._silence()
        if code:
            self._failures = 9
            self._drop(REFUSALS.get(code, "the broker refuses us"))
            return
        self._failures, self.trouble = 0, None
        self.connections += 1
        self._log.info("broker {broker}: connected", broker=self.name)
        self._subscribe({topic: qos for each in self._listeners.values() for topic, qos in each.items()})
        self._alarm = self._clock.callLater(PING_EVERY_S, self._ping)

    def _ping(self) -> None:
        self._alarm = None
        if self._line is None:
            return
        if self._clock.seconds() - self._line.heard_s > DEAD_AFTER_S:
            self._drop("the broker does not answer")
            return
        self._line.send(packets.PING)
        self._alarm = self._clock.callLater(PING_EVERY_S, self._ping)

    def _bring(self, message: Message) -> None:
        if message.number is not None and self._line is not None:
            self._line.send(packets.puback(message.number))
        for listener in tuple(self._topics.get(message.topic, ())):
            with self._log.failuresHandled("a message at {topic} could not be used", topic=message.topic):
                listener.came(message)

    def _subscribe(self, topics: Mapping[str, int]) -> None:
        wanted = list(topics.items())
        for at in range(0, len(wanted), MOST_TOPICS_AT_ONCE):
            some, number = wanted[at : at + MOST_TOPICS_AT_ONCE], self._next()
            self._asked[number] = [topic for topic, _ in some]
            if self._line is not None:
                self._line.send(packets.subscribe(number, some))

    def _next(self) -> int:
        self._number = self._number % 65535 + 1
        return self._number

    def _drop(self, why: str) -> None:
        self._silence()
        if self._line is not None:
            self._line.end(why)

    def _retry(self, why: str) -> None:
        if why != self.trouble:
            self._log.warn("broker {broker}: {why}", broker=self.name, why=why)
        self.trouble = why
        if not self._listeners:
            return
        wait_s = min(LONGEST_WAIT_S, 2.0**self._failures)
        self._failures += 1
        self._silence()
        self._alarm = self._clock.callLater(wait_s, self._open)

    def _silence(self) -> None:
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
        self._alarm = None

    @property
    def clock(self) -> IReactorTime:
        """The time by which it waits."""
        return self._clock


class Line(TwistedProtocol):
    """One TCP or TLS connection to a broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._packets = Packets()
        self._why: str | None = None
        self.heard_s = broker.clock.seconds()

    def connectionMade(self) -> None:
        self._broker.opened(self)

    def dataReceived(self, data: bytes) -> None:
        self.heard_s = self._broker.clock.seconds()
        try:
            for packet in self._packets.feed(data):
                self._broker.got(packet)
        except NoMqtt as error:
            self.end(f"what answers is no broker ({error})")

    def connectionLost(self, reason: Failure = Failure(Exception("closed"))) -> None:
        self._broker.ended(self, self._why, reason.value)

    def send(self, data: bytes) -> None:
        """Bytes for the broker."""
        transport: Any = self.transport
        if transport is not None:
            transport.write(data)

    def end(self, why: str | None = None) -> None:
        """Take leave and hang up; a broker that does not close is not waited for."""
        self._why = self._why or why
        transport: Any = self.transport
        if transport is not None:
            transport.write(packets.GOODBYE)
            transport.abortConnection() if why else transport.loseConnection()
