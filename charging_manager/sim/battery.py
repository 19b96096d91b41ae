"""A storage battery behind the meter: it keeps what flows through the grid connection at zero, as far as it can."""

from __future__ import annotations

from charging_manager.model.units import NO_AMPS, PhaseAmps

VOLTS = 230.0
LEAST_PCT, MOST_PCT = 5.0, 100.0


class Battery:
    """Currents are per phase; positive is charging. It loads its three phases alike."""

    def __init__(
        self, *, capacity_wh: float = 10_000.0, most_a: float = 16.0, soc_pct: float = 60.0, follow_s: float = 2.0
    ) -> None:
        self.capacity_wh = capacity_wh
        self.most_a = most_a
        self.soc_pct = soc_pct
        self.follow_s = follow_s
        """From nothing to all that it can within so long."""
        self.locked = False
        """It gives nothing."""
        self.current_a = 0.0
        self._last_s: float | None = None

    @property
    def flows_a(self) -> PhaseAmps:
        """What it draws (positive) or gives on every phase."""
        return (self.current_a,) * 3 if self.current_a else NO_AMPS

    def advance(self, net_a: PhaseAmps, now_s: float) -> None:
        """The time is now ``now_s``; without it ``net_a`` would flow through the grid connection."""
        for_s = 0.0 if self._last_s is None else max(0.0, now_s - self._last_s)
        self._last_s = now_s
        self.soc_pct += 100 * 3 * self.current_a * VOLTS * for_s / 3600 / self.capacity_wh
        self.soc_pct = min(MOST_PCT, max(0.0, self.soc_pct))
        aim_a = max(-self.most_a, min(self.most_a, -sum(net_a) / 3))
        if self.locked or self.soc_pct <= LEAST_PCT:
            aim_a = max(0.0, aim_a)
        if self.soc_pct >= MOST_PCT:
            aim_a = min(0.0, aim_a)
        step_a = self.most_a * for_s / self.follow_s if self.follow_s > 0 else 2 * self.most_a
        self.current_a += max(-step_a, min(step_a, aim_a - self.current_a))
