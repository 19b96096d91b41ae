"""What truly flows at a site: boxes and cars, houses, a roof, a battery. Pure; it knows no controller.

``advance`` goes from one instant to the next at which anything can change; between them every current is constant,
so that each second's load is accounted for without being looked at one by one. What the site would show to an agent
is in ``readings``.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from attrs import frozen

from charging_manager.model.plan import Plan
from charging_manager.model.reading import Reading
from charging_manager.model.site import MeterRole, Site
from charging_manager.twin.box import Box, Stay
from charging_manager.twin.cars import VOLTS, Visit
from charging_manager.twin.scenario import BoxKind, StorageKind

KEPT_S = 30.0
BASE_S = 10_000.0
"""The monotonic clock at the start of a run."""
STORAGE_DEAD_W = 50.0
NEVER = 1 << 60


@frozen
class HouseNow:
    """From now on a circuit's own load is this, in milliamperes; where a roof is measured apart it is without it."""

    circuit: str
    load_ma: tuple[int, int, int]


@frozen
class SunNow:
    """From now on the roof gives this."""

    power_w: float


@frozen
class SiteNow:
    """From now on the site is configured so: charge points and circuits may have come, gone or moved."""

    site: Site
    solar_circuit: str | None = None


Event = tuple[int, HouseNow | SunNow | SiteNow]
"""The second from which on it holds, and what."""


class Flows:
    """The powers of the whole site now, in watts, for whoever keeps account."""

    __slots__ = ("charging_w", "house_w", "solar_w", "storage_w")

    def __init__(self) -> None:
        self.charging_w = self.house_w = self.solar_w = self.storage_w = 0.0
        """Storage is positive while it is charged."""

    @property
    def grid_w(self) -> float:
        return self.house_w + self.charging_w + self.storage_w - self.solar_w


