"""``charging_manager drivers simulate``: one device of a driver, until Ctrl-C."""

from __future__ import annotations

import argparse
from pathlib import Path

from charging_manager.cli.table import WrongUsage
from charging_manager.devices.driver import Driver, Kind
from charging_manager.errors import ConfigError
from charging_manager.modbus.address import parse_address
from charging_manager.paths import driver_folders
from charging_manager.sim.plan import DevicePlan, SitePlan


def simulate(driver: Driver, arguments: argparse.Namespace) -> int:
    """Listen where the options say, with a car plugged in. Raises: ConfigError."""
    from twisted.internet.task import react

    from charging_manager.sim.__main__ import run_site

    address = parse_address(_address(driver, arguments), to_listen=True)
    device = DevicePlan("device", driver.name, address, plugged=driver.kind is Kind.CHARGER)
    folders = driver_folders(arguments.drivers)
    control = 0
    react(lambda reactor: run_site(reactor, SitePlan((device,)), folders, control), ())
    return 0


def _address(driver: Driver, arguments: argparse.Namespace) -> str:
    roads = [road for road in ("tcp", "rtutcp", "rtu") if getattr(arguments, road) is not None]
    if len(roads) > 1:
        raise WrongUsage("choose one of --tcp, --rtutcp and --rtu")
    if not driver.speaks_modbus:
        raise ConfigError("", f"{driver.name} does not speak Modbus, and this simulator does nothing else")
    defaults = driver.tcp or driver.rtu
    unit = arguments.unit or (defaults.unit if defaults is not None else 1)
    if roads == ["rtu"]:
        line = driver.rtu
        settings = f"&baud={line.baud}&parity={line.parity}&stopbits={line.stopbits}" if line is not None else ""
        return f"rtu://{Path(arguments.rtu).absolute()}?unit={unit}{settings}"
    road = roads[0] if roads else ("tcp" if driver.tcp is not None else "rtutcp")
    return f"{road}://127.0.0.1:{getattr(arguments, road) or 0}?unit={unit}"
