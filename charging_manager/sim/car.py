"""A car at a charge point: what it draws of what it is offered. No I/O; the time is handed in.

It begins 1 to 2 s after it is offered enough, has followed a new offer within 5 s (IEC 61851-1 allows that), draws less
and less when it is nearly full, finishes, and gives up after three pauses until it is plugged in anew or woken.
"""

from __future__ import annotations

import math
from random import Random

LOWEST_A = 6.0
"""Below this a pilot signal offers nothing (IEC 61851-1)."""

STOP_S = 1.0
"""How soon it stops after the offer is withdrawn."""


class Car:
    """One vehicle. Currents are per phase; all the phases that it uses carry the same."""

    def __init__(
        self,
        *,
        wants_a: float = 16.0,
        phases: int = 3,
        needs_wh: float = 30_000.0,
        taper_wh: float = 1_500.0,
        lowest_a: float = LOWEST_A,
        onset_s: float = 1.5,
        follow_s: float = 3.0,
        patience: int | None = 3,
    ) -> None:
        self.wants_a = wants_a
        self.phases = phases
        self.needs_wh = needs_wh
        self.taper_wh = taper_wh
        """From so little left on it draws less and less."""
        self.lowest_a = lowest_a
        self.onset_s = onset_s
        self.follow_s = follow_s
        self.patience = patience
        """After so many pauses it gives up; None: never."""
        self.disobeys = False
        """Draws what it wants, whatever it is offered."""
        self.current_a = 0.0
        self.pauses = 0
        self._start_a = 0.0
        self._goal_a = 0.0
        self._since_s: float | None = None

    @classmethod
    def any(cls, random: Random) -> Car:
        """A car as they come: most on three phases at 16 A, some small, some with a long way behind them."""
        phases = random.choice((3, 3, 3, 2, 1))
        return cls(
            wants_a=random.choice((16.0, 16.0, 20.0, 32.0)) if phases != 2 else 16.0,
            phases=phases,
            needs_wh=random.uniform(4_000, 40_000),
            onset_s=random.uniform(1.0, 2.0),
            follow_s=random.uniform(2.0, 4.8),
        )

    @property
    def full(self) -> bool:
        """Nothing more fits in."""
        return self.needs_wh <= 0

    @property
    def asleep(self) -> bool:
        """It was paused too often and asks for nothing any more."""
        return self.patience is not None and self.pauses >= self.patience

    @property
    def asks(self) -> bool:
        """Whether it would charge if it could."""
        return not self.full and not self.asleep and self.wants_a > 0

    def wake(self) -> None:
        """The pilot signal was gone for a moment: it begins anew."""
        self.pauses = 0

    def offered(self, amps: float, now_s: float) -> float:
        """The box offers so much per phase (below 6 A: a pause); what the car draws per phase now."""
        goal_a = self._would_draw(amps)
        if self._since_s is None:
            self._since_s = now_s
        if abs(goal_a - self._goal_a) > 1e-9:
            if goal_a == 0 and self._goal_a > 0 and not self.full and amps < LOWEST_A:
                self.pauses += 1
            self._start_a, self._goal_a, self._since_s = self.current_a, goal_a, now_s
        self.current_a = self._on_its_way(now_s - self._since_s)
        return self.current_a

    def charge(self, wh: float) -> None:
        """So much energy came in."""
        self.needs_wh -= wh

    def _would_draw(self, amps: float) -> float:
        if self.disobeys:
            return self.wants_a
        if not self.asks or amps < max(LOWEST_A, self.lowest_a):
            return 0.0
        taper_a = self.wants_a
        if self.needs_wh < self.taper_wh:
            # In steps of half an ampere, as cars do: a goal that creeps would never be reached.
            taper_a = math.ceil(2 * self.wants_a * max(0.15, self.needs_wh / self.taper_wh)) / 2
        return min(amps, self.wants_a, max(taper_a, 2.0))

    def _on_its_way(self, for_s: float) -> float:
        """Between the old current and the new one, ``for_s`` after the offer changed."""
        if self._goal_a == self._start_a:
            return self._goal_a
        if self._goal_a == 0:
            return 0.0 if for_s >= STOP_S else self._start_a
        begins_s = self.onset_s if self._start_a == 0 else 0.2 * self.follow_s
        if for_s < begins_s:
            return self._start_a
        ramp_s = max(self.follow_s - begins_s, 0.2)
        share = min(1.0, (for_s - begins_s) / ramp_s)
        start_a = self._start_a if self._start_a > 0 else min(LOWEST_A, self._goal_a)
        return start_a + (self._goal_a - start_a) * share
