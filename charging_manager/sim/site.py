"""A whole simulated site as a service: meters see the house, the roof and what the charge points really draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from charging_manager.devices.driver import Driver, Kind
from charging_manager.errors import ConfigError
from charging_manager.modbus.address import Address, OcppAddress, RtuAddress
from charging_manager.model.units import NO_AMPS, PhaseAmps
from charging_manager.sim.battery import Battery
from charging_manager.sim.car import Car
from charging_manager.sim.house import House, Roof
from charging_manager.sim.life import Visits
from charging_manager.sim.lines import LOOPBACK, Listening, listen
from charging_manager.sim.plan import DevicePlan, SitePlan, check_plan
from charging_manager.sim.simulator import Simulator, three_amps

STEP_S = 0.2
"""How often the cars move when nobody asks."""


class SimulatedSite(Service):
    """Devices on their lines, a house, a roof. Started, it listens; ``addresses`` says where.

    Raises: ConfigError (from the constructor and from ``startService``) for a plan or an address that cannot work.
    """

    log = Logger()

    def __init__(self, plan: SitePlan, drivers: Mapping[str, Driver], reactor: Any) -> None:
        self._plan = check_plan(plan, drivers)
        self._reactor = reactor
        self.house = House(plan.seed, **plan.house)
        self.house.held_a = plan.house_a
        self.roof = Roof(plan.seed, **plan.roof)
        self.battery = Battery(**plan.battery) if any(each.sees == "storage" for each in plan.devices) else None
        self.simulators: dict[str, Simulator] = {}
        self.visits: dict[str, Visits] = {}
        self.addresses: dict[str, str] = {}
        """What a client writes to reach each device; known once started."""
        self._phases: dict[str, tuple[int, ...]] = {}
        self._lines: list[Listening] = []
        self._loop: LoopingCall | None = None
        for number, device in enumerate(plan.devices):
            self._add(device, drivers[device.driver], plan.seed + number)

    def _add(self, device: DevicePlan, driver: Driver, seed: int) -> None:
        self._phases[device.id] = device.phases
        simulator = self.simulators[device.id] = Simulator(
            driver,
            self._reactor,
            unit=device.address.unit,
            wired_phases=len(device.phases),
            source=self._source(device),
            shows=device.shows,
            early=device.early,
            soc_pct=self._soc_pct if device.sees == "storage" else None,
        )
        if driver.kind is not Kind.CHARGER:
            return
        if device.plugged:
            simulator.plug(Car())
        if device.visits:
            self.visits[device.id] = Visits(simulator, seed)

    # -- physics -----------------------------------------------------------------------------------------------------

    def charging_a(self, *ids: str) -> PhaseAmps:
        """What these charge points (none named: all) draw, on the site's phases."""
        totals = [0.0, 0.0, 0.0]
        for name, simulator in self.simulators.items():
            if ids and name not in ids:
                continue
            for own, amps in enumerate(simulator.current_a()):
                if own < len(self._phases[name]):
                    totals[self._phases[name][own]] += amps
        return totals[0], totals[1], totals[2]

    def grid_a(self) -> PhaseAmps:
        """What flows through the grid connection: house, charging and storage, less solar. Positive is consumption."""
        self._advance_battery()
        parts = zip(self._net_a(), self.battery_a(), strict=True)
        one, two, three = (net + battery for net, battery in parts)
        return one, two, three

    def battery_a(self) -> PhaseAmps:
        """What the storage battery draws; negative while it gives."""
        return NO_AMPS if self.battery is None else self.battery.flows_a

    def _net_a(self) -> PhaseAmps:
        parts = zip(self.house.load_a(self._reactor.seconds()), self.charging_a(), self.roof_a(), strict=True)
        one, two, three = (house + cars - sun for house, cars, sun in parts)
        return one, two, three

    def _advance_battery(self) -> None:
        if self.battery is None:
            return
        now_s = self._reactor.seconds()
        locks = [simulator.lock for simulator in self.simulators.values() if simulator.lock is not None]
        self.battery.locked = any(lock.locked(now_s) for lock in locks)
        self.battery.advance(self._net_a(), now_s)

    def _soc_pct(self) -> float:
        return 0.0 if self.battery is None else self.battery.soc_pct

    def roof_a(self) -> PhaseAmps:
        """What the roof gives; nothing at a site without a meter for it."""
        if not any(device.sees == "solar" for device in self._plan.devices):
            return NO_AMPS
        return self.roof.gives_a(self._reactor.seconds())

    def _source(self, device: DevicePlan) -> Callable[[], PhaseAmps]:
        def site_a() -> PhaseAmps:
            if device.sees == "load":
                return self.house.load_a(self._reactor.seconds())
            if device.sees == "solar":
                one, two, three = self.roof_a()
                return -one, -two, -three
            self._advance_chargers()
            if device.sees == "storage":
                self._advance_battery()
                return self.battery_a()
            return self.charging_a(*device.chargers) if device.sees == "chargers" else self.grid_a()

        def own_a() -> PhaseAmps:
            amps = site_a()
            own = [amps[phase] for phase in device.phases] + [0.0, 0.0]
            return own[0], own[1], own[2]

        return own_a

    def _advance_chargers(self) -> None:
        for simulator in self.simulators.values():
            if simulator.box is not None:
                simulator.advance()

    def advance(self) -> None:
        """Bring the whole site up to the clock; done by itself while the service runs."""
        now_s = self._reactor.seconds()
        for visits in self.visits.values():
            visits.advance(now_s)
        for simulator in self.simulators.values():
            simulator.advance()
        self._advance_battery()

    # -- service -----------------------------------------------------------------------------------------------------

    def startService(self) -> None:
        """Listen on every line; each line that several devices share is opened once."""
        shared: dict[str, list[DevicePlan]] = {}
        for number, device in enumerate(self._plan.devices):
            endpoint = device.address.endpoint
            shared.setdefault(f"{endpoint}#{number}" if endpoint.endswith(":0") else endpoint, []).append(device)
        try:
            for devices in shared.values():
                self._listen(devices)
        except ConfigError:
            self._close_lines()
            raise
        self._loop = LoopingCall(self._step)
        self._loop.clock = self._reactor
        self._loop.start(STEP_S)
        super().startService()  # type: ignore[no-untyped-call]

    def _listen(self, devices: list[DevicePlan]) -> None:
        line = listen(devices[0].address, [self.simulators[device.id] for device in devices], self._reactor)
        self._lines.append(line)
        for device in devices:
            self.addresses[device.id] = _with_endpoint(device.address, line.endpoint)

    def _step(self) -> None:
        with self.log.failuresHandled("a step of the simulated site failed; it goes on"):
            self.advance()

    def _close_lines(self) -> Deferred[Any]:
        lines, self._lines = self._lines, []
        return DeferredList([line.stop() for line in lines], consumeErrors=True)

    def stopService(self) -> Deferred[Any]:
        super().stopService()  # type: ignore[no-untyped-call]
        if self._loop is not None and self._loop.running:
            self._loop.stop()
        return self._close_lines()

    # -- looking and changing ----------------------------------------------------------------------------------------

    def truth(self) -> dict[str, Any]:
        """What is really so everywhere."""
        self.advance()
        now_s = self._reactor.seconds()
        return {
            "house_a": [round(amps, 3) for amps in self.house.load_a(now_s)],
            "solar_a": [round(amps, 3) for amps in self.roof_a()],
            "charging_a": [round(amps, 3) for amps in self.charging_a()],
            "storage_a": [round(amps, 3) for amps in self.battery_a()],
            "storage_pct": None if self.battery is None else round(self.battery.soc_pct, 3),
            "grid_a": [round(amps, 3) for amps in self.grid_a()],
            "devices": {
                name: simulator.truth() | {"address": self.addresses.get(name)}
                for name, simulator in self.simulators.items()
            },
        }

    def change(self, what: Mapping[str, Any]) -> None:
        """``house_a`` and ``solar_a`` (three numbers, or null to let them breathe), ``visits`` (false: nobody comes
        or goes by itself) and ``devices``: by name, what ``Simulator.change`` takes. Raises: ConfigError."""
        for key, value in what.items():
            if key == "house_a":
                self.house.held_a = _three(key, value)
            elif key == "solar_a":
                self.roof.held_a = _three(key, value)
            elif key == "storage_pct" and self.battery is not None:
                self.battery.soc_pct = three_amps(key, (value, 0, 0))[0]
            elif key == "visits":
                for visits in self.visits.values():
                    visits.paused = not value
            elif key == "devices" and isinstance(value, Mapping):
                for name, changes in value.items():
                    self._change_device(name, changes)
            else:
                raise ConfigError(key, "is nothing that a simulated site can do")
        self.advance()

    def _change_device(self, name: str, changes: Any) -> None:
        if name not in self.simulators:
            raise ConfigError(f"devices.{name}", f"known are {', '.join(self.simulators)}")
        if not isinstance(changes, Mapping):
            raise ConfigError(f"devices.{name}", "an object is needed")
        if "plugged" in changes and name in self.visits:
            self.visits[name].paused = True
        self.simulators[name].change(changes)


def _three(key: str, value: Any) -> PhaseAmps | None:
    return None if value is None else three_amps(key, value)


def _with_endpoint(address: Address, endpoint: str) -> str:
    """The same address where the line really is: the port may have been 0."""
    if isinstance(address, RtuAddress | OcppAddress):
        return str(address)
    return str(attrs.evolve(address, host=LOOPBACK, port=int(endpoint.rpartition(":")[2])))
