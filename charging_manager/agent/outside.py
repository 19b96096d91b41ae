"""What is known from beyond the wires, gathered for the image of the site."""

from __future__ import annotations

from charging_manager.model.outside import NOTHING_KNOWN, Outside


class OutsideWorld:
    """Whoever learns something of it puts it here; each cycle takes a view."""

    def view(self) -> Outside:
        """All of it now."""
        return NOTHING_KNOWN
