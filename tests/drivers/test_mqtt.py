"""Drivers at a broker: simulated devices made from them, at a broker in memory, are recognised, read and steered."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Mapping
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from charging_manager.devices.device import Device
from charging_manager.devices.mqtt_bus import MqttBus
from charging_manager.devices.recognise import recognises
from charging_manager.errors import DeviceError, DeviceNonsense, DeviceSilent
from charging_manager.model.reading import Reading, Status
from charging_manager.mqtt.packets import Message
from charging_manager.sim.at_broker import AtBroker, topic_at
from charging_manager.sim.car import Car
from charging_manager.sim.simulator import Simulator
from tests.sim.rigs import SHIPPED

DRIVERS = {name: driver for name, driver in SHIPPED.items() if driver.mqtt is not None}
METERS = [name for name, driver in DRIVERS.items() if driver.setpoint is None]
each = pytest.mark.parametrize("name", DRIVERS)
PREFIX = "garage/1"
# As the makers document them; written apart from the drivers.
DOCUMENTED: dict[str, tuple[dict[str, str], dict[str, float | str | None]]] = {
    "go-e-charger-mqtt": (
        {"rbt": "498429772", "car": "2", "ama": "16", "amp": "10", "frc": "0", "fwv": '"055.5"', "eto": "123456"}
        | {"nrg": "[231,230,229,3,9.8,9.9,9.7,2263.8,2277,2221.3,0,6762.1,99,99,99,0]", "mcc": "true", "wh": "4321.5"},
        {"current_l1_a": 9.8, "current_l3_a": 9.7, "voltage_l1_v": 231.0, "power_w": 6762.1, "setpoint_a": 10.0},
    ),
    "shelly-3em-mqtt": (
        {"online": "true", "emeter/0/power": "1150.50", "emeter/0/current": "5.02", "emeter/0/voltage": "231.40"}
        | {"emeter/1/power": "-460.00", "emeter/1/current": "2.00", "emeter/1/voltage": "230.00"},
        {"power_l1_w": 1150.5, "current_l1_a": 5.02, "voltage_l2_v": 230.0, "power_l2_w": -460.0, "power_l3_w": None},
    ),
    "tasmota-energy-mqtt": (
        {
            "tele/{prefix}/LWT": "Online",
            "tele/{prefix}/SENSOR": '{"Time":"2024-01-01T12:00:00","ENERGY":{"Total":3.185,"Power":367,"Factor":0.72,'
            '"Voltage":235,"Current":2.156}}',
        },
        {"power_l1_w": 367.0, "current_l1_a": 2.156, "voltage_l1_v": 235.0},
    ),
}


class MemoryBroker:
    """As a broker, with what it retained, and without a connection."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        self.connections = 1
        self.listeners: dict[Any, Mapping[str, int]] = {}
        self.retained: dict[str, bytes] = {}
        self.published: list[tuple[str, bytes]] = []

    def join(self, listener: Any, topics: Mapping[str, int]) -> None:
        self.listeners[listener] = topics
        for topic in topics:
            if topic in self.retained:
                listener.came(Message(topic, self.retained[topic], True))

    def leave(self, listener: Any) -> None:
        self.listeners.pop(listener, None)

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> Deferred[None]:
        self.published.append((topic, payload))
        if retain:
            self.retained[topic] = payload
        for listener, topics in tuple(self.listeners.items()):
            if topic in topics:
                listener.came(Message(topic, payload, False, None, len(payload)))
        return succeed(None)


