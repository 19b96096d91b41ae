"""A simulated site for control alone: wires, cars and boxes that obey late, fall silent and come back.

It steps in quarters of a second; readings are taken at each device's own instants and decisions every second. What
truly flows is known here and nowhere else, so that tests can compare it with what control believed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import datetime, timedelta

from attrs import define, evolve, field

from charging_manager.control.decide import Rules, decide
from charging_manager.model.outside import NOTHING_KNOWN, Dimming
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Obedience, Reading, Status
from charging_manager.model.site import ChargePoint, Mode, Site
from charging_manager.model.wish import Wish

STEP_S = 0.25


@define
class Car:
    """Draws what it may on its phases (the box's own, 0 to 2), after an onset and with a ramp."""

    phases: tuple[int, ...] = (0, 1, 2)
    max_a: float = 32.0
    ramp_a_per_s: float = 8.0
    onset_s: float = 1.5
    wants: bool = True


@define(slots=False)
class Box:
    """A charge point as it really is."""

    point: ChargePoint
    hardware_max_a: float = 32.0
    car: Car | None = None
    fallback_a: float | None = 0.0
    fallback_after_s: float | None = 30.0
    confirm_s: float = 0.5
    """From the write to the confirmation; the box itself follows in between."""
    gap_s: float = 0.0
    """Least time between two writes."""
    poll_s: float = 1.0
    offset_s: float = 0.0
    measures: bool = True
    shows_volts: bool = True
    lag_s: float = 0.0
    """So late does it show its current."""
    resolution_a: float = 0.0
    shown: list[tuple[float, tuple[float, float, float]]] = field(factory=list)

    switches: bool = False
    """It can be told to use one phase or three; it does so late, when told, and stops for that by itself."""
    boxed: int = 3
    switch_takes_s: float = 3.0
    switch_s: float | None = None
    wanted_phases: int = 3

    limit_a: float = 0.0
    """What the box really allows now."""
    current_a: float = 0.0
    silent_since_s: float | None = None
    answered_s: float | None = None
    wanted_a: float | None = None
    written_s: float = -math.inf
    writing: list[tuple[float, float]] = field(factory=list)
    commanded_a: float | None = None
    confirmed_a: float | None = None
    may_since_s: float | None = None
    energy_wh: float = 0.0
    goes_wild_s: float | None = None
    """A box without watchdog that restarts at its hardware maximum, so long after it fell silent."""

    def apply(self, amps: float, phases: int | None = None) -> None:
        self.wanted_a = amps
        if self.switches and phases is not None and phases != self.boxed and self.switch_s is None:
            self.switch_s, self.wanted_phases = 0.0, phases

    def step(self, now: float) -> None:
        silent = self.silent_since_s is not None
        if silent:
            self.writing.clear()
            gone_s = now - (self.silent_since_s or 0.0)
            if self.fallback_a is not None and gone_s >= (self.fallback_after_s or 0.0):
                self.limit_a = self.fallback_a
            if self.goes_wild_s is not None and gone_s >= self.goes_wild_s:
                self.limit_a = self.hardware_max_a
        for at_s, amps in list(self.writing):
            if now >= at_s - self.confirm_s / 2:
                self.limit_a = amps
            if now >= at_s:
                self.writing.remove((at_s, amps))
                self.confirmed_a = amps
                rest = [later for _, later in self.writing]
                self.commanded_a = max(rest) if rest else None
        if not silent and self.wanted_a is not None and now - self.written_s >= self.gap_s and not self.writing:
            known = self.confirmed_a
            if known != self.wanted_a:
                self.commanded_a = max(self.wanted_a, self.commanded_a or 0.0)
                self.writing.append((now + self.confirm_s, self.wanted_a))
                self.written_s = now
        if self.switch_s is not None and not silent:
            self.switch_s += STEP_S
            if self.switch_s >= self.switch_takes_s and self.current_a == 0.0:
                self.boxed, self.switch_s = self.wanted_phases, None
        self._draw(now)

    def _draw(self, now: float) -> None:
        car = self.car
        target = 0.0
        if car is not None and car.wants and self.limit_a >= 6.0:
            self.may_since_s = now if self.may_since_s is None else self.may_since_s
            if now - self.may_since_s >= car.onset_s:
                target = min(self.limit_a, car.max_a)
        else:
            self.may_since_s = None
        ramp = (car.ramp_a_per_s if car is not None else 1000.0) * STEP_S
        if target > self.current_a:
            self.current_a = min(target, self.current_a + ramp)
        else:
            self.current_a = max(target, self.current_a - max(ramp, self.current_a if target == 0.0 else ramp))
        if self.lag_s:
            self.shown.append((now, self.flows()))
        self.energy_wh += self.current_a * 230.0 * (len(car.phases) if car else 0) * STEP_S / 3600.0

    def flows(self) -> tuple[float, float, float]:
        amps = [0.0, 0.0, 0.0]
        if self.car is not None:
            for own in self.car.phases:
                if own < len(self.point.phases) and own < self.boxed:
                    amps[self.point.phases[own]] = self.current_a
        return amps[0], amps[1], amps[2]

    def shows(self, now: float) -> tuple[float, float, float]:
        """Its currents as it displays them: late, and in steps."""
        while len(self.shown) > 1 and self.shown[1][0] <= now - self.lag_s:
            self.shown.pop(0)
        one, two, three = self.shown[0][1] if self.shown else self.flows()
        step = self.resolution_a
        return (one, two, three) if not step else (one // step * step, two // step * step, three // step * step)

    def read(self, now: float, volts: float = 230.0) -> Reading:
        self.answered_s = now
        if self.car is None:
            status = Status.FREE
        else:
            status = Status.CHARGING if self.current_a > 0.5 else Status.PLUGGED
        current = self.shows(now) if self.measures else (None, None, None)
        voltage = (volts, volts, volts) if self.shows_volts else (None, None, None)
        return Reading(self.point.id, now, current, voltage, status=status, session_wh=self.energy_wh)

    def obedience(self, now: float) -> Obedience:
        answering = self.silent_since_s is None and self.answered_s is not None
        return Obedience(
            self.hardware_max_a,
            self.commanded_a,
            self.confirmed_a,
            self.fallback_a,
            self.fallback_after_s,
            answering,
            None if self.answered_s is None else (0.0 if answering else now - self.answered_s),
            self.switches,
            self.boxed if self.switches and self.switch_s is None else None,
        )


def _path(site: Site, circuit: str) -> list[str]:
    return [above.id for above in site.path_to_root(circuit)]


class World:
    """The whole site, and the loop that an agent would run on it."""

    def __init__(self, site: Site, rules: Rules | None = None, start_s: float = 5000.0) -> None:
        self.site = site
        self.rules = rules or Rules()
        self.now_s = self.start_s = start_s
        self.number = 0
        self.plan: Plan | None = None
        self.boxes = {name: Box(point) for name, point in site.charge_points.items()}
        self.house = {name: [0.0, 0.0, 0.0] for name in site.circuits}
        self.changed_s = dict.fromkeys(site.circuits, -math.inf)
        self.woken_s = dict.fromkeys(site.circuits, -math.inf)
        self.meter_silent_s: dict[str, float] = {}
        """Silent meters, and since when."""
        self.meter_frozen: dict[str, Reading] = {}
        """What meters go on showing, whatever flows; their counters run on."""
        self.below = {
            name: [point.id for point in site.charge_points.values() if name in _path(site, point.circuit)]
            for name in site.circuits
        }
        self._under = {name: [low for low in site.circuits if name in _path(site, low)] for name in site.circuits}
        self.meter_offset_s = dict.fromkeys(site.meters, 0.0)
        self.noise: Callable[[], float] = lambda: 0.0
        self.history: dict[str, list[Reading]] = {}
        self.overrides: dict[str, float] = {}
        self.wishes: dict[str, Wish] = {}
        self.volts = 230.0
        self.start_at: datetime | None = None
        """What o'clock it was when the story began."""
        self.dimming: Dimming | None = None
        self.ordered_s = -math.inf
        """When the grid operator's order changed last."""
        self.heats = {
            (circuit.id, phase): 0.0 for circuit in site.circuits.values() if circuit.breaker for phase in range(3)
        }
        """Of breakers, as the judges reckon it."""
        self.hot_since_s: dict[tuple[str, int], float] = {}
        self.decide = decide
        self.chance = random.Random(0)
        self.sunny = False
        self.watchers: list[Callable[[World], None]] = []
        """Called after every quarter of a second."""
        self.judges: list[Callable[[World, SiteImage, Plan], None]] = []
        """Called after every decision."""

    def set_house(self, circuit: str, amps: float | tuple[float, float, float]) -> None:
        three = (amps, amps, amps) if isinstance(amps, int | float) else amps
        if list(three) != self.house[circuit]:
            self.house[circuit] = list(three)
            self.changed_s[circuit] = self.now_s

    def set_mode(self, name: str, mode: Mode) -> None:
        points = dict(self.site.charge_points)
        points[name] = evolve(points[name], mode=mode)
        self.site = evolve(self.site, charge_points=points)
        self.boxes[name].point = points[name]

    def order(self, watts: float | None, names: frozenset[str] | None = None) -> None:
        """The grid operator dims these charge points (None: all), or ends it."""
        self.dimming = None if watts is None else Dimming(watts, "api", names)
        self.ordered_s = self.now_s

    def silence(self, name: str) -> None:
        self.boxes[name].silent_since_s = self.now_s

    def wake(self, name: str) -> None:
        box = self.boxes[name]
        if box.silent_since_s is not None:
            box.silent_since_s = None
            for above in self.site.path_to_root(box.point.circuit):
                self.woken_s[above.id] = self.now_s
            box.confirmed_a, box.commanded_a = box.limit_a, None  # read back

    def flow(self, circuit: str, *, house_only: bool = False) -> list[float]:
        """What truly flows through a circuit."""
        total = [0.0, 0.0, 0.0]
        for name in self._under[circuit]:
            for phase in range(3):
                total[phase] += self.house[name][phase]
        if not house_only:
            for name in self.below[circuit]:
                for phase, amps in enumerate(self.boxes[name].flows()):
                    total[phase] += amps
        return total

    def last_change_s(self, circuit: str) -> float:
        """When house load at or below it changed last."""
        return max(self.changed_s[name] for name in self._under[circuit])

    def hide_meter(self, meter: str) -> None:
        self.meter_silent_s.setdefault(meter, self.now_s)

    def show_meter(self, meter: str) -> None:
        if self.meter_silent_s.pop(meter, None) is not None:
            for above in self.site.path_to_root(self.site.meters[meter].circuit):
                self.changed_s[above.id] = self.now_s

    def freeze_meter(self, meter: str) -> None:
        self.meter_frozen[meter] = self.history[meter][-1]

    def is_unseen(self, circuit: str) -> bool:
        """Whether its house load cannot be known now."""
        meter = self.site.circuits[circuit].meter
        if meter is not None:
            return meter in self.meter_silent_s
        return any(self.site.circuits[low].meter in self.meter_silent_s for low in self._under[circuit])

    def run(self, seconds: float) -> None:
        end = self.now_s + seconds
        while self.now_s < end - 1e-9:
            self.now_s = round(self.now_s + STEP_S, 6)
            self._step()

    def _step(self) -> None:
        now = self.now_s
        for box in self.boxes.values():
            box.step(now)
        for name, box in self.boxes.items():
            phase = (now - self.start_s - box.offset_s) % box.poll_s
            if box.silent_since_s is None and min(phase, box.poll_s - phase) < 1e-6:
                self._keep(name, box.read(now, self.volts))
        for meter in self.site.meters.values():
            phase = (now - self.start_s - self.meter_offset_s[meter.id]) % 1.0
            if meter.id not in self.meter_silent_s and min(phase, 1.0 - phase) < 1e-6:
                amps = [x + self.noise() for x in self.flow(meter.circuit)]
                volts = self.volts + 1e-9 * (now % 7.0)  # a voltage never stands still
                shown = Reading(meter.id, now, (amps[0], amps[1], amps[2]), (volts, volts, volts))
                shown = self.meter_frozen.get(meter.id, shown)
                self._keep(meter.id, evolve(shown, taken_s=now, energy_wh=now))
        for watcher in self.watchers:
            watcher(self)
        if abs((now - self.start_s) % 1.0) < 1e-6:
            self._cycle()

    def _keep(self, name: str, reading: Reading) -> None:
        kept = self.history.setdefault(name, [])
        kept.append(reading)
        while kept and kept[0].taken_s < self.now_s - 30.0:
            kept.pop(0)

    def image(self) -> SiteImage:
        readings = {}
        for name, kept in self.history.items():
            fresh = tuple(reading for reading in kept if reading.taken_s >= self.now_s - 30.0)
            if fresh:
                readings[name] = fresh
        obedience = {name: box.obedience(self.now_s) for name, box in self.boxes.items()}
        outside = NOTHING_KNOWN if self.dimming is None else evolve(NOTHING_KNOWN, dimming=self.dimming)
        return SiteImage(
            self.now_s,
            self.number,
            self.site,
            readings,
            obedience,
            self.plan,
            dict(self.overrides),
            dict(self.wishes),
            outside,
            None if self.start_at is None else self.start_at + timedelta(seconds=self.now_s - self.start_s),
        )

    def _cycle(self) -> None:
        self.number += 1
        image = self.image()
        plan = self.decide(image, self.rules)
        for judge in self.judges:
            judge(self, image, plan)
        self.plan = plan
        for name, setpoint in plan.setpoints.items():
            self.boxes[name].apply(setpoint.current_a, setpoint.phases)