class Plant:
    """The site as it is. ``events`` and ``visits`` come in order of time."""

    def __init__(
        self,
        site: Site,
        events: Iterable[Event],
        visits: Iterable[Visit],
        boxes: Mapping[str, BoxKind] | None = None,
        storage: StorageKind | None = None,
        solar_circuit: str | None = None,
        grid_s: int = 1,
        later: Sequence[Site] = (),
    ) -> None:
        """``grid_s``: cars take less by themselves only at multiples of it. ``later``: the sites that will come among
        the events, so that circuits and charge points keep their numbers throughout."""
        self._grid_s = grid_s
        self.site = site
        self.now_s = 0
        sites = (site, *later)
        self.circuits = tuple(dict.fromkeys(name for each in sites for name in each.circuits))
        """All that there are at any time."""
        self.configured = {
            name: tuple(dict.fromkeys(each.circuits[name] for each in sites if name in each.circuits))
            for name in self.circuits
        }
        """By circuit: how it was and will be configured, the newest last."""
        self.bases = self._paths(site)
        """By circuit that is there now: the first of three lines of each circuit from it to the root."""
        self.line_ma = [0] * 3 * len(self.circuits)
        """What flows on every line, net; negative flows back."""
        self.changed: set[int] = set()
        """Circuits (their first line) where something has changed since this was cleared."""
        kinds = boxes or {}
        points = {name: point for each in reversed(sites) for name, point in each.charge_points.items()}
        self.boxes = {
            name: Box(index, points[name], kinds.get(name, BoxKind()), self.bases.get(points[name].circuit, ()))
            for index, name in enumerate(dict.fromkeys(name for each in sites for name in each.charge_points))
        }
        """All that there are at any time, as they are first."""
        self.flows = Flows()
        self.came_or_went = False
        """Since somebody cleared it: a car came or went, which changes what is shown before any current does."""
        self.stays: list[Stay] = []
        self.turned_away: list[Visit] = []
        """Cars that found no free charge point."""
        self._events: Iterator[Event] = iter(events)
        self._next: Event | None = next(self._events, None)
        self._visits: Iterator[Visit] = iter(visits)
        self._comes: Visit | None = next(self._visits, None)
        self._leaving: list[tuple[int, int, Box, Stay]] = []
        self._levels: list[tuple[int, int, int, Box]] = []
        self._moving: dict[int, Box] = {}
        self._houses: dict[str, tuple[int, int, int]] = {}
        self._solar = self.bases[solar_circuit] if solar_circuit is not None else ()
        self._solar_ma = (0, 0, 0)
        self._storage, self._storage_bases = storage, self.bases[storage.circuit] if storage is not None else ()
        self._storage_ma = 0
        """On each phase; positive while it is charged."""
        self.storage_wh = storage.capacity_wh * storage.start_pct / 100.0 if storage is not None else 0.0
        self._storage_since_s = 0
        self._storage_due = storage is not None
        self.storage_locked = False
        meters = dict.fromkeys(name for each in sites for name in each.meters)
        self._offsets = {name: 0.05 + 0.9 * ((i * 0.414214) % 1.0) for i, name in enumerate(meters)}
        self._recent: dict[str, tuple[Reading, ...]] = {}

    @property
    def moving(self) -> bool:
        """Something is on its way: the next second differs from this one."""
        return bool(self._moving) or self._storage_due

    @property
    def somebody_asks(self) -> bool:
        """A car is here that is not full."""
        return any(box.asks for box in self.boxes.values())

    @property
    def next_arrival_s(self) -> int:
        """When the next car comes; far off if none does."""
        return NEVER if self._comes is None else self._comes.arrive_s

    def next_s(self) -> int:
        """The next second at which anything can change by itself."""
        if self.moving:
            return self.now_s + 1
        at = self.next_arrival_s
        if self._next is not None:
            at = min(at, self._next[0])
        if self._leaving:
            at = min(at, self._leaving[0][0])
        while self._levels and self._levels[0][2] != self._levels[0][3].version:
            heapq.heappop(self._levels)
        if self._levels:
            at = min(at, self._levels[0][0])
        edge = self._storage_edge_s()
        return max(self.now_s + 1, min(at, edge))

    def advance(self, to_s: int) -> None:
        """Everything that happens at ``to_s``; nothing does between now and then (see ``next_s``)."""
        self.now_s = to_s
        if self._storage is not None:
            self._store(to_s)
        touched = self._moving
        while self._leaving and self._leaving[0][0] <= to_s:
            _, _, box, stay = heapq.heappop(self._leaving)
            if box.stay is stay:
                self._change(box, to_s, box.unplug)
                self.came_or_went = True
        while self._next is not None and self._next[0] <= to_s:
            what = self._next[1]
            self._next = next(self._events, None)
            if isinstance(what, HouseNow):
                self._house(what)
            elif isinstance(what, SunNow):
                self._sun(what)
            else:
                self._rebuild(what, to_s)
        while self._comes is not None and self._comes.arrive_s <= to_s:
            self._arrive(self._comes, to_s)
            self._comes = next(self._visits, None)
        while self._levels and self._levels[0][0] <= to_s:
            _, _, version, box = heapq.heappop(self._levels)
            if version == box.version:
                touched[box.index] = box
        for box in list(touched.values()):
            before, version = box.flows_ma, box.version
            if not box.step(to_s):
                del touched[box.index]
            if box.flows_ma is not before:
                self._flow(box.bases, before, box.flows_ma)
                self.flows.charging_w = round(self.flows.charging_w + (sum(box.flows_ma) - sum(before)) * 0.23, 3)
            at = box.next_level_s(to_s, self._grid_s) if version != box.version or box.index not in touched else None
            if at is not None:
                heapq.heappush(self._levels, (at, box.index, box.version, box))

    def want(self, plan: Plan) -> bool:
        """Setpoints go out; whether any is new."""
        news = False
        for name, setpoint in plan.setpoints.items():
            box = self.boxes[name]
            if setpoint is not box.told:
                box.told = setpoint
                if box.want(setpoint.current_a, setpoint.phases, self.now_s):
                    self._moving[box.index] = box
                    news = True
        if plan.storage_locked != self.storage_locked:
            self.storage_locked, self._storage_due = plan.storage_locked, self._storage is not None
        return news

    def present(self) -> tuple[str, ...]:
        """The charge points that matter: with a car, or not at rest at 0 A yet."""
        return tuple(
            name
            for name, box in self.boxes.items()
            if (box.stay is not None or box.limit_a > 0.0 or box.pending or box.total_ma)
            and name in self.site.charge_points
        )

    def readings(
        self, to_s: int, seconds: int, every_s: int = 1, only: tuple[str, ...] | None = None
    ) -> dict[str, tuple[Reading, ...]]:
        """What an agent would have at ``to_s`` if everything stays as it is: polled ``every_s``, the newest last.

        Of a longer stretch only the last ``seconds`` are there: those before say the same.
        """
        found = {}
        oldest_s = BASE_S + to_s - KEPT_S
        stretch = range(to_s - (seconds - 1) // every_s * every_s, to_s + 1, every_s)
        recent = self._recent
        for name in self.site.charge_points if only is None else only:
            box = self.boxes[name]
            old = recent.get(name, ())
            keep = 0
            while keep < len(old) and old[keep].taken_s < oldest_s:
                keep += 1
            found[name] = (*old[keep:], *(box.reading(BASE_S + at, at) for at in stretch))
        for name, meter in self.site.meters.items():
            old = recent.get(name, ())
            keep = 0
            while keep < len(old) and old[keep].taken_s < oldest_s:
                keep += 1
            if meter.role is MeterRole.SOLAR:
                flows = self._solar_ma
            elif meter.role is MeterRole.STORAGE:
                flows = (self._storage_ma,) * 3
            elif meter.role is MeterRole.LOAD:
                flows = self._houses.get(meter.circuit, (0, 0, 0))
            else:
                at = self.bases[meter.circuit][0]
                flows = (self.line_ma[at], self.line_ma[at + 1], self.line_ma[at + 2])
            found[name] = (*old[keep:], *(self._metered(name, flows, BASE_S + at, at) for at in stretch))
        return found

    def keep(self, readings: dict[str, tuple[Reading, ...]]) -> None:
        """These were taken: they are the past from now on."""
        self._recent = readings

    def stay_now(self, name: str) -> Stay | None:
        """Who is at that charge point."""
        return self.boxes[name].stay

    def finish(self, at_s: int) -> None:
        """The run is over: whoever is still here goes into the account as it stands."""
        for box in self.boxes.values():
            self._change(box, at_s, box.unplug)

    def _metered(self, name: str, flows: tuple[int, int, int], now_s: float, at_s: int) -> Reading:
        one, two, three = flows
        jitter = 0.1 * (at_s * 7919 % 13 - 6)  # the mains breathe: no meter repeats itself to the last digit
        return Reading(
            name,
            now_s - self._offsets[name],
            (one / 1000.0, two / 1000.0, three / 1000.0),
            (VOLTS + jitter, VOLTS - jitter, VOLTS),
            (one + two + three) * VOLTS / 1000.0,
        )

    def _change(self, box: Box, at_s: int, how: Callable[[int], object]) -> None:
        before = box.flows_ma
        how(at_s)
        if box.flows_ma is not before:
            self._flow(box.bases, before, box.flows_ma)
            self.flows.charging_w = round(self.flows.charging_w + (sum(box.flows_ma) - sum(before)) * 0.23, 3)
        self._moving[box.index] = box

    def _paths(self, site: Site) -> dict[str, tuple[int, ...]]:
        number = {name: 3 * index for index, name in enumerate(self.circuits)}
        return {name: tuple(number[above.id] for above in site.path_to_root(name)) for name in site.circuits}

    def _rebuild(self, what: SiteNow, at_s: int) -> None:
        """The same cars and houses in another wiring; whoever stood at a charge point that is gone is gone too."""
        site = self.site = what.site
        self.bases = self._paths(site)
        for name, box in self.boxes.items():
            point = site.charge_points.get(name)
            if point is None:
                box.unplug(at_s)
                box.move(box.point, (), at_s)
            else:
                box.move(point, self.bases[point.circuit], at_s)
            self._moving[box.index] = box
        self.came_or_went = True
        self._houses = {name: load for name, load in self._houses.items() if name in self.bases}
        self._solar = self.bases[what.solar_circuit] if what.solar_circuit is not None else ()
        if not self._solar:
            self._solar_ma = (0, 0, 0)
        if self._storage is not None:
            self._storage_bases = self.bases.get(self._storage.circuit, ())
        self.line_ma = [0] * len(self.line_ma)
        for box in self.boxes.values():
            self._flow(box.bases, (0, 0, 0), box.flows_ma)
        for name, load in self._houses.items():
            self._flow(self.bases[name], (0, 0, 0), load)
        self._flow(self._solar, (0, 0, 0), self._solar_ma)
        self._flow(self._storage_bases, (0, 0, 0), (self._storage_ma,) * 3)
        self.changed.update(range(0, len(self.line_ma), 3))
        self.flows.charging_w = round(sum(box.total_ma for box in self.boxes.values()) * 0.23, 3)
        self.flows.house_w = round(sum(map(sum, self._houses.values())) * 0.23, 3)
        self.flows.solar_w = -sum(self._solar_ma) * 0.23

    def _flow(self, bases: tuple[int, ...], before: Iterable[int], after: Iterable[int]) -> None:
        line = self.line_ma
        one, two, three = (new - old for old, new in zip(before, after, strict=True))
        for at in bases:
            line[at] += one
            line[at + 1] += two
            line[at + 2] += three
            self.changed.add(at)
        self._storage_due = self._storage is not None

    def _house(self, what: HouseNow) -> None:
        if what.circuit not in self.bases:
            return
        before = self._houses.get(what.circuit, (0, 0, 0))
        self._houses[what.circuit] = what.load_ma
        self._flow(self.bases[what.circuit], before, what.load_ma)
        self.flows.house_w = round(self.flows.house_w + (sum(what.load_ma) - sum(before)) * 0.23, 3)

    def _sun(self, what: SunNow) -> None:
        each = -round(what.power_w / 3.0 / VOLTS * 1000.0)
        before, self._solar_ma = self._solar_ma, (each, each, each)
        self._flow(self._solar, before, self._solar_ma)
        self.flows.solar_w = -3 * each * 0.23

    def _arrive(self, visit: Visit, at_s: int) -> None:
        if visit.charge_point is not None:
            box = self.boxes.get(visit.charge_point)
        else:
            box = next((each for each in self.boxes.values() if each.stay is None), None)
        if box is None or box.stay is not None or box.point.id not in self.site.charge_points:
            self.turned_away.append(visit)
            return
        self.came_or_went = True
        stay = box.plug(visit, at_s)
        self.stays.append(stay)
        self._moving[box.index] = box
        heapq.heappush(self._leaving, (visit.leave_s, len(self.stays), box, stay))

    def _store(self, at_s: int) -> None:
        """The battery follows what flowed in the last second, so it is a second late."""
        kind = self._storage
        assert kind is not None  # noqa: S101
        power = 3 * self._storage_ma * VOLTS / 1000.0
        stored = self.storage_wh + power * (at_s - self._storage_since_s) / 3600.0
        self.storage_wh = max(0.0, min(kind.capacity_wh, stored))
        self._storage_since_s = at_s
        others_w = self.flows.house_w + self.flows.charging_w - self.flows.solar_w
        goal = -others_w if abs(others_w) > STORAGE_DEAD_W else 0.0
        goal = max(-kind.power_w, min(kind.power_w, goal))
        if self.storage_locked and goal < 0.0:
            goal = 0.0
        if (goal > 0.0 and self.storage_wh >= kind.capacity_wh - 1e-6) or (goal < 0.0 and self.storage_wh <= 1e-6):
            goal = 0.0
        each = round(goal / 3.0 / VOLTS * 1000.0)
        self._storage_due = False
        if each != self._storage_ma:
            before, self._storage_ma = self._storage_ma, each
            self._flow(self._storage_bases, (before,) * 3, (each,) * 3)
            self._storage_due = False  # it need not follow itself
            self.flows.storage_w = 3 * each * 0.23

    def _storage_edge_s(self) -> int:
        kind = self._storage
        if kind is None or not self._storage_ma:
            return NEVER
        power = 3 * self._storage_ma * VOLTS / 1000.0
        room = (kind.capacity_wh - self.storage_wh) if power > 0.0 else self.storage_wh
        return self._storage_since_s + int(room / abs(power) * 3600.0) + 1
