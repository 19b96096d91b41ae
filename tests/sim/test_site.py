"""A simulated site: honest sums, guests, plans from files, and real devices that steer it over a bus in memory."""

from __future__ import annotations

import json
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.web.test.requesthelper import DummyRequest

from charging_manager.devices.device import Device
from charging_manager.errors import ConfigError
from charging_manager.modbus.address import parse_address
from charging_manager.model.reading import Status
from charging_manager.sim.car import Car
from charging_manager.sim.control import _State
from charging_manager.sim.house import House, Roof
from charging_manager.sim.plan import DevicePlan, SitePlan, read_plan
from charging_manager.sim.site import SimulatedSite
from tests.sim.rigs import CHARGERS, DRIVERS, Bench

ANY_PORT = parse_address("tcp://127.0.0.1:0?unit=1", to_listen=True)


def plan(*devices: tuple[str, str, dict[str, Any]], **options: Any) -> SitePlan:
    """Devices as (id, driver, more)."""
    return SitePlan(tuple(DevicePlan(name, driver, ANY_PORT, **more) for name, driver, more in devices), **options)


def garage(**options: Any) -> tuple[SimulatedSite, Clock]:
    """Three boxes, differently wired, a grid meter, a solar meter and two others."""
    clock = Clock()
    clock.advance(500)
    site = SimulatedSite(
        plan(
            ("one", "cfos-power-brain", {"plugged": True}),
            ("two", "keba-p30", {"plugged": True, "phases": (1, 2, 0)}),
            ("three", "heidelberg-energy-control", {"plugged": True, "phases": (2,)}),
            ("grid", "eastron-sdm630", {}),
            ("sun", "sunspec-meter-203", {"sees": "solar"}),
            ("rest", "eastron-sdm630", {"sees": "load"}),
            ("pair", "eastron-sdm630", {"sees": "chargers", "chargers": ("one", "two"), "phases": (2, 0, 1)}),
            **options,
        ),
        DRIVERS,
        clock,
    )
    return site, clock


def pass_time(site: SimulatedSite, clock: Clock, seconds: float) -> None:
    for _ in range(round(seconds / 0.2)):
        clock.advance(0.2)
        site.advance()


def test_the_meters_see_the_house_the_roof_and_what_the_boxes_really_draw_on_the_right_phases() -> None:
    site, clock = garage(house_a=(20.0, 10.0, 5.0))
    site.roof.held_a = (4.0, 4.0, 4.0)
    pass_time(site, clock, 10)
    one, two, three = ([16.0, 15.85, 15.7], [15.7, 16.0, 15.85], [0.0, 0.0, 16.0])
    cars = [sum(amps) for amps in zip(one, two, three, strict=True)]
    assert site.charging_a() == pytest.approx(tuple(cars))
    told = site.truth()["devices"]
    assert told["grid"]["current_a"] == pytest.approx([20 - 4 + cars[0], 10 - 4 + cars[1], 5 - 4 + cars[2]])
    assert told["sun"]["current_a"] == [-4.0, -4.0, -4.0]
    assert told["rest"]["current_a"] == [20.0, 10.0, 5.0]
    pair = [a + b for a, b in zip(one, two, strict=True)]
    assert told["pair"]["current_a"] == pytest.approx([pair[2], pair[0], pair[1]])


def test_without_a_solar_meter_there_is_no_roof() -> None:
    clock = Clock()
    site = SimulatedSite(plan(("grid", "eastron-sdm630", {}), house_a=(1.0, 2.0, 3.0)), DRIVERS, clock)
    assert site.grid_a() == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("seed", range(5))
def test_a_house_breathes_and_once_in_a_while_has_a_peak(seed: int) -> None:
    house = House(seed, peak_every_s=100, peak_for_s=30)
    loads = [house.load_a(1000 + second / 2) for second in range(2400)]
    assert all(0 < amps < 4 + 2.5 + 12.1 for load in loads for amps in load)
    high = [max(load) > 10 for load in loads]
    peaks = sum(1 for before, after in pairwise(high) if after and not before)
    assert 4 <= peaks <= 30
    quiet = [load[0] for load in loads if max(load) < 7]
    assert max(quiet) - min(quiet) > 1
    steps = [abs(a - b) for x, y in pairwise(loads) for a, b in zip(x, y, strict=True)]
    assert max(steps) < 1.5  # in half a second


