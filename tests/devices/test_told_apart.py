"""Two devices with the same map, one of which has more: a look at the rest tells them apart."""

from __future__ import annotations

from typing import Any

import pytest

from charging_manager.devices.parse import NotADriver
from charging_manager.devices.recognise import recognises
from charging_manager.errors import DeviceNonsense, DeviceRefused
from tests.devices.rig import Rig, driver

SMALL: dict[str, Any] = {
    "vendor": "Acme",
    "model": "One phase",
    "kind": "meter",
    "sources": ["a manual"],
    "tcp": {},
    "identify": {"voltage_l1_v": {"from": 40, "to": 300}},
    "registers": {"voltage_l1_v": {"address": 0, "type": "u16", "group": "live", "example": 230}},
    "unlike": [{"read": {"address": 1, "type": "u16"}, "is": {"from": 40}, "why": "it has a second phase"}],
}
LARGE: dict[str, Any] = {
    **{key: value for key, value in SMALL.items() if key != "unlike"},
    "model": "Three phases",
    "registers": {
        **SMALL["registers"],
        "voltage_l2_v": {"address": 1, "type": "u16", "group": "live", "example": 231},
    },
}


def test_a_device_that_refuses_to_show_the_place_is_ours() -> None:
    rig = Rig(driver(SMALL))
    assert rig.wait(recognises(driver(SMALL), rig.bus, 1))
    assert rig.read().voltage_v[0] == 230


def test_a_device_that_shows_something_else_there_is_ours() -> None:
    rig = Rig(driver(LARGE))
    rig.box.show("voltage_l2_v", 0)
    assert rig.wait(recognises(driver(SMALL), rig.bus, 1))


def test_the_other_device_is_not_ours_and_is_told_so_with_the_reason() -> None:
    rig = Rig(driver(LARGE))
    assert not rig.wait(recognises(driver(SMALL), rig.bus, 1))
    mistaken = type(rig.device)("x", driver(SMALL), rig.bus, 1, (0, 1, 2), rig.clock, 0.0)
    with pytest.raises(DeviceNonsense, match="it has a second phase"):
        rig.wait(mistaken.prepare())


def test_a_busy_device_proves_nothing() -> None:
    rig = Rig(driver(LARGE))
    rig.box.refuses["voltage_l2_v"] = 6
    assert not rig.wait(recognises(driver(SMALL), rig.bus, 1))
    mistaken = type(rig.device)("x", driver(SMALL), rig.bus, 1, (0, 1, 2), rig.clock, 0.0)
    with pytest.raises(DeviceRefused):
        rig.wait(mistaken.prepare())


@pytest.mark.parametrize(
    ("unlike", "where"),
    [
        ({"is": 1, "why": "no place"}, "unlike[1].read"),
        ({"read": {"address": 1, "type": "u16"}, "why": "no value"}, "unlike[1].is"),
        ({"read": {"address": 1, "type": "u16"}, "is": 1}, "unlike[1].why"),
        ({"read": {"type": "u16"}, "is": 1, "why": "no address"}, "unlike[1].read.address"),
        ({"read": {"address": 1, "type": "u16", "read": False}, "is": 1, "why": "hidden"}, "unlike[1].read"),
        ({"read": {"address": 1, "type": "u16"}, "is": 1, "why": "more", "also": 1}, "unlike[1].also"),
    ],
)
def test_what_is_wrong_with_it_is_named(unlike: dict[str, Any], where: str) -> None:
    with pytest.raises(NotADriver) as wrong:
        driver({**SMALL, "unlike": [unlike]})
    assert where in [place for place, _ in wrong.value.problems]
