"""The road to a device: a Modbus bus, or requests over HTTP, as its driver says."""

from __future__ import annotations

from typing import Any

from charging_manager.devices.driver import Driver
from charging_manager.devices.http_client import PlainClient
from charging_manager.devices.json_bus import JsonBus
from charging_manager.errors import ConfigError
from charging_manager.modbus.address import Address, HttpAddress
from charging_manager.modbus.bus import Bus, open_bus


def open_road(address: Address, driver: Driver, reactor: Any) -> Bus | JsonBus:
    """What a ``Device`` reads and writes through. Raises: ConfigError for another driver's kind of address."""
    check_road(address, driver)
    if isinstance(address, HttpAddress):
        return JsonBus(driver, PlainClient(address.endpoint, reactor), reactor, address.endpoint)
    return open_bus(address, reactor, connect_delay_s=driver.bus.connect_delay_s)


def check_road(address: Address, driver: Driver) -> None:
    """Raises: ConfigError for an address that is not of the driver's kind."""
    if isinstance(address, HttpAddress) == (driver.http is not None):
        return
    wanted = "http://" if driver.http is not None else "tcp://"
    raise ConfigError(
        "address", "{driver} speaks {kind} only; write an address that begins so.", driver=driver.name, kind=wanted
    )


def sharing_key(address: Address, driver: Driver) -> str:
    """Devices with the same one share a road. Over HTTP a road knows its driver, so others do not share it."""
    return f"{address.endpoint}#{id(driver)}" if isinstance(address, HttpAddress) else address.endpoint
