"""What is wanted of one charge point now: by the person, for the vehicle, in this session."""

from __future__ import annotations

from attrs import frozen

from charging_manager.model.goal import Goal


@frozen
class Wish:
    """As far as it is known; a charge point without one has none of this."""

    user: str | None = None
    """Who charges: for rules and priorities by user."""
    priority: int | None = None
    """Of the user or card; it counts where it is higher than the charge point's own."""
    by_hand: bool = False
    """A mode or current was set by hand until the car is unplugged: rules do not hold until then."""
    goal: Goal | None = None
    session_wh: float = 0.0
    """Delivered since plug-in."""
    soc_pct: float | None = None
    capacity_wh: float | None = None
    """Of the vehicle's battery."""
