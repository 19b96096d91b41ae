"""From a scenario, a length and a seed to a run that is ready to go."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from datetime import datetime, time, timedelta
from itertools import pairwise

from attrs import frozen

from charging_manager.control.rules import Rules
from charging_manager.model.outside import Outside, Prices, PriceSlot
from charging_manager.model.site import Site
from charging_manager.twin.account import Account
from charging_manager.twin.arrivals import visits
from charging_manager.twin.cars import Visit
from charging_manager.twin.course import LONGEST_S, Course, Cycle
from charging_manager.twin.house import house_load
from charging_manager.twin.plant import Event, HouseNow, Plant, SunNow
from charging_manager.twin.scenario import Scenario, price_at
from charging_manager.twin.weather import local, sunshine

DAY_S = 86_400


@frozen
class Run:
    """Everything of one run."""

    name: str
    site: Site
    start: datetime
    currency: str
    days: float
    plant: Plant
    account: Account
    course: Course


def build(
    scenario: Scenario,
    days: int,
    seed: int,
    *,
    each: Callable[[Cycle], None] | None = None,
    exact: bool = False,
    seconds: int | None = None,
    cycle_s: int = 1,
) -> Run:
    """The same scenario, days and seed give the same run. ``exact``: a decision in every cycle."""
    length_s = seconds if seconds is not None else days * DAY_S
    plant = Plant(
        scenario.site,
        events_of(scenario, days, str(seed)),
        visits_of(scenario, days, str(seed)),
        scenario.boxes,
        scenario.storage,
        scenario.solar.circuit if scenario.solar is not None else None,
    )
    prices = PriceList(scenario)
    account = Account(plant, 900 if length_s > 2 * DAY_S else 300, prices.price)
    course = Course(
        plant,
        account,
        scenario.start,
        length_s,
        Rules(pause_s=scenario.pause_s),
        outside=prices.outside,
        each=each,
        cycle_s=cycle_s,
        longest_s=cycle_s if exact else LONGEST_S,
    )
    return Run(
        scenario.name,
        scenario.site,
        scenario.start,
        scenario.currency,
        length_s / DAY_S,
        plant,
        account,
        course,
    )


def events_of(scenario: Scenario, days: int, seed: str) -> Iterator[Event]:
    """Houses and sun, in order of time."""
    streams: list[Iterator[Event]] = []
    for house in scenario.houses:
        streams.append(
            (second, HouseNow(kind.circuit, load))
            for kind in (house,)
            for second, load in house_load(scenario.start, days, kind, seed)
        )
    roof = scenario.solar
    if roof is not None:
        powers = sunshine(scenario.start, days, roof.skies, roof.peak_w, roof.latitude, roof.longitude, seed)
        streams.append((second, SunNow(power)) for second, power in powers)
    return heapq.merge(*streams, key=lambda event: event[0])


def visits_of(scenario: Scenario, days: int, seed: str) -> list[Visit]:
    """All visits of all groups, in order of arrival."""
    found = [visit for group in scenario.groups for visit in visits(scenario.start, days, group, seed)]
    return sorted(found, key=lambda visit: (visit.arrive_s, visit.car))


class PriceList:
    """The tariff of a scenario on the run's clock."""

    def __init__(self, scenario: Scenario) -> None:
        self._start, self._slots, self._currency = scenario.start, scenario.tariff, scenario.currency
        self._known: tuple[datetime, Outside] | None = None

    def price(self, second: int) -> float | None:
        """What a kWh costs then; None where there is no tariff."""
        return price_at(self._slots, local(self._start, second).time()) if self._slots else None

    def outside(self, second: int) -> Outside:
        """Prices from yesterday to tomorrow, as a tariff would have told them."""
        if not self._slots:
            return Outside()
        midnight = datetime.combine(local(self._start, second).date(), time(), self._start.tzinfo)
        if self._known is None or self._known[0] != midnight:
            days = [midnight.date() + timedelta(days=day) for day in (-1, 0, 1)]
            edges = [
                (datetime.combine(day, slot.begin, self._start.tzinfo), slot) for day in days for slot in self._slots
            ]
            last = (datetime.combine(days[-1] + timedelta(days=1), time(), self._start.tzinfo), self._slots[0])
            slots = tuple(PriceSlot(one, other, slot.price) for (one, slot), (other, _) in pairwise([*edges, last]))
            self._known = midnight, Outside(Prices(slots, self._currency))
        return self._known[1]
