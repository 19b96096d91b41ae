"""A charge point as this decision sees it: what it may draw at worst, what its car uses and wants."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from charging_manager.control.memory import Past
from charging_manager.control.rulebook import Ruling
from charging_manager.control.rules import Rules
from charging_manager.control.volts import higher, highest_v, volts_of
from charging_manager.control.wiring import Outlet, ceil_step, floor_step
from charging_manager.model.plan import Because, SiteImage
from charging_manager.model.reading import Obedience, Reading, Status
from charging_manager.model.rule import lower_mode
from charging_manager.model.site import Mode
from charging_manager.model.units import NO_AMPS, PHASES, MaybePhaseAmps, PhaseAmps

NEW = Past()
STEADY_A = 0.5
IMPLAUSIBLE_A = 1000.0
CHARGING_A = 1.0
"""Less than this on a phase is standby, not charging."""


class Seen:
    """Scratch of one decision; nothing of it outlives ``decide`` but ``past``.

    ``told_a`` is the highest setpoint that the box may be following; ``worst_a`` per phase is that or the measured
    current, whichever is more. ``last_a`` is what the last plan said.
    """

    __slots__ = (
        "aimed",
        "barred",
        "because",
        "bits",
        "cap_a",
        "capped",
        "excess_a",
        "hardware_a",
        "heavy",
        "id",
        "last_a",
        "limit_line",
        "lines",
        "lost_s",
        "measured_a",
        "mode",
        "outlet",
        "past",
        "phases_told",
        "priority",
        "readings",
        "ruling",
        "setpoint_a",
        "share_a",
        "silent",
        "status",
        "told_a",
        "unsure",
        "weight",
        "worst_a",
    )

    id: str
    outlet: Outlet
    readings: tuple[Reading, ...]
    status: Status
    measured_a: tuple[float, float, float]
    """Newest currents; 0 where unknown (``told_a`` still counts then)."""
    told_a: float
    worst_a: tuple[float, float, float]
    excess_a: float
    """What it draws, or was last known to obey, above ``last_a`` although it had time to follow."""
    hardware_a: float
    """The most that the box itself can do."""
    last_a: float
    past: Past
    bits: int
    lines: tuple[int, ...]
    heavy: tuple[int, ...]
    """Power limits that bound it; there it weighs ``weight``, the phases that it uses."""
    weight: int
    priority: int
    """The charge point's own, or that of who charges, if it is higher."""
    cap_a: float
    """The most that it may be given now; 0: nothing, for the reason in ``because``."""
    capped: Because | None
    """What narrowed ``cap_a`` last, but for the car's appetite: said if nothing tighter bounds it."""
    share_a: float
    setpoint_a: float
    lost_s: float
    """For how long it has not answered."""
    silent: bool
    """It does not answer and its grace is over."""
    unsure: bool
    """It did not answer just now: it keeps what it has and is given nothing more."""
    barred: bool
    """Stopped at once, for this decision."""
    mode: Mode
    """The one that counts, after rules."""
    ruling: Ruling | None
    phases_told: int | None
    """How many phases it shall use; None: as it is."""
    because: Because | None
    aimed: Because | None
    """Why its mode lets it charge: said where nothing else bounds it."""
    limit_line: int


