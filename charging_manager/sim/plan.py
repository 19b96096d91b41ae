"""What a simulated site consists of: as values, and as a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from charging_manager.devices.driver import Driver, Kind, Value
from charging_manager.errors import ConfigError
from charging_manager.modbus.address import Address, parse_address

SEES = ("grid", "solar", "load", "chargers", "storage")
"""What a meter may measure: everything, the roof, the house without charging, some charge points, the battery."""


@frozen
class DevicePlan:
    """One device of the site."""

    id: str
    driver: str
    address: Address
    """Where it listens. A serial path that does not exist becomes a pseudo-terminal of that name."""
    phases: tuple[int, ...] = (0, 1, 2)
    """The site's phase on the device's own L1, L2, L3; one for a box on one phase."""
    sees: str = "grid"
    """For meters: one of SEES."""
    chargers: tuple[str, ...] = ()
    """For a meter that sees ``chargers``: which; none named means all."""
    plugged: bool = False
    """A car is there from the beginning."""
    visits: bool = False
    """Cars come and go."""
    shows: Mapping[str, Value] = field(factory=dict)
    early: str = "busy"
    """How it answers too early requests: ``busy`` (exception 6) or ``silent``."""


@frozen
class SitePlan:
    """A whole site. ``house`` and ``roof`` are the arguments of House and Roof."""

    devices: tuple[DevicePlan, ...]
    seed: int = 1
    house: Mapping[str, float] = field(factory=dict)
    house_a: tuple[float, float, float] | None = None
    """A fixed load instead of one that breathes."""
    roof: Mapping[str, float] = field(factory=dict)
    battery: Mapping[str, float] = field(factory=dict)
    """Arguments of Battery; there is one where a meter sees ``storage``."""


def check_plan(plan: SitePlan, drivers: Mapping[str, Driver]) -> SitePlan:
    """The same plan, if it makes sense. Raises: ConfigError."""
    seen: set[str] = set()
    units: set[tuple[str, int]] = set()
    chargers = {d.id for d in plan.devices if d.driver in drivers and drivers[d.driver].kind is Kind.CHARGER}
    for device in plan.devices:
        where = f"device.{device.id}"
        if device.id in seen:
            raise ConfigError(where, "there are two devices of this name; rename one")
        seen.add(device.id)
        if device.driver not in drivers:
            raise ConfigError(where, f"there is no driver {device.driver!r}; known are {', '.join(sorted(drivers))}")
        free = device.address.endpoint.endswith(":0")
        if not free and (device.address.endpoint, device.address.unit) in units:
            raise ConfigError(where, "another device has this address and unit")
        units.add((device.address.endpoint, device.address.unit))
        if device.sees not in SEES:
            raise ConfigError(where, f"sees is one of {', '.join(SEES)}")
        if not set(device.chargers) <= chargers:
            raise ConfigError(where, "chargers names a device that is no charge point of this site")
        if not set(device.phases) <= {0, 1, 2} or len(device.phases) not in (1, 3):
            raise ConfigError(where, "phases are one or three of 1, 2 and 3")
    return plan


def read_plan(path: Path) -> SitePlan:
    """The plan in a TOML file. Raises: ConfigError."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), str(error)) from error
    try:
        devices = tuple(_device(table) for table in data.pop("device", ()))
        house = dict(data.pop("house", {}))
        held = house.pop("hold_a", None)
        house_a = None if held is None else (float(held[0]), float(held[1]), float(held[2]))
        seed, roof, battery = int(data.pop("seed", 1)), dict(data.pop("roof", {})), dict(data.pop("battery", {}))
        return SitePlan(devices, seed, house, house_a, roof, battery)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ConfigError(str(path), f"is no plan of a site ({error}); docs/simulators.md shows one") from error


def _device(table: Mapping[str, Any]) -> DevicePlan:
    fields = dict(table)
    phases = tuple(int(phase) - 1 for phase in fields.pop("phases", (1, 2, 3)))
    chargers = tuple(fields.pop("chargers", ()))
    return DevicePlan(
        id=str(fields.pop("id")),
        driver=str(fields.pop("driver")),
        address=parse_address(str(fields.pop("address")), to_listen=True),
        phases=phases,
        chargers=chargers,
        **fields,
    )
