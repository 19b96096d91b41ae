"""Tables for spreadsheets: CSV by RFC 4180, in which nothing that somebody else wrote becomes a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from charging_manager.http.routes import Answer


def as_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], filename: str) -> Answer:
    """These columns of the rows, with their names above them."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])
    return Answer(out.getvalue().encode(), content_type="text/csv; charset=utf-8", filename=filename)


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets an apostrophe."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return "" if value is None else value
