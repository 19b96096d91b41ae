"""The configuration in the database: read as a whole, changed as a whole, and told to whoever runs by it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from attrs import evolve, frozen
from cattrs.errors import BaseValidationError
from twisted.internet.defer import Deferred, DeferredLock

from charging_manager.agent.config import (
    CloudSettings,
    Configuration,
    DeviceSettings,
    Kind,
    Override,
    Place,
    UserSettings,
    check_configuration,
    first_configuration,
)
from charging_manager.agent.documents import documents, read_documents
from charging_manager.agent.places import with_places
from charging_manager.errors import ConfigError
from charging_manager.model.site import Breaker, BreakerCurve, Circuit, MeterRole, Mode, StorageRole

T = TypeVar("T")


class Storage(Protocol):
    """What we need of storage.Database."""

    def write(self, function: Callable[[sqlite3.Connection], T]) -> Deferred[T]: ...

    def read(self, function: Callable[[sqlite3.Connection], T]) -> Deferred[T]: ...


@frozen
class Change:
    """What a listener gets: the configuration before and after."""

    before: Configuration
    after: Configuration


class ConfigStore:
    """The one place where the configuration changes. A failed change leaves everything as it was."""

    def __init__(self, storage: Storage, current: Configuration) -> None:
        self._storage = storage
        self._current = current
        self._one_at_a_time = DeferredLock()
        self._listeners: list[Callable[[Change], None]] = []

    @classmethod
    async def load(cls, storage: Storage) -> ConfigStore:
        """The stored configuration, or a first one. Raises: ConfigError if the stored one makes no sense."""
        found = await storage.read(read_configuration)
        if found is None:
            first = check_configuration(first_configuration())
            await storage.write(lambda connection: write_configuration(connection, first))
            found = first
        return cls(storage, with_places(check_configuration(found)))

    @property
    def current(self) -> Configuration:
        return self._current

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call this after each change is durable."""
        self._listeners.append(listener)

    async def change(self, function: Callable[[Configuration], Configuration]) -> Configuration:
        """Apply a pure function to the configuration. Raises: ConfigError, or what the function raises; nothing
        happened then."""
        await self._one_at_a_time.acquire()
        try:
            before = self._current
            after = with_places(check_configuration(function(before)))
            if after == before:
                return after
            await self._storage.write(lambda connection: write_configuration(connection, after))
            self._current = after
        finally:
            self._one_at_a_time.release()
        for listener in self._listeners:
            listener(Change(before, after))
        return after


def read_configuration(connection: sqlite3.Connection) -> Configuration | None:
    """None: a fresh database. Raises: ConfigError when a row holds what no version of ours writes."""
    rows = connection.execute
    site = rows("SELECT name, language, unbalance_a FROM site").fetchone()
    if site is None:
        return None
    brought_up = _has_table(rows, "document")
    circuits, devices, users, places = (
        sql if brought_up else _before(sql) for sql in (_CIRCUITS, _DEVICES, _USERS, _PLACES)
    )
    boxes: dict[str, list[str]] = {}
    for user, charge_point in rows("SELECT user, charge_point FROM user_charge_point ORDER BY user, charge_point"):
        boxes.setdefault(user, []).append(charge_point)
    try:
        return Configuration(
            name=site[0],
            language=site[1],
            unbalance_a=site[2],
            circuits={row[0]: _circuit(row) for row in rows(circuits)},
            devices={row[0]: _device(row) for row in rows(devices)},
            users={
                row[0]: UserSettings(row[0], row[1], bool(row[2]), tuple(boxes.get(row[0], ())), *row[3:])
                for row in rows(users)
            },
            cloud=next(
                (
                    CloudSettings(bool(row[0]), row[1], row[2], row[3])
                    for row in rows("SELECT enabled, server, cloud_id, password FROM cloud")
                ),
                CloudSettings(),
            ),
            overrides={
                row[0]: Override(Mode(row[1]) if row[1] is not None else None, row[2])
                for row in rows("SELECT charge_point, mode, current_a FROM override")
            },
            places={row[0]: Place(row[1], _phases(row[2]), *row[3:]) for row in rows(places)}
            if _has_table(rows, "place")
            else {},
            **(read_documents(rows) if brought_up else {}),
        )
    except (ValueError, BaseValidationError) as error:
        raise ConfigError("database", f"holds a configuration that cannot be read ({error})") from error


_CIRCUITS = """SELECT id, name, parent, limit_l1_a, limit_l2_a, limit_l3_a, reserve_a, fallback_a, meter
, charging_l1_a, charging_l2_a, charging_l3_a, limit_w, charging_limit_w, breaker_curve, breaker_rated_a
 FROM circuit ORDER BY position"""
