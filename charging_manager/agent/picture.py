"""The whole site now, as ``GET /state`` and the event stream show it. Sentences are added per language at the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen

from charging_manager import VERSION
from charging_manager.agent.config import AVAILABLE_MODES, Configuration, DeviceSettings, Kind
from charging_manager.agent.steering import Cycle
from charging_manager.control.because import ANOTHER_SENTENCE
from charging_manager.control.ruled import ruling_of
from charging_manager.model.plan import Because, Budget
from charging_manager.model.reading import Reading, Status
from charging_manager.model.rule import lower_mode
from charging_manager.words import digits_of, say

API_MAJOR = 1
FEATURES = (
    *(f"mode:{mode.value}" for mode in AVAILABLE_MODES),
    *("override", "vehicle", "goals", "tariff", "devices", "site", "users", "cloud", "sessions", "log", "drivers"),
    *("inputs", "grid-operator", "rules", "why", "solar"),
)
API = {"major": API_MAJOR, "features": list(FEATURES)}
_FRESH_S = 30.0

Json = dict[str, Any]
Audience = frozenset[str] | None
"""The charge points that somebody may see; None: everything."""


@frozen
class Sentence:
    """Something to be said in the reader's language."""

    code: str
    sentence: str
    fields: Mapping[str, str | float | int] = field(factory=dict)
    points: Mapping[str, str] = field(factory=dict)
    """By field that holds a charge point's name: its id, since not everybody may know it."""

    def said(self, language: str, audience: Audience = None) -> Json:
        """As JSON; the English sentence and its fields go along, for a browser that translates itself."""
        fields = {
            key: _round(value, digits_of(key)) if isinstance(value, float) else value
            for key, value in self.fields.items()
        }
        if audience is not None:
            unknown = [key for key, point in self.points.items() if point not in audience]
            fields |= dict.fromkeys(unknown, say(language, ANOTHER_SENTENCE))
        return {
            "code": self.code,
            "text": say(language, self.sentence, **fields),
            "sentence": self.sentence,
            "fields": fields,
        }


@frozen
class Words:
    """A sentence of which only the text is shown."""

    sentence: Sentence


@frozen
class Picture:
    """Parts by id, free of language: values are plain JSON but for ``Sentence`` and ``Words``."""

    parts: Mapping[str, Any]

    def said(self, language: str, audience: Audience = None) -> Json:
        """The same with all sentences said, for those who may know of these charge points alone."""
        return {key: _said(value, language, audience) for key, value in self.parts.items()}


def _said(value: Any, language: str, audience: Audience) -> Any:
    if isinstance(value, Sentence):
        return value.said(language, audience)
    if isinstance(value, Words):
        return say(language, value.sentence.sentence, **value.sentence.fields)
    if isinstance(value, dict):
        return {key: _said(one, language, audience) for key, one in value.items()}
    if isinstance(value, list):
        return [_said(one, language, audience) for one in value]
    return value


@frozen
class Facts:
    """What a picture is drawn from."""

    config: Configuration
    serial: str
    cycle: Cycle | None
    last: Callable[[str], Reading | None]
    answering: Callable[[str], bool]
    session_wh: Callable[[str], float | None]
    because: Callable[[Because], Sentence]
    cloud_state: str
    cloud_error: Sentence | None
    cloud_next_try_s: float | None
    alarms: tuple[Sentence, ...]
    now_s: float
    now_at: datetime
    inputs: Mapping[str, Json] = field(factory=dict)
    dimming: Json = field(factory=dict)


