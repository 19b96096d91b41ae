"""What ``charging_manager drivers new NAME`` writes: a small driver that is whole, to be changed line by line."""

from __future__ import annotations

_TEMPLATE = """\
# {name}: say in a line what is special about this device. docs/drivers.md explains every word.
vendor = "Acme"
model = "Wall 11/22"
kind = "charger" # or meter
sources = ["Acme Wall Modbus manual, rev 1.0 (2026-01)"]
quality = "manual" # field: on hardware; manual: the vendor's document, or two other sources; single-source: one other

[tcp]
port = 502
unit = 1

[bus]
max_read = 40 # registers in one request
gap_s = 0.0 # silence between two requests

[identify] # all of this is so on this device, and on no other
vendor_code = 0xACE1

[registers] # addresses count from 0
vendor_code = {{ address = 0, type = "u16", group = "once", page = 1 }}
state = {{ address = 10, type = "u16", group = "live", page = 2 }}
current_l1_a = {{ address = 11, type = "u16", scale = 0.01, group = "live", page = 2 }}
current_l2_a = {{ address = 12, type = "u16", scale = 0.01, group = "live", page = 2 }}
current_l3_a = {{ address = 13, type = "u16", scale = 0.01, group = "live", page = 2 }}
energy_wh = {{ address = 14, type = "u32", page = 2 }}
setpoint_a = {{ address = 20, type = "u16", scale = 0.1, write = true, volatile = true, group = "live", page = 3 }}
failsafe_s = {{ address = 30, type = "u16", write = true, volatile = false, page = 4 }}
failsafe_a = {{ address = 31, type = "u16", scale = 0.1, write = true, volatile = false, page = 4 }}

[[state]]
is = "free"
when = {{ state = 0 }}
[[state]]
is = "plugged"
when = {{ state = 1 }}
[[state]]
is = "charging"
when = {{ state = 2 }}
[[state]]
is = "fault"
when = {{ state = 3 }}

[setpoint]
register = "setpoint_a"
lowest_a = 6
highest_a = 32
step_a = 0.1
pause = {{ setpoint_a = 0 }}

[watchdog]
fed_by = "any-request"
timeout = "failsafe_s"
fallback = "failsafe_a"
timeout_s = 60
every_s = 20
"""


def new_driver(name: str) -> str:
    """The text of ``name.toml``."""
    return _TEMPLATE.format(name=name)
