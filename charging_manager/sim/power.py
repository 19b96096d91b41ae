"""What flows: a charge point with its car, and a measured line. Sans-io; ``advance`` is told the time."""

from __future__ import annotations

from collections.abc import Callable

from charging_manager.model.units import NO_AMPS, PhaseAmps
from charging_manager.sim.car import LOWEST_A, Car

VOLTAGES: PhaseAmps = (230.4, 229.6, 231.2)
"""Of L1, L2 and L3: different, so that a driver which swaps phases is seen."""

SPREAD_A = 0.15
"""How much less each further phase of a car draws, for the same reason."""


class Outlet:
    """One connector of a charge point: what its box offers, and what the car there draws, on the box's own phases."""

    def __init__(self, wired_phases: int = 3) -> None:
        self.wired_phases = wired_phases
        self.car: Car | None = None
        self.fault = False
        self.phases_on = 3
        self.rfid = ""
        self.current_a: PhaseAmps = NO_AMPS
        self.energy_wh = 1_234_567.0
        self.session_wh = 0.0
        self._last_s: float | None = None

    def plug(self, car: Car) -> None:
        """A car comes; its session begins."""
        self.car = car
        self.session_wh = 0.0

    def unplug(self) -> Car | None:
        """The car goes."""
        car, self.car = self.car, None
        self.current_a = NO_AMPS
        return car

    @property
    def power_w(self) -> PhaseAmps:
        """Per phase, in watts."""
        a, v = self.current_a, VOLTAGES
        return (a[0] * v[0], a[1] * v[1], a[2] * v[2])

    @property
    def charging(self) -> bool:
        """Whether current flows."""
        return self.current_a[0] > 0

    def advance(self, offered_a: float, now_s: float) -> None:
        """The time is now ``now_s``, and since the last call the box has offered ``offered_a``."""
        before = self.power_w
        car = self.car
        if car is None or self.fault:
            self.current_a = NO_AMPS
        else:
            amps = car.offered(offered_a if offered_a >= LOWEST_A else 0.0, now_s)
            used = min(car.phases, self.phases_on, self.wired_phases)
            on = [max(0.0, amps - index * SPREAD_A) if index < used and amps > 0 else 0.0 for index in range(3)]
            self.current_a = (on[0], on[1], on[2])
        if self._last_s is not None and now_s > self._last_s:
            wh = sum(a + b for a, b in zip(before, self.power_w, strict=True)) / 2 * (now_s - self._last_s) / 3600
            if wh:
                self.energy_wh += wh
                self.session_wh += wh
                if car is not None:
                    car.charge(wh)
        self._last_s = now_s


class Flow:
    """A measured line: signed currents (positive is consumption) and the energies of both directions."""

    def __init__(self, source: Callable[[], PhaseAmps], energy_wh: float = 5_000_000.0, export_wh: float = 750_000.0):
        self.source = source
        self.current_a: PhaseAmps = NO_AMPS
        self.energy_l_wh = [energy_wh / 3] * 3
        self.export_l_wh = [export_wh / 3] * 3
        self._last_s: float | None = None

    @property
    def power_w(self) -> PhaseAmps:
        """Per phase, in watts, signed."""
        a, v = self.current_a, VOLTAGES
        return (a[0] * v[0], a[1] * v[1], a[2] * v[2])

    def advance(self, now_s: float) -> None:
        """The time is now ``now_s``."""
        if self._last_s is not None and now_s > self._last_s:
            for phase, power_w in enumerate(self.power_w):
                wh = abs(power_w) * (now_s - self._last_s) / 3600
                (self.energy_l_wh if power_w > 0 else self.export_l_wh)[phase] += wh
        self._last_s = now_s
        self.current_a = self.source()
