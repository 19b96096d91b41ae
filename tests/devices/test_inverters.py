"""An inverter is a meter that counts what it gives as positive; a reading counts what is drawn so."""

from __future__ import annotations

import pytest

from charging_manager.devices.compose import compose
from charging_manager.devices.driver import Driver, Kind, Value
from tests.devices.rig import driver


def _inverter(kind: Kind = Kind.INVERTER) -> Driver:
    registers = {
        name: {"address": address, "type": "f32", "group": "live"}
        for address, name in enumerate(("power_w", "current_l1_a", "current_l2_a", "current_l3_a"), 1)
    }
    for at, register in enumerate(registers.values()):
        register["address"] = 2 * at
    return driver(
        {
            "vendor": "Acme",
            "model": "Roof",
            "kind": kind.value,
            "sources": ["a manual"],
            "tcp": {},
            "unsigned_currents": True,
            "registers": {
                **registers,
                "energy_export_wh": {"address": 8, "type": "f32"},
                "power_l1_w": {"address": 10, "type": "f32"},
            },
        }
    )


def _values(power_w: Value) -> dict[str, Value]:
    amps: dict[str, Value] = {f"current_l{phase}_a": 4.0 + phase for phase in (1, 2, 3)}
    return {"power_w": power_w, "energy_export_wh": 1234.0, **amps}


def test_what_it_gives_is_negative_and_its_counter_is_export() -> None:
    reading = compose("roof", _inverter(), _values(4140.0), 1.0, (0, 1, 2)).reading
    assert reading.power_w == -4140.0
    assert reading.current_a == (-5.0, -6.0, -7.0)
    assert (reading.energy_wh, reading.energy_export_wh) == (None, 1234.0)
    assert reading.values["power_w"] == -4140.0


def test_what_it_draws_is_positive() -> None:
    reading = compose("roof", _inverter(), _values(-4140.0), 1.0, (0, 1, 2)).reading
    assert reading.power_w == 4140.0
    assert reading.current_a == (5.0, 6.0, 7.0)


def test_what_it_does_not_say_stays_unknown() -> None:
    reading = compose("roof", _inverter(), {**_values(None), "current_l2_a": None}, 1.0, (0, 1, 2)).reading
    assert reading.power_w is None
    assert reading.current_a == (-5.0, None, -7.0)


def test_its_phases_follow_their_own_power_where_it_has_one() -> None:
    values = {**_values(4140.0), "power_l1_w": -300.0}
    reading = compose("roof", _inverter(), values, 1.0, (0, 1, 2)).reading
    assert reading.current_a == (5.0, -6.0, -7.0)


@pytest.mark.parametrize("power_w", [4140.0, -4140.0])
def test_a_meter_keeps_its_signs(power_w: float) -> None:
    reading = compose("grid", _inverter(Kind.METER), _values(power_w), 1.0, (0, 1, 2)).reading
    assert reading.power_w == power_w
    assert reading.current_a == (5.0, 6.0, 7.0), "no power per phase: it counts as consumption"
