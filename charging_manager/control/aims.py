"""What each charge point shall aim at by its mode, before current is shared: the optimising pass.

Here a cap is only ever lowered: what circuits allow is looked at afterwards, and holds whatever is aimed at.
"""

from __future__ import annotations

from collections.abc import Mapping

from charging_manager.control.memory import Memory
from charging_manager.control.planned import Planned
from charging_manager.control.planning import plan_all
from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen
from charging_manager.control.wiring import Wiring
from charging_manager.model.mode import Mode
from charging_manager.model.plan import Because, SiteImage

_NOT_YET = (Mode.SOLAR, Mode.MIN_SOLAR)


def aim(image: SiteImage, wiring: Wiring, everyone: list[Seen], memory: Memory, rules: Rules) -> Mapping[str, Planned]:
    """Narrow ``cap_a`` where the mode is neither Off nor Fast; what is planned goes into the memory."""
    plans = plan_all(image, wiring, everyone, memory)
    for seen in everyone:
        if seen.mode in _NOT_YET and seen.cap_a > 0.0:
            seen.cap_a = 0.0
            seen.because = Because("mode-not-available")
    return plans
