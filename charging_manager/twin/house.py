"""What else draws current: a profile of the day with noise, constant between the instants at which it changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from random import Random

from attrs import frozen

from charging_manager.twin.weather import local

PROFILES: Mapping[str, tuple[float, ...]] = {
    # hour by hour on working days; the mean is brought to 1. After the shapes of standard load profiles (H0, G0).
    "home": (4, 3, 3, 3, 3, 4, 7, 9, 8, 7, 7, 8, 10, 8, 7, 7, 8, 10, 13, 14, 13, 11, 8, 5),
    "office": (3, 3, 3, 3, 3, 3, 5, 9, 13, 14, 14, 13, 12, 13, 14, 13, 12, 9, 6, 5, 4, 4, 3, 3),
    "flat": (1,) * 24,
}
VOLTS = 230.0


@frozen
class HouseKind:
    """A load of one circuit."""

    circuit: str
    day_wh: float
    profile: str = "home"
    noise: float = 0.3
    """Standard deviation, of the mean at that time."""
    every_s: float = 60.0
    """Mean time between two changes."""
    most_a: float | None = None
    """On any phase; None: three times the highest mean."""
    peaks: int = 4
    """Short strong loads (a kettle, a lift) a day, on one phase."""
    peak_a: float = 8.0


def house_load(start: datetime, days: int, kind: HouseKind, seed: str) -> Iterator[tuple[int, tuple[int, int, int]]]:
    """From each of these seconds on, the load of L1, L2 and L3 in milliamperes."""
    chance = Random(f"{seed}/house/{kind.circuit}")  # noqa: S311 - a simulation
    shape = PROFILES[kind.profile]
    mean = sum(shape) / len(shape)
    base_a = kind.day_wh / 24.0 / VOLTS / 3.0
    most_ma = int(1000 * (kind.most_a if kind.most_a is not None else 3.0 * base_a * max(shape) / mean))
    peaks: list[tuple[int, int, int]] = []  # from, to, phase
    for day in range(days):
        for _ in range(kind.peaks):
            begins = day * 86_400 + int(chance.triangular(6 * 3600, 22 * 3600, 18 * 3600))
            peaks.append((begins, begins + chance.randint(60, 300), chance.randrange(3)))
    edges = sorted({edge for begin, end, _ in peaks for edge in (begin, end)})
    second, end_s, at_edge = 0, days * 86_400, 0
    noise = [0.0, 0.0, 0.0]
    told: tuple[int, int, int] | None = None
    nxt = 0
    while second < end_s:
        at = local(start, second)
        hour = at.hour + at.minute / 60.0
        low, part = int(hour), hour - int(hour)
        share = (shape[low] * (1 - part) + shape[(low + 1) % 24] * part) / mean
        if at.weekday() >= 5 and kind.profile == "office":
            share = 0.35
        if second >= nxt:
            noise = [chance.gauss(0.0, kind.noise) for _ in range(3)] if kind.noise > 0.0 else noise
            nxt = second + max(1, int(chance.uniform(0.5, 1.5) * kind.every_s))
        loads = []
        for phase in range(3):
            amps = base_a * share * max(0.2, 1.0 + noise[phase])
            if any(begin <= second < stop and own == phase for begin, stop, own in peaks):
                amps += kind.peak_a
            loads.append(min(most_ma, int(amps * 100) * 10))
        now = (loads[0], loads[1], loads[2])
        if now != told:
            told = now
            yield second, now
        while at_edge < len(edges) and edges[at_edge] <= second:
            at_edge += 1
        second = min(nxt, edges[at_edge]) if at_edge < len(edges) else nxt
