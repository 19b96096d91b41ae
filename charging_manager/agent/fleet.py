"""All devices that run: made from the configuration, each left alone when another one is changed.

Devices on the same endpoint or serial line share a bus, which is closed with the last of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from attrs import define, frozen
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from charging_manager.agent.config import DeviceSettings
from charging_manager.agent.polling import Polled, Poller
from charging_manager.devices.driver import Driver
from charging_manager.errors import ConfigError
from charging_manager.modbus.address import Address, parse_address
from charging_manager.model.reading import Obedience, Reading
from charging_manager.model.site import Site

_LEAVE_WITHIN_S = 4.0
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


@define
class Running:
    """A device with its loop and what it was made of."""

    spec: Spec
    poller: Poller
    fallback_a: float


OpenBus = Callable[[Address, Driver], Any]
MakeDevice = Callable[[str, Spec, Any, float], Polled]


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
        self._leaving: dict[str, set[Deferred[None]]] = {}
        self.not_running: dict[str, str] = {}
        """Device to the reason why it cannot even be tried, for people."""

    def update(
        self,
        devices: Mapping[str, DeviceSettings],
        drivers: Mapping[str, Driver],
        fallbacks: Mapping[str, float],
    ) -> set[str]:
        """Start, stop and renew what differs. The names of those that were stopped or renewed."""
        wanted: dict[str, Spec] = {}
        self.not_running = {}
        for device in devices.values():
            if device.out_of_service:
                continue
            try:
                wanted[device.id] = spec_of(device, drivers)
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
            elif known.fallback_a != fallback_a:
                known.fallback_a = fallback_a
                self._change_fallback(name, known)
        return touched

    def device(self, name: str) -> Any:
        """The running device, or None."""
        found = self._running.get(name)
        return found.poller.device if found else None

    def answering(self, name: str) -> bool:
        """Its last poll brought a reading."""
        found = self._running.get(name)
        return found is not None and found.poller.answering

    def want(self, charge_point: str, setpoint_a: float) -> None:
        """Hand a setpoint to its device; never waits."""
        found = self._running.get(charge_point)
        if found is not None:
            found.poller.want(setpoint_a)

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
        leaving = [one for group in self._leaving.values() for one in group]
        if leaving:
            await DeferredList([_echo(one) for one in leaving])
        buses, self._buses = self._buses, {}
        await DeferredList([bus.close() for bus in buses.values()], consumeErrors=True)

    def _start(self, name: str, spec: Spec, fallback_a: float, number: int, count: int) -> None:
        endpoint = spec.address.endpoint
        bus = self._buses.get(endpoint)
        try:
            if bus is None:
                bus = self._buses[endpoint] = self._open_bus(spec.address, spec.driver)
            device = self._make_device(name, spec, bus, fallback_a)
        except ConfigError as error:
            self.not_running[name] = error.sentence
            self._close_unused()
            return
        first_after_s = _SPREAD_S * number / max(count, 1)
        poller = Poller(name, device, self._sink, self._clock, self._every_s, first_after_s)
        self._running[name] = Running(spec, poller, fallback_a)
        poller.start()

    def _stop(self, name: str) -> None:
        """Take it out at once; its last setpoint travels meanwhile, for a few seconds at most."""
        running = self._running.pop(name)
        endpoint = running.spec.address.endpoint
        if running.spec.driver.setpoint is None:
            running.poller.stop()
            self._close_unused()
            return
        leaving = Deferred.fromCoroutine(running.poller.leave_at(running.fallback_a))
        leaving.addTimeout(_LEAVE_WITHIN_S, self._clock)
        group = self._leaving.setdefault(endpoint, set())
        group.add(leaving)

        def gone(_: object) -> None:
            group.discard(leaving)
            self._close_unused()

        leaving.addErrback(
            lambda failure: self.log.warn("{device} did not take its last setpoint in time", device=name)
        ).addCallback(gone)

    def _change_fallback(self, name: str, running: Running) -> None:
        """A neighbour came or went: this one's share differs, its loop goes on."""
        change = getattr(running.poller.device, "use_fallback", None)
        if change is not None:
            change(running.fallback_a)
            return
        self._stop(name)
        self._start(name, running.spec, running.fallback_a, 0, 1)

    def _close_unused(self) -> None:
        used = {running.spec.address.endpoint for running in self._running.values()}
        used |= {endpoint for endpoint, group in self._leaving.items() if group}
        for endpoint in self._buses.keys() - used:
            closing: Deferred[None] = self._buses.pop(endpoint).close()
            closing.addErrback(lambda failure: self.log.failure("a bus could not be closed", failure=failure))


def spec_of(device: DeviceSettings, drivers: Mapping[str, Driver]) -> Spec:
    """What the device is to be made of. Raises: ConfigError if its driver or address cannot work."""
    driver = drivers.get(device.driver)
    if driver is None:
        raise ConfigError("driver", f"there is no driver {device.driver!r}; put its file into a drivers folder")
    phases = tuple(phase - 1 for phase in device.phases)
    return Spec(driver, parse_address(device.address), phases, device.settings)


def _echo(other: Deferred[None]) -> Deferred[None]:
    """Fires when ``other`` does, and leaves its result alone."""
    mine: Deferred[None] = Deferred()

    def tell(result: Any) -> Any:
        mine.callback(None)
        return result

    other.addBoth(tell)
    return mine
