"""The road to a device: a Modbus bus, HTTP, a broker's topics, or what it tells us, as its driver says."""

from __future__ import annotations

import secrets
from typing import Any

from twisted.internet.defer import Deferred

from charging_manager.devices.access import NO_ACCESS, Access, endpoint, why_not
from charging_manager.devices.driver import Driver
from charging_manager.devices.http_client import PLAIN, PlainClient
from charging_manager.devices.json_bus import JsonBus
from charging_manager.devices.mqtt_bus import MqttBus
from charging_manager.devices.push_bus import PushBus
from charging_manager.errors import ConfigError
from charging_manager.modbus.address import Address, HttpAddress, MqttAddress, OcppAddress, PushAddress
from charging_manager.modbus.bus import Bus, open_bus
from charging_manager.mqtt.broker import Broker

Road = Bus | JsonBus | MqttBus | PushBus


class Roads:
    """Opens roads; devices at one broker, with one login, share its connection."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._brokers: dict[tuple[str, Access], tuple[Broker, set[int]]] = {}

    def open(self, address: Address, driver: Driver, access: Access = NO_ACCESS) -> Road:
        """What a ``Device`` reads and writes through. Raises: ConfigError for what cannot work."""
        check_road(address, driver)
        if isinstance(address, OcppAddress):
            raise ConfigError("address", "a charge point that speaks OCPP calls us; there is no road to it")
        if isinstance(address, PushAddress):
            return PushBus(driver, self._reactor, str(address))
        if isinstance(address, MqttAddress):
            return self._at_broker(address, driver, access)
        if isinstance(address, HttpAddress):
            client = PlainClient(address.endpoint, self._reactor, driver.http or PLAIN, access)
            return JsonBus(driver, client, self._reactor, address.endpoint)
        return open_bus(address, self._reactor, connect_delay_s=driver.bus.connect_delay_s)

    def _at_broker(self, address: MqttAddress, driver: Driver, access: Access) -> MqttBus:
        key = (address.endpoint, access)
        if key not in self._brokers:
            to = endpoint(self._reactor, address.host, address.port, address.tls, access)
            broker = Broker(
                to,
                self._reactor,
                address.endpoint,
                f"cm-{secrets.token_hex(8)}",
                (access.user, access.password),
                lambda error: why_not(error, "no connection to the broker") or "no connection to the broker",
            )
            self._brokers[key] = (broker, set())
        broker, users = self._brokers[key]
        road = _BrokerRoad(driver, broker, address.prefix, self._reactor, str(address))
        users.add(id(road))

        def closed() -> None:
            users.discard(id(road))
            if not users:
                broker.close()
                self._brokers.pop(key, None)

        road.closed = closed
        return road


class _BrokerRoad(MqttBus):
    """One device's share of a broker's connection; with the last one it ends."""

    closed: Any = None

    def close(self) -> Deferred[None]:
        done = super().close()
        if self.closed is not None:
            self.closed()
            self.closed = None
        return done


def open_road(address: Address, driver: Driver, reactor: Any, access: Access = NO_ACCESS) -> Road:
    """A road for one device alone. Raises: ConfigError for another driver's kind of address."""
    return Roads(reactor).open(address, driver, access)


def kinds(driver: Driver) -> tuple[str, ...]:
    """How addresses begin that this driver can speak to, the usual one first."""
    if driver.http is not None:
        return ("http", "https")
    if driver.mqtt is not None:
        return ("mqtt", "mqtts")
    if driver.push is not None:
        return ("push",)
    if driver.ocpp:
        return ("ocpp",)
    serial = ("rtu", "rtutcp") if driver.rtu is not None else ()
    return (("tcp",) if driver.tcp is not None else ()) + serial


def usual_port(driver: Driver) -> int | None:
    """Where such a device, or its broker, listens when nobody changed that."""
    found = driver.tcp or driver.http or driver.mqtt
    return found.port if found is not None else None


def check_road(address: Address, driver: Driver) -> None:
    """Raises: ConfigError for an address that is not of the driver's kind."""
    kind = address.endpoint.partition(":")[0]
    usual = kinds(driver)
    if kind in usual or (driver.speaks_modbus and kind == "tcp"):  # a gateway: tcp of any line
        return
    wanted = (
        f"{usual[0]}:"
        if driver.push is not None or driver.ocpp
        else "tcp://"
        if driver.speaks_modbus
        else f"{usual[0]}://"
    )
    raise ConfigError(
        "address", "{driver} speaks {kind} only; write an address that begins so.", driver=driver.name, kind=wanted
    )


def sharing_key(address: Address, driver: Driver, access: Access = NO_ACCESS) -> str:
    """Devices with the same one share a road. Without registers a road knows its driver, so others do not share it."""
    if isinstance(address, HttpAddress | MqttAddress | PushAddress):
        return f"{address}#{id(driver)}#{hash(access)}"
    return address.endpoint