def look(
    image: SiteImage,
    outlet: Outlet,
    paths: tuple[tuple[int, ...], ...],
    past: Past,
    last_a: float | None,
    rules: Rules,
    ruling: Ruling | None = None,
    heavy: tuple[int, ...] = (),
) -> Seen:
    """One charge point, judged by its newest reading, its obedience and what rules say of it."""
    now = image.now_s
    point = outlet.point
    seen = Seen()
    seen.id, seen.outlet = point.id, outlet
    seen.share_a = seen.setpoint_a = 0.0
    seen.because = seen.capped = seen.aimed = None
    seen.limit_line = -1
    seen.barred = False
    seen.ruling, seen.phases_told = ruling, None
    seen.priority, seen.heavy = point.priority, heavy
    if image.wishes:
        wish = image.wishes.get(point.id)
        if wish is not None and wish.priority is not None and wish.priority > point.priority:
            seen.priority = wish.priority
    seen.mode = point.mode if ruling is None else lower_mode(point.mode, ruling.mode)
    obedience = image.obedience.get(point.id) or Obedience(max(point.max_a, 32.0))
    readings = seen.readings = image.readings.get(point.id, ())
    newest = readings[-1] if readings else None
    if last_a is None:  # our first decision: it has had no time yet to confirm anything
        drawing = newest is not None and newest.status in (Status.CHARGING, Status.UNKNOWN, None)
        confirmed = obedience.confirmed_a or 0.0
        last_a = confirmed if drawing and 0.0 <= confirmed < IMPLAUSIBLE_A else 0.0
        past = evolve(past, lowered_s=now)
    seen.last_a = last_a

    silent_s = seen.lost_s = _silent_s(obedience, newest, now, rules)
    seen.unsure = silent_s > 0.0
    seen.silent = silent_s > rules.box_silent_after_s
    status = newest.status if newest is not None else Status.UNKNOWN
    seen.status = status = Status.UNKNOWN if seen.silent else (Status.PLUGGED if status is None else status)

    told = obedience.confirmed_a
    if told is None or not told < IMPLAUSIBLE_A:  # whatever it was sent, nothing says that it obeys
        told = obedience.hardware_max_a
    if obedience.commanded_a is not None and obedience.commanded_a > told:
        told = obedience.commanded_a
    if seen.silent:
        fallback = obedience.fallback_a
        unknown = fallback is None or not fallback < IMPLAUSIBLE_A
        told = max(told, obedience.hardware_max_a if unknown else fallback or 0.0)
    obeyed = told
    if last_a > told:
        told = last_a
    seen.told_a = told

    known = False
    if newest is None:
        seen.measured_a = measured = NO_AMPS
    else:
        measured, unknown_bits = measured_of(newest.current_a)
        seen.measured_a = measured
        known = not unknown_bits & outlet.bits  # of the phases that it has
    one, two, three = measured
    most = one if one >= two and one >= three else two if two >= three else three

    if newest is not None:
        past = _steady(past, measured, known or told <= 0.0, now)
    past = _plug(past, status, now)
    past = _phases(past, seen, newest if known else None, most, outlet.bits, now, rules)
    if past.plugged_s is not None:
        past = _appetite(past, seen, most if known else None, now, rules)
    if point.max_w is not None:
        past = _volts(past, readings, now, rules)
    seen.past = past
    seen.bits = bits = past.phases or outlet.bits
    seen.lines = paths[bits]
    seen.weight = bits.bit_count()
    margin = 0.0 if bits == outlet.bits else rules.phase_margin_a
    all_bits = outlet.bits
    first = told if bits & 1 else margin if all_bits & 1 else 0.0
    second = told if bits & 2 else margin if all_bits & 2 else 0.0
    third = told if bits & 4 else margin if all_bits & 4 else 0.0
    seen.worst_a = (first if first > one else one, second if second > two else two, third if third > three else three)
    excess = (most if most > obeyed else obeyed) - last_a
    if excess > 0.0 and (past.lowered_s is None or now - past.lowered_s >= rules.settle_s):
        seen.excess_a = excess
    else:
        seen.excess_a = 0.0
    seen.hardware_a = obedience.hardware_max_a
    seen.cap_a = _cap(seen, obedience.hardware_max_a, image.overrides)
    return seen


def measured_of(current_a: MaybePhaseAmps) -> tuple[PhaseAmps, int]:
    """Currents, 0 where they are unknown, and the bits of those phases."""
    one, two, three = current_a
    unknown = 0
    if one is None or not -IMPLAUSIBLE_A < one < IMPLAUSIBLE_A:
        one, unknown = 0.0, 1
    if two is None or not -IMPLAUSIBLE_A < two < IMPLAUSIBLE_A:
        two, unknown = 0.0, unknown | 2
    if three is None or not -IMPLAUSIBLE_A < three < IMPLAUSIBLE_A:
        three, unknown = 0.0, unknown | 4
    return (one, two, three), unknown


def plausible(amps: float | None) -> float | None:
    """What no box can draw, and what is no number, is unknown."""
    return amps if amps is not None and -IMPLAUSIBLE_A < amps < IMPLAUSIBLE_A else None


def _volts(past: Past, readings: tuple[Reading, ...], now: float, rules: Rules) -> Past:
    volts = higher(past.volts, highest_v(readings), now, rules)
    return past if volts is past.volts else evolve(past, volts=volts)


def _silent_s(obedience: Obedience, newest: Reading | None, now: float, rules: Rules) -> float:
    """For how long it has been silent; 0 while it answers. A box that answers without a fresh reading is silent too."""
    if newest is None:  # heard of or not, it was not read
        lost_s = float("inf") if obedience.answering or obedience.silent_s is None else obedience.silent_s
        return max(lost_s, rules.box_silent_after_s + 1.0)
    age = now - newest.taken_s
    if obedience.answering:
        return age if age > 2 * rules.box_silent_after_s else 0.0
    return max(age if obedience.silent_s is None else obedience.silent_s, 1e-3)


def _steady(past: Past, measured: tuple[float, float, float], known: bool, now: float) -> Past:
    """Note since when the current has been about the same."""
    was = past.steady_a
    if (
        known
        and abs(was[0] - measured[0]) <= STEADY_A
        and abs(was[1] - measured[1]) <= STEADY_A
        and abs(was[2] - measured[2]) <= STEADY_A
    ):
        return past
    return evolve(past, steady_a=measured, steady_s=now)


def _plug(past: Past, status: Status, now: float) -> Past:
    """Forget the last car when it leaves, note when one comes."""
    if status is Status.FREE:
        if past.plugged_s is None:
            return past
        return Past(steady_a=past.steady_a, steady_s=past.steady_s)
    if past.plugged_s is None and status in (Status.PLUGGED, Status.CHARGING):
        return evolve(past, plugged_s=now)
    return past


