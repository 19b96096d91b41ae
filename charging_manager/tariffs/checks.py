"""Does a tariff make sense? Raises ConfigError with the key path and remedy."""

from __future__ import annotations

import ipaddress
import math
import re
from calendar import monthrange
from collections.abc import Container
from urllib.parse import urlsplit

from charging_manager.clocks import zone
from charging_manager.errors import ConfigError
from charging_manager.tariffs.mapping import KNOWN, fields_of
from charging_manager.tariffs.settings import UNITS, Feed, JsonMapping, Source, SunSettings, TariffSettings, Window

MOST_WINDOWS = 64
_SEASON = re.compile(r"(0[1-9]|1[0-2])-(\d\d)", re.ASCII)
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")


def check_tariff(tariff: TariffSettings) -> None:
    """The whole of it."""
    if not re.fullmatch(r"[A-Z]{3}", tariff.currency):
        raise ConfigError("tariff.currency", "three capital letters, like EUR")
    for key, number, low, high in (
        ("factor", tariff.factor, 0.0, 100.0),
        ("offset", tariff.offset, -1000.0, 1000.0),
        ("vat_pct", tariff.vat_pct, 0.0, 100.0),
    ):
        if not low <= number <= high:  # NaN is not
            raise ConfigError(f"tariff.{key}", "a number from {low} to {high}", low=low, high=high)
    needs_price = tariff.source is Source.FIXED or (tariff.source is Source.TABLE and not tariff.windows)
    if needs_price and tariff.price is None:
        raise ConfigError("tariff.price", "say what a kWh costs")
    if tariff.price is not None:
        _check_price("tariff.price", tariff.price)
    if len(tariff.windows) > MOST_WINDOWS:
        raise ConfigError("tariff.windows", "there are at most {most} windows", most=MOST_WINDOWS)
    for number, window in enumerate(tariff.windows):
        _check_window(f"tariff.windows.{number}", window)
    if tariff.source is Source.TABLE and tariff.price is None:
        raise ConfigError("tariff.price", "say what a kWh costs outside all windows")
    if tariff.source is Source.HTTP:
        check_feed("tariff.feed", tariff.feed)


def check_sun(sun: SunSettings) -> None:
    """The forecast."""
    if sun.source not in (Source.NONE, Source.HTTP, Source.FILE):
        raise ConfigError("sun_forecast.source", "none, http or file")
    if not 0.0 <= sun.factor <= 1.0:
        raise ConfigError("sun_forecast.factor", "a number from {low} to {high}", low=0.0, high=1.0)
    if not 0.0 <= sun.house_w <= 1e6:
        raise ConfigError("sun_forecast.house_w", "a number from {low} to {high}", low=0.0, high=1e6)
    if sun.source is Source.HTTP:
        check_feed("sun_forecast.feed", sun.feed)


def check_feed(where: str, feed: Feed) -> None:
    """A plug-in or a mapping; whether the plug-in is there is known only while the program runs."""
    if bool(feed.plugin) == (feed.mapping is not None):
        raise ConfigError(f"{where}.plugin", "choose a provider, or describe one's answer by a mapping")
    if feed.mapping is not None:
        check_mapping(f"{where}.mapping", feed.mapping, feed.values)
    if len(feed.token) > 4096 or any(ord(one) < 33 or ord(one) > 126 for one in feed.token):
        raise ConfigError(f"{where}.token", "a token is plain letters, digits and signs without blanks")


def check_mapping(where: str, mapping: JsonMapping, fields: Container[str]) -> None:
    """A provider's address, and where in its answer things are."""
    names = fields_of(mapping.url)
    unknown = [name for name in names if name not in KNOWN and name not in fields]
    if unknown:
        raise ConfigError(f"{where}.url", "the address needs {names}", names=", ".join(sorted(unknown)))
    check_address(f"{where}.url", re.sub(r"\{[^}]*\}", "x", mapping.url))
    for key, pointer in (("start", mapping.start), ("price", mapping.price)):
        if not pointer:
            raise ConfigError(f"{where}.{key}", "say where in the answer it is, as a JSON pointer like /data/0/price")
    if not mapping.rows or len(mapping.rows) > 8:
        raise ConfigError(f"{where}.rows", "name one list at least, and 8 at most")
    if mapping.unit not in UNITS:
        raise ConfigError(f"{where}.unit", "one of these: {names}", names=", ".join(UNITS))
    if mapping.minutes is not None and not (math.isfinite(mapping.minutes) and 1.0 <= mapping.minutes <= 1440.0):
        raise ConfigError(f"{where}.minutes", "a number from {low} to {high}", low=1.0, high=1440.0)
    if mapping.timezone:
        try:
            zone(mapping.timezone)
        except ConfigError as error:
            raise ConfigError(f"{where}.timezone", error.template) from error
    if mapping.header and not _HEADER.fullmatch(mapping.header):
        raise ConfigError(f"{where}.header", "a header's name is letters, digits and hyphens")
    if not mapping.header_value.isprintable() or len(mapping.header_value) > 200:
        raise ConfigError(f"{where}.header_value", "is one line of at most 200 characters")
    if len(mapping.body) > 4096:
        raise ConfigError(f"{where}.body", "has at most 4096 characters")


def check_address(where: str, url: str) -> None:
    """https; plain http only within the house. Raises: ConfigError."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigError(where, "is no address; it is like https://host/path") from error
    if not host or parts.username is not None or "{" in parts.netloc or any(ord(one) < 33 for one in url):
        raise ConfigError(where, "is no address; it is like https://host/path")
    if parts.scheme == "http" and _at_home(host):
        return
    if parts.scheme != "https":
        raise ConfigError(where, "use https://; http:// is for addresses of the house alone")


def _at_home(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


def is_day_of_year(text: str) -> bool:
    """Whether there is such a day, written MM-DD; 02-29 is one."""
    found = _SEASON.fullmatch(text)
    return found is not None and 1 <= int(found[2]) <= monthrange(2024, int(found[1]))[1]


def _check_price(where: str, price: float) -> None:
    if not -1000.0 <= price <= 1000.0:
        raise ConfigError(where, "a number from {low} to {high}", low=-1000.0, high=1000.0)


def _check_window(where: str, window: Window) -> None:
    _check_price(f"{where}.price", window.price)
    if not set(window.days) <= set(range(7)):
        raise ConfigError(f"{where}.days", "weekdays are 0 (Monday) to 6")
    if window.time_from is not None and window.time_from == window.time_to:
        empty = "the time window is empty: leave both times out for the whole day, or change one"
        raise ConfigError(f"{where}.time_to", empty)
    if (window.season_from is None) != (window.season_to is None):
        raise ConfigError(f"{where}.season_to", "a season has a first and a last day")
    for key, day in (("season_from", window.season_from), ("season_to", window.season_to)):
        if day is not None and not is_day_of_year(day):
            raise ConfigError(f"{where}.{key}", "a day of the year is MM-DD, like 11-01")
    if window.co2_g is not None and not 0.0 <= window.co2_g <= 5000.0:
        raise ConfigError(f"{where}.co2_g", "a number from {low} to {high}", low=0.0, high=5000.0)
