"""What is known from beyond the wires, gathered for the image of the site."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from charging_manager.model.outside import Dimming, Outside


class OutsideWorld:
    """Whoever learns something of it puts it here; each cycle takes a view."""

    def __init__(self) -> None:
        self.inputs: Callable[[], Mapping[str, bool | None]] = dict
        self.dimming: Callable[[], Dimming | None] = lambda: None

    def view(self) -> Outside:
        """All of it now."""
        return Outside(inputs=self.inputs(), dimming=self.dimming())
