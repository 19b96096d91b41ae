"""Staged situations for the reasons: small sites, and a story for each that ends where the reason holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any, Self

from attrs import evolve

from charging_manager.control.rules import Rules
from charging_manager.model.goal import Goal, Prefer
from charging_manager.model.mode import Mode
from charging_manager.model.outside import NOTHING_KNOWN, Outside, Prices, PriceSlot, SunSlot
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Status
from charging_manager.model.rule import Rule
from charging_manager.model.site import (
    ChargePoint,
    Circuit,
    Meter,
    MeterRole,
    Site,
    StorageRole,
    check_site,
)
from charging_manager.model.wish import Wish
from tests.control.world import Box, Car, World

EVENING = datetime(2026, 5, 6, 20, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Stage:
    """Boxes « a », « b », … on a circuit « Main » with a grid meter; what is asked for is the reason of « a ».

    ``main`` and ``point`` change the circuit and every box; ``own`` the box « a » alone.
    """

    def __init__(
        self,
        boxes: int = 1,
        *,
        main: dict[str, Any] | None = None,
        point: dict[str, Any] | None = None,
        own: dict[str, Any] | None = None,
        under: Circuit | None = None,
        meter: bool = True,
        rules: Rules | None = None,
        meters: tuple[Meter, ...] = (),
        **site: Any,
    ) -> None:
        root = {"limit_a": (32.0, 32.0, 32.0), **(main or {})}
        circuits = {"main": Circuit("main", "Main", None, meter="grid" if meter else None, **root)}
        if under is not None:
            circuits[under.id] = under
        points = {}
        for name in "abcdefgh"[:boxes]:
            changes = {**(point or {}), **((own or {}) if name == "a" else {})}
            points[name] = ChargePoint(name, f"Box {name}", under.id if under else "main", **changes)
        known = [*([Meter("grid", "Grid", "main", MeterRole.GRID)] if meter else []), *meters]
        self.world = World(
            check_site(Site("stage", "none", circuits, points, {one.id: one for one in known}, **site)), rules
        )
        self.world.start_at = EVENING
        self.last: tuple[SiteImage, Plan] | None = None
        self.hook: Callable[[SiteImage], SiteImage] = lambda image: image
        self.outside: Outside = NOTHING_KNOWN
        real = self.world.image
        self.world.image = self._image(real)  # type: ignore[method-assign]
        self.world.judges.append(self._note)

    def _image(self, real: Callable[[], SiteImage]) -> Callable[[], SiteImage]:
        def image() -> SiteImage:
            made = real()
            outside = evolve(self.outside, dimming=made.outside.dimming)
            return self.hook(evolve(made, outside=outside))

        return image

    def _note(self, world: World, image: SiteImage, plan: Plan) -> None:
        self.last = image, plan

    @property
    def code(self) -> str:
        assert self.last is not None
        return self.last[1].setpoints["a"].because.code

    def box(self, name: str = "a") -> Box:
        return self.world.boxes[name]

    def plug(self, *names: str, **car: Any) -> Self:
        for name in names or ("a",):
            self.box(name).car = Car(**car)
        return self

    def unplug(self, name: str) -> Self:
        self.box(name).car, self.box(name).current_a = None, 0.0
        return self

    def house(self, amps: float | tuple[float, float, float]) -> Self:
        self.world.set_house("main", amps)
        return self

    def after(self, seconds: float) -> Self:
        self.world.run(seconds)
        return self

    def until(self, code: str, within_s: float = 60.0) -> Self:
        """Let time pass until this is the reason; it must come."""
        for _ in range(int(within_s)):
            self.world.run(1.0)
            if self.code == code:
                return self
        raise AssertionError(f"{code} did not come, but {self.code}")

    def change(self, **point: Any) -> Self:
        points = dict(self.world.site.charge_points)
        points["a"] = evolve(points["a"], **point)
        self.world.site = evolve(self.world.site, charge_points=points)
        self.box().point = points["a"]
        return self

    def status(self, status: Status) -> Self:
        """What the box « a » says of its car, whatever is true."""

        def said(image: SiteImage) -> SiteImage:
            readings = tuple(evolve(one, status=status) for one in image.readings.get("a", ()))
            return evolve(image, readings={**image.readings, "a": readings} if readings else image.readings)

        self.hook = said
        return self

    def rule(self, rule: Rule) -> Self:
        self.world.site = evolve(self.world.site, rules=(rule,))
        return self.after(15.0)

    def silence(self, name: str) -> Self:
        self.world.silence(name)
        return self

    def swap(self) -> Self:
        """Tell of « b » what is asked of « a »: the names change places."""
        assert self.last is not None
        image, plan = self.last
        other = {"a": "b", "b": "a"}
        work: Any = plan.workings
        for seen in work.everyone:
            seen.id = other[seen.id]
        setpoints = {other[name]: evolve(one, charge_point=other[name]) for name, one in plan.setpoints.items()}
        self.last = image, evolve(plan, setpoints=setpoints)
        return self

    def sun(self, slots: tuple[SunSlot, ...]) -> Self:
        self.outside = evolve(self.outside, sun=slots)
        return self

    def goal(self, goal: Goal | None, session_wh: float = 0.0, **wish: Any) -> Self:
        self.world.wishes["a"] = Wish(goal=goal, session_wh=session_wh, **wish)
        return self

    def prices(self, *prices: float, co2: tuple[float | None, ...] = ()) -> Self:
        grams = co2 or (None,) * len(prices)
        slots = (
            PriceSlot(EVENING + n * HOUR, EVENING + (n + 1) * HOUR, price, grams[n]) for n, price in enumerate(prices)
        )
        self.outside = evolve(self.outside, prices=Prices(tuple(slots)))
        return self


CHEAP_LATER = (0.30, 0.30, 0.30, 0.10, 0.10, 0.10, 0.10, 0.30, 0.30, 0.30, 0.30)
CHEAP_NOW = (0.10, 0.10, 0.10, 0.30, 0.30, 0.30, 0.30, 0.30, 0.30, 0.30, 0.30)
TWENTY = Goal(time(7), energy_wh=20_000.0)
GREEN = Goal(time(7), energy_wh=20_000.0, prefer=Prefer.GREEN)


def planned(goal: Goal | None, *prices: float, session_wh: float = 0.0, **wish: Any) -> Stage:
    """A car in mode Plan at 20:00 that took 11 kW, so that its power is known."""
    stage = Stage(own={"mode": Mode.PLAN, "max_a": 16.0})
    return stage.prices(*prices).plug(max_a=16.0).goal(goal, session_wh, **wish)


def sunny(boxes: int = 1, mode: Mode = Mode.SOLAR, **more: Any) -> Stage:
    """Cars that follow the sun, on a day that need not prove itself; a negative house load is what the roof leaves."""
    rules = Rules(sun_proof_s=60.0)
    return Stage(boxes, point={"mode": mode}, rules=rules, **more).plug(*"abcdefgh"[:boxes])


SUN_SLOTS = tuple(SunSlot(EVENING + n * HOUR, EVENING + (n + 1) * HOUR, 9_000.0, spare_w=8_000.0) for n in range(2, 9))
STORE = Meter("store", "Store", "main", MeterRole.STORAGE, storage=StorageRole.HOUSE)
