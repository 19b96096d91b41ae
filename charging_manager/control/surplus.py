"""What the sun leaves for cars: what flows back to the grid, and what the cars draw that follow the sun.

The grid's meter and a box are never read at the same instant. From a reading of the meter, what each car drew around
that time gives a least and a most that the sun may leave, and what was believed before is kept as long as it lies
between (as for house load, see ``house``): a car's own ramp is not taken for a cloud. A fall is believed at once, from
the newest reading, where it is sure; a rise only from a reading for which boxes were read after it.

A surplus that goes on falling (three readings, as behind the edge of a cloud) is met where it will be when cars have
followed: ``sun_ahead_s`` later. A single step is not: a kettle falls once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import evolve

from charging_manager.control.memory import Watch
from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen, plausible
from charging_manager.control.storage import Battery
from charging_manager.control.sunmemory import Lows, Ride, Surplus
from charging_manager.control.wiring import Wiring
from charging_manager.model.plan import SiteImage
from charging_manager.model.reading import Reading
from charging_manager.model.site import Meter, StorageRole

NOMINAL_V = 230.0
LEAST_A, OFTEN_A = 6.0, 16.0
"""What a car takes at least, and what many take at most."""
LONGEST_S = 10.0
"""No longer than this is anything counted between two readings."""
MOST_A = 80.0
"""Of a charge point."""
IMPLAUSIBLE = 20.0
"""Times what the circuit's limit lets flow."""


def volts(reading: Reading | None) -> float:
    """The mean voltage that a device shows; nominal where it shows none that can be."""
    if reading is None:
        return NOMINAL_V
    known = [one for one in reading.voltage_v if one is not None and 150.0 < one < 300.0]
    return sum(known) / len(known) if known else NOMINAL_V


def drawn_w(reading: Reading) -> float | None:
    """What a car draws, by its box; None where a phase is not known."""
    if reading.power_w is not None and 0.0 <= reading.power_w < 1e6:
        return reading.power_w
    amps = [plausible(one) for one in reading.current_a]
    known = [max(0.0, one) for one in amps if one is not None]
    return sum(known) * volts(reading) if known else None


def told_a(seen: Seen) -> float:
    """The highest setpoint that its box may follow, as far as a box can go."""
    return seen.told_a if 0.0 <= seen.told_a <= MOST_A else MOST_A


def grid_w(reading: Reading, meter: Meter, most_w: float) -> float | None:
    """What comes from the grid, negative what goes to it; by currents where the meter gives no power."""
    power = reading.power_w
    if power is None:
        power = 0.0
        for phase in meter.phases:
            amps = reading.current_a[phase]
            if amps is None:
                return None
            one = reading.voltage_v[phase]
            power += amps * (one if one is not None and 150.0 < one < 300.0 else NOMINAL_V)
    return power if math.isfinite(power) and abs(power) <= most_w else None


def observe(
    past: Surplus,
    image: SiteImage,
    wiring: Wiring,
    followers: Sequence[Seen],
    batteries: Sequence[Battery],
    watch: Watch | None,
    rules: Rules,
) -> Surplus:
    """What is believed after the newest readings. Silent, frozen or nonsense: nothing is known of the sun."""
    meter_id, now = wiring.meters[0] if wiring.meters else None, image.now_s
    if meter_id is None or watch is None or watch.silent:
        return Surplus()
    meter, circuit = image.site.meters[meter_id], wiring.circuits[0]
    most_w = IMPLAUSIBLE * NOMINAL_V * sum(max(10.0, amps) for amps in circuit.limit_a)
    newest: tuple[float, float] | None = None
    settled: tuple[float, float, float] | None = None
    for reading in reversed(image.readings.get(meter_id, ())):
        if now - reading.taken_s > rules.stale_after_s:
            break
        grid = grid_w(reading, meter, most_w)
        if grid is None:
            continue
        found = _between(reading.taken_s, grid - image.site.solar.import_w, followers, batteries, now, rules)
        if found is None:
            return Surplus()
        low, high, covered = found
        if newest is None:
            newest, grid_now, newest_high = (reading.taken_s, high), grid, high
        if covered or reading.taken_s <= past.settled_s:
            settled = (reading.taken_s, low, high) if reading.taken_s > past.settled_s else None
            break
    if newest is None:
        return Surplus()
    if newest[0] <= past.seen_s and settled is None:
        return past if past.power_w is not None else Surplus()
    belief, settled_s = past.power_w, past.settled_s
    if settled is not None:
        settled_s, low, high = settled
        belief = low if belief is None else min(max(belief, low), high)
    if belief is not None:
        belief = min(belief, newest_high)
    foreign = grid_now + rules.storage_cost * sum(battery.foreign_w for battery in batteries)
    since_s = newest[0] - past.seen_s
    return _noted(evolve(past, seen_s=newest[0], settled_s=settled_s, foreign_w=foreign), now, belief, since_s, rules)


