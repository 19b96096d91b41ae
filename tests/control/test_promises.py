"""I1, I3 and I4 in random sites, over many decisions, with boxes that obey late and devices that fall silent."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from charging_manager.model.site import Site
from tests.control.adventure import live, set_out
from tests.support.strategies import LONG, examples, ruled_sites, seeds

CYCLES = 200_000
"""As many decisions a run of all tests looks at, at least; ten times as many with CM_LONG."""


@given(ruled_sites(), seeds())
@examples(16, 16)
def test_no_circuit_is_ever_overdrawn_whatever_happens(site: Site, seed: int) -> None:
    adventure(site, seed)


@pytest.mark.slow
def test_the_promises_hold_over_two_hundred_thousand_cycles() -> None:
    wanted = CYCLES * (10 if LONG else 1)
    lived = [0]

    @given(ruled_sites(), seeds())
    @settings(
        max_examples=wanted // 265,
        deadline=None,
        derandomize=not LONG,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def many(site: Site, seed: int) -> None:
        lived[0] += adventure(site, seed)

    many()
    assert lived[0] >= wanted


def adventure(site: Site, seed: int) -> int:
    """How many decisions it took."""
    world = set_out(site, seed, sunny=seed % 3 == 0)
    live(world, 14)
    assert world.plan is not None
    assert world.plan.violations == ()
    return world.number
