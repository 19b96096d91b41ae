"""The JSON of the API's bodies, as attrs classes: the route table checks input by them and describes them.

A field that may be left out on a change is None then, and the stored value stays.
"""

from __future__ import annotations

from typing import Any, Final

from attrs import field, frozen

from charging_manager.agent.access_settings import AccessBody
from charging_manager.agent.api_shapes_goals import GoalBody
from charging_manager.agent.config import PRIORITY_SENTENCE
from charging_manager.agent.solar_config import NOTHING_SAID, SolarBody
from charging_manager.http.fields import complains, one_for_all

LEFT_OUT: Final = -1e9
"""Stands for a number that was not in the body, where null means something."""

EACH_PHASE: Final = one_for_all(3, "must be a list of three numbers like [16, 16, 16], or one number for all phases")


LEFT_OUT_PRIORITY: Final = -1_000_000_000

WHOLE_PRIORITY: Final = complains(PRIORITY_SENTENCE)


@frozen
class LoginBody:
    """One of both; ``code`` is of the admin's second factor."""

    password: str | None = None
    user_id: str | None = None
    code: str = field(default="", repr=False)


@frozen
class PasswordBody:
    """``old`` is empty while no password was ever set."""

    new: str
    old: str = ""


@frozen
class CloudBody:
    """``password`` is only written, never read; left out or empty, the stored one stays."""

    enabled: bool
    server: str = ""
    cloud_id: str = ""
    password: str | None = None


@frozen
class DeviceBody:
    """A new device; ``id`` is made from the name if it is left out."""

    name: str
    driver: str
    address: str
    circuit: str | None = None
    id: str | None = None
    role: str | None = None
    phases: list[int] | None = None
    out_of_service: bool = False
    priority: int = field(default=0, metadata=WHOLE_PRIORITY)
    mode: str = "fast"
    min_a: float | None = None
    max_a: float | None = None
    max_w: float | None = None
    """The most over all phases; null: as max_a has it."""
    solar: SolarBody | None = None
    """How its cars follow the sun; null: as the site has it."""
    storage: str = "house"
    """Of a storage battery's meter: for whom it is there, house or all."""
    settings: dict[str, bool] | None = None
    access: AccessBody | None = None
    """Its login and its certificate, over HTTP and MQTT."""
    has_push_token: bool | None = None
    kind: str | None = None
    """Accepted because ``GET`` shows it, like ``condition``; the driver decides."""
    condition: dict[str, Any] | None = None


@frozen
class DeviceChange:
    """What is to be different; all else stays."""

    name: str | None = None
    driver: str | None = None
    address: str | None = None
    circuit: str | None = None
    id: str | None = None
    role: str | None = None
    phases: list[int] | None = None
    out_of_service: bool | None = None
    priority: int | None = field(default=None, metadata=WHOLE_PRIORITY)
    mode: str | None = None
    min_a: float | None = None
    max_a: float | None = None
    max_w: float | None = LEFT_OUT
    """Null: no such limit; left out: as it was."""
    solar: SolarBody | None = NOTHING_SAID
    """Null: as the site has it; left out: as it was."""
    storage: str | None = None
    settings: dict[str, bool] | None = None
    access: AccessBody | None = None
    has_push_token: bool | None = None
    kind: str | None = None
    condition: dict[str, Any] | None = None


@frozen
class BreakerBody:
    """A miniature circuit breaker, IEC 60898-1: curve B or C, rated current from 6 to 125 A."""

    curve: str
    rated_a: float


LEFT_OUT_BREAKER: Final = BreakerBody("", 0.0)


@frozen
class CircuitBody:
    """A circuit. What is left out stays as it was, except that without a parent it is the root."""

    name: str
    limit_a: list[float] = field(metadata=EACH_PHASE)
    """Three numbers: L1, L2, L3; or one for all of them."""
    id: str | None = None
    parent: str | None = None
    reserve_a: float | None = None
    fallback_a: float | None = None
    meter: str | None = ""
    """Null: none; left out or empty: as it was."""
    charging_limit_a: list[float] | None = field(factory=list, metadata=EACH_PHASE)
    """What charging alone may draw on L1, L2, L3, or one number. Null: no such limit; left out or empty: as it was."""
    limit_w: float | None = LEFT_OUT
    """What may flow in all, over all phases. Null: no such limit; left out: as it was."""
    charging_limit_w: float | None = LEFT_OUT
    """What charging alone may draw, over all phases. Null: no such limit; left out: as it was."""
    breaker: BreakerBody | None = LEFT_OUT_BREAKER
    """Lets short peaks pass that it bears. Null: a limit holds at every instant; left out: as it was."""


@frozen
class SiteChange:
    """What is to be different; ``circuits``, where given, is the whole tree; ``unbalance_a`` null: no such limit."""

    name: str | None = None
    language: str | None = None
    timezone: str | None = None
    """Of the site, like Europe/Paris: goals, rules, tariffs and pages go by its clock."""
    unbalance_a: float | None = LEFT_OUT
    unbalance_with_house: bool | None = None
    first_come: bool | None = None
    """Inside a priority, who was plugged in first is served first, before turns rotate."""
    circuits: list[CircuitBody] | None = None
    solar: SolarBody | None = None
    storage_lock: bool | None = None
    """Storage batteries for the house give nothing while a car charges by more than the sun."""
    measure_cars: bool | None = None
    """A car with a goal may charge for some seconds before its times, to see how much it takes."""
    serial: str | None = None
    """Accepted because ``GET`` shows it, like ``warnings``; it cannot be changed."""
    warnings: list[Any] | None = None


@frozen
class UserBody:
    """A new user; the secret ID is made here and shown once."""

    name: str
    id: str | None = None
    remote: bool = False
    charge_points: list[str] = field(factory=list)
    language: str = "en"
    priority: int | None = field(default=None, metadata=WHOLE_PRIORITY)
    """Where this user charges it counts, if it is higher than the charge point's; null: none."""


@frozen
class UserChange:
    """What is to be different; all else stays."""

    name: str | None = None
    id: str | None = None
    remote: bool | None = None
    charge_points: list[str] | None = None
    language: str | None = None
    priority: int | None = field(default=LEFT_OUT_PRIORITY, metadata=WHOLE_PRIORITY)
    """Null: none; left out: as it was."""


@frozen
class ModeBody:
    """off, solar, min-solar, fast or plan; what this build can do is in ``features``. With plan goes a goal."""

    mode: str
    goal: GoalBody | None = None


@frozen
class VehicleBody:
    """Of the vehicle that is plugged in, until it is unplugged. Both null: forget it."""

    soc_pct: float | None = None
    capacity_wh: float | None = None


@frozen
class DriverText:
    """A driver's table as TOML, to be looked at."""

    name: str
    text: str


@frozen
class DriverBody:
    """A driver's table as TOML, to be kept; ``replace`` if there is one of that name."""

    text: str
    replace: bool = False


@frozen
class OverrideBody:
    """Until the car is unplugged: at most this current (0 pauses), or another mode. Null ends it."""

    current_a: float | None = None
    mode: str | None = None


@frozen
class LevelBody:
    """1 errors, 2 warnings, 3 information, 4 data."""

    level: int