_DEVICES = """SELECT id, name, kind, driver, address, circuit, role, phases, out_of_service, priority, mode,
 min_a, max_a, step_a, settings
, max_w, storage
 FROM device ORDER BY position"""
_USERS = """SELECT id, name, remote, language, id_hash
, priority
 FROM user ORDER BY position"""
_PLACES = """SELECT address, circuit, phases, max_a
, max_w
 FROM place ORDER BY address"""


def _before(sql: str) -> str:
    """The same of a database that was not brought up to 0003: the line of newer columns left out."""
    return "\n".join(line for line in sql.split("\n") if not line.startswith(","))


def _circuit(row: Sequence[Any]) -> Circuit:
    id_, name, parent, l1, l2, l3, reserve_a, fallback_a, meter, *newer = row
    known = Circuit(id_, name, parent, (l1, l2, l3), reserve_a, fallback_a, meter)
    if not newer:
        return known
    c1, c2, c3, limit_w, charging_limit_w, curve, rated_a = newer
    return evolve(
        known,
        charging_limit_a=None if c1 is None or c2 is None or c3 is None else (c1, c2, c3),
        limit_w=limit_w,
        charging_limit_w=charging_limit_w,
        breaker=None if curve is None or rated_a is None else Breaker(BreakerCurve(curve), rated_a),
    )


def _device(row: Sequence[Any]) -> DeviceSettings:
    id_, name, kind, driver, address, circuit, role, phases, out, priority, mode, min_a, max_a, step_a, *rest = row
    settings, *newer = rest
    max_w, storage = newer or (None, StorageRole.HOUSE.value)
    return DeviceSettings(
        id_,
        name,
        Kind(kind),
        driver,
        address,
        circuit,
        MeterRole(role) if role is not None else None,
        _phases(phases),
        bool(out),
        priority,
        Mode(mode),
        min_a,
        max_a,
        step_a,
        tuple(str(settings).split(",")) if settings else (),
        max_w,
        StorageRole(storage),
    )


def _phases(text: str) -> tuple[int, ...]:
    return tuple(int(phase) for phase in str(text).split(","))


def _has_table(rows: Callable[..., sqlite3.Cursor], name: str) -> bool:
    """``charging_manager check`` also reads a database that was not brought up yet."""
    return rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)).fetchone() is not None


def write_configuration(connection: sqlite3.Connection, config: Configuration) -> None:
    """Put the whole configuration in place of the old one; the caller's transaction makes it all or nothing."""
    for table in ("site", "circuit", "device", "user", "user_charge_point", "cloud", "override", "place", "document"):
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 (the names stand above)
    many = connection.executemany
    connection.execute("INSERT INTO site VALUES (1, ?, ?, ?)", (config.name, config.language, config.unbalance_a))
    many(
        "INSERT INTO circuit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(one.id, position, one.name, one.parent, *one.limit_a, one.reserve_a, one.fallback_a, one.meter),
                *(one.charging_limit_a or (None, None, None)),
                *(one.limit_w, one.charging_limit_w),
                *((one.breaker.curve.value, one.breaker.rated_a) if one.breaker else (None, None)),
            )
            for position, one in enumerate(config.circuits.values())
        ],
    )
    many(
        "INSERT INTO device VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(one.id, position, one.name, one.kind.value, one.driver, one.address, one.circuit),
                one.role.value if one.role is not None else None,
                ",".join(map(str, one.phases)),
                *(one.out_of_service, one.priority, one.mode.value, one.min_a, one.max_a, one.step_a),
                *(",".join(one.settings), one.max_w, one.storage.value),
            )
            for position, one in enumerate(config.devices.values())
        ],
    )
    many(
        "INSERT INTO user VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (one.id, position, one.name, one.remote, one.language, one.id_hash, one.priority)
            for position, one in enumerate(config.users.values())
        ],
    )
    many(
        "INSERT INTO user_charge_point VALUES (?, ?)",
        [(one.id, box) for one in config.users.values() for box in one.charge_points],
    )
    cloud = config.cloud
    connection.execute(
        "INSERT INTO cloud VALUES (1, ?, ?, ?, ?)", (cloud.enabled, cloud.server, cloud.cloud_id, cloud.password)
    )
    many(
        "INSERT INTO override VALUES (?, ?, ?)",
        [(key, one.mode.value if one.mode else None, one.current_a) for key, one in config.overrides.items()],
    )
    many(
        "INSERT INTO place VALUES (?, ?, ?, ?, ?)",
        [
            (key, one.circuit, ",".join(map(str, one.phases)), one.max_a, one.max_w)
            for key, one in config.places.items()
        ],
    )
    many("INSERT INTO document VALUES (?, ?)", list(documents(config)))
