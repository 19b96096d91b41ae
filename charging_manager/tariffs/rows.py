"""Rows as others deliver them, checked: all of them make sense, or none is taken and the first bad one is named."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from attrs import frozen

from charging_manager.errors import ConfigError
from charging_manager.model.outside import PriceSlot, SunSlot
from charging_manager.tariffs.settings import TariffSettings

MOST_ROWS = 3000
LONGEST = timedelta(days=31)
HARD = ("EUR", "CHF", "GBP", "USD")
MOST_HARD, MOST_SOFT = 10.0, 1000.0
"""No kWh costs more in these currencies, or in any."""
MOST_W = 100e6


@frozen
class Row:
    """One delivered value. ``end_at`` None: until the next begins. ``number`` is what a person would call it."""

    number: int
    start_at: datetime
    end_at: datetime | None
    value: float
    co2_g: float | None = None


def at_row(number: int, sentence: str, **fields: object) -> ConfigError:
    """The error for one row; its sentence names it as ``{row}``."""
    return ConfigError("", sentence, row=number, **fields)


def in_zone(number: int, at: datetime, zone: tzinfo | None, before: datetime | None) -> datetime:
    """An aware time in UTC. Of a local time that exists twice, the second is meant if the first has been already."""
    if at.tzinfo is not None:
        return at.astimezone(UTC)
    if zone is None:
        raise at_row(
            number, "row {row}: the time {time} has no time zone; write one, or name the table's", time=str(at)
        )
    found = at.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) != at:
        raise at_row(number, "row {row}: the time {time} does not exist: clocks jump over it", time=str(at))
    if before is not None and found <= before:
        found = at.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return found


def completed(rows: Sequence[Row]) -> list[tuple[Row, datetime]]:
    """Every row with its end, in order, not overlapping. Raises: ConfigError naming the row."""
    if not rows:
        raise ConfigError("", "there is no row in it")
    if len(rows) > MOST_ROWS:
        raise ConfigError("", "there are more than {most} rows in it", most=MOST_ROWS)
    found: list[tuple[Row, datetime]] = []
    for at, row in enumerate(rows):
        following = rows[at + 1].start_at if at + 1 < len(rows) else None
        if following is not None and following <= row.start_at:
            raise at_row(rows[at + 1].number, "row {row}: begins no later than the row before it; sort them by time")
        end_at = (
            row.end_at or following or (row.start_at + (row.start_at - rows[at - 1].start_at if at else LONGEST * 2))
        )
        if end_at <= row.start_at:
            raise at_row(row.number, "row {row}: ends before it begins")
        if end_at - row.start_at > LONGEST:
            raise at_row(row.number, "row {row}: has no end, or is longer than 31 days")
        if following is not None and end_at > following:
            raise at_row(rows[at + 1].number, "row {row}: begins before the row before it ends")
        if not math.isfinite(row.value):
            raise at_row(row.number, "row {row}: is no number")
        found.append((row, end_at))
    return found


def price_slots(rows: Sequence[Row], settings: TariffSettings, unit: float) -> tuple[PriceSlot, ...]:
    """Prices as they are paid. Raises: ConfigError naming the row."""
    most = MOST_HARD if settings.currency in HARD else MOST_SOFT
    slots = []
    for row, end_at in completed(rows):
        price = (row.value * unit * settings.factor + settings.offset) * (1.0 + settings.vat_pct / 100.0)
        if not -most <= price <= most:
            raise at_row(
                row.number,
                "row {row}: a kWh cannot cost {price} {currency}; is the unit right?",
                price=round(price, 2),
                currency=settings.currency,
            )
        if row.co2_g is not None and not 0.0 <= row.co2_g <= 5000.0:
            raise at_row(row.number, "row {row}: CO2 of a kWh is 0 to 5000 g")
        slots.append(PriceSlot(row.start_at, end_at, round(price, 6), row.co2_g))
    return tuple(slots)


def sun_slots(rows: Sequence[Row], unit: float) -> tuple[SunSlot, ...]:
    """Power as it is forecast. Raises: ConfigError naming the row."""
    slots = []
    for row, end_at in completed(rows):
        power_w = row.value * unit
        if not 0.0 <= power_w <= MOST_W:
            raise at_row(row.number, "row {row}: solar power is 0 W or more, and at most {most} W", most=int(MOST_W))
        slots.append(SunSlot(row.start_at, end_at, power_w))
    return tuple(slots)
