"""A tariff, or a forecast of the sun, as it was entered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from enum import StrEnum

from attrs import field, frozen


class Source(StrEnum):
    """Where values come from."""

    NONE = "none"
    FIXED = "fixed"
    TABLE = "table"
    HTTP = "http"
    FILE = "file"


class TimeFormat(StrEnum):
    """How a provider writes times."""

    ISO = "iso"
    EPOCH_S = "epoch-s"
    EPOCH_MS = "epoch-ms"


UNITS: Mapping[str, float] = {
    "EUR/MWh": 0.001,
    "EUR/kWh": 1.0,
    "ct/kWh": 0.01,
    "W": 1.0,
    "kW": 1000.0,
}
"""By what a provider's number is multiplied. EUR stands for the tariff's currency, ct for a hundredth of it."""


@frozen
class Window:
    """A part of a time-of-use table; the first that holds says the price. Times are local, ``MM-DD`` both included."""

    price: float
    time_from: time | None = None
    time_to: time | None = None
    days: tuple[int, ...] = ()
    """Monday is 0; empty: every day."""
    season_from: str | None = None
    season_to: str | None = None
    co2_g: float | None = None


@frozen
class JsonMapping:
    """How to ask a provider, and where in its JSON things are (JSON pointers, RFC 6901).

    ``rows`` are lists, of objects or (``columns``) none: then start and price point to lists of the same length.
    """

    url: str
    """With {date}, {next_date}, {from}, {to}, {from_s}, {to_s}, {from_ms}, {to_ms} and the plug-in's own fields."""
    start: str
    price: str
    rows: tuple[str, ...] = ("",)
    columns: bool = False
    end: str = ""
    """Empty: by ``minutes``, or else until the next row begins."""
    minutes: float | None = None
    co2: str = ""
    time_format: TimeFormat = TimeFormat.ISO
    timezone: str = ""
    """For times without a zone; empty: such times are refused."""
    unit: str = "EUR/MWh"
    newest_first: bool = False
    header: str = ""
    """Carries the token; ``{token}`` stands in ``header_value``."""
    header_value: str = "{token}"
    body: str = ""
    """Sent by POST as JSON; empty: GET."""
    published: time = time(13, 0)
    """From then on, local time, tomorrow is known."""


@frozen
class Feed:
    """Values of a provider: a plug-in by its name, or a mapping of one's own."""

    plugin: str = ""
    values: Mapping[str, str] = field(factory=dict)
    """For the plug-in's fields."""
    mapping: JsonMapping | None = None
    token: str = field(default="", repr=False)


@frozen
class TariffSettings:
    """``factor``, ``offset`` (per kWh) and ``vat_pct`` make the price that is paid of one that is quoted."""

    source: Source = Source.NONE
    currency: str = "EUR"
    price: float | None = None
    """For ``fixed``; for ``table`` what holds outside all windows."""
    windows: tuple[Window, ...] = ()
    feed: Feed = field(factory=Feed)
    factor: float = 1.0
    offset: float = 0.0
    vat_pct: float = 0.0
    gap_alarm: bool = True


@frozen
class SunSettings:
    """Of what is forecast, ``factor`` less ``house_w`` is likely left for charging."""

    source: Source = Source.NONE
    feed: Feed = field(factory=Feed)
    factor: float = 0.7
    house_w: float = 500.0
