"""I1, I3 and I4 in random sites, over many decisions, with boxes that obey late and devices that fall silent."""

from __future__ import annotations

from hypothesis import given

from charging_manager.model.site import Site
from tests.control.adventure import live, set_out
from tests.support.strategies import LONG, examples, seeds, sites


@given(sites(), seeds())
@examples(16, 400)
def test_no_circuit_is_ever_overdrawn_whatever_happens(site: Site, seed: int) -> None:
    world = set_out(site, seed)
    live(world, 40 if LONG else 12)
    assert world.plan is not None
    assert world.plan.violations == ()