def test_the_same_seed_is_the_same_run_and_another_is_another() -> None:
    def run(seed: int) -> list[tuple[float, float, float]]:
        house, roof = House(seed), Roof(seed)
        return [house.load_a(float(t)) for t in range(300)] + [roof.gives_a(float(t)) for t in range(300)]

    assert run(3) == run(3)
    assert run(3) != run(4)


def test_guests_come_and_go_until_somebody_takes_over() -> None:
    clock = Clock()
    site = SimulatedSite(plan(("one", "keba-p30", {"visits": True})), DRIVERS, clock)
    simulator = site.simulators["one"]
    seen = []
    for _ in range(3600):
        clock.advance(1.0)
        site.advance()
        seen.append(simulator.status() is not Status.FREE)
    changes = sum(1 for before, after in pairwise(seen) if before != after)
    assert changes >= 8
    assert 0.5 < sum(seen) / len(seen) < 0.97
    site.change({"devices": {"one": {"plugged": False}}})
    for _ in range(600):
        clock.advance(1.0)
        site.advance()
        assert simulator.status() is Status.FREE


@given(st.lists(st.tuples(st.sampled_from(("one", "two", "three")), st.floats(0, 32), st.booleans()), max_size=12))
@hypothesis_settings(max_examples=25, deadline=None)
def test_the_grid_meter_is_the_sum_of_its_parts_whatever_happens(steps: list[tuple[str, float, bool]]) -> None:
    site, clock = garage(house_a=(3.0, 2.0, 1.0))
    for name, wants_a, plugged in steps:
        changes: dict[str, Any] = {"plugged": plugged}
        if plugged:
            changes["wants_a"] = wants_a
        site.change({"devices": {name: changes}})
        pass_time(site, clock, 4)
        told = site.truth()
        for phase in range(3):
            parts = told["house_a"][phase] + told["charging_a"][phase] - told["solar_a"][phase]
            assert told["grid_a"][phase] == pytest.approx(parts, abs=0.01)
            assert told["devices"]["grid"]["current_a"][phase] == pytest.approx(parts, abs=0.01)


def test_what_a_site_cannot_do_is_named() -> None:
    site, _ = garage()
    for what, where in (
        ({"weather": 1}, "weather"),
        ({"house_a": [1, 2]}, "house_a"),
        ({"devices": {"nine": {}}}, "devices.nine"),
        ({"devices": {"one": 5}}, "devices.one"),
    ):
        with pytest.raises(ConfigError) as caught:
            site.change(what)
        assert caught.value.where == where


