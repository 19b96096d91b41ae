"""Answers as the makers' documentation shows them, shortened, and what they mean; written apart from the drivers."""

from __future__ import annotations

from typing import Any

SHELLY = {
    "emeters": [
        {"power": 1150.5, "pf": 0.99, "current": 5.02, "voltage": 231.4, "is_valid": True, "total": 10.0},
        {"power": -460.0, "pf": -1.0, "current": 2.0, "voltage": 230.0, "is_valid": True, "total": 20.0},
        {"power": 0.0, "pf": 0.0, "current": 0.01, "voltage": 229.1, "is_valid": False, "total": 30.0},
    ],
    "total_power": 690.5,
}
GO_E = {
    "amp": 10,
    "frc": 0,
    "car": 2,
    "err": 0,
    "nrg": [231, 230, 229, 3, 9.8, 9.9, 9.7, 2263.8, 2277, 2221.3, 0, 6762.1, 99, 99, 99, 0],
    "eto": 123456,
    "wh": 4321.5,
    "fwv": "055.5",
    "ama": 16,
}
FRONIUS = {
    "Body": {"Data": {"Site": {"E_Total": 26213502, "P_Grid": -370.1, "P_Load": -1600.4, "P_PV": 1970.5}}},
    "Head": {"Status": {"Code": 0, "Reason": "", "UserMessage": ""}},
}
TASMOTA = {
    "StatusSNS": {
        "Time": "2024-01-01T12:00:00",
        "ENERGY": {"Total": 3.185, "Power": 367, "Factor": 0.72, "Voltage": 235, "Current": 2.156},
    }
}
ANSWERS: dict[str, tuple[Any, dict[str, float | str | None]]] = {
    "shelly-3em": (
        SHELLY,
        {"power_w": 690.5, "power_l1_w": 1150.5, "power_l2_w": -460.0, "power_l3_w": None, "current_l1_a": 5.02}
        | {"voltage_l1_v": 231.4, "voltage_l3_v": None, "current_l3_a": None},
    ),
    "go-e-charger-v2": (
        GO_E,
        {"state": 2.0, "setpoint_a": 10.0, "force_state": 0.0, "voltage_l3_v": 229.0, "current_l1_a": 9.8}
        | {"current_l2_a": 9.9, "current_l3_a": 9.7, "power_w": 6762.1, "energy_wh": 123456.0, "session_wh": 4321.5}
        | {"hardware_max_a": 16.0, "firmware": "055.5"},
    ),
    "fronius-solar-api-v1": (FRONIUS, {"power_w": -1970.5, "energy_export_wh": 26213502.0}),
    "tasmota-energy": (
        TASMOTA,
        {"power_l1_w": 367.0, "current_l1_a": 2.156, "voltage_l1_v": 235.0, "energy_wh": 3185.0},
    ),
}
