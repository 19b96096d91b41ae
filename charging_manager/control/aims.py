"""What each charge point shall aim at by its mode, before current is shared: the optimising pass.

Here a cap is only ever lowered: what circuits allow is looked at afterwards, and holds whatever is aimed at.
"""

from __future__ import annotations

from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen
from charging_manager.control.wiring import Wiring
from charging_manager.model.mode import Mode
from charging_manager.model.plan import Because, SiteImage


def aim(image: SiteImage, wiring: Wiring, everyone: list[Seen], rules: Rules) -> None:
    """Narrow ``cap_a`` where the mode is neither Off nor Fast."""
    for seen in everyone:
        if seen.mode is not Mode.FAST and seen.cap_a > 0.0:
            seen.cap_a = 0.0
            seen.because = Because("mode-not-available")
