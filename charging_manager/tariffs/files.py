"""Files of prices or of the sun: CSV, JSON, or the market document (XML) of the transparency platform ENTSO-E.

CSV: a header with ``start``, ``price`` (or ``power_w``), and where they are known ``end`` and ``co2_g``; comma or
semicolon between. JSON: a list of objects with the same names. XML: ``TimeSeries/Period`` with ``Point``s.
"""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from xml.etree import ElementTree

import orjson

from charging_manager.errors import ConfigError
from charging_manager.tariffs.mapping import a_number
from charging_manager.tariffs.rows import MOST_ROWS, Row, at_row, in_zone

LARGEST = 1024 * 1024
PER_KWH = 0.001
"""Market documents are per MWh, files of our own per kWh."""
VALUES = ("price", "power_w", "value")
_RESOLUTION = re.compile(r"PT(\d+)([MH])")


def read_file(data: bytes, where: tzinfo) -> list[Row]:
    """Rows of a file of any of these kinds. ``where`` is for times without a zone. Raises: ConfigError."""
    if len(data) > LARGEST:
        raise ConfigError("", "the file is larger than 1 MiB")
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise ConfigError("", "the file is not UTF-8 text") from error
    if text.startswith("<"):
        return _xml(text)
    if text.startswith(("[", "{")):
        return _rows(_json(text), where)
    return _rows(_csv(text), where)


def _csv(text: str) -> list[dict[str, Any]]:
    head = text.split("\n", 1)[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in head else ",")
    decimal = ";" in head
    rows = []
    for row in reader:
        rows.append(
            {
                str(key).strip().lower(): (
                    value.strip().replace(",", ".") if decimal and key != "start" else value.strip()
                )
                for key, value in row.items()
                if key is not None and isinstance(value, str) and value.strip()
            }
        )
        if len(rows) > MOST_ROWS:
            break
    return rows


def _json(text: str) -> list[dict[str, Any]]:
    try:
        whole = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ConfigError("", "the file is not JSON") from error
    if isinstance(whole, dict):
        whole = whole.get("rows", whole.get("prices"))
    if not isinstance(whole, list) or not all(isinstance(row, dict) for row in whole):
        raise ConfigError("", "the file holds no list of objects")
    return whole


def _rows(records: list[dict[str, Any]], where: tzinfo) -> list[Row]:
    found: list[Row] = []
    for number, record in enumerate(records, 1):
        name = next((one for one in VALUES if one in record), None)
        if name is None or "start" not in record:
            raise at_row(number, "row {row}: a row needs start and price (or power_w)")
        try:
            before = found[-1].start_at if found else None
            start_at = in_zone(number, datetime.fromisoformat(str(record["start"])), where, before)
            end = record.get("end")
            end_at = in_zone(number, datetime.fromisoformat(str(end)), where, start_at) if end else None
        except ValueError as error:
            raise at_row(number, "row {row}: {value} is no time", value=repr(record.get("start"))[:40]) from error
        co2 = record.get("co2_g")
        found.append(
            Row(
                number,
                start_at,
                end_at,
                a_number(number, record[name]),
                None if co2 in (None, "") else a_number(number, co2),
            )
        )
    return found


def _xml(text: str) -> list[Row]:
    """Points that are left out repeat the one before them (curve type A03 of ENTSO-E)."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ConfigError("", "the file declares entities, which no market document does")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 (bounded, and without a document type there are no entities)
    except ElementTree.ParseError as error:
        raise ConfigError("", "the file is not XML: {reason}", reason=str(error)) from error
    found: list[Row] = []
    for period in root.iter():
        if _plain(period.tag) != "Period":
            continue
        try:
            found += _period(period, len(found))
        except (ValueError, AttributeError, OverflowError) as error:
            raise at_row(len(found) + 1, "row {row}: the market document has a period that cannot be read") from error
        if len(found) > MOST_ROWS:
            break
    return sorted(found, key=lambda row: row.start_at)


def _plain(tag: str) -> str:
    return tag.rpartition("}")[2]


def _child(element: ElementTree.Element, name: str) -> ElementTree.Element:
    found = next((one for one in element if _plain(one.tag) == name), None)
    if found is None:
        raise ValueError(name)
    return found


def _period(period: ElementTree.Element, before: int) -> list[Row]:
    interval = _child(period, "timeInterval")
    start_at = datetime.fromisoformat(str(_child(interval, "start").text)).astimezone(UTC)
    end_at = datetime.fromisoformat(str(_child(interval, "end").text)).astimezone(UTC)
    match = _RESOLUTION.fullmatch(str(_child(period, "resolution").text))
    if match is None:
        raise ValueError("resolution")
    step = timedelta(minutes=int(match[1]) * (60 if match[2] == "H" else 1))
    points = {}
    for one in period:
        if _plain(one.tag) == "Point":
            points[int(str(_child(one, "position").text))] = float(str(_child(one, "price.amount").text))
    count = int((end_at - start_at) / step)
    if not 1 <= count <= MOST_ROWS or 1 not in points:
        raise ValueError("points")
    rows, value = [], 0.0
    for at in range(count):
        value = points.get(at + 1, value)
        rows.append(Row(before + at + 1, start_at + at * step, start_at + (at + 1) * step, value * PER_KWH))
    return rows
