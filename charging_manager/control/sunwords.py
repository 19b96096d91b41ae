"""Why a car that follows the sun has what it has. Numbers are rounded, so that sentences stay the same for a while."""

from __future__ import annotations

import math

from charging_manager.control.follower import Follower
from charging_manager.control.instants import Instants
from charging_manager.control.rules import Rules
from charging_manager.control.sunmemory import Surplus
from charging_manager.model.plan import Because


def say_why(
    car: Follower,
    surplus: Surplus,
    now_w: float | None,
    now: float,
    instants: Instants,
    rules: Rules,
    *,
    has_meter: bool,
    storage_first: bool,
) -> None:
    """Put the reason where ``explain`` finds it: ``because`` of one that gets nothing, else ``aimed``."""
    seen, past = car.seen, car.past
    if car.switching:
        return
    if past.on:
        seen.because = None  # of a plan that waits
        seen.aimed = _charges(car, now_w, instants, has_meter=has_meter)
    elif seen.because is None:
        seen.because = _waits(
            car, surplus, now_w, now, instants, rules, has_meter=has_meter, storage_first=storage_first
        )


def _charges(car: Follower, now_w: float | None, instants: Instants, *, has_meter: bool) -> Because:
    amps = car.target_a
    watts = round(amps * car.per_a / 10.0) * 10
    if now_w is None and not has_meter:
        return Because("no-grid-meter")
    if car.past.short_s is not None and car.alone:
        until = instants.at(car.past.short_s + car.settings.grace_s)
        return Because("sun-grace", {"amps": amps, "until": until})
    if now_w is None:
        return Because("sun-unknown")
    if car.alone:
        return Because("sun-follows", {"watts": watts})
    sun_w = min(float(watts), max(0.0, now_w - car.before_w))
    return Because("sun-minimum", {"amps": car.seen.outlet.lowest_a, "watts": math.floor(sun_w / 100.0) * 100})


def _waits(
    car: Follower,
    surplus: Surplus,
    now_w: float | None,
    now: float,
    instants: Instants,
    rules: Rules,
    *,
    has_meter: bool,
    storage_first: bool,
) -> Because:
    if not has_meter:
        return Because("no-grid-meter")
    if now_w is None or surplus.power_w is None:
        return Because("sun-unknown")
    stopped_s = car.past.stopped_s
    if stopped_s is not None and now - stopped_s < car.rest_s:
        return Because("sun-pause", {"until": instants.at(stopped_s + car.rest_s)})
    needed_w = car.before_w + car.waits_w
    if not car.affordable and surplus.power_w >= car.waits_w:
        return Because("sun-restless")
    lasted_s = surplus.lows.lasted_s(now, needed_w)
    if surplus.power_w >= needed_w and lasted_s >= min(20.0, car.wait_s / 3.0):
        since_s = now - lasted_s
        return Because("sun-lasting", {"until": instants.at(since_s + car.wait_s)})
    if car.before_w > 0.0 and surplus.power_w >= car.waits_w:
        return Because("sun-others")
    if storage_first and surplus.power_w < car.waits_w:
        return Because("storage-first")
    watts = math.ceil(car.waits_w / 50.0) * 50
    return Because("sun-wait", {"watts": watts, "minutes": math.ceil(car.wait_s / 60.0)})
