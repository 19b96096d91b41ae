"""Writes rows until it is killed; says each row's number once it was acknowledged. Usage: storage_process.py FOLDER."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred

from charging_manager.storage.database import Database

reactor: Any = the_reactor


def insert(number: int) -> Callable[[sqlite3.Connection], None]:
    def run(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO row (number, other) VALUES (?, ?)", (number, "x" * 200))
        connection.execute("UPDATE total SET rows = rows + 1")

    return run


async def write() -> None:
    folder = Path(sys.argv[1])
    database = await Database.open(folder / "state.db", folder / "schema", reactor=reactor)
    number = await database.read(lambda c: c.execute("SELECT coalesce(max(number), 0) FROM row").fetchone()[0])
    while True:
        number += 1
        await database.write(insert(number))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(write()))
    reactor.run()
