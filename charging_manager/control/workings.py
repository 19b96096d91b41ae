"""How one decision was come to, kept beside its plan until the next: whoever asks why finds it here."""

from __future__ import annotations

from attrs import field, frozen

from charging_manager.control.budget import Lines
from charging_manager.control.instants import Instants
from charging_manager.control.rules import Rules
from charging_manager.control.seen import Seen
from charging_manager.control.wiring import Wiring
from charging_manager.model.plan import Because


@frozen(eq=False)
class Workings:
    """What ``decide`` wrote on its scratch paper: to be read, not changed, by ``explain`` and ``chain``."""

    wiring: Wiring
    everyone: list[Seen]
    """By the outlet's number."""
    lines: Lines
    instants: Instants
    rules: Rules
    now_s: float
    said: dict[tuple[int, bool, int], Because] = field(factory=dict, repr=False)
    """What a line has been named for already: by line, whether for one that waits, and priority; see ``explain``."""
    _riders: dict[int, list[Seen]] = field(factory=dict, repr=False)
    _by_id: dict[str, Seen] = field(factory=dict, repr=False)

    def riders(self, line: int) -> list[Seen]:
        """Who gets something of this line."""
        if not self._riders:
            for seen in self.everyone:
                if seen.share_a > 0.0:
                    for each in (*seen.lines, *seen.heavy):
                        self._riders.setdefault(each, []).append(seen)
        return self._riders.get(line, [])

    def seen(self, charge_point: str) -> Seen | None:
        """How this charge point was seen."""
        if not self._by_id:
            self._by_id.update((seen.id, seen) for seen in self.everyone)
        return self._by_id.get(charge_point)
