"""The audit log as a chain: whoever changes, removes, inserts or reorders an entry breaks it, and one sees where.

Each entry's hash is an HMAC over the entry and the hash before it, under a key made from the server's secret, which
lies beside the database and not in it. Both ends of the chain are sealed in a row of their own, so nothing can be cut
off unseen either. Whoever has the key too could make it all anew: against that the newest hash stands in the log and in
the metrics, and ``audit verify --head`` compares it.
"""

from __future__ import annotations

import hashlib
import hmac
import json

from attrs import frozen

from charging_manager.errors import ChargingManagerError
from charging_manager.storage.store import Connection

CHAINED = "chain-begun"
"""The entry that says that a chain was laid over what stood there before."""
_COLUMNS = "number, at, who, source, action, subject, hash"


@frozen
class Head:
    """The newest entry's number and hash; 0 and nothing while there is none."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash or '-'}"


@frozen
class Whole:
    """A chain that holds: how many entries, from which to which."""

    entries: int
    first: int
    head: Head


class ChainBroken(ChargingManagerError):
    """The audit log was tampered with; the sentence says where."""


def chain_key(secret: bytes) -> bytes:
    """The chain's own key, from the server's secret."""
    return hmac.digest(secret, b"audit chain", hashlib.sha256)


def append(db: Connection, key: bytes, entry: tuple[str, str, str, str, str], kept: int) -> Head:
    """One more entry (at, who, source, action, subject); at most ``kept`` stay. To be called in a transaction."""
    if db.execute("SELECT 1 FROM audit_chain").fetchone() is None:
        _begin(db, key, entry[0])
    chain = db.execute("SELECT first, before, last, head FROM audit_chain").fetchone()
    first, before, number = chain["first"], chain["before"], chain["last"] + 1
    code = _hash(key, chain["head"], number, *entry)
    db.execute(
        "INSERT INTO audit (number, at, who, source, action, subject, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (number, *entry, code),
    )
    if number - first >= kept:
        before = db.execute("SELECT hash FROM audit WHERE number = ?", (number - kept,)).fetchone()["hash"]
        first = number - kept + 1
        db.execute("DELETE FROM audit WHERE number < ?", (first,))
    _seal(db, key, first, before, number, code)
    return Head(number, code)


def head_of(db: Connection) -> Head:
    """Where the chain ends now."""
    row = db.execute("SELECT last, head FROM audit_chain").fetchone()
    return Head(row["last"], row["head"]) if row else Head(0, "")


def verify(db: Connection, key: bytes, known: Head | None = None) -> Whole:
    """Raises: ChainBroken. ``known`` is a head that was noted elsewhere, which must be part of the chain.

    The connection's rows must be read by name too.
    """
    chain = db.execute("SELECT first, before, last, head, seal FROM audit_chain").fetchone()
    if chain is None:
        if db.execute("SELECT 1 FROM audit WHERE hash IS NOT NULL").fetchone() or (known and known.number):
            raise ChainBroken("the seal of the audit log is missing: somebody removed it")
        return Whole(0, 0, Head(0, ""))
    first, previous, last = chain["first"], chain["before"], chain["last"]
    if not hmac.compare_digest(chain["seal"], _seal_of(key, first, previous, last, chain["head"])):
        raise ChainBroken("the seal of the audit log is not this server's: somebody changed where it begins or ends")
    met = known is None or (known.number == first - 1 and known.hash == previous)
    number = first
    for row in db.execute(f"SELECT {_COLUMNS} FROM audit ORDER BY number"):  # noqa: S608 - our own columns
        if row["number"] != number:
            what = "is missing" if row["number"] > number else "was added in front"
            raise ChainBroken(f"entry {min(number, row['number'])} of the audit log {what}")
        previous = _hash(key, previous, *tuple(row)[:6])
        if row["hash"] is None or not hmac.compare_digest(row["hash"], previous):
            raise ChainBroken(f"entry {number} of the audit log ({row['at']}) is not as it was written")
        met = met or (known is not None and known.number == number and known.hash == previous)
        number += 1
    if number - 1 != last or previous != chain["head"]:
        what = f"ends at entry {number - 1}, but {last} were written" if number <= last else "goes on behind its end"
        raise ChainBroken(f"the audit log {what}")
    if not met and known is not None:
        why = "is older than what is kept" if known.number < first - 1 else "is not part of the audit log"
        raise ChainBroken(f"the head {known} {why}")
    return Whole(last - first + 1, first, Head(last, previous))


def _begin(db: Connection, key: bytes, at: str) -> None:
    """Lay the chain over what stands there already, and say so in an entry: it was not protected until now."""
    rows = db.execute("SELECT number, at, who, source, action, subject FROM audit ORDER BY number").fetchall()
    first, previous = (rows[0]["number"] if rows else 1), ""
    number = first
    for row in rows:  # pruning and rollbacks may have left gaps
        previous = _hash(key, previous, number, *tuple(row)[1:])
        db.execute("UPDATE audit SET number = ?, hash = ? WHERE number = ?", (number, previous, row["number"]))
        number += 1
    if not rows:
        _seal(db, key, first, "", first - 1, "")
        return
    entry = (at, "machine", "", CHAINED, str(len(rows)))
    code = _hash(key, previous, number, *entry)
    db.execute(
        "INSERT INTO audit (number, at, who, source, action, subject, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (number, *entry, code),
    )
    _seal(db, key, first, "", number, code)


def _seal(db: Connection, key: bytes, first: int, before: str, last: int, head: str) -> None:
    db.execute(
        "INSERT INTO audit_chain (one, first, before, last, head, seal) VALUES (1, ?, ?, ?, ?, ?)"
        " ON CONFLICT (one) DO UPDATE SET first = excluded.first, before = excluded.before, last = excluded.last,"
        " head = excluded.head, seal = excluded.seal",
        (first, before, last, head, _seal_of(key, first, before, last, head)),
    )


def _seal_of(key: bytes, first: int, before: str, last: int, head: str) -> str:
    return _code(key, ["ends", first, before, last, head])


def _hash(key: bytes, previous: str, number: int, *entry: str) -> str:
    return _code(key, ["entry", previous, number, *entry])


def _code(key: bytes, parts: list[str | int]) -> str:
    return hmac.digest(key, json.dumps(parts, ensure_ascii=True).encode(), hashlib.sha256).hex()
