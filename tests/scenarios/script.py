"""A dialogue with a simulated site: something happens, time passes, something is expected."""

from __future__ import annotations

from typing import Self

from charging_manager.control.decide import Rules
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.site import ChargePoint, Circuit, Meter, MeterRole, Site, check_site
from tests.control import judges
from tests.control.world import Car, World


class SiteScript:
    """One 32 A circuit with a grid meter and three boxes, unless told otherwise."""

    def __init__(
        self,
        *points: ChargePoint,
        limit_a: float = 32.0,
        fallback_a: float = 0.0,
        unbalance_a: float | None = None,
        circuits: tuple[Circuit, ...] = (),
        rules: Rules | None = None,
    ) -> None:
        main = Circuit("main", "Main fuse", None, (limit_a,) * 3, fallback_a=fallback_a, meter="grid")
        boxes = points or tuple(ChargePoint(name, name, "main") for name in ("left", "right", "yard"))
        site = Site(
            "story",
            "none",
            {circuit.id: circuit for circuit in (main, *circuits)},
            {box.id: box for box in boxes},
            {"grid": Meter("grid", "grid", "main", MeterRole.GRID)},
            unbalance_a,
        )
        self.world = World(check_site(site), rules)
        self.world.judges += [judges.no_violations, judges.steps_hold, judges.raises_fit_the_worst_case, self._note]
        self.changes: list[tuple[float, str, float]] = []
        """Every change of a setpoint: when, where, to what."""
        self.most_a = 0.0
        """The most that flowed on any phase since ``watch``."""
        self.world.watchers.append(self._measure)

    def _note(self, world: World, image: SiteImage, plan: Plan) -> None:
        before = image.last_plan.setpoints if image.last_plan is not None else {}
        for name, setpoint in plan.setpoints.items():
            if setpoint.current_a != (before[name].current_a if name in before else 0.0):
                self.changes.append((world.now_s - world.start_s, name, setpoint.current_a))

    def _measure(self, world: World) -> None:
        self.most_a = max(self.most_a, *world.flow("main"))

    def plug(self, *names: str, **car: object) -> Self:
        for name in names:
            self.world.boxes[name].car = Car(**car)  # type: ignore[arg-type]
        return self

    def unplug(self, name: str) -> Self:
        box = self.world.boxes[name]
        box.car, box.current_a = None, 0.0
        return self

    def house(self, amps: float | tuple[float, float, float], circuit: str = "main") -> Self:
        self.world.set_house(circuit, amps)
        return self

    def after(self, seconds: float) -> Self:
        self.world.run(seconds)
        return self

    def watch(self) -> Self:
        self.most_a = 0.0
        self.changes.clear()
        return self

    def expect(self, name: str, current_a: float | None = None, because: str | None = None) -> Self:
        assert self.world.plan is not None
        setpoint = self.world.plan.setpoints[name]
        said = f"{name}: {setpoint.current_a:g} A because {setpoint.because.code} {dict(setpoint.because.fields)}"
        assert current_a is None or abs(setpoint.current_a - current_a) < 1e-6, said
        assert because is None or setpoint.because.code == because, said
        return self

    def charging(self) -> set[str]:
        """Who draws current now."""
        return {name for name, box in self.world.boxes.items() if box.current_a > 1.0}
