"""The last half minute of every device's readings: what the next image is made of."""

from __future__ import annotations

from collections import deque

from charging_manager.model.reading import Reading

KEPT_S = 30.0


class Readings:
    """By device, newest last. Memory is bounded by the time kept and by a count."""

    def __init__(self, kept_s: float = KEPT_S, most: int = 120) -> None:
        self._kept_s, self._most = kept_s, most
        self._by_device: dict[str, deque[Reading]] = {}
        self._last: dict[str, Reading] = {}
        self.taken = 0
        """How many there were."""

    def add(self, reading: Reading) -> None:
        """Take a reading of a device."""
        self.taken += 1
        self._by_device.setdefault(reading.device, deque(maxlen=self._most)).append(reading)
        self._last[reading.device] = reading

    def forget(self, device: str) -> None:
        """The device is gone, or is another one now."""
        self._by_device.pop(device, None)
        self._last.pop(device, None)

    def devices(self) -> set[str]:
        """All that ever answered and were not forgotten."""
        return set(self._last)

    def last(self, device: str) -> Reading | None:
        """The newest reading, however old."""
        return self._last.get(device)

    def recent(self, now_s: float) -> dict[str, tuple[Reading, ...]]:
        """What was read in the last half minute; devices without any are missing."""
        oldest_s = now_s - self._kept_s
        found: dict[str, tuple[Reading, ...]] = {}
        for device, readings in self._by_device.items():
            while readings and readings[0].taken_s < oldest_s:
                readings.popleft()
            if readings:
                found[device] = tuple(readings)
        return found
