"""What a search brings: a device that a driver knows, something that answers, or something that announces itself."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen

from charging_manager.devices.driver import Driver, Value
from charging_manager.devices.survey import PRIVATE


class How(StrEnum):
    """By what it was found."""

    MODBUS = "modbus"
    HTTP = "http"
    SERIAL = "serial"
    ANNOUNCED = "announced"
    """It says by itself, over multicast DNS, that it is there."""
    IN_USE = "in-use"
    """It was not asked: somebody is speaking to it."""


@frozen
class Found:
    """One thing that is there. ``address`` is what a device's form takes, as far as it is known."""

    address: str
    how: How
    driver: str | None = None
    """None: no driver knows it."""
    title: str = ""
    """Vendor and model."""
    kind: str | None = None
    said: Mapping[str, Value] = field(factory=dict)
    """What it says of itself, as its firmware; nothing that names anybody."""
    called: str = ""
    """Its name in multicast DNS."""
    yours: str | None = None
    """The device of the site that is there already."""


def known_device(
    address: str, how: How, driver: Driver, said: Mapping[str, Value], called: str = "", yours: str | None = None
) -> Found:
    """A device that this driver knows."""
    plain = {name: value for name, value in said.items() if name not in PRIVATE}
    return Found(address, how, driver.name, f"{driver.vendor} {driver.model}", driver.kind.value, plain, called, yours)
