"""Charging sessions from plug-in to plug-out, told from the readings. No I/O: records.py makes them durable."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from datetime import datetime

from attrs import evolve, frozen

from charging_manager.model.reading import Reading, Status
from charging_manager.model.session import ChargingSession

_PRESENT = (Status.PLUGGED, Status.CHARGING)
_LONGEST_GAP_S = 60.0
"""Power is integrated over no more than this; beyond it nobody knows."""


@frozen
class Open:
    """A session that runs, and what we need to carry it on."""

    session: ChargingSession
    seen_at: datetime
    last_total_wh: float | None = None
    last_session_wh: float | None = None
    last_power_w: float | None = None
    last_s: float | None = None
    over_at: datetime | None = None
    """Its transaction ended then, while the charge point was alone."""


@frozen
class Begun:
    """A transaction of OCPP at its beginning; a session that begins later began with it."""

    at: datetime
    meter_wh: float | None
    user: str | None
    session: str = ""
    """ID of the session that is this transaction alone; empty: any."""


@frozen
class Step:
    """What a reading did to the sessions of a charge point."""

    session: ChargingSession
    seen_at: datetime
    opened: bool = False
    closed: bool = False
    afterwards: bool = False
    """Its transaction was told of when all was over."""


class SessionBook:
    """The open session of each charge point. ``see`` takes readings in order and says what must be written down.

    ``who`` names the user to whom a session at a charge point belongs, as far as that is known.
    """

    def __init__(self, who: Callable[[str], str | None]) -> None:
        self._who = who
        self._open: dict[str, Open] = {}
        self._begun: dict[str, Begun] = {}
        self._closed: dict[str, ChargingSession] = {}
        """The last one of each charge point: a transaction may tell more of it later."""

    def resume(self, sessions: Iterable[tuple[ChargingSession, datetime]]) -> None:
        """Take up what was open when the program ended."""
        for session, seen_at in sessions:
            by_box = session.energy_wh if session.end_wh is None else None
            self._open[session.charge_point] = Open(session, seen_at, session.end_wh, by_box)

    def running(self, charge_point: str) -> ChargingSession | None:
        """The open session there."""
        found = self._open.get(charge_point)
        return found.session if found else None

    def charge_points(self) -> set[str]:
        """Where a session is open."""
        return set(self._open)

    def see(self, reading: Reading, now_at: datetime) -> list[Step]:
        """What this reading changes. An unknown status or a fault changes nothing: the car may still be there."""
        found = self._open.get(reading.device)
        if reading.status is Status.FREE:
            return [self._close(found, reading, now_at)] if found is not None else []
        if reading.status not in _PRESENT:
            return []
        if found is not None and found.last_s is None and _other_car(found, reading):
            return [self._close(found, None, found.seen_at), self._begin(reading, now_at)]
        if found is None:
            return [self._begin(reading, now_at)]
        grown = _grow(found, reading, max(now_at, found.seen_at))
        self._open[reading.device] = grown
        return [Step(grown.session, grown.seen_at)]

    def transaction_began(self, charge_point: str, begun: Begun) -> list[Step]:
        """The charge point tells when charging began, maybe long ago, and whose card it was."""
        found = self._open.get(charge_point)
        steps = []
        if found is not None and found.over_at is not None and begun.at >= found.over_at:
            steps.append(self._close(found, None, found.over_at))
            found = None
        if found is None:
            self._begun[charge_point] = begun
            return steps
        session = found.session
        if begun.at < session.started_at:
            earlier_wh = 0.0
            if session.start_wh is not None and begun.meter_wh is not None:
                earlier_wh = max(0.0, session.start_wh - begun.meter_wh)
            start_wh = begun.meter_wh if begun.meter_wh is not None else session.start_wh
            session = evolve(session, started_at=begun.at, start_wh=start_wh, energy_wh=session.energy_wh + earlier_wh)
        found = evolve(found, session=evolve(session, user=begun.user or session.user))
        self._open[charge_point] = found
        return [*steps, Step(found.session, found.seen_at)]

    def transaction_ended(
        self, charge_point: str, begun: Begun, at: datetime, meter_wh: float | None, late: bool
    ) -> list[Step]:
        """The charge point tells when charging ended, and the total then. ``late``: while nobody heard it."""
        if self._begun.get(charge_point) == begun:
            del self._begun[charge_point]
        found = self._open.get(charge_point)
        if found is not None and found.session.started_at <= at:
            grown = _grown_to(found, begun, at, meter_wh, late)
            self._open[charge_point] = grown
            return [Step(grown.session, grown.seen_at)]
        last = self._closed.get(charge_point)
        if last is not None and last.ended_at is not None and last.started_at <= at and begun.at <= last.ended_at:
            told = evolve(last, ended_at=max(at, last.started_at)) if late else last
            told = _told(told, begun, meter_wh)
            self._closed[charge_point] = told
            return [Step(told, at, closed=True, afterwards=True)]
        whole = ChargingSession(
            id=begun.session or secrets.token_hex(8),
            charge_point=charge_point,
            user=begun.user or self._who(charge_point),
            started_at=begun.at,
            ended_at=max(at, begun.at),
            start_wh=begun.meter_wh,
            end_wh=meter_wh,
            energy_wh=0.0,
        )
        return [Step(_told(whole, begun, meter_wh), at, closed=True, afterwards=True)]

    def end(self, charge_point: str) -> list[Step]:
        """The charge point is no longer ours: its session ends with what was last known."""
        found = self._open.get(charge_point)
        return [self._close(found, None, found.seen_at)] if found is not None else []

    def _begin(self, reading: Reading, now_at: datetime) -> Step:
        begun = self._begun.pop(reading.device, None) or Begun(now_at, reading.energy_wh, None)
        start_wh = begun.meter_wh if begun.meter_wh is not None else reading.energy_wh
        came_wh = 0.0 if reading.energy_wh is None or start_wh is None else max(0.0, reading.energy_wh - start_wh)
        session = ChargingSession(
            id=secrets.token_hex(8),
            charge_point=reading.device,
            user=begun.user or self._who(reading.device),
            started_at=min(begun.at, now_at),
            ended_at=None,
            start_wh=start_wh,
            end_wh=reading.energy_wh if reading.energy_wh is not None else start_wh,
            energy_wh=came_wh,
        )
        self._open[reading.device] = Open(
            session, now_at, session.end_wh, reading.session_wh, reading.power_w, reading.taken_s
        )
        return Step(session, now_at, opened=True)

    def _close(self, found: Open, reading: Reading | None, now_at: datetime) -> Step:
        """With a reading of the freed box, energy since the last one counts, but not over an absence of ours."""
        if reading is not None and found.last_s is not None and reading.taken_s - found.last_s <= _LONGEST_GAP_S:
            found = _grow(found, evolve(reading, session_wh=None, power_w=None), max(now_at, found.seen_at))
        ended_at = max(found.seen_at, found.session.started_at)  # the wall clock may have been set back
        session = evolve(
            found.session, ended_at=ended_at, user=found.session.user or self._who(found.session.charge_point)
        )
        del self._open[session.charge_point]
        self._closed[session.charge_point] = session
        return Step(session, ended_at, closed=True)


def _other_car(found: Open, reading: Reading) -> bool:
    """After a restart of ours: does the box's own count say that this is a new session?"""
    if reading.session_wh is None:
        return False
    return reading.session_wh + 50.0 < found.session.energy_wh


