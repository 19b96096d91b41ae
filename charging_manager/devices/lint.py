"""What is wrong or doubtful in a driver's file: the line, what it is, why it matters on a real box, what to write.

Errors come from the parser and its checks: such a file is no driver. Warnings come from here: the table is a driver,
and on a real box it would do harm, or less than it could. A driver says under ``[accepted]`` which of them are so and
stay so.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from attrs import frozen

from charging_manager.devices.doubts import Warned, doubts
from charging_manager.devices.driver import Doubt, Driver
from charging_manager.devices.loader import Problem, Unreadable, line_of, read_file, read_text
from charging_manager.devices.reasons import UNKNOWN_WORD
from charging_manager.devices.vocabulary import shipped_schema


@frozen
class Finding:
    """``where`` is a key path, empty for the whole file; ``name`` stays the same over versions of the program."""

    level: str
    """error or warning."""
    name: str
    line: int | None
    where: str
    what: str
    why: str
    instead: str

    def lines(self, file: str) -> Iterator[str]:
        """For a terminal."""
        place = f"{file}, line {self.line}" if self.line else file
        yield f"{place}: {self.level}: {self.where + ': ' if self.where else ''}{self.what} [{self.name}]"
        if self.why:
            yield f"    why: {self.why}"
        if self.instead:
            yield f"    write: {self.instead}"


@frozen
class Checked:
    """What the linter found. ``driver`` is None if there is an error; accepted warnings are counted, not shown."""

    driver: Driver | None
    findings: tuple[Finding, ...]
    accepted: int = 0

    @property
    def errors(self) -> int:
        return sum(finding.level == "error" for finding in self.findings)


def check(path: Path) -> Checked:
    """What there is to say of this file."""
    try:
        driver = read_file(path)
    except Unreadable as unreadable:
        return _refused(unreadable)
    return _doubted(driver, _text_of(driver.path or path))


def check_upload(text: str, name: str) -> Checked:
    """The same for a table that is about to become ``name.toml``."""
    try:
        driver = read_text(text, name)
    except Unreadable as unreadable:
        return _refused(unreadable)
    return _doubted(driver, text)


def as_json(file: str, checked: Checked) -> dict[str, Any]:
    """For other programs: ``charging_manager drivers check --json`` and the API."""
    return {
        "file": file,
        "ok": checked.errors == 0,
        "errors": checked.errors,
        "warnings": len(checked.findings) - checked.errors,
        "accepted": checked.accepted,
        "findings": [
            {
                "level": each.level,
                "name": each.name,
                "line": each.line,
                "where": each.where,
                "what": each.what,
                "why": each.why,
                "instead": each.instead,
            }
            for each in checked.findings
        ],
    }


def _refused(unreadable: Unreadable) -> Checked:
    return Checked(None, tuple(sorted(map(_error, unreadable.found), key=lambda finding: finding.line or 0)))


def _error(problem: Problem) -> Finding:
    reason = problem.reason
    instead = reason.instead if reason else ""
    if reason is UNKNOWN_WORD:
        instead = _nearest(problem.where)
    elif not instead and problem.where:
        instead = _meaning(problem.where)
    name, why = (reason.name, reason.why) if reason else ("wrong", "")
    return Finding("error", name, problem.line, problem.where, problem.sentence, why, instead)


def _doubted(driver: Driver, text: str) -> Checked:
    accepted = {each.doubt for each in driver.accepted}
    found = list(_warnings(driver, text))
    shown = [finding for finding in found if finding.name not in accepted]
    vain = (_in_vain(doubt, text) for doubt in accepted - {finding.name for finding in found})
    findings = tuple(sorted([*shown, *vain], key=lambda finding: finding.line or 0))
    return Checked(driver, findings, len(found) - len(shown))


def _in_vain(doubt: Doubt, text: str) -> Finding:
    where = f"accepted.{doubt}"
    return Finding(
        "warning",
        "accepted-in-vain",
        line_of(text, where),
        where,
        "this is not so here, and there is nothing to accept",
        "The driver's page names a shortcoming that the device does not have; if it came later, nobody would see it.",
        "nothing: take this line out",
    )


def _warnings(driver: Driver, text: str) -> Iterator[Finding]:
    for each in doubts(driver):
        yield _warning(each, text)


def _warning(each: Warned, text: str) -> Finding:
    line = line_of(text, each.where) if each.where else None
    return Finding("warning", each.doubt.value, line, each.where, each.what, each.why, each.instead)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


@cache
def _schema() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(shipped_schema())
    return found


def _meaning(where: str) -> str:
    """What the word at this key path means, as the reference says it; empty if there is no such word."""
    for node in _nodes([_schema()], where.split(".")):
        if "description" in node:
            return f"{where.rpartition('.')[2]}: {node['description']}"
    return ""


def _nearest(where: str) -> str:
    """The word that was probably meant, with its meaning; or all that can stand here."""
    parent, _, word = where.rpartition(".")
    here = _choices(_nodes([_schema()], parent.split(".") if parent else []))
    words = {name: node for each in here for name, node in each.get("properties", {}).items()}
    near = difflib.get_close_matches(word, sorted(words), n=1)
    if near:
        return f"{near[0]}: {words[near[0]].get('description', '')}"
    return f"one of {', '.join(sorted(words))}" if words else ""


def _nodes(nodes: list[Mapping[str, Any]], path: list[str]) -> list[Mapping[str, Any]]:
    for step in path:
        key = step.partition("[")[0]
        inner: list[Mapping[str, Any]] = []
        for node in _choices(nodes):
            properties = node.get("properties", {})
            found = properties.get(key, node.get("additionalProperties"))
            if isinstance(found, Mapping):
                inner.append(found)
        nodes = inner
    return nodes


def _choices(nodes: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for node in nodes:
        yield node
        inner = list(node.get("anyOf", ()))
        if isinstance(node.get("items"), Mapping):
            inner.append(node["items"])
        yield from _choices(inner)
