"""A home with a roof, cars and perhaps a storage battery, stepped each half second beside the real ``decide``.

What truly flows is known here: what cars took from the grid is measured against the same second without them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from attrs import define, evolve, field

from charging_manager.control.decide import Rules, decide
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Obedience, Reading, Status
from charging_manager.model.site import (
    ChargePoint,
    Circuit,
    Meter,
    MeterRole,
    Mode,
    Site,
    SolarSettings,
    StorageRole,
    check_site,
)

STEP_S = 0.5
VOLTS = 230.0


@define
class Vehicle:
    """A box with its car. It begins ``onset_s`` after it may, and follows by ``ramp_a_per_s``."""

    phases: int = 3
    """That the car can load."""
    max_a: float = 16.0
    switches: bool = False
    onset_s: float = 1.5
    ramp_a_per_s: float = 4.0
    confirm_s: float = 0.5
    switch_takes_s: float = 8.0
    comes_back: bool = True
    """It charges again after its phases were switched."""
    wants: bool = True
    plugged: bool = True

    limit_a: float = 0.0
    current_a: float = 0.0
    boxed: int = 3
    energy_wh: float = 0.0
    starts: int = 0
    changes: list[tuple[float, float]] = field(factory=list)
    """Setpoints as they changed."""
    switched: int = 0
    sulks: bool = False
    _told: list[tuple[float, float]] = field(factory=list)
    _may_s: float | None = None
    _switch_s: float | None = None
    _want: int | None = None

    def tell(self, now: float, amps: float, phases: int | None) -> None:
        if not self.changes or self.changes[-1][1] != amps:
            self.changes.append((now, amps))
            self._told.append((now + self.confirm_s, amps))
        if self.switches and phases is not None and phases != self.boxed and self._switch_s is None:
            assert self.current_a == 0.0 and amps == 0.0, "switched under current"
            self._switch_s, self._want = now + self.switch_takes_s, phases

    def step(self, now: float) -> None:
        while self._told and now >= self._told[0][0]:
            self.limit_a = self._told.pop(0)[1]
        if self._switch_s is not None and now >= self._switch_s:
            self.boxed, self._switch_s = self._want or self.boxed, None
            self.switched += 1
            self.sulks = not self.comes_back
        target = 0.0
        if self.plugged and self.wants and not self.sulks and self.limit_a >= 6.0 and self._switch_s is None:
            self._may_s = now if self._may_s is None else self._may_s
            if now - self._may_s >= self.onset_s:
                target = min(self.limit_a, self.max_a)
        else:
            self._may_s = None
        was = self.current_a
        if target == 0.0:
            self.current_a = 0.0
        elif target > was:
            self.current_a = min(target, max(was, 0.0) + self.ramp_a_per_s * STEP_S)
        else:
            self.current_a = max(target, was - self.ramp_a_per_s * STEP_S)
        if was == 0.0 and self.current_a > 0.0:
            self.starts += 1

    @property
    def loads(self) -> int:
        return min(self.phases, self.boxed if self.switches else 3)

    @property
    def power_w(self) -> float:
        return self.current_a * self.loads * VOLTS

    def obedience(self) -> Obedience:
        told = max((amps for _, amps in self._told), default=None)
        return Obedience(
            32.0,
            told,
            self.limit_a,
            0.0,
            60.0,
            answering=True,
            silent_s=0.0,
            switches_phases=self.switches,
            phases=self.boxed if self.switches and self._switch_s is None else None,
        )

    def reading(self, name: str, now: float) -> Reading:
        amps = [self.current_a if phase < self.loads else 0.0 for phase in range(3)]
        status = Status.CHARGING if self.current_a > 0.5 else Status.PLUGGED if self.plugged else Status.FREE
        return Reading(
            name, now, (amps[0], amps[1], amps[2]), (VOLTS,) * 3, self.power_w, status=status, session_wh=self.energy_wh
        )


@define
class Store:
    """A storage battery that brings the grid to zero, within its power and energy, about a second late."""

    role: StorageRole = StorageRole.HOUSE
    most_w: float = 3000.0
    size_wh: float = 8000.0
    soc: float = 0.5
    power_w: float = 0.0
    says_soc: bool = True
    apart: bool = False
    """Another device, of the inverter, says the state of charge."""
    locked: bool = False
    into_cars_wh: float = 0.0

    def step(self, grid_w: float) -> None:
        """``grid_w`` with what it does now."""
        want = self.power_w - grid_w
        least = 0.0 if self.soc <= 0.05 or self.locked else -self.most_w
        most = 0.0 if self.soc >= 1.0 else self.most_w
        want = min(most, max(least, want))
        self.power_w += (want - self.power_w) * 0.5
        self.soc = min(1.0, max(0.0, self.soc + self.power_w * STEP_S / 3600.0 / self.size_wh))


class Home:
    """All of it. ``sun_w`` and ``house_w`` have a value for each second from the start."""

    def __init__(
        self,
        sun_w: Sequence[float],
        house_w: Sequence[float],
        vehicles: dict[str, Vehicle],
        *,
        mode: Mode = Mode.SOLAR,
        store: Store | None = None,
        solar: SolarSettings | None = None,
        storage_lock: bool = False,
        limit_a: float = 63.0,
    ) -> None:
        points = {name: ChargePoint(name, name, "main", max_a=32.0, mode=mode, priority=0) for name in vehicles}
        meters = {"grid": Meter("grid", "grid", "main", MeterRole.GRID)}
        if store is not None:
            meters["store"] = Meter("store", "store", "main", MeterRole.STORAGE, storage=store.role)
            if store.apart:
                meters["inverter"] = Meter("inverter", "inverter", "main", MeterRole.STORAGE, storage=store.role)
        self.site = check_site(
            Site(
                "home",
                "none",
                {"main": Circuit("main", "main", None, (limit_a,) * 3, meter="grid")},
                points,
                meters,
                solar=solar or SolarSettings(),
                storage_lock=storage_lock,
            )
        )
        self.sun_w, self.house_w, self.vehicles, self.store = sun_w, house_w, vehicles, store
        self.rules = Rules()
        self.decide = decide
        self.now_s = self.start_s = 1000.0
        self.number = 0
        self.plan: Plan | None = None
        self.history: dict[str, list[Reading]] = {}
        self.caused_wh = self.grid_wh = 0.0
        self.meter_silent = False
        self.violations: list[str] = []
        self.reasons: dict[str, set[str]] = {name: set() for name in vehicles}

    @property
    def charged_wh(self) -> float:
        return sum(vehicle.energy_wh for vehicle in self.vehicles.values())

    @property
    def left_wh(self) -> float:
        """What a perfect car without a minimum could have had of the sun."""
        return sum(max(0.0, sun - house) for sun, house in zip(self.sun_w, self.house_w, strict=False)) / 3600.0

    def set_mode(self, name: str, mode: Mode) -> None:
        points = dict(self.site.charge_points)
        points[name] = evolve(points[name], mode=mode)
        self.site = evolve(self.site, charge_points=points)

    def run(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s - 1e-9:
            self.now_s += STEP_S
            self._step()

    def flows(self) -> tuple[float, float]:
        """From the grid, and what cars draw."""
        second = min(int(self.now_s - self.start_s), len(self.sun_w) - 1)
        cars = sum(vehicle.power_w for vehicle in self.vehicles.values())
        stored = self.store.power_w if self.store else 0.0
        return self.house_w[second] + cars + stored - self.sun_w[second], cars

    def beside(self) -> dict[str, Any]:
        """What else an image says, by its fields."""
        return {}

    def _step(self) -> None:
        hours = STEP_S / 3600.0
        for vehicle in self.vehicles.values():
            vehicle.step(self.now_s)
            vehicle.energy_wh += vehicle.power_w * hours
        grid, cars = self.flows()
        if self.store is not None:
            self.store.locked = self.plan is not None and self.plan.storage_locked
            self.store.step(grid)
            grid, cars = self.flows()
            self.store.into_cars_wh += min(cars, max(0.0, -self.store.power_w)) * hours
        self.caused_wh += (max(0.0, grid) - max(0.0, grid - cars)) * hours
        self.grid_wh += max(0.0, grid) * hours
        at = self.now_s - self.start_s
        if abs(at % 1.0) < 1e-6:
            self._read(grid)
            self._decide()
        elif self.store is not None:
            soc = {"soc_pct": 100.0 * self.store.soc} if self.store.says_soc else {}
            if self.store.apart:
                self._keep(Reading("inverter", self.now_s, values=soc))
                soc = {}
            self._keep(Reading("store", self.now_s, power_w=self.store.power_w, values=soc))

    def _read(self, grid: float) -> None:
        for name, vehicle in self.vehicles.items():
            self._keep(vehicle.reading(name, self.now_s))
        if not self.meter_silent:
            own = [0.0, 0.0, 0.0]
            for vehicle in self.vehicles.values():
                for phase in range(vehicle.loads):
                    own[phase] += vehicle.current_a
            rest = (grid - sum(own) * VOLTS) / 3.0 / VOLTS
            amps = [one + rest for one in own]
            self._keep(Reading("grid", self.now_s - 0.3, (amps[0], amps[1], amps[2]), (VOLTS,) * 3, grid))

    def _keep(self, reading: Reading) -> None:
        kept = self.history.setdefault(reading.device, [])
        kept.append(reading)
        while kept[0].taken_s < self.now_s - 30.0:
            kept.pop(0)

    def _decide(self) -> None:
        self.number += 1
        image = SiteImage(
            self.now_s,
            self.number,
            self.site,
            {name: tuple(kept) for name, kept in self.history.items()},
            {name: vehicle.obedience() for name, vehicle in self.vehicles.items()},
            self.plan,
            **self.beside(),
        )
        self.plan = self.decide(image, self.rules)
        self.violations += self.plan.violations
        for name, setpoint in self.plan.setpoints.items():
            self.vehicles[name].tell(self.now_s, setpoint.current_a, setpoint.phases)
            self.reasons[name].add(setpoint.because.code)


def report(name: str, home: Home) -> str:
    """The figures of a scenario, for people."""
    cars = ", ".join(
        f"{key}: {vehicle.energy_wh / 1000:.1f} kWh, {vehicle.starts} starts, {vehicle.switched} switches, "
        f"{len(vehicle.changes)} setpoints"
        for key, vehicle in home.vehicles.items()
    )
    part = 100.0 * home.caused_wh / home.charged_wh if home.charged_wh else math.nan
    used = 100.0 * home.charged_wh / home.left_wh if home.left_wh else math.nan
    return f"{name}: from the grid {part:.2f} % of what was charged, {used:.0f} % of the sun used; {cars}"
