"""What else draws current at a simulated site, and what the roof gives: seeded, so that a run can be repeated."""

from __future__ import annotations

import math
from random import Random

from charging_manager.model.units import PhaseAmps

RAMP_S = 20.0
"""A peak builds up over so long: appliances come one after another."""


class House:
    """A load that breathes, and once in a while a peak that forces charging down."""

    def __init__(
        self,
        seed: int = 1,
        *,
        base_a: float = 4.0,
        breath_a: float = 1.5,
        peak_a: float = 12.0,
        peak_every_s: float = 150.0,
        peak_for_s: float = 45.0,
    ) -> None:
        self._random = Random(seed)  # noqa: S311 - weather, not a secret
        self.base_a = base_a
        self.breath_a = breath_a
        self.peak_a = peak_a
        self.peak_every_s = peak_every_s
        self.peak_for_s = peak_for_s
        self.held_a: PhaseAmps | None = None
        """A fixed load instead, while it is not None."""
        self._turns = [self._random.uniform(0, 2 * math.pi) for _ in range(3)]
        self._began_s: float | None = None
        self._peak_s = 0.0
        self._peak_l_a: PhaseAmps = (0.0, 0.0, 0.0)

    def load_a(self, now_s: float) -> PhaseAmps:
        """The load on L1, L2 and L3 of the site."""
        if self.held_a is not None:
            return self.held_a
        if self._began_s is None:
            self._began_s = now_s
            self._next_peak(now_s + self._random.uniform(0.2, 0.4) * self.peak_every_s)
        if now_s > self._peak_s + self.peak_for_s + RAMP_S:
            self._next_peak(now_s + self._random.uniform(0.6, 1.2) * self.peak_every_s)
        since_s = now_s - self._peak_s
        height = max(0.0, min(1.0, since_s / RAMP_S, (self.peak_for_s + RAMP_S - since_s) / RAMP_S))
        loads = []
        for phase, turn in enumerate(self._turns):
            wave = math.sin(now_s / 23 + turn) + 0.4 * math.sin(now_s / 7 + 2 * turn)
            loads.append(max(0.3, self.base_a + self.breath_a * wave / 1.4 + height * self._peak_l_a[phase]))
        return loads[0], loads[1], loads[2]

    def _next_peak(self, at_s: float) -> None:
        self._peak_s = at_s
        shares = [self._random.uniform(0.6, 1.0) for _ in range(3)]
        self._peak_l_a = (self.peak_a * shares[0], self.peak_a * shares[1], self.peak_a * shares[2])


class Roof:
    """Solar power under passing clouds; a day takes ``day_s``."""

    def __init__(self, seed: int = 1, *, peak_a: float = 10.0, day_s: float = 1200.0) -> None:
        self._turn = Random(seed + 1).uniform(0, 2 * math.pi)  # noqa: S311 - as above
        self.peak_a = peak_a
        self.day_s = day_s
        self.held_a: PhaseAmps | None = None

    def gives_a(self, now_s: float) -> PhaseAmps:
        """What it gives on each phase, in positive amperes."""
        if self.held_a is not None:
            return self.held_a
        sun = max(0.15, math.sin(math.pi * ((now_s / self.day_s + 0.3) % 1.0)))
        clouds = 0.75 + 0.25 * math.sin(now_s / 31 + self._turn) * math.sin(now_s / 13)
        amps = self.peak_a * sun * clouds
        return amps, amps * 0.99, amps * 0.98
