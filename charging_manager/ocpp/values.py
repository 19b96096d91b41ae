"""What charge points say by OCPP, whatever the version: frozen values, in our units. Phases are the device's own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from attrs import field, frozen

from charging_manager.model.reading import Status
from charging_manager.model.units import UNKNOWN_AMPS, MaybePhaseAmps


@frozen
class Boot:
    """It has started, or was asked to say who it is."""

    vendor: str
    model: str
    serial: str = ""
    firmware: str = ""


@frozen
class Alive:
    """It only says that it is there."""


@frozen
class Told:
    """Something that we take note of and do nothing about."""

    what: str


@frozen
class Asks:
    """May this token charge?"""

    token: str


@frozen
class Outlet:
    """The state of a connector; number 0 is the charge point as a whole."""

    connector: int
    status: Status
    said: str
    """In its own word."""
    error: str = ""


@frozen
class Sample:
    """Measured at one moment. What it did not say is None."""

    at: datetime | None = None
    current_a: MaybePhaseAmps = UNKNOWN_AMPS
    voltage_v: MaybePhaseAmps = UNKNOWN_AMPS
    power_w: float | None = None
    energy_wh: float | None = None
    offered_a: float | None = None
    soc_pct: float | None = None


@frozen
class Measured:
    """Meter values of a connector."""

    connector: int
    samples: tuple[Sample, ...]
    transaction: str | None = None


class Moment(StrEnum):
    """Where in its life a transaction is."""

    BEGAN = "began"
    RUNS = "runs"
    ENDED = "ended"


@frozen
class Transaction:
    """Something of a transaction. OCPP 1.6 asks us for its number when it begins; in 2.0.1 it comes with one."""

    moment: Moment
    at: datetime | None
    connector: int | None = None
    number: str | None = None
    token: str | None = None
    meter_wh: float | None = None
    status: Status | None = None
    samples: tuple[Sample, ...] = ()
    reason: str = ""


Event = Boot | Alive | Told | Asks | Outlet | Measured | Transaction


@frozen
class Abilities:
    """What the charge point said of its configuration. None: it did not say."""

    connectors: int | None = None
    sample_s: int | None = None
    """So often it sends meter values while it charges."""
    measurands: tuple[str, ...] = ()
    highest_level: int | None = None
    """The largest stack level of a charging profile that it takes."""
    in_amperes: bool = True
    switches_phases: bool = False
    profiles: bool | None = None
    """It knows charging profiles at all."""
    said: Mapping[str, str] = field(factory=dict)


class Purpose(StrEnum):
    """What a charging profile is for: OCPP's own words, the same in both versions."""

    DEFAULT = "TxDefaultProfile"
    NOW = "TxProfile"


@frozen
class Profile:
    """A current that is to hold from ``start_at``, for ``lasts_s`` or for good."""

    id: int
    purpose: Purpose
    level: int
    current_a: float
    start_at: datetime | None = None
    lasts_s: int | None = None
    phases: int | None = None
    transaction: str | None = None


@frozen
class Course:
    """What the charge point says that it will obey: (from second, amperes), in order."""

    periods: tuple[tuple[float, float], ...]
    in_amperes: bool = True

    @property
    def now_a(self) -> float | None:
        return self.periods[0][1] if self.periods else None

    def at(self, second: float) -> float | None:
        """The current that holds then."""
        found = None
        for begins_s, amps in self.periods:
            if begins_s <= second:
                found = amps
        return found


@frozen
class Request:
    """A call to make: OCPP's name of it, and its fields."""

    action: str
    payload: dict[str, object]
