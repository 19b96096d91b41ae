"""All devices that run: made from the configuration, each left alone when another one is changed.

Devices on the same endpoint or serial line share a bus, which is closed with the last of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from charging_manager.agent.config import DeviceSettings
from charging_manager.agent.polling import Polled, Poller, StorageLock, Wanted
from charging_manager.devices.access import NO_ACCESS, Access
from charging_manager.devices.driver import Driver
from charging_manager.devices.road import check_road, sharing_key
from charging_manager.errors import ConfigError
from charging_manager.modbus.address import Address, TcpAddress, parse_address
from charging_manager.model.reading import Obedience, Reading
from charging_manager.model.site import Site

T = TypeVar("T")

_LEAVE_WITHIN_S = 8.0
"""Enough for a box that wants 5 s between two writes."""
_SPREAD_S = 0.8


class Line(Protocol):
    """What we need of modbus.Bus."""

    def close(self) -> Deferred[None]: ...


@frozen
class Spec:
    """Everything that makes a running device what it is; when it differs, the device is made anew."""

    driver: Driver
    address: Address
    phases: tuple[int, ...]
    settings: tuple[str, ...]
    most_a: float = field(eq=False)
    """No phase there carries more, ever: a reading above it is a lie. A running device is told when it changes."""
    access: Access = NO_ACCESS


@define
class Running:
    """A device with its loop and what it was made of."""

    spec: Spec
    poller: Poller
    fallback_a: float
    endpoints: set[str]
    road: Any = None
    """What it is read and written through."""


OpenBus = Callable[[Address, Driver, Access], Any]
MakeDevice = Callable[[str, Spec, Any, float, Callable[[int], Any]], Polled]


class Fleet:
    """``update`` brings the running devices in line with the configuration."""

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        sink: Callable[[Reading], None],
        open_bus: OpenBus,
        make_device: MakeDevice,
        every_s: float = 1.0,
    ) -> None:
        self._clock = clock
        self._sink = sink
        self._open_bus = open_bus
        self._make_device = make_device
        self._every_s = every_s
        self._running: dict[str, Running] = {}
        self._buses: dict[str, Any] = {}
        self._leaving: dict[Deferred[None], Running] = {}
        self.brought_s = float("-inf")
        """When something that was wanted last reached its device."""
        self.leaving: Callable[[str], None] = lambda device: None
        """Told of a device before it is left on its fallback."""
        self.not_running: dict[str, str] = {}
        """Device to the reason why it cannot even be tried, for people."""

    def update(
        self,
        devices: Mapping[str, DeviceSettings],
        drivers: Mapping[str, Driver],
        fallbacks: Mapping[str, float],
        site: Site,
        access: Mapping[str, Access] | None = None,
    ) -> set[str]:
        """Start, stop and renew what differs. The names of those that were stopped or renewed."""
        wanted: dict[str, Spec] = {}
        most_a = most_amps(site)
        self.not_running = {}
        for device in devices.values():
            if device.out_of_service:
                continue
            try:
                wanted[device.id] = spec_of(device, drivers, most_a, (access or {}).get(device.id, NO_ACCESS))
            except ConfigError as error:
                self.not_running[device.id] = error.sentence
                known = self._running.get(device.id)
                if known is not None and device.driver not in drivers:
                    wanted[device.id] = known.spec  # its file vanished; what runs, runs on
        touched = set()
        for name, running in tuple(self._running.items()):
            spec = wanted.get(name)
            if spec != running.spec:
                self._stop(name)
                touched.add(name)
        for number, (name, spec) in enumerate(wanted.items()):
            fallback_a = fallbacks.get(name, 0.0)
            known = self._running.get(name)
            if known is None:
                self._start(name, spec, fallback_a, number, len(wanted))
                continue
            known.poller.device.most_a = most_a
            if known.fallback_a != fallback_a:
                known.fallback_a = fallback_a
                known.poller.device.use_fallback(fallback_a)
        return touched

    def device(self, name: str) -> Any:
        """The running device, or None."""
        found = self._running.get(name)
        return found.poller.device if found else None

    def road(self, name: str) -> Any:
        """What a running device is read and written through, or None."""
        found = self._running.get(name)
        return found.road if found else None

    async def alone(self, name: str, work: Callable[[Any], Awaitable[T]]) -> T:
        """Do something with a running device while steering leaves it alone."""
        return await self._running[name].poller.alone(work)

    def answering(self, name: str) -> bool:
        """Its last poll brought a reading."""
        found = self._running.get(name)
        return found is not None and found.poller.answering

    def want(self, charge_point: str, setpoint_a: float, phases: int | None = None) -> None:
        """Hand a setpoint to its device; never waits."""
        found = self._running.get(charge_point)
        if found is not None:
            found.poller.want(Wanted(setpoint_a, phases))

    def wanted_a(self, charge_point: str) -> float | None:
        """The newest setpoint that was handed to it."""
        found = self._running.get(charge_point)
        newest = found.poller.newest if found is not None else None
        return newest.setpoint_a if isinstance(newest, Wanted) else None

    def fallback_a(self, device: str) -> float:
        """What it shall take by itself when it hears nothing."""
        found = self._running.get(device)
        return found.fallback_a if found is not None else 0.0

    def lock_storage(self, locked: bool) -> None:
        """Let the storage batteries that can be told so give nothing, or what they like; never waits."""
        for running in self._running.values():
            if running.spec.driver.storage is not None:
                running.poller.want(StorageLock(locked))

    def obedience(self, site: Site, now_s: float) -> dict[str, Obedience]:
        """Of every charge point of the site; one that does not run counts at its hardware maximum."""
        result = {}
        for box in site.charge_points.values():
            found = self._running.get(box.id)
            result[box.id] = found.poller.device.obedience(now_s) if found else Obedience(hardware_max_a=box.max_a)
        return result

    async def stop(self) -> None:
        """Leave every charge point on its fallback, then close all buses."""
        for name in tuple(self._running):
            self._stop(name)
        await DeferredList([_echo(one) for one in self._leaving])
        buses, self._buses = self._buses, {}
        await DeferredList([bus.close() for bus in buses.values()], consumeErrors=True)

    def _start(self, name: str, spec: Spec, fallback_a: float, number: int, count: int) -> None:
        endpoints: set[str] = set()

        def bus_to(address: Address) -> Any:
            key = sharing_key(address, spec.driver, spec.access)
            if key not in self._buses:
                self._buses[key] = self._open_bus(address, spec.driver, spec.access)
            endpoints.add(key)
            return self._buses[key]

        def bus_at(port: int) -> Any:
            if not isinstance(spec.address, TcpAddress):
                raise ConfigError("address", "a device with several ports needs a tcp:// address")
            return bus_to(evolve(spec.address, port=port))

        try:
            road = bus_to(spec.address)
            device = self._make_device(name, spec, road, fallback_a, bus_at)
        except ConfigError as error:
            self.not_running[name] = error.sentence
            self._close_unused()
            return
        first_after_s = _SPREAD_S * number / max(count, 1)
        poller = Poller(name, device, self._sink, self._clock, self._every_s, first_after_s, self._note_brought)
        self._running[name] = Running(spec, poller, fallback_a, endpoints, road)
        poller.start()

    def _stop(self, name: str) -> None:
        """Take it out at once; its last setpoint travels meanwhile, for a few seconds at most."""
        self.leaving(name)
        running = self._running.pop(name)
        driver = running.spec.driver
        if driver.setpoint is None and driver.storage is None:
            running.poller.stop()
            running.poller.device.close()
            self._close_unused()
            return
        last = StorageLock(False) if driver.setpoint is None else Wanted(running.fallback_a)
        leaving = Deferred.fromCoroutine(running.poller.leave_at(last))
        leaving.addTimeout(_LEAVE_WITHIN_S, self._clock)
        self._leaving[leaving] = running

        def gone(_: object) -> None:
            del self._leaving[leaving]
            self._close_unused()

        leaving.addErrback(
            lambda failure: self.log.warn("{device} did not take its last setpoint in time", device=name)
        ).addCallback(gone)

    def _note_brought(self) -> None:
        self.brought_s = self._clock.seconds()

    def _close_unused(self) -> None:
        used: set[str] = set()
        for running in (*self._running.values(), *self._leaving.values()):
            used |= running.endpoints
        for endpoint in self._buses.keys() - used:
            closing: Deferred[None] = self._buses.pop(endpoint).close()
            closing.addErrback(lambda failure: self.log.failure("a bus could not be closed", failure=failure))


def most_amps(site: Site) -> float:
    """Far above what any fuse here lets through."""
    highest_a = max((max(circuit.limit_a) for circuit in site.circuits.values()), default=0.0)
    return max(500.0, 10 * highest_a)


def spec_of(device: DeviceSettings, drivers: Mapping[str, Driver], most_a: float, access: Access = NO_ACCESS) -> Spec:
    """What the device is to be made of. Raises: ConfigError if its driver or address cannot work."""
    driver = drivers.get(device.driver)
    if driver is None:
        raise ConfigError("driver", f"there is no driver {device.driver!r}; put its file into a drivers folder")
    check_road(_parsed(device.address), driver)
    phases = tuple(phase - 1 for phase in device.phases)
    return Spec(driver, _parsed(device.address), phases, device.settings, most_a, access)


@lru_cache(maxsize=2048)
def _parsed(address: str) -> Address:
    return parse_address(address)


def _echo(other: Deferred[None]) -> Deferred[None]:
    """Fires when ``other`` does, and leaves its result alone."""
    mine: Deferred[None] = Deferred()

    def tell(result: Any) -> Any:
        mine.callback(None)
        return result

    other.addBoth(tell)
    return mine
