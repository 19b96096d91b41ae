"""How fast the last minute's cycles were: for the metrics, and for whoever wonders whether the machine is too small."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

KEPT = 120
QUANTILES = (0.5, 0.95, 1.0)


class Pace:
    """Told of every cycle. ``handed_s``: until the last box that had to change had its setpoint, as it said itself."""

    def __init__(self) -> None:
        self._decided: deque[float] = deque(maxlen=KEPT)
        self._handed: deque[float] = deque(maxlen=KEPT)
        self._began_s: float | None = None

    def cycle(self, began_s: float, duration_s: float, brought_s: float) -> None:
        """A cycle began and was decided; ``brought_s``: when the last one's setpoints had reached their boxes."""
        if self._began_s is not None and brought_s >= self._began_s:
            self._handed.append(brought_s - self._began_s)
        self._began_s = began_s
        self._decided.append(duration_s)

    @property
    def decided_s(self) -> Mapping[float, float]:
        """How long deciding and handing out took, by quantile."""
        return quantiles(self._decided)

    @property
    def handed_s(self) -> Mapping[float, float]:
        """How long it took from the beginning of a cycle until its last write was confirmed, by quantile."""
        return quantiles(self._handed)


def quantiles(values: Iterable[float]) -> dict[float, float]:
    """The values below which these shares of all lie; empty without values."""
    ordered = sorted(values)
    if not ordered:
        return {}
    return {share: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in QUANTILES}
