"""A charge point as it really is, second by second: it obeys late, and its car follows later still.

Currents are whole milliamperes, so that sums over a day stay exact. Energy is worked out when somebody asks: between
two changes the current is constant.
"""

from __future__ import annotations

from charging_manager.model.reading import Obedience, Reading, Status
from charging_manager.model.site import ChargePoint
from charging_manager.twin.cars import VOLTS, CarKind, Visit, level_a, next_level_wh
from charging_manager.twin.scenario import BoxKind

WAKE_MA = 500
"""More than this is charging, for the box's status."""
NOBODYS = CarKind()
SWITCH_S = 10
"""Between one and three phases the contactor stays open for so long."""


class Stay:
    """One visit as it went; seconds are of the run."""

    __slots__ = ("box", "delivered_wh", "full_s", "left_s", "longest_wait_s", "since_s", "starts", "visit", "waited_s")

    def __init__(self, visit: Visit, box: str, at_s: int) -> None:
        self.visit, self.box, self.since_s = visit, box, at_s
        self.left_s: int | None = None
        self.full_s: int | None = None
        self.delivered_wh = 0.0
        self.waited_s = 0
        """Plugged in, not full, and without current."""
        self.longest_wait_s = 0
        self.starts = 0
        """How often its contactor closed."""


class Box:
    """One charge point. ``lines`` are where its currents flow, from its circuit to the root."""

    __slots__ = (
        "bases",
        "confirmed_a",
        "current_ma",
        "due_s",
        "energy_wh",
        "flows_ma",
        "goal_ma",
        "index",
        "kind",
        "limit_a",
        "obedience",
        "offset_s",
        "pending",
        "phases_used",
        "point",
        "since_s",
        "started_wh",
        "stay",
        "switching_s",
        "told",
        "total_ma",
        "version",
        "waiting_since_s",
        "wanted_phases",
    )

    def __init__(self, index: int, point: ChargePoint, kind: BoxKind, bases: tuple[int, ...]) -> None:
        self.index, self.point, self.kind, self.bases = index, point, kind, bases
        self.offset_s = 0.1 + 0.8 * ((index * 0.618034) % 1.0)
        """So long before each full second it is read."""
        self.stay: Stay | None = None
        self.limit_a = 0.0
        self.confirmed_a: float | None = 0.0
        self.told: object = None
        """The last setpoint that was sent, as it came."""
        self.pending: list[tuple[int, int, float]] = []
        """Setpoints on their way: when they take effect, when they are confirmed, amperes."""
        self.goal_ma = self.current_ma = 0
        self.due_s = 0
        """When its car begins to draw, or has waited long enough to follow."""
        self.flows_ma = [0, 0, 0]
        self.total_ma = 0
        """Over all phases."""
        self.energy_wh = 0.0
        self.since_s = 0
        self.started_wh = 0.0
        self.waiting_since_s: int | None = None
        self.phases_used = len(point.phases)
        self.wanted_phases: int | None = None
        self.switching_s: int | None = None
        self.version = 0
        self.obedience = self._obedience()

    def charged_wh(self, at_s: float) -> float:
        """What it has delivered in all."""
        return self.energy_wh + self.total_ma * VOLTS / 1000.0 * (at_s - self.since_s) / 3600.0

    def left_wh(self, at_s: float) -> float:
        """What its car still needs."""
        return 0.0 if self.stay is None else self.stay.visit.needs_wh - (self.charged_wh(at_s) - self.started_wh)

    @property
    def asks(self) -> bool:
        """Whether a car is here that is not full."""
        return self.stay is not None and self.stay.full_s is None

    def plug(self, visit: Visit, at_s: int) -> Stay:
        """A car comes."""
        self._book(at_s)
        self.stay = Stay(visit, self.point.id, at_s)
        self.started_wh = self.energy_wh
        self.waiting_since_s = at_s
        return self.stay

    def unplug(self, at_s: int) -> Stay | None:
        """It goes, whatever it was doing."""
        stay = self.stay
        if stay is not None:
            self._book(at_s)
            self._wait_ends(at_s)
            stay.left_s = at_s
            stay.delivered_wh = self.energy_wh - self.started_wh
        self.stay = None
        self.goal_ma = 0
        self._draw(0, at_s)
        return stay

    def move(self, point: ChargePoint, bases: tuple[int, ...], at_s: int) -> None:
        """It was configured anew: other phases, another circuit, or only another limit."""
        self._book(at_s)
        if len(point.phases) != len(self.point.phases):
            self.phases_used = len(point.phases)
        self.point, self.bases = point, bases
        self.obedience = self._obedience()
        self._flow()

    def want(self, amps: float, phases: int | None, at_s: int) -> bool:
        """The controller has spoken; whether that is anything new."""
        last = self.pending[-1][2] if self.pending else self.limit_a
        news = amps != last
        if news:
            self.pending.append((at_s + 1, at_s + self.kind.confirm_s, amps))
            self.obedience = self._obedience()
        if phases is not None and self.kind.switches_phases and phases != self.phases_used:
            self.wanted_phases, news = phases, True
        return news

    def step(self, at_s: int) -> bool:
        """What changes by itself at this second; False when it is at rest."""
        if self.pending:
            self._obey(at_s)
        if self.wanted_phases is not None or self.switching_s is not None:
            self._switch(at_s)
        goal = self._goal(at_s)
        if goal != self.goal_ma:
            if self.current_ma == 0 and goal:
                self.due_s = at_s + self._kind_of_car().onset_s
            elif goal and self.goal_ma == self.current_ma:
                self.due_s = at_s + 1
            self.goal_ma = goal
        current = self.current_ma
        if goal != current:
            if goal == 0:
                self._draw(0, at_s)
            elif at_s >= self.due_s:
                pace = 32_000 // max(1, self._kind_of_car().follow_s - 1)
                if current == 0:
                    current = min(goal, 6_000)
                    self._draw(current, at_s)
                else:
                    self._draw(min(goal, current + pace) if goal > current else max(goal, current - pace), at_s)
        return bool(self.pending) or self.current_ma != self.goal_ma or self.switching_s is not None

    def next_level_s(self, at_s: int, grid_s: int = 1) -> int | None:
        """When its car takes less by itself, if it goes on like this."""
        if self.stay is None or not self.total_ma or self.stay.full_s is not None:
            return None
        left = self.left_wh(at_s)
        wait = (left - next_level_wh(self.stay.visit.kind, left)) * 3_600_000.0 / (self.total_ma * VOLTS)
        due_s = at_s + max(1, int(wait) + 1)
        return -(-due_s // grid_s) * grid_s

    def reading(self, now_s: float, at_s: int) -> Reading:
        """What it shows: its state in the second that ends at ``at_s``."""
        stay = self.stay
        total = self.charged_wh(at_s - self.offset_s)
        if stay is None:
            status = Status.FREE
        else:
            status = Status.CHARGING if self.current_ma > WAKE_MA else Status.PLUGGED
        one, two, three = self.flows_ma
        return Reading(
            self.point.id,
            now_s - self.offset_s,
            (one / 1000.0, two / 1000.0, three / 1000.0),
            power_w=self.total_ma * VOLTS / 1000.0,
            energy_wh=total,
            session_wh=None if stay is None else max(0.0, total - self.started_wh),
            status=status,
            setpoint_a=self.limit_a,
        )

    def _kind_of_car(self) -> CarKind:
        return NOBODYS if self.stay is None else self.stay.visit.kind

    def _obey(self, at_s: int) -> None:
        left = []
        for effective_s, confirmed_s, amps in self.pending:
            if at_s >= effective_s:
                self.limit_a = amps
            if at_s >= confirmed_s:
                self.confirmed_a = amps
            else:
                left.append((effective_s, confirmed_s, amps))
        if len(left) != len(self.pending):
            self.pending = left
            self.obedience = self._obedience()

    def _switch(self, at_s: int) -> None:
        if self.switching_s is None:
            self.switching_s = at_s + SWITCH_S
        elif at_s >= self.switching_s:
            if self.wanted_phases is not None:
                self.phases_used = self.wanted_phases
            self.wanted_phases = self.switching_s = None
            self.obedience = self._obedience()

    def _goal(self, at_s: int) -> int:
        stay = self.stay
        if stay is None or stay.full_s is not None or self.switching_s is not None:
            return 0
        kind = stay.visit.kind
        if self.limit_a < kind.min_a:
            return 0
        left = self.left_wh(at_s)
        if left <= 1e-6:
            stay.full_s = at_s
            self._wait_ends(at_s)
            return 0
        return int(1000 * min(self.limit_a, level_a(kind, left)))

    def _draw(self, milliamps: int, at_s: int) -> None:
        if milliamps == self.current_ma:
            return
        self._book(at_s)
        stay = self.stay
        if stay is not None and milliamps and not self.current_ma:
            stay.starts += 1
            self._wait_ends(at_s)
        elif stay is not None and not milliamps and stay.full_s is None:
            self.waiting_since_s = at_s
        self.current_ma = milliamps
        self._flow()

    def _flow(self) -> None:
        """The car's current on the phases that it uses."""
        stay = self.stay
        flows = [0, 0, 0]
        if stay is not None:
            for phase in self.point.phases[: min(stay.visit.kind.phases, self.phases_used)]:
                flows[phase] = self.current_ma
        self.flows_ma, self.total_ma = flows, sum(flows)

    def _book(self, at_s: int) -> None:
        self.energy_wh = self.charged_wh(at_s)
        self.since_s = at_s
        self.version += 1

    def _wait_ends(self, at_s: int) -> None:
        if self.waiting_since_s is not None and self.stay is not None:
            waited = at_s - self.waiting_since_s
            self.stay.waited_s += waited
            self.stay.longest_wait_s = max(self.stay.longest_wait_s, waited)
        self.waiting_since_s = None

    def _obedience(self) -> Obedience:
        return Obedience(
            max(32.0, self.point.max_a),
            max((amps for _, _, amps in self.pending), default=None),
            self.confirmed_a,
            6.0,
            60.0,
            True,
            0.0,
            self.kind.switches_phases,
            self.phases_used if self.kind.switches_phases else None,
        )
