"""The JSON of tariffs and of the sun's forecast, as attrs classes; see ``api_shapes``."""

from __future__ import annotations

from attrs import field, frozen


@frozen
class WindowBody:
    """A part of a time-of-use table: local times like ``22:00``, weekdays (0 is Monday), a season as ``MM-DD``."""

    price: float
    time_from: str | None = None
    time_to: str | None = None
    days: list[int] = field(factory=list)
    season_from: str | None = None
    season_to: str | None = None
    co2_g: float | None = None


@frozen
class MappingBody:
    """How to ask a provider, and where in its JSON things are (docs/tariffs.md)."""

    url: str
    start: str
    price: str
    rows: list[str] = field(factory=lambda: [""])
    columns: bool = False
    end: str = ""
    minutes: float | None = None
    co2: str = ""
    time_format: str = "iso"
    timezone: str = ""
    unit: str = "EUR/MWh"
    newest_first: bool = False
    header: str = ""
    header_value: str = "{token}"
    body: str = ""
    published: str = "13:00"


@frozen
class FeedBody:
    """A provider by its plug-in and the plug-in's fields, or a mapping. ``token`` is never read."""

    plugin: str = ""
    values: dict[str, str] = field(factory=dict)
    mapping: MappingBody | None = None
    token: str | None = None
    has_token: bool | None = None
    """Accepted because ``GET`` shows it."""


@frozen
class TariffBody:
    """``source`` is none, fixed, table, http or file."""

    source: str
    currency: str = "EUR"
    price: float | None = None
    windows: list[WindowBody] = field(factory=list)
    feed: FeedBody = field(factory=FeedBody)
    factor: float = 1.0
    offset: float = 0.0
    vat_pct: float = 0.0
    gap_alarm: bool = True


@frozen
class SunBody:
    """``source`` is none, http or file."""

    source: str
    feed: FeedBody = field(factory=FeedBody)
    factor: float = 0.7
    house_w: float = 500.0


@frozen
class FileBody:
    """The text of a file of prices (``kind`` prices) or of the sun's forecast (sun): CSV, JSON or XML."""

    text: str
    kind: str = "prices"
