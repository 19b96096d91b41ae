"""A car that follows the sun, as one decision looks at it."""

from __future__ import annotations

from charging_manager.control.phases import used_phases
from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen
from charging_manager.control.sunmemory import SunPast, Surplus
from charging_manager.control.surplus import volts
from charging_manager.model.mode import Mode
from charging_manager.model.reading import Obedience
from charging_manager.model.site import SolarSettings

IDLE_S = 30.0
"""A car that has taken nothing for so long does not hold others up."""


class Follower:
    """Scratch of one decision for one car."""

    __slots__ = (
        "affordable",
        "before_w",
        "minimum_w",
        "obedience",
        "past",
        "per_a",
        "rest_s",
        "seen",
        "settings",
        "switching",
        "target_a",
        "top_w",
        "unit_w",
        "wait_s",
        "waits_w",
    )

    before_w: float
    """What those before it may use."""
    per_a: float
    """Watts of one ampere on the phases it uses."""
    wait_s: float
    """So long must the sun last before it starts,"""
    waits_w: float
    """with so much,"""
    rest_s: float
    """and so long after it was paused for want of it."""
    affordable: bool
    """Clouds as of late would not cost too much from the grid."""

    def __init__(self, seen: Seen, past: SunPast, settings: SolarSettings, obedience: Obedience | None) -> None:
        self.seen, self.past, self.settings, self.obedience = seen, past, settings, obedience
        self.target_a = self.before_w = self.wait_s = self.waits_w = self.rest_s = 0.0
        self.affordable = True
        self.switching = False
        self.unit_w = volts(seen.readings[-1] if seen.readings else None)
        self.sized(used_phases(seen, past, obedience))

    def sized(self, phases: int) -> None:
        """On so many phases."""
        self.per_a = phases * self.unit_w
        self.minimum_w = self.seen.outlet.lowest_a * self.per_a
        self.top_w = max(self.seen.cap_a * self.per_a, self.minimum_w)

    @property
    def alone(self) -> bool:
        """By the sun alone."""
        return self.seen.mode is not Mode.MIN_SOLAR

    def idle(self, now: float) -> bool:
        """It may charge and does not."""
        since_s = self.seen.past.idle_s
        return self.past.on and since_s is not None and now - since_s >= IDLE_S

    def spent(self, rules: Rules) -> float:
        """How much of what may come from the grid is used up; 1 is all."""
        if not self.alone:
            return 0.0
        may_wh = self.settings.grid_pct / 100.0 * self.past.charged_wh + rules.sun_free_wh
        return self.past.grid_wh / max(may_wh, 0.001)


def worn(past: SunPast, now: float, rules: Rules) -> float:
    """By how much starts of late make the next one wait longer."""
    starts = sum(now - at_s < rules.sun_forget_s for at_s in past.starts_s)
    return rules.sun_rest_grows ** min(rules.sun_rests, max(0, starts - 1))


def affordable(car: Follower, surplus: Surplus, phases: int, rules: Rules) -> bool:
    """Whether clouds as those of late would not cost too much from the grid."""
    rides = surplus.rides
    return not rides or rides[phases == 3].part <= rules.sun_dare * car.settings.grid_pct / 100.0


def three_after_s(car: Follower, surplus: Surplus, rules: Rules) -> float:
    """So long must there have been enough for three phases: longer until it is known how the weather is today."""
    proven = bool(surplus.rides) and surplus.rides[1].seconds >= rules.sun_ride_s
    return car.settings.three_after_s if proven else max(car.settings.three_after_s, rules.sun_proof_s)
