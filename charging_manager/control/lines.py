"""What every line can give, in one decision; and sums up the tree."""

from __future__ import annotations

from charging_manager.control.memory import Heat, Overdraft, Peak
from charging_manager.control.wiring import Wiring


class Lines:
    """Scratch of one decision, by line number; see ``wiring``. Currents are in amperes."""

    __slots__ = (
        "allowed",
        "firm",
        "first",
        "flow",
        "heats",
        "house",
        "house_high",
        "jitter",
        "limit",
        "order_w",
        "overdrafts",
        "powers",
        "powers_rise",
        "rise",
        "room",
        "stale",
        "volts",
        "worst",
    )

    limit: list[float]
    """As configured."""
    allowed: list[float]
    """Limit less reserve and overdraft, or the fallback where stale: for house load and charging together. A limit
    counts more while its breaker bears more."""
    firm: list[float]
    """The same without what a breaker bears for a while: raising goes by this."""
    house: list[float]
    """To lower by."""
    house_high: list[float]
    """To raise by."""
    jitter: list[float]
    """By how much house load was or may be higher, within bounds: a further car does not start into that."""
    flow: list[float]
    """All that flows now, by the newest reading; inf where unknown."""
    stale: list[bool]
    worst: list[float]
    """Sum of the worst cases of the charge points below."""
    room: list[float]
    """What is left for those charge points that do as they are told."""
    rise: list[float]
    """What is free if all below draw their worst: only this may be added anywhere."""
    powers: list[float]
    """What is left for charging of every power limit, in phase-amperes, by the house load to lower by;"""
    powers_rise: list[float]
    """and by the one to raise by."""
    order_w: float
    """What the grid operator lets charging draw, where there is an order."""
    overdrafts: dict[tuple[str, int], Overdraft]
    heats: dict[tuple[str, int], Heat]
    volts: dict[str, Peak]
    first: dict[int, int]
    """The highest priority that was given something on a line."""


def up_the_tree(values: list[float], wiring: Wiring) -> None:
    """Add every circuit's three values to its parent's, lowest circuits first."""
    parents = wiring.parents
    for circuit in range(len(parents) - 1, 0, -1):
        parent = 3 * parents[circuit]
        at = 3 * circuit
        values[parent] += values[at]
        values[parent + 1] += values[at + 1]
        values[parent + 2] += values[at + 2]
