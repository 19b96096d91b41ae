"""The road to a device at an MQTT broker: its topics are heard, and what it is to do is published.

What a broker has retained proves nothing: it counts only beside fresh messages, and only for values that are published
when they change. A device that publishes without end is left alone for a while, so that its neighbours are heard.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from charging_manager.devices.driver import Driver, Mqtt, MqttWrite, Register, Type
from charging_manager.devices.json_bus import pointed, said
from charging_manager.devices.told import Said, ToldBus
from charging_manager.errors import DeviceNonsense, DeviceSilent
from charging_manager.mqtt.broker import Broker
from charging_manager.mqtt.packets import Message

MOST_A_SECOND = 200
"""Messages of one device; more is a storm. A long one counts as many: 1 MiB a second is too much as well."""
SHORT = 5000
REST_S = 10.0
LONGEST_PLAIN = 200


@frozen
class Note:
    """The last message at a topic."""

    payload: bytes
    document: Any
    """What it says as JSON; ``Ellipsis`` if it is none."""
    at_s: float
    fresh: bool


class MqttBus(ToldBus):
    """A ``BusLike`` for one driver at one prefix, and the broker's ``Listener``."""

    def __init__(self, driver: Driver, broker: Broker, prefix: str, clock: IReactorTime, name: str) -> None:
        rules = driver.mqtt
        if rules is None:
            raise ValueError(f"{driver.name} has no [mqtt]")
        super().__init__(driver, clock, name, rules.silent_after_s)
        self._rules: Mqtt = rules
        self._broker, self._prefix = broker, prefix
        self._notes: dict[str, Note] = {}
        self._strange: dict[str, str] = {}
        """What is wrong with the last message at a topic."""
        self._gone: bool | None = None
        self._second, self._count = -1, 0
        self._storm: IDelayedCall | None = None
        self._json_topics = {self._topic(r.topic) for r in driver.registers.values() if r.topic and r.json}
        self._topics = {self._topic(r.topic): rules.qos for r in driver.registers.values() if r.topic is not None}
        self._presence = self._topic(rules.available.topic) if rules.available else None
        if self._presence is not None:
            self._topics[self._presence] = rules.qos
        broker.join(self, self._topics)

    # -- Listener ------------------------------------------------------------------------------------------------------

    def came(self, message: Message) -> None:
        """One message at one of our topics."""
        if not message.retained and self._is_a_storm(1 + message.length // SHORT):
            return
        topic = message.topic
        if message.payload is None:
            self._strange[topic] = f"the message at {topic} is {message.length // 1024} KiB long"
            return
        self._strange.pop(topic, None)
        if topic == self._presence and self._rules.available is not None:
            self._note_presence(message.payload, retained=message.retained)
        document = _document(message.payload)
        if topic in self._json_topics and not isinstance(document, dict | list):
            self._strange[topic] = f"what comes at {topic} is no JSON with its values"
        self._notes[topic] = Note(message.payload, document, self._clock.seconds(), not message.retained)
        if not message.retained:
            self._heard()
            self._shown()

    def refused(self, topic: str) -> None:
        """The broker does not let us listen there."""
        self._strange[topic] = f"the broker does not let us listen at {topic}"

    def lost(self) -> None:
        """What was said may not be so any more."""
        self._forget()

    # -- ToldBus -------------------------------------------------------------------------------------------------------

    def close(self) -> Deferred[None]:
        if self._storm is not None and self._storm.active():
            self._storm.cancel()
        self._broker.leave(self)
        return super().close()

    def _check(self) -> None:
        if self._broker.trouble is not None:
            raise DeviceSilent(f"{self.name}: {self._broker.trouble}")
        if self._storm is not None:
            raise DeviceSilent(
                f"{self.name} publishes more than {MOST_A_SECOND} messages or 1 MiB a second; "
                f"it is left alone for {REST_S:g} s"
            )
        if self._gone:
            raise DeviceSilent(f"{self.name} is gone, its broker says")
        if self._strange:
            raise DeviceNonsense(f"{self.name}: {next(iter(self._strange.values()))}")
        super()._check()

    def _said(self, register: Register) -> Said | None:
        note = self._notes.get(self._topic(register.topic)) if register.topic is not None else None
        if note is None:
            return None
        old = self._clock.seconds() - note.at_s > self._silent_after_s
        if not register.on_change and (old or not note.fresh):
            return None
        if register.json is not None:
            return Said(pointed(note.document, register.json), note.at_s)
        return Said(_plain(note, register), note.at_s)

    def _send(self, register: Register, number: float) -> Deferred[None]:
        rule = register.set
        if not isinstance(rule, MqttWrite):
            raise DeviceNonsense("this value is not published")
        payload = rule.payload.replace("{value}", said(number)).encode()
        return self._broker.publish(self._topic(rule.topic), payload, qos=self._rules.qos, retain=rule.retain)

    def _topic(self, topic: str | None) -> str:
        text = topic or ""
        return text.replace("{prefix}", self._prefix) if "{prefix}" in text else f"{self._prefix}/{text}"

    def _note_presence(self, payload: bytes, *, retained: bool) -> None:
        rules = self._rules.available
        text = payload.decode("utf-8", "replace").strip().strip('"')
        if rules is None or text not in (rules.yes, rules.no):
            return
        gone = text == rules.no
        if self._gone and not gone:
            self.connections += 1
        if gone and not retained:
            self._heard_s = None
        self._gone = gone

    def _is_a_storm(self, weight: int) -> bool:
        second = int(self._clock.seconds())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += weight
        if self._count <= MOST_A_SECOND:
            return False
        if self._storm is None:
            self._broker.leave(self)
            self._forget()
            self._storm = self._clock.callLater(REST_S, self._listen_again)
        return True

    def _listen_again(self) -> None:
        self._storm = None
        if not self._closed:
            self._broker.join(self, self._topics)

    def _forget(self) -> None:
        self._notes.clear()
        self._strange.clear()
        self._gone = None
        if self._heard_s is not None:
            self.connections += 1
        self._heard_s = None


def _document(payload: bytes) -> Any:
    try:
        return json.loads(payload, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return ...


def _plain(note: Note, register: Register) -> Any:
    """The whole message as a value: a number, true or false, or a word with or without quotes."""
    scalar = isinstance(note.document, str | int | float | bool)
    if scalar and (isinstance(note.document, str) or register.type is not Type.STR):
        return note.document
    return note.payload[:LONGEST_PLAIN].decode("utf-8", "replace").strip() if note.document is not None else None
