"""Fair shares against the exact optimum: lexicographic max-min by linear programming."""

from __future__ import annotations

import numpy
from hypothesis import given
from scipy.optimize import linprog

from charging_manager.control.share import AT_CAP, Claim, level
from tests.support.strategies import examples, shares_problems


def exact(room_a: list[float], claims: list[Claim]) -> list[float]:
    """Max-min fair shares: raise the least share as far as it goes, fix those that cannot have more, repeat.

    Shares below somebody's own minimum are that minimum; it is what he gains above the common level that is fixed.
    """
    count = len(claims)
    shares: list[float | None] = [None] * count
    while None in shares:
        free = [i for i in range(count) if shares[i] is None]
        top = _highest_level(room_a, claims, shares, None)
        for i in free:  # who cannot rise above this level, alone, with all others at least at it?
            most = _highest_level(room_a, claims, shares, (i, top))
            if most <= max(top, claims[i].min_a) + 1e-6:
                shares[i] = max(min(top, claims[i].cap_a), claims[i].min_a)
    return [share for share in shares if share is not None]


def _highest_level(
    room_a: list[float], claims: list[Claim], fixed: list[float | None], alone: tuple[int, float] | None
) -> float:
    """The highest common level of those not fixed; or, for one of them, its highest with the others at that level."""
    count = len(claims)
    cost = numpy.zeros(count + 1)
    cost[count if alone is None else alone[0]] = -1.0
    rows, bounds_right = [], []
    for line, room in enumerate(room_a):
        row = numpy.zeros(count + 1)
        for i, claim in enumerate(claims):
            row[i] = 1.0 if line in claim.lines else 0.0
        rows.append(row)
        bounds_right.append(room)
    limits: list[tuple[float, float | None]] = []
    for i, claim in enumerate(claims):
        if fixed[i] is not None:
            limits.append((fixed[i] or 0.0, fixed[i]))
            continue
        low = claim.min_a if alone is None else max(claim.min_a, min(alone[1], claim.cap_a))
        limits.append((low, claim.cap_a))
        if alone is None:
            row = numpy.zeros(count + 1)
            row[count], row[i] = 1.0, -1.0  # level <= share, unless the share is at its cap
            rows.append(row)
            bounds_right.append(0.0)
    limits.append((0.0, 1000.0))
    found = linprog(cost, A_ub=numpy.array(rows), b_ub=bounds_right, bounds=limits, method="highs")
    assert found.status == 0, found.message
    return float(-found.fun)


@given(shares_problems())
@examples(40, 2000)
def test_shares_are_the_exact_optimum_to_a_hundredth_of_an_ampere(problem: tuple[list[float], list[Claim]]) -> None:
    room, claims = problem
    shares, _ = level(room, claims)
    best = exact(room, claims)
    assert max((abs(a - b) for a, b in zip(shares, best, strict=True)), default=0.0) < 0.01, (shares, best)


@given(shares_problems())
@examples(40, 2000)
def test_the_line_that_is_named_as_bound_is_full(problem: tuple[list[float], list[Claim]]) -> None:
    room, claims = problem
    shares, bound = level(room, claims)
    for claim, share, line in zip(claims, shares, bound, strict=True):
        assert claim.min_a - 1e-9 <= share <= claim.cap_a + 1e-9
        if line == AT_CAP:
            assert share == claim.cap_a
        else:
            riders = sum(other for mate, other in zip(claims, shares, strict=True) if line in mate.lines)
            assert abs(riders - room[line]) < 1e-6


def test_three_cars_on_one_fuse_get_a_third_each() -> None:
    shares, _ = level([32.0], [Claim((0,), 6.0, 32.0)] * 3)
    assert shares == [32.0 / 3] * 3


def test_what_a_narrow_branch_cannot_take_goes_to_the_others() -> None:
    narrow, wide = Claim((0, 1), 6.0, 32.0), Claim((0,), 6.0, 32.0)
    assert level([40.0, 8.0], [narrow, wide])[0] == [8.0, 32.0]


def test_one_phase_cars_bound_only_their_phase() -> None:
    three, one = Claim((0, 1, 2), 6.0, 32.0), Claim((0,), 6.0, 32.0)
    assert level([32.0, 32.0, 32.0], [three, one, one])[0] == [32.0 / 3] * 3
    assert level([32.0, 14.0, 32.0], [three, one])[0] == [14.0, 18.0]


def test_nobody_shares_nothing() -> None:
    assert level([10.0], []) == ([], [])
