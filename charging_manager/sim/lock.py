"""The control side of a simulated storage battery: what was written to it, and whether it therefore gives nothing."""

from __future__ import annotations

from charging_manager.devices.driver import Storage, Value

REVERT = "revert_s"
"""By this name a driver calls the time after which the device unlocks itself."""


class Lock:
    """What the registers hold, by name."""

    def __init__(self, rule: Storage, now_s: float) -> None:
        self._rule = rule
        self.stored: dict[str, Value] = {}
        self._written_s = now_s

    def write(self, name: str, value: Value, now_s: float) -> None:
        """A client wrote this."""
        self.stored[name] = value
        self._written_s = now_s

    def locked(self, now_s: float) -> bool:
        """Whether it gives nothing now."""
        telling = [write for write in self._rule.lock if write.register != REVERT]
        if not all(self.stored.get(write.register) == write.value for write in telling):
            return False
        revert_s = self.stored.get(REVERT)
        return not (isinstance(revert_s, int | float) and 0 < revert_s < now_s - self._written_s)
