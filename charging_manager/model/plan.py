"""What control decided: a setpoint and its reason for every charge point, and what each circuit still has."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from attrs import field, frozen

from charging_manager.model.outside import NOTHING_KNOWN, Outside
from charging_manager.model.reading import Obedience, Reading
from charging_manager.model.site import Site
from charging_manager.model.units import PhaseAmps
from charging_manager.model.wish import Wish


@frozen
class Because:
    """The limit or rule that set a number: a stable code, and the fields of its sentence (charging_manager.words)."""

    code: str
    fields: Mapping[str, str | float | int] = field(factory=dict)


@frozen
class Setpoint:
    """The most that one charge point may draw per phase; 0 A means pause."""

    charge_point: str
    current_a: float
    because: Because
    phases: int | None = None
    """1 or 3: so many shall be used, where the box can switch; None: as they are."""


@frozen
class Budget:
    """A circuit now, per phase: limit less reserve, used (house and charging), free. inf: unknown."""

    circuit: str
    limit_a: PhaseAmps
    used_a: PhaseAmps
    free_a: PhaseAmps
    stale: bool
    """Its meter is silent for too long, so that ``fallback_a`` holds."""


@frozen
class SiteImage:
    """All that a decision may know; frozen, so that it cannot change while it is judged."""

    now_s: float
    number: int
    site: Site
    readings: Mapping[str, tuple[Reading, ...]]
    """By device, newest last, those of the last 30 s; a device that never answered is missing."""
    obedience: Mapping[str, Obedience]
    """By charge point; all of the site's are there."""
    last_plan: Plan | None = None
    overrides: Mapping[str, float] = field(factory=dict)
    """By charge point: a highest current (0 A pauses) until the car is unplugged."""
    wishes: Mapping[str, Wish] = field(factory=dict)
    """By charge point, where there is any."""
    outside: Outside = NOTHING_KNOWN
    now_at: datetime | None = None
    """Local time of the site, aware: for rules, prices and goals alone. None: unknown."""


@frozen
class Plan:
    """One decision; it comes back in the next image as ``last_plan``. ``memory`` is control's own."""

    number: int
    decided_s: float
    setpoints: Mapping[str, Setpoint]
    budgets: Mapping[str, Budget]
    memory: object = None
    storage_locked: bool = False
    """Storage batteries shall give nothing now: what they gave would go into fast charging."""
    surplus_w: float | None = None
    """What the sun leaves for cars that follow it, what they draw included; None: not known, or nobody asks."""
    phase_switches: Mapping[str, int] = field(factory=dict)
    """By charge point: how often its phases were switched since the program started."""
    violations: tuple[str, ...] = ()
    """Invariants (docs/control.md) that this decision broke, for the log: empty unless there is a bug."""
    workings: object = field(default=None, eq=False, repr=False)
    """How it was come to: control's own, for ``control.chain``. Not to be kept longer than the plan itself."""


class Step(StrEnum):
    """The links of a decision, in order."""

    LIMIT = "limit"  # what box, wiring and hardware allow
    DEMAND = "demand"  # what mode, sun, goal and the car ask for
    SHARE = "share"  # what circuits give, beside others
    RULE = "rule"  # what rules, a hand or the grid operator leave
    SETPOINT = "setpoint"  # what is sent: rounded, in steps, after others


@frozen
class Note:
    """One thing that counted in a link, with the current that it alone would allow; None: it bounds nothing."""

    because: Because
    allows_a: float | None = None


@frozen
class Link:
    """One step of a decision: what it allows, and why; the most telling fact stands first."""

    step: Step
    allows_a: float | None
    facts: tuple[Note, ...]
    binds: bool = False
    """This link set the number."""


@frozen
class Decision:
    """The record of one decision for one charge point: limit, demand, share, rule, setpoint."""

    charge_point: str
    number: int
    setpoint_a: float
    phases: int | None
    because: Because
    links: tuple[Link, ...]
