"""A connection that is new may lead to a device that restarted: it is looked at again, and told again."""

from __future__ import annotations

import pytest

from charging_manager.devices.driver import Driver
from charging_manager.devices.loader import check_text
from tests.devices.rig import Rig, shipped

BLIND = shipped().drivers["webasto-next"]
"""Its setpoint cannot be read back."""


def forgetful(driver: Driver) -> Rig:
    """A box at 8 A that restarts in no time: no request is lost, only the connection."""
    rig = Rig(driver)
    rig.live(40, 8.0)
    rig.box.boot()
    rig.endpoint.servers[-1].transport.loseConnection()
    return rig


@pytest.mark.parametrize("name", [n for n, d in shipped().drivers.items() if d.setpoint is not None])
def test_a_box_that_restarted_unnoticed_is_told_its_setpoint_again(name: str) -> None:
    rig = forgetful(shipped().drivers[name])
    assert rig.box.offers_a != 8.0
    rig.live(40, 8.0)
    assert rig.box.offers_a == 8.0


def test_a_line_that_is_opened_all_the_time_is_not_looked_at_all_the_time() -> None:
    rig = forgetful(BLIND)
    rig.live(40, 8.0)
    rig.box.wrote.clear()
    for _ in range(60):
        rig.endpoint.servers[-1].transport.loseConnection()
        rig.live(2, 8.0)
    assert 1 <= len(rig.box.written("setpoint_a")) <= 5


def test_a_phase_power_that_is_read_less_often_than_its_current_is_refused() -> None:
    text = BLIND.path.read_text() if BLIND.path else ""
    text = text.replace(
        'power_l2_w = { address = 1028, type = "u32", group = "live" }', 'power_l2_w = { address = 1028, type = "u32" }'
    )
    text = text.replace("[registers]\n", '[registers]\nvoltage_l2_v = { address = 1900, type = "u16" }\n')
    assert any("current_l2_a" in problem for problem in check_text(text, "webasto-next"))
