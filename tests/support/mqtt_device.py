"""A simulated device at a broker, in a process of its own.

``python -m tests.support.mqtt_device NAME ADDRESS USER PASSWORD``; it prints what it draws. A message at ``now/PREFIX``
changes it: ``plug``, ``unplug``, ``mute`` (it is there and says nothing), ``well``.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import reactor as any_reactor
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.task import LoopingCall

from charging_manager.clocks import use_monotonic
from charging_manager.devices.loader import load_drivers
from charging_manager.modbus.address import MqttAddress, parse_address
from charging_manager.mqtt.broker import Broker
from charging_manager.mqtt.packets import Message
from charging_manager.paths import shared
from charging_manager.sim.at_broker import AtBroker, will_of
from charging_manager.sim.car import Car
from charging_manager.sim.simulator import Simulator


class Orders:
    """What a test says to it."""

    def __init__(self, device: AtBroker) -> None:
        self.device = device

    def came(self, message: Message) -> None:
        word = (message.payload or b"").decode()
        if word == "plug":
            self.device.simulator.plug(Car(wants_a=16.0))
        elif word == "unplug":
            self.device.simulator.unplug()
        elif word in ("mute", "well"):
            self.device.simulator.faults.silence = word == "mute"

    def refused(self, topic: str) -> None: ...

    def lost(self) -> None: ...


def main(name: str, address: str, user: str, password: str) -> None:
    """Speak until somebody ends this process."""
    use_monotonic(any_reactor)
    reactor: Any = any_reactor
    driver = load_drivers([shared("drivers")]).drivers[name]
    at = parse_address(address)
    assert isinstance(at, MqttAddress)
    broker = Broker(
        HostnameEndpoint(reactor, at.host.encode(), at.port),
        reactor,
        at.endpoint,
        f"sim-{at.prefix}",
        (user, password),
        will=will_of(driver, at.prefix),
    )
    device = AtBroker(Simulator(driver, reactor, source=lambda: (2.0, 3.0, 4.0)), broker, at.prefix, reactor)
    device.start()
    broker.join(Orders(device), {f"now/{at.prefix}": 1})
    LoopingCall(lambda: print("draws", max(device.simulator.current_a()), flush=True)).start(0.5)
    print("ready", flush=True)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
