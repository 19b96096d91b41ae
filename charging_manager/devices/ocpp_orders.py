"""The charging profiles that one connector was told, what it showed of them, and what it must be told next.

Theory of operation. Two charging profiles make a watchdog of what OCPP has. The *fallback* is a default profile for
good, at the second highest stack level. The *setpoint* lies above it and lasts LASTS_S only; it is sent anew every
RENEW_S. So a charge point that loses us takes the fallback by itself, also in the middle of a transaction and after a
restart of its own. A running transaction gets the setpoint as its own profile (TxProfile), since many charge points
look at default profiles only when a transaction begins; before it, as a default profile. What it will do is read back
(GetCompositeSchedule): only what that shows is promised.
"""

from __future__ import annotations

import math
from datetime import timedelta

from attrs import define, field, frozen
from twisted.internet.interfaces import IReactorTime

from charging_manager.devices.driver import Driver
from charging_manager.devices.ocpp_driver import LASTS_S, RENEW_S
from charging_manager.devices.station import Station
from charging_manager.errors import DeviceError, DeviceRefused, DeviceSilent
from charging_manager.model.reading import Status
from charging_manager.ocpp.line import REFUSED, word
from charging_manager.ocpp.values import Abilities, Course, Profile, Purpose

AHEAD_S = 5
"""A profile begins so long ago: clocks differ a little."""

LOOK_S, SOON_S = 60.0, 10.0
"""So often it is asked what it will obey; sooner after it did not."""

PAUSE_S, LONGEST_PAUSE_S = 10.0, 60.0
"""Nothing flows for so long before another number of phases."""

_LEVEL_IF_UNKNOWN = 1
_SHOWN_WITHIN_A = 0.15
_FLOWS_A = 1.0


@frozen
class _Written:
    """What the newest setpoint profile says."""

    current_a: float
    phases: int | None
    purpose: Purpose
    transaction: str | None


