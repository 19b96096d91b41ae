"""What comes from beyond the wires: prices, a forecast of the sun, inputs, and orders of the grid operator."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from attrs import field, frozen


class PriceLevel(StrEnum):
    """How a price stands beside the mean of three days (``control.prices``, which has the thresholds)."""

    VERY_CHEAP = "very-cheap"
    CHEAP = "cheap"
    NORMAL = "normal"
    DEAR = "dear"
    VERY_DEAR = "very-dear"


@frozen
class PriceSlot:
    """One price; times are aware, ``end_at`` excluded. Prices are per kWh and may be negative."""

    start_at: datetime
    end_at: datetime
    price: float
    co2_g: float | None = None
    """Of a kWh, where the tariff says it."""


@frozen
class Prices:
    """What is known of prices, oldest first, without overlaps; there may be gaps."""

    slots: tuple[PriceSlot, ...] = ()
    currency: str = "EUR"


@frozen
class SunSlot:
    """Solar power expected, as a mean."""

    start_at: datetime
    end_at: datetime
    power_w: float
    spare_w: float = 0.0
    """What of it is likely left for charging, when house and bad luck have had their part."""


@frozen
class Dimming:
    """An order of the grid operator that holds now (§14a EnWG): what charging may draw in all, over all phases."""

    limit_w: float
    source: str
    """input, modbus, api or test."""
    charge_points: frozenset[str] | None = None
    """Those that it holds; None: all."""


@frozen
class Outside:
    """All of it, as it is known now. None: unknown, which never counts as good news."""

    prices: Prices = Prices()
    sun: tuple[SunSlot, ...] = ()
    inputs: Mapping[str, bool | None] = field(factory=dict)
    dimming: Dimming | None = None


NOTHING_KNOWN = Outside()
