"""From a recording to a plant that can answer other setpoints: who came when, what cars could take, the house's load.

What is derived, and how sure it is, is in docs/twin.md, "What if".
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median

from attrs import define, evolve, field, frozen

from charging_manager.control.wiring import Wiring, wire
from charging_manager.errors import ConfigError
from charging_manager.model.site import MeterRole, Site
from charging_manager.twin.cars import VOLTS, CarKind, Visit
from charging_manager.twin.plant import Event, HouseNow, SunNow
from charging_manager.twin.recording import Recording, Track

HUNGRY_WH = 40_000.0
"""A car that left hungry is taken to want so much in all."""
STEP_A = 0.5
"""House load that moves by less is taken to stand still."""
SMALL = 50
"""With more charge points house load is looked at every 30 s instead of 15 s."""
GRID_S = 30
"""There, cars come, go and taper at multiples of this, so that the site is at rest in between."""
FULL_AFTER_S = 60.0
"""A car that is offered current for so long and takes none is full."""
LEAST_A = 6.0
SHORTEST_S = 60
TAKES_LESS_A = 1.5
TAKES_LESS_S = 40.0


@frozen
class Derived:
    """All that a run needs."""

    start: datetime
    seconds: int
    sites: tuple[tuple[int, Site], ...]
    """From this second on; the first from 0."""
    visits: tuple[Visit, ...]
    events: tuple[Event, ...]
    recorded_wh: float
    """What the charge points delivered by their own count."""


@define
class Guest:
    """A car while it is being looked at."""

    arrive_s: int
    start_wh: float | None
    newest_wh: float | None = None
    counted_wh: float = 0.0
    """By its currents, where the box counts no energy."""
    amps: float = 0.0
    amps_s: int = 0
    bits: set[int] = field(factory=set)
    most_a: float = 0.0
    less_since_s: int | None = None
    less: bool = False
    idle_since_s: int | None = None
    """Since when it takes nothing of what it is offered."""
    full: bool = False
    """It went on to take nothing until it was offered nothing any more."""
    drew: bool = False


def derive(recording: Recording, hungry_wh: float = HUNGRY_WH) -> Derived:
    """The plant behind a recording, through changes of circuits and devices. Raises: ConfigError."""
    first = recording.tracks[0].now_s
    seconds = int(recording.lasts_s)
    if seconds < SHORTEST_S:
        raise ConfigError(str(recording.path), "is shorter than a minute; record for longer")
    sites = [(max(0, int(at - first)), site) for at, site in recording.sites]
    anchor_s, anchor_at = recording.times[0]
    start = anchor_at + timedelta(seconds=first - anchor_s)
    small = max(len(site.charge_points) for _, site in sites) <= SMALL
    visits, recorded_wh = _visits(recording, sites, first, seconds, hungry_wh)
    if not small:
        visits = [_snapped(visit) for visit in visits]
    events = _events(recording.tracks, sites, first, 15 if small else GRID_S)
    return Derived(start, seconds, tuple(sites), tuple(visits), tuple(events), recorded_wh)


def roof_of(site: Site) -> str | None:
    """The circuit into which the sun feeds."""
    return next((meter.circuit for meter in site.meters.values() if meter.role is MeterRole.SOLAR), None)


def _visits(
    recording: Recording, sites: Sequence[tuple[int, Site]], first: float, seconds: int, hungry_wh: float
) -> tuple[list[Visit], float]:
    later = deque(sites)
    site = later.popleft()[1]
    guests: dict[str, Guest] = {}
    setpoints: dict[str, float] = {}
    found: list[Visit] = []
    total = 0.0
    users = _users(recording)

    def leave(name: str, second: int) -> None:
        nonlocal total
        guest = guests.pop(name)
        visit, delivered = _visit(name, guest, site, second, hungry_wh, users.get(name))
        total += delivered
        if second > guest.arrive_s:
            found.append(visit)

    for track in recording.tracks:
        second = int(track.now_s - first)
        while later and later[0][0] <= second:
            after = later.popleft()[1]
            for name in guests.keys() - after.charge_points.keys():
                leave(name, second)
            site = after
        for name, amps in track.setpoints.items():
            setpoints[name] = amps
            guest = guests.get(name)
            if guest is not None and amps < LEAST_A and guest.idle_since_s is not None:
                guest.full = second - guest.idle_since_s >= FULL_AFTER_S
                guest.idle_since_s = None
        for name, row in track.boxes.items():
            if name not in site.charge_points:
                continue
            status, one, two, three, energy, session = row
            guest = guests.get(name)
            if status == "free":
                if guest is not None:
                    _count(guest, energy, second)
                    leave(name, second)
                continue
            if guest is None:
                if status not in ("plugged", "charging"):
                    continue
                counter = energy if energy is not None else session
                guest = guests[name] = Guest(second, counter, counter, amps_s=second)
            _look(guest, (one, two, three), energy, session, setpoints.get(name, 0.0), second)
    for name in list(guests):
        leave(name, seconds)
    return sorted(found, key=lambda visit: (visit.arrive_s, visit.car)), total


def _look(
    guest: Guest,
    amps: tuple[float | None, float | None, float | None],
    energy: float | None,
    session: float | None,
    setpoint: float,
    second: int,
) -> None:
    _count(guest, energy if energy is not None else session, second)
    guest.amps = sum(each or 0.0 for each in amps)
    most = max(each or 0.0 for each in amps)
    if most >= 1.0:
        guest.drew, guest.idle_since_s, guest.full = True, None, False
        guest.bits |= {phase for phase, each in enumerate(amps) if each is not None and each >= 1.0}
        guest.most_a = max(guest.most_a, most)
        if most <= setpoint - TAKES_LESS_A and most >= 5.5:
            guest.less_since_s = second if guest.less_since_s is None else guest.less_since_s
            guest.less = guest.less or second - guest.less_since_s >= TAKES_LESS_S
        else:
            guest.less_since_s = None
    elif setpoint >= LEAST_A and guest.idle_since_s is None:
        guest.idle_since_s = second


def _count(guest: Guest, counter: float | None, second: int) -> None:
    """Energy until now, by the box's counter and by its currents."""
    guest.counted_wh += guest.amps * VOLTS * (second - guest.amps_s) / 3600.0
    guest.amps_s = second
    if counter is not None:
        guest.start_wh = counter if guest.start_wh is None else guest.start_wh
        guest.newest_wh = counter


