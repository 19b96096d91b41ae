"""The search for devices that an admin starts: one at a time, going on though the browser leaves, kept until the next.

What the site has already is not asked: its hosts stand among the results as its own, and its lines are refused.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol

from attrs import define, frozen
from twisted.internet.defer import Deferred

from charging_manager.agent.config import DeviceSettings
from charging_manager.clocks import UtcNow
from charging_manager.devices.driver import Driver
from charging_manager.errors import ConfigError
from charging_manager.finding.course import Progress
from charging_manager.finding.found import Found, How
from charging_manager.finding.ground import Interface, offered, permitted
from charging_manager.finding.lines import check_line
from charging_manager.finding.plan import ALL_UNITS, ports, read_units
from charging_manager.finding.search import Wish
from charging_manager.http.routes import Problem
from charging_manager.modbus.address import RtuAddress, parse_address

MOST_LINES = 8


class Running(Protocol):
    """What we need of finding.search.Search."""

    def start(self) -> Deferred[None]: ...

    def cancel(self) -> None: ...

    @property
    def over(self) -> bool: ...

    @property
    def progress(self) -> Progress: ...

    @property
    def found(self) -> tuple[Found, ...]: ...


Begin = Callable[[Sequence[Driver], Wish, Sequence[Interface], Mapping[IPv4Address, Sequence[Found]]], Running]


@define
class Job:
    """One search with who started it, when, and what of."""

    number: int
    wish: Wish
    by: str
    started_at: datetime
    search: Running
    done: Deferred[None]
    ended_at: datetime | None = None
    cancelled: bool = False

    @property
    def state(self) -> str:
        if self.cancelled:
            return "cancelled" if self.search.over else "ending"
        return "done" if self.search.over else "running"


@frozen
class Machine:
    """What this machine has, asked anew each time: adapters come and go."""

    interfaces: Callable[[], Sequence[Interface]]
    lines: Callable[[], Sequence[str]]
    resolve: Callable[[str], Awaitable[str | None]]
    """A host's address, None where nobody knows it."""


class Searching:
    """Owns the search that runs, or the last one."""

    def __init__(self, machine: Machine, begin: Begin, now: UtcNow) -> None:
        self.machine = machine
        self._begin, self._now = begin, now
        self._starting = False
        self.job: Job | None = None

    @property
    def offered(self) -> tuple[IPv4Network, ...]:
        """The networks to search when nobody names any."""
        return offered(self.machine.interfaces())

    async def start(
        self,
        networks: Sequence[str],
        lines: Sequence[str],
        units: str | None,
        *,
        drivers: Iterable[Driver],
        devices: Iterable[DeviceSettings],
        by: str,
    ) -> Job:
        """Begin a search. Raises: Problem if one runs, ConfigError for what cannot be searched."""
        if self._starting or (self.job is not None and not self.job.search.over):
            raise Problem(409, "scan-running", "A search is under way already: wait for its end, or cancel it.")
        interfaces = tuple(self.machine.interfaces())
        known = tuple(drivers)
        wish = self._wish(networks, lines, units, interfaces, known)
        own = tuple(devices)
        for line in wish.lines:
            _not_ours(line, own)
            check_line(line)
        self._starting = True
        try:
            in_use = await self._in_use(own, {driver.name: driver for driver in known})
        finally:
            self._starting = False
        search = self._begin(known, wish, interfaces, in_use)
        number = self.job.number + 1 if self.job is not None else 1
        self.job = job = Job(number, wish, by, self._now(), search, search.start())
        job.done.addCallback(lambda _: self._ended(job))
        return job

    def _wish(
        self,
        networks: Sequence[str],
        lines: Sequence[str],
        units: str | None,
        interfaces: Sequence[Interface],
        drivers: Sequence[Driver],
    ) -> Wish:
        if not networks and not lines:
            networks = [str(network) for network in offered(interfaces)]
            if not networks:
                raise ConfigError("networks", "This machine is in no private network that could be searched.")
        if len(lines) > MOST_LINES:
            raise ConfigError("lines", "At most {most} lines are searched at once; name fewer.", most=str(MOST_LINES))
        chosen = tuple(ALL_UNITS) if units == "all" else read_units(units) if units else None
        return Wish(
            permitted(networks, interfaces, loopback=False), tuple(dict.fromkeys(lines)), ports(drivers), chosen
        )

    async def _in_use(
        self, devices: Iterable[DeviceSettings], drivers: Mapping[str, Driver]
    ) -> dict[IPv4Address, list[Found]]:
        """The hosts that the site's devices are at; names are looked up."""
        found: dict[IPv4Address, list[Found]] = {}
        for device in devices:
            try:
                host = getattr(parse_address(device.address), "host", None)
                literal = await self.machine.resolve(host) if host else None
                address = IPv4Address(literal) if literal else None
            except (ConfigError, ValueError):
                continue
            if address is not None:
                driver = drivers.get(device.driver)
                title = f"{driver.vendor} {driver.model}" if driver else ""
                kind = driver.kind.value if driver else None
                one = Found(device.address, How.IN_USE, device.driver, title, kind, yours=device.id)
                found.setdefault(address, []).append(one)
        return found

    def _ended(self, job: Job) -> None:
        job.ended_at = self._now()

    def cancel(self) -> Job:
        """Ask nobody any more; what was found stays. Raises: Problem if nothing runs."""
        job = self.job
        if job is None or job.state != "running":
            raise Problem(409, "no-scan", "No search is under way.")
        job.cancelled = True
        job.search.cancel()
        return job

    async def stop(self) -> None:
        """End with the program."""
        if self.job is not None and not self.job.search.over:
            self.job.cancelled = True
            self.job.search.cancel()
            over: Deferred[None] = Deferred()
            self.job.done.addCallback(lambda _: over.callback(None))
            await over


def _not_ours(line: str, devices: Iterable[DeviceSettings]) -> None:
    """Raises: ConfigError for a line that a device of the site is on: two askers would hear each other's answers."""
    for device in devices:
        try:
            address = parse_address(device.address)
        except ConfigError:
            continue
        same = isinstance(address, RtuAddress) and os.path.realpath(address.device) == os.path.realpath(line)
        if same and not device.out_of_service:
            raise ConfigError(
                "lines",
                "{name} is on {line} and in use: take it out of service for as long as the line is searched.",
                name=device.name,
                line=line,
            )