def _told(session: ChargingSession, begun: Begun, meter_wh: float | None) -> ChargingSession:
    """The session with what its transaction says of its energy, if that is more."""
    if meter_wh is None:
        return session
    start_wh = session.start_wh if session.start_wh is not None else begun.meter_wh
    came_wh = 0.0 if start_wh is None else meter_wh - start_wh
    end_wh = max(meter_wh, session.end_wh or meter_wh)
    return evolve(
        session,
        start_wh=start_wh,
        end_wh=end_wh,
        energy_wh=max(session.energy_wh, came_wh),
        user=begun.user or session.user,
    )


def _grown_to(found: Open, begun: Begun, at: datetime, meter_wh: float | None, late: bool) -> Open:
    session = _told(found.session, begun, meter_wh)
    total_wh = meter_wh if found.last_total_wh is None else max(found.last_total_wh, meter_wh or 0.0)
    grown = evolve(found, session=session, last_total_wh=total_wh)
    if not late:
        return grown
    return evolve(grown, seen_at=max(at, session.started_at), last_s=None, last_power_w=None, over_at=at)


def _grow(found: Open, reading: Reading, now_at: datetime) -> Open:
    """The session with the energy of this reading: by the total register, else the box's session, else its power."""
    session = found.session
    energy_wh = session.energy_wh
    total_wh = reading.energy_wh
    if total_wh is not None:
        if found.last_total_wh is not None and total_wh >= found.last_total_wh:
            energy_wh += total_wh - found.last_total_wh
        if session.start_wh is None:
            session = evolve(session, start_wh=total_wh)
    elif found.last_total_wh is not None:
        pass  # it will say again; what came meanwhile is counted then
    elif reading.session_wh is not None:
        if found.last_session_wh is not None and reading.session_wh >= found.last_session_wh:
            energy_wh += reading.session_wh - found.last_session_wh
    elif found.last_power_w is not None and found.last_s is not None:
        gap_s = min(reading.taken_s - found.last_s, _LONGEST_GAP_S)
        energy_wh += max(0.0, found.last_power_w) * max(0.0, gap_s) / 3600
    end_wh = total_wh if total_wh is not None else session.end_wh
    return Open(
        evolve(session, energy_wh=max(energy_wh, session.energy_wh), end_wh=end_wh),
        now_at,
        total_wh if total_wh is not None else found.last_total_wh,
        reading.session_wh if reading.session_wh is not None else found.last_session_wh,
        reading.power_w if reading.power_w is not None else found.last_power_w,
        reading.taken_s,
        found.over_at,
    )