def draw(facts: Facts) -> Picture:
    """Everything that a page may show of the site now."""
    config, cycle = facts.config, facts.cycle
    budgets = cycle.plan.budgets if cycle else {}
    boxes = [one for one in config.devices.values() if one.kind is Kind.CHARGE_POINT]
    meters = [one for one in config.devices.values() if one.kind is Kind.METER]
    return Picture(
        {
            "site": {
                "name": config.name,
                "serial": facts.serial,
                "version": VERSION,
                "time": facts.now_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
                "unbalance_a": config.unbalance_a,
                "surplus_w": _round_to(cycle.plan.surplus_w, 50) if cycle else None,
                "storage_locked": cycle.plan.storage_locked if cycle else False,
                "language": config.language,
            },
            "circuits": {
                circuit.id: {
                    "id": circuit.id,
                    "name": circuit.name,
                    "parent": circuit.parent,
                    "meter": circuit.meter,
                    "limit_a": list(circuit.limit_a),
                    "reserve_a": circuit.reserve_a,
                    "fallback_a": circuit.fallback_a,
                    **_budget(budgets.get(circuit.id)),
                }
                for circuit in config.circuits.values()
            },
            "charge_points": {box.id: _charge_point(box, facts) for box in boxes},
            "meters": {meter.id: _meter(meter, facts) for meter in meters},
            "cloud": {
                "state": facts.cloud_state,
                "last_error": facts.cloud_error.code if facts.cloud_error else None,
                "last_error_text": Words(facts.cloud_error) if facts.cloud_error else None,
                "next_try_s": _round(facts.cloud_next_try_s, 0),
            },
            "cycle": {
                "number": cycle.number if cycle else 0,
                "duration_s": round(cycle.duration_s, 4) if cycle else None,
            },
            "inputs": dict(facts.inputs),
            "dimming": facts.dimming,
            "alarms": list(facts.alarms),
            "api": API,
        }
    )


def _budget(budget: Budget | None) -> Json:
    if budget is None:
        return {"used_a": [None] * 3, "free_a": [None] * 3, "stale": True}
    return {"used_a": _amps(budget.used_a), "free_a": _amps(budget.free_a), "stale": budget.stale}


def _charge_point(box: DeviceSettings, facts: Facts) -> Json:
    reading = facts.last(box.id)
    age_s = facts.now_s - reading.taken_s if reading else None
    fresh = reading if reading and age_s is not None and age_s < _FRESH_S else None
    answering = facts.answering(box.id) and not box.out_of_service
    setpoint = facts.cycle.plan.setpoints.get(box.id) if facts.cycle else None
    override = facts.config.overrides.get(box.id)
    mode = facts.config.effective_mode(box)
    ruling = ruling_of(facts.cycle.plan, box.id) if facts.cycle else None
    lowered = ruling if ruling is not None and lower_mode(mode, ruling.mode) is not mode else None
    wish = facts.cycle.image.wishes.get(box.id) if facts.cycle else None
    return {
        "id": box.id,
        "name": box.name,
        "circuit": box.circuit,
        "phases": list(box.phases),
        "status": _status(fresh, answering),
        "mode": mode.value,
        "ruled_mode": lowered.mode.value if lowered and lowered.mode else None,
        "ruled_by": lowered.mode_by if lowered else None,
        "priority": box.priority,
        "out_of_service": box.out_of_service,
        "setpoint_a": _round(setpoint.current_a, 2) if setpoint else None,
        "current_a": _amps(fresh.current_a) if fresh else [None] * 3,
        "power_w": _round(fresh.power_w, 0) if fresh else None,
        "energy_wh": _round(fresh.energy_wh, 0) if fresh else None,
        "session_wh": _round(_session_wh(box.id, fresh, facts), 0),
        "phase_switches": facts.cycle.plan.phase_switches.get(box.id, 0) if facts.cycle else 0,
        "because": facts.because(setpoint.because) if setpoint else None,
        "override_a": override.current_a if override else None,
        "soc_pct": _round(wish.soc_pct, 1) if wish else None,
        "capacity_wh": wish.capacity_wh if wish else None,
        "override_mode": override.mode.value if override and override.mode else None,
        "min_a": box.min_a,
        "max_a": box.max_a,
        "age_s": _age(age_s),
        "answering": answering,
        "features": [f"mode:{mode.value}" for mode in AVAILABLE_MODES],
    }


def _session_wh(charge_point: str, fresh: Reading | None, facts: Facts) -> float | None:
    """The box's own count where it has one: it began before we came."""
    if fresh is not None and fresh.session_wh is not None and fresh.status in (Status.PLUGGED, Status.CHARGING):
        return fresh.session_wh
    return facts.session_wh(charge_point)


