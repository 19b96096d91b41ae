"""Values on a tape come back as they were."""

from charging_manager.control.rulebook import Ruling
from charging_manager.twin.values import pack, unpack


def test_a_rule_that_held_and_has_said_so_comes_back() -> None:
    ruling = Ruling(limit_a=10.0, limit_by="Night")
    before = pack(ruling)
    ruling._said[("Night", 10.0)] = None  # type: ignore[assignment]
    assert pack(ruling) == before
    assert unpack(before) == ruling
