"""What is configured and can never work: not refused, for the fuse is as it is, but said."""

from __future__ import annotations

from collections.abc import Iterator

from charging_manager.control.wiring import NOMINAL_V, wire
from charging_manager.model.plan import Because
from charging_manager.model.site import Site

SENTENCES = {
    "circuit-below-minimum": "{name} can never charge: the circuit {circuit} allows less than its least of {amps} A.",
    "power-below-minimum": "{name} can never charge on all its phases: {watts} W are less than its least of {amps} A.",
}


def advice(site: Site) -> Iterator[Because]:
    """For each charge point that can never have its minimum: why. The site must have passed ``check_site``."""
    for outlet in wire(site).outlets:
        point = outlet.point
        if point.out_of_service:
            continue
        name = point.name or point.id
        if outlet.too_low is not None:
            yield Because("circuit-below-minimum", {"name": name, "circuit": outlet.too_low, "amps": outlet.lowest_a})
        elif point.max_w is not None and point.max_w < outlet.lowest_a * NOMINAL_V * len(point.phases):
            yield Because("power-below-minimum", {"name": name, "watts": point.max_w, "amps": outlet.lowest_a})
