"""Orders of the grid operator as they stand: by an input, over Modbus, over the API; the lowest limit holds."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from attrs import evolve, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from charging_manager.agent.evidence import Evidence, Order, Standing
from charging_manager.agent.inputs import Inputs
from charging_manager.agent.measured import Measured, measured
from charging_manager.clocks import UtcNow
from charging_manager.control.dimming import charging_w, from_grid_w, limit_w, site_minimum_w
from charging_manager.model.grid import GridSettings
from charging_manager.model.input import STALE_S
from charging_manager.model.outside import Dimming
from charging_manager.model.reading import Reading
from charging_manager.model.site import Site

SURE_S = 15.0
"""Own generation counts when it was there for so long: meters and boxes are not read at the same instant."""

TEST_S = 60.0

INPUT, MODBUS, API, TEST = SOURCES = ("input", "modbus", "api", "test")

REASON_SENTENCES: Mapping[str, str] = {
    "input": "The input {input} is on.",
    "input-unknown": "The input {input} is unknown, and counts as on.",
    "modbus": "Ordered over Modbus.",
    "modbus-silent": "The Modbus client has fallen silent, which counts as an order.",
    "api": "Ordered over the API.",
    "test": "Somebody tests it at the site.",
}
"""Why charging is dimmed, by code."""


@frozen
class Asked:
    """One standing order: the limit that came with it, if any, and until when it holds."""

    limit_w: float | None = None
    until_s: float = math.inf


@frozen
class Held:
    """The order that holds now. ``limit_w`` is for all controllable devices, without own generation."""

    source: str
    reason: str
    limit_w: float
    began_at: datetime


class GridOperator:
    """Asked once a cycle for the order that holds; keeps the log of it."""

    log = Logger()

    def __init__(
        self,
        *,
        clock: IReactorTime,
        now: UtcNow,
        settings: Callable[[], GridSettings],
        site: Callable[[], Site],
        inputs: Inputs,
        last: Callable[[str], Reading | None],
        evidence: Evidence,
    ) -> None:
        self._clock, self._now = clock, now
        self._settings, self._site = settings, site
        self._inputs, self._last = inputs, last
        self.evidence = evidence
        self._asked: dict[str, Asked] = {}
        self._input_name: str | None = None
        self._input_on = False
        self._input_seen_s = clock.seconds()
        self._heard_s = clock.seconds()
        self._own: deque[tuple[float, float]] = deque()
        self.held: Held | None = None
        self.seen = Measured(None, None, None, 0.0, 0)
        self._extra_w = 0.0

    def resume(self, standing: list[Standing]) -> None:
        """What was ordered when the program ended holds on."""
        for one in standing:
            if one.source == INPUT:
                self._input_name = self._settings().input
                self._input_on = True
            elif one.source in (MODBUS, API):
                left_s = math.inf if one.until_at is None else (one.until_at - self._now()).total_seconds()
                if left_s > 0:
                    self._asked[one.source] = Asked(one.limit_w, self._clock.seconds() + left_s)

    # -- orders ------------------------------------------------------------------------------------------------------

    def order(self, source: str, on: bool, limit_w: float | None = None, for_s: float | None = None) -> None:
        """An order of MODBUS, API or TEST, or its end."""
        if on:
            until_s = math.inf if for_s is None else self._clock.seconds() + for_s
            self._asked[source] = Asked(limit_w, until_s)
        else:
            self._asked.pop(source, None)

    def asked(self, source: str) -> Asked | None:
        """That source's order, if it stands."""
        found = self._asked.get(source)
        return found if found is not None and self._clock.seconds() < found.until_s else None

    def heard(self) -> None:
        """The Modbus client is alive."""
        self._heard_s = self._clock.seconds()

    @property
    def heartbeat_age_s(self) -> float:
        """Since it was last heard, or since we began to listen."""
        return self._clock.seconds() - self._heard_s

    @property
    def silent(self) -> bool:
        """The Modbus client should have written by now."""
        every_s = self._settings().heartbeat_s
        return every_s is not None and self.heartbeat_age_s > every_s

    # -- once a cycle ------------------------------------------------------------------------------------------------

    def view(self) -> Dimming | None:
        """The order that holds now, for the image of the site."""
        grid, site = self._settings(), self._site()
        counted = counted_points(grid, site)
        now_s = self._clock.seconds()
        self.seen = measured(site, self._last, now_s, counted)
        self._extra_w = self._sure_own_w(now_s) if grid.own_power_on_top else 0.0
        self._hold(self._lowest(grid, len(counted)))
        if self.held is None:
            return None
        return Dimming(
            charging_w(grid, len(counted), self.held.limit_w) + self._extra_w,
            self.held.source,
            None if grid.charge_points is None else counted,
        )

    def note(self) -> None:
        """What is measured now goes into the log."""
        self.evidence.measure(
            self._now(),
            charging_w=self.seen.charging_w,
            from_grid_w=from_grid_w(self.seen.counted_w, self.seen.own_w),
            grid_w=self.seen.grid_w,
            limit_w=None if self.held is None else self.held.limit_w,
            silent=self.seen.silent,
        )

    @property
    def minimum_w(self) -> float:
        """By law, of all controllable devices."""
        grid, site = self._settings(), self._site()
        return site_minimum_w(grid, len(counted_points(grid, site)))

    @property
    def charging_limit_w(self) -> float | None:
        """What charging may draw now, own generation included; None: no order holds."""
        if self.held is None:
            return None
        grid, site = self._settings(), self._site()
        return charging_w(grid, len(counted_points(grid, site)), self.held.limit_w) + self._extra_w

    def _lowest(self, grid: GridSettings, points: int) -> tuple[float, str, str] | None:
        found: list[tuple[float, str, str]] = []
        reason = self._by_input(grid)
        if reason is not None:
            found.append((limit_w(grid, points, None), INPUT, reason))
        for source in (MODBUS, API, TEST):
            asked = self.asked(source)
            if asked is None:
                self._asked.pop(source, None)
            elif not (source == MODBUS and self.silent):
                found.append((limit_w(grid, points, asked.limit_w), source, source))
        if self.silent and grid.silence_dims:
            asked = self._asked.get(MODBUS)
            found.append((limit_w(grid, points, asked.limit_w if asked else None), MODBUS, "modbus-silent"))
        return min(found, key=lambda one: one[0], default=None)

    def _by_input(self, grid: GridSettings) -> str | None:
        """Why the input orders dimming; None: it does not. Unknown for less than 10 s: as it was."""
        now_s = self._clock.seconds()
        if grid.input != self._input_name:
            self._input_name, self._input_on, self._input_seen_s = grid.input, False, now_s
        if grid.input is None:
            return None
        state = self._inputs.state(grid.input)
        if state.raw is not None:
            self._input_on = state.raw
            self._input_seen_s = max(self._input_seen_s, now_s - (state.age_s or 0.0))
        elif now_s - self._input_seen_s >= STALE_S:
            return "input-unknown"
        return "input" if self._input_on else None

    def _sure_own_w(self, now_s: float) -> float:
        self._own.append((now_s, self.seen.own_w))
        while self._own and now_s - self._own[0][0] > SURE_S:
            self._own.popleft()
        whole = now_s - self._own[0][0] >= SURE_S - 2.0
        return min(watts for _, watts in self._own) if whole else 0.0

    def _hold(self, lowest: tuple[float, str, str] | None) -> None:
        before = self.held
        if lowest is None:
            self.held = None
        elif before is None or (before.limit_w, before.source, before.reason) != lowest:
            limit, source, reason = lowest
            self.held = Held(source, reason, limit, self._now())
        if self.held is not before:
            if before is not None:
                self.log.warn("dimming by {source} is over", source=before.source)
                self.evidence.end(self._now())
            if self.held is not None:
                self.log.warn(
                    "dimmed to {limit_w:.0f} W ({reason})", limit_w=self.held.limit_w, reason=self.held.reason
                )
                asked = self._asked.get(self.held.source)
                self.evidence.begin(
                    Order(
                        began_at=self.held.began_at,
                        source=self.held.source,
                        reason=self.held.reason,
                        limit_w=self.held.limit_w,
                        asked_w=asked.limit_w if asked else None,
                        minimum_w=self.minimum_w,
                    )
                )
        self.evidence.keep(self._standing())

    def _standing(self) -> tuple[Standing, ...]:
        """What must hold on after a restart."""
        now_s = self._clock.seconds()
        standing = [Standing(INPUT)] if self._input_on and self._input_name is not None else []
        for source in (MODBUS, API):
            asked = self._asked.get(source)
            if asked is not None:
                endless = math.isinf(asked.until_s)
                until_at = None if endless else self._known_until(source, asked, now_s)
                standing.append(Standing(source, asked.limit_w, until_at))
        return tuple(standing)

    def _known_until(self, source: str, asked: Asked, now_s: float) -> datetime:
        """The same time of day each cycle, though clocks drift: only a new order is written anew."""
        for one in self.evidence.standing:
            if one.source == source and one.until_at is not None and one.limit_w == asked.limit_w:
                drift_s = (one.until_at - self._now()).total_seconds() - (asked.until_s - now_s)
                if abs(drift_s) < 1.0:
                    return one.until_at
        return self._now() + timedelta(seconds=asked.until_s - now_s)


def counted_points(grid: GridSettings, site: Site) -> frozenset[str]:
    """The charge points that are dimmed."""
    if grid.charge_points is None:
        return frozenset(site.charge_points)
    return frozenset(grid.charge_points) & site.charge_points.keys()


def without(settings: GridSettings, name: str) -> GridSettings:
    """The settings when that input is gone."""
    return evolve(settings, input=None) if settings.input == name else settings