def _phases(past: Past, seen: Seen, newest: Reading | None, most: float, wired: int, now: float, rules: Rules) -> Past:
    """Learn which phases the car loads; unlearn as soon as that is in doubt."""
    if wired.bit_count() == 1:
        return past
    known = past.phases
    if newest is None or seen.unsure or seen.last_a <= 0 or most < 3.0 or newest.status is not Status.CHARGING:
        return evolve(past, phases=0, pattern=0) if known or past.pattern else past
    currents = seen.measured_a
    pattern = 0
    for phase in PHASES:
        if currents[phase] >= CHARGING_A:
            pattern |= 1 << phase
    pattern &= wired
    if pattern != past.pattern:
        return evolve(past, pattern=pattern, pattern_s=now, phases=known if not pattern & ~known else 0)
    if known != pattern and now - past.pattern_s >= rules.phases_after_s:
        return evolve(past, phases=pattern)
    return past


def _appetite(past: Past, seen: Seen, most: float | None, now: float, rules: Rules) -> Past:
    """Learn what the car takes of what it was offered; nothing while its current is not known."""
    offered = seen.last_a
    if offered <= 0 or most is None:
        if past.less_s is not None or past.wants_a is not None or past.idle_s is not None:
            return evolve(past, less_s=None, wants_a=None, idle_s=None)
        return past
    less, idle, wants = past.less_s, past.idle_s, past.wants_a
    if wants is not None and most >= wants - 1.0:
        less = wants = None
    elif most >= offered - rules.less_a and wants is None:
        less = None
    elif less is None:
        less = now
    elif now - less >= rules.less_after_s and (wants is None or most + 2 * rules.headroom_a < wants):
        step = seen.outlet.point.step_a
        wants = max(seen.outlet.lowest_a, ceil_step(most + rules.headroom_a, step))
    if most >= CHARGING_A:
        idle = None
    elif idle is None:
        idle = now
    if less == past.less_s and idle == past.idle_s and wants == past.wants_a:
        return past
    return evolve(past, less_s=less, idle_s=idle, wants_a=wants)


def _cap(seen: Seen, hardware_max_a: float, overrides: Mapping[str, float]) -> float:
    """The most that this charge point may be given, or 0 and why."""
    point = seen.outlet.point
    code = ""
    if point.out_of_service:
        code = "out-of-service"
    elif seen.mode is Mode.OFF:
        code = "mode-off" if point.mode is Mode.OFF else "rule-off"
    elif seen.silent or (seen.unsure and seen.last_a <= 0.0):
        code = "silent"
    elif seen.status is Status.FREE:
        code = "no-car"
    elif seen.status is Status.FAULT:
        code = "fault"
    elif seen.status is Status.UNKNOWN:
        code = "status-unknown"
    if code:
        seen.because = Because(code, {"rule": seen.ruling.mode_by} if code == "rule-off" and seen.ruling else {})
        return 0.0
    cap = seen.outlet.highest_a
    if hardware_max_a < cap:
        cap = floor_step(hardware_max_a, point.step_a)
        seen.capped = Because("hardware-maximum", {"amps": cap})
    if point.max_w is not None:
        most = floor_step(point.max_w / (volts_of(seen.past.volts) * seen.weight), point.step_a)
        if most < seen.outlet.lowest_a:
            seen.because = Because("own-power-too-low", {"watts": point.max_w, "amps": seen.outlet.lowest_a})
            return 0.0
        if most < cap:
            cap = most
            seen.capped = Because("own-power", {"amps": cap, "watts": point.max_w})
    override = overrides.get(point.id) if overrides else None
    if override is not None and override < cap:
        cap = floor_step(override, point.step_a)
        if cap < seen.outlet.lowest_a:
            seen.because = Because("override", {"amps": override})
            return 0.0
        seen.capped = Because("override", {"amps": cap})
    if seen.ruling is not None:
        most, rule = seen.ruling.most_a(seen.bits.bit_count())
        if most < cap:
            cap = floor_step(most, point.step_a)
            if cap < seen.outlet.lowest_a:
                if seen.ruling.pause_by:
                    seen.because = Because("rule-pause", {"rule": rule})
                else:
                    seen.because = Because("rule-too-low", {"rule": rule, "amps": most, "least": seen.outlet.lowest_a})
                return 0.0
            seen.capped = seen.ruling.holds_to(cap, rule)
    wants = seen.last_a if seen.unsure else seen.past.wants_a
    return cap if wants is None or wants > cap else wants


def keep(seen: Seen, fixed: list[float], at: int) -> None:
    """What it draws beside its setpoint: a margin on phases that its car does not use, excess on those it does."""
    for phase in (0, 1, 2):
        if seen.bits >> phase & 1:
            fixed[at + phase] += min(seen.excess_a, max(0.0, seen.worst_a[phase] - seen.last_a))
        else:
            fixed[at + phase] += seen.worst_a[phase]
