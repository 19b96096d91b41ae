"""What lasts is said once when it starts: a device's log does not repeat itself with every poll."""

from __future__ import annotations

from twisted.logger import Logger


class Telling:
    """The lasting conditions of one device that its log has named."""

    def __init__(self, log: Logger, device: str) -> None:
        self._log, self._device = log, device
        self._told: set[str] = set()

    def first(self, key: str) -> bool:
        """Is this said for the first time? From now on it is not."""
        fresh = key not in self._told
        self._told.add(key)
        return fresh

    def once(self, key: str, sentence: str, names: tuple[str, ...]) -> None:
        """Something about these registers that will not change."""
        if self.first(key):
            self._log.info(sentence, device=self._device, names=", ".join(names))

    def lasting(self, kind: str, what: str | None, sentence: str) -> None:
        """A condition that may end (``what`` is None then) and begin anew."""
        if what is None:
            self._told = {told for told in self._told if not told.startswith(f"{kind}:")}
        elif self.first(f"{kind}:{what}"):
            self._log.warn(sentence, device=self._device, what=what)
