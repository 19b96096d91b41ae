"""The account of a run: every second's load and energy, in sums, highest values and a course for the picture.

It sees a plant between two changes, when every current is constant; so a span of many seconds counts exactly.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import field, frozen

from charging_manager.model.site import Site
from charging_manager.twin.plant import Plant


@frozen
class Point:
    """One piece of the course: means in watts, highest currents in amperes."""

    from_s: int
    charging_w: float
    house_w: float
    solar_w: float
    storage_w: float
    grid_w: float
    line_a: tuple[float, ...]
    """By line (circuit by circuit, L1 to L3): the highest in any second."""
    box_wh: tuple[float, ...]
    """By charge point: what it delivered."""


@frozen
class Highest:
    """The most that flowed on a line in any second, and when first."""

    current_a: float = 0.0
    at_s: int = 0


@frozen
class Sums:
    """Energies of the whole run, in Wh, and money."""

    charging_wh: float = 0.0
    house_wh: float = 0.0
    solar_wh: float = 0.0
    import_wh: float = 0.0
    export_wh: float = 0.0
    solar_charged_wh: float = 0.0
    """Charged while the roof gave it: what the house left of it."""
    cost: float | None = None
    """Of what was charged from the grid; None where no price is known."""
    course: tuple[Point, ...] = field(factory=tuple, repr=False)
    highest: tuple[Highest, ...] = ()


class Account:
    """``price`` says what a kWh costs from a second on, None where unknown; ``piece_s`` is the course's resolution."""

    def __init__(self, plant: Plant, piece_s: int, price: Callable[[int], float | None] = lambda _: None) -> None:
        self._plant, self._piece_s, self._price_at = plant, piece_s, price
        count = len(plant.line_ma)
        self._highest = [(0, 0)] * count
        self._piece_most = [0] * count
        self._site: Site | None = None
        self._limit_ma = [0] * count
        self._take_limits()
        self._over_since: dict[int, int] = {}
        self._over = [(0, 0)] * count
        self._now_s = self._piece_from_s = 0
        self._price = price(0)
        self._charging = self._house = self._solar = self._import = self._export = self._solar_charged = 0.0
        self._cost = 0.0
        self._priced = False
        self._piece = [0.0] * 5
        self._box_wh = [0.0] * len(plant.boxes)
        self._course: list[Point] = []

    def span(self, to_s: int) -> None:
        """Everything stays as it is until ``to_s``."""
        while self._now_s < to_s:
            edge = self._piece_from_s + self._piece_s
            until = min(to_s, edge)
            self._add(until - self._now_s)
            self._now_s = until
            if until == edge:
                self._close_piece()

    def look(self) -> None:
        """Take down the loads where something has changed at this second."""
        plant = self._plant
        line = plant.line_ma
        if plant.site is not self._site:
            self._take_limits()
        for base in plant.changed:
            for at in (base, base + 1, base + 2):
                amps = line[at] if line[at] >= 0 else -line[at]
                if amps > self._limit_ma[at]:
                    self._over_since.setdefault(at, self._now_s)
                elif at in self._over_since:
                    self._over_ends(at)
                if amps > self._piece_most[at]:
                    self._piece_most[at] = amps
                    if amps > self._highest[at][0]:
                        self._highest[at] = (amps, self._now_s)
        plant.changed.clear()

    def _take_limits(self) -> None:
        """Those that hold now; of a circuit that is not there, any."""
        site = self._site = self._plant.site
        for index, name in enumerate(self._plant.circuits):
            circuit = site.circuits.get(name, self._plant.configured[name][0])
            self._limit_ma[3 * index : 3 * index + 3] = (round(1000 * limit) for limit in circuit.limit_a)

    def over(self, line: int) -> tuple[int, int]:
        """For how many seconds in all that line lay above its limit, and for how many at most in a row."""
        if line in self._over_since:
            self._over_ends(line)
        return self._over[line]

    def _over_ends(self, line: int) -> None:
        lasted = self._now_s - self._over_since.pop(line)
        total, longest = self._over[line]
        self._over[line] = (total + lasted, max(longest, lasted))

    def sums(self) -> Sums:
        """All of it."""
        if self._now_s > self._piece_from_s:
            self._close_piece()
        return Sums(
            self._charging / 3600.0,
            self._house / 3600.0,
            self._solar / 3600.0,
            self._import / 3600.0,
            self._export / 3600.0,
            self._solar_charged / 3600.0,
            self._cost if self._priced else None,
            tuple(self._course),
            tuple(Highest(milliamps / 1000.0, at_s) for milliamps, at_s in self._highest),
        )

    def _add(self, seconds: int) -> None:
        flows = self._plant.flows
        grid_w = flows.grid_w
        self._charging += flows.charging_w * seconds
        self._house += flows.house_w * seconds
        self._solar += flows.solar_w * seconds
        if grid_w >= 0.0:
            self._import += grid_w * seconds
        else:
            self._export -= grid_w * seconds
        from_sun = min(flows.charging_w, max(0.0, flows.solar_w - flows.house_w))
        self._solar_charged += from_sun * seconds
        if self._price is not None:
            paid_w = max(0.0, min(flows.charging_w - from_sun, grid_w))  # the rest came out of a battery
            self._cost += paid_w * seconds / 3_600_000.0 * self._price
            self._priced = True
        piece = self._piece
        piece[0] += flows.charging_w * seconds
        piece[1] += flows.house_w * seconds
        piece[2] += flows.solar_w * seconds
        piece[3] += flows.storage_w * seconds
        piece[4] += grid_w * seconds

    def _close_piece(self) -> None:
        plant, now = self._plant, self._now_s
        lasted = now - self._piece_from_s
        totals = [box.charged_wh(now) for box in plant.boxes.values()]
        self._course.append(
            Point(
                self._piece_from_s,
                self._piece[0] / lasted,
                self._piece[1] / lasted,
                self._piece[2] / lasted,
                self._piece[3] / lasted,
                self._piece[4] / lasted,
                tuple(most / 1000.0 for most in self._piece_most),
                tuple(after - before for after, before in zip(totals, self._box_wh, strict=True)),
            )
        )
        self._box_wh = totals
        self._piece = [0.0] * 5
        self._piece_most = [abs(milliamps) for milliamps in plant.line_ma]
        self._piece_from_s = now
        self._price = self._price_at(now)
