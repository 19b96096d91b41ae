"""Every second: freeze what is known, decide, tell the boxes. The one loop that must never stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from attrs import field, frozen
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from charging_manager.model.outside import NOTHING_KNOWN, Outside
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Obedience, Reading
from charging_manager.model.site import Site
from charging_manager.model.wish import Wish

_FAILURES_BEFORE_FALLBACK = 3
_NOT_LONG_AGO_S = 10.0

HASTE_EVERY_S = 0.1
"""So long at least lies between two decisions, however much haste there is,"""
HASTE_SHARE = 4.0
"""and so many times as long as the last one took: on a machine that is too small, haste must not eat up the polls."""


@frozen
class Situation:
    """What is configured and known now beside readings."""

    site: Site
    overrides: Mapping[str, float]
    """By charge point, set by hand."""
    wishes: Mapping[str, Wish] = field(factory=dict)
    outside: Outside = NOTHING_KNOWN
    now_at: datetime | None = None
    """Local time of the site."""


class Steered(Protocol):
    """What steering needs of the fleet."""

    def obedience(self, site: Site, now_s: float) -> Mapping[str, Obedience]: ...

    def want(self, charge_point: str, setpoint_a: float, phases: int | None = None) -> None: ...

    def lock_storage(self, locked: bool) -> None: ...


@frozen
class Cycle:
    """One turn of the loop. ``duration_s`` is deciding and handing out, without the devices' own time."""

    number: int
    duration_s: float
    image: SiteImage
    plan: Plan


class Steering:
    """Decides once a cycle on a frozen image and hands the setpoints out; publishes each cycle.

    ``situation`` says what is configured and known now. ``hurry`` asks for a cycle before its time. ``fall_back_to`` is
    told beforehand, so that the way to the fallback asks nobody: whoever would be asked may be what fails.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        decide: Callable[[SiteImage], Plan],
        situation: Callable[[], Situation],
        recent: Callable[[float], Mapping[str, tuple[Reading, ...]]],
        fleet: Steered,
        publish: Callable[[Cycle], None],
        every_s: float = 1.0,
    ) -> None:
        self._clock = clock
        self._decide = decide
        self._situation = situation
        self._recent = recent
        self._fleet = fleet
        self._publish = publish
        self._every_s = every_s
        self._loop = LoopingCall(self.run_once)
        self._loop.clock = clock
        self._fallbacks: Mapping[str, float] = {}
        self._violations: frozenset[str] = frozenset()
        self._failures = 0
        self._decided_s = float("-inf")
        self._hurried: IDelayedCall | None = None
        self.number = 0
        self.last: Cycle | None = None

    @property
    def failing(self) -> bool:
        """Deciding failed so often that the fallback holds."""
        return self._failures >= _FAILURES_BEFORE_FALLBACK

    @property
    def deciding(self) -> bool:
        """A cycle was decided not long ago."""
        last = self.last
        return last is not None and self._clock.seconds() - last.image.now_s <= _NOT_LONG_AGO_S + self._every_s

    def start(self) -> None:
        """Begin; the first cycle runs at once."""
        self._loop.start(self._every_s).addErrback(
            lambda failure: self.log.failure("the steering loop ended", failure=failure)
        )

    def stop(self) -> None:
        """Decide no more."""
        self._wait_for_the_loop()
        if self._loop.running:
            self._loop.stop()

    def fall_back_to(self, fallbacks: Mapping[str, float]) -> None:
        """What every charge point is held to when nobody decides; holds until it is told anew."""
        self._fallbacks = fallbacks

    def hurry(self) -> None:
        """Decide in this turn of the reactor, or as soon after the last decision as may be; several calls are one."""
        if self._hurried is None and self._loop.running:
            took_s = self.last.duration_s if self.last is not None else 0.0
            wait_s = self._decided_s + max(HASTE_EVERY_S, HASTE_SHARE * took_s) - self._clock.seconds()
            self._hurried = self._clock.callLater(max(0.0, wait_s), self.run_once)

    def _wait_for_the_loop(self) -> None:
        if self._hurried is not None and self._hurried.active():
            self._hurried.cancel()
        self._hurried = None

    def run_once(self) -> None:
        """One cycle, which survives whatever goes wrong in it."""
        self._wait_for_the_loop()
        self.number += 1
        started_s = self._decided_s = self._clock.seconds()
        try:
            cycle = self._cycle(started_s)
        except Exception:
            self._failures += 1
            self.log.failure("cycle {number} could not be decided", number=self.number)
            if self.failing:
                self._all_to_fallback()
            return
        self._failures = 0
        self.last = cycle
        with self.log.failuresHandled("cycle {number} could not be shown", number=self.number):
            self._watch(cycle.plan)
            self._publish(cycle)

    def _cycle(self, now_s: float) -> Cycle:
        known = self._situation()
        site = known.site
        image = SiteImage(
            now_s=now_s,
            number=self.number,
            site=site,
            readings=self._recent(now_s),
            obedience=self._fleet.obedience(site, now_s),
            last_plan=self.last.plan if self.last else None,
            overrides=known.overrides,
            wishes=known.wishes,
            outside=known.outside,
            now_at=known.now_at,
        )
        plan = self._decide(image)
        for charge_point, setpoint in plan.setpoints.items():
            self._fleet.want(charge_point, setpoint.current_a, setpoint.phases)
        self._fleet.lock_storage(plan.storage_locked)
        return Cycle(self.number, self._clock.seconds() - now_s, image, plan)

    def _all_to_fallback(self) -> None:
        """Nobody decides: what was decided last does not hold for ever."""
        for charge_point, current_a in self._fallbacks.items():
            with self.log.failuresHandled("{charge_point} could not be set to its fallback", charge_point=charge_point):
                self._fleet.want(charge_point, current_a)
        with self.log.failuresHandled("storage batteries could not be unlocked"):
            self._fleet.lock_storage(False)

    def _watch(self, plan: Plan) -> None:
        """The monitor of the invariants: a violation is an error, said when it begins."""
        now = frozenset(plan.violations)
        for violation in sorted(now - self._violations):
            self.log.error("cycle {number} broke an invariant: {violation}", number=plan.number, violation=violation)
        self._violations = now
