"""A simulated device at an MQTT broker, made from its driver: it publishes what changes, and obeys its set topics."""

from __future__ import annotations

import json
from contextlib import suppress

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from charging_manager.devices.driver import Driver, MqttWrite, Register
from charging_manager.errors import DeviceRefused
from charging_manager.modbus.server import Mute
from charging_manager.mqtt.broker import Broker
from charging_manager.mqtt.packets import Message
from charging_manager.sim.documents import document_of, number_in, value_of, write_number
from charging_manager.sim.simulator import Simulator


def topic_at(driver: Driver, prefix: str, topic: str) -> str:
    """A driver's topic below this prefix."""
    return topic.replace("{prefix}", prefix) if "{prefix}" in topic else f"{prefix}/{topic}"


def will_of(driver: Driver, prefix: str) -> tuple[str, bytes] | None:
    """What the broker says when the device vanishes."""
    rules = driver.mqtt.available if driver.mqtt is not None else None
    return None if rules is None else (topic_at(driver, prefix, rules.topic), rules.no.encode())


class AtBroker:
    """The device: give its broker connection the ``will_of`` it."""

    def __init__(self, simulator: Simulator, broker: Broker, prefix: str, clock: IReactorTime) -> None:
        self.simulator, self.driver = simulator, simulator.driver
        self._broker, self._prefix = broker, prefix
        self._shown: dict[str, bytes] = {}
        self._greeted = 0
        self._by_topic: dict[str, list[Register]] = {}
        self._sets: dict[str, Register] = {}
        for register in self.driver.registers.values():
            if register.topic is not None:
                self._by_topic.setdefault(self._at(register.topic), []).append(register)
            if isinstance(register.set, MqttWrite):
                self._sets[self._at(register.set.topic)] = register
        self._loop = LoopingCall(self.tick)
        self._loop.clock = clock

    def start(self, every_s: float = 1.0) -> None:
        """Speak from now on."""
        self._broker.join(self, dict.fromkeys(self._sets, 1) or {self._at("nothing"): 0})
        self._loop.start(every_s)

    def stop(self) -> None:
        """Fall silent, without taking leave."""
        self._loop.stop()

    def tick(self) -> None:
        """Publish what is due: what comes always, and what has changed."""
        if self._broker.trouble is not None:
            return
        if self._broker.connections != self._greeted:
            self._greeted = self._broker.connections
            self._shown.clear()
            will = will_of(self.driver, self._prefix)
            if will is not None and self.driver.mqtt is not None and self.driver.mqtt.available is not None:
                self._publish(will[0], self.driver.mqtt.available.yes.encode())
        self.simulator.advance()
        for topic, registers in self._by_topic.items():
            with suppress(Mute, DeviceRefused):
                payload = self._payload(registers)
                if payload != self._shown.get(topic) or not all(r.on_change for r in registers):
                    self._shown[topic] = payload
                    self._publish(topic, payload)

    def came(self, message: Message) -> None:
        """Somebody sets a value."""
        register = self._sets.get(message.topic)
        if register is None or message.payload is None or not isinstance(register.set, MqttWrite):
            return
        number = number_in(register.set.payload, message.payload.decode("utf-8", "replace"))
        if number is not None:
            with suppress(Mute, DeviceRefused):
                write_number(self.simulator, register, number)
                self.tick()

    def refused(self, topic: str) -> None:
        """A device can do nothing about it."""

    def lost(self) -> None:
        """All is published anew when the broker is back."""

    def _payload(self, registers: list[Register]) -> bytes:
        if registers[0].json is not None:
            return json.dumps(document_of(self.simulator, registers)).encode()
        value = value_of(self.simulator, registers[0])
        return json.dumps(value).encode() if value is not None else b""

    def _publish(self, topic: str, payload: bytes) -> None:
        sent = self._broker.publish(topic, payload, qos=0, retain=True)
        sent.addErrback(lambda failure: None)

    def _at(self, topic: str) -> str:
        return topic_at(self.driver, self._prefix, topic)
