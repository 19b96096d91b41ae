"""The log's two lines about a circuit above its limit: when it begins, and when it is over."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen
from twisted.logger import Logger

from charging_manager.model.plan import Budget
from charging_manager.model.site import Site
from charging_manager.model.units import PhaseAmps

_TOLERANCE_A = 0.1
_CALM_S = 5.0
"""So long at or below the limit, and it is over: use that sways about the limit makes two lines, not a flood."""


@frozen
class _Over:
    since_s: float
    last_s: float
    highest_a: float


class OverloadLog:
    """Told of every cycle. A use that is unknown neither begins nor ends anything."""

    log = Logger()

    def __init__(self) -> None:
        self._over: dict[tuple[str, int], _Over] = {}

    def see(self, now_s: float, site: Site, budgets: Mapping[str, Budget]) -> None:
        """Compare the measured use of every circuit and phase with its limit."""
        for circuit in site.circuits.values():
            budget = budgets.get(circuit.id)
            if budget is not None:
                self._see(now_s, circuit.id, circuit.limit_a, budget.used_a)
        for circuit_id, phase in [key for key in self._over if key[0] not in site.circuits]:
            del self._over[circuit_id, phase]

    def _see(self, now_s: float, circuit: str, limit_a: PhaseAmps, used_a: PhaseAmps) -> None:
        for phase, (limit, used) in enumerate(zip(limit_a, used_a, strict=True)):
            over = self._over.get((circuit, phase))
            if limit + _TOLERANCE_A < used < float("inf"):
                if over is None:
                    over = _Over(now_s, now_s, used)
                    self.log.warn(
                        "circuit {circuit}: L{phase} draws {used:.1f} A, above its limit of {limit:g} A",
                        circuit=circuit,
                        phase=phase + 1,
                        used=used,
                        limit=limit,
                    )
                self._over[circuit, phase] = evolve(over, last_s=now_s, highest_a=max(over.highest_a, used))
            elif over is not None and used <= limit + _TOLERANCE_A and now_s - over.last_s >= _CALM_S:
                del self._over[circuit, phase]
                self.log.warn(
                    "circuit {circuit}: L{phase} is at {used:.1f} A, within its limit of {limit:g} A again; "
                    "it was above for {seconds:.0f} s, with {highest:.1f} A at most",
                    circuit=circuit,
                    phase=phase + 1,
                    used=used,
                    limit=limit,
                    seconds=over.last_s - over.since_s + 1.0,
                    highest=over.highest_a,
                )
