"""The plant and the real controller, on a virtual clock: what an agent would have done, second by second.

Theory of operation. While anything moves, the controller decides every ``cycle_s``, as in the agent. While nothing
does, the next decision is *tried* later, up to 28 s on: if it leaves every setpoint as it is, it stands, and the
seconds before it were as constant as the plant says. If it changes one, it is thrown away and an earlier instant is
tried, down to the very second. ``decide`` is pure, so trying costs nothing but time. Controller timers see true
instants throughout. docs/twin.md says what is exact and what is not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from attrs import evolve, frozen

from charging_manager.control.decide import Rules, decide
from charging_manager.model.outside import NOTHING_KNOWN, Outside
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Reading
from charging_manager.model.site import Site
from charging_manager.model.wish import Wish
from charging_manager.twin.account import Account
from charging_manager.twin.plant import BASE_S, NEVER, Plant

NOTHING_HELD: Mapping[str, float] = {}
CALM = 3
"""So many decisions in a row must have changed nothing before one is tried later."""
LONGEST_S = 28
"""Below the half minute of readings that an image holds."""
SHOWN_S = 6
"""Of a stretch in which nothing happens, the last readings: all that house load and silence look back on."""


@frozen
class Cycle:
    """One decision, as the agent's recorder sees it."""

    image: SiteImage
    plan: Plan


