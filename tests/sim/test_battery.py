"""A storage battery behind the meter, and the lock that it obeys."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from charging_manager.modbus.address import parse_address
from charging_manager.sim.battery import Battery
from charging_manager.sim.car import Car
from charging_manager.sim.plan import DevicePlan, SitePlan
from charging_manager.sim.site import SimulatedSite
from tests.sim.rigs import DRIVERS


def settle(battery: Battery, net_a: tuple[float, float, float], seconds: float = 10.0, since_s: float = 0.0) -> float:
    for step in range(round(seconds * 10) + 1):
        battery.advance(net_a, since_s + step / 10)
    return battery.current_a


def test_it_keeps_the_grid_at_zero_as_far_as_it_can() -> None:
    assert settle(Battery(), (9.0, 6.0, 0.0)) == pytest.approx(-5.0)
    assert settle(Battery(), (-9.0, -6.0, 0.0)) == pytest.approx(5.0)
    assert settle(Battery(most_a=4.0), (30.0, 30.0, 30.0)) == pytest.approx(-4.0)


def test_locked_it_gives_nothing_and_still_takes() -> None:
    battery = Battery()
    battery.locked = True
    assert settle(battery, (9.0, 9.0, 9.0)) == 0.0
    assert settle(battery, (-9.0, -9.0, -9.0), since_s=20) == pytest.approx(9.0)


def test_it_follows_within_its_time_and_counts_what_it_gave() -> None:
    battery = Battery(capacity_wh=1000.0, most_a=10.0, soc_pct=50.0, follow_s=2.0)
    battery.advance((10.0,) * 3, 0.0)
    battery.advance((10.0,) * 3, 1.0)
    assert battery.current_a == pytest.approx(-5.0)
    settle(battery, (10.0,) * 3, 60, 1.0)
    assert battery.soc_pct == pytest.approx(50.0 - 100 * 3 * 10 * 230 * 60 / 3600 / 1000, abs=0.5)


@pytest.mark.parametrize(("soc_pct", "net_a"), [(5.0, 9.0), (100.0, -9.0)])
def test_empty_gives_nothing_and_full_takes_nothing(soc_pct: float, net_a: float) -> None:
    assert settle(Battery(soc_pct=soc_pct), (net_a,) * 3, 2.0) == 0.0


def test_a_site_has_one_that_meters_see_and_that_obeys_its_lock() -> None:
    clock = Clock()
    where = parse_address("tcp://127.0.0.1:0?unit=1", to_listen=True)
    plan = SitePlan(
        (
            DevicePlan("box", "abb-terra-ac", where),
            DevicePlan("grid", "eastron-sdm630", where),
            DevicePlan("battery", "sunspec-storage-124", where, sees="storage"),
        ),
        house_a=(4.0, 4.0, 4.0),
        battery={"most_a": 12.0, "soc_pct": 80.0},
    )
    site = SimulatedSite(plan, DRIVERS, clock)
    site.simulators["box"].plug(Car(wants_a=16.0))

    def after(seconds: float) -> dict[str, object]:
        for _ in range(round(seconds * 5)):
            clock.advance(0.2)
            site.advance()
        return site.truth()

    truth = after(20)
    assert truth["storage_a"] == [-12.0] * 3
    assert truth["grid_a"] == pytest.approx([8.0, 7.85, 7.7])
    assert 70 < float(str(truth["storage_pct"])) < 80.0
    simulator = site.simulators["battery"]
    assert simulator.flow is not None and simulator.flow.current_a == (-12.0,) * 3
    assert simulator._value("soc_pct", 1) == pytest.approx(site.battery.soc_pct if site.battery else None)
    assert simulator.lock is not None
    for name, value in (("discharge_limit_pct", 0), ("control_mode", 2), ("revert_s", 60)):
        simulator.lock.write(name, value, clock.seconds())
    truth = after(5)
    assert truth["storage_a"] == [0.0] * 3 and truth["grid_a"] == pytest.approx([20.0, 19.85, 19.7])
    assert truth["devices"]["battery"]["locked"] is True  # type: ignore[index]
    assert after(60)["storage_a"] == [-12.0] * 3, "its timer released it"
