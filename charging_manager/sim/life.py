"""Cars that come and go at a simulated charge point, seeded. No I/O; the time is handed in."""

from __future__ import annotations

from random import Random

from charging_manager.sim.car import Car
from charging_manager.sim.simulator import Simulator


class Visits:
    """One charge point's guests: somebody is there most of the time."""

    def __init__(self, simulator: Simulator, seed: int, *, away_s: float = 40.0, stays_s: float = 300.0) -> None:
        self._simulator = simulator
        self._random = Random(seed)  # noqa: S311 - guests, not a secret
        self._away_s = away_s
        self._stays_s = stays_s
        self._next_s: float | None = None
        self.paused = False
        """While a person or a test steers the cars."""

    def advance(self, now_s: float) -> None:
        """The time is now ``now_s``; maybe somebody comes or goes."""
        if self._next_s is None:
            self._next_s = now_s + self._random.uniform(0.05, 0.5) * self._away_s
        if self.paused or now_s < self._next_s:
            return
        if self._simulator.outlet().car is None:
            self._simulator.plug(Car.any(self._random))
            self._next_s = now_s + self._random.uniform(0.6, 1.6) * self._stays_s
        else:
            self._simulator.unplug()
            self._next_s = now_s + self._random.uniform(0.5, 1.5) * self._away_s
