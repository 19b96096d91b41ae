"""How cars follow the sun, over the API: of the site and of a charge point, kept, checked, and harmless from afar."""

from __future__ import annotations

import math
from typing import Any

import pytest

from charging_manager.agent.config import Configuration, check_configuration
from charging_manager.control.rules import Rules
from charging_manager.control.storage import batteries, soc_pct
from charging_manager.control.sunmemory import SunMemory
from charging_manager.errors import ConfigError
from charging_manager.model.reading import Status
from charging_manager.model.site import MeterRole, SolarSettings, StorageRole
from tests.agent.values import box, house, meter
from tests.agent.whole import REMOTE_ADMIN, Make, WholeAgent
from tests.devices.rig import Rig, shipped


@pytest.fixture
def agent(agents: Make) -> WholeAgent:
    """A house with one charge point and a car."""
    agent = agents(house(box(driver="keba-p30"), meter(driver="eastron-sdm630")))
    agent.devices["garage"].values = {"status": Status.PLUGGED, "current_a": (0.0, 0.0, 0.0)}
    agent.devices["grid"].values = {"status": None, "current_a": (2.0, 2.0, 2.0), "power_w": 1400.0}
    agent.run(5)
    return agent


def test_a_part_is_changed_and_the_rest_stays(agent: WholeAgent) -> None:
    said = agent.json("PUT", "site", {"solar": {"start_a": 7.0, "phases": 1}, "storage_lock": True}, REMOTE_ADMIN)
    assert (said["solar"]["start_a"], said["solar"]["phases"], said["solar"]["grace_s"]) == (7.0, 1, 300.0)
    assert said["storage_lock"] is True
    said = agent.json("PUT", "site", {"solar": {"phases": None}})
    assert (said["solar"]["start_a"], said["solar"]["phases"]) == (7.0, None)
    assert agent.store.current.site("").solar == SolarSettings(start_a=7.0)
    assert agent.store.current.site("").storage_lock


def test_cars_are_measured_beforehand_unless_somebody_says_no(agent: WholeAgent) -> None:
    assert agent.json("GET", "site")["measure_cars"] is True
    assert agent.json("PUT", "site", {"measure_cars": False})["measure_cars"] is False
    assert not agent.store.current.site("").measure_cars
    assert agent.json("PUT", "site", {"storage_lock": True})["measure_cars"] is False


def test_a_charge_point_has_numbers_of_its_own_until_it_gives_them_up(agent: WholeAgent) -> None:
    agent.json("PUT", "site", {"solar": {"start_a": 8.0}})
    assert agent.json("PUT", "devices/garage", {"solar": {"grace_s": 60}})["solar"]["start_a"] == 8.0
    assert agent.store.current.site("").charge_points["garage"].solar == SolarSettings(start_a=8.0, grace_s=60.0)
    shown = agent.json("GET", "devices/garage")
    before = agent.store.current
    agent.json("PUT", "devices/garage", shown)
    assert agent.store.current == before
    assert agent.json("PUT", "devices/garage", {"name": "Garage"})["solar"]["grace_s"] == 60.0
    assert agent.json("PUT", "devices/garage", {"solar": None})["solar"] is None
    assert agent.store.current.site("").charge_points["garage"].solar is None


@pytest.mark.parametrize(
    ("solar", "field"),
    [
        ({"start_a": 0}, "solar.start_a"),
        ({"grace_s": -1}, "solar.grace_s"),
        ({"import_w": 1e9}, "solar.import_w"),
        ({"grid_pct": 101}, "solar.grid_pct"),
        ({"phases": 2}, "solar.phases"),
    ],
)
def test_a_number_that_no_car_can_follow_is_named(agent: WholeAgent, solar: dict[str, Any], field: str) -> None:
    assert agent.refused("PUT", "site", {"solar": solar}) == (422, "invalid-field", field)
    assert agent.refused("PUT", "devices/garage", {"solar": solar}) == (422, "invalid-field", field)


def test_no_number_is_refused_and_so_are_settings_of_nobody() -> None:
    with pytest.raises(ConfigError, match="grace_s"):
        check_configuration(Configuration(solar=SolarSettings(grace_s=math.nan)))
    with pytest.raises(ConfigError, match="no charge point"):
        check_configuration(Configuration(solar_of={"nobody": SolarSettings()}))


def test_a_mode_of_the_sun_is_chosen_and_shown_with_its_reason(agent: WholeAgent) -> None:
    assert agent.json("PUT", "charge-points/garage/mode", {"mode": "solar"})["mode"] == "solar"
    agent.run(3)
    state = agent.json("GET", "state")
    [garage, *_] = state["charge_points"]
    assert garage["because"]["code"].startswith(("sun-", "no-grid-meter"))
    assert garage["phase_switches"] == 0
    assert {"surplus_w", "storage_locked"} <= state["site"].keys()


def test_the_state_of_charge_that_an_inverter_says_reaches_control_as_that_of_its_battery(agents: Make) -> None:
    """What the shipped driver makes of the registers goes through the whole agent; the power is another meter's."""
    rig = Rig(shipped().drivers["sunspec-storage-124"])
    rig.box.show("soc_pct", 73.5)
    said = rig.read()
    battery = {"role": MeterRole.STORAGE, "storage": StorageRole.ALL}
    agent = agents(
        house(
            meter(driver="eastron-sdm630"),
            meter("inverter", driver="sunspec-storage-124", **battery),
            meter("battery", driver="eastron-sdm630", **battery),
        ),
        {
            "inverter": {"current_a": said.current_a, "power_w": said.power_w, "values": said.values},
            "battery": {"current_a": (-3.0, -3.0, -3.0), "power_w": -2070.0},
            "grid": {"current_a": (0.1, 0.1, 0.1), "power_w": 69.0},
        },
    )
    agent.run(5)
    cycle = agent.site.steering.last
    assert cycle is not None
    assert soc_pct(cycle.image.readings["inverter"][-1]) == 73.5
    (found,) = batteries(cycle.image, SunMemory(), Rules())
    assert (found.meter.id, found.gives, found.foreign_w) == ("battery", True, 0.0)
    assert cycle.plan.surplus_w is not None, "the inverter without a power of its own does not hide the sun"
