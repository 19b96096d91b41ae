"""Before and after, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from charging_manager.twin.report import Result, columns, spell

MOST_CARS = 40


def both(results: Sequence[Result], recorded_wh: float) -> str:
    """A table with a column for each result: one (as it was), or two (and as it would have been)."""
    heads = ("as it was", "as it would have been")[: len(results)]
    rows: list[tuple[str, ...]] = [("", *heads)]
    rows.append(("charged", *(f"{r.sums.charging_wh / 1000:.1f} kWh" for r in results)))
    rows.append(("longest wait", *(spell(max((c.longest_wait_s for c in r.cars), default=0)) for r in results)))
    rows.append(("waited in all", *(spell(sum(c.waited_s for c in r.cars)) for r in results)))
    rows.append(("starts in all", *(str(sum(c.starts for c in r.cars)) for r in results)))
    rows.append(("from the grid", *(f"{r.sums.import_wh / 1000:.1f} kWh" for r in results)))
    if any(r.sums.solar_wh for r in results):
        rows.append(
            ("solar share", *(f"{r.sums.solar_charged_wh / max(1.0, r.sums.charging_wh):.0%}" for r in results))
        )
    if any(r.sums.cost is not None for r in results):
        rows.append(("cost of charging", *(f"{r.sums.cost or 0.0:.2f} {r.currency}" for r in results)))
    for index, load in enumerate(results[0].loads):
        cells = []
        for result in results:
            own = result.loads[index]
            over = f", {spell(own.over_s)} above" if own.over_s else ""
            cells.append(f"{own.highest_a:.1f} of {own.limit_a:g} A{over}")
        rows.append((f"{load.circuit} {load.phase}", *cells))
    out = columns(rows)
    out.append(f"counted by the charge points while it was recorded: {recorded_wh / 1000:.1f} kWh")
    for result in results[-1:]:
        for violation, at_s in result.violations.items():
            out.append(f"invariant broken: {violation}, first at second {at_s}")
    out.append("")
    rows = [("car", *(f"{head}: charged, waited" for head in heads))]
    after = {car.car: car for car in results[-1].cars}
    for car in results[0].cars[:MOST_CARS]:
        pair = [car, after[car.car]] if len(results) > 1 and car.car in after else [car]
        rows.append((car.car, *(f"{each.delivered_wh / 1000:.1f} kWh, {spell(each.waited_s)}" for each in pair)))
    out += columns([row + ("",) * (len(rows[0]) - len(row)) for row in rows])
    if len(results[0].cars) > MOST_CARS:
        out.append(f"and {len(results[0].cars) - MOST_CARS} more; --json has them all")
    return "\n".join(out)
