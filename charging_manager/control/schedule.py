"""The cheapest times to charge: cheapest first, the last one in part, and few switches of the contactor.

Energy at full power costs the least when the cheapest times are taken whole and the dearest of them in part: nothing
cheaper exists for a car of constant power. Where several times cost the same, those that make the fewest runs are
taken. Then short gaps are filled and short runs dropped as long as that costs no more than it is allowed to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from attrs import evolve, frozen

from charging_manager.control.stretches import Stretch

TOLERANCE = 0.005
"""So much of a plan's cost may be spent on fewer switches."""
_ROUNDS = 12
"""At most so many switches are saved at a time."""
_TRIES = 4
_TINY_S = 1e-3
_SAME = 1e-9


@frozen
class Run:
    """From one switch of the contactor to the next; POSIX seconds."""

    start_s: float
    end_s: float


@frozen
class Schedule:
    """When to charge at full power, oldest first."""

    runs: tuple[Run, ...] = ()
    cost: float = 0.0
    """Of all of it, by the stretches' cost of a kWh."""
    least_cost: float = 0.0
    """What it would be with as many switches as it takes."""
    short_s: float = 0.0
    """So much more time would be needed."""
    sun_wh: float = 0.0
    """Not bought, because the sun will likely give it."""

    def left_s(self, now_s: float) -> float:
        """How long it still charges from now on."""
        return sum(run.end_s - max(run.start_s, now_s) for run in self.runs if run.end_s > now_s)

    def holds(self, now_s: float) -> Run | None:
        """The run in which that moment lies."""
        return next((run for run in self.runs if run.start_s <= now_s < run.end_s), None)

    def next_start_s(self, now_s: float) -> float | None:
        """When it charges next."""
        return next((run.start_s for run in self.runs if run.start_s > now_s), None)


@frozen
class _Piece:
    start_s: float
    end_s: float
    rank: float
    cost: float


def cheapest(
    stretches: Sequence[Stretch],
    need_wh: float,
    power_w: float,
    *,
    least_w: float = 0.0,
    charging: bool = False,
    at_most: float | None = None,
) -> Schedule:
    """The schedule for that energy at that power, less what the sun will likely give.

    ``least_w``: less sun than this does not charge; ``charging``: it charges now, so that to go on is no switch.
    ``at_most``: fewer switches may make it cost so much; None: ``TOLERANCE`` more than it must.
    """
    if need_wh <= 0.0 or power_w <= 0.0 or not stretches:
        return Schedule()
    sunny = [one for one in stretches if one.spare_w >= max(least_w, 1.0)]
    taken = Schedule()
    for _ in range(3):  # what is bought leaves no room for the sun in that time
        sun_wh = sum(min(one.spare_w, power_w) * _free_s(one, taken) / 3600.0 for one in sunny)
        need_s = max(0.0, need_wh - sun_wh) / power_w * 3600.0
        taken = evolve(_bought(stretches, need_s, power_w, charging, at_most), sun_wh=min(sun_wh, need_wh))
        if not sunny:
            break
    return taken


def least_cost(stretches: Sequence[Stretch], need_wh: float, power_w: float, *, least_w: float = 0.0) -> float:
    """What that energy costs at the least, less what the sun will likely give; with as many switches as it takes."""
    sun_w = ((min(one.spare_w, power_w), one) for one in stretches if one.spare_w >= max(least_w, 1.0))
    sun_wh = sum(sun * (one.end_s - one.start_s) for sun, one in sun_w) / 3600.0
    cost, _ = greedy_cost(stretches, (need_wh - sun_wh) / power_w * 3600.0)
    return cost * power_w / 3.6e6


def greedy_cost(stretches: Sequence[Stretch], need_s: float, from_s: float = float("-inf")) -> tuple[float, float]:
    """Seconds times cost of the cheapest times of that length from then on; and how much of it there is no time for."""
    total, left_s = 0.0, need_s
    for one in sorted(stretches, key=lambda each: each.cost):
        if left_s <= 0.0:
            break
        part_s = min(left_s, one.end_s - max(one.start_s, from_s))
        if part_s > 0.0:
            total += part_s * one.cost
            left_s -= part_s
    return total, max(0.0, left_s)


def _free_s(one: Stretch, taken: Schedule) -> float:
    busy_s = sum(max(0.0, min(one.end_s, run.end_s) - max(one.start_s, run.start_s)) for run in taken.runs)
    return one.end_s - one.start_s - busy_s


def _bought(
    stretches: Sequence[Stretch], need_s: float, power_w: float, charging: bool, at_most: float | None
) -> Schedule:
    per_s = power_w / 3.6e6  # kWh in a second
    pieces = [_Piece(one.start_s, one.end_s, one.cost, one.cost) for one in stretches if one.end_s > one.start_s]
    begin_s = pieces[0].start_s if charging and pieces else None
    best = _fill(pieces, need_s, begin_s)
    least = cost = _cost(pieces, best)
    limit = least + TOLERANCE * abs(least) if at_most is None else max(least, at_most / per_s)
    for _ in range(_ROUNDS):
        for calmer in _calmer(pieces, best, begin_s, limit - cost):
            spans = _fill(calmer, need_s, begin_s)
            cost_now = _cost(calmer, spans)
            whole = _length_of(spans) >= _length_of(best) - _TINY_S
            if whole and cost_now <= limit + _SAME and _switches(spans, begin_s) < _switches(best, begin_s):
                pieces, best, cost = calmer, spans, cost_now
                break
        else:
            break
    runs = tuple(Run(start, end) for start, end in best)
    return Schedule(runs, cost * per_s, least * per_s, max(0.0, need_s - _length_of(best)))


