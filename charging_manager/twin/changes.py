"""``--set main.limit_a=63``: a site with one of its fields changed, by key path."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_type_hints

import attrs
from attrs import evolve

from charging_manager.errors import ConfigError
from charging_manager.model import site as things
from charging_manager.model.site import Mode, Site, StorageRole, check_site
from charging_manager.model.units import PhaseAmps

FIXED = {"id", "charge_points", "circuits", "meters", "rules", "serial", "breaker", "solar", "role", "phases", "meter"}
"""What a change cannot say in one value, or what would be another site."""


class NoSuchPlace(ConfigError):
    """A site has no circuit, charge point or meter of that name."""


def change_each(sites: Iterable[Site], wishes: Sequence[str]) -> Callable[[Site], Site]:
    """What makes these changes in each site that has their place: a circuit may be there for a part of the day.

    Raises: ConfigError where one of them is in no site, or makes no sense in one.
    """
    each = list(sites)
    known = dict.fromkeys(wishes, 0)

    def changed(site: Site) -> Site:
        for wish in wishes:
            try:
                site = _wished(site, wish)
                known[wish] += 1
            except NoSuchPlace:
                continue
        return check_site(site)

    for site in each:
        changed(site)
    for wish, places in known.items():
        if not places:
            _wished(each[-1], wish)  # says what there is
    return changed


def change(site: Site, wishes: Iterable[str]) -> Site:
    """The site with all of these. Raises: ConfigError with the key path and the remedy."""
    for wish in wishes:
        site = _wished(site, wish)
    return check_site(site)


def _wished(site: Site, wish: str) -> Site:
    path, equals, said = wish.partition("=")
    if not equals or not path.strip():
        raise ConfigError(wish, "a change is written PLACE.FIELD=VALUE, as in main.limit_a=63")
    changed: Site = _one(site, path.strip(), said.strip())
    return changed


def _one(site: Site, path: str, said: str) -> Any:
    place, _, key = path.rpartition(".")
    if place.startswith("solar") or place == "site.solar":
        return evolve(site, solar=_with(site.solar, path, key, said))
    kind, _, name = place.partition(".")
    if not name:
        kind, name = "", place
    if name in ("", "site") and kind in ("", "site"):
        return _with(site, path, key, said)
    rooms: dict[str, dict[str, Any]] = {
        "circuits": dict(site.circuits),
        "charge_points": dict(site.charge_points),
        "meters": dict(site.meters),
    }
    if kind and kind not in rooms:
        raise ConfigError(path, f"there is no {kind!r}; write circuits, charge_points, meters or site")
    for room, known in rooms.items():
        if kind in ("", room) and name in known:
            changed: Any = {room: {**known, name: _with(known[name], path, key, said)}}
            return evolve(site, **changed)
    names = [*site.circuits, *site.charge_points, *site.meters, "site"]
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names[:12])}{' …' if len(names) > 12 else ''}"
    raise NoSuchPlace(path, f"there is nothing called {name!r}; {hint}")


def _with(thing: Any, path: str, key: str, said: str) -> Any:
    fields = {field.name for field in attrs.fields(type(thing))} - FIXED
    if key not in fields:
        near = difflib.get_close_matches(key, fields, 1)
        hint = f"did you mean {near[0]}?" if near else f"possible are {', '.join(sorted(fields))}"
        raise ConfigError(path, f"there is no field {key!r} that can be set; {hint}")
    hints = get_type_hints(type(thing), vars(things) | {"PhaseAmps": PhaseAmps})
    return evolve(thing, **{key: _value(path, hints[key], said)})


def _value(path: str, kind: Any, said: str) -> Any:
    options = getattr(kind, "__args__", ()) if kind != PhaseAmps else ()
    if type(None) in options:
        if said.lower() in ("none", "null", ""):
            return None
        (kind,) = (each for each in options if each is not type(None))
    for choice in (Mode, StorageRole):
        if kind is choice:
            if said not in set(choice):
                raise ConfigError(path, f"is {said!r}; it must be one of {', '.join(each.value for each in choice)}")
            return choice(said)
    if kind is str:
        return said
    try:
        value = tomllib.loads(f"value = {said}")["value"]
    except tomllib.TOMLDecodeError:
        raise ConfigError(
            path, f"is {said!r}, which is no value; write a number, three as [16, 16, 16], true or false"
        ) from None
    if kind == PhaseAmps:
        three = value if isinstance(value, list) else [value] * 3
        if len(three) != 3:
            raise ConfigError(path, "must be one number of amperes, or three: one for each of L1, L2, L3")
        return tuple(_number(path, each) for each in three)
    if kind is bool:
        if not isinstance(value, bool):
            raise ConfigError(path, f"is {said!r}; it must be true or false")
        return value
    number = _number(path, value)
    return int(number) if kind is int else number


def _number(path: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e9:
        raise ConfigError(path, f"is {value!r}; it must be a number")
    return float(value)
