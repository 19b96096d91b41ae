"""What one decision leaves to the next: frozen, and control's own."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from charging_manager.control.instants import NOWHERE, Instants
from charging_manager.control.planned import Planned
from charging_manager.control.rulebook import NOTHING_RULED, Ruled
from charging_manager.control.sunmemory import NOTHING_SUNNY, SunMemory
from charging_manager.control.wiring import Wiring
from charging_manager.model.units import NO_AMPS, MaybePhaseAmps, PhaseAmps


@frozen
class Peak:
    """The highest voltage of the last minutes, for power limits: setpoints shall not swing with the last volt."""

    volts: float
    at_s: float


@frozen
class Past:
    """What is remembered of one charge point, from plug-in on."""

    plugged_s: float | None = None
    paused_s: float | None = None
    """Since when it is at 0 for want of current."""
    turn_s: float | None = None
    """When its turn began; None: it has none now."""
    turn_used_s: float = 0.0
    """Of a turn that was cut short: how much of it is used up."""
    turn_start_wh: float = 0.0
    turn_ended_s: float | None = None
    turn_wh: float = 0.0
    """Energy of its last turn."""
    lowered_s: float | None = None
    raised_s: float | None = None
    phases: int = 0
    """Bits of the site's phases that its car is known to use; 0: not known yet."""
    pattern: int = 0
    """Bits that carry current now, and since when they are the same."""
    pattern_s: float = 0.0
    less_s: float | None = None
    """Since when it takes less than it was offered."""
    idle_s: float | None = None
    """Since when it takes nothing although it may."""
    steady_a: PhaseAmps = NO_AMPS
    """Its current within ``STEADY_A`` of this since ``steady_s``."""
    steady_s: float = float("-inf")
    wants_a: float | None = None
    """The most that it seems to want; None: not known."""
    volts: Peak | None = None
    """Where the box has a power limit of its own."""


@frozen
class Watch:
    """What is remembered of one meter."""

    seen_s: float = float("-inf")
    good_s: float | None = None
    silent: bool = True
    goods: int = 0
    hold_until_s: float = float("-inf")
    back_s: float = float("-inf")
    currents_a: MaybePhaseAmps = (None, None, None)
    """Of the last good reading."""
    values: tuple[object, ...] = ()
    since_s: float = float("-inf")
    """When ``values`` were first seen."""
    least_a: PhaseAmps = NO_AMPS
    most_a: PhaseAmps = NO_AMPS
    """Between which charging below lay then, and for as long as it may show it late."""
    differs_s: float | None = None
    """Since when charging differs from that while the values stay exactly the same."""
    same_s: float | None = None
    """Since when charging is what it was then."""
    frozen: bool = False


@frozen
class House:
    """What is believed of a circuit's house load, per phase, and readings of its meter that are not settled yet."""

    believed_a: PhaseAmps
    """By all settled readings: it moves only as far as one of them forces it to."""
    highest_a: PhaseAmps
    """What it may be by the last settled reading."""
    peak_a: PhaseAmps
    """Its highest of late, sinking slowly: how far it jitters."""
    settled_s: float
    """When the last settled reading was taken."""
    metered_a: PhaseAmps
    """The newest reading."""
    pending: tuple[tuple[float, MaybePhaseAmps], ...] = ()
    trail: tuple[tuple[float, PhaseAmps], ...] = ()
    """House load to lower by, of the last seconds: whether it goes on rising."""


@frozen
class Overdraft:
    """A line that went on to carry more than its limit, and gets so much less until it has cooled."""

    over_s: float | None
    """Since when it carries more than its limit."""
    least_a: float
    """How much more, at least, since then."""
    current_a: float = 0.0
    until_s: float = float("-inf")


NO_PLANS: Mapping[str, Planned] = {}


@frozen
class Heat:
    """How warm a phase of a breaker is: 1 is where the first one that meets its standard may trip."""

    heat: float
    at_s: float
    flow_a: float
    bears: bool = False
    """It bears more than its limit for now."""


@frozen
class Memory:
    """All of it."""

    wiring: Wiring
    pasts: Mapping[str, Past] = field(factory=dict)
    watches: Mapping[str, Watch] = field(factory=dict)
    houses: Mapping[str, House] = field(factory=dict)
    overdrafts: Mapping[tuple[str, int], Overdraft] = field(factory=dict)
    tree_s: float = float("-inf")
    """When the circuits were changed last."""
    starving: Mapping[str, int] = field(factory=dict)
    """Cycles for which a waiting car could have had its minimum: the monitor's count for I3."""
    instants: Instants = NOWHERE
    """What o'clock it is, for sentences."""
    ruled: Ruled = NOTHING_RULED
    plans: Mapping[str, Planned] = NO_PLANS
    """By charge point, of cars in mode Plan."""
    heats: Mapping[tuple[str, int], Heat] = field(factory=dict)
    """By circuit and phase, where a breaker was entered."""
    volts: Mapping[str, Peak] = field(factory=dict)
    """By circuit that has a power limit."""
    sun: SunMemory = NOTHING_SUNNY
