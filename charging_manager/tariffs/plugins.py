"""Providers as tables: ``tariffs/NAME.toml`` in a folder of drivers, found by the same look as drivers.

A later folder's table replaces an earlier one's of the same name; a file that is none is named and hides nobody.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import time
from pathlib import Path
from typing import Any

from attrs import field, frozen
from cattrs import Converter, transform_error
from cattrs.errors import BaseValidationError
from twisted.logger import Logger

from charging_manager.errors import ConfigError
from charging_manager.tariffs.checks import check_mapping
from charging_manager.tariffs.mapping import KNOWN, fields_of
from charging_manager.tariffs.settings import JsonMapping

LARGEST = 64 * 1024
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
KINDS = ("tariff", "sun")


@frozen
class PluginField:
    """Something that a person must say: a bidding zone, a place."""

    title: str
    default: str = ""
    pattern: str = "[A-Za-z0-9._,:+-]{1,64}"


@frozen
class Plugin:
    """A provider. ``request`` is its mapping."""

    name: str
    kind: str
    title: str
    source: str
    request: JsonMapping
    currency: str = "EUR"
    needs_token: bool = False
    fields: Mapping[str, PluginField] = field(factory=dict)
    notes: tuple[str, ...] = ()


@frozen
class BrokenPlugin:
    """A file that is none, and why."""

    path: Path
    reason: str


@frozen
class Plugins:
    """All of them by name, and what is none."""

    known: Mapping[str, Plugin] = field(factory=dict)
    broken: tuple[BrokenPlugin, ...] = ()


def _make_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook_func(lambda kind: kind in (str, bool, float), _exactly)

    converter.register_structure_hook(
        time, lambda value, _: value if isinstance(value, time) else time.fromisoformat(value)
    )
    return converter


def _exactly(value: Any, kind: type) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind):
        raise TypeError(f"must be a {kind.__name__}")
    return value


_CONVERTER = _make_converter()


def parse_plugin(text: str, name: str) -> Plugin:
    """The provider that a table says. Raises: ConfigError with the key path, or the line."""
    if not NAME.fullmatch(name):
        raise ConfigError(name, "a file name is small letters, digits and hyphens")
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(name, "{reason}", reason=str(error)) from error
    if data.get("kind") not in KINDS:
        raise ConfigError("kind", "must be tariff or sun")
    try:
        plugin = _CONVERTER.structure({**data, "name": name}, Plugin)
    except (BaseValidationError, ValueError, TypeError) as error:
        raise ConfigError(name, "{reason}", reason="; ".join(transform_error(error, path=name))[:300]) from error
    check_mapping("request", plugin.request, plugin.fields)
    for key, one in plugin.fields.items():
        if not key.isidentifier() or key in KNOWN:
            raise ConfigError(f"fields.{key}", "a field's name is a word, and none of: {names}", names=", ".join(KNOWN))
        try:
            re.compile(one.pattern)
        except re.error as error:
            raise ConfigError(f"fields.{key}.pattern", "is no pattern") from error
    missing = fields_of(plugin.request.url) - KNOWN - plugin.fields.keys()
    if missing:
        raise ConfigError("request.url", "names fields that are not there: {names}", names=", ".join(sorted(missing)))
    return plugin


def check_values(plugin: Plugin, values: Mapping[str, str], where: str) -> None:
    """What a person said for a plug-in's fields. Raises: ConfigError."""
    for key in values:
        if key not in plugin.fields:
            raise ConfigError(f"{where}.{key}", "{name} has no such field", name=plugin.title)
    for key, one in plugin.fields.items():
        if not re.fullmatch(one.pattern, values.get(key, one.default)):
            raise ConfigError(f"{where}.{key}", "{title}: this cannot be", title=one.title)


def filled(plugin: Plugin, values: Mapping[str, str]) -> dict[str, str]:
    """Every field's value, by default where none was said."""
    return {key: values.get(key, one.default) for key, one in plugin.fields.items()}


class PluginShelf:
    """The folders over time; unchanged files cost a stat."""

    log = Logger()

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [folder / "tariffs" for folder in folders]
        self._seen: dict[Path, tuple[tuple[int, int], Plugin | BrokenPlugin]] = {}
        self._told: set[BrokenPlugin] = set()
        self.plugins = Plugins()

    def scan(self) -> Plugins:
        """What is there now."""
        known: dict[str, Plugin] = {}
        broken: list[BrokenPlugin] = []
        for folder in self._folders:
            for path in _candidates(folder):
                found = self._look_at(path)
                if isinstance(found, Plugin):
                    known[found.name] = found
                else:
                    broken.append(found)
        for one in set(broken) - self._told:
            self.log.warn("tariff file {path} is left out: {reason}", path=str(one.path), reason=one.reason)
        self._told = set(broken)
        self.plugins = Plugins(known, tuple(broken))
        return self.plugins

    def _look_at(self, path: Path) -> Plugin | BrokenPlugin:
        try:
            stat = path.stat()
            stamp = stat.st_mtime_ns, stat.st_size
            known = self._seen.get(path)
            if known is None or known[0] != stamp:
                self._seen[path] = known = stamp, _read(path, stat.st_size)
        except OSError as error:
            return BrokenPlugin(path, f"cannot be read ({error.strerror})")
        return known[1]


def _read(path: Path, size: int) -> Plugin | BrokenPlugin:
    if size > LARGEST or not path.is_file():
        return BrokenPlugin(path, "is no plain file of at most 64 KiB")
    try:
        return parse_plugin(path.read_text("utf-8"), path.stem)
    except UnicodeDecodeError:
        return BrokenPlugin(path, "is not UTF-8 text")
    except ConfigError as error:
        return BrokenPlugin(path, str(error))


def _candidates(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".toml" and path.name[0] not in "._")
    except OSError:
        return []
