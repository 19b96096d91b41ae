"""The audit log's chain: whatever is done to it is found, and told where."""

import sqlite3
from importlib.resources import files

import pytest

from charging_manager.cloud import chain
from charging_manager.cloud.chain import ChainBroken, Head, Whole

KEY = chain.chain_key(b"the server's secret")
ENTRIES = 9


def fresh() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.row_factory = sqlite3.Row
    for upgrade in sorted(files("charging_manager.cloud.schema").iterdir(), key=lambda file: file.name):
        if upgrade.name.endswith(".sql"):
            db.executescript(upgrade.read_text("utf-8"))
    return db


def written(entries: int = ENTRIES, kept: int = 100) -> sqlite3.Connection:
    db = fresh()
    for number in range(1, entries + 1):
        chain.append(db, KEY, ("now", "cloud-admin", "192.0.2.1", "installation-added", f"site-{number}"), kept)
    return db


def test_an_untouched_chain_is_whole_and_so_is_none_at_all() -> None:
    assert chain.verify(fresh(), KEY) == Whole(0, 0, Head(0, ""))
    db = written()
    whole = chain.verify(db, KEY)
    assert (whole.entries, whole.first, whole.head) == (ENTRIES, 1, chain.head_of(db))
    assert whole.head.number == ENTRIES and len(whole.head.hash) == 64


@pytest.mark.parametrize(
    ("attack", "told"),
    [
        ("UPDATE audit SET subject = 'other' WHERE number = 4", "entry 4"),
        ("UPDATE audit SET at = 'then' WHERE number = 1", "entry 1"),
        ("UPDATE audit SET who = 'x' WHERE number = 9", "entry 9"),
        ("UPDATE audit SET hash = (SELECT hash FROM audit WHERE number = 5) WHERE number = 6", "entry 6"),
        ("UPDATE audit SET hash = NULL WHERE number = 2", "entry 2"),
        ("DELETE FROM audit WHERE number = 5", "entry 5 of the audit log is missing"),
        ("DELETE FROM audit WHERE number = 1", "entry 1 of the audit log is missing"),
        ("DELETE FROM audit WHERE number > 6", "ends at entry 6, but 9 were written"),
        ("DELETE FROM audit", "ends at entry 0"),
        ("UPDATE audit SET number = CASE number WHEN 3 THEN 1004 ELSE 1003 END WHERE number IN (3, 4)", "entry 3"),
        ("INSERT INTO audit SELECT 10, at, who, source, action, subject, hash FROM audit WHERE number = 9", "entry 10"),
        ("INSERT INTO audit SELECT 0, at, who, source, action, subject, hash FROM audit WHERE number = 1", "added"),
        ("DELETE FROM audit_chain", "seal of the audit log is missing"),
        ("UPDATE audit_chain SET last = 8, head = (SELECT hash FROM audit WHERE number = 8)", "seal"),
        ("UPDATE audit_chain SET first = 2, before = (SELECT hash FROM audit WHERE number = 1)", "seal"),
    ],
)
def test_whatever_is_done_to_it_is_found(attack: str, told: str) -> None:
    db = written()
    db.execute(attack)
    with pytest.raises(ChainBroken, match=told):
        chain.verify(db, KEY)


def test_two_entries_that_changed_places_are_found() -> None:
    db = written()
    db.execute("UPDATE audit SET number = 1000 WHERE number = 3")
    db.execute("UPDATE audit SET number = 3 WHERE number = 4")
    db.execute("UPDATE audit SET number = 4 WHERE number = 1000")
    with pytest.raises(ChainBroken, match="entry 3"):
        chain.verify(db, KEY)


def test_every_single_field_of_every_entry_is_covered() -> None:
    for number in range(1, ENTRIES + 1):
        for column in ("at", "who", "source", "action", "subject", "hash"):
            db = written()
            db.execute(f"UPDATE audit SET {column} = {column} || '.' WHERE number = ?", (number,))
            with pytest.raises(ChainBroken, match=f"entry {number} "):
                chain.verify(db, KEY)


def test_a_chain_made_anew_with_another_key_is_found_and_one_with_the_key_by_the_noted_head() -> None:
    noted = chain.verify(written(), KEY).head
    forged = written(ENTRIES - 2)
    with pytest.raises(ChainBroken, match="seal"):
        chain.verify(forged, chain.chain_key(b"another secret"))
    assert chain.verify(forged, KEY).entries == ENTRIES - 2
    with pytest.raises(ChainBroken, match="not part of the audit log"):
        chain.verify(forged, KEY, noted)


def test_a_head_that_was_noted_is_found_as_long_as_its_entry_is_kept() -> None:
    db = fresh()
    heads = [chain.append(db, KEY, ("now", "w", "s", "a", str(n)), 5) for n in range(12)]
    assert chain.verify(db, KEY).first == 8
    for head in heads[6:]:  # the one before the oldest is known by its hash
        assert chain.verify(db, KEY, head).entries == 5
    with pytest.raises(ChainBroken, match="older than what is kept"):
        chain.verify(db, KEY, heads[3])
    with pytest.raises(ChainBroken, match="not part"):
        chain.verify(db, KEY, Head(10, heads[3].hash))


def test_what_was_written_before_there_was_a_chain_is_taken_up_and_that_is_said() -> None:
    db = fresh()
    for number in (3, 4, 9):
        db.execute(
            "INSERT INTO audit (number, at, who, source, action, subject) VALUES (?, 't', 'w', 's', 'a', 'x')",
            (number,),
        )
    assert chain.verify(db, KEY).entries == 0
    chain.append(db, KEY, ("now", "w", "s", "a", "new"), 100)
    assert chain.verify(db, KEY).entries == 5
    rows = [tuple(row) for row in db.execute("SELECT number, action, subject FROM audit ORDER BY number")]
    assert rows == [(3, "a", "x"), (4, "a", "x"), (5, "a", "x"), (6, "chain-begun", "3"), (7, "a", "new")]
