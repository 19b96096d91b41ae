"""How one decision was come to, kept beside its plan until the next: whoever asks why finds it here."""

from __future__ import annotations

from attrs import frozen

from charging_manager.control.budget import Lines
from charging_manager.control.instants import Instants
from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen
from charging_manager.control.wiring import Wiring


@frozen(eq=False)
class Workings:
    """What ``decide`` wrote on its scratch paper. To be read, not changed: ``chain`` makes words of it."""

    wiring: Wiring
    everyone: list[Seen]
    """By the outlet's number."""
    lines: Lines
    instants: Instants
    rules: Rules
    now_s: float
