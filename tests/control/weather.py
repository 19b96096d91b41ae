"""A day's sun on a roof, and a house's load, second by second, the same for the same seed.

The sun follows the shape of measured days of broken cumulus in spring: the clear-sky curve is multiplied by a clear-sky
index that is 1.0 in gaps and 0.1 to 0.4 under a cloud (60 to 90 % less), with edges of 5 to 20 s; gaps last 1 to 10 min
and clouds 1 to 6 min, both skewed to the short side. Close to a cloud's edge the sun is up to 10 % stronger than in
clear sky (light from the cloud's side), and under a cloud it wavers by some per cent within a minute.
"""

from __future__ import annotations

import math
import random

RISES_S, SETS_S = 6 * 3600, 19 * 3600
"""Seconds of the day."""


def clear(at_s: float, peak_w: float = 8500.0) -> float:
    """What a roof gives in a clear sky."""
    if not RISES_S < at_s < SETS_S:
        return 0.0
    return peak_w * math.sin(math.pi * (at_s - RISES_S) / (SETS_S - RISES_S)) ** 1.3


def index(start_s: int, seconds: int, seed: int) -> list[float]:
    """The clear-sky index of a day of broken clouds, each second."""
    chance = random.Random(seed)
    found: list[float] = []
    level = 1.0
    covered = False
    while len(found) < seconds:
        covered = not covered
        if covered:
            lasts = min(360.0, 60.0 + chance.expovariate(1 / 80.0))
            aim = 1.0 - chance.uniform(0.6, 0.9)
        else:
            lasts = min(600.0, 60.0 + chance.expovariate(1 / 150.0))
            aim = 1.0
        edge = chance.uniform(5.0, 20.0)
        strong = chance.uniform(0.0, 0.1)
        wave_s, wave = chance.uniform(25.0, 70.0), chance.uniform(0.0, 0.04)
        before = level
        for second in range(int(lasts)):
            part = min(1.0, (second + 1) / edge)
            level = before + (aim - before) * (part * part * (3.0 - 2.0 * part))
            extra = 0.0
            if covered:
                extra = wave * math.sin(2 * math.pi * second / wave_s) * (part >= 1.0)
            else:
                near = min(second, lasts - second)
                extra = strong * math.exp(-near / 20.0) * (part >= 1.0)
            found.append(max(0.02, level + extra))
    return found[:seconds]


def broken(start_s: int, seconds: int, seed: int = 1, peak_w: float = 8500.0) -> list[float]:
    """What a roof gives under broken clouds."""
    return [clear(start_s + i, peak_w) * one for i, one in enumerate(index(start_s, seconds, seed))]


def house(start_s: int, seconds: int, seed: int = 1) -> list[float]:
    """A house's load: standby, a fridge, kettles, a washing machine, a cooker at noon, and noise."""
    chance = random.Random(seed)
    kettles = [chance.uniform(start_s, start_s + seconds) for _ in range(5)]
    washes = chance.uniform(9.5, 11.5) * 3600
    load = []
    for at_s in range(start_s, start_s + seconds):
        watts = 280.0 + chance.gauss(0.0, 12.0) + (110.0 if at_s % 2400 < 900 else 0.0)
        if any(0 <= at_s - begins < 170 for begins in kettles):
            watts += 2000.0
        if 0 <= at_s - washes < 1100:
            watts += 2050.0
        if 12 * 3600 <= at_s < 12 * 3600 + 2400 and at_s % 90 < 50:
            watts += 1800.0
        load.append(watts)
    return load
