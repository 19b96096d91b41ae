"""Tables for spreadsheets: CSV by RFC 4180, in which nothing that somebody else wrote becomes a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from charging_manager.http.bodies import to_json
from charging_manager.http.routes import Answer, Sink, Stream

Row = Mapping[str, Any]
_CSV = "text/csv; charset=utf-8"
NextRows = Callable[[Row | None], Awaitable[Sequence[Row]]]
"""The next page of a table, given its last row so far; empty at the end."""


def as_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], filename: str) -> Answer:
    """These columns of the rows, with their names above them."""
    body = _lines([columns]) + _lines([row[column] for column in columns] for row in rows)
    return Answer(body, content_type=_CSV, filename=filename)


def csv_stream(columns: Sequence[str], pages: NextRows, filename: str) -> Stream:
    """The same for a table too long to be held in memory: a page is read when its reader has taken the one before."""

    def say(rows: Sequence[Row], first: bool) -> bytes:
        head = _lines([columns]) if first else b""
        return head + _lines([row[column] for column in columns] for row in rows)

    return Stream(partial(_Paged, pages, say, b""), _CSV, filename)


def json_stream(name: str, pages: NextRows, filename: str) -> Stream:
    """``{name: [rows]}``, likewise."""

    def say(rows: Sequence[Row], first: bool) -> bytes:
        between = b'{"%s":[' % name.encode() if first else b","
        return between * (first or bool(rows)) + b",".join(to_json(row) for row in rows)

    return Stream(partial(_Paged, pages, say, b"]}"), "application/json", filename)


class _Paged:
    """A table on its way to one reader, page after page (``http.routes.Source``)."""

    _log = Logger()

    def __init__(self, pages: NextRows, say: Callable[[Sequence[Row], bool], bytes], tail: bytes, sink: Sink) -> None:
        self._pages, self._say, self._tail, self._sink = pages, say, tail, sink
        self._last: Row | None = None
        self._begun = self._busy = self._over = False
        self.resumed()

    def resumed(self) -> None:
        if not self._busy and not self._over:
            self._busy = True
            Deferred.fromCoroutine(self._go_on()).addErrback(self._failed)

    def stopped(self) -> None:
        self._over = True

    async def _go_on(self) -> None:
        try:
            room = True
            while room and not self._over:
                rows = await self._pages(self._last)
                if self._over:
                    return
                said, self._begun = self._say(rows, not self._begun), True
                if not rows:
                    self._over = True
                    self._sink.write(said + self._tail)
                    self._sink.finish()
                    return
                self._last = rows[-1]
                room = self._sink.write(said)
        finally:
            self._busy = False

    def _failed(self, reason: Any) -> None:
        self._log.failure("a table broke off", failure=reason)
        self._over = True
        getattr(self._sink, "fail", self._sink.finish)()


def _lines(rows: Iterable[Sequence[Any]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue().encode()


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets an apostrophe."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return "" if value is None else value
