"""What following the sun leaves from one decision to the next: frozen, a part of ``memory.Memory``."""

from __future__ import annotations

import math
from collections.abc import Mapping

from attrs import field, frozen

KEEP_S = 7200.0
"""Nothing is asked of the sun that is longer ago."""
ENOUGH, SITS_OUT_S = 13.0 / 12.0, 300.0
"""Of its minimum a car starts, and for so long it goes on without, in a ride."""
QUANTUM_W = 20.0
"""As finely is it remembered how low the surplus was."""


@frozen
class Lows:
    """How low something has been of late, so that « for how long has there been so much » has a quick answer.

    ``steps`` are instants and values, both rising: after each of them it was never again as low.
    """

    since_s: float = math.inf
    """Since when it is known without a gap."""
    steps: tuple[tuple[float, float], ...] = ()

    def noted(self, now_s: float, value: float) -> Lows:
        """The same, with what it is now."""
        value = math.floor(value / QUANTUM_W) * QUANTUM_W
        steps = self.steps
        end = len(steps)
        while end and steps[end - 1][1] >= value:
            end -= 1
        start = 0
        while start < end and steps[start][0] < now_s - KEEP_S:
            start += 1
        since_s = max(min(self.since_s, now_s), now_s - KEEP_S)
        return Lows(since_s, (*steps[start:end], (now_s, value)))

    def lowest(self, now_s: float, within_s: float) -> float:
        """The lowest of so long; minus infinity where it is not known for so long."""
        if self.since_s > now_s - within_s:
            return -math.inf
        return next((value for at_s, value in self.steps if at_s >= now_s - within_s), -math.inf)

    def lasted_s(self, now_s: float, value: float) -> float:
        """For how long it has been at least so much."""
        for at_s, low in reversed(self.steps):
            if low < value:
                return now_s - at_s
        return max(0.0, now_s - self.since_s)


@frozen
class Ride:
    """What a car would have had of late that starts with enough sun and sits out clouds: means of watts, older ones
    fading. Time without any sun to start with is no part of it."""

    taken_w: float = 0.0
    short_w: float = 0.0
    """What the sun would not have given it of that."""
    on: bool = False
    short_s: float | None = None
    seconds: float = 0.0
    """For how long it was on."""

    def noted(
        self, now_s: float, since_s: float, surplus_w: float, least_w: float, most_w: float, over_s: float
    ) -> Ride:
        """With what it would have had since so long ago; the mean is one over so long."""
        short_s = None if surplus_w >= least_w else now_s if self.short_s is None else self.short_s
        on = surplus_w >= least_w * ENOUGH or (self.on and (short_s is None or now_s - short_s < SITS_OUT_S))
        if not on:
            return Ride(self.taken_w, self.short_w, on, short_s, self.seconds)
        taken_w = min(most_w, max(least_w, surplus_w))
        short_w = taken_w - max(0.0, min(taken_w, surplus_w))
        part = -math.expm1(-since_s / over_s) if self.taken_w else 1.0
        return Ride(
            self.taken_w + (taken_w - self.taken_w) * part,
            self.short_w + (short_w - self.short_w) * part,
            on,
            short_s,
            self.seconds + since_s,
        )

    @property
    def part(self) -> float:
        """How much of it the grid would have given."""
        return self.short_w / self.taken_w if self.taken_w > 0.0 else 0.0


@frozen
class Surplus:
    """What the sun leaves for cars that follow it, what they draw included. Watts."""

    power_w: float | None = None
    """Believed now; None: not known."""
    seen_s: float = -math.inf
    """When the newest reading was taken."""
    settled_s: float = -math.inf
    """When the newest reading was taken of which it is known what cars drew then."""
    falls_w_per_s: float = 0.0
    """How fast it goes on falling."""
    trail: tuple[tuple[float, float], ...] = ()
    rides: tuple[Ride, ...] = ()
    """Of a car on one phase, and of one on three."""
    lows: Lows = Lows()
    foreign_w: float | None = None
    """By the newest reading: what comes from the grid, and a part of what storage batteries for the house give."""


@frozen
class SunPast:
    """What is remembered of one charge point that follows the sun, from plug-in on."""

    on: bool = False
    """By the sun it may charge."""
    short_s: float | None = None
    """Since when there is too little sun for its minimum."""
    stopped_s: float | None = None
    """When it was paused for want of sun."""
    starts_s: tuple[float, ...] = ()
    """When it was started, or switched: each is a wear."""
    charged_wh: float = 0.0
    grid_wh: float = 0.0
    """How much of that was drawn from the grid because of it."""
    used: int = 0
    """How many phases its car was seen to load; 0: not known."""
    phases: int | None = None
    """How many it was told to use."""
    chosen: int | None = None
    """How many it shall come to use, where its box can switch."""
    switch_s: float | None = None
    """Since when it is being switched."""
    switched_s: float = -math.inf
    fixed: bool = False
    """It is switched no more while this car is here: the car did not come back, or the box did not obey."""


@frozen
class SunMemory:
    """All of it."""

    surplus: Surplus = Surplus()
    pasts: Mapping[str, SunPast] = field(factory=dict)
    switches: Mapping[str, int] = field(factory=dict)
    """By charge point: how often its phases were switched since the program started."""
    gives: frozenset[str] = frozenset()
    """Storage batteries that are full enough to give to cars."""
    locked: bool = False
    unlock_s: float | None = None
    """Since when there is no more reason for the lock of storage batteries."""
    decided_s: float | None = None


NOTHING_SUNNY = SunMemory()