def _noted(past: Surplus, now: float, belief: float | None, since_s: float, rules: Rules) -> Surplus:
    if belief is None or not math.isfinite(belief):
        return evolve(past, power_w=None, falls_w_per_s=0.0, trail=(), rides=(), lows=Lows())
    trail = (*past.trail[-3:], (past.seen_s, belief))
    falls = math.inf if len(trail) > 2 else 0.0
    for (one_s, before), (two_s, after) in zip(trail[-3:], trail[-2:], strict=False):
        falls = min(falls, (before - after) / (two_s - one_s) if two_s > one_s else 0.0)
    since_s = min(LONGEST_S, max(0.0, since_s))
    rides = tuple(
        ride.noted(now, since_s, belief, phases * LEAST_A * NOMINAL_V, phases * OFTEN_A * NOMINAL_V, rules.sun_ride_s)
        for ride, phases in zip(past.rides or (Ride(), Ride()), (1, 3), strict=True)
    )
    lows = past.lows.noted(now, belief)
    return evolve(past, power_w=belief, falls_w_per_s=max(0.0, falls), trail=trail, rides=rides, lows=lows)


def _between(
    at_s: float,
    grid: float,
    followers: Sequence[Seen],
    batteries: Sequence[Battery],
    now: float,
    rules: Rules,
) -> tuple[float, float, bool] | None:
    """Least and most that the sun leaves by one reading of the grid's meter, and whether boxes were read after it."""
    low = high = -grid
    covered = True
    for battery in batteries:
        part = battery.part_w(at_s, rules.sun_lag_s)
        if part is None:
            return None
        low, high = low + part[0], high + part[1]
    if any(battery.meter.storage is StorageRole.HOUSE for battery in batteries):
        low, high = low - rules.house_storage_w, high - rules.house_storage_w
    for seen in followers:
        if not seen.silent and seen.past.plugged_s is not None:
            least, most, known = _drew(seen, at_s, now, rules)
            low, high = low + least, high + most
            covered = covered and known
    return low, high, covered


def _drew(seen: Seen, at_s: float, now: float, rules: Rules) -> tuple[float, float, bool]:
    """Least and most that a car drew around a time, and whether it was read late enough to know."""
    newest = seen.readings[-1]
    told_w = told_a(seen) * seen.bits.bit_count() * volts(newest)
    changed_s = max(seen.past.raised_s or -math.inf, seen.past.lowered_s or -math.inf, seen.past.steady_s)
    if now - changed_s > rules.sun_settle_s:
        power = drawn_w(newest)
        return (0.0, told_w, True) if power is None else (power, power, True)
    least, most = math.inf, 0.0
    for reading in reversed(seen.readings):
        power = drawn_w(reading)
        if reading.taken_s >= at_s + rules.sun_lag_s:
            least, most = math.inf, 0.0
        least = min(least, 0.0 if power is None else power)
        most = max(most, told_w if power is None else power)
        if reading.taken_s <= at_s - rules.sun_lag_s:
            break
    if newest.taken_s >= at_s + rules.sun_lag_s:
        return least, most, True
    return 0.0, max(most, told_w), False
