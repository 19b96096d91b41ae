"""A recording read back: the course of what was seen, and the cycles that were recorded in full."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from charging_manager.clocks import zone
from charging_manager.control.memory import Memory
from charging_manager.control.rules import Rules
from charging_manager.control.storage import SOC_NAMES
from charging_manager.control.wiring import wire
from charging_manager.errors import ConfigError
from charging_manager.model.outside import NOTHING_KNOWN, Outside
from charging_manager.model.plan import Plan, SiteImage
from charging_manager.model.reading import Obedience, Reading, Status
from charging_manager.model.site import Site
from charging_manager.model.wish import Wish
from charging_manager.twin.frames import Reader
from charging_manager.twin.values import unpack

KEPT_S = 30.0
MOST_KEPT = 120
"""Of readings, as the agent does."""


@frozen
class Track:
    """What had changed at an instant. Boxes: status, currents, energy, session; meters: currents, power."""

    now_s: float
    boxes: Mapping[str, list[Any]]
    meters: Mapping[str, list[Any]]
    setpoints: Mapping[str, float]


@frozen
class Decided:
    """A cycle that was recorded in full: what was known, and what came of it."""

    image: SiteImage
    setpoints: Mapping[str, tuple[float, int | None, str]]
    """Of those that were new: amperes, phases, code of the reason."""
    storage_locked: bool
    begins: bool
    """``image.last_plan`` is as recorded; else it is what is decided for the cycle before."""


@define
class Recording:
    """Everything but the full cycles, which are read one by one (``full_cycles``)."""

    path: Path
    rules: Rules = field(factory=Rules)
    sites: list[tuple[float, Site]] = field(factory=list)
    """From this instant on."""
    times: list[tuple[float, datetime]] = field(factory=list)
    tracks: list[Track] = field(factory=list)
    outside: list[tuple[float, Outside]] = field(factory=list)
    wishes: list[tuple[float, Mapping[str, Wish | None]]] = field(factory=list)
    overrides: list[tuple[float, Mapping[str, float]]] = field(factory=list)
    full: int = 0
    """How many cycles are recorded in full."""
    until_s: float = 0.0
    """The last instant of it."""
    trouble: str | None = None
    size: int = 0

    @property
    def lasts_s(self) -> float:
        """From the first instant to the last."""
        return self.until_s - self.tracks[0].now_s


def read_recording(path: Path) -> Recording:
    """Raises: ConfigError in one sentence where it is no recording, of a newer version or damaged."""
    reader = Reader(path)
    found = Recording(path, size=reader.size)
    last_now = None
    try:
        for record in reader:
            kind = record[0]
            if kind == "site":
                site = unpack(record[2])
                found.rules = unpack(record[3])
                if not isinstance(site, Site) or not isinstance(found.rules, Rules):
                    raise ValueError("a site is missing")
                if not found.sites or found.sites[-1][1] != site:
                    found.sites.append((record[1], site))
            elif kind == "time":
                at = datetime.fromisoformat(record[2])
                found.times.append((record[1], at.astimezone(zone(record[3])) if record[3] else at))
            elif kind == "track":
                if last_now is not None and record[1] < last_now - 1.0:
                    raise ConfigError(
                        str(path), "holds a restart of the computer; its clock began anew. Replay the parts one by one"
                    )
                last_now = record[1]
                found.until_s = max(found.until_s, last_now)
                found.tracks.append(Track(record[1], record[2], record[3], record[4]))
            elif kind == "full":
                found.full += 1
                found.until_s = max(found.until_s, record[1])
                beside = record[6]
                if "outside" in beside:
                    found.outside.append((record[1], unpack(beside["outside"])))
                if beside.get("wishes"):
                    found.wishes.append((record[1], {k: unpack(v) for k, v in beside["wishes"].items()}))
                if "overrides" in beside:
                    found.overrides.append((record[1], beside["overrides"]))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ConfigError(str(path), f"holds what no recorder of ours wrote ({error})") from error
    found.trouble = reader.trouble
    if not found.sites or not found.times or not found.tracks:
        raise ConfigError(str(path), "holds nothing yet; record for a minute at least")
    return found


def full_cycles(path: Path) -> Iterator[Decided]:
    """The cycles that were recorded in full, with exactly the images of that time.

    ``last_plan`` is that of the recording where a stretch begins, and has to be filled in after that.
    """
    state = _State()
    try:
        for record in Reader(path):
            if record[0] == "site":
                state.site = unpack(record[2])
            elif record[0] == "key":
                state.begin(record[1])
            elif record[0] == "full" and state.site is not None:
                yield state.cycle(record)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ConfigError(str(path), f"holds what no recorder of ours wrote ({error})") from error


class _State:
    """What the images of a stretch have in common."""

    def __init__(self) -> None:
        self.site: Site | None = None
        self._begins = False
        self._last: Plan | None = None
        self._readings: dict[str, deque[Reading]] = {}
        self._obedience: dict[str, Obedience] = {}
        self._wishes: dict[str, Wish] = {}
        self._overrides: dict[str, float] = {}
        self._outside: Outside = NOTHING_KNOWN
        self._zone: str | None = None

    def begin(self, before: list[Any] | None) -> None:
        assert self.site is not None  # noqa: S101 - a site stands before every key
        self._begins, self._last = True, None
        self._readings, self._obedience, self._wishes = {}, {}, {}
        if before is not None:
            number, decided_s, setpoints, locked, memory = before
            fields = {key: unpack(each) for key, each in memory.items() if key not in ("!", "wiring")}
            self._last = Plan(
                number,
                decided_s,
                {name: unpack(each) for name, each in setpoints.items()},
                {},
                Memory(wire(self.site), **fields),
                locked,
            )

    def cycle(self, record: list[Any]) -> Decided:
        _, now, number, at, readings, obedience, beside, decided, locked = record
        assert self.site is not None  # noqa: S101
        for name in beside.get("gone", ()):
            self._readings.pop(name, None)
        for name, rows in readings.items():
            kept = self._readings.setdefault(name, deque(maxlen=MOST_KEPT))
            kept.extend(_reading(name, row) for row in rows)
        for kept in self._readings.values():
            while kept and kept[0].taken_s < now - KEPT_S:
                kept.popleft()
        for name, row in obedience.items():
            self._obedience[name] = Obedience(*row)
        for name, wish in beside.get("wishes", {}).items():
            if wish is None:
                self._wishes.pop(name, None)
            else:
                self._wishes[name] = unpack(wish)
        if "overrides" in beside:
            self._overrides = beside["overrides"]
        if "outside" in beside:
            self._outside = unpack(beside["outside"])
        self._zone = beside.get("zone", self._zone)
        begins, self._begins = self._begins, False
        now_at = None if at is None else datetime.fromisoformat(at)
        if now_at is not None and self._zone:
            now_at = now_at.astimezone(zone(self._zone))
        image = SiteImage(
            now,
            number,
            self.site,
            {name: tuple(kept) for name, kept in self._readings.items() if kept},
            {name: each for name, each in self._obedience.items() if name in self.site.charge_points},
            self._last if begins else None,
            dict(self._overrides),
            dict(self._wishes),
            self._outside,
            now_at,
        )
        return Decided(image, {name: (a, p, code) for name, (a, p, code) in decided.items()}, locked, begins)


def _reading(name: str, row: list[Any]) -> Reading:
    full = [*row, *[None] * (14 - len(row))]
    taken, one, two, three, status, power, energy, session, setpoint, export, *volts, soc = full
    return Reading(
        name,
        taken,
        (_number(one), _number(two), _number(three)),
        (volts[0], volts[1], volts[2]),
        _number(power),
        _number(energy),
        export,
        _number(session),
        None if status is None else Status(status),
        setpoint,
        values={} if soc is None else {SOC_NAMES[0]: soc},
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, str) else value
