"""Sunshine on a virtual clock: a clear sky by the sun's height, times clouds; the same seed gives the same days.

The sun's height is by P. I. Cooper's declination (Solar Energy 12, 1969); irradiance under a clear sky is B. Haurwitz's
model (Journal of Meteorology 2, 1945): 1098 W/m² × sin h × exp(-0.059 / sin h). Roofs are taken as level.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from random import Random

STANDARD_W_M2 = 1000.0
"""At which modules give their rated power."""


class Sky(StrEnum):
    """What the weather of a day is."""

    CLEAR = "clear"
    BROKEN = "broken"
    OVERCAST = "overcast"


def local(start: datetime, second: float) -> datetime:
    """Local time so many seconds after the start, right also where clocks are changed between."""
    return (start.astimezone(UTC) + timedelta(seconds=second)).astimezone(start.tzinfo)


def height(at: datetime, latitude: float, longitude: float) -> float:
    """Sine of the sun's height above the horizon; negative at night. ``at`` is aware."""
    utc = at.astimezone(UTC)
    day = utc.timetuple().tm_yday
    declination = math.radians(23.45) * math.sin(2 * math.pi * (284 + day) / 365)
    hours = utc.hour + utc.minute / 60 + utc.second / 3600 + longitude / 15
    turn = math.radians(15) * (hours - 12)
    wide = math.radians(latitude)
    return math.sin(wide) * math.sin(declination) + math.cos(wide) * math.cos(declination) * math.cos(turn)


def clear_sky(sine: float) -> float:
    """Irradiance of a level roof as a share of standard conditions."""
    return 0.0 if sine <= 0.0 else 1098.0 * sine * math.exp(-0.059 / sine) / STANDARD_W_M2


def sunshine(
    start: datetime, days: int, skies: tuple[Sky, ...], peak_w: float, latitude: float, longitude: float, seed: str
) -> Iterator[tuple[int, float]]:
    """Power of the roof from each of these seconds on, in watts: it stays the same in between.

    Under broken clouds it changes with each cloud edge, a few times a minute; else every minute.
    """
    chance = Random(f"{seed}/sky")  # noqa: S311 - weather, not a secret
    second, cover = 0, 1.0
    end = days * 86_400
    told = -1.0
    while second < end:
        at = local(start, second)
        sky = skies[(second // 86_400) % len(skies)]
        clear = clear_sky(height(at, latitude, longitude))
        if clear <= 0.0:
            step, power = 300, 0.0
        elif sky is Sky.BROKEN:
            covered = cover < 0.6
            cover = chance.uniform(0.85, 1.05) if covered else chance.uniform(0.15, 0.45)
            step = int(chance.uniform(15, 90) if covered else chance.uniform(20, 180))
            power = peak_w * clear * cover
        elif sky is Sky.OVERCAST:
            step, power = 60, peak_w * clear * chance.uniform(0.12, 0.22)
        else:
            step, power = 60, peak_w * clear
        power = round(power, -1)
        if power != told:
            told = power
            yield second, power
        second += step
