"""Tariffs that need nobody: one price, or a table of times of use. Made for some days ahead, in local time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import pairwise

from charging_manager.clocks import moment
from charging_manager.model.outside import PriceSlot
from charging_manager.tariffs.settings import Source, TariffSettings, Window


def made(settings: TariffSettings, first: date, days: int, zone: tzinfo) -> tuple[PriceSlot, ...]:
    """Slots for so many local days from that one on."""
    found: list[PriceSlot] = []
    for ahead in range(days):
        day = first + timedelta(days=ahead)
        for start_at, end_at in _cut(settings, day, zone):
            price, co2_g = _at(settings, start_at.astimezone(zone))
            last = found[-1] if found else None
            same = last is not None and (last.price, last.co2_g, last.end_at) == (price, co2_g, start_at)
            if last is not None and same and last.end_at - last.start_at < timedelta(hours=24):
                found[-1] = PriceSlot(last.start_at, end_at, price, co2_g)
            else:
                found.append(PriceSlot(start_at, end_at, price, co2_g))
    return tuple(found)


def _cut(settings: TariffSettings, day: date, zone: tzinfo) -> Iterator[tuple[datetime, datetime]]:
    """The day, from one edge of a window to the next."""
    times = {time(0)}
    if settings.source is Source.TABLE:
        for window in settings.windows:
            times |= {edge for edge in (window.time_from, window.time_to) if edge is not None}
    edges = sorted({moment(day, edge, zone) for edge in times} | {moment(day + timedelta(days=1), time(0), zone)})
    yield from pairwise(edges)


def _at(settings: TariffSettings, local_at: datetime) -> tuple[float, float | None]:
    if settings.source is Source.TABLE:
        for window in settings.windows:
            if holds(window, local_at):
                return window.price, window.co2_g
    return settings.price or 0.0, None


def holds(window: Window, local_at: datetime) -> bool:
    """Whether it is that window's time; what is after midnight belongs to the day on which the window began."""
    at, day = local_at.time(), local_at.date()
    begin, end = window.time_from or time(0), window.time_to or time(0)
    if end <= begin:
        if at < begin and not (at < end):
            return False
        if at < end and begin != time(0):
            day -= timedelta(days=1)
    elif not begin <= at < end:
        return False
    if window.days and day.weekday() not in window.days:
        return False
    if window.season_from is None or window.season_to is None:
        return True
    today = f"{day:%m-%d}"
    if window.season_from <= window.season_to:
        return window.season_from <= today <= window.season_to
    return today >= window.season_from or today <= window.season_to
