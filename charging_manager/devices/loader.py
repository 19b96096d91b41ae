"""Files become drivers: one file each, later folders win, and a file that is not a driver is named and hides nobody.

``NAME.toml`` is data. ``NAME.py`` is a plugin: it runs, so it is taken only from folders that nobody but root or the
user who started us can write. Nothing is written beside them, no cache, no byte code.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from attrs import define, field, frozen
from twisted.logger import Logger

from charging_manager.devices.driver import Driver
from charging_manager.devices.parse import NotADriver, parse_driver
from charging_manager.devices.reasons import FILE, HOOK, SYNTAX, Reason, misspelt

LARGEST_FILE = 256 * 1024
_TOO_LARGE = f"is larger than {LARGEST_FILE // 1024} KiB, which no driver is"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@frozen
class Broken:
    """A file that is not a driver, with the reason for the person who put it there."""

    path: Path
    reason: str
    problems: tuple[str, ...] = ()
    """All of them; ``reason`` is the first."""


@frozen
class Loaded:
    """Every driver found, by name, and for every file that is not one, the reason in words."""

    drivers: Mapping[str, Driver] = field(factory=dict)
    broken: tuple[Broken, ...] = ()
    changed_code: tuple[Path, ...] = ()
    """Plugins whose file changed since they were loaded: a restart is needed."""


_WRONG_NAME = "a driver's file name is small letters, digits and hyphens"


@frozen
class Problem:
    """One thing that is wrong with a file."""

    file: str
    sentence: str
    where: str = ""
    """The key path, empty for the whole file."""
    line: int | None = None
    reason: Reason | None = None

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{place}: {self.where}: {self.sentence}" if self.where else f"{place}: {self.sentence}"


class Unreadable(Exception):
    """The file cannot become a driver."""

    def __init__(self, found: Sequence[Problem]) -> None:
        super().__init__(str(found[0]))
        self.found = tuple(found)

    @property
    def problems(self) -> tuple[str, ...]:
        """Every problem as one sentence that begins with where it is."""
        return tuple(map(str, self.found))


def load_drivers(folders: Sequence[Path], uploads: Path | None = None) -> Loaded:
    """Everything in these folders; a later folder's driver replaces an earlier one's of the same name.

    ``uploads`` comes last and holds tables only: code in it is refused.
    """
    return DriverShelf(folders, uploads).scan()


def check_file(path: Path) -> list[str]:
    """What is wrong with this file, one sentence each with line or key path; empty for a good driver."""
    try:
        read_file(path)
    except Unreadable as unreadable:
        return list(unreadable.problems)
    return []


def check_text(text: str, name: str) -> list[str]:
    """The same for a table that is about to be uploaded as ``name.toml``."""
    try:
        read_text(text, name)
    except Unreadable as unreadable:
        return list(unreadable.problems)
    return []


def read_file(path: Path) -> Driver:
    """The driver in this file. Raises: Unreadable."""
    return _read(path, code=True)


def read_text(text: str, name: str) -> Driver:
    """The driver that this table would be as ``name.toml``. Raises: Unreadable."""
    _check_name(name)
    if len(text.encode()) > LARGEST_FILE:
        raise Unreadable([Problem(f"{name}.toml", _TOO_LARGE, reason=FILE)])
    return _from_toml(text, name, Path(f"{name}.toml"))


def load_file(path: Path) -> Driver:
    """The driver in this file. Raises: NotADriver."""
    try:
        return read_file(path)
    except Unreadable as unreadable:
        raise NotADriver([("", problem) for problem in unreadable.problems]) from unreadable


@define
class _Seen:
    stamp: tuple[int, int, int]
    result: Driver | Broken


class DriverShelf:
    """The driver folders over time. The owner calls ``scan`` every 5 s and on SIGHUP; unchanged files cost a stat."""

    log = Logger()

    def __init__(self, folders: Sequence[Path], uploads: Path | None = None) -> None:
        self._folders = tuple(folders)
        self._uploads = uploads
        self._seen: dict[Path, _Seen] = {}
        self._told: set[tuple[Path, str]] = set()
        self.loaded = Loaded()

    @property
    def uploads(self) -> Path:
        """The folder of what was uploaded. Raises: LookupError if this shelf has none."""
        if self._uploads is None:
            raise LookupError("no folder for uploads")
        return self._uploads

    def under_uploads(self, name: str) -> Driver | None:
        """The driver of that name in the other folders, which takes over when the uploaded one goes."""
        found = None
        for path in (path for folder in self._folders for path in _candidates(folder)):
            seen = self._seen.get(path)
            if path.stem == name and seen is not None and isinstance(seen.result, Driver):
                found = seen.result
        return found

    def scan(self) -> Loaded:
        """What is there now. A new or changed table appears at once, changed code is named until a restart."""
        drivers: dict[str, Driver] = {}
        broken: list[Broken] = []
        changed: list[Path] = []
        folders = [(folder, True) for folder in self._folders]
        if self._uploads is not None:
            folders.append((self._uploads, False))
        for folder, code in folders:
            for path in _candidates(folder):
                result = self._look_at(path, code, changed)
                if isinstance(result, Broken):
                    broken.append(result)
                else:
                    drivers[result.name] = result
        for each in broken:
            if (each.path, each.reason) not in self._told:
                self.log.warn("driver file {path} is left out: {reason}", path=str(each.path), reason=each.reason)
        self._told = {(each.path, each.reason) for each in broken}
        self.loaded = Loaded(MappingProxyType(drivers), tuple(broken), tuple(changed))
        return self.loaded

    def _look_at(self, path: Path, code: bool, changed: list[Path]) -> Driver | Broken:
        try:
            stamp = _stamp(path)
        except OSError as error:
            return Broken(path, f"cannot be read ({error.strerror})")
        seen = self._seen.get(path)
        if seen is not None and path.suffix == ".py" and isinstance(seen.result, Driver):
            if seen.stamp != stamp:
                changed.append(path)
            return seen.result
        if seen is None or seen.stamp != stamp:
            try:
                result: Driver | Broken = _read(path, code=code)
            except Unreadable as unreadable:
                result = Broken(path, unreadable.problems[0], unreadable.problems)
            seen = self._seen[path] = _Seen(stamp, result)
        return seen.result


def _candidates(folder: Path) -> list[Path]:
    """Files that want to be drivers; the table beside a plugin belongs to the plugin."""
    try:
        names = sorted(
            path for path in folder.iterdir() if path.suffix in (".toml", ".py") and path.name[0] not in "._"
        )
    except OSError:
        return []
    plugins = {path.stem for path in names if path.suffix == ".py"}
    return [path for path in names if path.suffix == ".py" or path.stem not in plugins]


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    beside = path.with_suffix(".toml")
    table = beside.stat().st_mtime_ns if path.suffix == ".py" and beside.exists() else 0
    return (found.st_mtime_ns, found.st_size, table)


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise Unreadable([Problem(name, _WRONG_NAME, reason=FILE)])


def _read(path: Path, *, code: bool) -> Driver:
    """Raises: Unreadable."""
    if not NAME.fullmatch(path.stem):
        raise Unreadable(_badly_named(path))
    text = _text(path)
    if path.suffix == ".toml":
        return _from_toml(text, path.stem, path)
    if path.suffix != ".py":
        raise Unreadable([Problem(path.name, "a driver is a .toml table or a .py plugin", reason=FILE)])
    if not code:
        raise Unreadable(
            [Problem(path.name, "code is not taken from this folder; put plugins into a --drivers folder", reason=HOOK)]
        )
    _check_nobody_else_writes(path)
    return _from_plugin(text, path)


def _text(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unreadable([Problem(path.name, "is not a plain file", reason=FILE)])
        if path.stat().st_size > LARGEST_FILE:
            raise Unreadable([Problem(path.name, _TOO_LARGE, reason=FILE)])
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Unreadable([Problem(path.name, f"cannot be read ({error.strerror})", reason=FILE)]) from error
    except UnicodeDecodeError as error:
        raise Unreadable([Problem(path.name, "is not UTF-8 text; save it as UTF-8", reason=FILE)]) from error


def _badly_named(path: Path) -> list[Problem]:
    """What is wrong with the table in a file of that name: all of it, and its name first."""
    found = [Problem(path.stem, _WRONG_NAME, reason=FILE)]
    if path.suffix == ".toml":
        try:
            _from_toml(_text(path), path.stem, path)
        except Unreadable as unreadable:
            found += unreadable.found
    return found


def _from_toml(text: str, name: str, path: Path) -> Driver:
    data = _table(text, path)
    return _parsed(data, name, path, text, None)


def _table(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Unreadable([_misspelt(path, text, str(error))]) from error
    except RecursionError as error:
        raise Unreadable([Problem(path.name, "is nested too deeply", reason=SYNTAX)]) from error


def _misspelt(path: Path, text: str, message: str) -> Problem:
    """The message of the TOML reader ends with the place: "(at line 2, column 9)" or "(at end of document)"."""
    sentence, _, place = message.rpartition(" (at ")
    line, column = (re.findall(r"\d+", place) + [None, None])[:2]
    where = f"this is not TOML, at column {column}" if column else "this is not TOML, at its end"
    reason = misspelt(text.split("\n")[int(line) - 1]) if line else SYNTAX
    return Problem(path.name, f"{where}: {sentence or message}", "", int(line or text.count("\n") + 1), reason)


def _parsed(data: Mapping[str, Any], name: str, path: Path, text: str, hooks: Mapping[str, type] | None) -> Driver:
    try:
        return parse_driver(data, name, path=path, hooks=hooks)
    except NotADriver as error:
        found = [
            Problem(path.name, sentence, where, line_of(text, where), error.reasons.get((where, sentence)))
            for where, sentence in error.problems
        ]
        raise Unreadable(found) from error


def line_of(text: str, where: str) -> int | None:
    """The line of a key path in a TOML text, as well as a search can tell; None if it is not there."""
    lines = text.splitlines()
    start, found = 0, None
    for part in where.split("."):
        key, _, number = part.partition("[")
        line = _line_of_key(lines, start, key, int(number[:-1]) if number else 0)
        if line is None:
            break
        start, found = line, line + 1
    return found


def _line_of_key(lines: list[str], start: int, key: str, number: int) -> int | None:
    """From ``start``: the ``number``-th header of a list of tables, or ``key =`` in this section, or a header."""
    name = rf"[\"']?{re.escape(key)}[\"']?"
    header = re.compile(rf"\s*\[{{1,2}}\s*(?:[^\]]*\.\s*)?{name}\s*\]")
    headers = [at for at in range(start, len(lines)) if header.match(lines[at])]
    if number and len(headers) >= number:
        return headers[number - 1]
    assignment = re.compile(rf"(?:^|[{{,])\s*{name}\s*=")
    for at in range(start, len(lines)):
        if at > start and lines[at].lstrip().startswith("["):
            break
        if not lines[at].lstrip().startswith("#") and assignment.search(lines[at]):
            return at
    return headers[0] if headers else None


def _check_nobody_else_writes(path: Path) -> None:
    """Raises: Unreadable if somebody but root and us could have put this code there."""
    ours = {0, os.geteuid()}
    for place in (path, path.parent):
        found = place.stat()
        if found.st_uid not in ours:
            reason = f"code is not loaded: {place} belongs to another user; chown it to root"
            raise Unreadable([Problem(path.name, reason, reason=HOOK)])
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            reason = f"code is not loaded: others can write {place}; run chmod go-w on it"
            raise Unreadable([Problem(path.name, reason, reason=HOOK)])


def _from_plugin(text: str, path: Path) -> Driver:
    module = ModuleType(f"charging_manager_driver_{path.stem.replace('-', '_')}")
    module.__file__ = str(path)
    try:
        exec(compile(text, str(path), "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - a plugin is code
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: a bad plugin hides nobody
        last = traceback.extract_tb(error.__traceback__)[-1]
        line = error.lineno if isinstance(error, SyntaxError) else last.lineno
        raise Unreadable([Problem(path.name, f"{type(error).__name__}: {error}", line=line)]) from error
    hooks = {name: each for name, each in vars(module).items() if isinstance(each, type)}
    table = vars(module).get("TABLE")
    if isinstance(table, Mapping):
        return _parsed(table, path.stem, path, text, hooks)
    beside = path.with_suffix(".toml")
    if not beside.is_file():
        sentence = f"a plugin needs TABLE = {{...}} in it, or {beside.name} beside it"
        raise Unreadable([Problem(path.name, sentence, reason=HOOK)])
    table_text = _text(beside)
    return _parsed(_table(table_text, beside), path.stem, beside, table_text, hooks)
