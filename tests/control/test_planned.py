"""One car with a goal: what it is told and why, as prices, sun, clock and car behave and misbehave."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from attrs import evolve

from charging_manager.control.because import SENTENCES, sentence
from charging_manager.control.planned import MEASURE_MOST_S, Planned, Sight, follow
from charging_manager.model.goal import Goal, Prefer
from charging_manager.model.outside import NOTHING_KNOWN, Dimming, Outside, Prices, PriceSlot, SunSlot

PARIS = ZoneInfo("Europe/Paris")
EVENING = datetime(2026, 5, 6, 20, 0, tzinfo=PARIS)
HOUR = timedelta(hours=1)
DAY_PRICES = [0.30, 0.28, 0.26, 0.20, 0.10, 0.11, 0.12, 0.25, 0.28, 0.35, 0.40, 0.38]


def hourly(*prices: float, start_at: datetime = EVENING, co2: tuple[float, ...] = ()) -> Outside:
    begin = start_at.astimezone(UTC)
    slots = tuple(
        PriceSlot(begin + n * HOUR, begin + (n + 1) * HOUR, price, co2[n] if co2 else None)
        for n, price in enumerate(prices)
    )
    return Outside(Prices(slots))


class Car:
    """A car of 11 kW on a virtual clock, looked at every 5 s."""

    def __init__(
        self, goal: Goal, outside: Outside = NOTHING_KNOWN, now_at: datetime = EVENING, knows: bool = True
    ) -> None:
        self.goal, self.outside = goal, outside
        self.now_s, self.now_at = 1000.0, now_at
        self.done_wh = self.drawn_w = 0.0
        self.takes_w = 11_000.0
        self.knows = knows
        self.planned: Planned | None = None
        self.told: list[tuple[str, str]] = []
        self.sees: Callable[[Sight], Sight] = lambda sight: sight

    def look(self) -> Planned:
        want = self.goal.energy_wh
        sight = Sight(
            self.goal,
            None if want is None else max(0.0, want - self.done_wh),
            self.done_wh,
            500.0,
            self.drawn_w,
            self.planned is not None and self.planned.charge,
            11_040.0,
            1_380.0,
        )
        if self.planned is None and self.knows:
            self.planned = Planned(sight, self.now_s, self.now_at.timestamp(), learned_w=self.takes_w)
        self.planned = follow(self.planned, self.sees(sight), self.outside, self.now_s, self.now_at)
        code = self.planned.because.code
        assert "{" not in sentence(self.planned.because), code
        if not self.told or self.told[-1][1] != code:
            self.told.append((f"{self.now_at:%H:%M}", code))
        return self.planned

    def run(self, hours: float) -> Planned:
        planned = self.look()
        for _ in range(int(hours * 720)):
            self.drawn_w = self.takes_w if planned.charge else 0.0
            self.done_wh += self.drawn_w * 5.0 / 3600.0
            self.now_s += 5.0
            self.now_at = (self.now_at.astimezone(UTC) + timedelta(seconds=5)).astimezone(PARIS)
            planned = self.look()
        return planned


def test_it_waits_for_the_valley_and_says_until_when() -> None:
    car = Car(Goal(time(7), energy_wh=22_000.0), hourly(*DAY_PRICES))
    first = car.look()
    assert (first.charge, first.because.code, first.because.fields) == (False, "plan-waits", {"time": "00:00"})
    car.run(11.0)
    assert car.done_wh >= 21_990.0
    assert car.told[0] == ("20:00", "plan-waits")
    assert car.told[-1][1] == "plan-reached"
    charged = [at for at, code in car.told if code == "plan-cheap"]
    assert charged and all(at < "03:00" for at in charged)


def test_in_a_cheap_hour_it_names_the_price() -> None:
    car = Car(Goal(time(7), energy_wh=10_000.0), hourly(0.10, 0.5, 0.5, 0.5))
    planned = car.look()
    assert planned.because.code == "plan-cheap"
    assert planned.because.fields["price"] == 0.1
    assert sentence(planned.because).endswith(": 0.1 EUR per kWh.")
    exact = evolve(planned.because, fields={**planned.because.fields, "price": 0.0823})
    assert "0,0823 EUR" in sentence(exact, "de")


def test_a_car_that_nobody_knows_is_measured_when_its_goal_might_be_at_risk() -> None:
    car = Car(Goal(time(7), energy_wh=45_000.0), hourly(*DAY_PRICES), knows=False)
    assert car.look().because.code == "plan-must"
    car.run(0.01)
    planned = car.look()
    assert (planned.because.code, planned.sure, planned.learned_w) == ("plan-waits", True, 11_000.0)
    assert car.run(11.0).because.code == "plan-reached"


SOON_CHEAP = [0.20, 0.05, *[0.40] * 10]
"""If the car is slow, some of it must be had now, before the cheap hour; else not."""


def test_a_car_is_measured_where_it_costs_the_least_and_then_waits() -> None:
    car = Car(Goal(time(7), energy_wh=6_000.0), hourly(*SOON_CHEAP), knows=False)
    assert car.look().because.code == "plan-measures"
    planned = car.run(0.01)
    assert (planned.because.code, planned.sure, planned.learned_w) == ("plan-waits", True, 11_000.0)
    assert car.done_wh <= 11_000.0 * 30.0 / 3600.0, "some seconds, not minutes"
    car.run(10.9)
    assert [code for _, code in car.told] == ["plan-measures", "plan-waits", "plan-cheap", "plan-reached"]


def test_nobody_is_measured_while_charging_is_dimmed() -> None:
    car = Car(Goal(time(7), energy_wh=6_000.0), hourly(*SOON_CHEAP), knows=False)
    car.outside = evolve(car.outside, dimming=Dimming(4200.0, "input"))
    car.run(0.1)
    assert [code for _, code in car.told] == ["plan-cheap", "plan-waits"], "it began by the least that a car may take"
    learned = Car(Goal(time(7), energy_wh=11_000.0), hourly(*SOON_CHEAP))
    learned.outside = evolve(learned.outside, dimming=Dimming(4200.0, "input"))
    assert (learned.run(0.1).because.code, learned.done_wh) == ("plan-waits", 0.0)


def test_a_car_that_shows_nothing_is_not_waited_for() -> None:
    car = Car(Goal(time(7), energy_wh=11_000.0), hourly(*SOON_CHEAP))
    assert car.look().because.code == "plan-measures"
    car.takes_w = 0.0
    planned = car.run(0.1)
    assert (planned.because.code, planned.sure) == ("plan-waits", False)
    assert planned.tried_s <= MEASURE_MOST_S + 5.0
    car.takes_w = 11_000.0
    assert car.run(10.0).because.code == "plan-reached"


def test_a_reading_that_does_not_come_anew_is_no_measuring() -> None:
    car = Car(Goal(time(7), energy_wh=6_000.0), hourly(*SOON_CHEAP), knows=False)
    car.sees = lambda sight: evolve(sight, read_s=1003.0)
    planned = car.run(0.02)
    assert (planned.because.code, planned.sure) == ("plan-measures", False)


def test_a_car_that_takes_less_than_thought_is_started_earlier() -> None:
    car = Car(Goal(time(7), energy_wh=40_000.0), hourly(*DAY_PRICES))
    car.takes_w = 4_200.0
    car.run(11.0)
    assert car.done_wh >= 39_990.0


def test_the_times_of_a_car_that_must_charge_and_may_be_in_time_end_in_time() -> None:
    car = Car(Goal(time(7), energy_wh=100_000.0), hourly(*DAY_PRICES))
    car.takes_w = 6_000.0
    planned = car.look()
    assert (planned.because.code, planned.sure, planned.feasible) == ("plan-must", False, True)
    assert planned.deadline_s is not None and planned.runs[-1].end_s <= planned.deadline_s


def test_what_cannot_be_in_time_is_said_at_once_with_what_it_will_have() -> None:
    car = Car(Goal(time(7), energy_wh=150_000.0), hourly(*DAY_PRICES))
    planned = car.look()
    assert planned.because.code == "goal-not-in-time"
    assert planned.because.fields == {"kwh": 121.4, "time": "07:00"}
    assert planned.charge
    assert planned.feasible is False
    planned = car.run(11.5)
    assert planned.charge, "it charges on when its time is over"
    assert planned.because.code == "plan-late"
    car.run(3.0)
    assert car.planned is not None and car.planned.because.code == "plan-reached"


def test_once_reached_it_rests_until_the_car_has_gone_and_comes_back() -> None:
    car = Car(Goal(time(7), energy_wh=5_000.0), hourly(*DAY_PRICES))
    assert car.run(30.0).because.code == "plan-reached"
    car.sees = lambda sight: evolve(sight, plugged_s=None)
    assert car.look().because.code == "no-car"
    car.sees = lambda sight: evolve(sight, plugged_s=car.now_s)
    car.done_wh, car.outside = 0.0, hourly(*DAY_PRICES, start_at=car.now_at)
    assert car.look().because.code in ("plan-waits", "plan-cheap")


def test_without_any_price_it_charges_at_once() -> None:
    car = Car(Goal(time(7), energy_wh=10_000.0))
    planned = car.look()
    assert (planned.charge, planned.because.code) == (True, "plan-no-prices")
    assert planned.unknown_s > 0.0


def test_a_gap_is_never_the_cheapest_time() -> None:
    known = hourly(*DAY_PRICES).prices.slots
    car = Car(Goal(time(7), energy_wh=30_000.0), Outside(Prices((*known[:3], *known[5:]))))
    car.run(11.0)
    gap = [at for at, code in car.told if code == "plan-no-prices"]
    assert gap == []
    assert car.done_wh >= 29_990.0


def test_new_prices_are_a_new_plan() -> None:
    car = Car(Goal(time(7), energy_wh=11_000.0), hourly(*DAY_PRICES))
    assert car.look().because.fields["time"] == "00:00"
    car.outside = hourly(0.3, 0.05, *DAY_PRICES[2:])
    assert car.look().because.fields["time"] == "21:00"


def test_greener_times_are_chosen_where_the_tariff_says_which() -> None:
    green = Goal(time(7), energy_wh=11_000.0, prefer=Prefer.GREEN)
    co2 = (300.0, 50.0, *[400.0] * 10)
    car = Car(green, hourly(*DAY_PRICES, co2=co2))
    planned = car.look()
    assert (planned.because.code, planned.by) == ("plan-measures", Prefer.GREEN), (
        "if it takes less, now is better than later"
    )
    car.run(1.5)
    assert [code for _, code in car.told] == ["plan-measures", "plan-waits-green", "plan-green"]
    assert car.told[1][0] == "20:00"
    blind = Car(green, hourly(*DAY_PRICES)).look()
    assert (blind.because.code, blind.by) == ("plan-waits", Prefer.CHEAP)


def test_it_does_not_buy_what_the_sun_will_likely_give_but_is_ready_if_it_does_not_come() -> None:
    goal = Goal(time(18), energy_wh=11_000.0)
    morning = datetime(2026, 5, 6, 8, 0, tzinfo=PARIS)
    sun = tuple(SunSlot(morning + (2 + n) * HOUR, morning + (3 + n) * HOUR, 9_000.0, spare_w=5_000.0) for n in range(5))
    car = Car(goal, evolve(hourly(*[0.2] * 10, start_at=morning), sun=sun), morning)
    planned = car.look()
    assert (planned.charge, planned.because.code) == (False, "plan-sun")
    car.run(9.9)
    assert car.done_wh >= 10_990.0, "the sun never came"
    bought = [at for at, code in car.told if code in ("plan-cheap", "plan-must")]
    assert bought and min(bought) >= "11:00"


def test_a_state_of_charge_that_nobody_tells_is_named() -> None:
    planned = Car(Goal(time(7), soc_pct=80.0), hourly(*DAY_PRICES)).look()
    assert (planned.charge, planned.because.code, planned.feasible) == (True, "plan-no-soc", None)


def test_a_goal_for_a_day_that_is_over_is_none() -> None:
    planned = Car(Goal(time(7), energy_wh=5_000.0, on=date(2026, 5, 1)), hourly(*DAY_PRICES)).look()
    assert (planned.charge, planned.because.code) == (False, "plan-no-goal")


def test_the_wall_clock_may_jump_and_come_back() -> None:
    car = Car(Goal(time(7), energy_wh=22_000.0), hourly(*DAY_PRICES))
    car.run(1.0)
    true_at = car.now_at
    for wrong in (datetime(1970, 1, 1, tzinfo=PARIS), datetime(2036, 5, 6, 7, 30, tzinfo=PARIS)):
        car.now_at = wrong
        car.run(0.01)
        assert car.planned is not None and not car.planned.late
        assert car.planned.deadline_s is not None
        assert 0.0 < car.planned.deadline_s - car.planned.clock_s <= 24.1 * 3600.0
    car.now_at = true_at
    car.run(10.0)
    assert car.done_wh >= 21_990.0


def test_an_absurd_power_or_energy_decides_nothing() -> None:
    car = Car(Goal(time(7), energy_wh=22_000.0), hourly(*DAY_PRICES))
    car.sees = lambda sight: evolve(sight, power_w=None)
    car.run(1.0)
    car.sees = lambda sight: evolve(sight, usual_w=0.0)
    assert car.look().because.code == "goal-not-in-time"


def test_every_reason_of_plans_was_met_above() -> None:
    here = Path(__file__).read_text("utf-8")
    elsewhere = {"plan-no-clock", "plan-soon"}  # tests/control/test_planning.py
    assert [code for code in SENTENCES if code.startswith(("plan-", "goal-")) and f'"{code}"' not in here] == []
    assert elsewhere <= set(SENTENCES)
