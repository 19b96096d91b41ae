"""What a cycle leaves on a recording. It knows no file and no clock: cycles in, JSON lines out.

Records, each a list that begins with its kind:

* ``site``: the site's configuration, at the start and at each change; users are numbered, serial numbers left out.
* ``time``: a monotonic instant and the wall clock at it.
* ``track``: what has changed since the last one: of boxes (status, currents, energy), meters, setpoints. Always.
* ``key``: everything that the next decision rests on, control's memory included; a full stretch begins.
* ``full``: a whole cycle after it: new readings to the last bit, what has changed beside, and the setpoints decided.

A small site is recorded in full; a larger one for ``FULL_S`` of every ``FULL_EVERY_S``, and from anything notable on:
an invariant broken, a configuration changed, an order by hand or by the grid operator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson
from attrs import evolve

from charging_manager.control.storage import soc_pct
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Obedience, Reading
from charging_manager.model.site import Site
from charging_manager.model.wish import Wish
from charging_manager.twin.values import pack

SMALL = 24
"""So many devices, or fewer, are recorded in full."""
FULL_S = 60.0
FULL_EVERY_S = 900.0
BAND_A = 0.3
"""A current that moves by less is not tracked anew, but at the latest after ``BAND_S``."""
BAND_S = 60.0
METER_EVERY_S = 5.0


class Tape:
    """Turns cycles into lines. ``begin`` before each new file: it stands for itself then."""

    def __init__(self) -> None:
        self._users: dict[str, str] = {}
        self.begin()

    def begin(self) -> None:
        """Everything is told anew with the next cycle."""
        self._site: Site | None = None
        self._tracked: dict[str, tuple[float, object, tuple[float, float, float]]] = {}
        self._setpoints: dict[str, object] = {}
        self._full_until_s = self._full_next_s = -math.inf
        self._in_full = False
        self._last_taken: dict[str, float] = {}
        self._told: dict[str, object] = {}
        self._told_wishes: dict[str, Wish] = {}
        self._fresh = True
        self._met_s = -math.inf

    def cycle(self, image: SiteImage, plan: Plan, rules: Any) -> list[bytes]:
        """The lines of one decided cycle."""
        now = image.now_s
        out: list[bytes] = []
        if image.site is not self._site:
            if self._site is not None:
                self._full_next_s = now  # a change is notable
            self._site = image.site
            out.append(_line(["site", now, pack(self._nameless(image.site)), pack(rules)]))
            self._in_full = False
        if self._fresh and image.now_at is not None:
            out.append(_line(["time", now, image.now_at.isoformat(), getattr(image.now_at.tzinfo, "key", None)]))
            self._fresh = False
        self._full(image, plan, out)
        track = self._track(image, plan)
        if track is not None:
            out.append(track)
        return out

    def _nameless(self, site: Site) -> Site:
        rules = tuple(evolve(rule, users=tuple(map(self._user, rule.users))) for rule in site.rules)
        return evolve(site, serial="", rules=rules)

    def _user(self, user: str) -> str:
        return self._users.setdefault(user, f"user-{len(self._users) + 1}")

    def _wishes(self, wishes: Mapping[str, Wish]) -> dict[str, Wish]:
        return {
            name: wish if wish.user is None else evolve(wish, user=self._user(wish.user))
            for name, wish in wishes.items()
        }

    def _track(self, image: SiteImage, plan: Plan) -> bytes | None:
        now, tracked = image.now_s, self._tracked
        boxes: dict[str, Any] = {}
        meters: dict[str, Any] = {}
        points = image.site.charge_points
        look_at_meters = now - self._met_s >= METER_EVERY_S
        if look_at_meters:
            self._met_s = now
        for name, readings in image.readings.items():
            is_box = name in points
            if not is_box and not look_at_meters:
                continue
            reading = readings[-1]
            known = tracked.get(name)
            one, two, three = reading.current_a
            amps = (one or 0.0, two or 0.0, three or 0.0)
            if known is not None and known[1] is reading.status:
                before = known[2]
                moved = (
                    abs(amps[0] - before[0]) >= BAND_A
                    or abs(amps[1] - before[1]) >= BAND_A
                    or abs(amps[2] - before[2]) >= BAND_A
                )
                if not moved and (now - known[0] < BAND_S or (is_box and amps == before == (0.0, 0.0, 0.0))):
                    continue
            tracked[name] = now, reading.status, amps
            if is_box:
                boxes[name] = [
                    reading.status.value if reading.status is not None else None,
                    *_short(reading.current_a),
                    _round(reading.energy_wh),
                    _round(reading.session_wh),
                ]
            else:
                meters[name] = [*_short(reading.current_a), _round(reading.power_w)]
        setpoints = {}
        for name, setpoint in plan.setpoints.items():
            if setpoint is not self._setpoints.get(name):
                last = self._setpoints.get(name)
                self._setpoints[name] = setpoint
                if getattr(last, "current_a", None) != setpoint.current_a:
                    setpoints[name] = setpoint.current_a
        if not boxes and not meters and not setpoints:
            return None
        return _line(["track", round(now, 2), boxes, meters, setpoints])

    def _full(self, image: SiteImage, plan: Plan, out: list[bytes]) -> None:
        now = image.now_s
        small = len(image.site.charge_points) + len(image.site.meters) <= SMALL
        if not self._in_full:
            told = self._told
            ordered = (
                told.get("\0overrides") != image.overrides or told.get("\0dimming") != image.outside.dimming
            )  # by hand, or by the grid operator
            if plan.violations or small or ordered or now >= self._full_next_s:
                self._full_until_s = now + FULL_S
                self._full_next_s = now + FULL_EVERY_S
                self._in_full = self._key(image, out)
                if self._in_full:
                    self._cycle(image, plan, out, everything=True)
            return
        if plan.violations:
            self._full_until_s = now + FULL_S
        if not small and now >= self._full_until_s:
            self._in_full = False
            return
        self._cycle(image, plan, out, everything=False)

    def _key(self, image: SiteImage, out: list[bytes]) -> bool:
        """What was before this cycle."""
        last = image.last_plan
        if last is None:
            out.append(_line(["key", None]))
            return True
        memory = pack(last.memory)
        setpoints = {name: pack(each) for name, each in last.setpoints.items()}
        out.append(_line(["key", [last.number, last.decided_s, setpoints, last.storage_locked, memory]]))
        return True

    def _cycle(self, image: SiteImage, plan: Plan, out: list[bytes], *, everything: bool) -> None:
        if everything:
            self._last_taken, self._told = {}, {}
        taken = self._last_taken
        readings: dict[str, Any] = {}
        for name, known in image.readings.items():
            since = taken.get(name, -math.inf)
            if known[-1].taken_s == since:
                continue
            is_meter = name in image.site.meters
            readings[name] = [_reading(each, is_meter) for each in known if each.taken_s > since]
            taken[name] = known[-1].taken_s
        gone = [name for name in taken if name not in image.readings]
        for name in gone:
            del taken[name]
        told = self._told
        obedience: dict[str, Any] = {}
        for name, each in image.obedience.items():
            said = _obedience(each)
            if told.get(name) != said:
                told[name] = said
                obedience[name] = said
        beside: dict[str, Any] = {}
        wishes = self._told_wishes
        if everything:
            wishes.clear()
        changed = {name: wish for name, wish in image.wishes.items() if wishes.get(name) != wish}
        ended = [name for name in wishes if name not in image.wishes]
        if changed or ended or everything:
            wishes.update(changed)
            for name in ended:
                del wishes[name]
            beside["wishes"] = {**pack(self._wishes(changed)), **dict.fromkeys(ended)}
        for key, value in (("overrides", image.overrides), ("outside", image.outside)):
            if told.get(f"\0{key}") != value:
                told[f"\0{key}"] = value
                beside[key] = pack(value)
        told["\0dimming"] = image.outside.dimming
        if gone:
            beside["gone"] = gone
        if everything:
            beside["zone"] = getattr(image.now_at.tzinfo, "key", None) if image.now_at is not None else None
        decided = {}
        before = image.last_plan.setpoints if image.last_plan is not None else {}
        for name, setpoint in plan.setpoints.items():
            if everything or setpoint is not before.get(name):
                decided[name] = [setpoint.current_a, setpoint.phases, setpoint.because.code]
        at = None if image.now_at is None else image.now_at.isoformat()
        out.append(
            _line(["full", image.now_s, image.number, at, readings, obedience, beside, decided, plan.storage_locked])
        )


def _reading(reading: Reading, is_meter: bool) -> list[Any]:
    """All that control knows of it; trailing unknowns are cut off. Identities of cards never get here."""
    one, two, three = reading.current_a
    row = [
        reading.taken_s,
        _finite(one),
        _finite(two),
        _finite(three),
        reading.status.value if reading.status is not None else None,
        _finite(reading.power_w),
        _finite(reading.energy_wh),
        _finite(reading.session_wh),
        reading.setpoint_a,
        reading.energy_export_wh,
        *reading.voltage_v,
        soc_pct(reading) if is_meter else None,
    ]
    while row[-1] is None:
        row.pop()
    return row


def _finite(value: float | None) -> Any:
    return value if value is None or math.isfinite(value) else str(value)


def _obedience(obedience: Obedience) -> list[Any]:
    return [
        obedience.hardware_max_a,
        obedience.commanded_a,
        obedience.confirmed_a,
        obedience.fallback_a,
        obedience.fallback_after_s,
        obedience.answering,
        0.0 if obedience.answering else obedience.silent_s,
        obedience.switches_phases,
        obedience.phases,
    ]


def _short(amps: tuple[float | None, float | None, float | None]) -> list[Any]:
    return [None if each is None or not math.isfinite(each) else round(each, 1) for each in amps]


def _round(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value)


def _line(record: list[Any]) -> bytes:
    return orjson.dumps(record)
