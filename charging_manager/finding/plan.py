"""What is asked, and in which order: doors to knock at, units behind them, drivers to try, settings of a line. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from attrs import frozen

from charging_manager.devices.driver import Driver
from charging_manager.errors import ConfigError
from charging_manager.modbus.address import MODBUS_PORT

ALL_UNITS = range(1, 248)
USUAL_UNITS = (1, 255)
"""Of what speaks Modbus over TCP: the first of a line behind a gateway, and a box that is no gateway."""


class Talk(StrEnum):
    """What is spoken behind a door."""

    MODBUS = "modbus"
    HTTP = "http"


@frozen(order=True)
class Door:
    """A TCP port of a host."""

    host: IPv4Address
    port: int
    talk: Talk

    def __str__(self) -> str:
        return f"{'tcp' if self.talk is Talk.MODBUS else 'http'}://{self.host}:{self.port}"


@frozen
class LineSettings:
    """How a serial line may be set."""

    baud: int
    parity: str
    stopbits: int


def ports(drivers: Iterable[Driver]) -> dict[int, Talk]:
    """The ports at which devices of these drivers listen, the usual one first, and what is spoken there."""
    known = list(drivers)
    found = {MODBUS_PORT: Talk.MODBUS}
    for driver in known:
        if driver.tcp is not None:
            found.setdefault(driver.tcp.port, Talk.MODBUS)
    for driver in known:
        if driver.http is not None:
            found.setdefault(driver.http.port, Talk.HTTP)
    return found


def read_ports(text: str, known: Mapping[int, Talk]) -> dict[int, Talk]:
    """The ports that a person named; what none of our drivers names is tried as Modbus. Raises: ConfigError."""
    numbers = _numbers(
        text, range(1, 65536), "ports", "{text} names no ports; write numbers from 1 to 65535, as in 502,4701."
    )
    return {number: known.get(number, Talk.MODBUS) for number in numbers}


def read_units(text: str) -> tuple[int, ...]:
    """The units that a person named, as in ``1,3-8,255``. Raises: ConfigError."""
    return _numbers(text, range(256), "units", "{text} names no units; write numbers, as in 1-16,255.")


def _numbers(text: str, allowed: range, where: str, sentence: str) -> tuple[int, ...]:
    found: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        words = (first, last) if dash else (first, first)
        if not all(word.isascii() and word.isdigit() and len(word) < 6 for word in words):
            raise ConfigError(where, sentence, text=repr(text))
        low, high = map(int, words)
        if low > high or low not in allowed or high not in allowed:
            raise ConfigError(where, sentence, text=repr(text))
        found.update(dict.fromkeys(range(low, high + 1)))
    return tuple(found)


def doors(
    networks: Iterable[IPv4Network],
    at: Mapping[int, Talk],
    *,
    leave_out: Collection[IPv4Address] = (),
    first: Sequence[IPv4Address] = (),
) -> tuple[Door, ...]:
    """Every door, port by port, so that what speaks Modbus is found before anything else is asked.

    ``first``: hosts that announced themselves, asked before all others.
    """
    hosts = dict.fromkeys(host for network in networks for host in _hosts(network) if host not in leave_out)
    early = [host for host in dict.fromkeys(first) if host in hosts]
    late = [host for host in hosts if host not in set(early)]
    return tuple(Door(host, port, talk) for group in (early, late) for port, talk in at.items() for host in group)


def _hosts(network: IPv4Network) -> Iterator[IPv4Address]:
    return iter([network.network_address]) if network.prefixlen == 32 else network.hosts()


def units_behind(port: int, drivers: Iterable[Driver]) -> tuple[int, ...]:
    """The units worth asking behind a Modbus port when nobody names any: the usual ones, and those of our drivers."""
    named = {driver.tcp.unit for driver in drivers if driver.tcp is not None and driver.tcp.port == port}
    return (*USUAL_UNITS, *sorted(named - set(USUAL_UNITS)))


def modbus_candidates(drivers: Iterable[Driver], port: int, unit: int) -> tuple[Driver, ...]:
    """Who might answer at this unit behind this port, the likeliest first. A line may be behind a gateway."""

    def unlikely(driver: Driver) -> tuple[bool, bool, bool, bool, str]:
        tcp = driver.tcp
        return (
            tcp is None or tcp.port != port,
            tcp is None or tcp.unit != unit,
            tcp is None,
            driver.discover is not None,  # a walk takes many questions
            driver.name,
        )

    return tuple(sorted((one for one in drivers if one.tcp or one.rtu), key=unlikely))


def http_candidates(drivers: Iterable[Driver]) -> tuple[Driver, ...]:
    """Who might answer to HTTP."""
    return tuple(sorted((one for one in drivers if one.http is not None), key=lambda one: one.name))


def line_settings(drivers: Iterable[Driver]) -> dict[LineSettings, tuple[int, ...]]:
    """How lines are set by our devices' makers, the most common first, with the units that they name there."""
    found: dict[LineSettings, list[int]] = {}
    for driver in drivers:
        if driver.rtu is not None:
            settings = LineSettings(driver.rtu.baud, driver.rtu.parity, driver.rtu.stopbits)
            found.setdefault(settings, []).append(driver.rtu.unit)
    order = sorted(found, key=lambda settings: (-len(found[settings]), settings.baud, settings.parity))
    return {settings: tuple(sorted({1, *found[settings]})) for settings in order}


def serial_candidates(drivers: Iterable[Driver], settings: LineSettings, unit: int) -> tuple[Driver, ...]:
    """Who might answer at this unit of a line that is set so, the likeliest first."""

    def unlikely(driver: Driver) -> tuple[bool, bool, bool, str]:
        rtu = driver.rtu
        if rtu is None:
            return True, True, True, driver.name
        other = (rtu.baud, rtu.parity, rtu.stopbits) != (settings.baud, settings.parity, settings.stopbits)
        return other, rtu.unit != unit, driver.discover is not None, driver.name

    return tuple(sorted((one for one in drivers if one.rtu), key=unlikely))