def _status(reading: Reading | None, answering: bool) -> str:
    if reading is None or not answering or reading.status in (None, Status.UNKNOWN):
        return "offline"
    return reading.status.value


def _meter(meter: DeviceSettings, facts: Facts) -> Json:
    reading = facts.last(meter.id)
    age_s = facts.now_s - reading.taken_s if reading else None
    fresh = reading if reading and age_s is not None and age_s < _FRESH_S else None
    return {
        "id": meter.id,
        "name": meter.name,
        "circuit": meter.circuit,
        "role": meter.role.value if meter.role else None,
        "power_w": _round(fresh.power_w, 0) if fresh else None,
        "current_a": _amps(fresh.current_a) if fresh else [None] * 3,
        "voltage_v": [_round(one, 1) for one in fresh.voltage_v] if fresh else [None] * 3,
        "energy_wh": _round(fresh.energy_wh, 0) if fresh else None,
        "energy_export_wh": _round(fresh.energy_export_wh, 0) if fresh else None,
        "age_s": _age(age_s),
        "answering": facts.answering(meter.id) and not meter.out_of_service,
    }


def _amps(values: Iterable[float | None]) -> list[float | None]:
    return [_round(value, 2) for value in values]


def _age(age_s: float | None) -> float | None:
    """Whole seconds: a value that is polled every second should not change for that alone."""
    return math.floor(age_s) if age_s is not None else None


def _round_to(value: float | None, step: int) -> int | None:
    """To a step: what breathes all the time is not news each second."""
    return None if value is None or not math.isfinite(value) else round(value / step) * step


def _round(value: float | None, digits: int) -> float | None:
    """None for what JSON cannot say."""
    return round(value, digits) if value is not None and math.isfinite(value) else None


KEYED = ("circuits", "charge_points", "meters", "inputs")
"""Parts that are objects by id inside, and lists in ``/state``."""


def visible(said: Json, charge_points: Audience) -> Json:
    """What somebody may see: everything (None), or these charge points and nothing of the house."""
    if charge_points is None or not said:
        return said
    return {
        **{key: value for key, value in said.items() if key not in KEYED},
        "site": {**said["site"], "serial": "", "surplus_w": None},
        "circuits": {},
        "charge_points": {key: value for key, value in said["charge_points"].items() if key in charge_points},
        "meters": {},
        "inputs": {},
        "cloud": {"state": said["cloud"]["state"]},
        "alarms": [],
    }


def as_lists(said: Json) -> Json:
    """The shape of ``GET /state`` and of a snapshot: lists, and the circuits inside the site."""
    if not said:
        return said
    lists = {key: list(value.values()) if key in KEYED else value for key, value in said.items()}
    circuits = lists.pop("circuits")
    return {**lists, "site": {**said["site"], "circuits": circuits}}


def difference(old: Json, new: Json) -> Json | None:
    """What changed, as a delta; None when something was added or removed, so that a snapshot is needed."""
    changed: Json = {}
    for part, value in new.items():
        before = old.get(part)
        if value == before:
            continue
        if part in KEYED:
            if before is None or before.keys() != value.keys():
                return None
            changed[part] = {
                key: {name: one for name, one in fields.items() if before[key].get(name) != one}
                for key, fields in value.items()
                if fields != before[key]
            }
        elif isinstance(value, dict) and isinstance(before, dict) and before.keys() == value.keys():
            changed[part] = {name: one for name, one in value.items() if before[name] != one}
        else:
            changed[part] = value
    return changed


def merged(earlier: Json, later: Json) -> Json:
    """Two deltas as one: only the newest value of every key stays."""
    result = dict(earlier)
    for part, value in later.items():
        known = result.get(part)
        if part in KEYED and isinstance(known, dict):
            result[part] = {**known, **{key: {**known.get(key, {}), **fields} for key, fields in value.items()}}
        elif isinstance(value, dict) and isinstance(known, dict):
            result[part] = {**known, **value}
        else:
            result[part] = value
    return result
