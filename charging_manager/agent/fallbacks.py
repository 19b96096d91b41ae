"""What each box is told to do when it hears nothing: shares of its circuits' ``fallback_a`` that fit together."""

from __future__ import annotations

from collections.abc import Mapping

from charging_manager.model.site import ChargePoint, Site


def fallback_currents(site: Site) -> Mapping[str, float]:
    """A current for every charge point so that on no phase of any circuit the sum exceeds its ``fallback_a``.

    By priority each gets its least current as long as that fits, then all that got it are raised ampere by ampere.
    Who gets nothing stops when it hears nothing (0 A).
    """
    left = {circuit.id: [circuit.fallback_a] * 3 for circuit in site.circuits.values()}
    paths = {circuit: [above.id for above in site.path_to_root(circuit)] for circuit in site.circuits}
    boxes = sorted(
        (box for box in site.charge_points.values() if not box.out_of_service), key=lambda box: (-box.priority, box.id)
    )
    given = {box.id: 0.0 for box in site.charge_points.values()}

    def take(box: ChargePoint, more_a: float) -> bool:
        cells = [(circuit, phase) for circuit in paths[box.circuit] for phase in box.phases]
        if any(left[circuit][phase] < more_a - 1e-9 for circuit, phase in cells):
            return False
        for circuit, phase in cells:
            left[circuit][phase] -= more_a
        given[box.id] += more_a
        return True

    rising = [box for box in boxes if take(box, box.min_a)]
    while rising:
        rising = [box for box in rising if given[box.id] + 1.0 <= box.max_a and take(box, 1.0)]
    return given
