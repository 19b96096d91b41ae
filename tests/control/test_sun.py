"""Stories of one home under the sun, second by second: starts, grace, pauses, phases, batteries, and bad input."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, time

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from charging_manager.control.because import sentence
from charging_manager.control.decide import Rules, decide
from charging_manager.control.sunmemory import Lows
from charging_manager.model.goal import Goal
from charging_manager.model.outside import Outside, Prices, PriceSlot
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Reading
from charging_manager.model.site import MeterRole, Mode, SolarSettings, StorageRole
from charging_manager.model.wish import Wish
from tests.control.sunplant import Home, Store, Vehicle

HOUSE_W = 300.0
ONE = SolarSettings(phases=1)


def home(*steps: tuple[float, float], vehicles: dict[str, Vehicle] | None = None, **kwargs: object) -> Home:
    """A home whose roof gives so many watts for so many seconds, one step after the other."""
    sun = [watts for watts, seconds in steps for _ in range(int(seconds))]
    cars = vehicles or {"car": Vehicle(switches=True)}
    return Home(sun, [HOUSE_W] * len(sun), cars, **kwargs)  # type: ignore[arg-type]


def told(site: Home, name: str = "car") -> tuple[float, str]:
    assert site.plan is not None
    setpoint = site.plan.setpoints[name]
    assert "{" not in sentence(setpoint.because)
    return setpoint.current_a, setpoint.because.code


def test_it_starts_when_there_was_enough_for_a_minute_and_follows() -> None:
    site = home((1000.0, 100), (2600.0, 200), vehicles={"car": Vehicle(switches=True, boxed=1)})
    site.run(95)
    assert told(site) == (0.0, "sun-wait")
    site.run(40)
    assert told(site) == (0.0, "sun-lasting")
    site.run(50)
    assert told(site) == (9.0, "sun-follows")
    site.run(10)
    assert site.vehicles["car"].current_a == 9.0
    assert site.plan is not None
    assert site.plan.surplus_w == pytest.approx(2300.0, abs=20.0)


def test_the_threshold_counts_each_phase_that_it_would_use() -> None:
    site = home((4000.0, 300), vehicles={"car": Vehicle()})  # 3700 W are left: too little for 3 x 6.5 A
    site.run(300)
    assert told(site) == (0.0, "sun-wait")


def test_when_the_sun_goes_it_goes_on_for_its_grace_and_pauses_for_five_minutes() -> None:
    site = home(
        (3000.0, 200),
        (1000.0, 400),
        (3000.0, 400),
        vehicles={"car": Vehicle(switches=True, boxed=1)},
        solar=SolarSettings(grid_pct=100.0, grace_s=300.0),
    )
    site.run(210)
    assert told(site) == (6.0, "sun-grace")
    site.run(280)
    assert told(site) == (6.0, "sun-grace")
    site.run(30)
    assert told(site) == (0.0, "sun-pause")
    stopped_s = site.vehicles["car"].changes[-1][0]
    site.run(450)
    started_s = next(at_s for at_s, amps in site.vehicles["car"].changes if at_s > stopped_s and amps > 0.0)
    assert started_s - stopped_s >= 300.0


def test_grace_ends_sooner_when_it_has_taken_its_part_from_the_grid() -> None:
    site = home((3000.0, 200), (500.0, 300), vehicles={"car": Vehicle(switches=True, boxed=1)})
    site.run(300)
    assert told(site) == (0.0, "sun-pause")
    assert site.caused_wh < 20.0


def test_minimum_and_solar_keeps_its_minimum_without_any_sun_and_takes_the_sun_beside() -> None:
    site = home(
        (0.0, 100), (4300.0, 200), vehicles={"car": Vehicle(switches=True, boxed=1)}, mode=Mode.MIN_SOLAR, solar=ONE
    )
    site.run(90)
    assert told(site) == (6.0, "sun-minimum")
    site.run(160)
    assert told(site)[0] == 17.0


def test_a_box_is_switched_to_three_phases_at_rest_and_not_before_three_minutes_of_enough() -> None:
    site = home((2600.0, 300), (8000.0, 900))
    site.run(300)
    car = site.vehicles["car"]
    assert (car.boxed, car.starts) == (1, 1)
    site.run(170)
    assert car.boxed == 1
    site.run(700)  # not sooner than ten minutes after the last switch
    assert car.boxed == 3
    assert told(site) == (11.0, "sun-follows")
    assert site.plan is not None
    assert site.plan.phase_switches == {"car": 2}
    assert site.violations == []


def test_too_little_for_three_phases_brings_it_to_one() -> None:
    site = home((8000.0, 900), (3000.0, 300))
    site.run(890)
    assert site.vehicles["car"].boxed == 3
    site.run(300)
    assert site.vehicles["car"].boxed == 1
    assert told(site) == (11.0, "sun-follows")


def test_a_car_that_does_not_come_back_is_switched_no_more() -> None:
    site = home((2600.0, 900), (8000.0, 900), (2600.0, 900), vehicles={"car": Vehicle(switches=True, boxed=1)})
    car = site.vehicles["car"]
    car.comes_back = False
    site.run(900 + 900 + 900)
    assert car.switched == 1
    assert car.boxed == 3


def test_a_box_that_does_not_switch_is_left_as_it_is() -> None:
    car = Vehicle(switches=True, switch_takes_s=10_000.0)
    site = home((2600.0, 600), vehicles={"car": car})
    site.run(150)
    assert told(site) == (0.0, "phases-switching")
    site.run(200)
    assert told(site)[1] != "phases-switching"
    assert car.switched == 0


def test_fast_on_a_box_that_can_switch_uses_three_phases() -> None:
    car = Vehicle(switches=True, boxed=1)
    site = home((0.0, 100), vehicles={"car": car}, mode=Mode.FAST)
    site.run(60)
    assert (car.boxed, car.loads) == (3, 3)
    assert car.current_a == 16.0


def test_the_first_car_gets_all_it_can_use_and_the_second_starts_when_it_fits() -> None:
    cars = {
        "first": Vehicle(switches=True, boxed=1, phases=1, max_a=10.0),
        "second": Vehicle(switches=True, boxed=1, phases=1),
    }
    site = home((3000.0, 400), (5000.0, 400), vehicles=cars, solar=ONE)
    site.run(400)
    assert cars["first"].current_a == 10.0
    assert told(site, "second")[0] == 0.0
    site.run(400)
    assert cars["first"].current_a == 10.0
    assert cars["second"].current_a >= 8.0
    assert cars["first"].starts == cars["second"].starts == 1


def test_without_a_meter_of_the_grid_it_says_so() -> None:
    site = home((8000.0, 60))
    meters = {"grid": evolve(site.site.meters["grid"], role=MeterRole.SOLAR)}
    circuits = {"main": evolve(site.site.circuits["main"], meter=None)}
    site.site = evolve(site.site, meters=meters, circuits=circuits)
    site.run(30)
    assert told(site) == (0.0, "no-grid-meter")


@pytest.mark.parametrize("power_w", [math.nan, math.inf, -1e9])
def test_nonsense_from_the_meter_is_no_sun(power_w: float) -> None:
    site = home((8000.0, 200))
    site.run(3)
    kept = site._keep

    def lie(reading: Reading) -> None:
        kept(evolve(reading, power_w=power_w) if reading.device == "grid" else reading)

    site._keep = lie  # type: ignore[method-assign]
    site.run(150)
    assert told(site) == (0.0, "sun-unknown")
    assert site.charged_wh == 0.0


def test_a_silent_meter_ends_solar_charging_by_the_fallback() -> None:
    site = home((8000.0, 400))
    site.run(200)
    assert told(site)[0] > 0.0
    site.meter_silent = True
    site.run(15)
    assert told(site)[0] == 0.0


def test_a_battery_for_the_house_is_filled_first_and_says_so() -> None:
    site = home((3000.0, 300), store=Store())
    site.run(300)
    assert told(site) == (0.0, "storage-first")
    assert site.charged_wh == 0.0


def test_what_a_battery_for_the_house_gives_is_no_surplus() -> None:
    store = Store(soc=1.0)
    site = home((3000.0, 300), (0.0, 400), vehicles={"car": Vehicle(switches=True, boxed=1)}, store=store)
    site.run(700)
    assert told(site)[0] == 0.0
    assert store.into_cars_wh < 60.0


def test_a_battery_for_all_lets_the_car_have_what_it_takes_and_gives_down_to_half() -> None:
    store = Store(role=StorageRole.ALL, soc=0.6, size_wh=800.0, most_w=2000.0)
    site = home((2600.0, 200), (900.0, 900), vehicles={"car": Vehicle(switches=True, boxed=1)}, store=store)
    site.run(190)
    assert told(site)[0] >= 8.0
    site.run(900)
    assert told(site)[0] == 0.0
    assert 0.4 <= store.soc <= 0.5


@pytest.mark.parametrize("says_soc", [True, False])
def test_a_battery_may_be_an_inverter_that_says_its_charge_and_a_meter_that_says_its_power(says_soc: bool) -> None:
    store = Store(role=StorageRole.ALL, soc=0.9, size_wh=8000.0, most_w=2000.0, apart=True, says_soc=says_soc)
    site = home((2600.0, 200), (900.0, 300), vehicles={"car": Vehicle(switches=True, boxed=1)}, store=store)
    site.run(190)
    assert told(site)[0] >= 8.0, "the inverter without a power of its own hides no sun"
    site.run(290)
    assert (told(site)[0] > 0.0) is says_soc, "what the battery gives is for cars while it is known to be full enough"


def test_the_lock_keeps_a_battery_from_being_emptied_into_a_fast_car() -> None:
    store = Store(soc=0.9)
    site = home((0.0, 400), mode=Mode.FAST, store=store, storage_lock=True)
    site.run(60)
    assert site.plan is not None and site.plan.storage_locked
    site.run(100)
    assert store.into_cars_wh < 30.0
    site.set_mode("car", Mode.OFF)
    site.run(30)
    assert site.plan.storage_locked  # not off and on with every change
    site.run(60)
    assert not site.plan.storage_locked


def test_without_the_setting_nothing_is_locked() -> None:
    site = home((0.0, 100), mode=Mode.FAST, store=Store(soc=0.9))
    site.run(100)
    assert site.plan is not None and not site.plan.storage_locked


def test_outside_the_times_of_its_plan_a_car_follows_the_sun() -> None:
    site = home((3000.0, 300), vehicles={"car": Vehicle(switches=True, boxed=1)}, mode=Mode.PLAN)
    at = datetime(2026, 6, 1, 12, tzinfo=UTC)
    cheap = PriceSlot(at.replace(hour=20), at.replace(hour=23), 0.1)
    dear = PriceSlot(at.replace(hour=11), at.replace(hour=20), 0.5)

    def planned(image: SiteImage, rules: Rules) -> Plan:
        wish = Wish(goal=Goal(time(23), energy_wh=5000.0), session_wh=site.charged_wh)
        outside = Outside(Prices((dear, cheap)))
        return decide(evolve(image, wishes={"car": wish}, outside=outside, now_at=at), rules)

    site.decide = planned
    site.run(10)
    assert told(site)[1] == "plan-measures"
    site.run(30)
    assert told(site) == (0.0, "plan-waits")
    site.run(200)
    assert told(site) == (11.0, "sun-follows")


@given(st.lists(st.floats(-500, 9000), min_size=1, max_size=60), st.integers(1, 70), st.floats(-500, 9000))
def test_lows_know_what_a_plain_list_knows(values: list[float], within: int, asked: float) -> None:
    lows = Lows()
    for at, value in enumerate(values):
        lows = lows.noted(float(at), value)
    floored = [math.floor(value / 20.0) * 20.0 for value in values]
    now = len(values) - 1.0
    if within <= now:
        assert lows.lowest(now, within) == min(floored[-within - 1 :])
    else:
        assert lows.lowest(now, within) == -math.inf
    below = [at for at, value in enumerate(floored) if value < asked]
    assert lows.lasted_s(now, asked) == (now - below[-1] if below else now)


def test_the_same_images_give_the_same_plans_under_the_sun() -> None:
    def run() -> list[tuple[float, float]]:
        chance = random.Random(4)
        site = home(*((chance.uniform(0.0, 9000.0), 10) for _ in range(40)))
        site.run(400)
        return site.vehicles["car"].changes

    assert run() == run()
