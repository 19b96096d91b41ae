"""Watching meters: fresh, silent or frozen. What cannot be seen is not handed out.

A reading is good when every phase of the meter has a plausible current. A meter is silent when its last good reading
is too old, and comes back after three good ones. It is frozen when it repeats itself to the last digit although the
charging below it has changed; then no reading is good until one differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from attrs import evolve

from charging_manager.control.memory import Watch
from charging_manager.control.rules import Rules
from charging_manager.model.reading import Reading
from charging_manager.model.site import Meter
from charging_manager.model.units import PhaseAmps

IMPLAUSIBLE = 20.0
"""Times the circuit's limit: no fuse lets that pass for the time between two readings."""


def watch_meter(
    past: Watch, meter: Meter, readings: Sequence[Reading], limit_a: PhaseAmps, now: float, rules: Rules
) -> Watch:
    """The meter after its newest readings; ``see_frozen`` comes after it."""
    news = []
    for reading in reversed(readings):
        if reading.taken_s <= past.seen_s:
            break
        news.append(reading)
    watch = past
    if news:
        good_s, goods, currents = watch.good_s, watch.goods, watch.currents_a
        for reading in reversed(news):
            if _good(reading, meter, limit_a) and not (watch.frozen and _values(reading) == watch.values):
                good_s, goods, currents = reading.taken_s, goods + 1, reading.current_a
            else:
                goods = 0
        watch = Watch(
            news[0].taken_s,
            good_s,
            watch.silent,
            goods,
            watch.hold_until_s,
            watch.back_s,
            currents,
            watch.values,
            watch.since_s,
            watch.least_a,
            watch.most_a,
            watch.differs_s,
            watch.same_s,
            watch.frozen and good_s == watch.good_s,
        )
    fresh = watch.good_s is not None and now - watch.good_s <= rules.stale_after_s
    if watch.silent:
        first = past.good_s is None
        if fresh and watch.goods >= (1 if first else rules.good_readings) and now >= watch.hold_until_s:
            watch = evolve(watch, silent=False, back_s=watch.back_s if first else now)
    elif not fresh:
        watch = fall_silent(watch, now, rules)
    return watch


def fall_silent(watch: Watch, now: float, rules: Rules) -> Watch:
    """From now on its circuit is held to the fallback; a meter that flaps stays out longer."""
    flapped = now - watch.back_s < rules.flap_s
    return evolve(watch, silent=True, goods=0, hold_until_s=now + rules.flap_s if flapped else now)


def see_frozen(
    past: Watch,
    watch: Watch,
    newest: Reading | None,
    charging_a: PhaseAmps,
    charging_s: float,
    now: float,
    rules: Rules,
) -> Watch:
    """Notice a meter that repeats itself exactly while the charging that it should see has changed.

    Only new readings are evidence: a silent meter is not a frozen one. So are the boxes' readings: until each was taken
    well after the meter began to repeat itself (the oldest is of ``charging_s``), they show late what it has shown
    already. The evidence is dropped when a reading differs,
    or when charging has been back for ``flap_s`` at what it was when the meter began to repeat itself.
    """
    if newest is None or newest.taken_s <= past.seen_s:
        return watch
    values = _values(newest)
    least, most = watch.least_a, watch.most_a
    if values != watch.values:
        return evolve(
            watch, values=values, since_s=now, least_a=charging_a, most_a=charging_a, differs_s=None, same_s=None
        )
    settled = now - watch.since_s > rules.lag_s + 1.0 and charging_s >= watch.since_s + rules.lag_s
    if not settled and not watch.frozen:
        return evolve(watch, least_a=_each(min, least, charging_a), most_a=_each(max, most, charging_a))
    delta = max(max(charging_a[p] - most[p], least[p] - charging_a[p]) for p in (0, 1, 2))
    if delta < rules.frozen_delta_a:
        same_s = now if watch.same_s is None else watch.same_s
        frozen = watch.frozen and now - same_s < rules.flap_s
        if watch.differs_s is None and watch.same_s is not None and frozen == watch.frozen:
            return watch
        return evolve(watch, differs_s=None, same_s=same_s, frozen=frozen)
    if watch.differs_s is None:
        return evolve(watch, differs_s=now, same_s=None)
    if watch.frozen or now - watch.differs_s < rules.frozen_after_s:
        return watch
    return fall_silent(evolve(watch, frozen=True), now, rules)


def good_readings(readings: Sequence[Reading], meter: Meter, limit_a: PhaseAmps, rules: Rules) -> list[Reading]:
    """The newest good readings, oldest first: as many as house load looks back on."""
    found: list[Reading] = []
    for reading in reversed(readings):
        if found and reading.taken_s < found[0].taken_s - 2.0 * rules.lag_s:
            break
        if _good(reading, meter, limit_a):
            found.append(reading)
    found.reverse()
    return found


def _each(choose: Callable[[float, float], float], one: PhaseAmps, other: PhaseAmps) -> PhaseAmps:
    return choose(one[0], other[0]), choose(one[1], other[1]), choose(one[2], other[2])


def _good(reading: Reading, meter: Meter, limit_a: PhaseAmps) -> bool:
    for phase in meter.phases:
        current = reading.current_a[phase]
        if current is None or not math.isfinite(current) or abs(current) > IMPLAUSIBLE * max(limit_a[phase], 10.0):
            return False
    return True


def _values(reading: Reading) -> tuple[object, ...]:
    """What moves when anything does. A counter that still runs beside currents that do not is no sign of life."""
    return (reading.current_a, reading.power_w, reading.voltage_v)