class Garage:
    """One device at a broker, and ours."""

    def __init__(self, name: str, simulated: bool = True) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.driver = DRIVERS[name]
        self.broker: Any = MemoryBroker()
        self.simulator = Simulator(self.driver, self.clock, source=lambda: (2.0, 3.0, 4.0))
        self.there = AtBroker(self.simulator, self.broker, PREFIX, self.clock)
        if simulated:
            self.there.start()
        self.bus = MqttBus(self.driver, self.broker, PREFIX, self.clock, "mqtt://b/garage/1")
        self.device = Device("x", self.driver, self.bus, 1, (0, 1, 2), self.clock, 6.0)

    def get(self, work: Coroutine[Any, Any, Any]) -> Any:
        found: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(found.append)
        for _ in range(200):
            if found:
                break
            self.clock.advance(0.1)
        assert found
        if hasattr(found[0], "raiseException"):
            found[0].raiseException()
        return found[0]

    def live(self, seconds: int, setpoint_a: float | None = None) -> Reading:
        reading = None
        for _ in range(seconds):
            self.clock.pump([0.1] * 10)
            try:
                reading = self.get(self.device.read())
                if setpoint_a is not None:
                    self.get(self.device.apply(setpoint_a))
            except DeviceError:
                reading = None
        assert reading is not None
        return reading  # type: ignore[no-any-return]

    def say(self, topic: str, payload: str, retain: bool = False) -> None:
        self.broker.publish(topic_at(self.driver, PREFIX, topic), payload.encode(), retain=retain)


@each
def test_a_simulated_device_is_recognised_and_read(name: str) -> None:
    garage = Garage(name)
    garage.clock.pump([0.5] * 4)
    assert garage.get(recognises(garage.driver, garage.bus, 1)) is True
    reading = garage.live(5)
    if garage.driver.setpoint is None:
        assert reading.current_a[0] == pytest.approx(2.0, abs=0.05)


@each
def test_what_the_maker_documents_is_understood(name: str) -> None:
    garage = Garage(name, simulated=False)
    topics, values = DOCUMENTED[name]
    for _ in range(2):
        for topic, payload in topics.items():
            garage.say(topic, payload)
    shown = garage.get(garage.device.read()).values
    for key, expected in values.items():
        assert shown[key] == (None if expected is None else pytest.approx(expected)), key


def test_every_driver_has_documented_messages() -> None:
    assert set(DOCUMENTED) == set(DRIVERS)


def test_the_box_is_charged_throttled_paused_and_resumed() -> None:
    garage = Garage("go-e-charger-mqtt")
    garage.simulator.plug(Car(wants_a=16.0))
    assert garage.live(20, 12.0).status is Status.CHARGING
    assert max(garage.simulator.current_a()) == pytest.approx(12.0, abs=0.1)
    garage.live(10, 7.9)
    assert max(garage.simulator.current_a()) == pytest.approx(7.0, abs=0.1)
    assert garage.device.obedience(garage.clock.seconds()).confirmed_a == 7.0
    assert garage.live(10, 3.0).status is Status.PLUGGED
    assert max(garage.simulator.current_a()) == 0.0
    assert garage.live(20, 16.0).status is Status.CHARGING
    sets = [(topic, payload) for topic, payload in garage.broker.published if topic.endswith("/set")]
    assert {topic for topic, _ in sets} == {f"{PREFIX}/amp/set", f"{PREFIX}/frc/set"}
    assert len(sets) <= 8, "written when it changes, not each turn"


def test_a_box_that_does_not_show_what_it_was_told_has_not_taken_it() -> None:
    garage = Garage("go-e-charger-mqtt")
    garage.simulator.plug(Car(wants_a=16.0))
    garage.live(20, 10.0)
    garage.there._sets.clear()
    with pytest.raises(DeviceError, match="does not show what it was told"):
        garage.get(garage.device.apply(16.0))
    known = garage.device.obedience(garage.clock.seconds())
    assert max(known.confirmed_a or 0.0, known.commanded_a or 0.0) == 16.0, "it may still come to obey it"


@each
def test_what_was_retained_proves_nothing(name: str) -> None:
    garage = Garage(name)
    garage.live(5)
    garage.there.stop()
    late = MqttBus(garage.driver, garage.broker, PREFIX, garage.clock, "late")
    with pytest.raises(DeviceSilent, match="has told nothing yet"):
        garage.get(Device("y", garage.driver, late, 1, (0, 1, 2), garage.clock, 6.0).read())