@pytest.mark.parametrize(
    ("devices", "hint"),
    [
        ((("a", "keba-p30", {}), ("a", "keba-p30", {})), "two devices"),
        ((("a", "no-such-box", {}),), "no driver"),
        ((("a", "eastron-sdm630", {"sees": "everything"}),), "sees is one of"),
        ((("a", "eastron-sdm630", {"chargers": ("b",)}),), "no charge point"),
        ((("a", "keba-p30", {"phases": (0, 1)}),), "one or three"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(devices: tuple[Any, ...], hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        SimulatedSite(plan(*devices), DRIVERS, Clock())


def test_two_devices_with_one_address_and_unit_are_refused() -> None:
    address = parse_address("tcp://127.0.0.1:5020?unit=1")
    devices = tuple(DevicePlan(name, "keba-p30", address) for name in ("a", "b"))
    with pytest.raises(ConfigError, match="address and unit"):
        SimulatedSite(SitePlan(devices), DRIVERS, Clock())


def test_a_plan_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(
        """
        seed = 7
        [house]
        base_a = 3.0
        hold_a = [20, 20, 20]
        [[device]]
        id = "garage"
        driver = "keba-p30"
        address = "tcp://127.0.0.1:0?unit=255"
        phases = [2, 3, 1]
        plugged = true
        """
    )
    read = read_plan(file)
    assert (read.seed, read.house_a, dict(read.house)) == (7, (20.0, 20.0, 20.0), {"base_a": 3.0})
    assert (read.devices[0].phases, read.devices[0].address.unit) == ((1, 2, 0), 255)
    SimulatedSite(read, DRIVERS, Clock())


@pytest.mark.parametrize(
    "text",
    [
        "[[device",
        "[[device]]\nid='a'",
        "[[device]]\nid='a'\ndriver='b'\naddress='tcp://h'\ncolour=1",
        "device = 5",
        "[house]\nhold_a=[1]",
    ],
)
def test_a_file_that_is_no_plan_is_refused_with_its_name(text: str, tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"site\.toml"):
        read_plan(file)
    with pytest.raises(ConfigError, match="nowhere"):
        read_plan(tmp_path / "nowhere.toml")


def ask(site: SimulatedSite, method: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
    request = DummyRequest([b"state"])
    request.content = BytesIO(body)
    answer = getattr(_State(site), f"render_{method}")(request)
    return request.responseCode or 200, json.loads(answer)


def test_the_door_tells_and_changes_and_refuses_nonsense() -> None:
    site, _ = garage(house_a=(3.0, 2.0, 1.0))
    assert ask(site, "GET")[1]["house_a"] == [3.0, 2.0, 1.0]
    code, told = ask(site, "POST", b'{"house_a": [9, 9, 9], "devices": {"one": {"plugged": false}}}')
    assert (code, told["house_a"], told["devices"]["one"]["plugged"]) == (200, [9.0, 9.0, 9.0], False)
    for body in (b"", b"[]", b"{", b'{"weather": 1}', b'{"devices": {"one": {"colour": 1}}}'):
        code, told = ask(site, "POST", body)
        assert code == 400
        assert told["error"]


# -- real devices ----------------------------------------------------------------------------------------------------


def steered(name: str) -> tuple[Bench, Device]:
    """A simulated box and the agent's own device for it."""
    bench = Bench(name)
    device = Device(name, DRIVERS[name], bench.bus, 1, (0, 1, 2), bench.clock, 6.0)
    return bench, device


@pytest.mark.parametrize("name", CHARGERS)
def test_the_agents_own_device_reads_steers_pauses_and_arms_every_simulated_box(name: str) -> None:
    bench, device = steered(name)
    bench.simulator.plug(Car())

    def poll(seconds: float) -> None:
        for _ in range(round(seconds)):
            bench.get(device.read())
            bench.run(1.0, 0.25)

    poll(40)
    outlet, truth = bench.simulator.outlet(), bench.simulator.truth
    for amps in (10.0, 0.0, 8.0):
        bench.get(device.apply(amps))
        poll(45)
        assert truth()["offered_a"] == amps
        assert outlet.current_a[0] == amps
    reading = bench.get(device.read())
    assert reading.status is Status.CHARGING
    assert reading.current_a[0] == pytest.approx(8.0, abs=0.1)
    told = truth()
    assert not told["watchdog_expired"]
    assert told["watchdog_left_s"] is not None
    expected = 6.0 if DRIVERS[name].watchdog.fallback_write else 0.0  # type: ignore[union-attr]
    assert told["fallback_a"] == expected
    assert told["violations"] == []
    assert (told["early"], told["early_writes"]) == (0, 0)
    assert told["flash_writes"] <= 3
    device.close()  # the agent is gone
    bench.run(told["watchdog_left_s"] + 2)
    assert truth()["watchdog_expired"]
    assert truth()["offered_a"] == expected


def test_an_idle_hour_wears_no_flash_and_stays_fed() -> None:
    bench, device = steered("cfos-power-brain")
    bench.get(device.read())
    bench.get(device.apply(10.0))
    bench.simulator.reset_counters()
    for _ in range(720):
        bench.get(device.read())
        bench.run(5.0, 1.0)
        assert not bench.simulator.truth()["watchdog_expired"]
    assert bench.simulator.flash_writes == 0
    assert len(bench.simulator.writes) <= 60
