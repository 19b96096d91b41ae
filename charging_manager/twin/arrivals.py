"""Who comes when: visits drawn from the statistics of a group of cars; the same seed gives the same visits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from random import Random

from attrs import frozen

from charging_manager.model.goal import Goal
from charging_manager.twin.cars import CarKind, Visit

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WORKING = DAYS[:5]


@frozen
class Habit:
    """When a kind of driver comes and goes, by default."""

    arrive: str
    leave: str
    spread_min: float
    days: tuple[str, ...]
    chance: float
    needs_kwh: float


HABITS: Mapping[str, Habit] = {
    "home": Habit("18:00", "07:15", 45.0, DAYS, 0.9, 14.0),
    "commuter": Habit("08:15", "17:00", 40.0, WORKING, 0.9, 12.0),
    "visitor": Habit("10:00", "12:00", 180.0, DAYS, 0.5, 18.0),
    "fleet": Habit("17:30", "06:00", 30.0, WORKING, 0.95, 35.0),
}


@frozen
class Group:
    """Cars of one kind with the same habits. ``places[i]`` is the charge point of the i-th car, None: any free one."""

    name: str
    count: int
    kind: CarKind
    arrive: time
    leave: time
    arrive_spread_s: float
    leave_spread_s: float
    days: frozenset[int]
    chance: float
    needs_wh: float
    needs_spread: float
    """Standard deviation, of what is needed."""
    places: tuple[str, ...] = ()
    goal: Goal | None = None
    priority: int | None = None

    def names(self) -> list[str]:
        """The cars of it."""
        return [self.name] if self.count == 1 else [f"{self.name} {number + 1}" for number in range(self.count)]


def visits(start: datetime, days: int, group: Group, seed: str) -> Iterator[Visit]:
    """All visits of the group's cars, car by car; nobody comes before having left."""
    for number, name in enumerate(group.names()):
        chance = Random(f"{seed}/cars/{name}")  # noqa: S311 - a simulation
        place = group.places[number] if number < len(group.places) else None
        free_s = 0
        for day in range(-1, days):
            today = start.date() + timedelta(days=day)
            comes, arrive, leave, needs = (chance.random() for _ in range(4))
            arrive_s = _second(start, today, group.arrive) + int(_bell(arrive) * group.arrive_spread_s)
            leave_day = today if group.leave > group.arrive else today + timedelta(days=1)
            leave_s = _second(start, leave_day, group.leave) + int(_bell(leave) * group.leave_spread_s)
            if today.weekday() not in group.days or comes >= group.chance:
                continue
            arrive_s, leave_s = max(arrive_s, free_s, 0), max(leave_s, arrive_s + 600)
            if leave_s <= 600 or arrive_s >= days * 86_400:
                continue
            wants = group.needs_wh * max(0.1, 1.0 + group.needs_spread * _bell(needs))
            free_s = leave_s + 120
            yield Visit(
                name,
                group.name,
                group.kind,
                arrive_s,
                leave_s,
                min(wants, group.kind.battery_wh),
                place,
                group.goal,
                group.priority,
            )


def _second(start: datetime, day: date, clock: time) -> int:
    """The second of the run at which it is that time on that day; right also where clocks are changed between."""
    return int(datetime.combine(day, clock, start.tzinfo).timestamp() - start.timestamp())


def _bell(uniform: float) -> float:
    """From a uniform number to one that lies about 0 like a bell, between -2.5 and 2.5."""
    high, low = math.pow(uniform, 0.14), math.pow(1.0 - uniform, 0.14)
    return max(-2.5, min(2.5, 4.91 * (high - low)))
