"""The list of installations as the cloud's admin asks for it: searched, filtered, sorted and cut by the database.

Every order has its index (``schema/0002-administration.sql``), so that a page of ten thousand costs no sorting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from charging_manager.cloud.installation import COLUMNS, Installation, read_row
from charging_manager.http.routes import Problem
from charging_manager.storage.store import Connection

PARAMETERS = ("search", "state", "tag", "sort", "limit", "offset", "after")
MOST_ROWS = 10_000
STATES = ("connected", "offline", "disabled", "waiting", "alarm")
SORTS = {
    "cloud_id": "cloud_id",
    "state": "state",
    "last_seen_at": "coalesce(last_seen_at, '')",
    "created_at": "created_at",
    "version": "coalesce(version, '')",
    "traffic": "received_bytes + sent_bytes",
    "failed_logins": "failed_logins",
}
_FURTHEST = 10_000_000
_LONGEST_SEARCH = 100


@frozen
class Wish:
    """A query that was understood."""

    search: str
    state: str
    tag: str
    sort: str
    downwards: bool
    limit: int
    offset: int
    after: str


def read_wish(query: Mapping[str, str]) -> Wish:
    """Raises: Problem 422 that names the parameter."""
    sort = query.get("sort", "cloud_id")
    if sort.removeprefix("-") not in SORTS:
        raise Problem(422, "bad-sort", "There is no such column to sort by.", "sort")
    state = query.get("state", "")
    if state and state not in STATES:
        raise Problem(422, "bad-state", "A state is one of these: {states}.", "state", states=", ".join(STATES))
    return Wish(
        query.get("search", "").strip()[:_LONGEST_SEARCH],
        state,
        query.get("tag", "").strip()[:_LONGEST_SEARCH],
        sort.removeprefix("-"),
        sort.startswith("-"),
        _number(query, "limit", 1, MOST_ROWS, MOST_ROWS),
        _number(query, "offset", 0, _FURTHEST, 0),
        query.get("after", ""),
    )


def _number(query: Mapping[str, str], name: str, least: int, most: int, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most):
        sentence = "This is a whole number from {least} to {most}."
        raise Problem(422, f"bad-{name}", sentence, name, least=least, most=most)
    return int(text)


@frozen
class Page:
    """``total`` counts all that fit, also those beyond this page; ``counts`` all that there are, by state."""

    rows: list[Installation]
    total: int
    counts: dict[str, int]


def page_of(db: Connection, wish: Wish) -> Page:
    """What the wish asks for."""
    statement, values = statement_of(db, wish)
    where, wanted = _where(wish)
    total = db.execute(f"SELECT count(*) FROM installations{where}", wanted).fetchone()[0]  # noqa: S608
    return Page([read_row(row) for row in db.execute(statement, values)], total, counts_of(db))


def counts_of(db: Connection) -> dict[str, int]:
    """How many there are in each state, and with an alarm."""
    counts = dict.fromkeys(STATES, 0)
    counts.update(tuple(row) for row in db.execute("SELECT state, count(*) FROM installations GROUP BY state"))
    counts["alarm"] = db.execute("SELECT count(*) FROM installations WHERE alarm_at IS NOT NULL").fetchone()[0]
    return counts


def statement_of(db: Connection, wish: Wish) -> tuple[str, list[object]]:
    """SQL for one page, and its values. An unknown ``after`` leaves nothing."""
    where, values = _where(wish)
    column, way = SORTS[wish.sort], "DESC" if wish.downwards else "ASC"
    if wish.after:
        last = db.execute(
            f"SELECT {column}, cloud_id FROM installations WHERE cloud_id = ?",  # noqa: S608 - our own columns
            (wish.after,),
        ).fetchone()
        further = f"({column}, cloud_id) {'<' if wish.downwards else '>'} (?, ?)" if last else "0 = 1"
        where += f"{' AND' if where else ' WHERE'} {further}"
        values += list(last) if last else []
    order = f"cloud_id {way}" if wish.sort == "cloud_id" else f"{column} {way}, cloud_id {way}"
    statement = f"SELECT {COLUMNS} FROM installations{where} ORDER BY {order} LIMIT ? OFFSET ?"  # noqa: S608
    return statement, [*values, wish.limit, wish.offset]


def _where(wish: Wish) -> tuple[str, list[object]]:
    parts = list(_conditions(wish))
    text = " AND ".join(condition for condition, _ in parts)
    return (f" WHERE {text}" if text else ""), [value for _, values in parts for value in values]


def _conditions(wish: Wish) -> Iterator[tuple[str, list[object]]]:
    if wish.search:
        fields = [f"lower({name}) LIKE lower(?) ESCAPE '\\'" for name in ("cloud_id", "note", "tags")]
        yield f"({' OR '.join(fields)})", [f"%{_escaped(wish.search)}%"] * 3
    if wish.state == "alarm":
        yield "alarm_at IS NOT NULL", []
    elif wish.state:
        yield "state = ?", [wish.state]
    if wish.tag:
        yield "lower(tags) LIKE lower(?) ESCAPE '\\'", [f"% {_escaped(wish.tag)} %"]


def _escaped(text: str) -> str:
    """Found as it is by LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
