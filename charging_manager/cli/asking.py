"""``charging_manager drivers read`` and ``record``: all that a device shows, once, for whoever writes its driver."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from charging_manager.clocks import use_monotonic
from charging_manager.devices.driver import Driver
from charging_manager.devices.road import check_road, open_road
from charging_manager.devices.survey import Survey, golden, lines, survey
from charging_manager.errors import ConfigError, DeviceError
from charging_manager.modbus.address import parse_address


def ask(driver: Driver, arguments: argparse.Namespace) -> int:
    """Read everything, and print it or write it down. Raises: ConfigError for the address or the file."""
    address = parse_address(arguments.address)
    check_road(address, driver)
    if not driver.speaks_modbus and arguments.action == "record":
        raise ConfigError("", "only Modbus devices are recorded; use `drivers read`")
    unit = arguments.unit if arguments.unit is not None else address.unit
    found: list[Survey] = []
    troubles: list[str] = []

    def run(reactor: Any) -> Deferred[None]:
        use_monotonic(reactor)
        return Deferred.fromCoroutine(look(reactor))

    async def look(reactor: Any) -> None:
        bus = open_road(evolve(address, unit=unit), driver, reactor)
        try:
            found.append(await survey(driver, bus, unit, private=arguments.all))
        except DeviceError as error:
            troubles.append(str(error))
        finally:
            await bus.close()

    try:
        react(run, ())
    except SystemExit as ended:
        if ended.code:
            raise
    if troubles:
        print(f"{arguments.address}: {troubles[0]}", file=sys.stderr)
        return 1
    if arguments.action == "read":
        for line in lines(found[0]):
            print(line)
        return 0
    return _record(driver, found[0])


def _record(driver: Driver, found: Survey) -> int:
    path = Path(f"{driver.name}.golden.toml")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(golden(found))
    except OSError as error:
        raise ConfigError(str(path), f"cannot be made ({error.strerror}); nothing was changed") from error
    frames = sum(shown.values is not None for shown in found.shown)
    print(f"{path}: {frames} requests with their answers; compare them with the device, then keep the file")
    return 0