class Course:
    """One run. ``outside`` says what is known of prices and the like at a second; ``each`` sees every cycle."""

    def __init__(
        self,
        plant: Plant,
        account: Account,
        start_at: datetime,
        seconds: int,
        rules: Rules,
        *,
        outside: Callable[[int], Outside] = lambda _: NOTHING_KNOWN,
        each: Callable[[Cycle], None] | None = None,
        cycle_s: int = 1,
        longest_s: int = LONGEST_S,
        sites: Sequence[tuple[int, Site]] = (),
        overrides: Callable[[int], Mapping[str, float]] = lambda _: NOTHING_HELD,
        only_present: bool = False,
    ) -> None:
        """``only_present``: charge points without a car are left out of the images, where they would count nothing."""
        self.plant, self.account, self.rules = plant, account, rules
        self._start_at, self._seconds = start_at.astimezone(UTC), seconds
        self._zone = start_at.tzinfo
        self._outside, self._overrides, self._each = outside, overrides, each
        self._sites = deque(sites)
        self._site = plant.site
        self._only_present = only_present
        self._narrowed: tuple[Site, tuple[str, ...], Site] | None = None
        self._calm = max(1, CALM // cycle_s)
        self._cycle_s, self._longest_s = cycle_s, max(cycle_s, longest_s)
        self.plan: Plan | None = None
        self.decisions = self.tried = 0
        self.violations: dict[str, int] = {}
        """What broke an invariant by the controller's own monitor, and when first."""
        self._wishes: dict[str, Wish] = {}

    def run(self) -> Iterator[int]:
        """Go through it; gives the second reached, now and then, so that a caller can show progress or stop."""
        plant = self.plant
        plant.advance(0)
        self.account.look()
        self._decide(0, self._readings(0, 1))
        every, calm, told = self._cycle_s, 0, 0
        longer = 2 * every
        while plant.now_s < self._seconds:
            now = plant.now_s
            ahead = self._ahead()
            if calm >= self._calm and ahead > every:
                stride, image, plan = self._try(now, min(ahead, longer, self._longest_s, self._seconds - now))
                busy = self._go_on(now + stride)
                if stride > every:
                    news = self._stand(image, plan)
                    longer = min(longer * 2, self._longest_s)
                else:
                    news = self._decide(now + stride, dict(image.readings))
                    longer = 2 * every
            else:
                stride = min(every, self._seconds - now)
                readings = self._readings(now + stride, stride)
                busy = self._go_on(now + stride)
                news = self._decide(now + stride, readings)
                longer = 2 * every
            calm = 0 if busy or news or plant.moving else calm + 1
            if plant.now_s - told >= 3600:
                told = plant.now_s
                yield told
        plant.finish(self._seconds)
        yield self._seconds

    def _ahead(self) -> int:
        """For how long nothing will happen that a decision could depend on; without cars nothing ever matters."""
        plant = self.plant
        changes = self._sites[0][0] - plant.now_s if self._sites else NEVER
        if plant.now_s + 1 < self._seconds and not plant.moving and not plant.somebody_asks:
            return max(1, min(changes, plant.next_arrival_s - plant.now_s))
        return max(1, min(changes, plant.next_s() - plant.now_s))

    def _go_on(self, to_s: int) -> bool:
        """Let the plant come to that second, through all that happens before; whether anything did."""
        plant, account = self.plant, self.account
        happened = False
        while plant.now_s < to_s:
            at = min(plant.next_s(), to_s)
            account.span(at)
            plant.advance(at)
            if plant.changed:
                account.look()
                happened = True
        happened, plant.came_or_went = happened or plant.came_or_went, False
        return happened and plant.somebody_asks

    def _try(self, now: int, stride: int) -> tuple[int, SiteImage, Plan]:
        """The latest decision that changes nothing, or the next one."""
        idle = not self.plant.somebody_asks
        while True:
            image = self._image(now + stride, self._readings(now + stride, min(stride, SHOWN_S)))
            if stride <= self._cycle_s:
                assert self.plan is not None  # noqa: S101
                return stride, image, self.plan
            plan = decide(image, self.rules)
            self.tried += 1
            if idle or _same(plan, self.plan):
                return stride, image, plan
            stride = max(self._cycle_s, stride // 2)

    def _decide(self, at_s: int, readings: dict) -> bool:  # type: ignore[type-arg]
        image = self._image(at_s, readings)
        plan = decide(image, self.rules)
        self.tried += 1
        return self._stand(image, plan)

    def _stand(self, image: SiteImage, plan: Plan) -> bool:
        """This decision holds."""
        self.decisions += 1
        self.plan = plan
        self.plant.keep(dict(image.readings))
        for violation in plan.violations:
            self.violations.setdefault(violation.split(" would")[0], self.plant.now_s)
        if self._each is not None:
            self._each(Cycle(image, plan))
        return self.plant.want(plan)

    def _readings(self, at_s: int, seconds: int) -> dict[str, tuple[Reading, ...]]:
        only = self.plant.present() if self._only_present else None
        return self.plant.readings(at_s, seconds, self._cycle_s, only)

    def _site_at(self, at_s: int, names: tuple[str, ...]) -> Site:
        """The configuration that holds then, of these charge points; the same object as long as it is the same."""
        while self._sites and self._sites[0][0] <= at_s:
            self._site = self._sites.popleft()[1]
        if not self._only_present:
            return self._site
        known = self._narrowed
        if known is None or known[0] is not self._site or known[1] != names:
            points = {name: self._site.charge_points[name] for name in names if name in self._site.charge_points}
            known = self._narrowed = self._site, names, evolve(self._site, charge_points=points)
        return known[2]

    def _image(self, at_s: int, readings: dict) -> SiteImage:  # type: ignore[type-arg]
        plant = self.plant
        wishes, obedience = {}, {}
        known = self._wishes
        for name in plant.present() if self._only_present else plant.boxes:
            if name not in readings:
                continue
            box = plant.boxes[name]
            obedience[name] = box.obedience
            stay = box.stay
            if stay is not None:
                visit = stay.visit
                newest = readings[name][-1]
                session_wh = newest.session_wh or 0.0
                wish = known.get(name)
                if wish is None or wish.session_wh != session_wh or wish.user != (visit.user or visit.car):
                    soc = None
                    if visit.kind.tells_soc:
                        soc = 100.0 * (1.0 - max(0.0, visit.needs_wh - session_wh) / visit.kind.battery_wh)
                    wish = Wish(
                        visit.user or visit.car,
                        visit.priority,
                        False,
                        visit.goal,
                        session_wh,
                        soc,
                        visit.kind.battery_wh,
                    )
                wishes[name] = wish
        self._wishes = wishes
        return SiteImage(
            BASE_S + at_s,
            self.decisions,
            self._site_at(at_s, tuple(obedience)),
            readings,
            obedience,
            self.plan,
            self._overrides(at_s),
            wishes=wishes,
            outside=self._outside(at_s),
            now_at=(self._start_at + timedelta(seconds=at_s)).astimezone(self._zone),
        )


def _same(plan: Plan, last: Plan | None) -> bool:
    """Whether it sends nothing new to any device."""
    if last is None or plan.storage_locked != last.storage_locked:
        return False
    before = last.setpoints
    for name, setpoint in plan.setpoints.items():
        known = before.get(name)
        if known is None:
            if setpoint.current_a:
                return False
        elif setpoint is not known and (setpoint.current_a != known.current_a or setpoint.phases != known.phases):
            return False
    return True
