"""A small driver table that tests change to taste."""

from __future__ import annotations

import tomllib
from typing import Any

CHARGER = """
vendor = "Acme"
model = "Wall"
kind = "charger"
sources = ["Acme Wall Modbus manual, rev 1.4"]

[tcp]
port = 502

[identify]
marker = 0xACE

[registers]
marker = { address = 0, type = "u16", group = "once" }
firmware = { address = 1, type = "str", count = 4, group = "once", example = "1.9" }
hardware_max_a = { address = 5, type = "u16", group = "once", example = 32 }
state = { address = 10, type = "u16", group = "live" }
current_l1_a = { address = 11, type = "u16", scale = 0.1, group = "live" }
current_l2_a = { address = 12, type = "u16", scale = 0.1, group = "live" }
current_l3_a = { address = 13, type = "u16", scale = 0.1, group = "live" }
voltage_l1_v = { address = 14, type = "u16", group = "live", example = 230 }
setpoint_a = { address = 20, type = "u16", scale = 0.1, write = true, volatile = true, group = "live" }
enable = { address = 21, type = "u16", write = true, volatile = true, group = "live" }
applied_a = { address = 22, type = "u16", scale = 0.1, group = "live" }
failsafe_s = { address = 30, type = "u16", write = true, volatile = false }
failsafe_a = { address = 31, type = "u16", scale = 0.1, write = true, volatile = false }
hidden = { address = 40, type = "u16", write = true }

[[state]]
is = "free"
when = { state = 0 }
[[state]]
is = "plugged"
when = { state = 1 }
[[state]]
is = "charging"
when = { state = 2 }
[[state]]
is = "fault"
when = { state = 9 }

[setpoint]
register = "setpoint_a"
lowest_a = 6
highest_a = 32
step_a = 0.1
pause = { enable = 0 }
resume = { enable = 1 }
applied = "applied_a"

[watchdog]
fed_by = "any-request"
timeout = "failsafe_s"
fallback = "failsafe_a"
timeout_s = 30
every_s = 10
"""

METER = """
vendor = "Acme"
model = "Meter"
kind = "meter"
sources = ["Acme Meter manual"]

[rtu]
baud = 9600

[registers]
current_l1_a = { address = 0, type = "f32", group = "live" }
current_l2_a = { address = 2, type = "f32", group = "live" }
current_l3_a = { address = 4, type = "f32", group = "live" }
voltage_l1_v = { address = 6, type = "f32", group = "live", example = 230 }
power_w = { address = 8, type = "f32", group = "live" }
energy_wh = { address = 10, type = "u32" }
"""


def table(text: str = CHARGER, **changes: Any) -> dict[str, Any]:
    """The table as data, with top-level keys replaced (None removes one)."""
    data = {**tomllib.loads(text), **changes}
    return {key: value for key, value in data.items() if value is not None}