def _visit(name: str, guest: Guest, site: Site, second: int, hungry_wh: float, user: str | None) -> tuple[Visit, float]:
    point = site.charge_points[name]
    counted = guest.counted_wh
    if guest.start_wh is not None and guest.newest_wh is not None and guest.newest_wh >= guest.start_wh:
        counted = guest.newest_wh - guest.start_wh
    idle = guest.idle_since_s is not None and second - guest.idle_since_s >= FULL_AFTER_S
    full = guest.full or idle
    needs = max(0.001, counted) if full else max(counted + 1.0, hungry_wh)
    most = point.max_a
    if guest.less:
        most = max(point.min_a, min(point.max_a, float(math.ceil(guest.most_a))))
    phases = len(guest.bits) if guest.drew else len(point.phases)
    phases = max(1, min(len(point.phases), phases))
    kind = CarKind(phases, most, battery_wh=max(needs, 60_000.0), taper_wh=min(1_500.0, needs / 4.0))
    equals = f"{phases}-phase cars of {most:g} A"
    visit = Visit(point.name, equals, kind, guest.arrive_s, max(second, guest.arrive_s + 1), needs, name, user=user)
    return visit, counted


def _snapped(visit: Visit) -> Visit:
    arrive_s = visit.arrive_s // GRID_S * GRID_S
    return evolve(visit, arrive_s=arrive_s, leave_s=max(arrive_s + GRID_S, visit.leave_s // GRID_S * GRID_S))


def _users(recording: Recording) -> dict[str, str]:
    """Who charged where, as far as the recording says it."""
    found: dict[str, str] = {}
    for _, wishes in recording.wishes:
        for name, wish in wishes.items():
            if wish is not None and wish.user is not None:
                found[name] = wish.user
    return found


def _events(tracks: Sequence[Track], sites: Sequence[tuple[int, Site]], first: float, window: int) -> list[Event]:
    """House load and sun, window by window: the median of a window, where it moved."""
    later = deque(sites)
    wiring = wire(later.popleft()[1])
    boxes: dict[str, tuple[float, float, float]] = {}
    meters: dict[str, tuple[float, float, float]] = {}
    told: dict[str, tuple[float, float, float]] = {}
    sun_told = -1.0
    events: list[Event] = []
    samples: dict[str, list[tuple[float, float, float]]] = {}
    suns: list[float] = []
    begin, edge = 0, window
    for track in tracks:
        second = int(track.now_s - first)
        rebuilt = later and later[0][0] <= second
        if second >= edge or rebuilt:
            at = begin
            for circuit, rows in samples.items():
                now = (median(r[0] for r in rows), median(r[1] for r in rows), median(r[2] for r in rows))
                before = told.get(circuit)
                if before is None or max(abs(a - b) for a, b in zip(now, before, strict=True)) >= STEP_A:
                    told[circuit] = now
                    events.append((at, HouseNow(circuit, (_ma(now[0]), _ma(now[1]), _ma(now[2])))))
            if suns and abs(median(suns) - sun_told) >= 3 * STEP_A * VOLTS:
                sun_told = round(median(suns))
                events.append((at, SunNow(sun_told)))
            samples, suns = {}, []
            edge = (second // window + 1) * window
            begin = edge - window
        if rebuilt:
            while later and later[0][0] <= second:
                begin, site = later.popleft()
            wiring = wire(site)
            seen = _metered(wiring)
            events += [
                (begin, HouseNow(name, (0, 0, 0))) for name in told if name in site.circuits and name not in seen
            ]
            told = {name: amps for name, amps in told.items() if name in seen}
            boxes = {name: row for name, row in boxes.items() if name in site.charge_points}
            meters = {name: row for name, row in meters.items() if name in site.meters}
            sun_told = -1.0
        for name, row in track.boxes.items():
            boxes[name] = (row[1] or 0.0, row[2] or 0.0, row[3] or 0.0)
        if not track.meters:
            continue
        for name, row in track.meters.items():
            if None not in row[:3]:
                meters[name] = (row[0], row[1], row[2])
            meter = wiring.site.meters.get(name)
            if meter is not None and meter.role is MeterRole.SOLAR and row[3] is not None:
                suns.append(abs(row[3]))
        for circuit, amps in _houses(wiring, boxes, meters):
            samples.setdefault(circuit, []).append(amps)
    return events


def _metered(wiring: Wiring) -> frozenset[str]:
    """The circuits whose own load somebody sees."""
    return frozenset(
        circuit.id
        for circuit, meter, loads in zip(wiring.circuits, wiring.meters, wiring.loads, strict=True)
        if meter is not None or loads
    )


def _ma(amps: float) -> int:
    return max(0, round(amps * 100) * 10)


def _houses(
    wiring: Wiring, boxes: Mapping[str, tuple[float, float, float]], meters: Mapping[str, tuple[float, float, float]]
) -> Iterator[tuple[str, tuple[float, float, float]]]:
    """What flows in each metered circuit beside charging, circuits below it and the roof."""
    count = len(wiring.circuits)
    known = [[0.0, 0.0, 0.0] for _ in range(count)]  # charging, houses and roofs at and below each circuit
    for outlet in wiring.outlets:
        amps = boxes.get(outlet.point.id)
        if amps is not None:
            for phase in (0, 1, 2):
                known[outlet.circuit][phase] += amps[phase]
    number = {circuit.id: index for index, circuit in enumerate(wiring.circuits)}
    for meter in wiring.site.meters.values():
        if meter.role is MeterRole.SOLAR and meter.id in meters:
            for phase, each in enumerate(meters[meter.id]):
                known[number[meter.circuit]][phase] -= abs(each)
    for index in range(count - 1, -1, -1):
        circuit = wiring.circuits[index]
        through = wiring.meters[index]
        loads = [meters[name] for name in wiring.loads[index] if name in meters]
        flow = meters.get(through) if through is not None else None
        house: tuple[float, float, float] | None = None
        if flow is not None:
            one, two, three = (flow[phase] - known[index][phase] for phase in (0, 1, 2))
            house = (one, two, three)
        elif loads:
            house = (sum(r[0] for r in loads), sum(r[1] for r in loads), sum(r[2] for r in loads))
        if house is not None:
            yield circuit.id, house
            for phase in (0, 1, 2):
                known[index][phase] += house[phase]
        parent = wiring.parents[index]
        if parent >= 0:
            for phase in (0, 1, 2):
                known[parent][phase] += known[index][phase]
