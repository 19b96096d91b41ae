"""Frozen values of the model and of control's memory as JSON, and back, to the last bit.

A value of ours is ``{"!": "Past", field: value}`` with only those fields that differ from their defaults; so a reader
that has one more field reads it as it is by default. What is compiled from the site (wiring, the book of rules) is
left out: the reader compiles it anew. Only classes of ``model`` and ``control`` are ever made of a file.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from enum import Enum
from functools import cache
from typing import Any

import attrs

import charging_manager.control
import charging_manager.model
from charging_manager.clocks import zone
from charging_manager.errors import ConfigError

COMPILED = ("Wiring", "Book")
DEEPEST = 40


@cache
def classes() -> Mapping[str, type]:
    """Every attrs class and enumeration that a recording may hold, by name."""
    found: dict[str, type] = {}
    for package in (charging_manager.model, charging_manager.control):
        for module in pkgutil.iter_modules(package.__path__):
            for name, value in vars(importlib.import_module(f"{package.__name__}.{module.name}")).items():
                if isinstance(value, type) and value.__module__.startswith(package.__name__):
                    known = found.setdefault(name, value)
                    assert known is value, name  # noqa: S101 - two classes of one name could not be told apart
    return found


_FIELDS: dict[str, tuple[tuple[str, bool, Any], ...]] = {}


def _fields(kind: Any) -> tuple[tuple[str, bool, Any], ...]:
    """Name, whether there is a default, and it."""
    known = _FIELDS.get(kind.__name__)
    if known is not None:
        return known
    found = []
    for field in attrs.fields(kind):
        if field.name.startswith("_"):
            continue  # what a value has worked out before is no part of it
        default = field.default
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            default = default.factory() if not default.takes_self else attrs.NOTHING
        if field.converter is not None and default is not attrs.NOTHING:
            default = field.converter(default)
        found.append((field.name, default is not attrs.NOTHING, default))
    _FIELDS[kind.__name__] = tuple(found)
    return _FIELDS[kind.__name__]


def pack(value: Any) -> Any:
    """What JSON can say."""
    if value is None or value is True or value is False or type(value) is str or type(value) is int:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"!": "float", "is": str(value)}
    if type(value) is tuple or type(value) is list:
        return [pack(each) for each in value]
    if isinstance(value, Enum):
        return {"!": type(value).__name__, "is": value.value}
    if isinstance(value, Mapping):
        if all(type(key) is str and key != "!" for key in value):
            return {key: pack(each) for key, each in value.items()}
        return {"!": "map", "is": [[pack(key), pack(each)] for key, each in value.items()]}
    if isinstance(value, frozenset | set):
        return {"!": "set", "is": sorted((pack(each) for each in value), key=repr)}
    if isinstance(value, datetime):
        place = getattr(value.tzinfo, "key", None)
        return {"!": "datetime", "is": value.astimezone(UTC).isoformat(), "zone": place}
    if isinstance(value, date | time):
        return {"!": type(value).__name__, "is": value.isoformat()}
    name = type(value).__name__
    if name in COMPILED:
        return None
    if name in ("ZoneInfo", "timezone"):
        return {"!": "zone", "is": getattr(value, "key", None)}
    packed: dict[str, Any] = {"!": name}
    for key, has_default, default in _fields(type(value)):
        each = getattr(value, key)
        if not has_default or (each is not default and each != default):
            packed[key] = pack(each)
    return packed


def unpack(packed: Any, depth: int = 0) -> Any:
    """The value again; lists become tuples. Raises: ValueError for what no ``pack`` made."""
    if depth > DEEPEST:
        raise ValueError("too deep")
    if isinstance(packed, list):
        return tuple(unpack(each, depth + 1) for each in packed)
    if not isinstance(packed, dict):
        return packed
    name = packed.get("!")
    if name is None:
        return {key: unpack(each, depth + 1) for key, each in packed.items()}
    plain = PLAIN.get(name)
    if plain is not None:
        return plain(packed, depth)
    kind = classes().get(name)
    if kind is None:
        raise ValueError(f"{name!r} is not known")
    if issubclass(kind, Enum):
        return kind(packed["is"])
    known = {key for key, _, _ in _fields(kind)}
    try:
        return kind(**{key: unpack(each, depth + 1) for key, each in packed.items() if key in known})
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{name}: {error}") from error


def _datetime(packed: Any, depth: int) -> datetime:
    at = datetime.fromisoformat(packed["is"])
    return at.astimezone(zone(packed["zone"])) if packed.get("zone") else at


def _zone(packed: Any, depth: int) -> Any:
    try:
        return zone(packed["is"]) if packed["is"] else UTC
    except ConfigError as error:
        raise ValueError(str(error)) from error


PLAIN: Mapping[str, Callable[[Any, int], Any]] = {
    "float": lambda packed, depth: float(packed["is"]),
    "map": lambda packed, depth: {unpack(key, depth + 1): unpack(each, depth + 1) for key, each in packed["is"]},
    "set": lambda packed, depth: frozenset(unpack(each, depth + 1) for each in packed["is"]),
    "datetime": _datetime,
    "date": lambda packed, depth: date.fromisoformat(packed["is"]),
    "time": lambda packed, depth: time.fromisoformat(packed["is"]),
    "zone": _zone,
}
