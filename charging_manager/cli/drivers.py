"""``charging_manager drivers``: what there is, whether a file is one, a simulated device of one, a real one read."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from charging_manager.cli.asking import ask
from charging_manager.cli.simulate import simulate
from charging_manager.cli.table import Option, WrongUsage
from charging_manager.devices import lint
from charging_manager.devices.loader import NAME, Loaded, load_drivers
from charging_manager.devices.road import kinds
from charging_manager.devices.template import new_driver
from charging_manager.devices.vocabulary import shipped_schema
from charging_manager.errors import ConfigError
from charging_manager.paths import driver_folders

USAGE = (
    "charging_manager drivers list [--drivers DIR]\n"
    "       charging_manager drivers check FILE [--json]\n"
    "       charging_manager drivers schema\n"
    "       charging_manager drivers new NAME\n"
    "       charging_manager drivers read NAME ADDRESS [--all] [--drivers DIR]\n"
    "       charging_manager drivers record NAME ADDRESS [--drivers DIR]\n"
    "       charging_manager drivers simulate NAME [--tcp PORT | --rtutcp PORT | --rtu TTY] [--drivers DIR]"
)
ACTIONS = ("list", "check", "schema", "new", "read", "record", "simulate")
OPTIONS = (
    Option(
        ("action",), "list, check, schema, new, read, record or simulate", {"choices": ACTIONS, "metavar": "ACTION"}
    ),
    Option(("name",), "a file (check), or a driver's name (all others)", {"nargs": "?", "metavar": "NAME|FILE"}),
    Option(
        ("address",), "of the device, as in tcp://host:502?unit=1 (read, record)", {"nargs": "?", "metavar": "ADDRESS"}
    ),
    Option(("--json",), "check: what was found, for other programs", {"action": "store_true"}),
    Option(("--all",), "read: show tags and serial numbers too", {"action": "store_true"}),
    Option(("--drivers",), "one more folder of drivers", {"action": "append", "default": [], "metavar": "DIR"}),
    Option(("--tcp",), "simulate on this TCP port of the loopback interface", {"type": int, "metavar": "PORT"}),
    Option(("--rtutcp",), "simulate RTU frames on this TCP port", {"type": int, "metavar": "PORT"}),
    Option(("--rtu",), "simulate on this serial line or pseudo-terminal", {"metavar": "TTY"}),
    Option(("--unit",), "Modbus unit (default: the driver's)", {"type": int}),
)


def drivers(arguments: argparse.Namespace) -> int:
    """List, check, begin or simulate. Raises: ConfigError, WrongUsage."""
    for folder in arguments.drivers:
        if not Path(folder).is_dir():
            raise ConfigError(folder, "there is no such folder of drivers")
    if arguments.action == "list":
        return _list(load_drivers(driver_folders(arguments.drivers)))
    if arguments.action == "schema":
        print(shipped_schema(), end="")
        return 0
    if not arguments.name:
        raise WrongUsage("name the file" if arguments.action == "check" else "name the driver")
    if arguments.action == "check":
        return _check(Path(arguments.name), as_json=arguments.json)
    if arguments.action == "new":
        return _new(arguments.name)
    loaded = load_drivers(driver_folders(arguments.drivers))
    driver = loaded.drivers.get(arguments.name)
    if driver is None:
        reason = next((f": {each.reason}" for each in loaded.broken if each.path.stem == arguments.name), "")
        raise ConfigError(arguments.name, f"there is no such driver{reason}; charging_manager drivers list names them")
    if arguments.action in ("read", "record"):
        if not arguments.address:
            raise WrongUsage("name the device's address, as in tcp://host:502?unit=1")
        return ask(driver, arguments)
    return simulate(driver, arguments)


def _list(loaded: Loaded) -> int:
    width = max(map(len, loaded.drivers), default=0)
    for name, driver in sorted(loaded.drivers.items()):
        roads = ", ".join(kinds(driver))
        print(f"{name:<{width}}  {driver.kind.value:<8}  {roads:<17}  {driver.vendor} {driver.model}")
    for broken in loaded.broken:
        print(f"left out: {broken.path}: {broken.reason}")
    return 0


def _new(name: str) -> int:
    if not NAME.fullmatch(name):
        raise WrongUsage(f"{name}: a driver's name is small letters, digits and hyphens")
    path = Path(f"{name}.toml")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(new_driver(name))
    except OSError as error:
        raise ConfigError(str(path), f"cannot be made ({error.strerror}); nothing was changed") from error
    print(f"{path}: a driver to be changed line by line; then: charging_manager drivers check {path}")
    return 0


def _check(path: Path, *, as_json: bool) -> int:
    if not path.is_file():
        raise ConfigError(str(path), "is a folder; name a file in it" if path.is_dir() else "there is no such file")
    checked = lint.check(path)
    if as_json:
        print(json.dumps(lint.as_json(path.name, checked), indent=1, ensure_ascii=False))
        return 1 if checked.errors else 0
    for finding in checked.findings:
        for line in finding.lines(path.name):
            print(line, file=sys.stderr)
    if not checked.errors:
        warnings = len(checked.findings)
        doubts = f", {warnings} warning{'s' if warnings > 1 else ''}" if warnings else ""
        print(f"{path.name}: a good driver{doubts}")
    return 1 if checked.errors else 0
