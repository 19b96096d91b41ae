"""What a simulated car does with what it is offered."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging_manager.sim.car import Car
from charging_manager.sim.power import VOLTAGES, Flow, Outlet


def drive(car: Car, offers: list[tuple[float, float]], step_s: float = 0.1) -> list[tuple[float, float]]:
    """(time, current) while each offer holds for so many seconds."""
    now_s, seen = 0.0, []
    for amps, for_s in offers:
        for _ in range(round(for_s / step_s)):
            now_s += step_s
            seen.append((now_s, car.offered(amps, now_s)))
    return seen


@pytest.mark.parametrize("seed", range(20))
def test_any_car_begins_after_one_to_two_seconds_and_has_followed_within_five(seed: int) -> None:
    car = Car.any(Random(seed))
    seen = drive(car, [(16.0, 8.0)])
    began_s = next(at_s for at_s, amps in seen if amps > 0)
    assert 1.0 <= began_s <= 2.2
    assert all(amps == min(16.0, car.wants_a) for at_s, amps in seen if at_s > 5.2)


@pytest.mark.parametrize(("before", "after"), [(16.0, 6.0), (6.0, 16.0), (10.0, 12.0)])
def test_a_change_is_followed_within_five_seconds_and_never_beyond(before: float, after: float) -> None:
    seen = drive(Car(follow_s=4.8), [(before, 10.0), (after, 10.0)])
    assert all(amps == after for at_s, amps in seen if at_s > 15.1)
    assert all(min(before, after) <= amps <= max(before, after) for at_s, amps in seen if at_s > 10.0)


def test_less_than_six_amperes_is_nothing() -> None:
    car = Car()
    assert all(amps == 0 for _, amps in drive(car, [(5.9, 10.0)]))
    assert car.pauses == 0


def test_a_car_takes_no_more_than_it_wants() -> None:
    assert max(amps for _, amps in drive(Car(wants_a=10.0), [(32.0, 20.0)])) == 10.0


def test_a_pause_stops_it_within_a_good_second() -> None:
    seen = drive(Car(), [(16.0, 10.0), (0.0, 5.0)])
    assert all(amps == 0 for at_s, amps in seen if at_s > 11.3)


def test_after_three_pauses_it_gives_up_until_it_is_woken() -> None:
    car = Car()
    drive(car, [(16.0, 8.0), (0.0, 4.0)] * 2 + [(16.0, 8.0)])
    assert car.current_a == 16.0
    drive(car, [(0.0, 4.0), (16.0, 20.0)])
    assert car.asleep
    assert car.current_a == 0.0
    car.wake()
    assert drive(car, [(16.0, 8.0)])[-1][1] == 16.0


def test_a_car_without_patience_limit_never_gives_up() -> None:
    car = Car(patience=None)
    drive(car, [(16.0, 8.0), (0.0, 4.0)] * 6)
    assert drive(car, [(16.0, 8.0)])[-1][1] == 16.0


def test_it_tapers_off_and_finishes_with_just_what_it_needed() -> None:
    outlet = Outlet()
    outlet.plug(Car(needs_wh=3000.0, taper_wh=1500.0))
    currents = []
    for second in range(3600):
        outlet.advance(16.0, float(second))
        currents.append(outlet.current_a[0])
    assert outlet.car is not None
    assert outlet.car.full
    assert outlet.car.pauses == 0
    assert currents[-1] == 0.0
    assert abs(outlet.session_wh - 3000.0) < 30.0
    peak = max(currents)
    assert peak == 16.0
    falling = [amps for amps in currents[currents.index(peak) :] if 0 < amps < peak]
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] < 4.0


def test_it_uses_the_phases_that_car_box_and_relay_have() -> None:
    for car_phases, wired, on, used in ((3, 3, 3, 3), (2, 3, 3, 2), (3, 1, 3, 1), (3, 3, 1, 1)):
        outlet = Outlet(wired)
        outlet.phases_on = on
        outlet.plug(Car(phases=car_phases))
        for tenth in range(100):
            outlet.advance(16.0, tenth / 10)
        assert [amps > 0 for amps in outlet.current_a] == [phase < used for phase in range(3)]


def test_the_energy_is_the_sum_of_what_flowed() -> None:
    outlet = Outlet()
    before_wh = outlet.energy_wh
    outlet.plug(Car())
    sums = 0.0
    for tenth in range(36000):
        last_w = sum(outlet.power_w)
        outlet.advance(16.0, tenth / 10)
        sums += (last_w + sum(outlet.power_w)) / 2 * 0.1 / 3600
    assert abs(outlet.energy_wh - before_wh - sums) < 1.0
    assert outlet.energy_wh - before_wh == pytest.approx(outlet.session_wh)
    assert outlet.session_wh > 10_000


def test_a_meter_counts_both_directions_by_phase() -> None:
    flow = Flow(lambda: (10.0, -5.0, 0.0), energy_wh=0.0, export_wh=0.0)
    for second in range(3601):
        flow.advance(float(second))
    assert flow.energy_l_wh == pytest.approx([10 * VOLTAGES[0], 0.0, 0.0], rel=1e-3)
    assert flow.export_l_wh == pytest.approx([0.0, 5 * VOLTAGES[1], 0.0], rel=1e-3)


@given(st.lists(st.tuples(st.floats(0, 40), st.floats(0.1, 30)), max_size=20), st.floats(6, 32))
def test_a_car_never_draws_more_than_the_higher_of_the_last_two_offers(
    offers: list[tuple[float, float]], wants_a: float
) -> None:
    car = Car(wants_a=wants_a, patience=None)
    now_s, last_a = 0.0, 0.0
    for amps, for_s in offers:
        ceiling = max(amps, car.current_a, last_a)
        for _ in range(10):
            now_s += for_s / 10
            assert car.offered(amps, now_s) <= min(ceiling, max(wants_a, car.current_a)) + 1e-9
        last_a = amps if for_s < 5 else 0.0
