"""A small site for tests of the twin, as a scenario file would say it."""

from __future__ import annotations

import tomllib
from typing import Any

from charging_manager.twin.keys import Keys
from charging_manager.twin.scenario import Scenario, make_scenario

SMALL = """
name = "Small"
start = 2026-01-12
timezone = "Europe/Berlin"

[[circuit]]
id = "main"
limit_a = 20
reserve_a = 2

[[house]]
circuit = "main"
day_kwh = 12
peaks = 3
peak_a = 2

[[charge_point]]
id = "box"
count = 4
rotate = true
max_a = 16

[[cars]]
name = "car"
count = 4
habit = "home"
arrive = "00:10"
leave = "06:00"
arrive_spread_min = 4
charge_points = ["box-1", "box-2", "box-3", "box-4"]
needs_kwh = 10
chance = 1.0
"""


def small(**changes: Any) -> Scenario:
    """The small site; keys of the file's top level may be given anew."""
    return make_scenario(Keys({**tomllib.loads(SMALL), **changes}))
