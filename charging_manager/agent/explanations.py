"""Why: the record of each decision in words, what was decided earlier, and what would change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Protocol

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from charging_manager.agent.config import AVAILABLE_MODES, Configuration
from charging_manager.agent.journal import Entry, Journal
from charging_manager.agent.picture import Sentence
from charging_manager.agent.steering import Cycle, Steering
from charging_manager.control.because import POINTS, SENTENCES
from charging_manager.control.chain import CHAIN_SENTENCES, chain
from charging_manager.control.rules import Rules
from charging_manager.control.whatif import MOST, WHAT_IF_SENTENCES, Outcome, try_out, variations
from charging_manager.model.plan import Because, Decision

TEXTS: Mapping[str, str] = {**CHAIN_SENTENCES, **WHAT_IF_SENTENCES, **SENTENCES}
_TINY_A = 0.05


class Current(Protocol):
    """Whoever holds the configuration as it is."""

    @property
    def current(self) -> Configuration: ...


class Explained(Protocol):
    """What is asked of the running site."""

    clock: IReactorTime
    steering: Steering

    @property
    def config(self) -> Current: ...


class Explanations:
    """Knows why: of this cycle from its plan, of earlier ones from the journal, where there is one."""

    log = Logger()

    def __init__(self, site: Explained, rules: Rules, journal: Journal | None) -> None:
        self._site, self._rules, self._journal = site, rules, journal
        self._one_at_a_time = DeferredLock()

    def see(self, cycle: Cycle) -> None:
        """A cycle is over: what changed in it is taken down."""
        if self._journal is not None:
            with self.log.failuresHandled("decisions could not be taken down"):
                self._journal.see(cycle.image, cycle.plan)

    async def stop(self) -> None:
        """Write what waits."""
        if self._journal is not None:
            await self._journal.flush()

    def reason(self, because: Because) -> Sentence:
        """A because as a sentence: ids of charge points become names."""
        points = {key: str(because.fields[key]) for key in POINTS if key in because.fields}
        devices = self._site.config.current.devices
        fields = {**because.fields, **{key: devices[one].name for key, one in points.items() if one in devices}}
        return Sentence(because.code, TEXTS.get(because.code, because.code), fields, points)

    def now(self, charge_point: str) -> Decision | None:
        """The record of the last cycle."""
        cycle = self._site.steering.last
        return None if cycle is None else chain(cycle.image, cycle.plan, charge_point)

    async def between(self, charge_point: str, since_at: datetime, until_at: datetime) -> Sequence[Entry]:
        """Earlier ones, oldest first; the first is the one that held at ``since_at``."""
        if self._journal is None:
            return []
        return await self._journal.entries(charge_point, since_at, until_at)

    async def what_if(self, charge_point: str, *, admin: bool) -> list[Outcome]:
        """What would change its setpoint. One computation at a time, and one decision in a turn of the reactor."""
        await self._one_at_a_time.acquire()
        try:
            cycle = self._site.steering.last
            if cycle is None:
                return []
            setpoint = cycle.plan.setpoints.get(charge_point)
            if setpoint is None:
                return []
            possible = variations(cycle.image, cycle.plan, charge_point, AVAILABLE_MODES)
            chosen = list(islice((one for one in possible if admin or not one.admin), MOST))
            found = []
            for variation in chosen:
                if variation.image is not None:
                    await deferLater(self._site.clock, 0.0)
                outcome = try_out(variation, charge_point, self._rules)
                if outcome.setpoint_a is None or abs(outcome.setpoint_a - setpoint.current_a) > _TINY_A:
                    found.append(outcome)
            return found
        finally:
            self._one_at_a_time.release()
