"""What is known from beyond the wires, gathered for the image of the site."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from charging_manager.model.outside import Dimming, Outside, Prices, SunSlot


class OutsideWorld:
    """Whoever learns something of it puts it here; each cycle takes a view."""

    def __init__(self) -> None:
        self.inputs: Callable[[], Mapping[str, bool | None]] = dict
        self.dimming: Callable[[], Dimming | None] = lambda: None
        self.prices: Callable[[], Prices] = Prices
        self.sun: Callable[[], tuple[SunSlot, ...]] = tuple

    def view(self) -> Outside:
        """All of it now."""
        return Outside(self.prices(), self.sun(), self.inputs(), self.dimming())