@each
def test_who_falls_silent_or_is_gone_is_silent(name: str) -> None:
    garage = Garage(name)
    garage.live(5)
    rules = garage.driver.mqtt
    assert rules is not None
    assert rules.available is not None
    garage.say(rules.available.topic, rules.available.no, retain=True)
    with pytest.raises(DeviceSilent, match="is gone"):
        garage.get(garage.device.read())
    garage.say(rules.available.topic, rules.available.yes, retain=True)
    garage.live(5)
    garage.there.stop()
    garage.clock.advance(rules.silent_after_s + 1)
    with pytest.raises(DeviceSilent, match="has told nothing for"):
        garage.get(garage.device.read())
    garage.there._loop.start(1.0)
    garage.live(5)


def test_a_broker_in_trouble_is_named_and_all_is_forgotten() -> None:
    garage = Garage("shelly-3em-mqtt")
    garage.live(5)
    garage.broker.trouble = "no connection to the broker"
    garage.bus.lost()
    with pytest.raises(DeviceSilent, match="no connection to the broker"):
        garage.get(garage.device.read())
    garage.broker.trouble = None
    garage.live(5)


@pytest.mark.parametrize(
    ("name", "topic", "payload", "said"),
    [
        ("tasmota-energy-mqtt", "tele/{prefix}/SENSOR", "hello", "is no JSON"),
        ("tasmota-energy-mqtt", "tele/{prefix}/SENSOR", "17", "is no JSON"),
        ("go-e-charger-mqtt", "nrg", "[1,", "is no JSON"),
        ("tasmota-energy-mqtt", "tele/{prefix}/SENSOR", "[" * 60_000, "is no JSON"),
    ],
)
def test_a_strange_message_is_named_until_a_good_one_comes(name: str, topic: str, payload: str, said: str) -> None:
    garage = Garage(name)
    garage.live(5)
    garage.say(topic, payload)
    with pytest.raises(DeviceNonsense, match=said):
        garage.get(garage.device.read())
    garage.there._shown.clear()
    garage.live(3)


@pytest.mark.parametrize("payload", ['"many"', "null", "[1]", "{}", "NaN", "1e400", "", "true and false", "\xff"])
def test_a_value_of_another_kind_is_unknown(payload: str) -> None:
    garage = Garage("shelly-3em-mqtt")
    garage.live(5)
    garage.there.stop()
    garage.say("emeter/0/power", payload)
    assert garage.get(garage.device.read()).values["power_l1_w"] is None


def test_values_are_as_old_as_they_are() -> None:
    garage = Garage("shelly-3em-mqtt")
    garage.live(5)
    garage.there.stop()
    said_s = garage.clock.seconds()
    garage.clock.advance(6.0)
    garage.say("online", "true")
    reading = garage.get(garage.device.read())
    assert said_s - 1.0 <= reading.taken_s <= said_s


def test_a_storm_is_left_alone_for_a_while() -> None:
    garage = Garage("shelly-3em-mqtt")
    garage.live(5)
    for _ in range(300):
        garage.say("emeter/0/power", "1")
    with pytest.raises(DeviceSilent, match="more than 200 messages"):
        garage.get(garage.device.read())
    assert garage.bus not in garage.broker.listeners
    garage.clock.pump([0.5] * 22)
    garage.live(5)


def test_two_devices_at_one_topic_both_hear_it() -> None:
    garage = Garage("shelly-3em-mqtt")
    other = MqttBus(garage.driver, garage.broker, PREFIX, garage.clock, "other")
    garage.live(5)
    second = Device("y", garage.driver, other, 1, (0, 1, 2), garage.clock, 6.0)
    assert garage.get(second.read()).current_a == garage.get(garage.device.read()).current_a


def test_nobody_is_heard_after_the_end() -> None:
    garage = Garage("go-e-charger-mqtt")
    garage.live(5)
    garage.device.close()
    garage.bus.close()
    assert garage.bus not in garage.broker.listeners
    assert json.loads(garage.broker.retained[f"{PREFIX}/mcc"]) is True
