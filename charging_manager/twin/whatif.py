"""What would have happened: the plant behind a recording under the same controller with another site."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from heapq import merge
from typing import TypeVar

from charging_manager.model.outside import NOTHING_KNOWN, Outside
from charging_manager.model.site import Site
from charging_manager.twin.account import Account
from charging_manager.twin.build import DAY_S, Run
from charging_manager.twin.course import Course
from charging_manager.twin.derive import GRID_S, SMALL, Derived, roof_of
from charging_manager.twin.plant import Plant, SiteNow
from charging_manager.twin.recording import Recording
from charging_manager.twin.weather import local

T = TypeVar("T")
PIECE_S = 300
PATIENT_S = 3
"""Between two decisions while anything moves, at a site with more than ``SMALL`` charge points."""


def replay(
    recording: Recording, derived: Derived, change: Callable[[Site], Site], *, cycle_s: int | None = None
) -> Run:
    """A run over the recorded time, ready to go; ``change`` makes the other site of each that was configured."""
    sites = [(second, change(site)) for second, site in derived.sites]
    every_s = cycle_s or (1 if max(len(site.charge_points) for _, site in sites) <= SMALL else PATIENT_S)
    rebuilt = [(second, SiteNow(site, roof_of(site))) for second, site in sites[1:]]
    plant = Plant(
        sites[0][1],
        merge(rebuilt, derived.events, key=lambda event: event[0]),
        derived.visits,
        solar_circuit=roof_of(sites[0][1]),
        grid_s=1 if every_s == 1 else GRID_S,
        later=[site for _, site in sites[1:]],
    )
    first = recording.tracks[0].now_s
    outside = _steps([(at - first, value) for at, value in recording.outside], NOTHING_KNOWN)
    nothing: Mapping[str, float] = {}
    overrides = _steps([(at - first, value) for at, value in recording.overrides], nothing)
    account = Account(plant, PIECE_S, lambda second: price(outside(second), local(derived.start, second)))
    course = Course(
        plant,
        account,
        derived.start,
        derived.seconds,
        recording.rules,
        outside=outside,
        overrides=overrides,
        sites=sites[1:],
        cycle_s=every_s,
        only_present=True,
    )
    currency = recording.outside[-1][1].prices.currency if recording.outside else "EUR"
    days = derived.seconds / DAY_S
    return Run(sites[0][1].name, sites[0][1], derived.start, currency, days, plant, account, course)


def price(known: Outside, at: datetime) -> float | None:
    """What a kWh costs then, None where nobody said."""
    for slot in known.prices.slots:
        if slot.start_at <= at < slot.end_at:
            return slot.price
    return None


def _steps(values: Sequence[tuple[float, T]], otherwise: T) -> Callable[[float], T]:
    """What holds at a second; before the first one, the first."""
    instants = [at for at, _ in values]

    def at(second: float) -> T:
        if not values:
            return otherwise
        return values[max(0, bisect_right(instants, second) - 1)][1]

    return at