Spans = list[tuple[float, float]]


def _calmer(pieces: list[_Piece], best: Spans, begin_s: float | None, may_cost: float) -> Iterator[list[_Piece]]:
    """The pieces ranked so that one switch less may come of it, the cheapest way to that first.

    What a gap costs more, or a run less, than the dearest time that is taken is what filling or dropping it costs.
    """
    if not best:
        return
    dearest = max(one.cost for one in pieces if any(start < one.end_s and one.start_s < end for start, end in best))
    gaps = [(a[1], b[0]) for a, b in pairwise(best)]
    if begin_s is not None and best[0][0] > begin_s + _TINY_S:
        gaps.append((begin_s, best[0][0]))
    tries = [(_cost(pieces, [gap]) - dearest * _length(gap), gap, float("-inf")) for gap in gaps]
    if len(best) > 1:
        tries += [(dearest * _length(span) - _cost(pieces, [span]), span, float("inf")) for span in best]
    for extra, span, rank in sorted(tries)[:_TRIES]:
        if extra <= may_cost + _SAME:
            yield _ranked(pieces, span, rank)


def _length(span: tuple[float, float]) -> float:
    return span[1] - span[0]


def _length_of(spans: Spans) -> float:
    return sum(map(_length, spans))


def _switches(spans: Spans, begin_s: float | None) -> int:
    """How often the contactor closes."""
    return len(spans) - (1 if begin_s is not None and spans and spans[0][0] <= begin_s + _TINY_S else 0)


def _ranked(pieces: list[_Piece], span: tuple[float, float], rank: float) -> list[_Piece]:
    """The same pieces, cut at the ends of the span; inside it they are taken first, or last."""
    found = []
    for one in pieces:
        if one.end_s <= span[0] or one.start_s >= span[1]:
            found.append(one)
            continue
        marks = [one.start_s, *(edge for edge in span if one.start_s < edge < one.end_s), one.end_s]
        for start_s, end_s in pairwise(marks):
            inside = span[0] <= start_s < span[1]
            found.append(_Piece(start_s, end_s, rank if inside else one.rank, one.cost))
    return found


def _cost(pieces: list[_Piece], spans: Spans) -> float:
    """Seconds times cost. Both are in order."""
    total, at = 0.0, 0
    for start, end in spans:
        while at < len(pieces) and pieces[at].end_s <= start:
            at += 1
        here = at
        while here < len(pieces) and pieces[here].start_s < end:
            one = pieces[here]
            total += one.cost * (min(one.end_s, end) - max(one.start_s, start))
            here += 1
    return total


def _fill(pieces: list[_Piece], need_s: float, begin_s: float | None) -> Spans:
    """The cheapest spans of that length altogether, merged."""
    left_s = need_s
    taken: Spans = []
    order = sorted(pieces, key=lambda one: (one.rank, one.start_s))
    at = 0
    while at < len(order) and left_s > _TINY_S:
        same = at
        while same < len(order) and order[same].rank <= order[at].rank + _SAME:
            same += 1
        group = _merged((one.start_s, one.end_s) for one in order[at:same])
        all_s = _length_of(group)
        if all_s <= left_s + _TINY_S:
            taken += group
            left_s -= all_s
        else:
            taken += _some(group, _merged(taken), left_s, begin_s)
            left_s = 0.0
        at = same
    return _merged(taken)


def _some(group: Spans, taken: Spans, need_s: float, begin_s: float | None) -> Spans:
    """As much as is needed of times that cost the same, so that the fewest new runs come of it."""
    ends = {round(end, 3) for _, end in taken}
    starts = {round(start, 3) for start, _ in taken}
    if begin_s is not None:
        ends.add(round(begin_s, 3))
    bridges: Spans = []
    sides: Spans = []
    apart: Spans = []
    for span in group:
        touches = (round(span[0], 3) in ends) + (round(span[1], 3) in starts)
        (bridges if touches == 2 else sides if touches else apart).append(span)
    found: Spans = []
    left_s = need_s
    for span in sorted(bridges, key=_length):
        if _length(span) <= left_s:
            found.append(span)
            left_s -= _length(span)
        else:
            sides.append(span)
    for span in sorted(sides, key=_length, reverse=True):
        if left_s <= _TINY_S:
            return found
        part = min(left_s, _length(span))
        found.append((span[0], span[0] + part) if round(span[0], 3) in ends else (span[1] - part, span[1]))
        left_s -= part
    fitting = [span for span in apart if _length(span) >= left_s - _TINY_S]
    for span in fitting[:1] or sorted(apart, key=_length, reverse=True):
        if left_s <= _TINY_S:
            break
        part = min(left_s, _length(span))
        found.append((span[0], span[0] + part))
        left_s -= part
    return found


def _merged(spans: Iterable[tuple[float, float]]) -> Spans:
    found: Spans = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1] + _TINY_S:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
