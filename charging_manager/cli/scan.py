"""``charging_manager scan``: what is there, in the own networks and on serial lines."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from ipaddress import IPv4Address
from typing import Any

from attrs import asdict
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, react

from charging_manager.cli.table import Option, WrongUsage
from charging_manager.clocks import use_monotonic
from charging_manager.devices.loader import load_drivers
from charging_manager.errors import ConfigError
from charging_manager.finding.course import Progress
from charging_manager.finding.found import Found, How
from charging_manager.finding.ground import offered, permitted
from charging_manager.finding.interfaces import own_interfaces, spoken_to
from charging_manager.finding.lines import check_line
from charging_manager.finding.plan import ALL_UNITS, Talk, ports, read_ports, read_units
from charging_manager.finding.search import Search, Wish
from charging_manager.paths import driver_folders

USAGE = (
    "charging_manager scan [NETWORK|ADDRESS[:PORT]|TTY …] [--network NETWORK] [--serial TTY]\n"
    "       [--ports LIST] [--units LIST | --all-units] [--json] [--drivers DIR]"
)
_MANY: dict[str, Any] = {"action": "append", "default": []}
OPTIONS = (
    Option(
        ("targets",),
        "a network of this machine as in 192.168.1.0/24, one address, or a serial device; "
        "none: all private networks of this machine",
        {"nargs": "*", "metavar": "NETWORK|TTY"},
    ),
    Option(("--network",), "a network to search; may be given several times", {**_MANY, "metavar": "NETWORK"}),
    Option(("--serial",), "a serial device to search; may be given several times", {**_MANY, "metavar": "TTY"}),
    Option(("--ports",), "TCP ports, as in 502,4701 (default: those that the drivers name)", {"metavar": "LIST"}),
    Option(("--units",), "Modbus units, as in 1-16,255 (default: the usual ones)", {"metavar": "LIST"}),
    Option(("--all-units",), "all Modbus units, 1 to 247: takes long", {"action": "store_true"}),
    Option(("--json",), "print one JSON document when all is over", {"action": "store_true"}),
    Option(("--drivers",), "one more folder of drivers", {**_MANY, "metavar": "DIR"}),
)
SHOW_EVERY_S = 0.5
SAY_EVERY_S = 5.0
"""Where nobody watches a terminal, progress is a line so often."""


def scan(arguments: argparse.Namespace) -> int:
    """Search, print what is found at once, and how far it is. Raises: ConfigError, WrongUsage."""
    if arguments.units and arguments.all_units:
        raise WrongUsage("choose one of --units and --all-units")
    drivers = list(load_drivers(driver_folders(arguments.drivers)).drivers.values())
    interfaces = own_interfaces()
    at = ports(drivers)
    texts, lines, port = _targets(arguments)
    if not texts and not lines:
        texts = [str(network) for network in offered(interfaces)]
        if not texts:
            raise ConfigError("", "this machine is in no private network; name a network or a serial device")
    if port is not None and arguments.ports:
        raise WrongUsage("choose one of ADDRESS:PORT and --ports")
    named = port or arguments.ports
    if named:
        at = read_ports(named, at)
    units = tuple(ALL_UNITS) if arguments.all_units else read_units(arguments.units) if arguments.units else None
    wish = Wish(permitted(texts, interfaces, loopback=True), tuple(lines), at, units, announced=not named)
    for line in lines:
        check_line(line)
    in_use = {host: [Found(f"tcp://{host}:{number}", How.IN_USE)] for host, number in _busy(at)}
    return _Run(arguments.json).run(
        lambda reactor, met: Search(reactor, drivers, wish, interfaces=interfaces, in_use=in_use, met=met)
    )


def _targets(arguments: argparse.Namespace) -> tuple[list[str], list[str], str | None]:
    """Networks, lines, and the port that was named with an address."""
    networks, lines = list(arguments.network), list(arguments.serial)
    port = None
    for target in arguments.targets:
        host, colon, number = target.partition(":")
        if target.startswith(("/", ".")):
            lines.append(target)
        elif colon and number.isdigit():
            if len(arguments.targets) > 1:
                raise WrongUsage("with ADDRESS:PORT name nothing else")
            networks.append(host)
            port = number
        else:
            networks.append(target)
    return networks, lines, port


def _busy(at: dict[int, Talk]) -> list[tuple[IPv4Address, int]]:
    """Modbus devices that a program of this machine is speaking to: many let nobody else in."""
    return sorted((host, port) for host, port in spoken_to() if at.get(port) is Talk.MODBUS)


class _Run:
    """One search on a terminal, or for a script."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._search: Any = None
        self._watched = sys.stderr.isatty()
        self._stopped = False

    def run(self, make: Any) -> int:
        def begin(reactor: Any) -> Deferred[None]:
            use_monotonic(reactor)
            self._search = make(reactor, self._met)
            reactor.callLater(0, self._listen_for_ctrl_c, reactor)
            showing = LoopingCall(self._show)
            showing.clock = reactor
            done: Deferred[None] = self._search.start()
            showing.start(SHOW_EVERY_S if self._watched else SAY_EVERY_S, now=self._watched)
            return done.addBoth(lambda _: showing.stop())

        try:
            react(begin, ())
        except SystemExit as ended:
            if ended.code:
                raise
        self._wipe()
        self._report()
        return 130 if self._stopped else 0

    def _listen_for_ctrl_c(self, reactor: Any) -> None:
        def pressed(*_: object) -> None:
            self._stopped = True
            signal.signal(signal.SIGINT, signal.default_int_handler)
            reactor.callFromThread(self._search.cancel)

        signal.signal(signal.SIGINT, pressed)

    def _met(self, found: Found) -> None:
        if not self._as_json:
            self._wipe()
            print(_line(found), flush=True)

    def _show(self) -> None:
        words = _progress(self._search.progress, sum(one.driver is not None for one in self._search.found))
        if self._watched:
            print(f"\r{words:<60}", end="", file=sys.stderr, flush=True)
        else:
            print(words, file=sys.stderr, flush=True)

    def _wipe(self) -> None:
        if self._watched:
            print("\r" + " " * 60 + "\r", end="", file=sys.stderr, flush=True)

    def _report(self) -> None:
        found = self._search.found
        if self._as_json:
            document = {"complete": not self._stopped, "found": [_document(one) for one in found]}
            print(json.dumps(document, indent=1, ensure_ascii=False))
            return
        for one in found:
            if one.how in (How.ANNOUNCED, How.IN_USE):
                print(_line(one))
        if not any(one.driver for one in found):
            print("no known device was found", file=sys.stderr)


def _progress(progress: Progress, found: int) -> str:
    left = "" if progress.eta_s is None else f", about {progress.eta_s:.0f} s left"
    return f"{progress.done} of {progress.of}, {found} found{left}"


def _line(found: Found) -> str:
    if found.how is How.IN_USE:
        return f"{found.address}  in use by a program of this machine, not asked"
    words = found.title or ("announces itself" if found.how is How.ANNOUNCED else "answers, and no driver knows it")
    firmware = found.said.get("firmware")
    more = [found.driver or "-", words]
    more += [f"firmware {firmware}"] if firmware is not None else []
    more += [f'"{found.called}"'] if found.called else []
    return "  ".join([found.address, *more])


def _document(found: Found) -> dict[str, Any]:
    return {key: value for key, value in asdict(found).items() if key != "yours"}