@define(eq=False)
class ProfileOrders:
    """The writing side of one connector. Its coroutines raise DeviceError kinds, and are never two at once."""

    station: Station
    connector: int
    driver: Driver
    clock: IReactorTime
    hardware_max_a: float
    wired: int
    """To how many phases."""
    fallback_a: float = 0.0
    abilities: Abilities = field(factory=Abilities)
    asked_a: float | None = None
    asked_phases: int | None = None
    told_phases: int | None = None
    commanded_a: float | None = None
    confirmed_a: float | None = None
    trouble: str | None = None
    looked_s: float = -math.inf
    _switching_s: float | None = None
    _written: _Written | None = None
    _wrote_s: float = -math.inf
    _armed_a: float | None = None
    _no_own_profile: str | None = None
    _course: Course | None = None
    _disobeyed_a: float | None = None
    """What it showed when that was more than it was told: reserved until it shows that it obeys."""

    def forget(self) -> None:
        """It was away, or has restarted: nothing that we wrote is certain any more. What must be reserved stays."""
        self._written, self._armed_a, self._no_own_profile, self._course = None, None, None, None

    @property
    def switches_phases(self) -> bool:
        return self.abilities.switches_phases and self.wired == 3

    async def bring(self, drawn_a: float | None) -> None:
        """Write what differs, what lowers first. ``drawn_a``: measured on its busiest phase; None: not freshly."""
        wanted = self._wanted(drawn_a)
        first = self._lowers(wanted)
        if first:
            await self._set(wanted)
        fallback_a = self.legal(self.fallback_a)
        if self._armed_a != fallback_a:
            await self._arm(fallback_a)
        if not first:
            await self._set(wanted)

    def _lowers(self, wanted: _Written) -> bool:
        return self.confirmed_a is not None and wanted.current_a < self.confirmed_a

    def _wanted(self, drawn_a: float | None) -> _Written:
        outlet = self.station.outlet(self.connector)
        own = outlet.transaction is not None and outlet.transaction != self._no_own_profile
        current_a, phases = self._phased(drawn_a)
        return _Written(current_a, phases, Purpose.NOW if own else Purpose.DEFAULT, outlet.transaction if own else None)

    def _phased(self, drawn_a: float | None) -> tuple[float, int | None]:
        """Current and number of phases, paused for a while before that number changes."""
        asked_a = self.asked_a or 0.0
        able = self.switches_phases
        if not able or self.asked_phases in (None, self.told_phases):
            self._switching_s = None
            return asked_a, self.told_phases if able else None
        now_s = self.clock.seconds()
        if self._switching_s is None:
            self._switching_s = now_s
        paused_s = now_s - self._switching_s
        charging = self.station.outlet(self.connector).state is Status.CHARGING
        if charging or drawn_a is None or drawn_a > _FLOWS_A:
            if paused_s < LONGEST_PAUSE_S:
                return 0.0, self.told_phases
        elif paused_s < PAUSE_S and self._written is not None and self._written.transaction is not None:
            return 0.0, self.told_phases
        self.told_phases, self._switching_s = self.asked_phases, None
        return asked_a, self.told_phases

    @property
    def _level(self) -> int:
        """The stack level of the setpoint; the fallback's is one below."""
        known = self.abilities.highest_level
        return _LEVEL_IF_UNKNOWN if known is None else known

    async def _arm(self, fallback_a: float) -> None:
        if self._level == 0:
            return  # one level alone: the setpoint before a transaction and the fallback would be the same profile
        start_at = self.station.now() - timedelta(seconds=AHEAD_S)
        profile = Profile(self._profile_id(1), Purpose.DEFAULT, self._level - 1, fallback_a, start_at)
        await self._send(profile, urgent=False)
        self._armed_a = fallback_a
        self.looked_s = -math.inf

    async def _set(self, wanted: _Written) -> None:
        now_s = self.clock.seconds()
        if wanted == self._written and now_s - self._wrote_s < RENEW_S:
            return
        own = wanted.purpose is Purpose.NOW
        current_a, level, lasts_s = wanted.current_a, self._level, LASTS_S + AHEAD_S
        if level == 0 and not own:
            current_a = min(current_a, self.legal(self.fallback_a))
        start_at = self.station.now() - timedelta(seconds=AHEAD_S)
        profile = Profile(
            self._profile_id(3 if own else 2),
            wanted.purpose,
            level,
            current_a,
            start_at,
            None if level == 0 and not own else lasts_s,
            wanted.phases,
            wanted.transaction,
        )
        self.commanded_a = max(self.commanded_a or 0.0, current_a)
        try:
            await self._send(profile, urgent=self._lowers(wanted))
        except DeviceRefused:
            if not own:
                raise
            self._no_own_profile = wanted.transaction
            await self._set(_Written(wanted.current_a, wanted.phases, Purpose.DEFAULT, None))
            return
        self.confirmed_a, self.commanded_a = max(current_a, self._disobeyed_a or 0.0), None
        self._written, self._wrote_s = wanted, now_s
        if self._disobeyed_a is None:
            self.trouble = None

    async def _send(self, profile: Profile, *, urgent: bool) -> None:
        dialect, _ = self.station.need_line()
        answer = await self.station.ask(dialect.set_profile(self.connector, profile), urgent=urgent)
        if word(answer) != "Accepted":
            raise DeviceRefused(
                REFUSED, f"it did not take {profile.current_a:g} A as {profile.purpose.value}: {word(answer)}"
            )

    def _profile_id(self, which: int) -> int:
        return self.connector * 10 + which

    async def look(self) -> None:
        """What it will obey by itself."""
        dialect, _ = self.station.need_line()
        self.looked_s = self.clock.seconds()
        try:
            answer = await self.station.ask(dialect.ask_course(self.connector, 3 * LASTS_S))
        except DeviceSilent:
            raise
        except DeviceError:
            answer = {}
        course = dialect.course(answer) if answer else None
        self._course = course if course is None or course.in_amperes else None
        shown_a = self._course.now_a if self._course is not None else None
        told_a = self._written.current_a if self._written is not None else None
        if shown_a is None or told_a is None:
            return
        if shown_a > told_a + _SHOWN_WITHIN_A:
            self.trouble = f"it was told {told_a:g} A and shows {shown_a:g} A"
            self.confirmed_a = self._disobeyed_a = shown_a
            self._written = None
            self.looked_s -= LOOK_S - SOON_S
        elif self._disobeyed_a is not None:
            self.confirmed_a, self._disobeyed_a, self.trouble = told_a, None, None

    def legal(self, amps: float) -> float:
        """What it can be told: 0, or from 6 A in tenths, rounded down."""
        rule = self.driver.setpoint
        lowest_a = rule.lowest_a if rule is not None else 6.0
        tenths = math.floor(min(amps, self.hardware_max_a) * 10 + 1e-6) / 10 if amps > 0 else 0.0
        return tenths if tenths >= lowest_a else 0.0

    @property
    def shown_fallback_a(self) -> float | None:
        """What it showed that it takes when the setpoint is over; None if it goes on with more than planned."""
        course = self._course
        later_a = course.at(LASTS_S + 2 * AHEAD_S) if course is not None else None
        if later_a is None or self._armed_a is None or later_a > self._armed_a + _SHOWN_WITHIN_A:
            return None
        return max(0.0, later_a)

    def fallback_word(self) -> str:
        if self.shown_fallback_a is not None:
            return "programmed"
        return "unknown" if self._course is None else "none"
