"""A provider's JSON to rows, by a mapping, and the addresses to ask. A new provider is a table, not code."""

from __future__ import annotations

import math
import string
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

import orjson
from attrs import frozen

from charging_manager.clocks import moment, zone
from charging_manager.errors import ConfigError
from charging_manager.tariffs.rows import MOST_ROWS, Row, at_row, in_zone
from charging_manager.tariffs.settings import JsonMapping, TimeFormat

OF_DAY = {"date"}
KNOWN = {"date", "next_date", "from", "to", "from_s", "to_s", "from_ms", "to_ms"}


@frozen
class Question:
    """One request. ``day`` is the only day that it is for, if it is for one."""

    url: str
    body: bytes | None
    day: date | None


def fields_of(template: str) -> set[str]:
    """The names in a template. Raises: ConfigError for what is none."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ConfigError("url", "braces come in pairs around a name, like {date}") from error
    names = set()
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if not name.isidentifier() or conversion or (spec and (name not in ("date", "next_date") or "{" in spec)):
            raise ConfigError("url", "a place is a plain name like {date}, or {date:%Y/%m-%d}")
        names.add(name)
    return names


def questions(mapping: JsonMapping, values: Mapping[str, str], now_at: datetime, where: tzinfo) -> list[Question]:
    """What to ask for today and tomorrow: one request, or one a day where the address names a day."""
    today = now_at.astimezone(where).date()
    names = fields_of(mapping.url) | _fields_of_body(mapping)
    if not names & OF_DAY or "next_date" in names:
        return [_filled(mapping, values, today, 2, where, None)]
    days = [today, today + timedelta(days=1)]
    return [_filled(mapping, values, day, 1, where, day) for day in days]


def _fields_of_body(mapping: JsonMapping) -> set[str]:
    return {name for name in KNOWN if f"<{name}>" in mapping.body}


def _filled(
    mapping: JsonMapping, values: Mapping[str, str], day: date, days: int, where: tzinfo, only: date | None
) -> Question:
    start_at, end_at = moment(day, time(0), where), moment(day + timedelta(days=days), time(0), where)
    known: dict[str, Any] = {
        **values,
        "date": day,
        "next_date": day + timedelta(days=days),
        "from": f"{start_at:%Y-%m-%dT%H:%M:%SZ}",
        "to": f"{end_at:%Y-%m-%dT%H:%M:%SZ}",
        "from_s": int(start_at.timestamp()),
        "to_s": int(end_at.timestamp()),
        "from_ms": int(start_at.timestamp()) * 1000,
        "to_ms": int(end_at.timestamp()) * 1000,
    }
    missing = fields_of(mapping.url) - known.keys()
    if missing:
        raise ConfigError("values", "the address needs {names}", names=", ".join(sorted(missing)))
    body = mapping.body
    for name, value in known.items():  # JSON is full of braces
        body = body.replace(f"<{name}>", str(value))
    return Question(mapping.url.format_map(known), body.encode() if body else None, only)


def read_rows(mapping: JsonMapping, data: bytes) -> list[Row]:
    """Rows of an answer. Raises: ConfigError naming the row."""
    try:
        whole = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ConfigError("", "the answer is not JSON") from error
    records = _columns(mapping, whole) if mapping.columns else _records(mapping, whole)
    if len(records) > MOST_ROWS:
        raise ConfigError("", "there are more than {most} rows in it", most=MOST_ROWS)
    numbered = list(enumerate(records, 1))
    if mapping.newest_first:
        numbered.reverse()
    where = zone(mapping.timezone) if mapping.timezone else None
    rows: list[Row] = []
    for number, (start, end, value, co2) in numbered:
        before = rows[-1].start_at if rows else None
        start_at = _time(number, start, mapping, where, before)
        end_at = _time(number, end, mapping, where, start_at) if mapping.end else None
        if mapping.minutes is not None:
            end_at = start_at + timedelta(minutes=mapping.minutes)
        rows.append(
            Row(
                number,
                start_at,
                end_at,
                a_number(number, value),
                None if co2 is None else a_number(number, co2),
            )
        )
    return rows


def point(whole: Any, pointer: str, number: int = 0) -> Any:
    """What a JSON pointer (RFC 6901) means. Raises: ConfigError if there is nothing."""
    at = whole
    for part in pointer.split("/")[1:] if pointer.startswith("/") else ([pointer] if pointer else []):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(at, Mapping) and key in at:
            at = at[key]
        elif isinstance(at, list) and key.isdecimal() and int(key) < len(at):
            at = at[int(key)]
        elif number:
            raise at_row(number, "row {row}: has no {key}", key=repr(pointer))
        else:
            raise ConfigError("", "the answer has no {key}", key=repr(pointer))
    return at


_Record = tuple[Any, Any, Any, Any]


def _records(mapping: JsonMapping, whole: Any) -> list[_Record]:
    found: list[_Record] = []
    for pointer in mapping.rows:
        rows = point(whole, pointer)
        if isinstance(rows, Mapping):  # an object whose keys are the times
            rows = [{"key": key, "value": value} for key, value in rows.items()]
        if not isinstance(rows, list):
            raise ConfigError("", "{key} is no list in the answer", key=repr(pointer))
        for row in rows:
            number = len(found) + 1
            found.append(
                (
                    point(row, mapping.start, number),
                    point(row, mapping.end, number) if mapping.end else None,
                    point(row, mapping.price, number),
                    point(row, mapping.co2, number) if mapping.co2 else None,
                )
            )
    return found


def _columns(mapping: JsonMapping, whole: Any) -> list[_Record]:
    lists = [point(whole, one) if one else None for one in (mapping.start, mapping.end, mapping.price, mapping.co2)]
    length = len(lists[0]) if isinstance(lists[0], list) else -1
    if any(one is not None and (not isinstance(one, list) or len(one) != length) for one in lists):
        raise ConfigError("", "the columns of the answer are not lists of the same length")
    return [
        (starts, ends, values, co2)
        for starts, ends, values, co2 in zip(
            *(one if one is not None else [None] * length for one in lists), strict=True
        )
    ]


def _time(number: int, value: Any, mapping: JsonMapping, where: tzinfo | None, before: datetime | None) -> datetime:
    try:
        if mapping.time_format is TimeFormat.ISO:
            return in_zone(number, datetime.fromisoformat(str(value)), where, before)
        seconds = float(value) / (1000.0 if mapping.time_format is TimeFormat.EPOCH_MS else 1.0)
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, TypeError, OverflowError, OSError) as error:
        raise at_row(number, "row {row}: {value} is no time", value=repr(value)[:40]) from error


def a_number(number: int, value: Any) -> float:
    """A finite number, also one written as text. Raises: ConfigError naming the row."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if math.isfinite(found):
            return found
    raise at_row(number, "row {row}: is no number")
